"""Written conversations served: taken in, put through flow and queue, handed to agents, answered, ended.

What is taken in is committed before it is acknowledged; the same message of the same writer is one message, however
often it is sent. Whoever watches a conversation (a visitor's socket, an agent's page) is told that it changed and reads
on from the place it has come to, so nothing is kept for a reader who does not read.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from callcenter.kernel import logging
from callcenter.kernel.errors import NotAllowed
from callcenter.kernel.ids import IdFactory
from callcenter.kernel.schedule import Scheduler
from callcenter.live import facts as f
from callcenter.live.host import AnyFact, Host
from callcenter.messaging.conversations import (
    CHAT,
    EMAIL,
    FLOW,
    IN_FLOW,
    PARKED,
    RINGING,
    TALKING,
    WAITING,
    WRAPPING,
    Conversation,
)
from callcenter.messaging.files import Files, Kept
from callcenter.messaging.text_flows import Lookups, TextFlows
from ivr_flows.schema import Flow
from routing import Command, OfferContact, Overflow, WithdrawOffer
from routing import facts as rf

log = logging.get("written")
LONGEST, LONGEST_LETTER = 4_000, 20_000
"""characters of a message; of one that goes out by mail"""
_COME_BACK_MS = 3_600_000
"""so long what was put aside waits for the agent who did that"""
MOST_CLIENT = 64
_SWEEP_MS, _SWEEP_PARTS, _TYPING_MS = 5_000, 20, 4_000
Changed = Callable[[str], None]
"""called with the id of a conversation that changed"""


def line(queue: str, medium: str) -> str:
    """The name of a queue's line for a written medium, as the engine knows it."""
    return f"{queue}@{medium}"


class Recogniser(Protocol):
    def recognise(self, interaction: str, caller: str) -> None: ...


@dataclass(frozen=True, slots=True)
class WrittenRules:
    idle_s: int
    """in a flow, without a word from the customer"""
    gone_s: int
    """in a queue, without anybody there to read"""


