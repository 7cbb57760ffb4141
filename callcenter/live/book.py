"""The book of live interactions: a fold over facts and nothing else, so a new core that reads the
journal holds the same book."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from callcenter.live import facts as f
from callcenter.messaging.conversations import WRITTEN, Conversations
from callcenter.messaging.letters import Letters
from routing.state import LOGGED_OUT

IN_FLOW, WAITING, RINGING, TALKING, WRAPPING = "flow", "waiting", "ringing", "talking", "wrapping"
PARKED, OUTSIDE, CALLING = "parked", "outside", "calling"
"""put aside by an agent; with somebody whom the engine does not know; called by us and not answered yet"""
SUPERVISOR = "supervisor"
VOICEMAIL = "voicemail"


@dataclass(slots=True)
class Guest:
    """Somebody beside the caller and the agent."""

    leg: str
    kind: str
    who: str
    purpose: str
    by: str
    since_ms: int
    joined: bool = False


@dataclass(slots=True)
class Interaction:
    id: str
    medium: str
    number: str
    worker: str
    leg: str
    party_ref: str
    arrived_at_ms: int
    state: str = IN_FLOW
    customer: int = 0
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
    agent_leg: str = ""
    answered_at_ms: int = 0
    """the first time anybody did"""
    taken_at_ms: int = 0
    """when the present contact was; 0 while it waits"""
    guests: dict[str, Guest] = field(default_factory=dict)
    """by leg, in the order they were rung"""
    modes: dict[str, str] = field(default_factory=dict)
    """of every leg in the conversation, as the worker last said"""
    former: list[str] = field(default_factory=list)
    """agents who handed it on and still wrap up"""
    recordings: dict[str, list[str]] = field(default_factory=dict)
    """by name, the files of each recording that runs or waits to be sealed; the last one is the newest"""
    recording_paused: bool = False
    direction: str = "in"
    """in, out, internal (a colleague is called)"""
    callee: str = ""
    """login of the colleague who was called"""
    verified: str = ""
    """how it became certain who it is"""
    key_entry: str = ""
    """what the caller keys in now, unseen"""
    key_paused: bool = False
    """the recording pauses for it"""
    key_result: str = ""
    """how the last such entry ended"""
    message: str = ""
    """the queue for which the caller left one"""
    klass: str = ""
    """the customer's class"""
    last_agent: str = ""
    """who served the customer last"""
    callback: int = 0
    """which attempt to ring the customer back it is; 0: it is none"""

    @property
    def recording(self) -> list[str]:
        """The files of the newest; [] where none runs or waits."""
        return next(reversed(self.recordings.values()), [])


def recording_name(caller_file: str) -> str:
    """The name of a recording, from the file of its caller's side."""
    return Path(caller_file).stem.removesuffix("-caller")


_NAMES = tuple(one.name for one in fields(Interaction))
_VALUES = attrgetter(*_NAMES)


