"""What an agent does with a call they have: hold, mute, keys, consult, transfer, conference, park.

Theory of operation. Every action looks at the book, refuses with a reason, or commands the worker; what the worker
then says is the truth that panels show. A conversation is a room (`channels/voice/worker/rooms.py`): the caller, who
serves them, and guests. Who hands a call on wraps up at once; the customer keeps the age of their wait.

    talking --consult--> caller held, agent with guest --complete--> caller with guest
                                                       --join------> all three
                                                       --take back-> caller with agent, guest gone
    talking --transfer to a queue or an agent--> waiting there --to a number--> music until it answers, else the queue
    talking --park--> parked --take--> offered to the one who takes it; after `PARKED_S` back to the queue
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from callcenter.kernel import logging
from callcenter.kernel.errors import NotAllowed
from callcenter.kernel.ids import IdFactory, parse_id
from callcenter.kernel.schedule import Handle, Scheduler
from callcenter.live import facts as f
from callcenter.live.book import CALLING, OUTSIDE, PARKED, TALKING, WAITING, Guest, Interaction
from callcenter.live.host import AnyFact, Host
from callcenter.live.offers import Offers
from channels.base import VoiceCommands
from routing import facts as rf
from routing.policy import satisfies
from routing.state import IDLE, LOGGED_OUT, NOT_READY

log = logging.get("control")
TALK, MUTE, HOLD = "talk", "mute", "hold"
CONSULT, TRANSFER = "consult", "transfer"
AGENT, NUMBER, LINK = "agent", "outside", "link"
IN_CONSULT = "consult"
"""why an agent who was asked into a call is not ready"""
PARKED_S = 180
_RING_S = 25
_CALL_RING_S = 45
_LEGS_OF_A_CALL = 2
_LINK_S = 5
_MOST_GUESTS = 3
_NUMBER = re.compile(r"\+?[0-9]{2,20}")
_KEYS = re.compile(r"[0-9*#]{1,32}")


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ring or where to send: exactly one of these is set."""

    agent: str = ""
    number: str = ""
    queue: str = ""


