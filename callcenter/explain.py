"""Why an interaction went as it went: read from the journal, and where the journal only holds the outcome, from the
engine itself, replayed to that moment. Structured first (`explain`), words afterwards (`tell`)."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callcenter.journal.store import Row, rows_after
from callcenter.replaying import replay
from routing import RoutingEngine
from routing.policy import satisfies

Plain = dict[str, Any]
_WORDS = Path(__file__).parent / "words"
ARRIVED, QUEUED, WAITED, OFFERED, OFFER_ENDED, ANSWERED, OVERFLOWED, MOVED_ON, ENDED = (
    *("arrived", "queued", "waited", "offered", "offer_ended", "answered"),
    *("overflowed", "moved_on", "ended"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened, or the reason why nothing did."""

    at_ms: int
    what: str
    fields: Plain = field(default_factory=dict)

    def to_plain(self) -> Plain:
        return {"at_ms": self.at_ms, "what": self.what, **self.fields}


def explain(journal: sqlite3.Connection, interaction: str) -> list[Step]:
    """The steps of one interaction, oldest first; [] for one that the journal does not know."""
    steps: list[Step] = []
    contacts: dict[str, str] = {}
    """contact -> queue, of this interaction"""
    offers: set[str] = set()
    for step in replay(rows_after(journal, 0)):
        row, engine = step.row, step.engine
        mine = [fact for fact in row.facts if fact.get("interaction") == interaction]
        steps += _facts(row, mine, contacts)
        told = _commands(row, step.plain, contacts, offers)
        steps += told
        fresh = [fact["contact"] for fact in mine if fact["k"] == "InteractionQueued"]
        for contact in fresh:
            if not any(step.what in (OFFERED, OVERFLOWED) for step in told):
                steps.append(Step(row.now_ms, WAITED, _why_nobody(engine, contacts[contact])))
    return steps


def _facts(row: Row, facts: list[Plain], contacts: dict[str, str]) -> Iterator[Step]:
    for fact in facts:
        kind, at_ms = fact["k"], fact.get("occurred_at_ms", row.now_ms)
        if kind == "InteractionStarted":
            yield Step(at_ms, ARRIVED, {"number": fact["number"], "direction": fact["direction"]})
        elif kind == "InteractionQueued":
            contacts[fact["contact"]] = fact["queue"]
            yield Step(at_ms, QUEUED, {"queue": fact["queue"], "contact": fact["contact"]})
        elif kind == "OfferEnded":
            yield Step(at_ms, OFFER_ENDED, {"agent": fact["agent"], "cause": fact["cause"]})
        elif kind == "InteractionAnswered":
            yield Step(at_ms, ANSWERED, {"agent": fact["agent"]})
        elif kind == "AgentReleased":
            yield Step(at_ms, MOVED_ON, {"agent": fact["agent"], "why": fact["why"]})
        elif kind == "InteractionEnded":
            outcome = {"outcome": fact["outcome"], "by": fact["by"], "cause": fact["cause"]}
            yield Step(at_ms, ENDED, outcome)


def _commands(row: Row, commands: list[Plain], contacts: Mapping[str, str], offers: set[str]) -> list[Step]:
    steps = []
    for command in commands:
        if command.get("contact") not in contacts:
            continue
        if command["k"] == "RecordDecision":
            offers.add(command["offer"])
            decided = {
                "agent": command["agent"],
                "rule": command["rule"],
                "considered": [list(one) for one in command["considered"]],
                "rest": [list(one) for one in command["rest"]],
            }
            steps.append(Step(row.now_ms, OFFERED, decided))
        elif command["k"] == "Overflow":
            fields = {"queue": command["queue"], "reason": command["reason"]}
            steps.append(Step(row.now_ms, OVERFLOWED, fields))
    return steps


