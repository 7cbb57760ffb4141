"""What a supervisor may do with other people's calls and states: listen, whisper, barge, take over, set a state,
give a waiting customer to somebody. Each use is a fact, for the audit."""

from __future__ import annotations

from callcenter.kernel.errors import NotAllowed
from callcenter.kernel.ids import IdFactory
from callcenter.live import facts as f
from callcenter.live.book import PARKED, SUPERVISOR, TALKING, WAITING, Guest, Interaction
from callcenter.live.control import TALK, CallControl
from callcenter.live.host import AnyFact, Host
from callcenter.live.offers import Offers
from channels.base import VoiceCommands
from routing import facts as rf
from routing.state import IDLE, LOGGED_OUT

LISTEN, WHISPER, BARGE = "listen", "whisper", "barge"
WATCHES = (LISTEN, WHISPER, BARGE)
READY, NOT_READY, OUT = "ready", "not_ready", "logged_out"
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
