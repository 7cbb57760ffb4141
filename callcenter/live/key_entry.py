"""What a caller keys in for the machine alone, in the middle of a conversation: the last six places of their identity
number, compared with the record. The agent learns only whether it fits: meanwhile nobody hears the caller, whose phone
may send keys as sound, and the recording pauses by itself. The digits are in no log and no journal."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from concurrent.futures import Executor

from callcenter.kernel import logging
from callcenter.kernel.errors import NotAllowed
from callcenter.kernel.schedule import Handle, Scheduler
from callcenter.live import facts as f
from callcenter.live.book import TALKING, WRAPPING, Interaction
from callcenter.live.control import MUTE, TALK
from callcenter.live.host import Host
from channels.base import VoiceCommands

log = logging.get("key_entry")
ID_NUMBER = "id_number"
MATCHED, DIFFERS, CANCELLED, TIMED_OUT, UNKNOWN = "matched", "differs", "cancelled", "timed_out", "unknown"
PLACES = 6
"""`*` stands for the X that an identity number may end with"""
_WAIT_MS = 45_000
Compare = Callable[[int, str], bool | None]
"""(customer, digits) -> do they fit; None where the record has nothing to compare with. Blocks."""


class KeyEntry:
    def __init__(
        self, host: Host, scheduler: Scheduler, voice: VoiceCommands, compare: Compare, executor: Executor
    ) -> None:
        self._host, self._scheduler, self._voice = host, scheduler, voice
        self._compare, self._executor = compare, executor
        self.set_modes: Callable[[Interaction, dict[str, str]], None] = lambda _live, _modes: None
        """who is heard in a conversation (`CallControl.set_modes`)"""
        self._keyed: dict[str, str] = {}
        self._timers: dict[str, Handle] = {}
        self._number = itertools.count(1)
        self._entry: dict[str, int] = {}
        """by interaction, the number of its present entry: an answer to an earlier one does not count"""
        self._tasks: set[asyncio.Task[None]] = set()
        self.changed: Callable[[Interaction], None] = lambda _live: None

    def count(self, interaction: str) -> int:
        """How many keys came so far."""
        return len(self._keyed.get(interaction, ""))

    def start(self, agent: str, interaction: str) -> None:
        """Raises NotAllowed: call_over, no_customer, already_keying, customer_held."""
        live = self._mine(agent, interaction)
        if live.modes.get(live.leg, TALK) != TALK:
            raise NotAllowed("customer_held")
        if live.key_entry:
            raise NotAllowed("already_keying")
        if not live.customer:
            raise NotAllowed("no_customer")
        pauses = bool(live.recordings) and not live.recording_paused
        if pauses:
            self._voice.command(live.worker, "pause_record", live.leg, on=True)
        self._keyed[live.id], self._entry[live.id] = "", next(self._number)
        self.set_modes(live, {live.leg: MUTE})
        at_ms = self._host.clock.now_ms()
        self._host.submit(f.KeyEntryStarted(live.id, ID_NUMBER, agent, at_ms, pauses))
        self._timers[live.id] = self._scheduler.after(_WAIT_MS, lambda: self._end(live, TIMED_OUT))

    def cancel(self, agent: str, interaction: str) -> None:
        """Raises NotAllowed: call_over, not_keying."""
        live = self._mine(agent, interaction)
        if not live.key_entry:
            raise NotAllowed("not_keying")
        self._end(live, CANCELLED)

    def key(self, live: Interaction, digit: str) -> None:
        keyed = self._keyed.get(live.id)
        if keyed is None or len(keyed) >= PLACES:
            return
        if digit == "#":
            self._end(live, DIFFERS)
            return
        keyed += "X" if digit == "*" else digit
        self._keyed[live.id] = keyed
        self.changed(live)
        if len(keyed) == PLACES:
            task = asyncio.get_running_loop().create_task(self._check(live, keyed, self._entry[live.id]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def adopt(self, live: Interaction) -> None:
        """A new core does not know what was keyed: it is asked again."""
        if live.key_entry:
            self._end(live, CANCELLED)

    def left(self, interaction: str) -> None:
        """The call is over, or goes on with somebody else: nothing stays behind."""
        self.over(interaction)
        live = self._host.book.interactions.get(interaction)
        if live is not None and live.key_entry and live.state != WRAPPING:
            self._host.submit(f.KeyEntryEnded(live.id, CANCELLED, self._host.clock.now_ms()))

    def over(self, interaction: str) -> None:
        self._keyed.pop(interaction, None)
        self._entry.pop(interaction, None)
        timer = self._timers.pop(interaction, None)
        if timer is not None:
            timer.cancel()

    async def _check(self, live: Interaction, keyed: str, entry: int) -> None:
        try:
            fits = await asyncio.get_running_loop().run_in_executor(
                self._executor, self._compare, live.customer, keyed
            )
        except Exception as error:
            log.error("comparison_failed", interaction=live.id, reason=type(error).__name__)
            fits = None
        if live.key_entry and self._entry.get(live.id) == entry:
            self._end(live, UNKNOWN if fits is None else MATCHED if fits else DIFFERS)

    def _end(self, live: Interaction, result: str) -> None:
        if live.key_paused and live.state == TALKING:
            self._voice.command(live.worker, "pause_record", live.leg, on=False)
        if live.state == TALKING and live.modes.get(live.leg) in (None, MUTE):
            self.set_modes(live, {live.leg: TALK})
        self.over(live.id)
        at_ms = self._host.clock.now_ms()
        verified = [f.CallerVerified(live.id, ID_NUMBER, at_ms)] if result == MATCHED else []
        self._host.submit(f.KeyEntryEnded(live.id, result, at_ms), *verified)

    def _mine(self, agent: str, interaction: str) -> Interaction:
        live = self._host.book.interactions.get(interaction)
        if live is None or live.agent != agent or live.state != TALKING:
            raise NotAllowed("call_over")
        return live
