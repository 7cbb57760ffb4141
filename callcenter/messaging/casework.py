"""What agents do with a conversation beside answering it: notes, putting it aside until a time, handing it to a
colleague, joining two and parting them again, deciding whose it is. Each is a fact; each refusal has a reason."""

from __future__ import annotations

from callcenter.kernel.errors import NotAllowed
from callcenter.kernel.ids import IdFactory
from callcenter.live import facts as f
from callcenter.live.host import AnyFact, Host
from callcenter.messaging.conversations import EMAIL, MERGED, PARKED, RINGING, TALKING, WAITING, Conversation
from callcenter.messaging.desk import WrittenDesk
from routing import facts as rf

LONGEST_NOTE = 2_000
_LATEST_MS = 90 * 86_400_000
"""nothing is put aside for longer"""
_NOTE_KIND = "n"


class Casework:
    def __init__(self, host: Host, ids: IdFactory, desk: WrittenDesk) -> None:
        self._host, self._ids, self._desk = host, ids, desk
        self._book = host.book.written

    def note(self, agent: str, interaction: str, text: str) -> None:
        """For colleagues. Raises NotAllowed: not_yours, empty, too_long."""
        self._host.submit(self._noted(agent, self._theirs(agent, interaction), text))

    def park(self, agent: str, interaction: str, until_ms: int, note: str = "") -> None:
        """Put aside; it comes back at that time, or when the customer writes, to this agent first.

        Raises NotAllowed: not_yours, bad_time, too_long."""
        conversation, now_ms = self._theirs(agent, interaction), self._now()
        if conversation.state != TALKING:
            raise NotAllowed("not_yours")
        if not now_ms < until_ms <= now_ms + _LATEST_MS:
            raise NotAllowed("bad_time")
        facts: list[AnyFact] = [self._noted(agent, conversation, note)] if note.strip() else []
        self._host.submit(
            *facts,
            rf.ContactEnded(conversation.contact, now_ms),
            f.ConversationParked(interaction, agent, until_ms, now_ms),
        )

    def unpark(self, agent: str, interaction: str) -> None:
        """The agent sees to it now. Raises NotAllowed: not_yours."""
        conversation = self._theirs(agent, interaction)
        if conversation.state != PARKED:
            raise NotAllowed("not_yours")
        self._host.submit(*self._desk.waits_again(conversation, conversation.queue, self._now(), agent))

    def hand_on(self, agent: str, interaction: str, to: str, queue: str, note: str) -> None:
        """To a colleague (it is offered to them first, and waits in its queue where they do not take it) or to another
        queue, with a word for whoever takes it.

        Raises NotAllowed: not_yours, no_such_agent, no_such_queue, too_long."""
        conversation = self._theirs(agent, interaction)
        if conversation.state not in (TALKING, PARKED):
            raise NotAllowed("not_yours")
        known = self._host.engine.policy.queues.get(queue)
        if queue and (known is None or known.medium != conversation.medium):
            raise NotAllowed("no_such_queue")
        if to and (to == agent or to not in self._host.engine.policy.agents):
            raise NotAllowed("no_such_agent")
        if not to and not queue:
            raise NotAllowed("no_such_queue")
        noted: list[AnyFact] = [self._noted(agent, conversation, note)] if note.strip() else []
        now_ms = self._now()
        ended = [rf.ContactEnded(conversation.contact, now_ms)] if conversation.state == TALKING else []
        view = self._host.engine.contact_view(conversation.contact)
        since_ms = view.arrived_at_ms if view is not None else conversation.queued_at_ms
        waits = self._desk.waits_again(conversation, queue or conversation.queue, since_ms, to)
        self._host.submit(*noted, *ended, *waits)

    def merge(self, agent: str, interaction: str, into: str) -> None:
        """All that was written in the one stands in the other from now on.

        Raises NotAllowed: not_yours, cannot_merge (not both mails, of two customers, or one of them rings)."""
        source, target = self._book.open.get(interaction), self._theirs(agent, into)
        if source is None or source is target or target.state != TALKING:
            raise NotAllowed("cannot_merge")
        theirs = source.agent == agent and source.state in (TALKING, PARKED)
        if not (theirs or source.state == WAITING):
            raise NotAllowed("cannot_merge")
        if {source.medium, target.medium} != {EMAIL} or not self._same_customer(source, target):
            raise NotAllowed("cannot_merge")
        now_ms = self._now()
        facts: list[AnyFact] = []
        if source.state == TALKING:
            facts.append(rf.ContactEnded(source.contact, now_ms))
        elif source.state == WAITING:
            facts.append(rf.ContactAbandoned(source.contact, now_ms))
        moved = tuple(message.id for message in source.messages)
        self._host.submit(
            *facts,
            f.MessagesMoved(interaction, into, moved, agent, now_ms),
            f.ConversationMerged(interaction, into, agent, now_ms),
        )
        self._desk.all_shown(interaction, into)

    def unmerge(self, agent: str, interaction: str) -> None:
        """What was joined to the agent's conversation is parted from it, and comes to them again.

        Raises NotAllowed: not_yours, not_merged."""
        source = self._book.open.get(interaction)
        if source is None or source.state != MERGED:
            raise NotAllowed("not_merged")
        target = self._theirs(agent, source.into)
        now_ms = self._now()
        back = tuple(message.id for message in target.messages if message.id in source.moved)
        self._host.submit(
            f.ConversationMerged(interaction, "", agent, now_ms),
            f.MessagesMoved(target.id, interaction, back, agent, now_ms),
            *self._desk.back_in_queue(source, agent),
        )
        self._desk.all_shown(interaction, target.id)

    def split(self, agent: str, interaction: str, n: int) -> str:
        """A message of the customer, and what came after it, becomes a conversation of its own, which comes to this
        agent. Merging it again undoes that. Answers its id.

        Raises NotAllowed: not_yours, cannot_split."""
        conversation = self._theirs(agent, interaction)
        if conversation.medium != EMAIL or not 1 < n <= len(conversation.messages):
            raise NotAllowed("cannot_split")
        if conversation.messages[n - 1].by:
            raise NotAllowed("cannot_split")
        moved = tuple(message.id for message in conversation.messages[n - 1 :])
        private, now_ms, new = self._host.private, self._now(), self._ids.next("i")
        person = self._desk.person(conversation)
        party_ref = private.put(person, f"{new}.party", private.get(conversation.party_ref) or interaction)
        subject_ref = private.put(person, f"{new}.subject", private.get(conversation.subject_ref))
        contact, queue = self._ids.next("c"), conversation.queue
        facts: list[AnyFact] = [
            f.InteractionStarted(new, EMAIL, "in", conversation.number, "", "", party_ref, now_ms),
            f.ThreadOpened(new, new, subject_ref, conversation.language, now_ms),
            f.MessagesMoved(interaction, new, moved, agent, now_ms),
        ]
        if conversation.customer:
            facts.append(f.CustomerMatched(new, conversation.customer, conversation.klass, agent))
        self._host.submit(
            *facts,
            f.InteractionQueued(new, contact, queue, now_ms),
            rf.ContactArrived(contact, queue, now_ms, agent=agent, customer_class=conversation.klass),
        )
        self._desk.all_shown(interaction, new)
        return new

    def link(self, agent: str, interaction: str, customer: int) -> None:
        """The agent decides whose it is; 0 takes it back. Raises NotAllowed: not_yours."""
        conversation = self._theirs(agent, interaction)
        how = "agent" if customer else "undone"
        self._host.submit(f.CustomerLinked(conversation.id, customer, how, agent, self._now()))

    # --- inside ------------------------------------------------------------------------------------

    def _theirs(self, agent: str, interaction: str) -> Conversation:
        conversation = self._book.open.get(interaction)
        if conversation is None or conversation.agent != agent or conversation.state in (RINGING, MERGED):
            raise NotAllowed("not_yours")
        return conversation

    def _same_customer(self, one: Conversation, other: Conversation) -> bool:
        """The same contact point, or the same customer: anything else would show one what another wrote."""
        if self._desk.person(one) == self._desk.person(other):
            return True
        return bool(one.customer) and one.customer == other.customer

    def _noted(self, agent: str, conversation: Conversation, text: str) -> f.NoteWritten:
        text = text.strip().replace("\x00", "")
        if not text:
            raise NotAllowed("empty")
        if len(text) > LONGEST_NOTE:
            raise NotAllowed("too_long")
        note = self._ids.next(_NOTE_KIND)
        ref = self._host.private.put(self._desk.person(conversation), note, text)
        return f.NoteWritten(conversation.id, note, agent, ref, self._now())

    def _now(self) -> int:
        return self._host.clock.now_ms()
