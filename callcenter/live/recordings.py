"""Two sides of a recording become one stereo file, in a helper process: caller left, agent right."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callcenter.kernel import logging
from callcenter.live.book import WRAPPING
from callcenter.live.facts import RecordingFailed, RecordingSaved
from callcenter.live.host import AnyFact, Host

log = logging.get("recordings")
_MERGE_TIMEOUT_S = 300.0
_LAST_MOMENT_S = 0.6
_GATHER_S, _MOST_JOBS = 0.25, 100
_MAX_LINE = 1024 * 1024
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    interaction: str
    caller_file: Path
    agent_file: Path

    @property
    def paths(self) -> tuple[Path, Path, Path]:
        """Both sides, and the stereo file to make of them."""
        name = self.caller_file.name.replace("-caller.wav", ".wav")
        return self.caller_file, self.agent_file, self.caller_file.with_name(name)


class MergeHelper:
    """One helper process for all merges: started with the first, started anew when it died, gone with
    its input."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def merge(self, jobs: Sequence[Job]) -> list[Answer]:
        """Of each job the milliseconds of its stereo file (`ms`) or what went wrong (`error`). Raises
        OSError where the helper died, TimeoutError where it took too long."""
        asked = json.dumps([[str(path) for path in job.paths] for job in jobs])
        async with self._turn:
            try:
                return await asyncio.wait_for(self._ask(asked), _MERGE_TIMEOUT_S)
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


class RecordingMerger:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._helper = MergeHelper()
        self._jobs: dict[Path, Job] = {}
        """not merged yet, by the caller's file, oldest first"""
        self._task: asyncio.Task[None] | None = None
        self.failed = 0

    def stopped(self, interaction: str, caller_file: str, agent_file: str) -> None:
        """Both files are complete (or their writer died): merge them, together with others of this moment."""
        job = Job(interaction, Path(caller_file), Path(agent_file))
        self._jobs.setdefault(job.caller_file, job)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    def pick_up(self, workers_alive: bool) -> None:
        """After a start: recordings of interactions that ended while nobody could merge them."""
        for interaction in list(self._host.book.interactions.values()):
            if len(interaction.recording) == 2 and (interaction.state == WRAPPING or not workers_alive):
                self.stopped(interaction.id, interaction.recording[0], interaction.recording[1])

    async def close(self) -> None:
        """Merges under way get a moment; what is not merged then is picked up by the next core."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_LAST_MOMENT_S)
            self._task.cancel()
        await self._helper.close()

    async def _work(self) -> None:
        await asyncio.sleep(_GATHER_S)
        while self._jobs:
            jobs = list(self._jobs.values())[:_MOST_JOBS]
            await self._merge(jobs)
            for job in jobs:
                self._jobs.pop(job.caller_file, None)

    async def _merge(self, jobs: list[Job]) -> None:
        try:
            answers = await self._helper.merge(jobs)
        except (OSError, TimeoutError) as error:
            if len(jobs) > 1:
                for job in jobs:  # one of them kills the helper; the others are not to suffer
                    await self._merge([job])
                return
            answers = [{"error": type(error).__name__}]
        facts: list[AnyFact] = []
        merged: list[Path] = []
        for job, answer in zip(jobs, answers, strict=True):
            caller_file, agent_file, target = job.paths
            if "error" in answer:
                self.failed += 1
                log.error("recording_failed", interaction=job.interaction, reason=answer["error"])
                facts.append(RecordingFailed(job.interaction, answer["error"].partition(":")[0]))
            else:
                facts.append(RecordingSaved(job.interaction, str(target), int(answer["ms"])))
                merged += [caller_file, agent_file]
        self._host.submit(*facts, after_commit=lambda: _remove(*merged))


def _remove(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)
