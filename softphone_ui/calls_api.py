"""Call control. Each answers 204 once the command is on its way; what then is, the feed says.

Refusals are 409 with a code: `call_over`, `already_ringing`, `agent_busy`, `agent_not_ready`, `agent_not_here`,
`no_guest`, `queue_closed`, `queue_full`, `not_parked`, `in_consultation`, `too_many`, `itself`; 422 for what cannot be:
`unknown_agent`, `unknown_queue`, `bad_number`, `bad_keys`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field, model_validator

from callcenter.kernel.errors import NotAllowed
from callcenter.live.control import Target
from softphone_ui.access import MOST_NUMBER, ThePanel, to_do, to_read
from softphone_ui.auth import Identity

router = APIRouter(prefix="/api", tags=["call control"])
InCall = Annotated[Identity, Depends(to_do("own.call"))]


class Switch(BaseModel):
    on: bool


class Keys(BaseModel):
    keys: str = Field(max_length=32)


class Leg(BaseModel):
    leg: str = Field(max_length=40)


class Whom(BaseModel):
    """Exactly one of these."""

    agent: str = Field(default="", max_length=64)
    number: str = Field(default="", max_length=24)
    queue: str = Field(default="", max_length=64)

    @model_validator(mode="after")
    def _one(self) -> Whom:
        if sum(map(bool, (self.agent, self.number, self.queue))) != 1:
            raise ValueError("expected one of agent, number, queue")
        return self

    @property
    def target(self) -> Target:
        return Target(self.agent, self.number, self.queue)


class Person(Whom):
    """An agent or a number."""

    queue: str = Field(default="", max_length=0)


class Parked(BaseModel):
    parked: str = Field(max_length=40)


class Called(BaseModel):
    """Exactly one of agent, number, customer; `phone`: which of the customer's numbers, from 0."""

    agent: str = Field(default="", max_length=64)
    number: str = Field(default="", max_length=24)
    customer: int = Field(default=0, ge=0, le=MOST_NUMBER)
    phone: int = Field(default=0, ge=0, le=99)

    @model_validator(mode="after")
    def _one(self) -> Called:
        if sum(map(bool, (self.agent, self.number, self.customer))) != 1:
            raise ValueError("expected one of agent, number, customer")
        return self


@router.post("/calls", status_code=201)
async def call_out(body: Called, who: InCall, panel: ThePanel) -> dict[str, str]:
    """Call a colleague, a number or a customer: my device first, then theirs. 409 `you_are_busy`, `agent_busy`,
    `agent_not_here`, `no_device`, `all_lines_busy`, `do_not_call`; 404 `no_customer`."""
    target = Target(body.agent, body.number)
    return {"interaction": await panel.call_out(who.login, target, body.customer, body.phone)}


@router.get("/customers")
async def customers(
    text: Annotated[str, Query(min_length=1, max_length=80)],
    _who: Annotated[Identity, Depends(to_read("customers.read"))],
    panel: ThePanel,
) -> list[dict[str, Any]]:
    """By name, pinyin, initials, or telephone number (whole, or its last 4, 6 or 8 digits); at most 20."""
    return await panel.queries.customers(text)


@router.get("/customers/{customer}")
async def customer(
    customer: Annotated[int, Path(ge=1, le=MOST_NUMBER)],
    _who: Annotated[Identity, Depends(to_read("customers.read"))],
    panel: ThePanel,
) -> dict[str, Any]:
    """The card; 404 `no_customer`."""
    card = await panel.queries.card(customer)
    if not card:
        raise NotAllowed("no_customer")
    return card


@router.post("/interactions/{interaction}/hold", status_code=204)
async def hold(interaction: str, body: Switch, who: InCall, panel: ThePanel) -> None:
    panel.control.hold(who.login, interaction, body.on)


@router.post("/interactions/{interaction}/mute", status_code=204)
async def mute(interaction: str, body: Switch, who: InCall, panel: ThePanel) -> None:
    panel.control.mute(who.login, interaction, body.on)


@router.post("/interactions/{interaction}/recording", status_code=204)
async def recording(interaction: str, body: Switch, who: InCall, panel: ThePanel) -> None:
    """`on` false: the file holds silence from here on; true: what is said again. 409 `not_recorded`."""
    panel.control.pause_recording(who.login, interaction, not body.on)


@router.post("/interactions/{interaction}/key-entry", status_code=204)
async def key_entry(interaction: str, body: Switch, who: InCall, panel: ThePanel) -> None:
    """Ask the customer to key in the last six places of their identity number (`*` for X): nobody sees or hears them,
    the recording pauses, and the feed says whether they fit. `on` false gives it up. 409 `already_keying`,
    `not_keying`; 404 `no_customer`."""
    (panel.key_entry.start if body.on else panel.key_entry.cancel)(who.login, interaction)


@router.post("/interactions/{interaction}/keys", status_code=204)
async def keys(interaction: str, body: Keys, who: InCall, panel: ThePanel) -> None:
    panel.control.press(who.login, interaction, body.keys)


@router.post("/interactions/{interaction}/consult", status_code=204)
async def consult(interaction: str, body: Person, who: InCall, panel: ThePanel) -> None:
    """Hold the customer, ring an agent or a number."""
    panel.control.consult(who.login, interaction, body.target)


@router.post("/interactions/{interaction}/take-back", status_code=204)
async def take_back(interaction: str, who: InCall, panel: ThePanel) -> None:
    panel.control.take_back(who.login, interaction)


@router.post("/interactions/{interaction}/swap", status_code=204)
async def swap(interaction: str, who: InCall, panel: ThePanel) -> None:
    panel.control.swap(who.login, interaction)


@router.post("/interactions/{interaction}/join", status_code=204)
async def join(interaction: str, who: InCall, panel: ThePanel) -> None:
    """A conference of all who are there."""
    panel.control.join(who.login, interaction)


@router.post("/interactions/{interaction}/drop", status_code=204)
async def drop(interaction: str, body: Leg, who: InCall, panel: ThePanel) -> None:
    panel.control.drop(who.login, interaction, body.leg)


@router.post("/interactions/{interaction}/complete", status_code=204)
async def complete(interaction: str, who: InCall, panel: ThePanel) -> None:
    """Attended transfer: the customer goes on with the guest."""
    panel.control.complete(who.login, interaction)


@router.post("/interactions/{interaction}/transfer", status_code=204)
async def transfer(interaction: str, body: Whom, who: InCall, panel: ThePanel) -> None:
    """Blind transfer to a queue, an agent or a number."""
    panel.control.transfer(who.login, interaction, body.target)


@router.post("/interactions/{interaction}/park", status_code=204)
async def park(interaction: str, who: InCall, panel: ThePanel) -> None:
    panel.control.park(who.login, interaction)


@router.post("/interactions/{interaction}/bring", status_code=204)
async def bring(interaction: str, body: Parked, who: InCall, panel: ThePanel) -> None:
    """A parked customer joins this conversation."""
    panel.control.bring(who.login, interaction, body.parked)


@router.post("/interactions/{interaction}/take", status_code=204)
async def take(interaction: str, who: InCall, panel: ThePanel) -> None:
    """A parked call is offered to me."""
    panel.control.take(who.login, interaction)


@router.get("/directory")
async def directory(
    _who: Annotated[Identity, Depends(to_read("directory.read"))], panel: ThePanel
) -> dict[str, list[dict[str, Any]]]:
    """Whom a call can go to: agents with their states, open queues with how many wait."""
    return panel.whom()
