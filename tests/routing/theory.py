"""Queueing formulas, from the books: what waiting must come to when arrivals are Poisson and service is exponential.

Nothing of ours is used. Rates and times are in one unit of time, whichever; `offered` is the load in erlangs, the arrival
rate times the mean service time. Sources:

- Erlang 1917; the recursion in Cooper, Introduction to Queueing Theory, 2nd ed. 1981, chapter 3.
- Cobham, Priority assignment in waiting line problems, Operations Research 2, 1954; with several servers Kella and
  Yechiali, Waits in the M/M/c queue with non-preemptive priorities, Stochastic Models 1, 1985.
- Palm 1946; Garnett, Mandelbaum and Reiman, Designing a call center with impatient customers, Manufacturing & Service
  Operations Management 4, 2002, appendix.
- Barrer 1957; Baccelli and Hebuterne, On queues with impatient customers, Performance '81.
"""

from __future__ import annotations

import math
from typing import NamedTuple

_HUGE = 1e200


class Impatient(NamedTuple):
    """Of all contacts, those that leave included."""

    waits: float
    """share of those who find every server busy"""
    abandons: float
    """share of those who leave before they are served"""
    mean_wait: float


def erlang_b(servers: int, offered: float) -> float:
    """Share of contacts lost in M/M/c/c: (a^c / c!) / sum over k = 0..c of a^k / k!.

    By the recursion B(0) = 1, B(k) = a B(k-1) / (k + a B(k-1)), all terms of which are positive and at most 1."""
    blocked = 1.0
    for busy in range(1, servers + 1):
        blocked = offered * blocked / (busy + offered * blocked)
    return blocked


def erlang_c(servers: int, offered: float) -> float:
    """P(wait) in M/M/c: C = B / (1 - rho (1 - B)), rho = a / c; 1 where the load is c or more."""
    if offered >= servers:
        return 1.0
    blocked = erlang_b(servers, offered)
    return blocked / (1 - offered / servers * (1 - blocked))


def erlang_c_mean_wait(servers: int, arrival_rate: float, service_rate: float) -> float:
    """Mean wait of all contacts in M/M/c: C / (c mu - lambda). It does not depend on the order of service, as long as that
    does not look at service times and no server idles while somebody waits."""
    spare = servers * service_rate - arrival_rate
    return erlang_c(servers, arrival_rate / service_rate) / spare if spare > 0 else math.inf


def erlang_c_service_level(servers: int, lam: float, mu: float, target: float) -> float:
    """Share of contacts that wait for `target` at most in M/M/c, first come first served:
    1 - C exp(-(c mu - lambda) target)."""
    spare = servers * mu - lam
    return 1 - erlang_c(servers, lam / mu) * math.exp(-spare * target) if spare > 0 else 0.0


def priority_waits(servers: int, rates: tuple[float, float], mu: float) -> tuple[float, float]:
    """Mean waits of two classes in M/M/c, the first always before the second, service not interrupted:
    W0 / (1 - s1) and W0 / ((1 - s1) (1 - s1 - s2)) with s = lambda / (c mu) and W0 = C / (c mu), the mean time until a server
    is free."""
    first, both = (sum(rates[:classes]) / (servers * mu) for classes in (1, 2))
    free_after = erlang_c(servers, sum(rates) / mu) / (servers * mu)
    return (
        free_after / (1 - first) if first < 1 else math.inf,
        free_after / ((1 - first) * (1 - both)) if both < 1 else math.inf,
    )


def erlang_a(servers: int, lam: float, mu: float, theta: float) -> Impatient:
    """M/M/n+M: whoever waits leaves at rate theta.

    A birth-death process; with j waiting, its probability relative to that of all busy and none waiting is the product of
    lambda / (n mu + i theta) over i = 1..j. Fewer than n are busy with 1/B - 1 on the same scale (Erlang B), so no factorial
    occurs; the sum is scaled down whenever it becomes large."""
    blocked = erlang_b(servers, lam / mu)
    scale = 1.0
    """by which the true sums have been multiplied so far"""
    waiting = term = 1.0
    in_line, place = 0.0, 0
    while True:
        place += 1
        ratio = lam / (servers * mu + place * theta)
        term *= ratio
        waiting += term
        in_line += place * term
        if waiting > _HUGE:
            scale, term, waiting, in_line = scale / _HUGE, term / _HUGE, waiting / _HUGE, in_line / _HUGE
        # terms fall at least as fast as a geometric series from here on
        if ratio < 1 and place * term <= 1e-14 * (1 - ratio) ** 2 * max(in_line, 1e-300):
            break
    total = waiting * blocked + (1 - blocked) * scale
    mean_wait = blocked * in_line / total / lam
    return Impatient(blocked * waiting / total, theta * mean_wait, mean_wait)


def in_time_or_gone(servers: int, lam: float, mu: float, target: float) -> float:
    """M/M/n+D: share of contacts served when whoever has waited for `target` leaves, first come first served.

    With s = n mu - lambda and p the probability of n - 1 busy, the wait x that a newcomer would have has the density
    lambda p exp(-s x) up to the target, and beyond it lambda p exp(lambda target - n mu x); fewer busy have p times the
    product of k mu / lambda over k = busy + 1..n - 1. All is divided by exp(-s target) where that is large."""
    spare = servers * mu - lam
    fewer, term = 0.0, 1.0
    for busy in range(servers - 1, -1, -1):
        fewer += term
        term *= busy * mu / lam
    falls = math.exp(-abs(spare) * target)
    soon = lam * (target if spare == 0 else (1 - falls) / abs(spare))
    if spare < 0:
        fewer *= falls
        falls = 1.0
    late = lam * falls / (servers * mu)
    return 1 - late / (fewer + soon + late)
