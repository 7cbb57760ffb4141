"""The best that any rule without foreknowledge could do in small systems, by value iteration; no engine in here.

Poisson arrivals, exponential service, nobody leaves. What is maximised is the service level: the (weighted) share of
contacts that are answered within their target. State: for each class the age of its first in line (or that nobody waits),
for each pool the number of busy servers (Koole, Nielsen and Nielsen, First in line waiting times as a tool for analysing
queueing systems, Operations Research 60, 2012; and Optimization of overflow policies in call centers, Probability in the
Engineering and Informational Sciences 29, 2015).

**Next in line.** Who waits behind the first of a line has not been looked at yet, so that is still a Poisson stream: if the
first of a class with arrival rate lambda has waited for a, the next one came an exponential time X later and has waited for
a - X, or is not there yet, with probability exp(-lambda a). In ticks of an exponential clock of rate gamma, X is geometric:
a tick comes before the next arrival with r = gamma / (gamma + lambda), so that behind n ticks come n - k ticks with
(1 - r) r^k for k < n, and nobody with r^n.

**Clock.** An exponential clock blurs targets (n ticks spread by sqrt(n) of them), and where the load is high, ages become
far longer than targets, while a state space that ends early forgets whoever waits beyond its end: with 0.4 ticks a second
and ages up to three times the target, earliest deadline in `pool_heavy` seems to reach 62 % and the optimum 78 %; truly it
is 53 % and 69 %. So time goes in equal steps here, in which several things may happen, and ages up to the target are
counted in steps. Beyond the target each age is wider than the one before by the factor `growth`; it moves up with
probability 1 / width, and what lies between two ages is interpolated, both right in the mean. The number of arrivals in a
step is 0 with 1 - p, else a batch that goes on with probability q after each; p = 2 m / (2 + m) and q = m / (2 + m) give it
mean and variance m = lambda step of the Poisson process. So the gap between two contacts is 0 steps with q, and k >= 1 steps
with (1 - q) p (1 - p)^(k - 1): the law above, as the step goes to 0. A busy server finishes with step / mean service. The
error is of first order in the step, and `refined` extrapolates from two; steps are best such that a target is a whole number
of them and a half, as ages are rounded.

**Three optima.**

- `Model(system, step)`: first come, first served *within* each class; else all is free. Any free server may take the first
  in line of any class it can serve, at any time, or idle.
- `Model(system, step, late=n)`, for one pool: who becomes late leaves the line and waits apart, up to n of them; one of those
  is served when nobody in time waits, or earlier. So who is in time may overtake who is late in the same class, too.
  Servers do not idle while anybody waits, or late contacts would be left for ever.
- `Model(system, step, late=0)`: who becomes late vanishes. A ceiling for every rule: one that serves late contacts could as
  well idle meanwhile.
"""

from __future__ import annotations

import ctypes
import itertools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Key = Callable[[int, Array, float], Array]
"""(class, ages, target) -> key of a first in line of that age; the smallest is served"""

_MEMORY, _PATIENCE, _PLAIN = 8, 60, 30


@dataclass(frozen=True)
class System:
    """Classes and pools are numbered from 0; rates are per second."""

    name: str
    arrivals: tuple[float, ...]
    targets: tuple[float, ...]
    servers: tuple[int, ...]
    means: tuple[float, ...]
    """mean service time of each pool"""
    skills: tuple[tuple[int, ...], ...]
    """the classes that each pool serves"""
    steps: tuple[float, float]
    """in seconds, for `refined`"""
    horizon_s: float
    """ages beyond are not told apart"""
    growth: float = 1.1
    late: int = 0
    """so many late contacts are counted, where they wait apart"""
    weights: tuple[float, ...] = ()

    @property
    def worth(self) -> tuple[float, ...]:
        return self.weights or (1.0,) * len(self.arrivals)

    @property
    def load(self) -> float:
        return sum(self.arrivals) / sum(
            count / mean for count, mean in zip(self.servers, self.means, strict=True)
        )


@dataclass(frozen=True)
class Solution:
    """`level` is the middle of proven bounds (of the discrete model), `spread` how far they are apart."""

    level: float
    spread: float
    iterations: int
    seconds: float
    values: Array = field(repr=False)
    """of the states, relative to each other"""


def earliest_deadline(_one: int, ages: Array, target: float) -> Array:
    return target - ages


def first_come(_one: int, ages: Array, _target: float) -> Array:
    return -ages


