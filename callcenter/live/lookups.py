"""What flows may ask, answered from the CRM on a helper thread; and who is calling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, text
from sqlalchemy.exc import SQLAlchemyError

from callcenter.kernel import logging
from callcenter.kernel.envelope import MasterKey
from callcenter.live.facts import CustomerMatched
from callcenter.live.host import Host
from callcenter.live.hours import HoursKeeper
from callcenter.messaging.mail_desk import Known
from callcenter.messaging.text_flows import Party
from crm_core.customers import CustomerService
from crm_core.db import reads, session
from crm_core.sales_agents import SalesAgentService

log = logging.get("lookups")
_LAST_AGENTS = text(
    "SELECT customer_id, agent FROM interactions WHERE customer_id IN :customers AND agent <> '' "
    "AND answered_at_ms >= :since ORDER BY answered_at_ms"
).bindparams(bindparam("customers", expanding=True))
_GATHER_S = 0.05
"""callers of this time are looked up together"""
Result = Mapping[str, Any]


class CrmLookups:
    def __init__(
        self,
        host: Host,
        engine: Engine,
        master: MasterKey,
        hours: HoursKeeper,
        executor: Executor,
        memory_ms: int = 30 * 86_400_000,
    ) -> None:
        """`memory_ms`: so long it is remembered who served a customer last."""
        self._memory_ms = memory_ms
        self._host, self._engine, self._reads, self._master = host, engine, reads(engine), master
        self._hours, self._executor = hours, executor
        self._tasks: set[asyncio.Task[None]] = set()
        self._callers: dict[str, str] = {}
        self.failed = 0

    def ask(
        self,
        interaction: Party,
        name: str,
        args: Mapping[str, str],
        answer: Callable[[Result | None], None],
    ) -> None:
        if name == "hours":
            answer({"open": "yes" if self._hours.open_now() else "no"})
        elif name == "customer":
            caller = self._host.private.get(interaction.party_ref)
            self._start(lambda: self._customer(caller), answer)
        elif name == "sales_agent":
            number, now_ms = args.get("number", ""), self._host.clock.now_ms()
            self._start(lambda: self._check(interaction.id, number, now_ms), answer)
        else:
            answer(None)

    def id_number_ends(self, customer: int, ending: str) -> bool | None:
        """Blocks; for a helper thread."""
        with session(self._reads) as records:
            return CustomerService(records, self._master).id_number_ends(customer, ending)

    async def by_email(self, address: str) -> Known | None:
        """The one customer of this address; of several nobody is guessed. None too where the records cannot be asked:
        the mail is served all the same."""
        since_ms = self._host.clock.now_ms() - self._memory_ms

        def look() -> Known | None:
            with session(self._reads) as records:
                found = CustomerService(records, self._master).by_email(address)
                if len(found) != 1 or found[0].id is None:
                    return None
                agents = last_agents(records.connection(), {found[0].id}, since_ms)
                one = found[0]
                return Known(found[0].id, one.name, one.klass, agents.get(found[0].id, ""))

        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, look)
        except SQLAlchemyError as error:
            self.failed += 1
            log.error("lookup_failed", reason=type(error).__name__)
            return None

    def recognise(self, interaction: str, caller: str) -> None:
        """Attach the one customer reached at this number; of several nobody is guessed."""

        self._callers[interaction] = caller
        if len(self._callers) == 1:
            asyncio.get_running_loop().call_later(_GATHER_S, self._recognise_gathered)

    def _recognise_gathered(self) -> None:
        callers, self._callers = self._callers, {}

        def matched(found: Result | None) -> None:
            for interaction, (customer, klass, last_agent) in (found or {}).items():
                self._host.submit(CustomerMatched(interaction, customer, klass, last_agent))

        self._start(lambda: self._customers(callers), matched)

    def _start(self, work: Callable[[], Result], answer: Callable[[Result | None], None]) -> None:
        async def run() -> None:
            try:
                result: Result | None = await asyncio.get_running_loop().run_in_executor(self._executor, work)
            except Exception as error:
                self.failed += 1
                log.error("lookup_failed", reason=type(error).__name__)
                result = None
            answer(result)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _customers(self, callers: Mapping[str, str]) -> Result:
        """(id, class, last agent) of the one customer reached at each of these numbers, by interaction; of several
        nobody is guessed."""
        since_ms = self._host.clock.now_ms() - self._memory_ms
        with session(self._reads) as records:
            customers = CustomerService(records, self._master)
            found = customers.ids_by_phone(set(callers.values()))
            known = {i: found[caller][0] for i, caller in callers.items() if len(found.get(caller, ())) == 1}
            classes = customers.classes(set(known.values())) if known else {}
            agents = last_agents(records.connection(), set(known.values()), since_ms) if known else {}
        return {i: (one, classes.get(one, ""), agents.get(one, "")) for i, one in known.items()}

    def _customer(self, caller: str) -> Result:
        if not caller:
            return {"known": "no"}
        with session(self._reads) as records:
            found = CustomerService(records, self._master).by_phone(caller)
        if len(found) != 1:
            return {"known": "no", "candidates": len(found)}
        customer = found[0]
        return {"known": "yes", "id": customer.id, "klass": customer.klass, "language": customer.language}

    def _check(self, interaction: str, number: str, now_ms: int) -> Result:
        with session(self._engine) as records:
            result, who = SalesAgentService(records, self._master).check(number, interaction, now_ms)
            records.commit()
            return {"result": result, "name": who.name if who else "", "branch": who.branch if who else ""}


def last_agents(connection: Connection, customers: set[int], since_ms: int) -> dict[int, str]:
    """customer -> who answered them last since then."""
    rows = connection.execute(_LAST_AGENTS, {"customers": sorted(customers), "since": since_ms})
    return {row.customer_id: row.agent for row in rows}
