"""One day: contacts and the agents' will come from outside, everything else is the engine's. No I/O and no clock; the
same input gives the same day."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from routing import Activation, AgentChanged, Command, OfferContact, Overflow, Policy, RoutingEngine
from routing import facts as f
from routing.commands import MoveContact, OverflowTo, PauseContact, ResumeContact
from routing.state import AWAY, LOGGED_OUT, TALKING, WRAP_UP

SLOT_MS = 1_800_000


@dataclass(frozen=True, slots=True)
class Contact:
    """Who comes when. `patience_ms` None: for ever. `handle_ms` answers for an agent. `wrap_up_ms` None: as the policy
    says."""

    at_ms: int
    queue: str
    handle_ms: Callable[[str], int]
    patience_ms: int | None = None
    wrap_up_ms: int | None = None
    customer_class: str = ""
    prefers: str = ""
    credit_ms: int = 0
    callback: bool = False
    """says yes when a callback is offered"""


@dataclass(slots=True)
class Tally:
    """Of one queue, by where contacts arrived."""

    offered: int = 0
    answered: int = 0
    abandoned: int = 0
    refused: int = 0
    """turned away, or sent elsewhere after waiting"""
    waited: int = 0
    """had to wait at all"""
    in_target: int = 0
    waits_ms: list[int] = field(default_factory=list)
    """of those answered"""


@dataclass(slots=True)
class Hands:
    """An agent's time that counts."""

    busy_ms: int = 0
    staffed_ms: int = 0
    answered: int = 0


@dataclass(slots=True)
class Slot:
    """A half hour."""

    waits_ms: int = 0
    answered: int = 0
    busy_ms: int = 0
    staffed_ms: int = 0


@dataclass(slots=True)
class Day:
    queues: dict[str, Tally]
    agents: dict[str, Hands] = field(default_factory=dict)
    slots: dict[int, Slot] = field(default_factory=dict)


@dataclass(slots=True)
class _Live:
    contact: Contact
    counts: bool
    waiting: bool = True
    agent: str = ""
    ends_at_ms: int = 0
    left_ms: int = -1
    """of a paused one"""
    turn: int = 0
    """changes with each pause: an end that was planned before is none"""
    wrap_up_ms: int | None = None


