"""Reading for pages and reports: customer's card, an agent's last contacts, interactions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Engine, text

from callcenter.journal.private import PrivateStore
from callcenter.kernel.e164 import national, to_e164
from callcenter.kernel.envelope import MasterKey
from callcenter.kernel.errors import NotAllowed
from crm_core.customers import CustomerService
from crm_core.db import reads, session
from crm_core.policies import PolicyService

Plain = dict[str, Any]
T = TypeVar("T")
_LAST = 10
MOST_ACTIONS = 200
_LISTED = (
    "SELECT id, medium, number, party_ref, customer_id, queue, agent, arrived_at_ms, answered_at_ms, ended_at_ms, "
    "outcome, wrap_up_code, note_ref FROM interactions"
)


def cut_off_since(engine: Engine, since_ms: int) -> list[tuple[str, int]]:
    """(party reference, when) of calls that a fault of ours ended."""
    query = text(
        "SELECT party_ref, ended_at_ms FROM interactions "
        "WHERE outcome = 'cut_off' AND arrived_at_ms > :s AND ended_at_ms IS NOT NULL ORDER BY ended_at_ms"
    )
    with reads(engine).connect() as connection:
        return [(str(ref), int(at_ms)) for ref, at_ms in connection.execute(query, {"s": since_ms})]


class ContactQueries:
    """Each query runs on the executor and answers plain values."""

    def __init__(self, engine: Engine, private: PrivateStore, master: MasterKey, executor: Executor) -> None:
        self._engine, self._private = reads(engine), private
        self._master, self._executor = master, executor

    async def card(self, customer_id: int) -> Plain:
        """Name, class, policies, last contacts. {} for a customer that is gone."""
        return await self._run(lambda: self._card(customer_id))

    async def last_of_agent(self, agent: str) -> list[Plain]:
        rows = await self._run(
            lambda: self._rows(
                f"{_LISTED} WHERE agent = :a ORDER BY arrived_at_ms DESC LIMIT {_LAST}", {"a": agent}
            )
        )
        return [self._listed(row) for row in rows]

    async def customers(self, text: str) -> list[Plain]:
        """Found by name, pinyin, initials, or a telephone number whole or its last 4, 6 or 8 digits; at most 20."""
        return await self._run(lambda: self._find_customers(text))

    async def email_of(self, customer: int) -> str:
        """The first address of a customer's record; "" where it has none. Raises NotAllowed: no_customer."""

        def work() -> str:
            with session(self._engine) as records:
                service = CustomerService(records, self._master)
                found = service.get(customer)
                if found is None:
                    raise NotAllowed("no_customer")
                return next(iter(service.public(found).emails), "")

        return await self._run(work)

    async def phone_of(self, customer: int, which: int) -> str:
        """One of a customer's numbers, E.164. Raises NotAllowed: no_customer."""

        def work() -> str:
            with session(self._engine) as records:
                service = CustomerService(records, self._master)
                found = service.get(customer)
                phones = service.public(found).phones if found is not None else []
            if not 0 <= which < len(phones):
                raise NotAllowed("no_customer")
            return phones[which]

        return await self._run(work)

    async def may_call(self, number: str, customer: int) -> tuple[int, bool]:
        """(the one customer at this number, or the given one; 0 for none, somebody there wants no calls)."""

        def work() -> tuple[int, bool]:
            with session(self._engine) as records:
                found = CustomerService(records, self._master).by_phone(number)
            known = customer or (found[0].id or 0 if len(found) == 1 else 0)
            return known, any(one.do_not_call for one in found)

        return await self._run(work)

    def _find_customers(self, text: str) -> list[Plain]:
        digits = "".join(c for c in text if c.isdigit())
        with session(self._engine) as records:
            service = CustomerService(records, self._master)
            if digits and not any(c.isalpha() for c in text):
                e164 = to_e164(text)
                found = service.by_phone(e164) if e164 else []
                if not found and len(digits) in (4, 6, 8):
                    found = service.by_phone_ending(digits)[:20]
            else:
                found = service.by_name(text)
            return [{"id": one.id, "name": one.name, "klass": one.klass} for one in found]

    async def audit(self, wanted: Plain) -> list[Plain]:
        """Actions newest first, at most `MOST_ACTIONS`; `wanted` names any of since_ms, until_ms, actor, action,
        subject."""
        tests = {
            "since_ms": "at_ms >= :since_ms",
            "until_ms": "at_ms < :until_ms",
            "actor": "actor = :actor",
            "action": "action = :action",
            "subject": "(subject = :subject OR detail = :subject)",
        }
        values = {name: value for name, value in wanted.items() if value not in (None, "")}
        where = " AND ".join(tests[name] for name in values) or "1 = 1"
        query = (
            f"SELECT at_ms, actor, action, subject, detail FROM audit WHERE {where} "  # noqa: S608 - constants
            f"ORDER BY seq DESC, n DESC LIMIT {MOST_ACTIONS}"
        )
        return await self._run(lambda: self._rows(query, values))

    async def party_of(self, interaction: str, agent: str) -> str:
        """Reference of the party of an ended interaction of this agent. Raises NotAllowed."""
        query = (
            "SELECT party_ref FROM interactions i WHERE id = :i AND (agent = :a OR EXISTS (SELECT 1 FROM segments s "
            "WHERE s.interaction_id = i.id AND s.agent = :a AND s.kind = 'talking'))"
        )
        rows = await self._run(lambda: self._rows(query, {"i": interaction, "a": agent}))
        if not rows:
            raise NotAllowed("not_yours")
        return str(rows[0]["party_ref"])

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _card(self, customer_id: int) -> Plain:
        with session(self._engine) as records:
            service = CustomerService(records, self._master)
            customer = service.get(customer_id)
            if customer is None:
                return {}
            policies = PolicyService(records).of_customer(customer_id)
            phones = [national(phone) for phone in service.public(customer).phones]
        rows = self._rows(
            f"{_LISTED} WHERE customer_id = :c AND ended_at_ms IS NOT NULL ORDER BY arrived_at_ms DESC LIMIT 5",
            {"c": customer_id},
        )
        return {
            "id": customer.id,
            "name": customer.name,
            "klass": customer.klass,
            "sex": customer.sex,
            "do_not_call": customer.do_not_call,
            "phones": phones,
            "policies": [policy.model_dump(mode="json") for policy in policies],
            "contacts": [_without_party(row) for row in rows],
        }

    def _listed(self, row: Plain) -> Plain:
        caller = national(self._private.get(row["party_ref"]))
        return {**_without_party(row), "caller": caller, "note": self._private.get(row["note_ref"])}

    def _rows(self, query: str, values: Plain) -> list[Plain]:
        with self._engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(text(query), values)]


