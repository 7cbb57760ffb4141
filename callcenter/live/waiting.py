"""What people hear while they wait, and what becomes of those who waited too long: place and estimated wait, the offer
of a callback, another queue, a message, another flow."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence

from callcenter.kernel import logging
from callcenter.kernel.schedule import Scheduler
from callcenter.live import facts as f
from callcenter.live.book import RINGING, WAITING, Interaction
from callcenter.live.callbacks import Callbacks
from callcenter.live.flow_runner import Speaker
from callcenter.live.host import AnyFact, Host
from channels.base import VoiceCommands
from ivr_flows.interpreter import Words
from routing import Command
from routing.commands import Announce, MoveContact, OverflowTo

log = logging.get("waiting")
YES = "1"
_GOODBYE_MS = 6_000
"""the confirmation is heard out before the call ends"""
_MOST = 99
"""places beyond this are not named"""

_SAID: dict[str, dict[str, str]] = {
    "zh": {
        "next": "您是下一位。",
        "place": "您前面还有{ahead}位客户。",
        "estimate": "预计等候约{minutes}分钟。",
        "soon": "预计等候不到一分钟。",
        "callback": "如果您希望我们给您回电，请按一。您的排队位置将为您保留。",
        "goodbye": "好的，轮到您时我们会给您回电。再见。",
    },
    "en": {
        "next": "You are next.",
        "place": "There are {ahead} callers before you.",
        "estimate": "The wait is about {minutes} minutes.",
        "soon": "The wait is less than a minute.",
        "callback": "If you would like us to call you back, press one. You keep your place.",
        "goodbye": "Thank you. We call you when it is your turn. Goodbye.",
    },
}


class WaitingRoom:
    def __init__(
        self,
        host: Host,
        scheduler: Scheduler,
        voice: VoiceCommands,
        speech: Speaker,
        callbacks: Callbacks,
        comfort: Callable[[str], None],
        leave: Callable[[Interaction, str, str], None],
    ) -> None:
        """`comfort`: music again, for this contact. `leave`: (interaction, where to, target) it has left its queue."""
        self._host, self._scheduler, self._voice, self._speech = host, scheduler, voice, speech
        self._callbacks, self._comfort, self._leave = callbacks, comfort, leave
        self._plays: dict[str, str] = {}
        """by interaction, what is being said"""
        self._numbers = itertools.count(1)
        self.counts: Counter[str] = Counter()
        host.listeners.append(self._heard)

    def _heard(self, facts: Sequence[AnyFact], commands: Sequence[Command]) -> None:
        for fact in facts:
            if isinstance(fact, f.InteractionEnded | f.InteractionAnswered):
                self._plays.pop(fact.interaction, None)
        for command in commands:
            if isinstance(command, Announce | MoveContact | OverflowTo):
                live = self._host.book.of_contact(command.contact)
                if live is not None:
                    self._do(live, command)

    def _do(self, live: Interaction, command: Announce | MoveContact | OverflowTo) -> None:
        if isinstance(command, Announce):
            self.counts["announced"] += 1
            self._say(live, *_place(live.language, command.position, command.estimate_ms))
        elif isinstance(command, MoveContact):
            self.counts["moved"] += 1
            at_ms = self._host.clock.now_ms()
            self._host.submit(f.QueueChanged(live.id, command.contact, command.to, at_ms))
            if not live.callback:
                self._comfort(command.contact)
        elif command.to == "callback":
            if self._callbacks.possible(live):
                self.counts["callback_offered"] += 1
                self._say(live, "callback")
        else:
            self.counts[f"overflow_{command.to}"] += 1
            self._plays.pop(live.id, None)
            self._leave(live, command.to, command.target)

    def key(self, live: Interaction, digit: str) -> bool:
        """A key of somebody who waits; True where it meant something."""
        if live.state != WAITING or live.callback or digit != YES or not self._offered(live):
            return False
        leg, worker, language = live.leg, live.worker, live.language
        if not self._callbacks.ask(live):
            return False
        self.counts["callback_asked"] += 1
        # should this core die now, the next one finds a leg that is nobody's and ends it
        self._voice.command(worker, "tag", leg, tag={"role": "over"})
        self._play(worker, leg, (_words(language, "goodbye"),), lambda: True)
        self._scheduler.after(_GOODBYE_MS, lambda: self._voice.command(worker, "hangup", leg, why="callback"))
        return True

    def _offered(self, live: Interaction) -> bool:
        """Has this contact come to a rule that offers a callback?"""
        contact = self._host.engine.contact_view(live.contact)
        queue = self._host.engine.policy.queues.get(live.queue)
        if contact is None or queue is None:
            return False
        return any(rule.to == "callback" for rule in queue.overflow[: contact.overflowed])

    def played(self, live: Interaction, play: str) -> bool:
        """Something was heard out; True where it was ours: music again."""
        if self._plays.get(live.id) != play:
            return False
        del self._plays[live.id]
        if live.state in (WAITING, RINGING) and live.contact:
            self._comfort(live.contact)
        return True

    def _say(self, live: Interaction, *phrases: str, **values: object) -> None:
        if live.callback or live.state != WAITING:
            return
        words = tuple(_words(live.language, phrase) for phrase in phrases)
        contact = live.contact

        def still() -> bool:
            return live.state == WAITING and live.contact == contact

        self._plays[live.id] = self._play(live.worker, live.leg, words, still)

    def _play(self, worker: str, leg: str, words: tuple[Words, ...], still: Callable[[], bool]) -> str:
        play = f"w{self._host.epoch}-{next(self._numbers)}"

        def ready(files: list[str]) -> None:
            if files and still():
                self._voice.command(worker, "play", leg, play=play, files=files, interruptible=False)

        self._speech.prepare(words, ready)
        return play


def _place(language: str, position: int, estimate_ms: int) -> tuple[str, ...]:
    said = _SAID.get(language, _SAID["zh"])
    phrases = []
    if position == 1:
        phrases.append(said["next"])
    elif position <= _MOST:
        phrases.append(said["place"].format(ahead=position - 1))
    if 0 <= estimate_ms < 60_000:
        phrases.append(said["soon"])
    elif estimate_ms >= 0:
        phrases.append(said["estimate"].format(minutes=-(-estimate_ms // 60_000)))
    return tuple(phrases)


def _words(language: str, phrase: str) -> Words:
    said = _SAID.get(language, _SAID["zh"])
    return Words(language, "", said.get(phrase, phrase))
