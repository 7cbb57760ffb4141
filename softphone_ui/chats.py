"""Written conversations as an agent's page shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from callcenter.kernel.e164 import national
from callcenter.kernel.errors import NotAllowed
from callcenter.messaging.conversations import EMAIL, MERGED, PARKED, RINGING, WRAPPING, WRITTEN, Conversation
from routing.state import LOGGED_OUT
from softphone_ui.letters import Letters

Plain = dict[str, Any]
_SAFE_S = 10.0
"""longer than this no page waits for a commit"""


class Chats:
    """`core` is the bootstrap's core; `card` answers the customer's card of a conversation, None where unknown."""

    def __init__(self, core: Any, card: Callable[[Any], Plain | None]) -> None:
        self._core, self._card = core, card
        self._desk, self._book = core.written, core.host.book.written
        self.letters = Letters(core)

    def of_agent(self, agent: str) -> list[Plain]:
        """What rings at this agent, is in their hands, or is wrapped up; oldest first."""
        return [self._plain(conversation) for conversation in self._book.of_agent(agent)]

    def open(self) -> list[Plain]:
        """Everything that goes on, as the overview shows calls."""
        return [
            {
                "id": one.id,
                "medium": one.medium,
                "state": one.state,
                "queue": self._title(one),
                "agent": one.agent,
                "party": self.party(one),
                "since_ms": one.answered_at_ms or one.queued_at_ms or one.arrived_at_ms,
                "held": False,
                "callback": 0,
                "watched": [],
            }
            for one in self._book.open.values()
            if one.state not in (WRAPPING, MERGED)
        ]

    def lines(self) -> list[Plain]:
        """Where a conversation can be handed on to."""
        titles = self._core.directory.queue_titles()
        queues = self._core.host.engine.policy.queues.values()
        return [
            {"name": one.name, "title": titles.get(one.name, one.name), "medium": one.medium}
            for one in queues
            if one.medium in WRITTEN
        ]

    def colleagues(self, login: str) -> list[Plain]:
        """Everybody else who is there, with their state."""
        name_of = self._core.directory.name_of
        return [
            {"login": view.id, "name": name_of(view.id), "state": view.state}
            for view in self._core.host.engine.agent_views()
            if view.state != LOGGED_OUT and view.id != login
        ]

    def thread(self, agent: str, interaction: str, after: int) -> list[Plain]:
        """Messages behind this place. Raises NotAllowed: not_yours."""
        conversation = self._book.open.get(interaction)
        if conversation is None or conversation.agent != agent:
            raise NotAllowed("not_yours")
        found: list[Plain] = self._desk.thread(interaction, after)
        for row in found:
            message = conversation.messages[row["n"] - 1]
            row |= {"id": message.id, "kind": message.kind, "login": message.by, "state": message.state}
            if message.head_ref:
                row["head"] = self.letters.surroundings(message)
        return found

    async def send(
        self,
        agent: str,
        interaction: str,
        client: str,
        text: str,
        cc: Sequence[str] = (),
        files: Sequence[Plain] = (),
    ) -> int:
        """Answers the message's place once it is safe. Raises NotAllowed as `WrittenDesk.send` and `MailDesk.reply`,
        no_such_file, and not_safe where the journal does not take it; the same `client` may be sent again."""
        conversation = self._book.open.get(interaction)
        if conversation is None:
            raise NotAllowed("not_yours")
        chosen = self.letters.chosen(conversation, list(files))
        safe: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def committed(n: int) -> None:
            if not safe.done():
                safe.set_result(n)

        if conversation.medium == EMAIL and self._core.mail is not None:
            self._core.mail.desk.reply(agent, interaction, client, text, cc, chosen, committed)
        else:
            self._desk.send(agent, interaction, client, text, committed, files=chosen)
        try:
            return await asyncio.wait_for(safe, _SAFE_S)
        except TimeoutError as error:
            raise NotAllowed("not_safe") from error

    def party(self, conversation: Conversation) -> str:
        """The customer's name where it is known, else the contact point, else ""."""
        card = self._card(conversation) or {}
        point = self._core.private.get(conversation.party_ref)
        return str(card.get("name") or (point if conversation.medium == EMAIL else national(point)))

    def _title(self, conversation: Conversation) -> str:
        title: str = self._core.directory.queue_titles().get(conversation.queue, conversation.queue)
        return title

    def _plain(self, one: Conversation) -> Plain:
        engine = self._core.host.engine
        offer = engine.offer_view(one.offer) if one.state == RINGING else None
        policy = engine.policy.queues.get(one.queue)
        return {
            "id": one.id,
            "medium": one.medium,
            "state": one.state,
            "party": self.party(one),
            "queue": self._title(one),
            "queued_at_ms": one.queued_at_ms,
            "waits_since_ms": one.waits_since_ms() if one.state != WRAPPING else 0,
            "target_ms": policy.target_ms if policy is not None else 0,
            "count": self._desk.committed(one.id),
            "unread": one.unread,
            "read": one.read.get("", 0),
            "offer": one.offer if one.state == RINGING else "",
            "expires_at_ms": offer.expires_at_ms if offer is not None else 0,
            "there": self._desk.there(one.id),
            "typing": self._desk.types(one.id, ""),
            "language": one.language,
            "verified": one.verified,
            "linked": one.linked,
            "goes_on": bool(one.customer) or one.thread not in ("", one.id),
            "customer": self._card(one),
            "paused": one.paused,
            "until_ms": one.until_ms if one.state == PARKED else 0,
            "stars": one.stars,
            "notes": [
                {
                    "by": self._core.directory.name_of(note.by),
                    "text": self._core.private.get(note.ref),
                    "at_ms": note.at_ms,
                }
                for note in one.notes
            ],
            "merged": [
                {"id": other.id, "subject": self._core.private.get(other.subject_ref)}
                for other in self._book.open.values()
                if other.into == one.id
            ],
            "mail": self.letters.head(one) if one.medium == EMAIL and self._core.mail is not None else None,
            # states of letters change after they are written: a page that knows more than the count sees this
            "letters": "".join(message.state[:1] for message in one.messages if message.state),
        }