def late_yield(_one: int, ages: Array, target: float) -> Array:
    """Earliest deadline among those in time; a first in line that is late goes after all of them."""
    return np.where(ages > target, 1e6, 0.0) + target - ages


def late_yield_tight_last(_one: int, ages: Array, target: float) -> Array:
    """The same, but of those late, the class with the longest target goes first."""
    return np.where(ages > target, 1e9 - 1e5 * target - ages, target - ages)


class Model:
    def __init__(self, system: System, step_s: float, late: int | None = None) -> None:
        if late and len(system.servers) > 1:
            raise ValueError("late contacts that wait apart are counted for one pool only")
        self.system, self.step_s, self.late = system, step_s, late
        self._classes, self._pools = range(len(system.arrivals)), range(len(system.servers))
        self._ages = [self._grid(target) for target in system.targets]
        self._busy = sorted(
            itertools.product(*(range(count + 1) for count in system.servers)), key=sum, reverse=True
        )
        self._plane = (*([late + 1] if late else []), *(len(ages) for ages in self._ages))
        self._lead = len(self._plane) - len(self._ages)
        self.shape = (*(count + 1 for count in system.servers), *self._plane)
        self._next: list[Array] = []
        self._batch: list[float] = []
        self._arrives: list[float] = []
        for one in self._classes:
            m = system.arrivals[one] * step_s
            self._batch.append(m / (2 + m))
            self._arrives.append(2 * m / (2 + m))
            self._next.append(self._next_in_line(one))
        self._done = [self._finishing(pool) for pool in self._pools]
        self._reward = [self._in_target(one) for one in self._classes]
        self._someone = self._anybody_waits()

    @property
    def states(self) -> int:
        return math.prod(self.shape)

    def optimum(self, tolerance: float = 1e-3) -> Solution:
        near = self.level(earliest_deadline if self.late else late_yield_tight_last, tolerance=tolerance)
        with _one_thread():
            return self._solve(self._decide, tolerance, near.values)

    def level(self, key: Key, specialists_first: bool = False, tolerance: float = 1e-3) -> Solution:
        """The service level of a rule that never idles while there is work: a server takes the first in line with the
        smallest key (of equal ones, that of the first class), and late contacts that wait apart after those. A newcomer
        goes to a free server at random, or to a pool that serves the fewest classes."""
        shares = {busy: list(self._shares(busy, key, specialists_first)) for busy in self._busy}
        with _one_thread():
            return self._solve(lambda values: self._follow(values, shares), tolerance)

    # --- states --------------------------------------------------------------------------------------

    def _grid(self, target: float) -> NDArray[np.int64]:
        """Ages in steps. Index 0 is that nobody waits, index 1 is age 0."""
        last = math.ceil(target / self.step_s + 0.5) - 1  # the last age that may be in time
        ages, width = list(range(last + 1)), 1.0
        while self.late is None and ages[-1] * self.step_s < self.system.horizon_s:
            width *= self.system.growth
            ages.append(ages[-1] + round(width))
        return np.array([0, *ages], dtype=np.int64)

    def _line(self, one: int, values: Array) -> Array:
        """Along the axis of a class."""
        return values.reshape([-1 if axis == one else 1 for axis in self._classes])

    def _waits(self, one: int) -> NDArray[np.bool_]:
        some = np.arange(len(self._ages[one])) > 0
        return np.asarray(np.broadcast_to(self._line(one, some.astype(float)), self._plane)) > 0

    def _anybody_waits(self) -> NDArray[np.bool_]:
        some = np.zeros(self._plane, dtype=bool)
        for one in self._classes:
            some |= self._waits(one)
        if self.late:
            some[1:] = True
        return some

    def _in_target(self, one: int) -> Array:
        """1 within the target, 0 beyond. Ages are rounded to steps, so that one at the very target counts in part."""
        target = self.system.targets[one] / self.step_s
        return self._line(one, self.system.worth[one] * np.clip(target + 0.5 - self._ages[one], 0, 1))

    def _next_in_line(self, one: int) -> Array:
        """[n, m]: the first in line has age index n and is served; the next has age index m."""
        ages, go_on, p = self._ages[one], self._batch[one], self._arrives[one]
        table = np.zeros((len(ages), len(ages)))
        between = self._between(one)
        gaps = np.arange(1, ages[-1] + 1)
        weights = (1 - go_on) * p * (1 - p) ** (gaps - 1)
        for n in range(1, len(ages)):
            age = int(ages[n])
            table[n] = go_on * between[age] + weights[:age] @ between[age - 1 :: -1][:age]
            table[n, 0] += (1 - go_on) * (1 - p) ** age
        return table

    def _finishing(self, pool: int) -> Array:
        """[b, c]: of b busy servers, c still are after a step."""
        count, chance = self.system.servers[pool], self.step_s / self.system.means[pool]
        table = np.zeros((count + 1, count + 1))
        for busy in range(count + 1):
            for done in range(busy + 1):
                table[busy, busy - done] = (
                    math.comb(busy, done) * chance**done * (1 - chance) ** (busy - done)
                )
        return table

    def _between(self, one: int) -> Array:
        """[a, n]: the part of age index n in the age of a steps, interpolated."""
        ages = self._ages[one]
        steps = np.arange(ages[-1] + 1)
        lower = np.minimum(np.searchsorted(ages[1:], steps, side="right"), len(ages) - 2)
        upper_part = (steps - ages[lower]) / (ages[lower + 1] - ages[lower])
        table = np.zeros((len(steps), len(ages)))
        table[steps, lower] = 1 - upper_part
        table[steps, lower + 1] += upper_part
        return table

    # --- decisions -----------------------------------------------------------------------------------

    def _served(self, one: int, plane: Array) -> Array:
        """Worth of serving the first in line of a class, where `plane` is what comes after, by who is first then."""
        return self._reward[one] + self._along(one, self._next[one], plane)

    def _along(self, one: int, table: Array, plane: Array) -> Array:
        axis = self._lead + one
        before, after = math.prod(plane.shape[:axis]), math.prod(plane.shape[axis + 1 :])
        if after == 1:
            return (plane.reshape(before, -1) @ table.T).reshape(plane.shape)
        result: Array = np.matmul(table, plane.reshape(before, -1, after))
        return result.reshape(plane.shape)

    def _decide(self, values: Array) -> Array:
        """The best of serving and waiting, for every state; serving may be followed by serving."""
        after = values.copy()
        served: dict[tuple[tuple[int, ...], int], Array] = {}
        for busy in self._busy:
            best = after[busy]
            if sum(busy) < sum(self.system.servers) and self.late:
                best[self._someone] = -np.inf
            for pool in self._pools:
                if busy[pool] == self.system.servers[pool]:
                    continue
                then = _plus(busy, pool)
                for one in self.system.skills[pool]:
                    if (then, one) not in served:
                        served[then, one] = self._served(one, after[then])
                    there = self._some(one)
                    np.maximum(best[there], served[then, one][there], out=best[there])
                if self.late:
                    np.maximum(best[1:], after[then][:-1], out=best[1:])
        return after

    def _some(self, one: int) -> tuple[slice, ...]:
        """Where somebody of the class waits."""
        return (*(slice(None),) * (self._lead + one), slice(1, None))

    def _shares(
        self, busy: tuple[int, ...], key: Key, specialists_first: bool
    ) -> Iterator[tuple[int, int, Array]]:
        """(pool, class or -1 for a late one apart, probability) of whom the rule serves first in each state."""
        system = self.system
        free = [pool for pool in self._pools if busy[pool] < system.servers[pool]]
        ages = [steps.astype(float) * self.step_s for steps in self._ages]
        keys = [
            np.where(
                self._waits(one),
                np.broadcast_to(self._line(one, key(one, ages[one], system.targets[one])), self._plane),
                np.inf,
            )
            for one in self._classes
        ]
        found: list[tuple[int, int, Array]] = []
        for pool in free:
            least = np.minimum.reduce([keys[one] for one in system.skills[pool]])
            taken = np.zeros(self._plane, dtype=bool)
            for one in system.skills[pool]:
                picks = self._waits(one) & (keys[one] == least) & ~taken
                taken |= picks
                better = [
                    other
                    for other in free
                    if one in system.skills[other] and len(system.skills[other]) < len(system.skills[pool])
                ]
                if not (specialists_first and better):
                    found.append((pool, one, picks * float(system.servers[pool] - busy[pool])))
            if self.late:
                apart = ~taken
                apart[0] = False
                found.append((pool, -1, apart.astype(float)))
        total = sum((weight for _pool, _one, weight in found), np.zeros(self._plane))
        for pool, one, weight in found:
            yield pool, one, np.divide(weight, total, out=np.zeros(self._plane), where=total > 0)

    def _follow(self, values: Array, shares: dict[tuple[int, ...], list[tuple[int, int, Array]]]) -> Array:
        after = values.copy()
        served: dict[tuple[tuple[int, ...], int], Array] = {}
        for busy in self._busy:
            if not shares[busy]:
                continue
            result = np.where(sum(share for _pool, _one, share in shares[busy]) > 0, 0.0, after[busy])
            for pool, one, share in shares[busy]:
                then = _plus(busy, pool)
                if one < 0:
                    result[1:] += share[1:] * after[then][:-1]
                    continue
                if (then, one) not in served:
                    served[then, one] = self._served(one, after[then])
                result += share * served[then, one]
            after[busy] = result
        return after

    # --- what happens in a step ----------------------------------------------------------------------

    def _step(self, after: Array) -> Array:
        """Expected values before a step, from those after it: ages grow, contacts arrive, servers finish."""
        values = after
        for pool in self._pools:
            values = self._finish(pool, values)
        for one in self._classes:
            nobody, first = self._at(one, 0), self._at(one, 1)
            values = values.copy() if values is after else values
            p = self._arrives[one]
            values[nobody] = (1 - p) * values[nobody] + p * values[first]
        for one in self._classes:
            values = self._grow(one, values)
        return values

    def _finish(self, pool: int, values: Array) -> Array:
        count = self.system.servers[pool]
        before = math.prod(self.shape[:pool])
        result: Array = np.matmul(self._done[pool], values.reshape(before, count + 1, -1))
        return result.reshape(self.shape)

    def _grow(self, one: int, values: Array) -> Array:
        ages = self._ages[one]
        result = values.copy()
        here, above = self._at(one, slice(1, -1)), self._at(one, slice(2, None))
        up = self._line(one, 1 / np.diff(ages[1:]))
        result[here] += up * (values[above] - values[here])
        if self.late is not None:
            result[self._at(one, -1)] = self._too_late(one, values)
        return result

    def _too_late(self, one: int, values: Array) -> Array:
        """The first in line is late now, and so are all that came in the same step; who is next is in time."""
        ages, p, go_on = self._ages[one], self._arrives[one], self._batch[one]
        gap = p * (1 - p) ** (ages[-1] - ages).astype(float)
        gap[0] = (1 - p) ** float(ages[-1] + 1)
        moved: Array = np.moveaxis(values, len(self._pools) + self._lead + one, -1) @ gap
        if not self.late:
            return moved
        result = np.empty_like(moved)
        lines = np.moveaxis(moved, len(self._pools), 0)
        into = np.moveaxis(result, len(self._pools), 0)
        into[-1] = lines[-1]
        for count in range(self.late - 1, -1, -1):
            into[count] = (1 - go_on) * lines[count + 1] + go_on * into[count + 1]
        return result

    def _at(self, one: int, where: int | slice) -> tuple[int | slice, ...]:
        return (*(slice(None),) * (len(self._pools) + self._lead + one), where)

    # --- relative value iteration --------------------------------------------------------------------

    def _solve(
        self,
        decide: Callable[[Array], Array],
        tolerance: float,
        start: Array | None = None,
        most: int = 6_000,
    ) -> Solution:
        """Iterated with Anderson's mixing, which may go astray but cannot mislead: whatever the values, the least and the
        largest gain of one more step bound the average from both sides (Odoni 1969; Puterman, theorem 8.5.5)."""
        began = time.perf_counter()
        worth = zip(self.system.worth, self.system.arrivals, strict=True)
        rate = self.step_s * sum(weight * arrivals for weight, arrivals in worth)
        values = best_values = np.zeros(self.shape) if start is None else start
        moves, turns = np.zeros((_MEMORY, self.states)), np.zeros((_MEMORY, self.states))
        gram = np.zeros((_MEMORY, _MEMORY))
        last: tuple[Array, Array] | None = None
        known = stale = iteration = 0
        low, high = -math.inf, math.inf
        while high - low > tolerance:
            iteration += 1
            if iteration > most:
                raise ArithmeticError(f"{self.system.name}: between {low} and {high} after {most} iterations")
            gained = (self._step(decide(values)) - values).ravel()
            least, largest = float(gained.min()) / rate, float(gained.max()) / rate
            if largest - least < high - low:
                low, high, best_values, stale = least, largest, values, 0
            stale += 1
            if stale > _PATIENCE:  # astray: on from the best so far, plainly for a while and without memory
                values, last, known, stale = best_values, None, 0, 0
                for _plain in range(_PLAIN):
                    values = self._step(decide(values))
                    values = values - values.flat[0]
                continue
            here, gain = values.ravel(), gained - gained[0]
            if last is not None:
                row = known % _MEMORY
                known += 1
                count = min(known, _MEMORY)
                moves[row], turns[row] = here - last[0], gain - last[1]
                gram[row, :count] = gram[:count, row] = turns[:count] @ turns[row]
            last = here, gain
            mixed = here + gain
            if known:
                count = min(known, _MEMORY)
                matrix = gram[:count, :count] + 1e-12 * np.trace(gram) * np.eye(count)
                factors = np.linalg.solve(matrix, turns[:count] @ gain)
                mixed -= factors @ moves[:count] + factors @ turns[:count]
            values = (mixed - mixed[0]).reshape(self.shape)
        return Solution((low + high) / 2, high - low, iteration, time.perf_counter() - began, best_values)


