"""The open written conversations: a fold over facts and nothing else, as the book of calls is.

Every message has a place, 1 for the first of its conversation: cursors, read marks and resumption count by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

from callcenter.live import facts as f

CHAT, EMAIL = "chat", "email"
WRITTEN = frozenset({CHAT, EMAIL})
"""media whose interactions are conversations here"""
IN_FLOW, WAITING, RINGING, TALKING, WRAPPING = "flow", "waiting", "ringing", "talking", "wrapping"
PARKED, MERGED = "parked", "merged"
CARRIED, SENT, DEAD, BOUNCED, DROPPED = "waiting", "sent", "dead", "bounced", "dropped"
"""states of a message that is carried out of the house"""
_HANDS_EMPTY = ("idle", "not_ready", "logged_out")
FLOW = "flow"
"""who writes for a flow"""


@dataclass(slots=True)
class Message:
    id: str
    by: str
    """"" for the customer, else an agent's login or `flow`"""
    ref: str
    at_ms: int
    choices: tuple[str, ...] = ()
    choices_ref: str = ""
    head_ref: str = ""
    files_ref: str = ""
    kind: str = ""
    state: str = ""
    """"" where nothing has to be carried; else waiting, sent, dead, bounced, dropped"""


@dataclass(slots=True)
class Note:
    id: str
    by: str
    ref: str
    at_ms: int


@dataclass(slots=True)
class Conversation:
    id: str
    medium: str
    number: str
    """the point of ours that was written to"""
    party_ref: str
    arrived_at_ms: int
    state: str = IN_FLOW
    customer: int = 0
    klass: str = ""
    last_agent: str = ""
    verified: str = ""
    flow: str = ""
    node: str = ""
    language: str = "zh"
    tries: int = 0
    vars_ref: str = ""
    path: list[str] = field(default_factory=list)
    contact: str = ""
    queue: str = ""
    queued_at_ms: int = 0
    offer: str = ""
    agent: str = ""
    answered_at_ms: int = 0
    heard_at_ms: int = 0
    """when the customer last wrote"""
    thread: str = ""
    subject_ref: str = ""
    paused: bool = False
    """a call came between; it goes on after it"""
    until_ms: int = 0
    """parked until then"""
    into: str = ""
    """merged into this one"""
    stars: int = 0
    linked: str = ""
    """how the customer was decided on, where that was not by the contact point alone"""
    moved: tuple[str, ...] = ()
    """messages that went to the one that this was merged into"""
    notes: tuple[Note, ...] = ()
    messages: list[Message] = field(default_factory=list)
    clients: dict[str, int] = field(default_factory=dict)
    """id that the writer's side gave -> place"""
    read: dict[str, int] = field(default_factory=dict)
    """who ("" for the customer) -> last place read"""

    @property
    def unread(self) -> int:
        """Of the customer's messages, those that no agent has read."""
        seen = self.read.get(self.agent, 0)
        return sum(1 for message in self.messages[seen:] if not message.by)

    def waits_since_ms(self) -> int:
        """When the oldest message came that nobody has answered; 0 where none is open."""
        since = 0
        for message in reversed(self.messages):
            if message.by and message.by != FLOW:
                break
            if not message.by and message.kind != "auto_reply":
                since = message.at_ms
        return since


_TABLES = ("path", "messages", "clients", "read", "moved", "notes")
_NAMES = tuple(one.name for one in fields(Conversation) if one.name not in _TABLES)
_VALUES = attrgetter(*_NAMES)
_MESSAGE = attrgetter(*(one.name for one in fields(Message)))
_NOTE = attrgetter(*(one.name for one in fields(Note)))


