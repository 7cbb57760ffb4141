"""Estimated wait, from the measured pace at which a queue's line moves; docs/routing.md has the formula.

Whole milliseconds throughout, since conditions of overflow rest on it and a journal has to replay identically."""

from __future__ import annotations

from dataclasses import dataclass

from routing.state import Contact, QueueStats

_WEIGHT = 16
MEASURED = 20
"""departures before anything is estimated, and waits compared before anybody is told"""
CONFIDENT = 300


@dataclass(frozen=True, slots=True)
class Estimate:
    """`wait_ms` -1: cannot be told. `error_ms`: mean absolute error of what was told at arrival. `confidence` in
    permille."""

    wait_ms: int
    error_ms: int
    confidence: int
    compared: int

    @property
    def confident(self) -> bool:
        return self.wait_ms >= 0 and self.compared >= MEASURED and self.confidence >= CONFIDENT


def estimate(stats: QueueStats | None, place: int, now_ms: int) -> Estimate:
    """For the one at `place` of the line, 1 being the next; place 0 waits no more."""
    if stats is None or stats.departures < MEASURED:
        return Estimate(-1, 0, 0, 0)
    overdue_ms = now_ms - stats.last_ms if stats.last_ms >= 0 else 0
    wait_ms = place * max(stats.gap_ms, overdue_ms)
    confidence = max(0, 1000 - 1000 * stats.error_ms // stats.wait_ms) if stats.wait_ms else 0
    return Estimate(wait_ms, stats.error_ms, confidence, stats.told)


def line_began(stats: QueueStats, now_ms: int) -> None:
    """Somebody waits where nobody did."""
    stats.last_ms = now_ms


def departed(stats: QueueStats, left_behind: int, now_ms: int) -> None:
    """Somebody waits no longer: an agent was found, or they left."""
    if stats.last_ms >= 0:
        gap_ms = now_ms - stats.last_ms
        stats.gap_ms = gap_ms if not stats.departures else _follow(stats.gap_ms, gap_ms)
        stats.departures += 1
    stats.last_ms = now_ms if left_behind else -1


def served(stats: QueueStats, contact: Contact, now_ms: int) -> None:
    """What was promised at arrival is compared with what came."""
    if contact.promised_ms < 0:
        return
    waited_ms = now_ms - contact.arrived_at_ms
    error_ms = abs(waited_ms - contact.promised_ms)
    first = not stats.told
    stats.error_ms = error_ms if first else _follow(stats.error_ms, error_ms)
    stats.wait_ms = waited_ms if first else _follow(stats.wait_ms, waited_ms)
    stats.told += 1


def _follow(mean: int, sample: int) -> int:
    return mean + (sample - mean) // _WEIGHT
