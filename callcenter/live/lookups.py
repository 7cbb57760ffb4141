"""What flows may ask, answered from the CRM on a helper thread; and who is calling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

from sqlalchemy import Engine

from callcenter.kernel import logging
from callcenter.kernel.envelope import MasterKey
from callcenter.live.book import Interaction
from callcenter.live.facts import CustomerMatched
from callcenter.live.host import Host
from callcenter.live.hours import HoursKeeper
from crm_core.customers import CustomerService
from crm_core.db import reads, session
from crm_core.sales_agents import SalesAgentService

log = logging.get("lookups")
_GATHER_S = 0.05
"""callers of this time are looked up together"""
Result = Mapping[str, Any]


class CrmLookups:
    def __init__(
        self, host: Host, engine: Engine, master: MasterKey, hours: HoursKeeper, executor: Executor
    ) -> None:
        self._host, self._engine, self._reads, self._master = host, engine, reads(engine), master
        self._hours, self._executor = hours, executor
        self._tasks: set[asyncio.Task[None]] = set()
        self._callers: dict[str, str] = {}
        self.failed = 0

    def ask(
        self,
        interaction: Interaction,
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

    def recognise(self, interaction: str, caller: str) -> None:
        """Attach the one customer reached at this number; of several nobody is guessed."""

        self._callers[interaction] = caller
        if len(self._callers) == 1:
            asyncio.get_running_loop().call_later(_GATHER_S, self._recognise_gathered)

    def _recognise_gathered(self) -> None:
        callers, self._callers = self._callers, {}

        def matched(found: Result | None) -> None:
            for interaction, customer in (found or {}).items():
                self._host.submit(CustomerMatched(interaction, customer))

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
        """The one customer reached at each of these numbers, by interaction; of several nobody is guessed."""
        with session(self._reads) as records:
            found = CustomerService(records, self._master).ids_by_phone(set(callers.values()))
        return {i: found[caller][0] for i, caller in callers.items() if len(found.get(caller, ())) == 1}

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
