"""Recorded sides become one sealed file, in a helper process: caller left, agent right, under the key of the person
who called."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callcenter.kernel import logging
from callcenter.live.book import recording_name
from callcenter.live.facts import RecordingFailed, RecordingSaved, RecordingStarted
from callcenter.live.host import AnyFact, Host
from routing import Command

log = logging.get("recordings")
SUFFIX = ".sealed"
_SEAL_TIMEOUT_S = 300.0
_LAST_MOMENT_S = 0.6
_GATHER_S, _MOST_JOBS = 0.25, 100
_FULL_RETRY_S = 30.0
_MAX_LINE = 1024 * 1024
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    interaction: str
    sides: tuple[Path, ...]
    """the caller's, then the agent's where there is one"""

    @property
    def name(self) -> str:
        return recording_name(str(self.sides[0]))

    @property
    def target(self) -> Path:
        return self.sides[0].with_name(self.name + SUFFIX)


class SealHelper:
    """One helper process for all: started with the first job, started anew when it died, gone with its input."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def work(self, jobs: Sequence[dict[str, Any]]) -> list[Answer]:
        """Of each job length, digest and size of its sealed file, or what went wrong (`error`). Raises OSError where
        the helper died, TimeoutError where it took too long."""
        asked = json.dumps(jobs)
        async with self._turn:
            try:
                return await asyncio.wait_for(self._ask(asked), _SEAL_TIMEOUT_S)
            except (OSError, TimeoutError, asyncio.CancelledError):
                await self.close()
                raise

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ask(self, jobs: str) -> list[Answer]:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "channels.voice.merge"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_MAX_LINE,
            )
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise OSError("helper without pipes")
        process.stdin.write(jobs.encode() + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            raise OSError("helper ended")
        answers: list[Answer] = json.loads(line)
        return answers


class RecordingSealer:
    def __init__(self, host: Host, full_retry_s: float = _FULL_RETRY_S) -> None:
        self._host, self._full_retry_s = host, full_retry_s
        self._helper = SealHelper()
        self._jobs: dict[str, Job] = {}
        """not sealed yet, by name, oldest first"""
        self._task: asyncio.Task[None] | None = None
        self.full: Callable[[], None] = lambda: None
        """called where a file found no room"""
        self.failed = 0
        self.running: set[str] = set()
        """names of those that a worker still writes"""
        host.listeners.append(self._heard)

    def _heard(self, facts: Sequence[AnyFact], _commands: Sequence[Command]) -> None:
        self.running.update(
            recording_name(fact.caller_file) for fact in facts if isinstance(fact, RecordingStarted)
        )

    @property
    def waiting(self) -> int:
        return len(self._jobs)

    def stopped(self, interaction: str, caller_file: str, agent_file: str) -> None:
        """The files are complete (or their writer died): seal them, together with others of this moment."""
        job = Job(interaction, tuple(Path(side) for side in (caller_file, agent_file) if side))
        self.running.discard(job.name)
        self._jobs.setdefault(job.name, job)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    def goes_on(self, caller_file: str) -> None:
        """After a start: a worker says that it still writes this one."""
        self.running.add(recording_name(caller_file))

    def pick_up(self) -> None:
        """After a start: recordings that ended while nobody could seal them."""
        for interaction in list(self._host.book.interactions.values()):
            for name, files in list(interaction.recordings.items()):
                if name not in self.running:
                    self.stopped(interaction.id, files[0], files[1] if len(files) > 1 else "")

    async def close(self) -> None:
        """Work under way gets a moment; what is not sealed then is picked up by the next core."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_LAST_MOMENT_S)
            self._task.cancel()
        await self._helper.close()

    async def _work(self) -> None:
        await asyncio.sleep(_GATHER_S)
        while self._jobs:
            jobs = list(self._jobs.values())[:_MOST_JOBS]
            done = await self._seal(jobs)
            for job in done:
                self._jobs.pop(job.name, None)
            if len(done) < len(jobs):
                self.full()
                await asyncio.sleep(self._full_retry_s)

    async def _seal(self, jobs: list[Job]) -> list[Job]:
        """Answers those that are settled; the others found no room and stay."""
        try:
            answers = await self._helper.work([self._asked(job) for job in jobs])
        except (OSError, TimeoutError) as error:
            if len(jobs) > 1:
                # one of them kills the helper; the others are not to suffer
                return [job for one in jobs for job in await self._seal([one])]
            answers = [{"error": type(error).__name__}]
        facts: list[AnyFact] = []
        done: list[Job] = []
        sealed: list[Path] = []
        for job, answer in zip(jobs, answers, strict=True):
            if answer.get("full"):
                continue
            done.append(job)
            if "error" in answer:
                self.failed += 1
                log.error("recording_failed", interaction=job.interaction, reason=answer["error"])
                at_ms = self._host.clock.now_ms()
                facts.append(
                    RecordingFailed(job.interaction, answer["error"].partition(":")[0], job.name, at_ms)
                )
            else:
                facts.append(
                    RecordingSaved(
                        job.interaction, str(job.target), int(answer["ms"]), answer["sha256"], answer["size"]
                    )
                )
                sealed += job.sides
        if facts:
            self._host.submit(*facts, after_commit=lambda: _remove(*sealed))
        return done

    def _asked(self, job: Job) -> dict[str, Any]:
        private = self._host.private
        live = self._host.book.interactions.get(job.interaction)
        party = private.get(live.party_ref) if live is not None else ""
        key, name = private.sealing_key(private.person_of(party or job.interaction))
        return {
            "sides": [str(side) for side in job.sides],
            "target": str(job.target),
            "key": key.hex(),
            "person": name.person,
            "mark": name.mark,
        }


def _remove(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)
