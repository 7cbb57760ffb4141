"""Files that people bring by a page: looked at, scanned and kept before anybody can send them on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor

from callcenter.kernel.errors import NotAllowed
from callcenter.messaging.files import Files, Kept
from channels.files import refusal, safe_name, type_of
from channels.malware import scan


class Uploads:
    def __init__(
        self,
        files: Files,
        executor: Executor,
        most_bytes: int,
        clamd: str,
        on_record: Callable[[], Awaitable[None]],
    ) -> None:
        """`clamd`: the malware scanner, "" where there is none; `on_record` returns when what is kept is safe."""
        self._files, self._executor, self.most_bytes, self._clamd = files, executor, most_bytes, clamd
        self._on_record = on_record
        self.counts: Counter[str] = Counter()

    async def take(self, person: str, name: str, data: bytes) -> Kept:
        """Answers once it is safe. Raises NotAllowed: empty, too_large, type_refused, archive_bomb, malware, unscanned,
        database."""
        name = safe_name(name)
        trouble = "empty" if not data else refusal(data, name, self.most_bytes)
        if not trouble and self._clamd:
            loop = asyncio.get_running_loop()
            trouble = await loop.run_in_executor(self._executor, scan, data, self._clamd)
        self.counts[trouble or "taken"] += 1
        if trouble:
            raise NotAllowed(trouble)
        kept = Kept(self._files.keep(person, data), name, type_of(data, name), len(data))
        await self._on_record()
        return kept
