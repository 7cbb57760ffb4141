"""The engine's tables as plain values and back, for snapshots: rows in the order of the fields."""

from __future__ import annotations

from typing import Any

from routing.state import WAITING, Agent, Contact, Offer, Tables

STATE_VERSION = 1
EngineState = dict[str, Any]
"""Plain values only: what `snapshot` answers and `restore` takes."""


def tables_to_plain(tables: Tables) -> EngineState:
    return {
        "closed": sorted(queue for queue, closed in tables.closed.items() if closed),
        "contacts": [_contact_row(contact) for contact in tables.contacts.values()],
        "agents": [_agent_row(agent) for agent in tables.agents.values()],
        "offers": [[o.id, o.contact, o.agent, o.expires_at_ms] for o in tables.offers.values()],
    }


def tables_from_plain(state: EngineState) -> Tables:
    tables = Tables(
        contacts={row[0]: _contact(row) for row in state["contacts"]},
        agents={row[0]: _agent(row) for row in state["agents"]},
        offers={row[0]: Offer(*row) for row in state["offers"]},
        closed=dict.fromkeys(state["closed"], True),
    )
    for contact in tables.contacts.values():
        if contact.state == WAITING:
            tables.waiting[contact.queue] = tables.waiting.get(contact.queue, 0) + 1
    return tables


def _contact_row(c: Contact) -> list[Any]:
    needs = [list(need) for need in c.needs]
    barred = [list(pair) for pair in c.barred.items()]
    return [c.id, c.queue, needs, c.arrived_at_ms, c.deadline_ms, c.order, c.state, c.offer, c.agent, barred]


def _contact(row: list[Any]) -> Contact:
    needs = tuple((str(name), int(level)) for name, level in row[2])
    contact = Contact(row[0], row[1], needs, row[3], row[4], row[5])
    contact.state, contact.offer, contact.agent = row[6:9]
    contact.barred = dict(row[9])
    return contact


def _agent_row(a: Agent) -> list[Any]:
    skills = [list(skill) for skill in a.skills]
    return [
        *(a.id, skills, a.state, a.since_ms, a.reason, a.until_ms, a.contact, a.offer),
        *(a.idle_since_ms, a.idle_order, a.next_state, a.next_reason, a.token),
    ]


def _agent(row: list[Any]) -> Agent:
    return Agent(row[0], tuple((str(name), int(level)) for name, level in row[1]), *row[2:])