_RECORDINGS = (
    "SELECT id, interaction_id, kind, state, reason, duration_ms, marks FROM recordings "
    "ORDER BY started_at_ms, id"
)


def report_interactions(engine: Engine, private: PrivateStore) -> Iterator[Plain]:
    """Every interaction in order of arrival, as reports show it; times in ISO 8601, UTC."""
    query = (
        "SELECT id, medium, direction, number, party_ref, customer_id, queue, agent, arrived_at_ms, queued_at_ms, "
        "answered_at_ms, ended_at_ms, outcome, cause, ended_by, wrap_up_code, quality, stars "
        "FROM interactions ORDER BY arrived_at_ms, id"
    )
    parts: dict[str, list[Plain]] = {}
    with reads(engine).connect() as connection:
        for row in connection.execute(text(_RECORDINGS)):
            one = dict(row._mapping)
            one["marks"] = json.loads(one["marks"] or "[]")
            parts.setdefault(one.pop("interaction_id"), []).append(one)
        for row in connection.execute(text(query)):
            plain = dict(row._mapping)
            plain["recordings"] = parts.get(plain["id"], [])
            plain["quality"] = json.loads(plain["quality"]) if plain["quality"] else None
            plain["caller"] = private.get(plain.pop("party_ref")) or None
            for name in ("arrived_at", "queued_at", "answered_at", "ended_at"):
                plain[name] = _iso(plain.pop(f"{name}_ms"))
            for name in ("queue", "agent", "outcome", "wrap_up_code"):
                plain[name] = plain[name] or None
            yield plain


def _without_party(row: Plain) -> Plain:
    return {name: value for name, value in row.items() if name not in ("party_ref", "note_ref")}


def _iso(moment_ms: int | None) -> str | None:
    if moment_ms is None:
        return None
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