class Conversations:
    def __init__(self) -> None:
        self.open: dict[str, Conversation] = {}
        self._by_contact: dict[str, str] = {}
        self._by_offer: dict[str, str] = {}
        self._by_thread: dict[str, list[str]] = {}
        self._by_letter: dict[str, str] = {}
        """message that is carried -> the conversation where it stands"""
        self._apply: dict[type, Callable[[Any], None]] = {
            f.InteractionStarted: self._started,
            f.CustomerMatched: lambda fact: self._set(
                fact, customer=fact.customer, klass=fact.klass, last_agent=fact.last_agent
            ),
            f.CallerVerified: lambda fact: self._set(fact, verified=fact.how),
            f.FlowMoved: self._moved,
            f.InteractionQueued: self._queued,
            f.QueueChanged: lambda fact: self._set(fact, queue=fact.queue),
            f.AgentDialled: self._offered,
            f.OfferEnded: self._offer_ended,
            f.InteractionAnswered: self._answered,
            f.MessageReceived: lambda fact: self._wrote(fact, ""),
            f.MessageSent: lambda fact: self._wrote(fact, fact.by),
            f.MessagesRead: self._read,
            f.ThreadOpened: self._threaded,
            f.LetterWritten: lambda fact: self._carried(fact, CARRIED),
            f.LetterTried: lambda fact: self._carried(fact, {"later": CARRIED}.get(fact.result, fact.result)),
            f.LetterChanged: self._changed,
            f.LetterDropped: lambda fact: self._carried(fact, DROPPED),
            f.LetterBounced: lambda fact: self._carried(fact, BOUNCED),
            f.NoteWritten: self._noted,
            f.ConversationParked: self._parked,
            f.MessagesMoved: self._moved_messages,
            f.ConversationMerged: self._merged,
            f.ConversationRated: lambda fact: self._set(fact, stars=fact.stars),
            f.CustomerLinked: lambda fact: self._set(fact, customer=fact.customer, linked=fact.how),
            f.InteractionEnded: self._ended,
            f.WrapUpSaved: lambda fact: self._close(fact.interaction, fact.agent),
        }

    def apply(self, fact: object) -> None:
        """Facts of other kinds, and of interactions that are no open conversations, pass by."""
        handler = self._apply.get(type(fact))
        if handler is not None:
            handler(fact)

    def apply_command(self, command: dict[str, Any]) -> None:
        """What an agent wraps up stays while they have anything in hand, and closes with the last of it; what a call
        interrupts is paused."""
        if command["k"] in ("PauseContact", "ResumeContact"):
            paused = self.of_contact(command["contact"])
            if paused is not None:
                paused.paused = command["k"] == "PauseContact"
        if command["k"] == "AgentChanged" and command["state"] in _HANDS_EMPTY:
            for conversation in list(self.of_agent(command["agent"])):
                self._close(conversation.id, command["agent"])

    def of_contact(self, contact: str) -> Conversation | None:
        return self.open.get(self._by_contact.get(contact, ""))

    def of_offer(self, offer: str) -> Conversation | None:
        return self.open.get(self._by_offer.get(offer, ""))

    def of_thread(self, thread: str) -> Conversation | None:
        """The one that goes on in this thread, where there is one that still takes words."""
        for name in reversed(self._by_thread.get(thread, ())):
            conversation = self._last(self.open.get(name))
            if conversation is not None and conversation.state not in (WRAPPING, MERGED):
                return conversation
        return None

    def _last(self, conversation: Conversation | None) -> Conversation | None:
        """The one that it was merged into in the end; itself where it was not."""
        while conversation is not None and conversation.into:
            conversation = self.open.get(conversation.into)
        return conversation

    def merged_into(self, conversation: Conversation) -> list[Conversation]:
        """Those that go on in this one, over however many steps."""
        return [one for one in self.open.values() if one.into and self._last(one) is conversation]

    def of_agent(self, agent: str) -> Iterator[Conversation]:
        """Ringing, talking or wrapping with this agent, in the order of arrival."""
        return (one for one in self.open.values() if agent and one.agent == agent)

    def snapshot(self) -> list[list[Any]]:
        return [
            [
                *_VALUES(one),
                list(one.path),
                [list(_MESSAGE(message)) for message in one.messages],
                dict(one.clients),
                dict(one.read),
                list(one.moved),
                [list(_NOTE(note)) for note in one.notes],
            ]
            for one in self.open.values()
        ]

    def restore(self, rows: list[list[Any]]) -> None:
        for *values, path, messages, clients, read, moved, notes in rows:
            conversation = Conversation(
                **dict(zip(_NAMES, values, strict=True)),
                path=list(path),
                messages=[_message(message) for message in messages],
                clients=dict(clients),
                read=dict(read),
                moved=tuple(moved),
                notes=tuple(Note(*note) for note in notes),
            )
            self.open[conversation.id] = conversation
            for message in conversation.messages:
                if message.state:
                    self._by_letter[message.id] = conversation.id
            if conversation.contact and conversation.state not in (WRAPPING, PARKED, MERGED):
                self._by_contact[conversation.contact] = conversation.id
            if conversation.offer:
                self._by_offer[conversation.offer] = conversation.id
            if conversation.thread:
                self._by_thread.setdefault(conversation.thread, []).append(conversation.id)

    def clear(self) -> None:
        for table in (self.open, self._by_contact, self._by_offer, self._by_thread, self._by_letter):
            table.clear()

    def _set(self, fact: Any, **changes: Any) -> None:
        conversation = self.open.get(fact.interaction)
        if conversation is not None:
            for name, value in changes.items():
                setattr(conversation, name, value)

    def _started(self, fact: f.InteractionStarted) -> None:
        if fact.medium in WRITTEN:
            at_ms = fact.occurred_at_ms
            self.open[fact.interaction] = Conversation(
                fact.interaction, fact.medium, fact.number, fact.party_ref, at_ms, heard_at_ms=at_ms
            )

    def _moved(self, fact: f.FlowMoved) -> None:
        conversation = self.open.get(fact.interaction)
        if conversation is None:
            return
        conversation.flow, conversation.node, conversation.language = fact.flow, fact.node, fact.language
        conversation.tries, conversation.vars_ref = fact.tries, fact.vars_ref or conversation.vars_ref
        if conversation.state == WAITING:
            self._by_contact.pop(conversation.contact, None)
            conversation.state, conversation.contact, conversation.queue = IN_FLOW, "", ""
        for node in fact.passed or (fact.node,):
            if not conversation.path or conversation.path[-1] != node:
                conversation.path.append(node)

    def _queued(self, fact: f.InteractionQueued) -> None:
        conversation = self.open.get(fact.interaction)
        if conversation is None:
            return
        self._by_contact.pop(conversation.contact, None)
        conversation.state, conversation.contact, conversation.queue = WAITING, fact.contact, fact.queue
        conversation.queued_at_ms, conversation.agent, conversation.offer = fact.occurred_at_ms, "", ""
        self._by_contact[fact.contact] = conversation.id

    def _offered(self, fact: f.AgentDialled) -> None:
        conversation = self.open.get(fact.interaction)
        if conversation is not None:
            conversation.state, conversation.offer, conversation.agent = RINGING, fact.offer, fact.agent
            self._by_offer[fact.offer] = conversation.id

    def _offer_ended(self, fact: f.OfferEnded) -> None:
        self._by_offer.pop(fact.offer, None)
        conversation = self.open.get(fact.interaction)
        if conversation is not None and conversation.offer == fact.offer:
            conversation.state, conversation.offer, conversation.agent = WAITING, "", ""

    def _answered(self, fact: f.InteractionAnswered) -> None:
        self._by_offer.pop(fact.offer, None)
        conversation = self.open.get(fact.interaction)
        if conversation is not None:
            conversation.state, conversation.offer, conversation.agent = TALKING, "", fact.agent
            conversation.paused, conversation.until_ms = False, 0
            conversation.answered_at_ms = conversation.answered_at_ms or fact.occurred_at_ms

    def _wrote(self, fact: f.MessageReceived | f.MessageSent, by: str) -> None:
        conversation = self.open.get(fact.interaction)
        if conversation is None:
            return
        message = Message(fact.message, by, fact.ref, fact.occurred_at_ms)
        message.head_ref, message.files_ref = fact.head_ref, fact.files_ref
        if isinstance(fact, f.MessageSent):
            message.choices, message.choices_ref = tuple(fact.choices), fact.choices_ref
        else:
            message.kind = fact.kind
            conversation.heard_at_ms = fact.occurred_at_ms
        conversation.messages.append(message)
        if fact.client:
            conversation.clients[f"{by}/{fact.client}"] = len(conversation.messages)

    def _read(self, fact: f.MessagesRead) -> None:
        conversation = self.open.get(fact.interaction)
        if conversation is not None and fact.n > conversation.read.get(fact.by, 0):
            conversation.read[fact.by] = fact.n

    def _threaded(self, fact: f.ThreadOpened) -> None:
        conversation = self.open.get(fact.interaction)
        if conversation is not None:
            conversation.thread, conversation.subject_ref = fact.thread, fact.subject_ref
            conversation.language = fact.language
            self._by_thread.setdefault(fact.thread, []).append(fact.interaction)

    def _forget(self, interaction: str) -> None:
        conversation = self.open.pop(interaction, None)
        for message in conversation.messages if conversation is not None else ():
            self._by_letter.pop(message.id, None)
        names = self._by_thread.get(conversation.thread, []) if conversation is not None else []
        if interaction in names:
            names.remove(interaction)
            if not names and conversation is not None:
                del self._by_thread[conversation.thread]

    def _carried(
        self, fact: f.LetterWritten | f.LetterTried | f.LetterDropped | f.LetterBounced, state: str
    ) -> None:
        message = self.message(fact.interaction, fact.message)
        if message is not None:
            message.state = state
            self._by_letter.setdefault(fact.message, fact.interaction)

    def _changed(self, fact: f.LetterChanged) -> None:
        message = self.message(fact.interaction, fact.message)
        if message is not None:
            message.state, message.ref, message.head_ref = CARRIED, fact.ref, fact.head_ref

    def message(self, interaction: str, name: str) -> Message | None:
        """A message of an open conversation; one that is carried may have moved on since it was written there."""
        conversation = self.open.get(self._by_letter.get(name, interaction))
        if conversation is None:
            return None
        return next((one for one in reversed(conversation.messages) if one.id == name), None)

    def _noted(self, fact: f.NoteWritten) -> None:
        conversation = self.open.get(fact.interaction)
        if conversation is not None:
            note = Note(fact.note, fact.by, fact.ref, fact.occurred_at_ms)
            conversation.notes = (*conversation.notes, note)

    def _parked(self, fact: f.ConversationParked) -> None:
        conversation = self.open.get(fact.interaction)
        if conversation is not None:
            self._by_contact.pop(conversation.contact, None)
            conversation.state, conversation.until_ms, conversation.paused = PARKED, fact.until_ms, False

    def _moved_messages(self, fact: f.MessagesMoved) -> None:
        """They stand in the order of time there; nobody has read what came between."""
        source, target = self.open.get(fact.interaction), self.open.get(fact.to)
        if source is None or target is None:
            return
        known = {
            client: one.messages[n - 1].id for one in (source, target) for client, n in one.clients.items()
        }
        moving = [one for one in source.messages if one.id in fact.messages]
        source.messages = [one for one in source.messages if one.id not in fact.messages]
        first = moving[0].at_ms if moving else 0
        target.messages = sorted([*target.messages, *moving], key=lambda one: one.at_ms)
        before = sum(1 for one in target.messages if one.at_ms < first)
        target.read = {who: min(n, before) for who, n in target.read.items()}
        source.read = {who: min(n, len(source.messages)) for who, n in source.read.items()}
        for one in (source, target):
            places = {message.id: n for n, message in enumerate(one.messages, 1)}
            one.clients = {client: places[name] for client, name in known.items() if name in places}
        for message in moving:
            if message.id in self._by_letter:
                self._by_letter[message.id] = target.id
        source.moved = tuple(one.id for one in moving)
        target.heard_at_ms = max(
            (one.at_ms for one in target.messages if not one.by), default=target.heard_at_ms
        )

    def _merged(self, fact: f.ConversationMerged) -> None:
        conversation = self.open.get(fact.interaction)
        if conversation is None:
            return
        self._by_contact.pop(conversation.contact, None)
        self._by_offer.pop(conversation.offer, None)
        conversation.into, conversation.offer = fact.into, ""
        if fact.into:
            conversation.state, conversation.agent = MERGED, ""

    def _ended(self, fact: f.InteractionEnded) -> None:
        conversation = self.open.get(fact.interaction)
        if conversation is None:
            return
        self._by_contact.pop(conversation.contact, None)
        self._by_offer.pop(conversation.offer, None)
        for other in self.merged_into(conversation):
            self._forget(other.id)
        if conversation.state == TALKING:
            conversation.state, conversation.offer = WRAPPING, ""
        else:
            self._forget(conversation.id)

    def _close(self, interaction: str, agent: str) -> None:
        conversation = self.open.get(interaction)
        if conversation is not None and conversation.state == WRAPPING and conversation.agent == agent:
            self._forget(interaction)


def _message(values: list[Any]) -> Message:
    message = Message(*values)
    message.choices = tuple(message.choices)
    return message
