"""Mail that has come and is not read yet, and letters that have to go out: a fold over facts and nothing else."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any

from callcenter.live import facts as f

WAITING, DEAD = "waiting", "dead"
_MOST_KEPT_OUT = 500
"""mails without conversation that are shown; older ones lie in the store all the same"""


@dataclass(slots=True)
class Letter:
    """In the outbox."""

    message: str
    interaction: str
    ref: str
    head_ref: str
    files_ref: str
    written_at_ms: int
    state: str = WAITING
    attempt: int = 0
    next_at_ms: int = 0
    reason: str = ""


@dataclass(slots=True)
class KeptOut:
    """A mail that a machine sent."""

    mail: str
    kind: str
    head_ref: str
    at_ms: int


class Letters:
    def __init__(self) -> None:
        self.unread: dict[str, int] = {}
        """mail -> when it came; oldest first"""
        self.released: set[str] = set()
        """of those, which are to be served whatever sent them"""
        self.outbox: dict[str, Letter] = {}
        """message -> letter, until it is sent or dropped"""
        self.kept_out: OrderedDict[str, KeptOut] = OrderedDict()
        self._apply: dict[type, Callable[[Any], None]] = {
            f.MailTaken: self._taken,
            f.MailRead: self._read,
            f.MailReleased: self._released,
            f.LetterWritten: self._written,
            f.LetterTried: self._tried,
            f.LetterChanged: self._changed,
            f.LetterDropped: lambda fact: self._gone(fact.message),
            f.LetterBounced: lambda fact: self._gone(fact.message),
        }

    def apply(self, fact: object) -> None:
        handler = self._apply.get(type(fact))
        if handler is not None:
            handler(fact)

    @property
    def dead(self) -> list[Letter]:
        """Which nobody took; somebody has to look."""
        return [letter for letter in self.outbox.values() if letter.state == DEAD]

    def snapshot(self) -> dict[str, Any]:
        return {
            "unread": dict(self.unread),
            "released": sorted(self.released),
            "outbox": [list(astuple(letter)) for letter in self.outbox.values()],
            "kept_out": [list(astuple(one)) for one in self.kept_out.values()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.unread.update(state.get("unread", {}))
        self.released.update(state.get("released", ()))
        for row in state.get("outbox", []):
            self.outbox[row[0]] = Letter(*row)
        for row in state.get("kept_out", []):
            self.kept_out[row[0]] = KeptOut(*row)

    def clear(self) -> None:
        self.unread.clear()
        self.released.clear()
        self.outbox.clear()
        self.kept_out.clear()

    def _taken(self, fact: f.MailTaken) -> None:
        self.unread[fact.mail] = fact.occurred_at_ms

    def _read(self, fact: f.MailRead) -> None:
        self.unread.pop(fact.mail, None)
        self.released.discard(fact.mail)
        if not fact.interaction:
            self.kept_out[fact.mail] = KeptOut(fact.mail, fact.kind, fact.head_ref, fact.occurred_at_ms)
            while len(self.kept_out) > _MOST_KEPT_OUT:
                self.kept_out.popitem(last=False)

    def _released(self, fact: f.MailReleased) -> None:
        if self.kept_out.pop(fact.mail, None) is not None:
            self.unread[fact.mail] = fact.occurred_at_ms
            self.released.add(fact.mail)

    def _written(self, fact: f.LetterWritten) -> None:
        self.outbox[fact.message] = Letter(
            fact.message, fact.interaction, fact.ref, fact.head_ref, fact.files_ref, fact.occurred_at_ms
        )

    def _tried(self, fact: f.LetterTried) -> None:
        letter = self.outbox.get(fact.message)
        if letter is None:
            return
        letter.attempt, letter.reason, letter.next_at_ms = fact.attempt, fact.reason, fact.next_at_ms
        if fact.result == "sent":
            self._gone(fact.message)
        elif fact.result == DEAD:
            letter.state = DEAD

    def _changed(self, fact: f.LetterChanged) -> None:
        letter = self.outbox.get(fact.message)
        if letter is not None:
            letter.ref, letter.head_ref = fact.ref, fact.head_ref
            letter.state, letter.attempt, letter.next_at_ms, letter.reason = WAITING, 0, 0, ""

    def _gone(self, message: str) -> None:
        self.outbox.pop(message, None)