class Simulation:
    """Drive one day to its end: `run`.

    `staff`: (when, fact) of agents, queues and policies; `contacts`; both in order of time. What happens before
    `warm_ms` is served and not counted; nothing arrives after `end_ms`, and who is there then is served to the end."""

    def __init__(
        self,
        policy: Policy,
        staff: Iterable[tuple[int, f.Fact]],
        contacts: Iterable[Contact],
        end_ms: int,
        warm_ms: int = 0,
        start_ms: int = 0,
    ) -> None:
        self.engine = RoutingEngine(policy)
        self.contacts = 0
        self.day = Day({queue: Tally() for queue in policy.queues})
        self._end_ms, self._warm_ms, self._start_ms, self._now = end_ms, warm_ms, start_ms, start_ms
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._live: dict[str, _Live] = {}
        self._since: dict[str, tuple[str, int]] = {}
        """agent -> state and since when"""
        self._targets = {queue.name: queue.target_ms for queue in policy.queues.values()}
        self._staff, self._arrivals = iter(staff), iter(contacts)

    def run(self) -> Day:
        self._next_staff()
        self._next_arrival()
        engine, events = self.engine, self._events
        while events:
            due = events[0][0]
            deadline = engine.next_deadline_ms
            if deadline is not None and deadline < due:
                self._now = deadline
                self._activate()
                continue
            self._now, _order, happens = heapq.heappop(events)
            happens()
            if self._now > self._end_ms and not self._live:
                break
        for agent, (state, since) in self._since.items():
            self._spent(agent, state, since)
        return self.day

    def _at(self, at_ms: int, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(at_ms, self._now), next(self._order), happens))

    # --- what comes from outside -------------------------------------------------------------------

    def _next_staff(self) -> None:
        following = next(self._staff, None)
        if following is None:
            return
        at_ms, fact = following

        def happens() -> None:
            self._next_staff()
            if isinstance(fact, f.PolicyReplaced):
                self._targets.update({q.name: q.target_ms for q in fact.policy.queues.values()})
                for queue in fact.policy.queues:
                    self.day.queues.setdefault(queue, Tally())
            self._activate(fact)

        self._at(at_ms, happens)

    def _next_arrival(self) -> None:
        following = next(self._arrivals, None)
        if following is not None and following.at_ms <= self._end_ms:
            self._at(following.at_ms, lambda: self._arrive(following))

    def _arrive(self, contact: Contact) -> None:
        self._next_arrival()
        self.contacts += 1
        name, now = f"c{self.contacts}", self._now
        live = self._live[name] = _Live(contact, now >= self._warm_ms)
        if live.counts:
            self.day.queues.setdefault(contact.queue, Tally()).offered += 1
        self._activate(
            f.ContactArrived(
                name,
                contact.queue,
                now,
                contact.credit_ms,
                customer_class=contact.customer_class,
                prefers=contact.prefers,
            )
        )
        if live.waiting and name in self._live:
            if live.counts:
                self.day.queues[contact.queue].waited += 1
            if contact.patience_ms is not None:
                self._at(now + contact.patience_ms, lambda: self._leave(name))

    def _leave(self, name: str) -> None:
        live = self._live.get(name)
        if live is None or not live.waiting:
            return
        del self._live[name]
        if live.counts:
            self.day.queues[live.contact.queue].abandoned += 1
        self._activate(f.ContactAbandoned(name, self._now))

    def _end(self, name: str, turn: int) -> None:
        live = self._live.get(name)
        if live is None or live.turn != turn:
            return
        del self._live[name]
        self._activate(f.ContactEnded(name, self._now))
        wrap_up_ms = live.contact.wrap_up_ms
        if wrap_up_ms is not None:
            ended = f.WrapUpEnded(live.agent, self._now + wrap_up_ms, name)
            self._at(self._now + wrap_up_ms, lambda: self._activate(ended))

    # --- what the engine says ----------------------------------------------------------------------

    def _activate(self, *facts: f.Fact) -> None:
        """And whatever follows from it at the same moment: phones are answered at once."""
        todo: list[tuple[f.Fact, ...]] = [facts]
        while todo:
            activation = Activation(self.engine.seq + 1, self._now, todo.pop())
            for command in self.engine.activate(activation).commands:
                todo += [(answer,) for answer in self._heard(command)]

    def _heard(self, command: Command) -> Iterator[f.Fact]:
        if isinstance(command, OfferContact):
            self._talk(command)
            yield f.OfferAnswered(command.offer, self._now)
        elif isinstance(command, AgentChanged):
            state, since = self._since.get(command.agent, (LOGGED_OUT, self._now))
            self._spent(command.agent, state, since)
            self._since[command.agent] = command.state, self._now
        elif isinstance(command, OverflowTo) and command.to == "callback":
            live = self._live.get(command.contact)
            if live is not None and live.contact.callback:
                live.waiting = False
                yield f.CallbackAsked(command.contact)
        elif isinstance(command, Overflow | OverflowTo):
            self._gone(command.contact)
        elif isinstance(command, PauseContact):
            self._pause(command.contact)
        elif isinstance(command, ResumeContact):
            self._resume(command.contact)
        elif isinstance(command, MoveContact):
            self._targets.setdefault(command.to, 0)

    def _talk(self, command: OfferContact) -> None:
        live = self._live[command.contact]
        live.waiting, live.agent = False, command.agent
        contact, wait_ms = live.contact, self._now - live.contact.at_ms
        if live.counts:
            tally = self.day.queues[contact.queue]
            tally.answered += 1
            tally.waits_ms.append(wait_ms)
            tally.in_target += wait_ms <= self._targets[contact.queue]
            self.day.agents.setdefault(command.agent, Hands()).answered += 1
            slot = self._slot(self._now)
            slot.answered += 1
            slot.waits_ms += wait_ms
        self._plan_end(command.contact, live, contact.handle_ms(command.agent))

    def _plan_end(self, name: str, live: _Live, left_ms: int) -> None:
        live.turn += 1
        live.ends_at_ms, turn = self._now + left_ms, live.turn
        self._at(live.ends_at_ms, lambda: self._end(name, turn))

    def _pause(self, name: str) -> None:
        live = self._live.get(name)
        if live is not None:
            live.turn += 1
            live.left_ms = live.ends_at_ms - self._now

    def _resume(self, name: str) -> None:
        live = self._live.get(name)
        if live is not None:
            self._plan_end(name, live, live.left_ms)

    def _gone(self, name: str) -> None:
        live = self._live.pop(name)
        if live.counts:
            self.day.queues.setdefault(live.contact.queue, Tally()).refused += 1

    # --- time --------------------------------------------------------------------------------------

    def _slot(self, at_ms: int) -> Slot:
        return self.day.slots.setdefault((at_ms - self._start_ms) // SLOT_MS, Slot())

    def _spent(self, agent: str, state: str, since: int) -> None:
        """Time between the end of the warm-up and the end of the day counts."""
        begins, ends = max(since, self._warm_ms), min(self._now, self._end_ms)
        if ends <= begins or state in AWAY:
            return
        busy = state in (TALKING, WRAP_UP)
        hands = self.day.agents.setdefault(agent, Hands())
        hands.staffed_ms += ends - begins
        hands.busy_ms += ends - begins if busy else 0
        while begins < ends:
            slot_ends = self._start_ms + ((begins - self._start_ms) // SLOT_MS + 1) * SLOT_MS
            until = min(ends, slot_ends)
            slot = self._slot(begins)
            slot.staffed_ms += until - begins
            slot.busy_ms += until - begins if busy else 0
            begins = until
