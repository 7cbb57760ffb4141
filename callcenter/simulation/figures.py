"""What days came to: means over replications with confidence intervals, and the course of the day."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, pstdev, stdev
from typing import Any

from callcenter.simulation.day import SLOT_MS, Day, Slot, Tally

Plain = dict[str, Any]
_SMALL = {1: 12.706, 2: 4.303}
"""Student's 97.5 % points that the expansion below does not reach"""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean over replications, and half the width of its confidence interval (0 for one replication)."""

    mean: float
    half_width: float

    @staticmethod
    def of(values: Sequence[float], confidence: float = 0.95) -> Estimate:
        if len(values) < 2:
            return Estimate(values[0] if values else 0.0, 0.0)
        spread = stdev(values) / math.sqrt(len(values))
        return Estimate(fmean(values), student(len(values) - 1, confidence) * spread)

    def to_plain(self) -> Plain:
        return {"mean": round(self.mean, 5), "half_width": round(self.half_width, 5)}


def student(degrees: int, confidence: float) -> float:
    """Two-sided point of Student's distribution: Fisher's expansion about the normal one, good to 1 % from 3 degrees
    of freedom on at 95 %; exact for fewer there."""
    if degrees in _SMALL and confidence == 0.95:
        return _SMALL[degrees]
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    n = degrees
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def _quantile(values: list[int], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] / 1000 if values else 0.0


def _share(part: int, whole: int, usual: float = 0.0) -> float:
    return part / whole if whole else usual


MEASURES: dict[str, Callable[[Tally], float]] = {
    "offered": lambda tally: float(tally.offered),
    "service_level": lambda tally: _share(tally.in_target, tally.offered, 1.0),
    "asa_s": lambda tally: fmean(tally.waits_ms) / 1000 if tally.waits_ms else 0.0,
    "p90_s": lambda tally: _quantile(tally.waits_ms, 0.9),
    "waited": lambda tally: _share(tally.waited, tally.offered),
    "abandoned": lambda tally: _share(tally.abandoned, tally.offered),
    "refused": lambda tally: _share(tally.refused, tally.offered),
}


def occupancy(day: Day) -> float:
    """Share of ready time that was talk or wrap-up."""
    hands = day.agents.values()
    return _share(sum(one.busy_ms for one in hands), sum(one.staffed_ms for one in hands))


def unfairness(day: Day) -> float:
    """Standard deviation of the agents' own occupancies: 0 is an even share."""
    shares = [_share(one.busy_ms, one.staffed_ms) for one in day.agents.values() if one.staffed_ms]
    return pstdev(shares) if len(shares) > 1 else 0.0


def together(tallies: Iterable[Tally]) -> Tally:
    whole = Tally()
    for tally in tallies:
        whole.offered += tally.offered
        whole.answered += tally.answered
        whole.abandoned += tally.abandoned
        whole.refused += tally.refused
        whole.waited += tally.waited
        whole.in_target += tally.in_target
        whole.waits_ms += tally.waits_ms
    return whole


def figures(days: Sequence[Day]) -> Plain:
    """Each measure of each queue and of all together, occupancy and unfairness, each with its interval; the course of
    the day by half hours."""
    names = list(dict.fromkeys(name for day in days for name in day.queues))

    def measured(of: Callable[[Day], Tally]) -> Plain:
        tallies = [of(day) for day in days]
        return {
            name: Estimate.of([measure(tally) for tally in tallies]).to_plain()
            for name, measure in MEASURES.items()
        }

    return {
        "replications": len(days),
        "occupancy": Estimate.of([occupancy(day) for day in days]).to_plain(),
        "unfairness": Estimate.of([unfairness(day) for day in days]).to_plain(),
        "all": measured(lambda day: together(day.queues.values())),
        "queues": {name: measured(lambda day, name=name: day.queues.get(name, Tally())) for name in names},  # type: ignore[misc]
        "course": _course(days),
    }


def _course(days: Sequence[Day]) -> list[Plain]:
    """Half hours: mean wait of those answered in it, and occupancy."""
    last = max((at for day in days for at in day.slots), default=-1)
    course = []
    for at in range(last + 1):
        slots = [day.slots.get(at, Slot()) for day in days]
        answered = sum(slot.answered for slot in slots)
        course.append(
            {
                "from_h": at * SLOT_MS / 3_600_000,
                "wait_s": round(_share(sum(s.waits_ms for s in slots), answered) / 1000, 2),
                "occupancy": round(
                    _share(sum(s.busy_ms for s in slots), sum(s.staffed_ms for s in slots)), 4
                ),
            }
        )
    return course
