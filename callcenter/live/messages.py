"""Messages that callers left for a queue: open until an agent has seen to them.

A fold over facts; at the start it begins with what history holds. What a message says lies in the archive of
recordings, as any call's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from callcenter.kernel.errors import NotAllowed
from callcenter.live import facts as f
from callcenter.live.book import VOICEMAIL, recording_name
from callcenter.live.host import AnyFact, Host
from callcenter.projection import SAVED
from crm_core.db import reads
from routing import Command

SHORTEST_MS = 1_000
"""less than this is somebody who hung up at the tone"""


@dataclass(slots=True)
class VoiceMessage:
    name: str
    interaction: str
    queue: str
    party_ref: str
    left_at_ms: int
    duration_ms: int = 0
    taken_by: str = ""


def open_messages(engine: Engine) -> list[VoiceMessage]:
    """What history holds."""
    query = text(
        "SELECT r.id, r.interaction_id, r.queue, i.party_ref, r.started_at_ms, r.duration_ms, r.taken_by "
        "FROM recordings r JOIN interactions i ON i.id = r.interaction_id "
        "WHERE r.kind = :kind AND r.state = :saved AND r.done_at_ms IS NULL AND r.duration_ms >= :shortest "
        "ORDER BY r.started_at_ms"
    )
    values = {"kind": VOICEMAIL, "saved": SAVED, "shortest": SHORTEST_MS}
    with reads(engine).connect() as connection:
        return [VoiceMessage(*row) for row in connection.execute(query, values)]


class Messages:
    def __init__(self, host: Host, opened: Iterable[VoiceMessage] = ()) -> None:
        self._host = host
        self.open: dict[str, VoiceMessage] = {message.name: message for message in opened}
        """by name, oldest first"""
        self._coming: dict[str, VoiceMessage] = {}
        """being left, or not sealed yet"""
        for live in host.book.interactions.values():
            if live.message:
                for name in live.recordings:
                    self._coming[name] = VoiceMessage(
                        name, live.id, live.message, live.party_ref, live.arrived_at_ms
                    )
        self.changed: Callable[[VoiceMessage], None] = lambda _message: None
        host.listeners.append(self._heard)

    def take(self, agent: str, name: str) -> None:
        """See to it. Raises NotAllowed: message_done, message_taken by somebody else."""
        message = self._theirs(agent, name)
        if not message.taken_by:
            self._host.submit(f.MessageTaken(message.interaction, name, agent, self._now()))

    def give_back(self, agent: str, name: str) -> None:
        message = self._theirs(agent, name)
        if message.taken_by:
            self._host.submit(f.MessageTaken(message.interaction, name, "", self._now()))

    def done(self, agent: str, name: str) -> None:
        message = self._theirs(agent, name)
        self._host.submit(f.MessageDone(message.interaction, name, agent, self._now()))

    def _theirs(self, agent: str, name: str) -> VoiceMessage:
        message = self.open.get(name)
        if message is None:
            raise NotAllowed("message_done")
        if message.taken_by not in ("", agent):
            raise NotAllowed("message_taken")
        return message

    def _now(self) -> int:
        return self._host.clock.now_ms()

    def _heard(self, facts: Sequence[AnyFact], _commands: Sequence[Command]) -> None:
        for fact in facts:
            if isinstance(fact, f.RecordingStarted) and fact.kind == VOICEMAIL:
                self._started(fact)
            elif isinstance(fact, f.RecordingSaved):
                self._saved(fact)
            elif isinstance(fact, f.MessageTaken) and fact.name in self.open:
                self.open[fact.name].taken_by = fact.agent
                self.changed(self.open[fact.name])
            elif isinstance(fact, f.MessageDone | f.RecordingDeleted):
                message: Any = self.open.pop(fact.name, None)
                if message is not None:
                    self.changed(message)

    def _started(self, fact: f.RecordingStarted) -> None:
        name = recording_name(fact.caller_file)
        live = self._host.book.interactions.get(fact.interaction)
        party_ref = live.party_ref if live is not None else ""
        self._coming[name] = VoiceMessage(name, fact.interaction, fact.queue, party_ref, fact.occurred_at_ms)

    def _saved(self, fact: f.RecordingSaved) -> None:
        message = self._coming.pop(Path(fact.file).stem, None)
        if message is not None and fact.duration_ms >= SHORTEST_MS:
            message.duration_ms = fact.duration_ms
            self.open[message.name] = message
            self.changed(message)
