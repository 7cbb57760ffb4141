"""The engine and the naive centre side by side: what one does the other has to do."""

from __future__ import annotations

from typing import Any

from routing import (
    Activation,
    AgentChanged,
    Command,
    Completion,
    OfferContact,
    Overflow,
    Policy,
    RecordDecision,
    RejectFact,
    RoutingEngine,
    WithdrawOffer,
)
from routing import facts as f
from routing.commands import (
    Announce,
    LimitPassed,
    MoveContact,
    OverflowTo,
    PauseContact,
    RelaxContact,
    ResumeContact,
    TargetMissed,
)
from tests.routing.naive import NaiveCentre


class Pair:
    def __init__(self, policy: Policy) -> None:
        self.engine, self.naive = RoutingEngine(policy), NaiveCentre(policy)

    def act(self, now_ms: int, facts: tuple[f.Fact, ...]) -> tuple[Activation, Completion]:
        activation = Activation(self.engine.seq + 1, now_ms, facts)
        done = self.engine.activate(activation)
        said = self.naive.activate(now_ms, list(facts))
        assert [plain(command) for command in done.commands] == said
        offered = {offer.contact: offer.id for offer in self.engine.offer_views()}
        for ring in self.naive.ringing:
            ring.id = offered[ring.caller.id]
        assert done.next_deadline_ms == min((timer[0] for timer in self.naive.timers()), default=None)
        return activation, done


def plain(command: Command) -> tuple[Any, ...]:
    """A command in the words of the naive centre, which names no offers and estimates no waits."""
    match command:
        case AgentChanged(agent, state, reason, since_ms, until_ms, contact):
            return ("agent", agent, state, reason, since_ms, until_ms, contact)
        case RecordDecision(_, contact, agent, how, considered, rest):
            everybody = len(considered) + sum(count for _, count in rest)
            return ("decision", contact, agent, how, considered, everybody)
        case OfferContact(_, contact, agent, queue, expires_at_ms, _):
            return ("offer", contact, agent, queue, expires_at_ms)
        case WithdrawOffer(_, contact, agent, reason):
            return ("withdraw", contact, agent, reason)
        case Overflow(contact, queue, reason):
            return ("overflow", contact, queue, reason)
        case RelaxContact(contact, ring, needs, teams):
            return ("relax", contact, ring, needs, teams)
        case TargetMissed(contact, deadline_ms):
            return ("late", contact, deadline_ms)
        case MoveContact(contact, queue, to, reason):
            return ("move", contact, queue, to, reason)
        case OverflowTo(contact, queue, to, target):
            return ("overflow_to", contact, queue, to, target)
        case Announce(contact, position, _):
            return ("announce", contact, position)
        case PauseContact(contact, agent, by):
            return ("pause", contact, agent, by)
        case ResumeContact(contact, agent):
            return ("resume", contact, agent)
        case LimitPassed(agent, reason, since_ms):
            return ("limit", agent, reason, since_ms)
        case RejectFact(kind, subject, reason):
            return ("reject", kind, subject, reason)
        case _:
            raise AssertionError(command)
