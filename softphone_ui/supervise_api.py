"""What supervisors do: listen, whisper, barge, take over; set states; give a waiting customer to somebody.

Refusals are 409 with a code: `call_over`, `no_device`, `already_ringing`, `no_guest`, `not_waiting`,
`agent_not_ready`; 422: `unknown_mode`, `unknown_state`, `unknown_agent`. Every use is on record."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from softphone_ui.access import ThePanel, to_do
from softphone_ui.auth import Identity

router = APIRouter(prefix="/api/supervise", tags=["supervision"])
Watcher = Annotated[Identity, Depends(to_do("calls.watch"))]


class Way(BaseModel):
    way: str = Field(max_length=16)
    """listen, whisper, barge"""


class State(BaseModel):
    state: str = Field(max_length=16)
    """ready, not_ready, logged_out"""


class ToAgent(BaseModel):
    agent: str = Field(max_length=64)


class Closing(BaseModel):
    then: str = Field(max_length=8)
    """stay, move, flow"""
    to: str = Field(default="", max_length=64)
    """move: the queue where they wait from then on"""


class Announcement(BaseModel):
    zh: str = Field(default="", max_length=500)
    en: str = Field(default="", max_length=500)


class Member(BaseModel):
    serves: bool


Closer = Annotated[Identity, Depends(to_do("queues.close"))]
Speaker = Annotated[Identity, Depends(to_do("announcement"))]


@router.post("/queues/{queue}/close")
async def close_queue(queue: str, body: Closing, who: Closer, panel: ThePanel) -> dict[str, int]:
    """Until it is reopened by hand; answers how many people were in it. 422 `unknown_queue`, `unknown_way`; 409
    `queue_closed` where they cannot move."""
    return {"people": panel.supervision.close_queue(who.login, queue, body.then, body.to)}


@router.post("/queues/{queue}/open", status_code=204)
async def open_queue(queue: str, who: Closer, panel: ThePanel) -> None:
    """Its opening hours count again. 409 `not_closed`."""
    panel.supervision.open_queue(who.login, queue)


@router.put("/announcement", status_code=204)
async def announce(body: Announcement, who: Speaker, panel: ThePanel) -> None:
    """What every caller hears first; nothing in both languages ends it. 409 `no_announcement`."""
    panel.supervision.announce(who.login, body.model_dump())


@router.put("/queues/{queue}/members/{login}", status_code=204)
async def member(
    queue: str,
    login: str,
    body: Member,
    who: Annotated[Identity, Depends(to_do("queues.members"))],
    panel: ThePanel,
) -> None:
    """Does this agent serve this queue? It has the skills it needs, or loses them; the change is in the history of
    people and can be undone there. 422 `unknown_agent`, `unknown_queue`; 409 `queue_needs_nothing`."""
    await panel.people_desk.member(who.login, queue, login, body.serves)


@router.post("/interactions/{interaction}/watch", status_code=204)
async def watch(interaction: str, body: Way, who: Watcher, panel: ThePanel) -> None:
    """Rings my device; when I am in already, changes the way."""
    panel.supervision.watch(who.login, interaction, body.way)


@router.post("/interactions/{interaction}/leave", status_code=204)
async def leave(interaction: str, who: Watcher, panel: ThePanel) -> None:
    panel.supervision.leave(who.login, interaction)


@router.post("/interactions/{interaction}/take-over", status_code=204)
async def take_over(interaction: str, who: Watcher, panel: ThePanel) -> None:
    panel.supervision.take_over(who.login, interaction)


@router.post("/interactions/{interaction}/assign", status_code=204)
async def assign(
    interaction: str, body: ToAgent, who: Annotated[Identity, Depends(to_do("calls.assign"))], panel: ThePanel
) -> None:
    panel.supervision.assign(who.login, interaction, body.agent)


@router.delete("/interactions/{interaction}/callback", status_code=204)
async def cancel_callback(
    interaction: str, who: Annotated[Identity, Depends(to_do("calls.assign"))], panel: ThePanel
) -> None:
    """Nobody is rung back after all. 409 `no_callback`."""
    panel.callbacks.cancel(who.login, interaction)


@router.post("/agents/{login}/state", status_code=204)
async def set_state(
    login: str, body: State, who: Annotated[Identity, Depends(to_do("agents.state"))], panel: ThePanel
) -> None:
    """A busy agent changes when the work is done."""
    panel.supervision.set_state(who.login, login, body.state)
