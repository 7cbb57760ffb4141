"""Finding what was written: who may find what, and how it is shown."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import text

from callcenter.kernel.errors import NotAllowed
from callcenter.live import facts as f
from callcenter.messaging.archive import FLOW, TooShort, Wanted
from crm_core.db import reads
from softphone_ui.auth import Identity
from softphone_ui.permissions import AGENT

Plain = dict[str, Any]
T = TypeVar("T")
_SNIPPET = 400
_BEFORE = text(
    "SELECT id FROM interactions WHERE customer_id = :customer AND medium IN ('chat', 'email') AND id <> :id "
    "ORDER BY arrived_at_ms DESC LIMIT 20"
)
_ORGS = text(
    "WITH RECURSIVE mine(id) AS (SELECT org_id FROM users WHERE login = :login "
    "UNION SELECT o.id FROM orgs o JOIN mine m ON o.parent_id = m.id) SELECT id FROM mine"
)
"""a person's organisation and all branches below it"""


class Finder:
    """`core` is the bootstrap's core."""

    def __init__(self, core: Any) -> None:
        self._core = core
        self._one = threading.Lock()
        """texts are opened by one thread at a time"""

    async def find(
        self, who: Identity, words: str, customer: int, agent: str, since_ms: int, until_ms: int
    ) -> list[Plain]:
        """Raises NotAllowed: too_short."""
        own = who.role == AGENT
        if own and not (words.strip() or customer):
            raise NotAllowed("too_short")
        await self._core.until_in_history()
        try:
            rows = await self._off_loop(
                lambda: self._find(who, words, customer, who.login if own else agent, since_ms, until_ms)
            )
        except TooShort as error:
            raise NotAllowed("too_short") from error
        if not own:
            now_ms, subject = self._core.clock.now_ms(), str(customer or "")
            await self._core.on_record(f.ActionTaken(who.login, "messages_found", subject, "", now_ms))
        return [self._shown(row) for row in rows]

    def _find(
        self, who: Identity, words: str, customer: int, agent: str, since_ms: int, until_ms: int
    ) -> list[Plain]:
        with reads(self._core.records).connect() as connection:
            orgs = tuple(row[0] for row in connection.execute(_ORGS, {"login": who.login}))
        if not orgs:
            return []
        found: list[Plain] = self._core.search.find(Wanted(words, customer, agent, since_ms, until_ms, orgs))
        return found

    async def before(self, agent: str, interaction: str) -> list[Plain]:
        """Raises NotAllowed: not_yours."""
        conversation = self._core.host.book.written.open.get(interaction)
        if conversation is None or conversation.agent != agent:
            raise NotAllowed("not_yours")
        if not conversation.customer and conversation.thread in ("", interaction):
            return []
        await self._core.until_in_history()

        def look() -> list[Plain]:
            ids: list[str] = []
            if conversation.customer:
                with reads(self._core.records).connect() as connection:
                    values = {"customer": conversation.customer, "id": interaction}
                    ids = [row[0] for row in connection.execute(_BEFORE, values)]
            if conversation.thread not in ("", interaction, *ids):
                ids.append(conversation.thread)
            found: list[Plain] = self._core.search.history(ids)
            return found

        rows = await self._off_loop(look)
        rows.sort(key=lambda row: row["id"])
        return [self._shown({**row, "subject": ""}) for row in rows]

    def _shown(self, row: Plain) -> Plain:
        name_of = self._core.directory.name_of
        by = "customer" if not row["writer"] else FLOW if row["writer"] == FLOW else "agent"
        return {
            "message": row["message"],
            "interaction": row["interaction_id"],
            "medium": row["medium"],
            "by": by,
            "name": name_of(row["writer"]) if by == "agent" else "",
            "at_ms": row["at_ms"],
            "subject": row["subject"],
            "text": row["text"][:_SNIPPET],
            "customer": row.get("customer_id") or 0,
            "agent": name_of(row["agent"]) if row.get("agent") else "",
            "queue": self._core.directory.queue_titles().get(row.get("queue") or "", row.get("queue") or ""),
        }

    async def _off_loop(self, work: Callable[[], T]) -> T:
        def alone() -> T:
            with self._one:
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._core.executor, alone)
