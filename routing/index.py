"""Indexes for matching: per signature a heap of waiting contacts and one of free agents.

A signature is a set of needs with a way to choose among agents. Entries are never searched for: one that no longer
holds is passed over when it comes to the top, and a heap that carries more dead than living entries is rebuilt.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from routing import capacity
from routing.ordering import MERITS, Grounds
from routing.policy import VOICE, Names, Policy, Skills, Weights, satisfies
from routing.state import WAITING, Agent, Contact, Tables

WaitingEntry = tuple[int, int, int, str]
"""class, virtual deadline, order, contact"""
IdleEntry = tuple[int, int, int, int, str]
"""load, merit, idle since, order, agent"""
_Entry = TypeVar("_Entry", WaitingEntry, IdleEntry)
_SLACK = 64


class Profile(NamedTuple):
    """What makes two contacts alike for matching."""

    needs: Skills
    teams: Names
    medium: str
    strategy: str
    queue: str
    """"" but for strategies that look at it"""
    weights: Weights
    outbound: bool
    blend_after_ms: int
    keep_idle: int


class Signature:
    """One profile, with who waits for it and who could serve it."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.waiting: list[WaitingEntry] = []
        self.sweep_at = _SLACK
        self.idle: list[IdleEntry] = []
        self.eligible = 0
        self.free = 0
        self.states: Counter[str] = Counter()


@dataclass(slots=True)
class Reserved:
    """Contacts that wait for one agent alone."""

    waiting: list[WaitingEntry]


Line = Signature | Reserved


