"""Written conversations. Refusals: 409 `offer_over`, `empty`, `too_long`, `no_such_queue`; 404 `not_yours`; 503
`not_safe` where the journal does not take a message now (send it again under the same `client`)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from callcenter.messaging.desk import LONGEST, MOST_CLIENT
from softphone_ui.access import MOST_NUMBER, ThePanel, to_do, to_read
from softphone_ui.auth import Identity

router = APIRouter(prefix="/api/chats", tags=["chats"])
Mine = Annotated[Identity, Depends(to_do("own.chats"))]
Reader = Annotated[Identity, Depends(to_read("own.chats"))]


class Written(BaseModel):
    client: str = Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=MOST_CLIENT)
    text: str = Field(max_length=LONGEST * 2)


class Place(BaseModel):
    n: int = Field(ge=0, le=MOST_NUMBER)


class Line(BaseModel):
    queue: str = Field(max_length=64)


@router.post("/offers/{offer}/accept", status_code=204)
async def accept(offer: str, who: Mine, panel: ThePanel) -> None:
    panel.written.accept(who.login, offer)


@router.post("/offers/{offer}/decline", status_code=204)
async def decline(offer: str, who: Mine, panel: ThePanel) -> None:
    panel.written.decline(who.login, offer)


@router.get("/lines")
async def lines(_who: Reader, panel: ThePanel) -> list[dict[str, Any]]:
    """Where a conversation can be handed on to."""
    return panel.chats.lines()


@router.get("/{interaction}/messages")
async def messages(
    interaction: str,
    who: Reader,
    panel: ThePanel,
    after: Annotated[int, Query(ge=0, le=MOST_NUMBER)] = 0,
) -> list[dict[str, Any]]:
    """What was said behind this place: n, by (customer, agent, flow), name, text, at_ms, choices."""
    return panel.chats.thread(who.login, interaction, after)


@router.post("/{interaction}/messages", status_code=201)
async def send(interaction: str, body: Written, who: Mine, panel: ThePanel) -> dict[str, int]:
    """Answered once it is safe; the same `client` again is the same message."""
    return {"n": await panel.chats.send(who.login, interaction, body.client, body.text)}


@router.put("/{interaction}/read", status_code=204)
async def read(interaction: str, body: Place, who: Mine, panel: ThePanel) -> None:
    panel.written.agent_read(who.login, interaction, body.n)


@router.post("/{interaction}/typing", status_code=204)
async def typing(interaction: str, who: Mine, panel: ThePanel) -> None:
    panel.written.typing(interaction, who.login)


@router.post("/{interaction}/end", status_code=204)
async def end(interaction: str, who: Mine, panel: ThePanel) -> None:
    panel.written.end(who.login, interaction)


@router.post("/{interaction}/transfer", status_code=204)
async def transfer(interaction: str, body: Line, who: Mine, panel: ThePanel) -> None:
    panel.written.transfer(who.login, interaction, body.queue)
