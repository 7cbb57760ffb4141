"""What a supervisor may do with other people's calls and states: listen, whisper, barge, take over, set a state,
give a waiting customer to somebody. Each use is a fact, for the audit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from callcenter.kernel.errors import NotAllowed
from callcenter.kernel.ids import IdFactory
from callcenter.live import facts as f
from callcenter.live.book import PARKED, RINGING, SUPERVISOR, TALKING, WAITING, Guest, Interaction
from callcenter.live.control import TALK, CallControl
from callcenter.live.host import AnyFact, Host
from callcenter.live.offers import Offers
from channels.base import VoiceCommands
from routing import facts as rf
from routing.state import IDLE, LOGGED_OUT

LISTEN, WHISPER, BARGE = "listen", "whisper", "barge"
WATCHES = (LISTEN, WHISPER, BARGE)
READY, NOT_READY, OUT = "ready", "not_ready", "logged_out"
STAY, MOVE, FLOW = "stay", "move", "flow"
BY_SUPERVISOR = "supervisor"
_RING_S = 25


class Supervision:
    def __init__(
        self,
        host: Host,
        voice: VoiceCommands,
        offers: Offers,
        control: CallControl,
        ids: IdFactory,
        max_call_s: int,
    ) -> None:
        self._host, self._voice, self._offers = host, voice, offers
        self._control, self._ids, self._max_call_s = control, ids, max_call_s
        self.refuse: Callable[[str, str], bool] = lambda _interaction, _reason: False
        """lets the flow of a waiting customer go on; False where there is none"""
        self.has_flow: Callable[[str], bool] = lambda _interaction: False
        self.look_at_hours: Callable[[], None] = lambda: None

    def watch(self, supervisor: str, interaction: str, how: str) -> None:
        """Ring the supervisor's device and let them in; who is in already changes the way.

        listen: hears all. whisper: the agent alone hears them. barge: everybody does. Raises NotAllowed: call_over,
        unknown_mode, no_device, already_ringing."""
        live = self._talking(interaction)
        if how not in WATCHES:
            raise NotAllowed("unknown_mode")
        mode = self._mode(live, how)
        guest = self._guest_of(live, supervisor)
        if guest is not None and not guest.joined:
            raise NotAllowed("already_ringing")
        self._audit(supervisor, how, live.id, live.agent)
        if guest is not None:
            self._control.set_modes(live, {guest.leg: mode})
            return
        seat = self._offers.seat(supervisor)
        if seat is None or not seat.device:
            raise NotAllowed("no_device")
        leg = self._ids.next("l")
        at_ms = self._host.clock.now_ms()
        self._host.submit(f.GuestDialled(live.id, leg, SUPERVISOR, supervisor, how, supervisor, at_ms))
        self._voice.command(
            live.worker,
            "dial",
            leg,
            **self._offers.call_to(seat.device, live),
            ring_s=_RING_S,
            max_s=self._max_call_s,
            tag={"interaction": live.id, "role": "guest", "agent": "", "by": supervisor},
            on_answer={"room": live.leg, "members": {**self._control.present(live), leg: mode}},
            then={"on_peer_gone": "hangup", "on_peer_lost": "hangup"},
        )

    def leave(self, supervisor: str, interaction: str) -> None:
        """Raises NotAllowed: call_over where they are not in it."""
        live = self._host.book.interactions.get(interaction)
        guest = self._guest_of(live, supervisor) if live is not None else None
        if live is None or guest is None:
            raise NotAllowed("call_over")
        self._voice.command(live.worker, "hangup", guest.leg, why="let_go")

    def take_over(self, supervisor: str, interaction: str) -> None:
        """The customer goes on with the supervisor, the agent wraps up. Raises NotAllowed: call_over, no_guest."""
        live = self._talking(interaction)
        guest = self._guest_of(live, supervisor)
        if guest is None or not guest.joined:
            raise NotAllowed("no_guest")
        self._audit(supervisor, "take_over", live.id, live.agent)
        self._control.hand_over(live, guest)

    def set_state(self, supervisor: str, agent: str, state: str) -> None:
        """Who is busy changes when the work is done. Raises NotAllowed: unknown_agent, unknown_state."""
        if self._host.engine.agent_view(agent) is None:
            raise NotAllowed("unknown_agent")
        facts: dict[str, AnyFact] = {
            READY: rf.AgentReady(agent),
            NOT_READY: rf.AgentNotReady(agent, BY_SUPERVISOR),
            OUT: rf.AgentLoggedOut(agent, BY_SUPERVISOR),
        }
        if state not in facts:
            raise NotAllowed("unknown_state")
        self._host.submit(self._taken(supervisor, f"state_{state}", agent, ""), facts[state])

    def assign(self, supervisor: str, interaction: str, agent: str) -> None:
        """A waiting or parked customer is offered to this agent next. Raises NotAllowed: not_waiting,
        unknown_agent, agent_not_ready."""
        live = self._host.book.interactions.get(interaction)
        view = self._host.engine.agent_view(agent)
        if live is None or live.state not in (WAITING, PARKED):
            raise NotAllowed("not_waiting")
        if view is None or view.state == LOGGED_OUT:
            raise NotAllowed("unknown_agent")
        if view.state != IDLE:
            raise NotAllowed("agent_not_ready")
        self._audit(supervisor, "assign", live.id, agent)
        self._control.offer_to(live, agent)

    def close_queue(self, supervisor: str, queue: str, then: str, to: str = "") -> int:
        """Close a queue until it is reopened by hand; answers how many people were in it.

        then: stay (they are served yet), move (they wait in `to`), flow (their flow goes on as when it is closed: it
        may take a message). Raises NotAllowed: unknown_queue, unknown_way, queue_closed."""
        policy = self._host.engine.policy
        if queue not in policy.queues or (then == MOVE and to not in policy.queues):
            raise NotAllowed("unknown_queue")
        if then not in (STAY, MOVE, FLOW):
            raise NotAllowed("unknown_way")
        if then == MOVE and (to == queue or not self._host.engine.is_open(to)):
            raise NotAllowed("queue_closed")
        at_ms = self._host.clock.now_ms()
        facts: list[AnyFact] = [f.QueueShut(queue, supervisor, at_ms)]
        if self._host.engine.is_open(queue):
            facts.append(rf.QueueClosed(queue))
        self._host.submit(*facts, self._taken(supervisor, "close_queue", queue, f"{then} {to}".strip()))
        waiting = [
            live
            for live in self._host.book.interactions.values()
            if live.queue == queue and live.state in (WAITING, RINGING)
        ]
        for live in sorted(waiting, key=lambda one: one.queued_at_ms):
            if then == MOVE:
                self._control.move(live, to)
            elif then == FLOW:
                self._back_to_flow(live)
        return len(waiting)

    def open_queue(self, supervisor: str, queue: str) -> None:
        """Raises NotAllowed: unknown_queue, not_closed."""
        if queue not in self._host.engine.policy.queues:
            raise NotAllowed("unknown_queue")
        if queue not in self._host.book.shut:
            raise NotAllowed("not_closed")
        at_ms = self._host.clock.now_ms()
        self._host.submit(
            f.QueueReopened(queue, supervisor, at_ms), self._taken(supervisor, "open_queue", queue, "")
        )
        self.look_at_hours()

    def announce(self, supervisor: str, words: Mapping[str, str]) -> None:
        """Everybody who calls from now on hears this first, in their language; no words end it. Raises NotAllowed:
        no_announcement where none is to be ended."""
        said = {language: text.strip() for language, text in words.items() if text.strip()}
        if not said and not self._host.book.announcement:
            raise NotAllowed("no_announcement")
        at_ms, ref = self._host.clock.now_ms(), ""
        if said:
            private = self._host.private
            text = json.dumps(said, ensure_ascii=False, sort_keys=True)
            ref = private.put(private.person_of("announcement"), f"announcement-{at_ms}", text)
        action = "announce" if said else "end_announcement"
        self._host.submit(f.AnnouncementSet(ref, supervisor, at_ms), self._taken(supervisor, action, "", ""))

    def announcement(self) -> dict[str, str]:
        """What callers hear first now, by language."""
        text = self._host.private.get(self._host.book.announcement)
        found: dict[str, str] = json.loads(text) if text else {}
        return found

    def _back_to_flow(self, live: Interaction) -> None:
        """As if the queue had not taken them; where no flow can go on they stay."""
        if self.has_flow(live.id):
            self._host.submit(rf.ContactAbandoned(live.contact, self._host.clock.now_ms()))
            self.refuse(live.id, "closed")

    def _talking(self, interaction: str) -> Interaction:
        live = self._host.book.interactions.get(interaction)
        if live is None or live.state != TALKING:
            raise NotAllowed("call_over")
        return live

    @staticmethod
    def _guest_of(live: Interaction, supervisor: str) -> Guest | None:
        mine = [g for g in live.guests.values() if g.kind == SUPERVISOR and g.who == supervisor]
        return mine[0] if mine else None

    @staticmethod
    def _mode(live: Interaction, how: str) -> str:
        return {LISTEN: "listen", WHISPER: f"whisper:{live.agent_leg}", BARGE: TALK}[how]

    def _taken(self, by: str, action: str, subject: str, detail: str) -> f.ActionTaken:
        return f.ActionTaken(by, action, subject, detail, self._host.clock.now_ms())

    def _audit(self, by: str, action: str, subject: str, detail: str) -> None:
        self._host.submit(self._taken(by, action, subject, detail))
