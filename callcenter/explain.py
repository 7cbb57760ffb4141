"""Why an interaction went as it went: read from the journal, and where the journal only holds the outcome, from the
engine itself, replayed to that moment. Structured first (`explain`), words afterwards (`tell`)."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callcenter.journal.database import Database
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
RELAXED, MOVED, SENT_ON, ANNOUNCED, CALLBACK = "relaxed", "moved", "sent_on", "announced", "callback"
LATE, WROTE = "late", "wrote"


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened, or the reason why nothing did."""

    at_ms: int
    what: str
    fields: Plain = field(default_factory=dict)

    def to_plain(self) -> Plain:
        return {"at_ms": self.at_ms, "what": self.what, **self.fields}


def explain(journal: Database, interaction: str) -> list[Step]:
    """The steps of one interaction, oldest first; [] for one that the journal does not know. Replays the journal from
    its beginning: of a busy day that takes seconds, so the core asks a process of its own (`explain_apart`)."""
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
            what = ARRIVED if fact["medium"] == "voice" else WROTE
            yield Step(at_ms, what, {"number": fact["number"], "direction": fact["direction"]})
        elif kind == "InteractionQueued":
            contacts[fact["contact"]] = fact["queue"]
            yield Step(at_ms, QUEUED, {"queue": fact["queue"], "contact": fact["contact"]})
        elif kind == "OfferEnded":
            yield Step(at_ms, OFFER_ENDED, {"agent": fact["agent"], "cause": fact["cause"]})
        elif kind == "CallbackPlanned":
            contacts[fact["contact"]] = fact["queue"]
            yield Step(at_ms, CALLBACK, {"queue": fact["queue"], "attempt": fact["attempt"]})
        elif kind == "InteractionAnswered":
            yield Step(at_ms, ANSWERED, {"agent": fact["agent"]})
        elif kind == "AgentReleased":
            yield Step(at_ms, MOVED_ON, {"agent": fact["agent"], "why": fact["why"]})
        elif kind == "InteractionEnded":
            outcome = {"outcome": fact["outcome"], "by": fact["by"], "cause": fact["cause"]}
            yield Step(at_ms, ENDED, outcome)


def _commands(row: Row, commands: list[Plain], contacts: dict[str, str], offers: set[str]) -> list[Step]:
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
        else:
            steps += _life(row, command, contacts)
    return steps


def _life(row: Row, command: Plain, contacts: MutableMapping[str, str]) -> list[Step]:
    """What a queue's rules did to one who waits."""
    kind = command["k"]
    if kind == "Overflow":
        return [Step(row.now_ms, OVERFLOWED, {"queue": command["queue"], "reason": command["reason"]})]
    if kind == "RelaxContact":
        needs = [list(need) for need in command["needs"]]
        return [Step(row.now_ms, RELAXED, {"ring": command["ring"], "needs": needs})]
    if kind == "TargetMissed":
        return [Step(row.now_ms, LATE, {"deadline_ms": command["deadline_ms"]})]
    if kind == "MoveContact":
        contacts[command["contact"]] = command["to"]
        return [Step(row.now_ms, MOVED, {"queue": command["to"], "reason": command["reason"]})]
    if kind == "OverflowTo":
        return [Step(row.now_ms, SENT_ON, {"to": command["to"], "target": command["target"]})]
    if kind == "Announce":
        fields = {"position": command["position"], "estimate_ms": command["estimate_ms"]}
        return [Step(row.now_ms, ANNOUNCED, fields)]
    return []


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
_AGENT_CHOSE = ("earliest_deadline", "strict_class")


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
        for name in ("cause", "reason", "outcome", "by", "why", "direction", "to"):
            if name in fields:
                fields[name] = self.reasons.get(fields[name], fields[name])
        fields["waited"] = f"{max(0, step.at_ms - queued_at_ms) / 1000:.1f}" if queued_at_ms else "0.0"
        if step.what == WAITED:
            return self._waited(fields)
        if step.what == OFFERED:
            return self._offered(step, fields, agents)
        if step.what == RELAXED:
            fields["needs"] = self._needs(fields["needs"])
        if step.what == ANNOUNCED:
            told = fields["estimate_ms"] >= 0
            fields["minutes"] = max(1, -(-fields["estimate_ms"] // 60_000))
            return self.sentences["announced_wait" if told else "announced"].format(**fields)
        return self.sentences[step.what].format(**fields)

    def _waited(self, fields: Plain) -> str:
        needs = self._needs(fields["needs"])
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

    def _needs(self, needs: list[list[Any]]) -> str:
        return self.between.join(f"{name} ≥ {level}" for name, level in needs) or self.sentences["nothing"]

    def _otherwise(self, fields: Plain) -> str:
        """What would have changed it."""
        if not fields["able"]:
            return self.sentences["give_skill"]
        away = fields["states"].get("not_ready", 0) + fields["states"].get("logged_out", 0)
        return self.sentences["come_back"].format(count=away) if away else self.sentences["one_more"]

    def _offered(self, step: Step, fields: Plain, agents: Names) -> str:
        said = self.sentences[f"rule_{fields['rule']}"].format(**fields)
        others = len(fields["considered"]) - 1
        if fields["rule"] not in (*_AGENT_CHOSE, "preferred", "chosen") and others > 0:
            names = self.between.join(agents(agent) for agent, _since in fields["considered"][1:4])
            said += " " + self.sentences["others"].format(count=others, names=names)
        if fields["rule"] in _AGENT_CHOSE and others > 0:
            said += " " + self.sentences["others_waiting"].format(count=others)
        rest = self.between.join(
            f"{count} {self.states.get(reason, reason)}" for reason, count in fields["rest"]
        )
        return f"{said} {self.sentences['rest'].format(rest=rest)}" if rest else said


# --- as a process of its own -------------------------------------------------------------------------------

_PATIENCE_S = 120.0


async def explain_apart(journal: str, interaction: str) -> list[Step]:
    """As `explain`, in a process of its own. Raises OSError where that fails, TimeoutError after two minutes."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "callcenter.explain", str(journal), interaction),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        out, _nothing = await asyncio.wait_for(process.communicate(), _PATIENCE_S)
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise OSError(f"explain ended with {process.returncode}")
    return [Step(row.pop("at_ms"), row.pop("what"), row) for row in json.loads(out)]


if __name__ == "__main__":
    from callcenter.journal.store import connect

    found = explain(connect(sys.argv[1]), sys.argv[2])
    json.dump([step.to_plain() for step in found], sys.stdout)
