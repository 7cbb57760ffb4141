"""What an agent hears before the customer: a tone where the device answers by itself, and the whisper ("VIP,
complaints") where the queue has one. Whatever cannot be had in time is left out; nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Protocol

from sqlalchemy import Engine

from callcenter.kernel import logging
from callcenter.kernel.envelope import MasterKey
from callcenter.live.book import Interaction
from crm_core.customers import CustomerService
from crm_core.db import reads, session
from ivr_flows.interpreter import Words

log = logging.get("introduction")
_PATIENCE_S = 1.0
_SPOKEN = {"vip": "贵宾客户", "gold": "金卡客户"}
"""agents speak the language of the house"""


class Speaker(Protocol):
    def prepare(self, words: tuple[Words, ...], ready: Callable[[list[str]], None]) -> None: ...


class Titles(Protocol):
    @property
    def whispering(self) -> set[str]: ...

    def queue_titles(self) -> dict[str, str]: ...


class Introductions:
    def __init__(
        self,
        titles: Titles,
        speech: Speaker,
        engine: Engine,
        master: MasterKey,
        executor: Executor,
        tone: str,
    ) -> None:
        self._titles, self._speech = titles, speech
        self._engine, self._master, self._executor, self._tone = reads(engine), master, executor, tone
        self._tasks: set[asyncio.Task[None]] = set()

    def introduce(self, interaction: Interaction, auto: bool, ready: Callable[[list[str]], None]) -> None:
        """Call `ready` once, on the loop: at once where there is no whisper."""
        tone = [self._tone] if auto else []
        if interaction.queue not in self._titles.whispering:
            ready(tone)
            return
        task = asyncio.get_running_loop().create_task(self._whisper(interaction, tone, ready))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _whisper(
        self, interaction: Interaction, tone: list[str], ready: Callable[[list[str]], None]
    ) -> None:
        said: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

        def prepared(files: list[str]) -> None:
            if not said.done():
                said.set_result(files)

        try:
            async with asyncio.timeout(_PATIENCE_S):
                self._speech.prepare(await self._words(interaction), prepared)
                files = await said
        except Exception as error:
            log.warning("whisper_left_out", interaction=interaction.id, reason=type(error).__name__)
            files = []
        ready(tone + files)

    async def _words(self, interaction: Interaction) -> tuple[Words, ...]:
        title = self._titles.queue_titles().get(interaction.queue, interaction.queue)
        words = (Words("zh", "", title),)
        if not interaction.customer:
            return words
        loop = asyncio.get_running_loop()
        klass = await loop.run_in_executor(self._executor, self._klass, interaction.customer)
        return (Words("zh", "", _SPOKEN[klass]), *words) if klass in _SPOKEN else words

    def _klass(self, customer: int) -> str:
        with session(self._engine) as records:
            found = CustomerService(records, self._master).get(customer)
        return found.klass if found is not None else ""
