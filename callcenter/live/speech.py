"""Words to files: a recording dropped in by the insurer, the shipped one, one made before, or
synthesis. What cannot be had is said in the log, counted and skipped; the caller goes on."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from callcenter.kernel import logging
from ivr_flows.interpreter import Words

VOICES = {"zh": "cmn", "en": "en-gb"}
SAMPLE_HZ = 8000
_SYNTHESIS_TIMEOUT_S = 10.0
log = logging.get("speech")


class Speech:
    """`folders` are searched in order for `<language>/<name>.wav`, then for `<name>.wav`."""

    def __init__(self, folders: Sequence[Path], cache: Path) -> None:
        self._folders, self._cache = tuple(folders), cache
        self._can_speak = bool(shutil.which("espeak-ng") and shutil.which("sox"))
        self.missing = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._making: dict[Path, asyncio.Task[Path | None]] = {}
        """what is being synthesised: all who want it wait for the one"""

    def prepare(self, words: Sequence[Words], ready: Callable[[list[str]], None]) -> None:
        """Call `ready` with the files of `words` in order: at once where all exist, else when the
        missing ones were synthesised."""
        units = [unit for one in words for unit in _units(one)]
        paths = [self._find(unit) for unit in units]
        if all(path is not None for path in paths):
            ready([str(path) for path in paths])
            return
        task = asyncio.get_running_loop().create_task(self._complete(units, ready))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def file(self, language: str, name: str) -> str:
        """A shipped sound by name (music); "" where there is none."""
        path = self._find(Words(language, name, ""))
        return str(path) if path else ""

    async def _complete(self, units: list[Words], ready: Callable[[list[str]], None]) -> None:
        files: list[str] = []
        for unit in units:
            path = self._find(unit) or await self._once(unit)
            if path is None:
                self.missing += 1
                log.warning("prompt_missing", name=unit.prompt or "(spoken text)")
                continue
            files.append(str(path))
        ready(files)

    def _find(self, unit: Words) -> Path | None:
        for folder in self._folders if unit.prompt else ():
            for candidate in (folder / unit.language / f"{unit.prompt}.wav", folder / f"{unit.prompt}.wav"):
                if candidate.is_file():
                    return candidate
        made = self._made(unit)
        return made if made.is_file() else None

    def _made(self, unit: Words) -> Path:
        digest = hashlib.sha256(f"{unit.language}\0{unit.text}".encode()).hexdigest()[:24]
        return self._cache / f"{digest}.wav"

    async def _once(self, unit: Words) -> Path | None:
        target = self._made(unit)
        task = self._making.get(target)
        if task is None:
            task = self._making[target] = asyncio.get_running_loop().create_task(self._synthesise(unit))
            task.add_done_callback(lambda _done: self._making.pop(target, None))
        return await asyncio.shield(task)

    async def _synthesise(self, unit: Words) -> Path | None:
        if not self._can_speak or not unit.text.strip():
            return None
        target = self._made(unit)
        target.parent.mkdir(parents=True, exist_ok=True)
        raw, part = target.with_suffix(".raw.wav"), target.with_suffix(".part.wav")
        try:
            voice = VOICES.get(unit.language, "en-gb")
            await _run("espeak-ng", "-v", voice, "-s", "160", "-w", str(raw), "--", unit.text)
            await _run("sox", str(raw), "-r", str(SAMPLE_HZ), "-c", "1", "-b", "16", str(part))
            part.replace(target)
        except (OSError, TimeoutError, RuntimeError) as error:
            log.warning("synthesis_failed", reason=type(error).__name__)
            return None
        finally:
            raw.unlink(missing_ok=True)
        return target


def _units(words: Words) -> list[Words]:
    """A number is said digit by digit, each digit a recording of its own."""
    if words.digits:
        return [Words(words.language, f"digit_{digit.lower()}", digit) for digit in words.digits]
    return [words] if words.prompt or words.text.strip() else []


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        code = await asyncio.wait_for(process.wait(), _SYNTHESIS_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    if code:
        raise RuntimeError(f"{command[0]} ended with {code}")
