"""Two sides of a recording become one stereo file, in a helper process: caller left, agent right."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from callcenter.kernel import logging
from callcenter.live.facts import RecordingFailed, RecordingSaved
from callcenter.live.host import Host

log = logging.get("recordings")
_AT_ONCE = 2
_MERGE_TIMEOUT_S = 300.0


class RecordingMerger:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.failed = 0

    def stopped(self, interaction: str, caller_file: str, agent_file: str) -> None:
        """Both files are complete (or their writer died): merge them."""
        if caller_file in self._tasks:
            return
        task = asyncio.get_running_loop().create_task(
            self._merge(interaction, Path(caller_file), Path(agent_file))
        )
        self._tasks[caller_file] = task
        task.add_done_callback(lambda _task: self._tasks.pop(caller_file, None))

    def pick_up(self, workers_alive: bool) -> None:
        """After a start: recordings of interactions that ended while nobody could merge them."""
        for interaction in list(self._host.book.interactions.values()):
            if len(interaction.recording) == 2 and (interaction.state == "wrapping" or not workers_alive):
                self.stopped(interaction.id, interaction.recording[0], interaction.recording[1])

    async def _merge(self, interaction: str, caller_file: Path, agent_file: Path) -> None:
        target = caller_file.with_name(caller_file.name.replace("-caller.wav", ".wav"))
        async with self._room:
            try:
                duration_ms = await _merge_in_helper(caller_file, agent_file, target)
            except (OSError, RuntimeError, TimeoutError) as error:
                self.failed += 1
                log.error("recording_failed", interaction=interaction, reason=str(error))
                self._host.submit(RecordingFailed(interaction, type(error).__name__))
                return
        self._host.submit(
            RecordingSaved(interaction, str(target), duration_ms),
            after_commit=lambda: _remove(caller_file, agent_file),
        )


async def _merge_in_helper(caller_file: Path, agent_file: Path, target: Path) -> int:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "channels.voice.merge", str(caller_file), str(agent_file), str(target)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), _MERGE_TIMEOUT_S)
    except (TimeoutError, asyncio.CancelledError):
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise RuntimeError(err.decode(errors="replace").strip()[-200:] or f"exit {process.returncode}")
    return int(out)


def _remove(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)