def refined(
    system: System, solve: Callable[[Model], Solution] = Model.optimum, late: int | None = None
) -> tuple[float, float]:
    """The level for a step of 0, extrapolated from two steps, and by how much the finer one is above it."""
    wide, narrow = system.steps
    coarse, fine = (solve(Model(system, step_s, late)).level for step_s in (wide, narrow))
    level = fine + (fine - coarse) * narrow / (wide - narrow)
    return level, fine - level


@contextmanager
def _one_thread() -> Iterator[None]:
    """Matrices are small here: the threads of numpy's OpenBLAS would cost several times what they do where the processor
    also does something else."""
    found = list((Path(np.__file__).parent.parent / "numpy.libs").glob("libscipy_openblas64_*"))
    if not found:
        yield
        return
    library = ctypes.CDLL(str(found[0]))
    before = library.scipy_openblas_get_num_threads64_()
    library.scipy_openblas_set_num_threads64_(1)
    try:
        yield
    finally:
        library.scipy_openblas_set_num_threads64_(before)


def _plus(busy: tuple[int, ...], pool: int) -> tuple[int, ...]:
    return (*busy[:pool], busy[pool] + 1, *busy[pool + 1 :])


def _pool(
    name: str, servers: int, mean: float, load: float, horizon_s: float, growth: float = 1.1, late: int = 0
) -> System:
    """V: one pool, a tight and a loose class of the same size."""
    each = load * servers / mean / 2
    steps = (20 / 4.5, 20 / 9.5)
    return System(
        name, (each, each), (20, 60), (servers,), (mean,), ((0, 1),), steps, horizon_s, growth, late
    )


