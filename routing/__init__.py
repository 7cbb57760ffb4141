"""The routing engine: who gets what, when, and why. Pure: no I/O, no clock, no randomness."""

from routing.commands import (
    AgentChanged,
    Command,
    OfferContact,
    Overflow,
    RecordDecision,
    RejectFact,
    WithdrawOffer,
)
from routing.engine import Activation, Completion, RoutingEngine
from routing.policy import AgentPolicy, Policy, QueuePolicy

__all__ = [
    "Activation",
    "AgentChanged",
    "AgentPolicy",
    "Command",
    "Completion",
    "OfferContact",
    "Overflow",
    "Policy",
    "QueuePolicy",
    "RecordDecision",
    "RejectFact",
    "RoutingEngine",
    "WithdrawOffer",
]