class Book:
    def __init__(self) -> None:
        self.interactions: dict[str, Interaction] = {}
        self.by_leg: dict[str, str] = {}
        self.by_contact: dict[str, str] = {}
        self.by_offer: dict[str, str] = {}
        self.by_agent: dict[str, dict[str, None]] = {}
        """ids in the order they came to the agent"""
        self.written = Conversations()
        self.letters = Letters()
        """conversations in writing, apart from calls"""
        self.seats: dict[str, str] = {}
        """devices that agents chose for the day, by login"""
        self.shut: dict[str, str] = {}
        """queues closed by hand, and by whom"""
        self.announcement = ""
        """reference to what every caller hears first"""
        self._apply: dict[type, Callable[[Any], None]] = {
            f.InteractionStarted: self._started,
            f.CustomerMatched: lambda fact: self._set(
                fact, customer=fact.customer, klass=fact.klass, last_agent=fact.last_agent
            ),
            f.CallerVerified: lambda fact: self._set(fact, verified=fact.how),
            f.KeyEntryStarted: lambda fact: self._set(
                fact, key_entry=fact.what, key_result="", key_paused=fact.paused
            ),
            f.KeyEntryEnded: lambda fact: self._set(fact, key_entry="", key_result=fact.result),
            f.FlowMoved: self._moved,
            f.InteractionQueued: self._queued,
            f.QueueChanged: lambda fact: self._set(fact, queue=fact.queue),
            f.CallbackPlanned: self._callback_planned,
            f.CallbackPlaced: self._callback_placed,
            f.AgentDialled: self._dialled,
            f.OfferEnded: self._offer_ended,
            f.InteractionAnswered: self._answered,
            f.CallPlaced: self._placed,
            f.AgentLost: self._agent_lost,
            f.GuestDialled: self._guest_dialled,
            f.GuestJoined: self._guest_joined,
            f.GuestLeft: self._guest_left,
            f.ModesChanged: self._modes_changed,
            f.AgentReleased: self._released,
            f.GuestTookOver: self._took_over,
            f.InteractionParked: lambda fact: self._set(fact, state=PARKED),
            f.RecordingStarted: self._recording_started,
            f.RecordingPaused: lambda fact: self._set(fact, recording_paused=True),
            f.RecordingResumed: lambda fact: self._set(fact, recording_paused=False),
            f.RecordingSaved: lambda fact: self._recording_over(fact, Path(fact.file).stem),
            f.RecordingFailed: lambda fact: self._recording_over(fact, fact.name),
            f.InteractionEnded: self._ended,
            f.WrapUpSaved: lambda fact: self.close(fact.interaction, fact.agent),
            f.LegAdopted: self._adopted,
            f.AgentSeated: self._seated,
            f.QueueShut: lambda fact: self.shut.update({fact.queue: fact.by}),
            f.QueueReopened: self._reopened,
            f.AnnouncementSet: self._announced,
        }

    def apply(self, fact: object) -> None:
        """Facts of kinds that the book does not know, and of interactions it no longer holds, pass by."""
        handler = self._apply.get(type(fact))
        if handler is not None:
            handler(fact)
        self.written.apply(fact)
        self.letters.apply(fact)

    def of_leg(self, leg: str) -> Interaction | None:
        return self.interactions.get(self.by_leg.get(leg, ""))

    def of_contact(self, contact: str) -> Interaction | None:
        return self.interactions.get(self.by_contact.get(contact, ""))

    def of_offer(self, offer: str) -> Interaction | None:
        return self.interactions.get(self.by_offer.get(offer, ""))

    def consulting(self, agent: str) -> list[Interaction]:
        """Those that this person was asked into."""
        return [
            interaction
            for interaction in self.interactions.values()
            if (interaction.callee == agent and interaction.state != WRAPPING)
            or (interaction.guests and any(guest.who == agent for guest in interaction.guests.values()))
        ]

    def of_agent(self, agent: str) -> list[Interaction]:
        """Ringing, talking or wrapping with this agent; oldest first."""
        found = [self.interactions[interaction] for interaction in self.by_agent.get(agent, ())]
        return sorted(found, key=lambda interaction: interaction.arrived_at_ms)

    def apply_command(self, command: dict[str, Any]) -> None:
        """Of the engine's commands the end of an agent's wrap-up closes something, and who logs out leaves their
        seat."""
        if command["k"] == "AgentChanged" and command["state"] == LOGGED_OUT:
            self.seats.pop(command["agent"], None)
        self.written.apply_command(command)
        if command["k"] == "AgentChanged" and command["state"] != "wrap_up":
            for interaction in self.of_agent(command["agent"]):
                self.close(interaction.id, command["agent"])

    def close(self, interaction: str, agent: str) -> None:
        """This agent will do nothing more with it: the wrap-up is saved or its time is over."""
        found = self.interactions.get(interaction)
        if found is None:
            return
        if agent in found.former:
            found.former.remove(agent)
            if found.agent != agent:
                self._unseat(found, agent)
        elif found.state == WRAPPING and found.agent == agent:
            self._seat(found, "")
        self._drop_if_over(found)

    def _drop_if_over(self, interaction: Interaction) -> None:
        over = interaction.state == WRAPPING and not interaction.agent
        if over and not interaction.recordings and not interaction.former:
            self._drop(interaction)

    def snapshot(self) -> dict[str, Any]:
        return {
            "interactions": self._snapshot(),
            "written": self.written.snapshot(),
            "letters": self.letters.snapshot(),
            "seats": dict(self.seats),
            "shut": dict(self.shut),
            "announcement": self.announcement,
        }

    def _snapshot(self) -> list[dict[str, Any]]:
        return [
            {
                **dict(zip(_NAMES, _VALUES(interaction), strict=True)),
                "path": list(interaction.path),
                "recordings": {name: list(files) for name, files in interaction.recordings.items()},
                "guests": [asdict(guest) for guest in interaction.guests.values()],
                "modes": dict(interaction.modes),
                "former": list(interaction.former),
            }
            for interaction in self.interactions.values()
        ]

    def clear(self) -> None:
        tables: list[dict[str, Any]] = [
            *(self.interactions, self.by_leg, self.by_contact, self.by_offer, self.by_agent),
            *(self.seats, self.shut),
        ]
        for table in tables:
            table.clear()
        self.announcement = ""
        self.written.clear()
        self.letters.clear()

    def restore(self, state: dict[str, Any]) -> None:
        self.seats.update(state["seats"])
        self.shut.update(state["shut"])
        self.announcement = state["announcement"]
        self.written.restore(state.get("written", []))
        self.letters.restore(state.get("letters", {}))
        for row in state["interactions"]:
            guests = {guest["leg"]: Guest(**guest) for guest in row.get("guests", ())}
            interaction = Interaction(**{**row, "guests": guests})
            self.interactions[interaction.id] = interaction
            if interaction.agent:
                self.by_agent.setdefault(interaction.agent, {})[interaction.id] = None
            for agent in interaction.former:
                self.by_agent.setdefault(agent, {})[interaction.id] = None
            if interaction.state == WRAPPING:
                continue
            for leg in (interaction.leg, interaction.agent_leg, *interaction.guests):
                if leg:
                    self.by_leg[leg] = interaction.id
            if interaction.contact:
                self.by_contact[interaction.contact] = interaction.id
            if interaction.offer:
                self.by_offer[interaction.offer] = interaction.id

    def _set(self, fact: Any, **changes: Any) -> None:
        interaction = self.interactions.get(fact.interaction)
        if interaction is None:
            return
        for name, value in changes.items():
            setattr(interaction, name, value)
        self._drop_if_over(interaction)

    def _recording_started(self, fact: f.RecordingStarted) -> None:
        interaction = self.interactions.get(fact.interaction)
        if interaction is not None:
            interaction.recordings[recording_name(fact.caller_file)] = [
                file for file in (fact.caller_file, fact.agent_file) if file
            ]
            interaction.recording_paused = False
            interaction.message = fact.queue if fact.kind == VOICEMAIL else interaction.message

    def _recording_over(self, fact: Any, name: str) -> None:
        """Older facts name none: then it was the newest."""
        interaction = self.interactions.get(fact.interaction)
        if interaction is None:
            return
        interaction.recordings.pop(name or next(reversed(interaction.recordings), ""), None)
        self._drop_if_over(interaction)

    def _started(self, fact: f.InteractionStarted) -> None:
        if fact.medium in WRITTEN:
            return
        self.interactions[fact.interaction] = Interaction(
            fact.interaction,
            fact.medium,
            fact.number,
            fact.worker,
            fact.leg,
            fact.party_ref,
            fact.occurred_at_ms,
            direction=fact.direction,
        )
        if fact.leg:
            self.by_leg[fact.leg] = fact.interaction

    def _placed(self, fact: f.CallPlaced) -> None:
        interaction = self.interactions.get(fact.interaction)
        if interaction is not None:
            self.by_offer.pop(interaction.offer, None)
            interaction.offer = ""
            interaction.state, interaction.contact, interaction.queue = CALLING, fact.contact, fact.queue
            interaction.agent_leg, interaction.callee = fact.leg, fact.callee
            self._seat(interaction, fact.agent)
            self.by_contact[fact.contact] = self.by_leg[fact.leg] = interaction.id

    def _moved(self, fact: f.FlowMoved) -> None:
        interaction = self.interactions.get(fact.interaction)
        if interaction is None:
            return
        interaction.flow, interaction.node = fact.flow, fact.node
        interaction.language, interaction.tries = fact.language, fact.tries
        interaction.vars_ref = fact.vars_ref or interaction.vars_ref
        if interaction.state == WAITING:
            self.by_contact.pop(interaction.contact, None)
            interaction.state, interaction.contact, interaction.queue = IN_FLOW, "", ""
        for node in fact.passed or (fact.node,):
            if not interaction.path or interaction.path[-1] != node:
                interaction.path.append(node)

    def _queued(self, fact: f.InteractionQueued) -> None:
        interaction = self.interactions.get(fact.interaction)
        if interaction is not None:
            self.by_contact.pop(interaction.contact, None)
            interaction.state, interaction.contact, interaction.queue = WAITING, fact.contact, fact.queue
            interaction.queued_at_ms, interaction.taken_at_ms = fact.occurred_at_ms, 0
            self.by_contact[fact.contact] = interaction.id

    def _callback_planned(self, fact: f.CallbackPlanned) -> None:
        interaction = self.interactions.get(fact.interaction)
        if interaction is not None:
            interaction.state, interaction.contact, interaction.queue = WAITING, fact.contact, fact.queue
            interaction.queued_at_ms, interaction.callback = fact.queued_at_ms, fact.attempt
            self.by_contact[fact.contact] = interaction.id

    def _callback_placed(self, fact: f.CallbackPlaced) -> None:
        interaction = self.interactions.get(fact.interaction)
        if interaction is not None:
            interaction.worker, interaction.leg = fact.worker, fact.leg
            self.by_leg[fact.leg] = interaction.id

    def _dialled(self, fact: f.AgentDialled) -> None:
        interaction = self.interactions.get(fact.interaction)
        if interaction is not None:
            self._forget_offer(interaction)
            interaction.state, interaction.offer = RINGING, fact.offer
            self._seat(interaction, fact.agent)
            interaction.agent_leg = fact.leg
            self.by_offer[fact.offer] = interaction.id
            if fact.leg:
                self.by_leg[fact.leg] = interaction.id

    def _offer_ended(self, fact: f.OfferEnded) -> None:
        interaction = self.interactions.get(fact.interaction)
        if interaction is not None and interaction.offer == fact.offer:
            self._forget_offer(interaction)
            interaction.state = WAITING
            if interaction.callback:
                self.by_leg.pop(interaction.leg, None)
                interaction.worker = interaction.leg = ""

    def _answered(self, fact: f.InteractionAnswered) -> None:
        interaction = self.interactions.get(fact.interaction)
        if interaction is not None:
            self._seat(interaction, fact.agent)
            interaction.state, interaction.agent_leg = TALKING, fact.leg
            interaction.offer = fact.offer
            interaction.answered_at_ms = interaction.answered_at_ms or fact.occurred_at_ms
            interaction.taken_at_ms = interaction.taken_at_ms or fact.occurred_at_ms
            self.by_leg[fact.leg] = interaction.id

    def _agent_lost(self, fact: f.AgentLost) -> None:
        interaction = self.interactions.get(fact.interaction)
        if interaction is not None:
            self._forget_offer(interaction)
            interaction.state = WAITING

    def _guest_dialled(self, fact: f.GuestDialled) -> None:
        interaction = self.interactions.get(fact.interaction)
        if interaction is not None:
            interaction.guests[fact.leg] = Guest(
                fact.leg, fact.kind, fact.who, fact.purpose, fact.by, fact.occurred_at_ms
            )
            self.by_leg[fact.leg] = interaction.id

    def _guest_joined(self, fact: f.GuestJoined) -> None:
        interaction = self.interactions.get(fact.interaction)
        if interaction is not None and fact.leg in interaction.guests:
            interaction.guests[fact.leg].joined = True

    def _guest_left(self, fact: f.GuestLeft) -> None:
        interaction = self.interactions.get(fact.interaction)
        if interaction is not None and interaction.guests.pop(fact.leg, None) is not None:
            self.by_leg.pop(fact.leg, None)
            interaction.modes.pop(fact.leg, None)

    def _modes_changed(self, fact: f.ModesChanged) -> None:
        interaction = self.interactions.get(fact.interaction)
        if interaction is not None:
            interaction.modes = dict(zip(fact.legs, fact.modes, strict=True))

    def _released(self, fact: f.AgentReleased) -> None:
        """It goes on without this agent, who has it before them until the wrap-up is done."""
        interaction = self.interactions.get(fact.interaction)
        if interaction is None or interaction.agent != fact.agent:
            return
        self.by_offer.pop(interaction.offer, None)
        self.by_leg.pop(interaction.agent_leg, None)
        self.by_contact.pop(interaction.contact, None)
        interaction.former.append(fact.agent)
        interaction.agent = interaction.offer = interaction.agent_leg = interaction.contact = ""
        interaction.modes = {}

    def _took_over(self, fact: f.GuestTookOver) -> None:
        interaction = self.interactions.get(fact.interaction)
        guest = interaction.guests.get(fact.leg) if interaction is not None else None
        if interaction is None or guest is None:
            return
        if not fact.agent:
            interaction.state = OUTSIDE
            return
        del interaction.guests[fact.leg]
        self._seat(interaction, fact.agent)
        interaction.state, interaction.agent_leg, interaction.contact = TALKING, fact.leg, fact.contact
        self.by_contact[fact.contact] = interaction.id

    def _seated(self, fact: f.AgentSeated) -> None:
        if fact.device:
            self.seats[fact.agent] = fact.device
        else:
            self.seats.pop(fact.agent, None)

    def _reopened(self, fact: f.QueueReopened) -> None:
        self.shut.pop(fact.queue, None)

    def _announced(self, fact: f.AnnouncementSet) -> None:
        self.announcement = fact.text_ref

    def _adopted(self, fact: f.LegAdopted) -> None:
        interaction = self.interactions.get(fact.interaction)
        if interaction is not None:
            self.by_leg[fact.leg] = interaction.id

    def _ended(self, fact: f.InteractionEnded) -> None:
        interaction = self.interactions.get(fact.interaction)
        if interaction is None:
            return
        if interaction.state not in (TALKING, CALLING):
            self._forget_offer(interaction)
        for leg in (interaction.leg, interaction.agent_leg, *interaction.guests):
            self.by_leg.pop(leg, None)
        interaction.guests, interaction.modes = {}, {}
        self.by_offer.pop(interaction.offer, None)
        self.by_contact.pop(interaction.contact, None)
        interaction.state = WRAPPING
        self._drop_if_over(interaction)

    def _forget_offer(self, interaction: Interaction) -> None:
        self.by_offer.pop(interaction.offer, None)
        if interaction.agent_leg != interaction.leg:
            self.by_leg.pop(interaction.agent_leg, None)
        self._seat(interaction, "")
        interaction.offer = interaction.agent_leg = ""

    def _seat(self, interaction: Interaction, agent: str) -> None:
        """Whose it is now; "" for nobody's."""
        if interaction.agent == agent:
            return
        if interaction.agent not in interaction.former:
            self._unseat(interaction, interaction.agent)
        interaction.agent = agent
        if agent:
            self.by_agent.setdefault(agent, {})[interaction.id] = None

    def _unseat(self, interaction: Interaction, agent: str) -> None:
        theirs = self.by_agent.get(agent)
        if theirs is not None:
            theirs.pop(interaction.id, None)
            if not theirs:
                del self.by_agent[agent]

    def _drop(self, interaction: Interaction) -> None:
        self._seat(interaction, "")
        del self.interactions[interaction.id]