def _three(name: str, load: float) -> System:
    """V with three classes."""
    each = load * 3 / 60 / 3
    return System(
        name, (each,) * 3, (20, 60, 100), (3,), (60,), ((0, 1, 2),), (8, 20 / 4.5), 1_000, growth=1.2, late=25
    )


def _n(name: str, load: float) -> System:
    """N: the first pool serves the tight class only, the second one both; 60 % of contacts are of the tight class."""
    rate = load * 4 / 60
    skills = ((0,), (0, 1))
    return System(
        name, (0.6 * rate, 0.4 * rate), (20, 60), (2, 2), (60, 60), skills, (20 / 4.5, 20 / 9.5), 1_500
    )


def _w(name: str, load: float) -> System:
    """W: each pool has a class of its own, and both serve the middle one, which is 40 % of contacts."""
    rate = load * 4 / 60
    skills = ((0, 1), (1, 2))
    arrivals = (0.3 * rate, 0.4 * rate, 0.3 * rate)
    return System(name, arrivals, (20, 60, 100), (2, 2), (60, 60), skills, (8, 20 / 3.5), 1_000, growth=1.25)


SYSTEMS = {
    system.name: system
    for system in (
        _pool("pool", 4, 60, 0.70, 1_500, late=40),
        _pool("pool_heavy", 4, 60, 0.85, 2_000, late=50),
        _pool("hall", 20, 180, 0.85, 1_000, 1.15),
        _n("n", 0.60),
        _n("n_heavy", 0.75),
        _w("w", 0.60),
        _w("w_heavy", 0.75),
        _three("three", 0.65),
        _three("three_heavy", 0.75),
    )
}
