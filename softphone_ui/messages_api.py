"""Messages that callers left for a queue. Refusals: 409 `message_done`, `message_taken`, `no_number`, and those of
calls and recordings."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from softphone_ui.access import ThePanel, to_do
from softphone_ui.auth import Identity

router = APIRouter(prefix="/api/messages", tags=["messages"])
Mine = Annotated[Identity, Depends(to_do("own.messages"))]


@router.post("/{name}/take", status_code=204)
async def take(name: str, who: Mine, panel: ThePanel) -> None:
    """I see to it; nobody else may then."""
    panel.messages.take(who.login, panel.message(who.login, name).name)


@router.post("/{name}/give-back", status_code=204)
async def give_back(name: str, who: Mine, panel: ThePanel) -> None:
    panel.messages.give_back(who.login, panel.message(who.login, name).name)


@router.post("/{name}/done", status_code=204)
async def done(name: str, who: Mine, panel: ThePanel) -> None:
    panel.messages.done(who.login, panel.message(who.login, name).name)


@router.post("/{name}/call", status_code=201)
async def call_back(
    name: str,
    who: Mine,
    _calls: Annotated[Identity, Depends(to_do("own.call"))],
    panel: ThePanel,
) -> dict[str, str]:
    """Take it and call who left it."""
    return {"interaction": await panel.call_back(who.login, name)}


@router.post("/{name}/grants")
async def listen(name: str, who: Mine, panel: ThePanel) -> dict[str, Any]:
    """Where to hear it, as for any recording; on record too."""
    return await panel.recordings.grant(
        who.login, panel.message(who.login, name).name, "play", "own.messages"
    )
