"""Messages found by their words, and what was written before with the same customer.

Agents find what stands in conversations that they served; supervisors and auditors what stands in any of their
organisation, and each search of theirs is in the audit, without its words. Refusals: 422 `too_short`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from softphone_ui.access import MOST_NUMBER, ThePanel, to_read
from softphone_ui.auth import Identity

router = APIRouter(prefix="/api/search", tags=["search"])
Finder = Annotated[Identity, Depends(to_read("messages.find"))]
Mine = Annotated[Identity, Depends(to_read("own.chats"))]
Number = Annotated[int, Query(ge=0, le=MOST_NUMBER)]


@router.get("/messages")
async def messages(
    who: Finder,
    panel: ThePanel,
    words: Annotated[str, Query(max_length=200)] = "",
    customer: Number = 0,
    agent: Annotated[str, Query(max_length=64)] = "",
    since_ms: Number = 0,
    until_ms: Number = 0,
) -> list[dict[str, Any]]:
    """Newest first, at most fifty; all that is given has to hold."""
    return await panel.finder.find(who, words, customer, agent, since_ms, until_ms)


@router.get("/before/{interaction}")
async def before(interaction: str, who: Mine, panel: ThePanel) -> list[dict[str, Any]]:
    """What was written before this conversation, in its thread and with its customer, oldest first."""
    return await panel.finder.before(who.login, interaction)
