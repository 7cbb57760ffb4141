"""Two sides of a recording become one stereo file, in a helper process: caller left, agent right."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path

from callcenter.kernel import logging
from callcenter.live.book import WRAPPING
from callcenter.live.facts import RecordingFailed, RecordingSaved
from callcenter.live.host import Host

log = logging.get("recordings")
_MERGE_TIMEOUT_S = 300.0
_LAST_MOMENT_S = 0.6


class MergeHelper:
    """One helper process for all merges: started with the first, started anew when it died, gone with
    its input."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def merge(self, caller_file: Path, agent_file: Path, target: Path) -> int:
        """Milliseconds of the stereo file. Raises RuntimeError with the reason, or TimeoutError."""
        job = json.dumps([str(caller_file), str(agent_file), str(target)])
        async with self._turn:
            try:
                answer = await asyncio.wait_for(self._ask(job), _MERGE_TIMEOUT_S)
            except (OSError, TimeoutError, asyncio.CancelledError):
                await self.close()
                raise
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return int(answer["ms"])

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ask(self, job: str) -> dict[str, str]:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "channels.voice.merge"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise OSError("helper without pipes")
        process.stdin.write(job.encode() + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            raise OSError("helper ended")
        answer: dict[str, str] = json.loads(line)
        return answer


class RecordingMerger:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._helper = MergeHelper()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.failed = 0

    def stopped(self, interaction: str, caller_file: str, agent_file: str) -> None:
        """Both files are complete (or their writer died): merge them."""
        if caller_file in self._tasks:
            return
        work = self._merge(interaction, Path(caller_file), Path(agent_file))
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[caller_file] = task
        task.add_done_callback(lambda _task: self._tasks.pop(caller_file, None))

    def pick_up(self, workers_alive: bool) -> None:
        """After a start: recordings of interactions that ended while nobody could merge them."""
        for interaction in list(self._host.book.interactions.values()):
            if len(interaction.recording) == 2 and (interaction.state == WRAPPING or not workers_alive):
                self.stopped(interaction.id, interaction.recording[0], interaction.recording[1])

    async def close(self) -> None:
        """Merges under way get a moment; what is not merged then is picked up by the next core."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=_LAST_MOMENT_S)
        for task in list(self._tasks.values()):
            task.cancel()
        await self._helper.close()

    async def _merge(self, interaction: str, caller_file: Path, agent_file: Path) -> None:
        target = caller_file.with_name(caller_file.name.replace("-caller.wav", ".wav"))
        try:
            duration_ms = await self._helper.merge(caller_file, agent_file, target)
        except (OSError, RuntimeError, TimeoutError) as error:
            self.failed += 1
            log.error("recording_failed", interaction=interaction, reason=str(error))
            self._host.submit(RecordingFailed(interaction, type(error).__name__))
            return
        self._host.submit(
            RecordingSaved(interaction, str(target), duration_ms),
            after_commit=lambda: _remove(caller_file, agent_file),
        )


def _remove(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)
