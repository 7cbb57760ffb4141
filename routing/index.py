"""Indexes for matching: per requirement signature a heap of waiting contacts and one of idle agents.

Entries are never searched for: one that no longer holds is passed over when it comes to the top, and
a heap that carries more dead than living entries is rebuilt.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator

from routing.policy import Skills, satisfies
from routing.state import IDLE, WAITING, Agent, Contact

WaitingEntry = tuple[int, int, str]
IdleEntry = tuple[int, int, str]
_SLACK = 64


class Signature:
    """One set of needs, with who waits for it and who could serve it."""

    def __init__(self, needs: Skills) -> None:
        self.needs = needs
        self.waiting: list[WaitingEntry] = []
        self.sweep_at = _SLACK
        self.idle: list[IdleEntry] = []
        self.eligible = 0
        self.states: Counter[str] = Counter()


class Index:
    def __init__(self) -> None:
        self.signatures: dict[Skills, Signature] = {}
        self._of_agent: dict[str, list[Signature]] = {}
        self._contacts: dict[str, Contact] = {}
        self._agents: dict[str, Agent] = {}

    def rebuild(self, contacts: dict[str, Contact], agents: dict[str, Agent]) -> None:
        """Everything anew, from the tables (restore, policy change)."""
        self.signatures.clear()
        self._of_agent.clear()
        self._contacts, self._agents = contacts, agents
        for agent in agents.values():
            self._of_agent[agent.id] = []
        for contact in contacts.values():
            if contact.state == WAITING:
                self.add_waiting(contact)

    def of_agent(self, agent: str) -> list[Signature]:
        return self._of_agent.get(agent, [])

    def signature(self, needs: Skills) -> Signature:
        found = self.signatures.get(needs)
        if found is None:
            found = self.signatures[needs] = Signature(needs)
            for agent in self._agents.values():
                if satisfies(agent.skills, needs):
                    self._of_agent[agent.id].append(found)
                    found.eligible += 1
                    found.states[agent.state] += 1
                    if agent.state == IDLE:
                        self._push_idle(found, agent)
        return found

    def add_waiting(self, contact: Contact) -> None:
        signature = self.signature(contact.needs)
        heap = signature.waiting
        heapq.heappush(heap, (contact.deadline_ms, contact.order, contact.id))
        if len(heap) > signature.sweep_at:
            heap[:] = sorted({entry for entry in heap if self._waiting_holds(entry)})
            signature.sweep_at = _SLACK + 2 * len(heap)

    def agent_changed(self, agent: Agent, before: str) -> None:
        """Keep counts, and the idle heaps of every signature the agent can serve."""
        for signature in self._of_agent[agent.id]:
            signature.states[before] -= 1
            signature.states[agent.state] += 1
            if agent.state == IDLE:
                self._push_idle(signature, agent)

    def take_idle(self, contact: Contact, now_ms: int) -> Agent | None:
        """The longest idle agent who may get the contact; those barred stay in the index."""
        heap = self.signature(contact.needs).idle
        passed: list[IdleEntry] = []
        found = None
        while heap:
            entry = heapq.heappop(heap)
            if not self._idle_holds(entry):
                continue
            if contact.barred.get(entry[2], 0) > now_ms:
                passed.append(entry)
                continue
            found = self._agents[entry[2]]
            break
        for entry in passed:
            heapq.heappush(heap, entry)
        return found

    def best_waiting(self, agent: Agent, now_ms: int, count: int) -> list[Contact]:
        """Up to `count` contacts that the agent may get, earliest deadline first."""
        found: list[Contact] = []
        for signature in self._of_agent[agent.id]:
            self._drop_dead_heads(signature)
            found.extend(self._first_waiting(signature, agent.id, now_ms, count))
        found.sort(key=lambda contact: contact.key)
        return found[:count]

    def first_idle(self, contact: Contact, now_ms: int, count: int) -> list[Agent]:
        """Up to `count` idle agents who may get the contact, in order, without disturbing the heap."""
        found: list[Agent] = []
        seen: set[str] = set()
        for entry in _in_order(self.signature(contact.needs).idle):
            agent = entry[2]
            if agent in seen or not self._idle_holds(entry) or contact.barred.get(agent, 0) > now_ms:
                continue
            seen.add(agent)
            found.append(self._agents[agent])
            if len(found) == count:
                break
        return found

    def _first_waiting(self, signature: Signature, agent: str, now_ms: int, count: int) -> list[Contact]:
        found: list[Contact] = []
        seen: set[str] = set()
        for entry in _in_order(signature.waiting):
            contact = self._contacts.get(entry[2])
            if contact is None or contact.id in seen or not self._waiting_holds(entry):
                continue
            seen.add(contact.id)
            if contact.barred.get(agent, 0) > now_ms:
                continue
            found.append(contact)
            if len(found) == count:
                break
        return found

    def _drop_dead_heads(self, signature: Signature) -> None:
        heap = signature.waiting
        while heap and not self._waiting_holds(heap[0]):
            heapq.heappop(heap)

    def _waiting_holds(self, entry: WaitingEntry) -> bool:
        contact = self._contacts.get(entry[2])
        return contact is not None and contact.state == WAITING and contact.order == entry[1]

    def _idle_holds(self, entry: IdleEntry) -> bool:
        agent = self._agents.get(entry[2])
        return agent is not None and agent.state == IDLE and agent.idle_order == entry[1]

    def _push_idle(self, signature: Signature, agent: Agent) -> None:
        heap = signature.idle
        heapq.heappush(heap, (agent.idle_since_ms, agent.idle_order, agent.id))
        if len(heap) > _SLACK + 4 * signature.eligible:
            heap[:] = sorted({entry for entry in heap if self._idle_holds(entry)})


def _in_order(heap: list[IdleEntry]) -> Iterator[IdleEntry]:
    """Entries of a heap from the smallest up, lazily."""
    frontier = [(heap[0], 0)] if heap else []
    while frontier:
        entry, at = heapq.heappop(frontier)
        yield entry
        for child in (2 * at + 1, 2 * at + 2):
            if child < len(heap):
                heapq.heappush(frontier, (heap[child], child))
