"""Who may do what. An action that does not stand here is nobody's."""

from __future__ import annotations

AGENT, SUPERVISOR, ADMINISTRATOR, AUDITOR = "agent", "supervisor", "administrator", "auditor"
ROLES = (AGENT, SUPERVISOR, ADMINISTRATOR, AUDITOR)

PERMISSIONS: dict[str, frozenset[str]] = {
    "own.state": frozenset({AGENT}),
    "own.offers": frozenset({AGENT}),
    "own.call": frozenset({AGENT}),
    "own.chats": frozenset({AGENT}),
    "own.wrap_up": frozenset({AGENT}),
    "own.phone": frozenset({AGENT, SUPERVISOR}),
    "own.messages": frozenset({AGENT, SUPERVISOR}),
    "own.contacts": frozenset(ROLES),
    "customers.read": frozenset({AGENT, SUPERVISOR}),
    "directory.read": frozenset({AGENT, SUPERVISOR, ADMINISTRATOR}),
    "calls.watch": frozenset({SUPERVISOR}),
    "calls.assign": frozenset({SUPERVISOR}),
    "calls.explain": frozenset({SUPERVISOR, ADMINISTRATOR, AUDITOR}),
    "agents.state": frozenset({SUPERVISOR}),
    "overview.read": frozenset({SUPERVISOR, ADMINISTRATOR, AUDITOR}),
    "wallboard.read": frozenset({SUPERVISOR, ADMINISTRATOR, AUDITOR}),
    "post": frozenset({SUPERVISOR}),
    "messages.find": frozenset({AGENT, SUPERVISOR, AUDITOR}),
    "recordings.read": frozenset({SUPERVISOR, AUDITOR}),
    "recordings.download": frozenset({AUDITOR}),
    "recordings.hold": frozenset({ADMINISTRATOR, AUDITOR}),
    "people.read": frozenset({ADMINISTRATOR, AUDITOR}),
    "people.edit": frozenset({ADMINISTRATOR}),
    "queues.members": frozenset({SUPERVISOR, ADMINISTRATOR}),
    "queues.close": frozenset({SUPERVISOR}),
    "announcement": frozenset({SUPERVISOR}),
    "audit.read": frozenset({AUDITOR, ADMINISTRATOR}),
}


def may(role: str, action: str) -> bool:
    return role in PERMISSIONS.get(action, frozenset())