class WrittenDesk:
    def __init__(
        self,
        host: Host,
        scheduler: Scheduler,
        ids: IdFactory,
        lookups: Lookups,
        recogniser: Recogniser,
        flows: Mapping[str, Flow],
        default_queue: Callable[[], str],
        name_of: Callable[[str], str],
        rules: WrittenRules,
    ) -> None:
        self._host, self._scheduler, self._ids = host, scheduler, ids
        self._recogniser, self._default_queue, self._rules = recogniser, default_queue, rules
        self._name_of = name_of
        self._flows = TextFlows(host, scheduler, lookups, flows, self)
        self._book = host.book.written
        self._watchers: dict[str, list[Changed]] = {}
        self._gone_ms: dict[str, int] = {}
        """conversations whose customer is not there to read, and since when"""
        self._safe: dict[str, int] = {}
        """conversation -> how many of its messages are committed; nobody is shown more"""
        self._places: dict[str, int] = {}
        """place in the queue that a customer was last told"""
        self._round: list[str] = []
        """conversations that the sweep has still to see"""
        self._part = 1
        self._typing: dict[tuple[str, str], int] = {}
        """(conversation, who) -> when they were last seen to write"""
        self.files = Files(host.private)
        self.changed: list[Changed] = []
        """whoever wants to know of every conversation"""
        self.counts: Counter[str] = Counter()
        host.listeners.append(self._heard)

    def begin_day(self) -> None:
        """Once who talks is settled: go on with what an earlier core left, and look after it from now on."""
        for conversation in list(self._book.open.values()):
            if conversation.medium == CHAT:
                self._gone_ms[conversation.id] = self._host.clock.now_ms()
            self._safe[conversation.id] = len(conversation.messages)
            self._tell(conversation.id)
            if conversation.state == IN_FLOW:
                self._flows.resume(conversation)
        for offer in self._host.engine.offer_views():
            found = self._book.of_contact(offer.contact)
            if found is not None and self._book.of_offer(offer.id) is None:
                self._present(found, offer.id, offer.agent)
        self._sweep()

    # --- the customer's side -----------------------------------------------------------------------

    def begin(
        self, medium: str, number: str, flow: str, language: str, party: str = "", verified: str = ""
    ) -> str:
        """A conversation begins. `party`: the contact point that the customer is known by, where there is one.
        Answers its id."""
        interaction, at_ms = self._ids.next("i"), self._host.clock.now_ms()
        private, party_ref = self._host.private, ""
        if party:
            party_ref = private.put(private.person_of(party), f"{interaction}.party", party)
        facts: list[AnyFact] = [
            f.InteractionStarted(interaction, medium, "in", number, "", "", party_ref, at_ms)
        ]
        if verified:
            facts.append(f.CallerVerified(interaction, verified, at_ms))
        self._host.submit(*facts)
        if party:
            self._recogniser.recognise(interaction, party)
        self._flows.start(self._book.open[interaction], flow, language, {"number": number, "medium": medium})
        return interaction

    def receive(
        self,
        interaction: str,
        client: str,
        text: str,
        committed: Callable[[int], None] = lambda _n: None,
        files: Sequence[Kept] = (),
    ) -> None:
        """The customer wrote. `committed`: called with the message's place once it is safe, also where it was before.

        Raises NotAllowed: conversation_over, empty, too_long."""
        conversation = self._book.open.get(interaction)
        if conversation is None or conversation.state == WRAPPING:
            raise NotAllowed("conversation_over")
        text, client = _checked(text) if text or not files else "", client[:MOST_CLIENT]
        known = conversation.clients.get(f"/{client}") if client else None
        if known is not None:
            self._after_commit(lambda: committed(known))
            return
        message, at_ms = self._ids.next("m"), self._host.clock.now_ms()
        ref = self._keep(conversation, message, text)
        self._typing.pop((interaction, ""), None)

        def kept() -> None:
            committed(self.shown(conversation, message))

        files_ref = self.files.list_under(self.person(conversation), f"{message}.files", files)
        facts: list[AnyFact] = [
            f.MessageReceived(interaction, message, client, ref, at_ms, files_ref=files_ref)
        ]
        if conversation.state == PARKED:
            facts += self.back_in_queue(conversation, conversation.agent)
        self._host.submit(*facts, after_commit=kept)
        self.counts["received"] += 1
        if conversation.state == IN_FLOW:
            self._flows.said(conversation, text)

    def customer_read(self, interaction: str, n: int) -> None:
        self._read(interaction, "", n)

    def leave(self, interaction: str) -> None:
        """The customer ends it."""
        conversation = self._book.open.get(interaction)
        if conversation is not None and conversation.state != WRAPPING:
            self._end(conversation, "normal", "caller")

    def watch(self, interaction: str, changed: Changed) -> Callable[[], None]:
        """The customer is there and reads; answers what to call when that is over."""
        self._watchers.setdefault(interaction, []).append(changed)
        self._gone_ms.pop(interaction, None)
        self._tell(interaction)

        def unwatch() -> None:
            watchers = self._watchers.get(interaction, [])
            if changed in watchers:
                watchers.remove(changed)
            if not watchers:
                self._watchers.pop(interaction, None)
                if interaction in self._book.open:
                    self._gone_ms[interaction] = self._host.clock.now_ms()
                self._tell(interaction)

        return unwatch

    def thread(self, interaction: str, after: int) -> list[dict[str, Any]]:
        """As the port says; [] for one that is over."""
        conversation = self._book.open.get(interaction)
        if conversation is None:
            return []
        after, safe = max(0, after), self._safe.get(interaction, 0)
        return [
            {
                "n": n,
                "by": "customer" if not message.by else FLOW if message.by == FLOW else "agent",
                "name": self._name_of(message.by) if message.by not in ("", FLOW) else "",
                "text": self.text(message.ref),
                "at_ms": message.at_ms,
                "choices": self._choices(message.choices_ref) if message.choices_ref else [],
                "files": [
                    {"id": k, "name": one.name, "type": one.type, "size": one.size, "trouble": one.trouble}
                    for k, one in enumerate(self.files.listed(message.files_ref))
                ],
            }
            for n, message in enumerate(conversation.messages[after:safe], after + 1)
        ]

    def standing(self, interaction: str) -> dict[str, Any]:
        """As the port says."""
        conversation = self._book.open.get(interaction)
        if conversation is None or conversation.state == WRAPPING:
            return {"state": "over", "position": 0, "agent": "", "read": 0, "typing": False}
        waits = conversation.state in (WAITING, RINGING, PARKED)
        agent = conversation.agent if conversation.state == TALKING else ""
        return {
            "state": WAITING if waits else conversation.state,
            "position": self._host.engine.position(conversation.contact) if waits else 0,
            "agent": self._name_of(agent) if agent else "",
            "read": conversation.read.get(agent, 0) if agent else 0,
            "typing": bool(agent) and self.types(interaction, agent),
        }

    def committed(self, interaction: str) -> int:
        """So many of its messages are safe."""
        return self._safe.get(interaction, 0)

    def there(self, interaction: str) -> bool:
        """Is the customer there to read?"""
        return interaction in self._watchers

    def typing(self, interaction: str, by: str = "") -> None:
        """Somebody writes; "" is the customer."""
        if interaction in self._book.open:
            self._typing[interaction, by] = self._host.clock.now_ms()
            self._tell(interaction)

    def types(self, interaction: str, by: str) -> bool:
        return self._host.clock.now_ms() - self._typing.get((interaction, by), -_TYPING_MS) < _TYPING_MS

    # --- the agent's side --------------------------------------------------------------------------

    def accept(self, agent: str, offer: str) -> None:
        """Raises NotAllowed: offer_over."""
        conversation, at_ms = self._offered(agent, offer), self._host.clock.now_ms()
        self._host.submit(
            rf.OfferAnswered(offer, at_ms),
            f.InteractionAnswered(conversation.id, conversation.contact, offer, agent, "", at_ms),
        )

    def decline(self, agent: str, offer: str) -> None:
        """Raises NotAllowed: offer_over."""
        conversation, at_ms = self._offered(agent, offer), self._host.clock.now_ms()
        self._host.submit(
            f.OfferEnded(conversation.id, offer, agent, "declined", at_ms), rf.OfferDeclined(offer, at_ms)
        )

    def send(
        self,
        agent: str,
        interaction: str,
        client: str,
        text: str,
        committed: Callable[[int], None] = lambda _n: None,
        head: Mapping[str, Any] | None = None,
        files: Sequence[Kept] = (),
    ) -> None:
        """The agent writes; `committed` hears the message's place once it is safe. The same `client` again is no second
        message. `head`: what surrounds it where it has to be carried out of the house; then it stands in the outbox
        with the same stroke.

        Raises NotAllowed: not_yours, empty, too_long."""
        conversation = self.in_hand(agent, interaction)
        most = LONGEST if head is None else LONGEST_LETTER
        text, client = _checked(text, most) if text or not files else "", client[:MOST_CLIENT]
        known = conversation.clients.get(f"{agent}/{client}") if client else None
        if known is not None:
            self._after_commit(lambda: committed(known))
            return
        message, at_ms = self._ids.next("m"), self._host.clock.now_ms()
        ref = self._keep(conversation, message, text)
        self._typing.pop((interaction, agent), None)

        def kept() -> None:
            committed(self.shown(conversation, message))

        head_ref = (
            self._keep(conversation, f"{message}.head", json.dumps(head, ensure_ascii=False)) if head else ""
        )
        files_ref = self.files.list_under(self.person(conversation), f"{message}.files", files)
        facts: list[AnyFact] = [
            f.MessageSent(
                interaction, message, agent, client, ref, at_ms, head_ref=head_ref, files_ref=files_ref
            ),
            f.MessagesRead(interaction, agent, len(conversation.messages) + 1, at_ms),
        ]
        if head_ref:
            facts.append(f.LetterWritten(message, interaction, ref, head_ref, files_ref, at_ms))
        self._host.submit(*facts, after_commit=kept)
        self.counts["sent"] += 1

    def agent_read(self, agent: str, interaction: str, n: int) -> None:
        """Raises NotAllowed: not_yours."""
        self._read(self.in_hand(agent, interaction).id, agent, n)

    def end(self, agent: str, interaction: str) -> None:
        """Raises NotAllowed: not_yours."""
        self._end(self.in_hand(agent, interaction), "normal", "agent")

    def text(self, ref: str) -> str:
        """What a message says; "" where it was erased."""
        return self._host.private.get(ref)

    def preferred(self, queue: str, agent: str) -> str:
        """Whom a newcomer asks for, where this queue heeds it."""
        known = self._host.engine.policy.queues.get(queue)
        return agent if known is not None and known.preferred_ms else ""

    def back_in_queue(self, conversation: Conversation, prefers: str = "") -> list[AnyFact]:
        """The facts that put it into its queue again, as if it had come now; for a while this agent is preferred."""
        contact, at_ms = self._ids.next("c"), self._host.clock.now_ms()
        return [
            f.InteractionQueued(conversation.id, contact, conversation.queue, at_ms),
            rf.ContactArrived(
                contact,
                conversation.queue,
                at_ms,
                customer_class=conversation.klass,
                prefers=prefers,
                prefers_ms=_COME_BACK_MS if prefers else 0,
            ),
        ]

    def waits_again(
        self, conversation: Conversation, queue: str, since_ms: int, agent: str = ""
    ) -> list[AnyFact]:
        """In this queue, as long as since then. Who was taken in once is not turned away because the queue has been
        closed, or is full, or because the chosen agent has no hand free."""
        contact, at_ms, engine = self._ids.next("c"), self._host.clock.now_ms(), self._host.engine
        policy, view = engine.policy, engine.agent_view(agent) if agent else None
        known, klass = policy.queues.get(queue), conversation.klass
        arrived: AnyFact
        if view is not None and known is not None and known.medium in view.free:
            arrived = rf.ContactArrived(contact, queue, since_ms, agent=agent, customer_class=klass)
        else:
            credit_ms = policy.classes.get(klass, 0)
            deadline_ms = policy.deadline_ms(known, since_ms, credit_ms) if known is not None else since_ms
            arrived = rf.ContactAdopted(contact, queue, since_ms, deadline_ms)
        return [f.InteractionQueued(conversation.id, contact, queue, at_ms), arrived]

    def person(self, conversation: Conversation) -> str:
        """Under whose key it lies."""
        private = self._host.private
        return private.person_of(private.get(conversation.party_ref) or conversation.id)

    # --- what flows hand over ----------------------------------------------------------------------

    def write(self, conversation: Conversation, text: str, choices: Mapping[str, str]) -> None:
        if not text:
            return
        message, at_ms = self._ids.next("m"), self._host.clock.now_ms()
        ref = self._keep(conversation, message, text)
        choices_ref = ""
        if choices:
            words = json.dumps(choices, ensure_ascii=False)
            choices_ref = self._keep(conversation, f"{message}.choices", words)

        def shown() -> None:
            self.shown(conversation, message)

        self._host.submit(
            f.MessageSent(conversation.id, message, FLOW, "", ref, at_ms, tuple(choices), choices_ref),
            after_commit=shown,
        )

    def enqueue(self, conversation: Conversation, queue: str, *before: AnyFact) -> None:
        contact, at_ms = self._ids.next("c"), self._host.clock.now_ms()
        to = line(queue, conversation.medium)
        prefers = self.preferred(to, conversation.last_agent)
        self._host.submit(
            *before,
            f.InteractionQueued(conversation.id, contact, to, at_ms),
            rf.ContactArrived(contact, to, at_ms, customer_class=conversation.klass, prefers=prefers),
        )

    def finish(self, conversation: Conversation, outcome: str) -> None:
        at_ms = self._host.clock.now_ms()
        self._host.submit(f.InteractionEnded(conversation.id, outcome, "flow_ended", "system", at_ms))

    def broken(self, conversation: Conversation) -> None:
        """A flow that fails puts the customer through to a person."""
        self.counts["flow_broken"] += 1
        self.enqueue(conversation, self._default_queue())

    # --- inside ------------------------------------------------------------------------------------

    def _heard(self, facts: Sequence[AnyFact], commands: Sequence[Command]) -> None:
        for command in commands:
            if isinstance(command, OfferContact):
                conversation = self._book.of_contact(command.contact)
                if conversation is not None:
                    self._present(conversation, command.offer, command.agent)
            elif isinstance(command, WithdrawOffer):
                conversation = self._book.of_offer(command.offer)
                if conversation is not None:
                    self._withdraw(conversation, command)
            elif isinstance(command, Overflow):
                conversation = self._book.of_contact(command.contact)
                if conversation is not None:
                    self._overflowed(conversation, command)
        for interaction in dict.fromkeys(getattr(fact, "interaction", "") for fact in facts):
            ended = any(
                isinstance(fact, f.InteractionEnded) and fact.interaction == interaction for fact in facts
            )
            if ended:
                self._flows.stop(interaction)
                self._gone_ms.pop(interaction, None)
                for key in [key for key in self._typing if key[0] == interaction]:
                    del self._typing[key]
            if ended or interaction in self._book.open:
                self._tell(interaction)

    def _present(self, conversation: Conversation, offer: str, agent: str) -> None:
        at_ms = self._host.clock.now_ms()
        self._host.submit(f.AgentDialled(conversation.id, conversation.contact, offer, agent, "", at_ms))

    def _withdraw(self, conversation: Conversation, command: WithdrawOffer) -> None:
        at_ms = self._host.clock.now_ms()
        self._host.submit(f.OfferEnded(conversation.id, command.offer, command.agent, command.reason, at_ms))

    def _overflowed(self, conversation: Conversation, command: Overflow) -> None:
        self.counts[f"overflow_{command.reason}"] += 1
        default = line(self._default_queue(), conversation.medium)
        if command.reason == "agent_not_ready":
            queue, _, _medium = command.queue.partition("@")
            self.enqueue(conversation, queue)
        elif command.reason == "unknown_queue" and command.queue != default:
            self.broken(conversation)
        elif conversation.medium == EMAIL or conversation.answered_at_ms:
            self._host.submit(*self._elsewhere(conversation, command.queue))
        elif not self._flows.refused(conversation, command.reason):
            self.finish(conversation, "closed" if command.reason == "closed" else "overflowed")

    def _elsewhere(self, conversation: Conversation, queue: str) -> list[AnyFact]:
        """A mail, or who was served before, is not turned away: it waits in the default queue where that is open, else
        in its own."""
        engine, default = self._host.engine, line(self._default_queue(), conversation.medium)
        to = default if default in engine.policy.queues and engine.is_open(default) else queue
        return self.waits_again(conversation, to, conversation.queued_at_ms)

    def _end(self, conversation: Conversation, cause: str, by: str) -> None:
        at_ms = self._host.clock.now_ms()
        outcomes = {IN_FLOW: "left_in_flow", TALKING: "answered"}
        outcome = outcomes.get(conversation.state, "answered" if conversation.answered_at_ms else "abandoned")
        facts: list[AnyFact] = [
            f.InteractionEnded(
                conversation.id, outcome, cause, by, at_ms, conversation.queue, conversation.queued_at_ms
            )
        ]
        facts[:0] = [
            f.InteractionEnded(other.id, "merged", "merged", by, at_ms, other.queue, other.queued_at_ms)
            for other in self._book.merged_into(conversation)
        ]
        if conversation.state == TALKING:
            facts.append(rf.ContactEnded(conversation.contact, at_ms))
        elif conversation.contact:
            facts.append(rf.ContactAbandoned(conversation.contact, at_ms))
        self._host.submit(*facts)

    def _offered(self, agent: str, offer: str) -> Conversation:
        conversation = self._book.of_offer(offer)
        view = self._host.engine.offer_view(offer)
        if conversation is None or view is None or view.agent != agent or conversation.state != RINGING:
            raise NotAllowed("offer_over")
        return conversation

    def in_hand(self, agent: str, interaction: str) -> Conversation:
        """What this agent is answering. Raises NotAllowed: not_yours."""
        conversation = self._book.open.get(interaction)
        if conversation is None or conversation.agent != agent or conversation.state != TALKING:
            raise NotAllowed("not_yours")
        return conversation

    def _read(self, interaction: str, by: str, n: int) -> None:
        conversation = self._book.open.get(interaction)
        if conversation is None:
            return
        n = min(n, len(conversation.messages))
        if n > conversation.read.get(by, 0):
            self._host.submit(f.MessagesRead(interaction, by, n, self._host.clock.now_ms()))

    def _choices(self, ref: str) -> list[str]:
        """What a flow offers with a message, in words, in its order."""
        text = self._host.private.get(ref)
        return list(json.loads(text).values()) if text else []

    def _keep(self, conversation: Conversation, ref: str, text: str) -> str:
        return self._host.private.put(self.person(conversation), ref, text)

    def _after_commit(self, then: Callable[[], None]) -> None:
        """At once where all that was said is safe, else with what is being written."""
        if self._host.committed_seq >= self._host.engine.seq:
            then()
        else:
            self._host.submit(after_commit=then)

    def shown(self, conversation: Conversation, message: str) -> int:
        """It is committed, and everything before it; answers its place."""
        messages = conversation.messages
        n = next((n for n in range(len(messages), 0, -1) if messages[n - 1].id == message), 0)
        self._safe[conversation.id] = max(n, self._safe.get(conversation.id, 0))
        self._tell(conversation.id)
        return n

    def all_shown(self, *interactions: str) -> None:
        """Messages changed their place: what stands there now counts once that is committed, and no more than that."""
        counts = {one: len(self._book.open[one].messages) for one in interactions if one in self._book.open}
        for interaction, count in counts.items():
            self._safe[interaction] = min(count, self._safe.get(interaction, 0))

        def counted() -> None:
            for interaction, count in counts.items():
                conversation = self._book.open.get(interaction)
                if conversation is not None:
                    self._safe[interaction] = min(count, len(conversation.messages))
                    self._tell(interaction)

        self._host.submit(after_commit=counted)

    def _tell(self, interaction: str) -> None:
        for changed in (*self._watchers.get(interaction, ()), *self.changed):
            changed(interaction)

    def _sweep(self) -> None:
        """End what nobody will go on with, and say to those who wait where they have come to. A part at a time: all of
        them once in five seconds."""
        if not self._round:
            for interaction in [one for one in self._safe if one not in self._book.open]:
                del self._safe[interaction]
                self._places.pop(interaction, None)
            self._round = list(self._book.open)
            self._part = len(self._round) // _SWEEP_PARTS + 1
        now_ms = self._host.clock.now_ms()
        for interaction in self._round[-self._part :]:
            conversation = self._book.open.get(interaction)
            if conversation is not None:
                self._look_after(conversation, now_ms)
        del self._round[-self._part :]
        self._scheduler.after(_SWEEP_MS // _SWEEP_PARTS, self._sweep)

    def _look_after(self, conversation: Conversation, now_ms: int) -> None:
        idle = now_ms - conversation.heard_at_ms > self._rules.idle_s * 1000
        gone_ms = self._gone_ms.get(conversation.id)
        gone = gone_ms is not None and now_ms - gone_ms > self._rules.gone_s * 1000
        if conversation.state == IN_FLOW and idle:
            self._end(conversation, "idle", "system")
        elif conversation.state in (WAITING, RINGING) and gone:
            self._end(conversation, "gone", "system")
        elif conversation.state == PARKED and now_ms >= conversation.until_ms:
            self._host.submit(*self.back_in_queue(conversation, conversation.agent))
        elif conversation.state == WAITING and conversation.medium == CHAT:
            place = self._host.engine.position(conversation.contact)
            if self._places.get(conversation.id) != place:
                self._places[conversation.id] = place
                self._tell(conversation.id)


def _checked(text: Any, most: int = LONGEST) -> str:
    if not isinstance(text, str) or not text.strip():
        raise NotAllowed("empty")
    if len(text) > most:
        raise NotAllowed("too_long")
    return text.strip().replace("\x00", "")
