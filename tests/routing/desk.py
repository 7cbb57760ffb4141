"""A desk to play scenes on, in plain virtual time.

A scene is rows of (second, what happens, what the engine asks for), several of a kind joined by `; `.
What happens reads `arrive c1 sales`, `ready ann`, `answer ann` (the last offer that rang at ann) and so
on, see `VERBS`; nothing at all is a tick. What is asked for reads `ring ann c1`, `stop ann c1 no_answer`,
`overflow c1 full`, `reject OfferAnswered offer_over` and `ann wrap_up until 40`. Decisions and the state
`reserved`, which goes with every ring, are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from routing import (
    Activation,
    AgentChanged,
    AgentPolicy,
    Command,
    Completion,
    OfferContact,
    Overflow,
    Policy,
    QueuePolicy,
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

Row = tuple[float, str, str]


class Desk:
    def __init__(self, *parts: QueuePolicy | AgentPolicy, **rules: Any) -> None:
        self.policy = policy_of(*parts, **rules)
        self.engine = RoutingEngine(self.policy)
        self.now = 0
        self.rang: dict[str, str] = {}
        """agent -> the last offer made to them"""

    def act(self, second: float, *facts: f.Fact) -> Completion:
        self.now = round(second * 1000)
        done = self.engine.activate(Activation(self.engine.seq + 1, self.now, facts))
        for command in done.commands:
            if isinstance(command, OfferContact):
                self.rang[command.agent] = command.offer
        return done

    def do(self, second: float, happens: str) -> Completion:
        self.now = round(second * 1000)
        return self.act(second, *(self.fact(text) for text in happens.split("; ") if text))

    def fact(self, text: str) -> f.Fact:
        verb, *words = text.split()
        return VERBS[verb](self, *words)

    def play(self, *rows: Row) -> None:
        for second, happens, asked in rows:
            got = told(self.do(second, happens).commands)
            assert (second, happens, got) == (second, happens, asked)

    def states(self) -> dict[str, str]:
        return {agent.id: agent.state for agent in self.engine.agent_views()}


def policy_of(*parts: QueuePolicy | AgentPolicy, **rules: Any) -> Policy:
    queues = {part.name: part for part in parts if isinstance(part, QueuePolicy)}
    agents = {part.agent: part for part in parts if isinstance(part, AgentPolicy)}
    return Policy(queues, agents, **rules)


def told(commands: tuple[Command, ...]) -> str:
    return "; ".join(line for line in map(_line, commands) if line)


def _line(command: Command) -> str:
    match command:
        case OfferContact():
            return f"ring {command.agent} {command.contact}"
        case WithdrawOffer():
            return f"stop {command.agent} {command.contact} {command.reason}"
        case Overflow():
            return f"overflow {command.contact} {command.reason}"
        case RejectFact():
            return f"reject {command.kind} {command.reason}"
        case RelaxContact():
            return f"relax {command.contact} {command.ring}"
        case TargetMissed():
            return f"late {command.contact}"
        case MoveContact():
            return f"move {command.contact} {command.to} {command.reason}"
        case OverflowTo():
            return " ".join(filter(None, ("send", command.contact, command.to, command.target)))
        case Announce():
            return f"say {command.contact} {command.position}"
        case PauseContact():
            return f"pause {command.agent} {command.contact}"
        case ResumeContact():
            return f"resume {command.agent} {command.contact}"
        case LimitPassed():
            return f"limit {command.agent} {command.reason}"
        case AgentChanged() if command.state != "reserved":
            until = f"until {command.until_ms / 1000:g}" if command.until_ms else ""
            return " ".join(filter(None, (command.agent, command.state, command.reason, until)))
        case _:
            return ""


VERBS: dict[str, Callable[..., f.Fact]] = {
    "login": lambda desk, agent: f.AgentLoggedIn(agent),
    "logout": lambda desk, agent: f.AgentLoggedOut(agent),
    "ready": lambda desk, agent: f.AgentReady(agent),
    "break": lambda desk, agent, reason="": f.AgentNotReady(agent, reason),
    "saved": lambda desk, agent: f.WrapUpEnded(agent, desk.now),
    "answer": lambda desk, agent: f.OfferAnswered(desk.rang[agent], desk.now),
    "decline": lambda desk, agent: f.OfferDeclined(desk.rang[agent], desk.now),
    "fail": lambda desk, agent, cause: f.OfferFailed(desk.rang[agent], desk.now, cause),
    "arrive": lambda desk, contact, queue: f.ContactArrived(contact, queue, desk.now),
    "abandon": lambda desk, contact: f.ContactAbandoned(contact, desk.now),
    "end": lambda desk, contact: f.ContactEnded(contact, desk.now),
    "requeue": lambda desk, contact: f.ContactRequeued(contact, desk.now),
    "prefer": lambda desk, contact, queue, agent: f.ContactArrived(contact, queue, desk.now, prefers=agent),
    "class": lambda desk, contact, queue, klass: f.ContactArrived(
        contact, queue, desk.now, customer_class=klass
    ),
    "move": lambda desk, contact, queue: f.ContactMoved(contact, queue, desk.now),
    "moveall": lambda desk, queue, to: f.QueueMoved(queue, to),
    "hold": lambda desk, contact, second: f.ContactHeld(contact, round(float(second) * 1000)),
    "release": lambda desk, contact: f.ContactReleased(contact),
    "callback": lambda desk, contact: f.CallbackAsked(contact),
    "assign": lambda desk, contact, agent: f.ContactAssigned(contact, agent),
    "extend": lambda desk, agent, seconds: f.WrapUpExtended(agent, round(float(seconds) * 1000), desk.now),
    "open": lambda desk, queue: f.QueueOpened(queue),
    "close": lambda desk, queue: f.QueueClosed(queue),
}
