"""Opening hours, purely: is the hotline open at a moment, and when does that change next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def is_open(now_ms: int, timezone: str, week: Mapping[str, str], holidays: Sequence[str]) -> bool:
    """`week` maps mon..sun to `HH:MM-HH:MM` (24:00 allowed); without any entry it is always open.
    `holidays` are ISO dates of the zone on which it is closed."""
    if not week:
        return True
    local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(ZoneInfo(timezone))
    if local.date().isoformat() in holidays:
        return False
    span = week.get(_DAYS[local.weekday()])
    if span is None:
        return False
    minute = local.hour * 60 + local.minute
    opens, closes = (_minutes(part) for part in span.split("-"))
    return opens <= minute < closes


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)
