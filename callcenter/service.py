"""Service figures of queues, from the history of contacts: one formula for wallboard and report.

offered: contacts that entered the queue (refused ones did not). answered: connected to a seat. abandoned: left before
that; short abandons, within `SHORT_ABANDON_MS`, apart. Service level: answered within the target ÷ (offered − short
abandons). ASA: mean wait of answered contacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, text

from callcenter.projection import REFUSED
from crm_core.db import reads

SHORT_ABANDON_MS = 5_000
_HALF_HOUR_MS = 1_800_000
_WHERE = f"FROM contacts WHERE queued_at_ms >= :since AND queued_at_ms < :until AND result <> '{REFUSED}'"
_SUMS = (
    "COUNT(*) AS offered, COUNT(answered_at_ms) AS answered, "
    "SUM(CASE WHEN answered_at_ms IS NULL AND result = 'abandoned' THEN 1 ELSE 0 END) AS abandoned, "
    "SUM(CASE WHEN answered_at_ms IS NULL AND result = 'abandoned' AND ended_at_ms - queued_at_ms < :short "
    "THEN 1 ELSE 0 END) AS short_abandoned, "
    "SUM(CASE WHEN answered_at_ms - queued_at_ms <= :target THEN 1 ELSE 0 END) AS in_target, "
    "COALESCE(SUM(answered_at_ms - queued_at_ms), 0) AS waited_ms"
)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one queue in one interval."""

    queue: str
    target_s: int
    offered: int = 0
    answered: int = 0
    abandoned: int = 0
    short_abandoned: int = 0
    in_target: int = 0
    waited_ms: int = 0

    @property
    def service_level(self) -> float | None:
        """0 to 1; None while no contact counts."""
        counted = self.offered - self.short_abandoned
        return self.in_target / counted if counted > 0 else None

    @property
    def asa_ms(self) -> int | None:
        return self.waited_ms // self.answered if self.answered else None

    def to_plain(self) -> dict[str, Any]:
        return {**asdict(self), "service_level": self.service_level, "asa_ms": self.asa_ms}


def figures(engine: Engine, since_ms: int, until_ms: int, targets_s: Mapping[str, int]) -> list[Figures]:
    """Of each queue of `targets_s`, contacts that arrived in [since, until)."""
    found = []
    with reads(engine).connect() as connection:
        for queue, target_s in targets_s.items():
            values = {
                "since": since_ms,
                "until": until_ms,
                "short": SHORT_ABANDON_MS,
                "target": target_s * 1000,
                "queue": queue,
            }
            row = connection.execute(text(f"SELECT {_SUMS} {_WHERE} AND queue = :queue"), values).one()
            sums = {name: int(value or 0) for name, value in row._mapping.items()}
            found.append(Figures(queue, target_s, **sums))
    return found


def half_hours(engine: Engine, since_ms: int, until_ms: int) -> list[dict[str, int]]:
    """Offered and answered in each half hour that had any contact, all queues together."""
    query = text(
        f"SELECT queued_at_ms / {_HALF_HOUR_MS} AS slot, COUNT(*) AS offered, COUNT(answered_at_ms) AS answered "
        f"{_WHERE} GROUP BY slot ORDER BY slot"
    )
    with reads(engine).connect() as connection:
        rows = connection.execute(query, {"since": since_ms, "until": until_ms})
        return [
            {
                "at_ms": int(row.slot) * _HALF_HOUR_MS,
                "offered": int(row.offered),
                "answered": int(row.answered),
            }
            for row in rows
        ]


def start_of_day_ms(now_ms: int, timezone: str) -> int:
    """Midnight before this moment, in this zone."""
    moment = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(timezone))
    return int(moment.replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)