class CallControl:
    def __init__(
        self,
        host: Host,
        scheduler: Scheduler,
        voice: VoiceCommands,
        offers: Offers,
        ids: IdFactory,
        ringback: str,
        max_call_s: int,
    ) -> None:
        self._host, self._scheduler, self._voice, self._offers, self._ids = (
            host,
            scheduler,
            voice,
            offers,
            ids,
        )
        self._ringback, self._max_call_s = ringback, max_call_s
        self._parked_until: dict[str, Handle] = {}
        self._rung: dict[str, str] = {}
        """by interaction of our own making: the other side's leg, once it was dialled"""
        self._unrecorded: dict[str, bool] = {}
        """of those: there was no room to record it"""
        self._asked: dict[str, dict[str, str]] = {}
        """modes that were commanded and of which the worker has not spoken yet: the next command builds on them"""
        self.call_again: Callable[[Interaction, int], list[AnyFact]] = lambda _live, _at_ms: []
        """the facts by which a callback that came to nothing is tried again; [] for every other call"""

    # --- what an agent does with the call --------------------------------------------------------

    def hold(self, agent: str, interaction: str, on: bool) -> None:
        """The customer hears music; with `on` false both talk again. Raises NotAllowed: call_over, in_consultation."""
        live = self._mine(agent, interaction)
        if any(guest.joined for guest in live.guests.values() if guest.purpose == CONSULT):
            raise NotAllowed("in_consultation")
        self.set_modes(live, {live.leg: HOLD if on else TALK})

    def mute(self, agent: str, interaction: str, on: bool) -> None:
        """Nobody hears the agent."""
        live = self._mine(agent, interaction)
        self.set_modes(live, {live.agent_leg: MUTE if on else TALK})

    def pause_recording(self, agent: str, interaction: str, on: bool) -> None:
        """Card numbers and the like stay out of the file. Raises NotAllowed: call_over, not_recorded."""
        live = self._mine(agent, interaction)
        if not live.recording:
            raise NotAllowed("not_recorded")
        self._voice.command(live.worker, "pause_record", live.leg, on=on)

    def press(self, agent: str, interaction: str, keys: str) -> None:
        """Keys for the guest the agent talks to, else for the customer. Raises NotAllowed: bad_keys."""
        live = self._mine(agent, interaction)
        if not _KEYS.fullmatch(keys):
            raise NotAllowed("bad_keys")
        guest = self._joined(live)
        self._voice.command(live.worker, "keys", guest.leg if guest else live.leg, keys=keys)

    def call_out(self, agent: str, target: Target, customer: int = 0) -> str:
        """Call a number or a colleague: the agent's own device is rung, then the other. Answers the interaction.

        Raises NotAllowed: bad_number, itself, unknown_agent, agent_busy, agent_not_here, you_are_busy, no_device,
        all_lines_busy."""
        self._may_ring(agent, target)
        view, seat = self._host.engine.agent_view(agent), self._offers.seat(agent)
        if view is None or view.state not in (IDLE, NOT_READY) or self._host.book.consulting(agent):
            raise NotAllowed("you_are_busy")
        if seat is None or not seat.device:
            raise NotAllowed("no_device")
        worker = self._voice.roomiest(_LEGS_OF_A_CALL)
        if not worker:
            raise NotAllowed("all_lines_busy")
        at_ms, queue = self._now(), self._queue_of(agent)
        interaction, contact = self._ids.next("i"), self._ids.next("c")
        leg, agent_leg = self._ids.next("l"), self._ids.next("l")
        party_ref = ""
        if target.number:
            person = self._host.private.person_of(target.number)
            party_ref = self._host.private.put(person, f"{interaction}.party", target.number)
        direction, shown = ("out", self._offers.caller_id(queue)) if target.number else ("internal", "")
        facts: list[AnyFact] = [
            f.InteractionStarted(interaction, "voice", direction, shown, worker, leg, party_ref, at_ms),
            *([f.CustomerMatched(interaction, customer)] if customer else []),
            f.CallPlaced(interaction, contact, agent, agent_leg, target.agent, queue, at_ms),
            rf.ContactAdopted(contact, queue, at_ms, at_ms, agent),
            # who was on a break is on it again afterwards
            *([rf.AgentNotReady(agent, view.reason)] if view.state == NOT_READY else []),
            *self._taken_up(target.agent),
        ]
        self._host.submit(*facts)
        live = self._host.book.interactions[interaction]
        self._voice.command(
            worker,
            "dial",
            agent_leg,
            **self._offers.call_to(seat.device, live, at_once=True),
            ring_s=_RING_S,
            max_s=self._max_call_s,
            tag={
                "interaction": interaction,
                "contact": contact,
                "role": "agent",
                "agent": agent,
                "placed": {"direction": direction, "queue": queue, "callee": target.agent, "number": shown},
            },
            then={"on_peer_gone": "hangup", "on_peer_lost": "hangup"},
        )
        return interaction

    def agent_answered(self, live: Interaction, leg: str) -> None:
        """The agent who calls is there: ring the other side."""
        if live.state != CALLING or leg != live.agent_leg:
            return
        device = f"tel:{self._host.private.get(live.party_ref)}"
        if live.callee:
            seat = self._offers.seat(live.callee)
            device = seat.device if seat is not None else ""
        self._rung[live.id] = live.leg
        self._voice.command(live.worker, "music", leg, file=self._ringback)
        record = self._offers.recording(live) if live.direction == "out" else None
        self._unrecorded[live.id] = live.direction == "out" and record is None
        sides = {"caller": live.leg, "agent": leg}
        self._voice.command(
            live.worker,
            "dial",
            live.leg,
            **self._offers.call_to(device, live),
            ring_s=_CALL_RING_S,
            max_s=self._max_call_s,
            tag={"interaction": live.id, "role": "caller", "agent": live.callee},
            on_answer={
                "room": leg,
                "members": {live.leg: TALK, leg: TALK},
                "record": {**record, **sides} if record else None,
            },
            then={"on_peer_gone": "hangup", "on_peer_lost": "hangup"},
        )

    def consult(self, agent: str, interaction: str, target: Target) -> None:
        """Hold the customer and ring somebody. Raises NotAllowed: call_over, already_ringing, too_many, itself,
        unknown_agent, agent_busy, agent_not_here, bad_number."""
        live = self._mine(agent, interaction)
        if any(not guest.joined for guest in live.guests.values()):
            raise NotAllowed("already_ringing")
        if len(live.guests) >= _MOST_GUESTS:
            raise NotAllowed("too_many")
        self._may_ring(agent, target)
        held = {**self.present(live), live.leg: HOLD, live.agent_leg: TALK}
        self._room(live, held)
        self._voice.command(live.worker, "music", live.agent_leg, file=self._ringback)
        leg = self._ring(live, target, CONSULT, agent)
        self._dial(live, leg, target, {**held, leg: TALK}, agent)

    def take_back(self, agent: str, interaction: str) -> None:
        """Back to the customer; whoever was consulted is let go."""
        live = self._mine(agent, interaction)
        for guest in list(live.guests.values()):
            if guest.purpose == CONSULT:
                self._let_go(live, guest)
        self._voice.command(live.worker, "stop", live.agent_leg)
        self._room(live, {live.leg: TALK, live.agent_leg: TALK, **self._listeners(live)})

    def swap(self, agent: str, interaction: str) -> None:
        """The other of the two is held. Raises NotAllowed: no_guest."""
        live = self._mine(agent, interaction)
        guest = self._guest(live)
        caller_held = live.modes.get(live.leg) == HOLD
        self.set_modes(
            live, {live.leg: TALK if caller_held else HOLD, guest.leg: HOLD if caller_held else TALK}
        )

    def join(self, agent: str, interaction: str) -> None:
        """Everybody hears everybody. Raises NotAllowed: no_guest."""
        live = self._mine(agent, interaction)
        self._guest(live)
        members = self.present(live)
        self._room(live, {leg: TALK if mode == HOLD else mode for leg, mode in members.items()})

    def drop(self, agent: str, interaction: str, leg: str) -> None:
        """One guest leaves. Raises NotAllowed: no_guest."""
        live = self._mine(agent, interaction)
        guest = live.guests.get(leg)
        if guest is None or guest.purpose != CONSULT:
            raise NotAllowed("no_guest")
        self._let_go(live, guest)

    def complete(self, agent: str, interaction: str) -> None:
        """The customer goes on with the guest, the agent wraps up. Raises NotAllowed: no_guest."""
        live = self._mine(agent, interaction)
        self.hand_over(live, self._guest(live))

    def transfer(self, agent: str, interaction: str, target: Target) -> None:
        """Send the customer on at once. Raises NotAllowed: as `consult`, and unknown_queue, queue_closed,
        queue_full, agent_not_ready."""
        live = self._mine(agent, interaction)
        if target.queue:
            self._open_queue(target.queue)
            self._requeue(live, "transfer", target.queue)
        elif target.agent:
            self._may_ring(agent, target)
            view = self._host.engine.agent_view(target.agent)
            if view is None or view.state != IDLE:
                raise NotAllowed("agent_not_ready")
            self._requeue(live, "transfer", live.queue, target.agent)
        else:
            self._may_ring(agent, target)
            self._to_number(live, target, agent)

    def park(self, agent: str, interaction: str) -> None:
        """The customer waits with music until somebody takes them."""
        live = self._mine(agent, interaction)
        released = self._release(live, "park")
        self._host.submit(*released, f.InteractionParked(live.id, agent, self._now()))
        self._music(live)
        self._arm_parked(live)

    def take(self, agent: str, interaction: str) -> None:
        """A parked call is offered to this agent. Raises NotAllowed: not_parked, agent_not_ready."""
        live = self._host.book.interactions.get(interaction)
        if live is None or live.state != PARKED:
            raise NotAllowed("not_parked")
        view = self._host.engine.agent_view(agent)
        if view is None or view.state != IDLE:
            raise NotAllowed("agent_not_ready")
        self.offer_to(live, agent)

    def bring(self, agent: str, interaction: str, parked: str) -> None:
        """A parked customer joins the conversation, wherever their leg lives: a leg between the workers carries the
        sound. Raises NotAllowed: call_over, not_parked, already_ringing, too_many."""
        live, other = self._mine(agent, interaction), self._host.book.interactions.get(parked)
        if other is None or other.state != PARKED:
            raise NotAllowed("not_parked")
        if any(not guest.joined for guest in live.guests.values()):
            raise NotAllowed("already_ringing")
        if len(live.guests) >= _MOST_GUESTS:
            raise NotAllowed("too_many")
        token, leg = secrets.token_hex(16), self._ids.next("l")
        self._voice.command(
            other.worker, "on", other.leg, then={"on_peer_gone": "music", "on_peer_lost": "music"}
        )
        self._voice.command(
            other.worker,
            "expect",
            other.leg,
            token=token,
            members={other.leg: TALK},
            mode=TALK,
            tag={"interaction": other.id, "role": "guest", "link": live.id},
        )
        self._host.submit(f.GuestDialled(live.id, leg, LINK, other.id, CONSULT, agent, self._now()))
        everybody = {one: TALK if mode == HOLD else mode for one, mode in self.present(live).items()}
        self._voice.command(
            live.worker,
            "dial",
            leg,
            uri=f"sip:meet-{token}@{self._voice.address(other.worker)}",
            direct=True,
            ring_s=_LINK_S,
            max_s=self._max_call_s,
            tag={"interaction": live.id, "role": "guest", "link": other.id},
            on_answer={"room": live.leg, "members": {**everybody, leg: TALK}},
            then={"on_peer_gone": "hangup", "on_peer_lost": "hangup"},
        )

    def parked(self) -> list[Interaction]:
        return [live for live in self._host.book.interactions.values() if live.state == PARKED]

    # --- what the worker says --------------------------------------------------------------------

    def room_changed(self, live: Interaction, members: Mapping[str, str], at_ms: int) -> None:
        """Who is in the conversation now, and how."""
        joined: list[AnyFact] = []
        if live.state == CALLING and live.leg in members:
            joined.append(f.InteractionAnswered(live.id, live.contact, "", live.agent, live.agent_leg, at_ms))
            if self._unrecorded.pop(live.id, False):
                joined += self._offers.unrecorded(live)
        joined += [
            f.GuestJoined(live.id, leg, at_ms)
            for leg, guest in live.guests.items()
            if leg in members and not guest.joined
        ]
        for leg in members:
            if live.state == PARKED and leg not in live.guests and leg != live.leg:
                # a leg of another worker that was expected here; in any other state it is one who has left since
                joined += [
                    f.GuestDialled(live.id, leg, LINK, "", CONSULT, "", at_ms),
                    f.GuestJoined(live.id, leg, at_ms),
                    f.GuestTookOver(live.id, leg, "", "", at_ms),
                ]
        if self._asked.get(live.id) == dict(members):
            del self._asked[live.id]
        legs, modes = tuple(members), tuple(members.values())
        self._host.submit(*joined, f.ModesChanged(live.id, legs, modes, at_ms))

    def ended(self, interaction: str) -> None:
        """Nothing is owed to it any more."""
        self._asked.pop(interaction, None)
        self._rung.pop(interaction, None)
        self._unrecorded.pop(interaction, None)

    def guest_ended(self, live: Interaction, fact: Mapping[str, Any], at_ms: int) -> None:
        """A guest hung up, did not answer, or was let go."""
        guest = live.guests[fact["leg"]]
        cause = fact["why"] or ("normal" if guest.joined else "not_answered")
        facts: list[AnyFact] = [f.GuestLeft(live.id, guest.leg, cause, at_ms), *self._free(guest)]
        waits_for_it = live.state == OUTSIDE and guest.purpose == TRANSFER and not guest.joined
        if waits_for_it or (live.state == OUTSIDE and guest.kind == LINK):
            facts += self._arrives(live, live.queue)
        self._host.submit(*facts)
        if not guest.joined and guest.purpose == CONSULT and live.state == TALKING:
            self._voice.command(live.worker, "stop", live.agent_leg)

    def offer_to(self, live: Interaction, agent: str) -> None:
        """A customer who waits or is parked rings at this agent next."""
        if live.callback:
            self._host.submit(rf.ContactAssigned(live.contact, agent))
            return
        before: list[AnyFact] = []
        if live.state == WAITING:
            before.append(rf.ContactAbandoned(live.contact, self._now()))
        self._host.submit(*before, *self._arrives(live, live.queue, agent))

    def move(self, live: Interaction, queue: str) -> None:
        """A waiting customer waits in another queue, as long as since the first time."""
        if live.callback:
            self._host.submit(rf.ContactMoved(live.contact, queue, self._now()))
            return
        left = rf.ContactAbandoned(live.contact, self._now())
        self._host.submit(left, *self._arrives(live, queue))

    def agent_left(self, live: Interaction) -> bool:
        """The agent's phone hung up; True where a guest goes on with the customer (a desk phone's way to
        complete a transfer)."""
        guest = self._joined(live)
        if live.state == CALLING:
            self._give_up_call(live, [self._rung.get(live.id, "")])
            return True
        if guest is None or live.state != TALKING:
            for ringing in live.guests.values():
                self._let_go(live, ringing)  # whoever answers now would find nobody
            freed = self.freed(live)
            if live.callee and freed:
                self._host.submit(*freed)
            return False
        self.hand_over(live, guest, here=False)
        return True

    def over(self, live: Interaction) -> None:
        """The customer is gone: nobody stays behind. Before the end is a fact."""
        alone = live.guests or live.state == CALLING
        legs = [*live.guests, *([live.agent_leg] if alone and live.agent_leg else [])]
        for leg in legs:
            self._voice.command(live.worker, "hangup", leg, why="peer_gone")
        freed = self.freed(live)
        if freed:
            self._host.submit(*freed)

    def freed(self, live: Interaction) -> list[AnyFact]:
        """The facts that its guests, agents all, are ready again."""
        agents = [guest.who for guest in live.guests.values() if guest.kind == AGENT]
        return [fact for agent in [*agents, live.callee] for fact in self._free_again(agent)]

    # --- after a start ---------------------------------------------------------------------------

    def adopt_call(self, live: Interaction, legs: Mapping[str, Any]) -> None:
        """A call of ours that was not answered when the core stopped: it rings on, has come through, or is over. An
        inventory may be older than what this core has commanded since."""
        if parse_id(live.agent_leg)[1] >= self._host.epoch or live.id in self._rung:
            return
        if live.agent_leg not in legs:
            self._give_up_call(live, legs)
            return
        if live.leg not in legs:
            if legs[live.agent_leg]["state"] == "answered":
                self.agent_answered(live, live.agent_leg)
            return
        self._rung[live.id] = live.leg
        for leg in (live.agent_leg, live.leg):
            members = legs[leg].get("room") or {}
            if live.leg in members:
                self.room_changed(live, members, self._now())

    def adopt(self, live: Interaction, legs: Mapping[str, Any]) -> None:
        """Guests whom the worker does not know any more have left; parked calls have their time again."""
        for guest in list(live.guests.values()):
            if guest.leg not in legs:
                self.guest_ended(live, {"leg": guest.leg, "why": "gone"}, self._now())
        members = {leg: mode for leg, mode in (legs[live.leg].get("room") or {}).items() if leg in legs}
        if members and members != self.present(live):
            self.room_changed(live, members, self._now())
        if live.state == PARKED:
            self._arm_parked(live)
        elif live.state == OUTSIDE and not live.guests:
            self._host.submit(*self._arrives(live, live.queue))

    # --- how -------------------------------------------------------------------------------------

    def _mine(self, agent: str, interaction: str) -> Interaction:
        live = self._host.book.interactions.get(interaction)
        if live is None or live.agent != agent or live.state != TALKING:
            raise NotAllowed("call_over")
        return live

    def _now(self) -> int:
        return self._host.clock.now_ms()

    def present(self, live: Interaction) -> dict[str, str]:
        """Everybody in the conversation and their modes, the customer first, then the agent."""
        known = {**live.modes, **self._asked.get(live.id, {})}
        members = {live.leg: known.get(live.leg, TALK)}
        if live.agent_leg:
            members[live.agent_leg] = known.get(live.agent_leg, TALK)
        for leg, guest in live.guests.items():
            if guest.joined:
                members[leg] = known.get(leg, TALK)
        return members

    def _listeners(self, live: Interaction) -> dict[str, str]:
        return {
            leg: mode
            for leg, mode in self.present(live).items()
            if leg in live.guests and self._watches(live, leg)
        }

    @staticmethod
    def _watches(live: Interaction, leg: str) -> bool:
        return live.guests[leg].purpose not in (CONSULT, TRANSFER)

    def set_modes(self, live: Interaction, changes: Mapping[str, str]) -> None:
        self._room(live, {**self.present(live), **changes})

    def not_done(self, live: Interaction) -> None:
        """The worker could not do what was commanded: what it says of the room counts again."""
        self._asked.pop(live.id, None)

    def _room(self, live: Interaction, members: Mapping[str, str]) -> None:
        self._asked[live.id] = dict(members)
        self._voice.command(live.worker, "room", live.leg, members=dict(members))

    def _joined(self, live: Interaction) -> Guest | None:
        """The guest who came last of those who are in the conversation and no listeners."""
        found = [guest for leg, guest in live.guests.items() if guest.joined and not self._watches(live, leg)]
        return found[-1] if found else None

    def _guest(self, live: Interaction) -> Guest:
        guest = self._joined(live)
        if guest is None:
            raise NotAllowed("no_guest")
        return guest

    def _may_ring(self, agent: str, target: Target) -> None:
        if target.number:
            if not _NUMBER.fullmatch(target.number):
                raise NotAllowed("bad_number")
            return
        view = self._host.engine.agent_view(target.agent)
        if target.agent == agent:
            raise NotAllowed("itself")
        if view is None or self._offers.seat(target.agent) is None:
            raise NotAllowed("unknown_agent")
        if view.state == LOGGED_OUT:
            raise NotAllowed("agent_not_here")
        if view.state not in (IDLE, NOT_READY) or self._host.book.consulting(target.agent):
            raise NotAllowed("agent_busy")

    def _open_queue(self, queue: str) -> None:
        engine = self._host.engine
        policy = engine.policy.queues.get(queue)
        if policy is None:
            raise NotAllowed("unknown_queue")
        if not engine.is_open(queue):
            raise NotAllowed("queue_closed")
        if policy.max_waiting and engine.queue_view(queue)[0] >= policy.max_waiting:
            raise NotAllowed("queue_full")

    def _ring(self, live: Interaction, target: Target, purpose: str, by: str, *before: AnyFact) -> str:
        """The fact that somebody is rung; answers the leg."""
        leg, who = self._ids.next("l"), target.agent
        if target.number:
            person = self._host.private.person_of(target.number)
            who = self._host.private.put(person, f"{live.id}.{leg}", target.number)
        kind = AGENT if target.agent else NUMBER
        dialled = f.GuestDialled(live.id, leg, kind, who, purpose, by, self._now())
        self._host.submit(*before, dialled, *self._taken_up(target.agent))
        return leg

    def _taken_up(self, agent: str) -> list[AnyFact]:
        """A colleague who is rung is offered nothing meanwhile."""
        view = self._host.engine.agent_view(agent) if agent else None
        return [rf.AgentNotReady(agent, IN_CONSULT)] if view is not None and view.state == IDLE else []

    def _queue_of(self, agent: str) -> str:
        """The first queue that this agent serves; the first of all where they serve none."""
        policy = self._host.engine.policy
        own = policy.agents.get(agent)
        for name, queue in policy.queues.items():
            if own is not None and satisfies(own.skills, queue.skills):
                return name
        return next(iter(policy.queues), "")

    def _give_up_call(self, live: Interaction, legs: Collection[str]) -> None:
        """The agent hung up, or was not reached, before the other side answered. `legs`: those that are there."""
        at_ms = self._now()
        for leg in (live.leg, live.agent_leg):
            if leg in legs:
                self._voice.command(live.worker, "hangup", leg, why="agent")
        again = self.call_again(live, at_ms)
        if again:
            self._host.submit(*again, *self.freed(live))
            return
        ended = f.InteractionEnded(live.id, "not_reached", "agent", "agent", at_ms, live.queue, 0)
        self._host.submit(ended, rf.ContactEnded(live.contact, at_ms), *self.freed(live))

    def _dial(self, live: Interaction, leg: str, target: Target, members: Mapping[str, str], by: str) -> None:
        device = f"tel:{target.number}"
        if target.agent:
            seat = self._offers.seat(target.agent)
            device = seat.device if seat is not None else ""
        self._voice.command(
            live.worker,
            "dial",
            leg,
            **self._offers.call_to(device, live),
            ring_s=_RING_S,
            max_s=self._max_call_s,
            tag={"interaction": live.id, "role": "guest", "agent": target.agent, "by": by},
            on_answer={"room": live.leg, "members": dict(members)},
            then={"on_peer_gone": "hangup", "on_peer_lost": "hangup"},
        )

    def _let_go(self, live: Interaction, guest: Guest) -> None:
        self._voice.command(live.worker, "hangup", guest.leg, why="let_go")

    def _free(self, guest: Guest) -> list[AnyFact]:
        """An agent who was ready before they were asked in is ready again."""
        return self._free_again(guest.who) if guest.kind == AGENT else []

    def _free_again(self, agent: str) -> list[AnyFact]:
        view = self._host.engine.agent_view(agent) if agent else None
        asked_in = view is not None and view.state == NOT_READY and view.reason == IN_CONSULT
        return [rf.AgentReady(agent)] if asked_in else []

    def _release(self, live: Interaction, why: str) -> list[AnyFact]:
        """Part the agent from the customer; the facts of it, to be submitted with what comes next."""
        for guest in list(live.guests.values()):
            self._voice.command(live.worker, "hangup", guest.leg, why="let_go")
        self._voice.command(live.worker, "unbridge", live.leg)
        self._voice.command(live.worker, "hangup", live.agent_leg, why=why)
        return self._released(live, why)

    def _released(self, live: Interaction, why: str) -> list[AnyFact]:
        at_ms = self._now()
        self._asked.pop(live.id, None)
        return [f.AgentReleased(live.id, live.agent, why, at_ms), rf.ContactEnded(live.contact, at_ms)]

    def _arrives(self, live: Interaction, queue: str, agent: str = "") -> list[AnyFact]:
        """Waiting again, as long as since the first time. Who was taken in once is not turned away because the queue
        has been closed, or is full, since."""
        at_ms, contact = self._now(), self._ids.next("c")
        since_ms = live.queued_at_ms or live.arrived_at_ms
        policy = self._host.engine.policy
        known = policy.queues.get(queue)
        arrived: AnyFact = rf.ContactArrived(contact, queue, at_ms, max(0, at_ms - since_ms), agent)
        if known is not None and not agent:
            deadline_ms = since_ms + known.target_ms - known.priority * policy.priority_step_ms
            arrived = rf.ContactAdopted(contact, queue, at_ms, deadline_ms)
        return [f.InteractionQueued(live.id, contact, queue, at_ms), arrived]

    def wait_again(self, live: Interaction) -> None:
        """In the queue it was in, as long as since the first time."""
        self._host.submit(*self._arrives(live, live.queue))

    def _requeue(self, live: Interaction, why: str, queue: str, agent: str = "") -> None:
        released = self._release(live, why)
        self._host.submit(*released, *self._arrives(live, queue, agent))

    def _to_number(self, live: Interaction, target: Target, agent: str) -> None:
        released = self._release(live, "transfer")
        leg = self._ring(live, target, TRANSFER, agent, *released)
        self._host.submit(f.GuestTookOver(live.id, leg, "", "", self._now()))
        self._voice.command(live.worker, "music", live.leg, file=self._ringback)
        self._dial(live, leg, target, {live.leg: TALK, leg: TALK}, agent)

    def hand_over(self, live: Interaction, guest: Guest, here: bool = True) -> None:
        """The customer goes on with this guest. `here`: the agent's leg is still in the room."""
        agent_leg, queue, arrived_ms = live.agent_leg, live.queue, live.queued_at_ms or live.arrived_at_ms
        members = {leg: mode for leg, mode in self.present(live).items() if leg != agent_leg}
        self._room(live, {**members, live.leg: TALK, guest.leg: TALK})
        if here:
            self._voice.command(live.worker, "hangup", agent_leg, why="hand_over")
        at_ms = self._now()
        taken: list[AnyFact] = [f.GuestTookOver(live.id, guest.leg, "", "", at_ms)]
        if guest.kind == AGENT:
            contact = self._ids.next("c")
            taken = [
                f.GuestTookOver(live.id, guest.leg, guest.who, contact, at_ms),
                rf.ContactAdopted(contact, queue, arrived_ms, at_ms, guest.who),
            ]
        recording = self._offers.recording(live)
        missed = self._offers.unrecorded(live) if recording is None else []
        self._host.submit(*self._released(live, "hand_over"), *taken, *missed)
        if recording is not None:
            self._voice.command(live.worker, "record", live.leg, record=recording)

    def _music(self, live: Interaction) -> None:
        self._voice.command(live.worker, "music", live.leg)

    def _arm_parked(self, live: Interaction) -> None:
        interaction = live.id

        def back() -> None:
            self._parked_until.pop(interaction, None)
            found = self._host.book.interactions.get(interaction)
            if found is not None and found.state == PARKED:
                self._host.submit(*self._arrives(found, found.queue))

        earlier = self._parked_until.pop(interaction, None)
        if earlier is not None:
            earlier.cancel()
        self._parked_until[interaction] = self._scheduler.after(PARKED_S * 1000, back)
