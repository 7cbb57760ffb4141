"""A recorded stretch of days as input of the simulation: who came when, how long each was served, who left and when,
what the agents wanted. Only what the engine did not decide is taken over.

What a journal cannot know is drawn from what it does know, with a fixed seed: the patience of those who were served,
from the others of their queue who waited at least as long (Kaplan and Meier's estimate; nobody leaves where nobody ever
did); the handling time of those who left, from those served in their queue.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from callcenter.journal.store import Row
from callcenter.replaying import Replayed, replay
from callcenter.simulation.day import Contact, Simulation
from routing import AgentChanged, OfferContact, Policy, RoutingEngine
from routing import facts as f
from routing.state import WRAP_UP

_WILL = (f.AgentLoggedIn, f.AgentLoggedOut, f.AgentReady, f.AgentNotReady, f.QueueOpened, f.QueueClosed)
_SEED = 1


@dataclass(slots=True)
class _Seen:
    fact: f.ContactArrived
    at_ms: int
    agent: str = ""
    answered_ms: int = -1
    ended_ms: int = -1
    wrapped_ms: int = -1
    left_ms: int = -1


@dataclass(slots=True)
class Recording:
    policy: Policy
    """at the beginning"""
    start_ms: int = 0
    end_ms: int = 0
    staff: list[tuple[int, f.Fact]] = field(default_factory=list)
    contacts: list[_Seen] = field(default_factory=list)

    def simulation(self, change: Callable[[Policy], Policy] = lambda policy: policy) -> Simulation:
        """The same days again. `change`: what becomes of each policy on the way. ValueError where it cannot be."""
        staff = [
            (at_ms, f.PolicyReplaced(change(fact.policy)) if isinstance(fact, f.PolicyReplaced) else fact)
            for at_ms, fact in self.staff
        ]
        return Simulation(
            change(self.policy), staff, self._again(), self.end_ms, self.start_ms, self.start_ms
        )

    def _again(self) -> Iterator[Contact]:
        dice = random.Random(_SEED)  # noqa: S311 - chance, no secret
        served: dict[str, list[int]] = {}
        waits: dict[str, list[tuple[int, bool]]] = {}
        for seen in self.contacts:
            queue = seen.fact.queue
            if seen.ended_ms >= 0 and seen.answered_ms >= 0:
                served.setdefault(queue, []).append(seen.ended_ms - seen.answered_ms)
            if seen.left_ms >= 0:
                waits.setdefault(queue, []).append((seen.left_ms - seen.at_ms, True))
            elif seen.answered_ms >= 0:
                waits.setdefault(queue, []).append((seen.answered_ms - seen.at_ms, False))
        patience = {queue: Patience(times) for queue, times in waits.items()}
        for seen in self.contacts:
            queue = seen.fact.queue
            if seen.left_ms >= 0:
                patience_ms: int | None = seen.left_ms - seen.at_ms
            else:
                waited_ms = max(0, seen.answered_ms - seen.at_ms)
                known = patience.get(queue)
                patience_ms = known.beyond(waited_ms, dice) if known is not None else None
            if seen.answered_ms >= 0 and seen.ended_ms >= 0:
                handle_ms = seen.ended_ms - seen.answered_ms
            else:
                handle_ms = dice.choice(served.get(queue) or [0])
            wrap_up_ms = seen.wrapped_ms - seen.ended_ms if seen.wrapped_ms >= 0 else None
            yield Contact(
                seen.at_ms,
                queue,
                _always(handle_ms),
                patience_ms,
                wrap_up_ms,
                seen.fact.customer_class,
                seen.fact.prefers,
                seen.fact.credit_ms,
            )


def _always(handle_ms: int) -> Callable[[str], int]:
    return lambda _agent: handle_ms


class Patience:
    """Kaplan and Meier's estimate of how long callers wait, from (waited, left) pairs; those who did not leave are
    censored."""

    def __init__(self, times: Iterable[tuple[int, bool]]) -> None:
        self._at: list[int] = []
        self._survive: list[float] = []
        ordered = sorted(times)
        left, here = 1.0, len(ordered)
        for waited_ms, gave_up in ordered:
            if gave_up:
                left *= 1 - 1 / here
                self._at.append(waited_ms)
                self._survive.append(left)
            here -= 1

    def beyond(self, waited_ms: int, dice: random.Random) -> int | None:
        """A patience of one known to have waited so long; None: for ever, as far as anybody knows."""
        first = bisect_right(self._at, waited_ms)
        before = self._survive[first - 1] if first else 1.0
        drawn = dice.random() * before
        for at_ms, survive in zip(self._at[first:], self._survive[first:], strict=True):
            if survive <= drawn:
                return at_ms
        return None


def record(rows: Iterator[Row]) -> Recording:
    """From a journal's rows, oldest first. ValueError for an empty one."""
    reader: _Reader | None = None
    for step in replay(rows):
        if reader is None:
            reader = _Reader(Recording(step.engine.policy, step.row.now_ms))
        reader.read(step)
    if reader is None:
        raise ValueError("the journal holds nothing")
    return reader.recording


class _Reader:
    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._seen: dict[str, _Seen] = {}
        self._offers: dict[str, tuple[str, str]] = {}
        """offer -> contact, agent"""
        self._wrapping: dict[str, str] = {}
        """agent -> contact"""

    def read(self, step: Replayed) -> None:
        now_ms = self.recording.end_ms = step.row.now_ms
        for fact in step.facts:
            self._note(fact, now_ms)
        for command in step.commands:
            if isinstance(command, OfferContact):
                self._offers[command.offer] = command.contact, command.agent
            elif isinstance(command, AgentChanged) and command.agent in self._wrapping:
                self._look(step.engine, command.agent, now_ms)

    def _look(self, engine: RoutingEngine, agent: str, now_ms: int) -> None:
        """Is the wrap-up over?"""
        contact, view = self._wrapping[agent], engine.agent_view(agent)
        work = view.works.get(contact) if view is not None else None
        if work is None or work.state != WRAP_UP:
            self._seen[contact].wrapped_ms = now_ms
            del self._wrapping[agent]

    def _note(self, fact: f.Fact, now_ms: int) -> None:
        if isinstance(fact, f.ContactArrived):
            if not fact.agent:
                self._seen[fact.contact] = _Seen(fact, now_ms)
                self.recording.contacts.append(self._seen[fact.contact])
        elif isinstance(fact, f.OfferAnswered):
            contact, agent = self._offers.get(fact.offer, ("", ""))
            seen = self._seen.get(contact)
            if seen is not None and seen.answered_ms < 0 and seen.left_ms < 0:
                seen.answered_ms, seen.agent = now_ms, agent
        elif isinstance(fact, f.ContactAbandoned | f.ContactEnded):
            self._over(fact.contact, now_ms)
        elif isinstance(fact, (*_WILL, f.PolicyReplaced, f.AgentsReskilled, f.AgentsLearned)):
            self.recording.staff.append((now_ms, fact))

    def _over(self, contact: str, now_ms: int) -> None:
        seen = self._seen.get(contact)
        if seen is None or seen.ended_ms >= 0 or seen.left_ms >= 0:
            return
        if seen.answered_ms >= 0:
            seen.ended_ms = now_ms
            self._wrapping[seen.agent] = contact
        else:
            seen.left_ms = now_ms
