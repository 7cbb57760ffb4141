"""The engine's tables as plain values and back, for snapshots: rows in the order of the fields."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import Any

from routing.state import WAITING, Agent, Contact, Offer, QueueStats, Tables, Work

STATE_VERSION = 3
EngineState = dict[str, Any]
"""Plain values only: what `snapshot` answers and `restore` takes."""

_SPECIAL = {"needs", "skills", "teams", "barred", "works", "line", "free"}
_CONTACT = tuple(field.name for field in fields(Contact) if field.name not in _SPECIAL)
_AGENT = tuple(field.name for field in fields(Agent) if field.name not in _SPECIAL)
_WORK, _STATS, _OFFER = (tuple(one.name for one in fields(kind)) for kind in (Work, QueueStats, Offer))
_contact_values, _agent_values, _work_values, _stats_values, _offer_values = (
    attrgetter(*names) for names in (_CONTACT, _AGENT, _WORK, _STATS, _OFFER)
)


def tables_to_plain(tables: Tables) -> EngineState:
    return {
        "closed": sorted(queue for queue, closed in tables.closed.items() if closed),
        "contacts": [_contact_row(contact) for contact in tables.contacts.values()],
        "agents": [_agent_row(agent) for agent in tables.agents.values()],
        "offers": [list(_offer_values(offer)) for offer in tables.offers.values()],
        "stats": {queue: list(_stats_values(stats)) for queue, stats in tables.stats.items()},
        "dealt": {queue: list(dealt) for queue, dealt in tables.dealt.items()},
        "counted": dict(tables.counted),
        "learned": [[agent, queue, cost] for (agent, queue), cost in tables.learned.items()],
        "reskills": [
            [number, at_ms, [[agent, _pairs(skills)] for agent, skills in changes]]
            for number, (at_ms, changes) in tables.reskills.items()
        ],
        "numbered": tables.numbered,
    }


def tables_from_plain(state: EngineState, tables: Tables) -> None:
    """Into tables whose dicts others hold already."""
    _refill(tables.contacts, {row[0][0]: _contact(row) for row in state["contacts"]})
    _refill(tables.agents, {row[0][0]: _agent(row) for row in state["agents"]})
    _refill(tables.offers, {row[0]: Offer(*row) for row in state["offers"]})
    _refill(tables.closed, dict.fromkeys(state["closed"], True))
    _refill(tables.stats, {queue: QueueStats(*row) for queue, row in state["stats"].items()})
    _refill(tables.dealt, {queue: list(dealt) for queue, dealt in state["dealt"].items()})
    _refill(tables.counted, state["counted"])
    _refill(tables.learned, {(agent, queue): cost for agent, queue, cost in state["learned"]})
    reskills = {
        number: (at_ms, tuple((agent, _tuples(skills)) for agent, skills in changes))
        for number, at_ms, changes in state["reskills"]
    }
    _refill(tables.reskills, reskills)
    tables.numbered = state["numbered"]
    tables.waiting.clear()
    for contact in tables.contacts.values():
        if contact.state == WAITING:
            tables.waiting[contact.queue] = tables.waiting.get(contact.queue, 0) + 1


def _refill(table: dict[Any, Any], content: dict[Any, Any]) -> None:
    table.clear()
    table.update(content)


def _contact_row(c: Contact) -> list[Any]:
    barred = [list(pair) for pair in c.barred.items()] if c.barred else []
    return [list(_contact_values(c)), _pairs(c.needs), list(c.teams), barred]


def _contact(row: list[Any]) -> Contact:
    values = dict(zip(_CONTACT, row[0], strict=True))
    barred = dict(row[3]) or None
    return Contact(needs=_tuples(row[1]), teams=tuple(row[2]), barred=barred, **values)


def _agent_row(a: Agent) -> list[Any]:
    works = [list(_work_values(work)) for work in a.works.values()]
    return [list(_agent_values(a)), _pairs(a.skills), list(a.teams), list(a.free), works]


def _agent(row: list[Any]) -> Agent:
    values = dict(zip(_AGENT, row[0], strict=True))
    works = {work[0]: Work(*work) for work in row[4]}
    return Agent(skills=_tuples(row[1]), teams=tuple(row[2]), free=tuple(row[3]), works=works, **values)


def _pairs(skills: tuple[tuple[str, int], ...]) -> list[list[Any]]:
    return [list(skill) for skill in skills]


def _tuples(rows: list[list[Any]]) -> tuple[tuple[str, int], ...]:
    return tuple((str(name), int(level)) for name, level in rows)
