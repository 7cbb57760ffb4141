"""What people at the seats say: ready, not ready, this is what the call was about."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from callcenter.directory.people import User
from callcenter.kernel.errors import NotAllowed
from callcenter.live.facts import WrapUpSaved
from callcenter.live.host import Host
from routing import facts as rf
from routing.state import LOGGED_OUT, NOT_READY, WRAP_UP

END_OF_DAY = "end_of_day"
NOTE_LIMIT = 2_000


class AgentDesk:
    def __init__(
        self,
        host: Host,
        agents: Mapping[str, User],
        codes: Callable[[], set[str]],
        reasons: Callable[[], set[str]],
    ) -> None:
        self._host, self._agents, self._codes, self._reasons = host, agents, codes, reasons

    def start_of_day(self) -> None:
        """After a start: those who are ready from the start and of whom the journal has no word, or whom the
        end of the last day sent home. Who logged out stays logged out."""
        for login, user in self._agents.items():
            view = self._host.engine.agent_view(login)
            if not user.ready_at_start or view is None or view.state != LOGGED_OUT:
                continue
            if not view.since_ms or view.reason == END_OF_DAY:
                self._host.submit(rf.AgentReady(login))

    def end_of_day(self) -> None:
        """The whole centre stops: nobody is left ready for calls that cannot come."""
        here = [view.id for view in self._host.engine.agent_views() if view.state != LOGGED_OUT]
        if here:
            self._host.submit(*(rf.AgentLoggedOut(agent, END_OF_DAY) for agent in here))

    def log_in(self, agent: str) -> None:
        view = self._host.engine.agent_view(agent)
        if view is not None and view.state == LOGGED_OUT:
            self._host.submit(rf.AgentLoggedIn(agent))

    def log_out(self, agent: str) -> None:
        self._host.submit(rf.AgentLoggedOut(agent))

    def ready(self, agent: str) -> None:
        self._host.submit(rf.AgentReady(agent))

    def not_ready(self, agent: str, reason: str) -> None:
        """Raises NotAllowed: unknown_reason; too_many_away where as many as may be are away for it already."""
        if reason not in self._reasons():
            raise NotAllowed("unknown_reason")
        self._host.submit(rf.AgentNotReady(agent, reason))
        view = self._host.engine.agent_view(agent)
        away = view is not None and view.state == NOT_READY and view.reason == reason
        will_be = view is not None and view.next_state == NOT_READY and view.next_reason == reason
        if not (away or will_be):
            raise NotAllowed("too_many_away")

    def wrap_up(self, agent: str, interaction: str, code: str, note: str, party_ref: str) -> None:
        """Save the form; the agent is free from then on. Raises NotAllowed for an unknown code."""
        if code not in self._codes():
            raise NotAllowed("unknown_code")
        note_ref = ""
        if note.strip():
            person = self._host.private.person_of(self._host.private.get(party_ref) or interaction)
            note_ref = self._host.private.put(person, f"{interaction}.note", note.strip()[:NOTE_LIMIT])
        now_ms = self._host.clock.now_ms()
        saved = WrapUpSaved(interaction, agent, code, note_ref, now_ms)
        view = self._host.engine.agent_view(agent)
        book = self._host.book
        live, written = book.interactions.get(interaction), book.written.open.get(interaction)
        contact = live.contact if live is not None else written.contact if written is not None else ""
        theirs = view is not None and (
            (contact and view.contact == contact) or (live is not None and agent in live.former)
        )
        if view is not None and view.state == WRAP_UP and theirs:
            self._host.submit(saved, rf.WrapUpEnded(agent, now_ms))
        else:
            self._host.submit(saved)
