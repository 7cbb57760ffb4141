"""Room for recordings, and their time: watches the disk, deletes what is beyond its retention.

Calls go on whatever happens here. Where room is short, what is beyond its time goes first and at once, the alarm is
raised, new calls are not recorded (their records say so), and near the end running recordings stop: what was recorded
by then can still be sealed. A legal hold keeps everything of its interaction."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from callcenter.kernel import logging
from callcenter.kernel.schedule import Handle, Scheduler
from callcenter.live import facts as f
from callcenter.live.alarms import Alarms
from callcenter.live.book import TALKING
from callcenter.live.host import AnyFact, Host
from callcenter.projection import DELETED, FAILED, SAVED
from channels.base import VoiceCommands
from crm_core.db import reads
from routing import Command

log = logging.get("recordings")
DISK_FULL = "disk_full"
ALARM = "recordings_disk"
_LOOK_EVERY_MS = 5_000
_RETENTION_EVERY_MS = 3_600_000
_DAY_MS = 86_400_000
_ANNOUNCED_MS = 30 * _DAY_MS
_AT_ONCE = 200
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Rule:
    """What is not "" has to fit."""

    keep_days: int
    queue: str = ""
    wrap_up: str = ""
    direction: str = ""
    number: str = ""

    def fits(self, row: Any) -> bool:
        pairs = (
            (self.queue, row.queue),
            (self.wrap_up, row.wrap_up_code),
            (self.direction, row.direction),
            (self.number, row.number),
        )
        return all(wanted in ("", found) for wanted, found in pairs)


class Retention:
    """Which recordings are beyond their time. The last rule is the default and fits everything."""

    def __init__(self, engine: Engine, rules: Sequence[Rule], keep_days: int) -> None:
        self._engine, self._rules = reads(engine), (*rules, Rule(keep_days))

    def over(self, now_ms: int, limit: int = _AT_ONCE) -> list[tuple[str, str, str]]:
        """(interaction, name, file), oldest first; none that is held. Of one that failed there is no file but perhaps
        its sides."""
        shortest_ms = min(rule.keep_days for rule in self._rules) * _DAY_MS
        query = text(
            "SELECT r.id, r.interaction_id, r.file, r.started_at_ms, COALESCE(NULLIF(r.queue, ''), i.queue) AS queue, "
            "i.wrap_up_code, i.direction, i.number "
            "FROM recordings r JOIN interactions i ON i.id = r.interaction_id "
            "WHERE r.state IN (:saved, :failed) AND r.held = 0 AND r.started_at_ms < :before "
            "ORDER BY r.started_at_ms, r.id"
        )
        found: list[tuple[str, str, str]] = []
        with self._engine.connect() as connection:
            values = {"saved": SAVED, "failed": FAILED, "before": now_ms - shortest_ms}
            for row in connection.execute(query, values):
                rule = next(rule for rule in self._rules if rule.fits(row))
                if row.started_at_ms < now_ms - rule.keep_days * _DAY_MS:
                    found.append((row.interaction_id, row.id, row.file))
                    if len(found) == limit:
                        break
        return found

    def deleted(self, since_ms: int) -> list[tuple[str, str]]:
        """(name, file) of what was deleted since then: a core may have stopped between the word and the deed."""
        query = text("SELECT id, file FROM recordings WHERE state = :deleted AND deleted_at_ms >= :since")
        with self._engine.connect() as connection:
            rows = connection.execute(query, {"deleted": DELETED, "since": since_ms})
            return [(row.id, row.file) for row in rows]


class RecordingKeeper:
    def __init__(
        self,
        host: Host,
        scheduler: Scheduler,
        voice: VoiceCommands,
        retention: Retention,
        alarms: Alarms,
        executor: Executor,
        folder: Path,
        min_free_mb: int,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._host, self._scheduler, self._voice = host, scheduler, voice
        self._retention, self._alarms, self._executor = retention, alarms, executor
        self._folder, self._min_free, self._free_bytes = folder, min_free_mb * _MB, free_bytes
        self._task: asyncio.Task[None] | None = None
        self._timers: dict[str, Handle] = {}
        self._held: dict[str, bool] = {}
        """holds that were put or lifted since the start, by interaction: history may not know of them yet"""
        self.in_history: Callable[[], Awaitable[None]] = _at_once
        host.listeners.append(self._heard)
        self.room = True
        """new calls are recorded"""
        self.deleted = 0

    def start(self) -> None:
        self._look()
        self._clean_up()

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def found_no_room(self) -> None:
        """A file could not be written: the disk was full between two looks."""
        self._short(0)

    def _look(self) -> None:
        self._timers["look"] = self._scheduler.after(_LOOK_EVERY_MS, self._look)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            free = self._free_bytes(self._folder)
        except OSError as error:
            self._alarms.raise_("recordings_folder", type(error).__name__)
            return
        self._alarms.lower("recordings_folder")
        if free < self._min_free:
            self._short(free)
        elif not self.room and free >= self._min_free + self._min_free // 10:
            self.room = True
            self._alarms.lower(ALARM)

    def _short(self, free: int) -> None:
        self.room = False
        self._alarms.raise_(ALARM, f"{free // _MB} MB")
        self._delete_over("disk")
        if free < self._min_free // 4:
            for live in list(self._host.book.interactions.values()):
                if live.recordings and live.state == TALKING:
                    self._voice.command(live.worker, "stop_record", live.leg)

    def _clean_up(self) -> None:
        self._timers["clean_up"] = self._scheduler.after(_RETENTION_EVERY_MS, self._clean_up)
        self._delete_over("retention")

    def _heard(self, facts: Sequence[AnyFact], _commands: Sequence[Command]) -> None:
        for fact in facts:
            if isinstance(fact, f.RecordingsHeld | f.RecordingsFreed):
                self._held[fact.interaction] = isinstance(fact, f.RecordingsHeld)

    def _delete_over(self, why: str) -> None:
        """One at a time: who is at it already does all of it."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._delete(why))

    async def _delete(self, why: str) -> None:
        """Everything beyond its time, in pieces. The fact comes first: a record without a file says what became of
        it, and what the last core announced and did not do is done now."""
        loop, now_ms = asyncio.get_running_loop(), self._host.clock.now_ms()
        try:
            announced = await loop.run_in_executor(
                self._executor, self._retention.deleted, now_ms - _ANNOUNCED_MS
            )
            await loop.run_in_executor(self._executor, self._unlink, announced)
            while True:
                over = await loop.run_in_executor(self._executor, self._retention.over, now_ms)
                going = [one for one in over if not self._held.get(one[0])]
                if going:
                    await self._delete_these(going, why, now_ms)
                if len(over) < _AT_ONCE or not going:
                    return
                await self.in_history()
        except Exception as error:
            log.error("retention_unreadable", reason=type(error).__name__)

    async def _delete_these(self, going: list[tuple[str, str, str]], why: str, now_ms: int) -> None:
        loop = asyncio.get_running_loop()
        facts: list[AnyFact] = [f.RecordingDeleted(i, name, why, now_ms) for i, name, _file in going]
        committed: asyncio.Future[None] = loop.create_future()

        def settle() -> None:
            if not committed.done():
                committed.set_result(None)

        self._host.submit(*facts, after_commit=settle)
        await committed
        named = [(name, file) for _i, name, file in going]
        gone = await loop.run_in_executor(self._executor, self._unlink, named)
        self.deleted += gone
        log.info("recordings_deleted", facts=gone, reason=why)

    def _unlink(self, named: Sequence[tuple[str, str]]) -> int:
        """How many are gone; the others are tried again at the next cleaning up."""
        gone = 0
        for name, file in named:
            sides = [self._folder / f"{name}-{side}.wav" for side in ("caller", "agent")]
            try:
                for path in (*([Path(file)] if file else []), *sides):
                    path.unlink(missing_ok=True)
                gone += 1
            except OSError as error:
                log.error("recording_not_deleted", reason=type(error).__name__)
        return gone


async def _at_once() -> None:
    return None
