"""Agents: presence, work in their hands, and the summary state that everybody sees."""

from __future__ import annotations

from collections.abc import Callable

from routing import capacity
from routing import facts as f
from routing.commands import AgentChanged, LimitPassed, PauseContact, ResumeContact
from routing.ledger import Ledger
from routing.policy import AgentPolicy, satisfies
from routing.state import (
    AGENT_TRANSITIONS,
    AWAY,
    CONNECTED,
    IDLE,
    LOGGED_OUT,
    NOT_READY,
    OFFERED,
    SHOWN,
    WRAP_UP,
    Agent,
    Contact,
    Work,
)

_LONGEST = 10**9


class Seats:
    def __init__(self, ledger: Ledger) -> None:
        self._l = ledger
        self.serve: Callable[[Agent], None] = lambda _agent: None
        """an agent became free: offer them something"""
        self.lapse: Callable[[Agent], None] = lambda _agent: None
        """an agent is no longer there: nobody waits for them any more"""
        self._empty: dict[tuple[object, int], tuple[str, ...]] = {}
        self.end_offer: Callable[[str, str], None] = lambda _offer, _reason: None

    # --- policy ------------------------------------------------------------------------------------

    def adopt(self) -> None:
        """Agents of the policy join the table; one that left it goes when their work is done."""
        agents, policy = self._l.t.agents, self._l.policy
        for known in list(agents.values()):
            if known.id not in policy.agents and not known.works:
                if known.state != LOGGED_OUT:
                    self._show(known, LOGGED_OUT, lapses=False)
                del agents[known.id]
        for settings in policy.agents.values():
            agent = agents.setdefault(settings.agent, Agent(settings.agent, settings.skills))
            agent.skills, agent.teams = settings.skills, settings.teams
        self._count_breadth()
        self._empty.clear()
        for agent in agents.values():
            agent.free = self._free(agent)
        self._l.rebuild()

    def _count_breadth(self) -> None:
        """How many queues each can serve: alike for all with the same skills, teams and media."""
        policy = self._l.policy
        known: dict[tuple[object, object, object], int] = {}
        for agent in self._l.t.agents.values():
            settings = policy.agents.get(agent.id)
            capacity = settings.capacity if settings is not None else ()
            media = tuple(medium for medium, most in capacity if most > 0)
            key = (agent.skills, agent.teams, media)
            if key not in known:
                known[key] = sum(
                    1
                    for queue in policy.queues.values()
                    if queue.medium in media
                    and satisfies(agent.skills, queue.skills)
                    and (not queue.teams or any(team in queue.teams for team in agent.teams))
                )
            agent.breadth = known[key]

    # --- facts -------------------------------------------------------------------------------------

    def logged_in(self, fact: f.AgentLoggedIn) -> None:
        agent = self._l.agent(fact, fact.agent)
        if agent is None:
            return
        if agent.state == LOGGED_OUT:
            self._come(agent)
            self._show(agent, NOT_READY, "logged_in")
        elif agent.next_state == LOGGED_OUT:
            self._stay(agent)

    def logged_out(self, fact: f.AgentLoggedOut) -> None:
        agent = self._l.agent(fact, fact.agent)
        if agent is None or agent.state == LOGGED_OUT:
            return
        if not agent.works:
            self._show(agent, LOGGED_OUT, fact.reason)
            return
        self._leave(agent, LOGGED_OUT, fact.reason)
        wrapped = [work for work in agent.works.values() if work.state == WRAP_UP]
        for work in wrapped:
            del agent.works[work.contact]
        offered = [work.offer for work in agent.works.values() if work.state == OFFERED]
        for offer in offered:
            self.end_offer(offer, "agent_left")
        if not offered and wrapped:
            self.freed(agent)

    def ready(self, fact: f.AgentReady) -> None:
        agent = self._l.agent(fact, fact.agent)
        if agent is None:
            return
        if agent.id not in self._l.policy.agents:
            self._l.reject(fact, agent.id, "left_policy")
            return
        was_leaving = agent.leaving
        agent.next_state = agent.next_reason = ""
        wrapped = [work.contact for work in agent.works.values() if work.state == WRAP_UP]
        for contact in wrapped:
            del agent.works[contact]
        if agent.state in AWAY:
            if agent.state == LOGGED_OUT:
                self._come(agent)
            self._become_idle(agent)
        elif wrapped:
            self.freed(agent)
        elif was_leaving:
            self._free_again(agent)

    def not_ready(self, fact: f.AgentNotReady) -> None:
        agent = self._l.agent(fact, fact.agent)
        if agent is None:
            return
        if self._too_many(agent, fact.reason):
            self._l.reject(fact, agent.id, "too_many")
        elif agent.works:
            self._leave(agent, NOT_READY, fact.reason)
        else:
            self._show(agent, NOT_READY, fact.reason)

    def _too_many(self, agent: Agent, reason: str) -> bool:
        limits = self._l.policy.reasons.get(reason)
        if limits is None or not limits.at_once:
            return False
        others = sum(
            1
            for other in self._l.t.agents.values()
            if other is not agent
            and (
                (other.state == NOT_READY and other.reason == reason)
                or (other.next_state == NOT_READY and other.next_reason == reason)
            )
        )
        return others >= limits.at_once

    def wrap_up_ended(self, fact: f.WrapUpEnded) -> None:
        agent = self._l.agent(fact, fact.agent)
        if agent is None:
            return
        over = [
            work.contact
            for work in agent.works.values()
            if work.state == WRAP_UP and fact.contact in ("", work.contact)
        ]
        for contact in over:
            del agent.works[contact]
        if over:
            self.freed(agent)

    def wrap_up_extended(self, fact: f.WrapUpExtended) -> None:
        agent = self._l.agent(fact, fact.agent)
        if agent is None:
            return
        work = next((work for work in agent.works.values() if work.state == WRAP_UP), None)
        if work is None:
            self._l.reject(fact, agent.id, "not_wrapping_up")
            return
        until_ms = min(work.until_ms + fact.extra_ms, work.begun_ms + self._l.policy.wrap_up_max_ms)
        if fact.extra_ms <= 0 or until_ms <= work.until_ms:
            self._l.reject(fact, agent.id, "longest" if fact.extra_ms > 0 else "not_positive")
            return
        work.until_ms = until_ms
        self._l.arm(until_ms, "agent", f"{agent.id}\0{work.contact}")
        self._settle(agent)

    def due(self, subject: str) -> None:
        """A pause or a wrap-up is over."""
        agent_id, _, contact = subject.partition("\0")
        agent = self._l.t.agents[agent_id]
        if contact:
            del agent.works[contact]
        self.freed(agent)

    def limit_passed(self, agent_id: str) -> None:
        agent = self._l.t.agents[agent_id]
        agent.limit_said = True
        self._l.say(LimitPassed(agent.id, agent.reason, agent.since_ms))

    # --- work --------------------------------------------------------------------------------------

    def take(self, agent: Agent, work: Work) -> None:
        """Something is offered to the agent, or a live call is theirs: the last begun, even if they wrap it up."""
        agent.works.pop(work.contact, None)
        agent.works[work.contact] = work
        self._settle(agent)

    def answered(self, agent: Agent, contact: str) -> None:
        work = agent.works[contact]
        work.state, work.offer, agent.missed = CONNECTED, "", 0
        paused = self._pause_for(agent, work)
        self._settle(agent)
        for other in paused:
            self._l.say(PauseContact(other.contact, agent.id, contact))
        self._free_again(agent)

    def _pause_for(self, agent: Agent, work: Work) -> list[Work]:
        media = self._l.policy.media
        paused = [
            other
            for other in agent.works.values()
            if other is not work and capacity.yields(other, work.medium, media)
        ]
        for other in paused:
            other.paused, other.pause_order = True, self._l.next_order()
        return paused

    def after_contact(self, agent: Agent, contact: str) -> None:
        """The conversation is over; the agent wraps up, if their policy says so."""
        settings = self._l.policy.agents.get(agent.id)
        wrap_up_ms = settings.wrap_up_ms if settings else 0
        if not wrap_up_ms:
            self.drop(agent, contact)
            return
        work, now = agent.works[contact], self._l.now
        work.state, work.begun_ms, work.until_ms, work.paused = WRAP_UP, now, now + wrap_up_ms, False
        self._l.arm(work.until_ms, "agent", f"{agent.id}\0{contact}")
        self._settle(agent)

    def drop(self, agent: Agent, contact: str, keep_place: bool = False) -> None:
        """The contact is out of the agent's hands. `keep_place`: they did nothing and stay as long free as before."""
        del agent.works[contact]
        self.freed(agent, keep_place)

    def freed(self, agent: Agent, keep_place: bool = False) -> None:
        """Something ended; what was asked for meanwhile takes effect with the last of it."""
        self._resume(agent)
        if agent.works:
            self._settle(agent)
            self._free_again(agent, keep_place)
            return
        wanted, reason = agent.next_state, agent.next_reason
        agent.next_state = agent.next_reason = ""
        if agent.id not in self._l.policy.agents:
            self._show(agent, LOGGED_OUT)
            del self._l.t.agents[agent.id]
            self._l.rebuild()
        elif wanted:
            self._show(agent, wanted, reason)
        else:
            self._become_idle(agent, keep_place)

    def _resume(self, agent: Agent) -> None:
        paused = [work for work in agent.works.values() if work.paused]
        if not paused:
            return
        settings = self._settings(agent)
        for work in sorted(paused, key=lambda one: one.pause_order):
            if capacity.fits_again(agent, settings, work, self._l.policy.media):
                work.paused = False
                self._l.say(ResumeContact(work.contact, agent.id))

    def missed(self, agent: Agent, contact: str) -> None:
        del agent.works[contact]
        action, policy = self._l.policy.missed_action, self._l.policy
        if action == "stay_ready" or self._leaves(agent):
            self.freed(agent)
            return
        pause_ms = 0
        if action == "pause":
            agent.missed += 1
            if policy.missed_limit and agent.missed >= policy.missed_limit:
                agent.missed = 0
            else:
                pause_ms = policy.missed_pause_ms
        self._away(agent, "missed", pause_ms)

    def device_failed(self, agent: Agent, contact: str, cause: str) -> None:
        del agent.works[contact]
        pause_ms = self._l.policy.device_pause_ms
        if self._leaves(agent) or not pause_ms:
            self.freed(agent)
        else:
            self._away(agent, f"device_{cause}", pause_ms)

    def _away(self, agent: Agent, reason: str, pause_ms: int) -> None:
        """Not ready, for a while or until they say otherwise; who has other work, after it."""
        if agent.works:
            self._leave(agent, NOT_READY, reason)
            self.freed(agent)
        else:
            until_ms = self._l.now + pause_ms if pause_ms else 0
            self._show(agent, NOT_READY, reason, until_ms)

    def adopt_conversation(self, agent: Agent, contact: Contact, medium: str) -> None:
        """They talk already; wrap-ups are forgotten over it."""
        if agent.state == LOGGED_OUT:
            self._come(agent)
        for work in [work for work in agent.works.values() if work.state == WRAP_UP]:
            del agent.works[work.contact]
        self.take(agent, Work(contact.id, medium, CONNECTED))
        self._free_again(agent)

    def forget_offer(self, agent: Agent, contact: str) -> None:
        """Its offer was withdrawn over a live call; the agent is settled by whoever asked."""
        del agent.works[contact]

    # --- what is shown -----------------------------------------------------------------------------

    def _settings(self, agent: Agent) -> AgentPolicy:
        return self._l.policy.agents.get(agent.id) or AgentPolicy(agent.id, total_load=_LONGEST)

    def _leaves(self, agent: Agent) -> bool:
        return agent.leaving or agent.id not in self._l.policy.agents

    def _come(self, agent: Agent) -> None:
        agent.here_since_ms, agent.busy_ms, agent.busy_since_ms, agent.missed = self._l.now, 0, -1, 0

    def _leave(self, agent: Agent, state: str, reason: str) -> None:
        """Wanted once the present work is done; nothing new meanwhile."""
        there = agent.there
        agent.next_state, agent.next_reason = state, reason
        self._refresh(agent)
        if there:
            self.lapse(agent)

    def _stay(self, agent: Agent) -> None:
        agent.next_state = agent.next_reason = ""
        self._free_again(agent)

    def _become_idle(self, agent: Agent, keep_place: bool = False) -> None:
        if not keep_place:
            self._new_place(agent)
        self._show(agent, IDLE, rekeyed=True)
        self.serve(agent)

    def _new_place(self, agent: Agent) -> None:
        agent.idle_since_ms, agent.idle_order = self._l.now, self._l.next_order()
        agent.occupied, agent.blend_at_ms = agent.occupancy(self._l.now), 0

    def _free_again(self, agent: Agent, keep_place: bool = False) -> None:
        """An agent with work in hand may have room for more."""
        if not self._free(agent):
            self._refresh(agent)
            return
        if not keep_place:
            self._new_place(agent)
        self._refresh(agent, rekeyed=True)
        self.serve(agent)

    def _free(self, agent: Agent) -> tuple[str, ...]:
        settings = self._l.policy.agents.get(agent.id)
        if settings is None or agent.state in AWAY or agent.next_state:
            return ()
        if not agent.works:
            return self._all_free(agent, settings)
        if any(work.state == OFFERED for work in agent.works.values()):
            return ()
        return capacity.free_media(agent, settings, self._l.policy.media)

    def _all_free(self, agent: Agent, settings: AgentPolicy) -> tuple[str, ...]:
        """Of empty hands: the same for all with the same capacity, as long as the policy stays."""
        key = (settings.capacity, settings.total_load)
        found = self._empty.get(key)
        if found is None:
            found = self._empty[key] = capacity.free_media(agent, settings, self._l.policy.media)
        return found

    def _refresh(self, agent: Agent, rekeyed: bool = False) -> None:
        was_free = agent.free
        agent.free = self._free(agent)
        if agent.free != was_free or rekeyed:
            self._l.index.agent_changed(agent, agent.state, was_free, rekeyed)

    def _settle(self, agent: Agent) -> None:
        """The summary follows the work in hand; said where it changed."""
        work = agent.foremost()
        if work is None:
            return
        until_ms = work.until_ms if work.state == WRAP_UP else 0
        shown = (SHOWN[work.state], until_ms, work.contact, work.offer)
        if shown == (agent.state, agent.until_ms, agent.contact, agent.offer):
            self._refresh(agent)
        else:
            self._show(agent, shown[0], "", until_ms, work.contact, work.offer)

    def _show(
        self,
        agent: Agent,
        state: str,
        reason: str = "",
        until_ms: int = 0,
        contact: str = "",
        offer: str = "",
        rekeyed: bool = False,
        lapses: bool = True,
    ) -> None:
        before, there, was_free = agent.state, agent.there, agent.free
        if state not in AGENT_TRANSITIONS[before] and state != before:
            raise ValueError(f"agent {agent.id}: {before} -> {state}")
        now = self._l.now
        agent.state, agent.since_ms, agent.reason = state, now, reason
        agent.until_ms, agent.contact, agent.offer, agent.limit_said = until_ms, contact, offer, False
        agent.token = self._l.next_order()
        self._keep_time(agent)
        if state == NOT_READY:
            self._arm_presence(agent)
        agent.free = self._free(agent)
        self._l.index.agent_changed(agent, before, was_free, rekeyed)
        self._l.say(AgentChanged(agent.id, state, reason, now, until_ms, contact))
        if lapses and there and not agent.there:
            self.lapse(agent)

    def _keep_time(self, agent: Agent) -> None:
        if agent.works and agent.busy_since_ms < 0:
            agent.busy_since_ms = self._l.now
        elif not agent.works and agent.busy_since_ms >= 0:
            agent.busy_ms += self._l.now - agent.busy_since_ms
            agent.busy_since_ms = -1

    def _arm_presence(self, agent: Agent) -> None:
        if agent.until_ms:
            self._l.arm(agent.until_ms, "agent", agent.id, agent.token)
        limits = self._l.policy.reasons.get(agent.reason)
        if limits is not None and limits.limit_ms:
            self._l.arm(self._l.now + limits.limit_ms, "limit", agent.id, agent.token)
