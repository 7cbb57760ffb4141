"""Opening hours: is the hotline open at a moment; and the keeper who tells the engine when that changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

from callcenter.kernel.schedule import Scheduler
from callcenter.live.host import Host
from config.settings import OpeningHours
from routing import facts as rf

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


_LOOK_EVERY_MS = 5_000


class HoursKeeper:
    """Opening hours enter the engine as facts: newcomers to a closed queue overflow."""

    def __init__(self, host: Host, scheduler: Scheduler, hours: OpeningHours) -> None:
        self._host, self._scheduler, self._hours = host, scheduler, hours

    def open_now(self) -> bool:
        hours = self._hours
        return is_open(self._host.clock.now_ms(), hours.timezone, hours.week, hours.holidays, hours.workdays)

    def watch(self) -> None:
        """Look now and from now on."""
        self.look()
        self._scheduler.after(_LOOK_EVERY_MS, self.watch)

    def look(self) -> None:
        """Tell the engine of what changed. What was closed by hand stays so."""
        engine, open_now, shut = self._host.engine, self.open_now(), self._host.book.shut
        kind = rf.QueueOpened if open_now else rf.QueueClosed
        changed = [
            kind(queue)
            for queue in engine.policy.queues
            if engine.is_open(queue) != open_now and queue not in shut
        ]
        if changed:
            self._host.submit(*changed)


def is_open(
    now_ms: int,
    timezone: str,
    week: Mapping[str, str],
    holidays: Sequence[str],
    workdays: Mapping[str, str] = MappingProxyType({}),
) -> bool:
    """`week` maps mon..sun to `HH:MM-HH:MM` (24:00 allowed); without any entry it is always open.
    `holidays` are ISO dates of the zone on which it is closed; `workdays` maps dates to the day of the week whose hours
    they have (make-up workdays, 调休), and wins over holidays."""
    if not week:
        return True
    local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(ZoneInfo(timezone))
    today = local.date().isoformat()
    if today in holidays and today not in workdays:
        return False
    span = week.get(workdays.get(today, _DAYS[local.weekday()]))
    if span is None:
        return False
    minute = local.hour * 60 + local.minute
    opens, closes = (_minutes(part) for part in span.split("-"))
    return opens <= minute < closes


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)
