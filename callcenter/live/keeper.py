"""Room for recordings, and their time: watches the disk, deletes what is beyond its retention.

Calls go on whatever happens here. Where room is short, what is beyond its time goes first and at once, the alarm is
raised, new calls are not recorded (their records say so), and near the end running recordings stop: what was recorded
by then can still be sealed. A legal hold keeps everything of its interaction."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
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
from callcenter.projection import SAVED
from channels.base import VoiceCommands
from crm_core.db import reads

log = logging.get("recordings")
DISK_FULL = "disk_full"
ALARM = "recordings_disk"
_LOOK_EVERY_MS = 5_000
_RETENTION_EVERY_MS = 3_600_000
_DAY_MS = 86_400_000
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
        """(interaction, name, file), oldest first; none that is held."""
        shortest_ms = min(rule.keep_days for rule in self._rules) * _DAY_MS
        query = text(
            "SELECT r.id, r.interaction_id, r.file, r.started_at_ms, i.queue, i.wrap_up_code, i.direction, i.number "
            "FROM recordings r JOIN interactions i ON i.id = r.interaction_id "
            "WHERE r.state = :saved AND r.held = 0 AND r.started_at_ms < :before ORDER BY r.started_at_ms, r.id"
        )
        found: list[tuple[str, str, str]] = []
        with self._engine.connect() as connection:
            for row in connection.execute(query, {"saved": SAVED, "before": now_ms - shortest_ms}):
                rule = next(rule for rule in self._rules if rule.fits(row))
                if row.started_at_ms < now_ms - rule.keep_days * _DAY_MS:
                    found.append((row.interaction_id, row.id, row.file))
                    if len(found) == limit:
                        break
        return found


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
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: list[Handle] = []
        self.room = True
        """new calls are recorded"""
        self.deleted = 0

    def start(self) -> None:
        self._look()
        self._clean_up()

    def close(self) -> None:
        for timer in self._timers:
            timer.cancel()
        for task in self._tasks:
            task.cancel()

    def found_no_room(self) -> None:
        """A file could not be written: the disk was full between two looks."""
        self._short(0)

    def _look(self) -> None:
        self._again(_LOOK_EVERY_MS, self._look)
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
        self._do(lambda: self._delete("disk"))
        if free < self._min_free // 4:
            for live in list(self._host.book.interactions.values()):
                if live.recordings and live.state == TALKING:
                    self._voice.command(live.worker, "stop_record", live.leg)

    def _clean_up(self) -> None:
        self._again(_RETENTION_EVERY_MS, self._clean_up)
        self._do(lambda: self._delete("retention"))

    def _again(self, delay_ms: int, action: Callable[[], None]) -> None:
        self._timers = [*self._timers[-3:], self._scheduler.after(delay_ms, action)]

    def _do(self, work: Callable[[], Any]) -> None:
        task = asyncio.get_running_loop().create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _delete(self, why: str) -> None:
        """Everything beyond its time, in pieces. The fact comes first: a file without a record would stay for ever,
        a record without a file says what became of it."""
        loop, now_ms = asyncio.get_running_loop(), self._host.clock.now_ms()
        try:
            over = await loop.run_in_executor(self._executor, self._retention.over, now_ms)
        except Exception as error:
            log.error("retention_unreadable", reason=type(error).__name__)
            return
        if not over:
            return
        facts: list[AnyFact] = [f.RecordingDeleted(i, name, why, now_ms) for i, name, _file in over]
        files = [Path(file) for _i, _name, file in over]
        committed: asyncio.Future[None] = loop.create_future()

        def settle() -> None:
            if not committed.done():
                committed.set_result(None)

        self._host.submit(*facts, after_commit=settle)
        await committed
        await loop.run_in_executor(self._executor, _unlink, files)
        self.deleted += len(files)
        log.info("recordings_deleted", facts=len(files), reason=why)


def _unlink(files: Sequence[Path]) -> None:
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            log.error("recording_not_deleted", reason=type(error).__name__)