def _why_nobody(engine: RoutingEngine, queue: str) -> Plain:
    """Of all agents at this moment: how many could not take a contact of this queue, and why."""
    policy = engine.policy
    wanted = policy.queues.get(queue)
    needs = wanted.skills if wanted is not None else ()
    states: Counter[str] = Counter()
    without_skill = 0
    for view in engine.agent_views():
        own = policy.agents.get(view.id)
        if own is None or not satisfies(own.skills, needs):
            without_skill += 1
        else:
            states[view.state] += 1
    return {
        "queue": queue,
        "needs": [list(need) for need in needs],
        "able": sum(states.values()),
        "states": dict(sorted(states.items())),
        "without_skill": without_skill,
        "ahead": max(0, engine.queue_view(queue)[0] - 1),
    }


# --- in words ------------------------------------------------------------------------------------------

Names = Callable[[str], str]


def tell(
    steps: list[Step], language: str, agents: Names, queues: Names, clock: Callable[[int], str]
) -> Iterator[str]:
    """A sentence a step, in `zh` or `en`. `agents` and `queues` give names for ids."""
    words = _Words(language)
    started = 0
    for step in steps:
        if step.what == QUEUED:
            started = step.at_ms
        yield f"{clock(step.at_ms)}  {words.say(step, agents, queues, started)}"


class _Words:
    def __init__(self, language: str) -> None:
        words = json.loads((_WORDS / f"explain.{language}.json").read_text(encoding="utf-8"))
        self.between: str = words["between"]
        self.states: dict[str, str] = words["states"]
        self.reasons: dict[str, str] = words["reasons"]
        self.sentences: dict[str, str] = words["sentences"]

    def say(self, step: Step, agents: Names, queues: Names, queued_at_ms: int) -> str:
        fields = dict(step.fields)
        for name, names in (("agent", agents), ("queue", queues)):
            if name in fields:
                fields[name] = names(fields[name])
        for name in ("cause", "reason", "outcome", "by", "why", "direction"):
            if name in fields:
                fields[name] = self.reasons.get(fields[name], fields[name])
        fields["waited"] = f"{max(0, step.at_ms - queued_at_ms) / 1000:.1f}" if queued_at_ms else "0.0"
        if step.what == WAITED:
            return self._waited(fields)
        if step.what == OFFERED:
            return self._offered(step, fields, agents)
        return self.sentences[step.what].format(**fields)

    def _waited(self, fields: Plain) -> str:
        needs = (
            self.between.join(f"{name} ≥ {level}" for name, level in fields["needs"])
            or self.sentences["nothing"]
        )
        parts = [self.sentences["waited"].format(**fields)]
        if not fields["able"]:
            parts.append(self.sentences["nobody_able"].format(needs=needs, count=fields["without_skill"]))
        else:
            listed = self.between.join(
                f"{count} {self.states.get(state, state)}" for state, count in fields["states"].items()
            )
            parts.append(self.sentences["able"].format(able=fields["able"], listed=listed))
            if fields["without_skill"]:
                parts.append(self.sentences["unable"].format(count=fields["without_skill"], needs=needs))
        if fields["ahead"]:
            parts.append(self.sentences["ahead"].format(count=fields["ahead"]))
        parts.append(self._otherwise(fields))
        return " ".join(part for part in parts if part)

    def _otherwise(self, fields: Plain) -> str:
        """What would have changed it."""
        if not fields["able"]:
            return self.sentences["give_skill"]
        away = fields["states"].get("not_ready", 0) + fields["states"].get("logged_out", 0)
        return self.sentences["come_back"].format(count=away) if away else self.sentences["one_more"]

    def _offered(self, step: Step, fields: Plain, agents: Names) -> str:
        said = self.sentences[f"rule_{fields['rule']}"].format(**fields)
        others = len(fields["considered"]) - 1
        if fields["rule"] == "longest_idle" and others > 0:
            names = self.between.join(agents(agent) for agent, _since in fields["considered"][1:4])
            said += " " + self.sentences["others"].format(count=others, names=names)
        if fields["rule"] == "earliest_deadline" and others > 0:
            said += " " + self.sentences["others_waiting"].format(count=others)
        rest = self.between.join(
            f"{count} {self.states.get(reason, reason)}" for reason, count in fields["rest"]
        )
        return f"{said} {self.sentences['rest'].format(rest=rest)}" if rest else said