class Index:
    def __init__(self, policy: Policy, tables: Tables) -> None:
        self.rebuild(policy, tables)

    def rebuild(self, policy: Policy, tables: Tables) -> None:
        """Everything anew, from the tables (restore, policy change)."""
        self._policy, self._contacts, self._agents = policy, tables.contacts, tables.agents
        self._learned = tables.learned
        self.signatures: dict[Profile, Signature] = {}
        self._of_agent: dict[str, list[Signature]] = {}
        self._of_contact: dict[tuple[str, int, str, bool], Signature] = {}
        self._reserved: dict[str, Reserved] = {}
        self._usual = self._means()
        self.unripe: list[Agent] = []
        """whose `blend_at_ms` a query has set: the caller arms a timer and clears the list"""
        for agent in self._agents.values():
            self._of_agent[agent.id] = []
        for contact in self._contacts.values():
            if contact.state == WAITING and not contact.held_until_ms:
                self.add_waiting(contact)

    def _means(self) -> dict[str, int]:
        """queue -> mean of what was learned of it"""
        costs: dict[str, list[int]] = {}
        for (_agent, queue), cost in self._learned.items():
            costs.setdefault(queue, []).append(cost)
        return {queue: sum(these) // len(these) for queue, these in costs.items()}

    def of_agent(self, agent: str) -> list[Signature]:
        return self._of_agent.get(agent, [])

    def signature(self, contact: Contact) -> Signature:
        """Of what the contact needs now, whether or not somebody has a reservation."""
        key = (contact.queue, contact.ring, contact.share, contact.explored)
        found = self._of_contact.get(key)
        if found is None or found.profile.needs != contact.needs or found.profile.teams != contact.teams:
            found = self._of_contact[key] = self._signature(self._profile(contact))
        return found

    def _profile(self, contact: Contact) -> Profile:
        queue = self._policy.queues.get(contact.queue)
        if queue is None:
            return Profile(contact.needs, contact.teams, VOICE, "longest_idle", "", Weights(), False, 0, 0)
        exploring = contact.explored and queue.strategy == "learned"
        strategy = "longest_idle" if exploring else queue.strategy
        return Profile(
            contact.needs,
            contact.teams,
            queue.medium,
            strategy,
            queue.name if strategy == "learned" else "",
            queue.weights if strategy == "weighted" else Weights(),
            queue.outbound,
            queue.blend_after_ms if queue.outbound else 0,
            queue.keep_idle if queue.outbound else 0,
        )

    def _signature(self, profile: Profile) -> Signature:
        found = self.signatures.get(profile)
        if found is None:
            found = self.signatures[profile] = Signature(profile)
            for agent in self._agents.values():
                if self.able(agent, profile.needs, profile.teams, profile.medium):
                    self._of_agent[agent.id].append(found)
                    found.eligible += 1
                    found.states[agent.state] += 1
                    if profile.medium in agent.free:
                        found.free += 1
                        self._push_idle(found, agent)
        return found

    def able(self, agent: Agent, needs: Skills, teams: Names, medium: str) -> bool:
        """Skills, team and capacity, whatever they do at the moment."""
        settings = self._policy.agents.get(agent.id)
        if settings is not None and dict(settings.capacity).get(medium, 0) <= 0:
            return False
        if teams and not any(team in teams for team in agent.teams):
            return False
        return satisfies(agent.skills, needs)

    # --- contacts ----------------------------------------------------------------------------------

    def add_waiting(self, contact: Contact) -> None:
        line: Line
        if contact.prefers:
            line = self._reserved.setdefault(contact.prefers, Reserved([]))
        else:
            line = self.signature(contact)
        contact.line = line
        heap = line.waiting
        heapq.heappush(heap, (*contact.key, contact.id))
        if isinstance(line, Signature) and len(heap) > line.sweep_at:
            heap[:] = sorted({entry for entry in heap if self._waiting_holds(entry, line)})
            line.sweep_at = _SLACK + 2 * len(heap)

    def reserved_for(self, agent: str) -> list[Contact]:
        """Contacts that wait for this agent alone, in order."""
        line = self._reserved.get(agent)
        if line is None:
            return []
        held = sorted({entry for entry in line.waiting if self._waiting_holds(entry, line)})
        line.waiting[:] = held
        return [self._contacts[entry[3]] for entry in held]

    def best_waiting(self, agent: Agent, now_ms: int, count: int) -> list[Contact]:
        """Up to `count` contacts that the agent may get now, in the total order. Where only time keeps outbound work
        from the agent, `agent.blend_at_ms` says until when."""
        found: list[WaitingEntry] = []
        free = agent.free
        for signature in self._of_agent[agent.id]:
            if not signature.waiting or signature.profile.medium not in free:
                continue
            self._drop_dead_heads(signature)
            if signature.waiting and self._blends(signature, agent, now_ms):
                found += self._first_waiting(signature, agent.id, now_ms, count)
        reserved = self._reserved.get(agent.id)
        if reserved is not None and reserved.waiting:
            found += (
                entry
                for entry in self._first_waiting(reserved, agent.id, now_ms, count)
                if self._may_now(self._contacts[entry[3]], agent, now_ms)
            )
        found.sort()
        return [self._contacts[entry[3]] for entry in found[:count]]

    def _may_now(self, contact: Contact, agent: Agent, now_ms: int) -> bool:
        signature = self.signature(contact)
        return signature.profile.medium in agent.free and self._blends(signature, agent, now_ms)

    def heads(self, signature: Signature, now_ms: int, count: int) -> list[Contact]:
        """The first who wait for this signature, whoever is barred."""
        return [self._contacts[entry[3]] for entry in self._first_waiting(signature, "", now_ms, count)]

    def _first_waiting(self, line: Line, agent: str, now_ms: int, count: int) -> list[WaitingEntry]:
        found: list[WaitingEntry] = []
        seen: set[str] = set()
        for entry in _in_order(line.waiting):
            if entry[3] in seen or not self._waiting_holds(entry, line):
                continue
            seen.add(entry[3])
            if self._contacts[entry[3]].bar(agent) > now_ms:
                continue
            found.append(entry)
            if len(found) == count:
                break
        return found

    def _drop_dead_heads(self, line: Line) -> None:
        heap = line.waiting
        while heap and not self._waiting_holds(heap[0], line):
            heapq.heappop(heap)

    def _waiting_holds(self, entry: WaitingEntry, line: Line) -> bool:
        contact = self._contacts.get(entry[3])
        return (
            contact is not None
            and contact.line is line
            and contact.state == WAITING
            and not contact.held_until_ms
            and contact.order == entry[2]
            and contact.rank == entry[0]
            and contact.deadline_ms == entry[1]
        )

    # --- agents ------------------------------------------------------------------------------------

    def agent_changed(self, agent: Agent, before: str, was_free: Names, rekeyed: bool) -> None:
        """Keep counts, and the heaps of every signature the agent can serve. `rekeyed`: the agent's place is new."""
        free = agent.free
        for signature in self._of_agent[agent.id]:
            signature.states[before] -= 1
            signature.states[agent.state] += 1
            medium = signature.profile.medium
            was, now = medium in was_free, medium in free
            if now:
                signature.free += not was
                if rekeyed or not was:
                    self._push_idle(signature, agent)
            elif was:
                signature.free -= 1

    def first_free(self, contact: Contact, now_ms: int, count: int) -> list[tuple[Agent, int]]:
        """Up to `count` agents who may get the contact now, with their merit, in order. Where only time keeps outbound
        work from somebody, their `blend_at_ms` says until when."""
        signature = self.signature(contact)
        heap = signature.idle
        medium = signature.profile.medium
        while heap and not self._idle_holds(heap[0], medium):
            heapq.heappop(heap)
        found: list[tuple[Agent, int]] = []
        seen: set[str] = set()
        for entry in _in_order(heap):
            agent_id = entry[4]
            if agent_id in seen or not self._idle_holds(entry, medium) or contact.bar(agent_id) > now_ms:
                continue
            seen.add(agent_id)
            agent = self._agents[agent_id]
            if not self._blends(signature, agent, now_ms):
                continue
            found.append((agent, entry[1]))
            if len(found) == count:
                break
        return found

    def _blends(self, signature: Signature, agent: Agent, now_ms: int) -> bool:
        """Outbound work goes to who has been idle for long enough, and leaves enough of them for others."""
        profile = signature.profile
        if not profile.outbound:
            return True
        if signature.free <= profile.keep_idle:
            return False
        ripe_ms = agent.idle_since_ms + profile.blend_after_ms
        if ripe_ms > now_ms:
            if not agent.blend_at_ms or ripe_ms < agent.blend_at_ms:
                agent.blend_at_ms = ripe_ms
                self.unripe.append(agent)
            return False
        return True

    def _idle_holds(self, entry: IdleEntry, medium: str) -> bool:
        agent = self._agents.get(entry[4])
        return (
            agent is not None
            and agent.idle_order == entry[3]
            and agent.load == entry[0]
            and medium in agent.free
        )

    def _push_idle(self, signature: Signature, agent: Agent) -> None:
        profile, heap = signature.profile, signature.idle
        since = agent.idle_since_ms
        if profile.strategy == "longest_idle":
            merit = since
        else:
            grounds = Grounds(profile.needs, profile.queue, profile.weights, self._learned, self._usual)
            merit = MERITS[profile.strategy](agent, grounds)
        agent.load = capacity.load(agent, self._policy.media) if agent.works else 0
        heapq.heappush(heap, (agent.load, merit, since, agent.idle_order, agent.id))
        if len(heap) > _SLACK + 4 * signature.eligible:
            heap[:] = sorted({entry for entry in heap if self._idle_holds(entry, profile.medium)})


def _in_order(heap: list[_Entry]) -> Iterator[_Entry]:
    """Entries of a heap from the smallest up, lazily."""
    frontier = [(heap[0], 0)] if heap else []
    while frontier:
        entry, at = heapq.heappop(frontier)
        yield entry
        for child in (2 * at + 1, 2 * at + 2):
            if child < len(heap):
                heapq.heappush(frontier, (heap[child], child))
