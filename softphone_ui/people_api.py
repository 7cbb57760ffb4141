"""Users, queues, reasons, wrap-up codes and desk phones, edited by administrators; each change has a history and can
be undone.

Refusals: 404 `unknown_kind`, `unknown_record`, `unknown_change`; 422 `invalid` with the fields; 409 `key_taken`,
`key_stays`, `last_administrator`, `changed_since`, `queue_in_use`, `phone_taken`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query
from pydantic import BaseModel, Field

from softphone_ui.access import MOST_NUMBER, ThePanel, to_do, to_read
from softphone_ui.auth import Identity

router = APIRouter(prefix="/api/people", tags=["people"])
Administrator = Annotated[Identity, Depends(to_do("people.edit"))]
Reads = Annotated[Identity, Depends(to_read("people.read"))]
Values = Annotated[dict[str, Any], Body()]


class Phone(BaseModel):
    user: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,31}$")


@router.get("")
async def everything(_who: Reads, panel: ThePanel) -> dict[str, Any]:
    """Users, queues, reasons and codes, also those out of use."""
    return await panel.people_desk.everything()


@router.get("/changes")
async def changes(
    _who: Reads,
    panel: ThePanel,
    kind: Annotated[str, Query(max_length=16)] = "",
    key: Annotated[str, Query(max_length=64)] = "",
) -> list[dict[str, Any]]:
    """Newest first, at most 200."""
    return await panel.people_desk.history(kind, key)


@router.post("/changes/{change}/undo")
async def undo(
    change: Annotated[int, Field(ge=1, le=MOST_NUMBER)], who: Administrator, panel: ThePanel
) -> dict[str, Any]:
    """409 `changed_since` where somebody has changed the record meanwhile."""
    return await panel.people_desk.undo(who.login, change)


@router.post("/users/{login}/password")
async def one_time_password(login: str, who: Administrator, panel: ThePanel) -> dict[str, str]:
    """A password for once; shown here and nowhere else. All sessions of that person end."""
    return {"password": await panel.people_desk.give_password(who.login, login)}


@router.get("/phones")
async def phones(_who: Reads, panel: ThePanel) -> list[dict[str, Any]]:
    """Accounts of desk phones and where each is registered."""
    return await panel.people_desk.phones()


@router.post("/phones", status_code=201)
async def add_phone(body: Phone, who: Administrator, panel: ThePanel) -> dict[str, str]:
    """What the telephone is to be told; the password is shown here and nowhere else."""
    return await panel.people_desk.add_phone(who.login, body.user)


@router.delete("/phones/{user}", status_code=204)
async def drop_phone(user: str, who: Administrator, panel: ThePanel) -> None:
    await panel.people_desk.drop_phone(who.login, user)


@router.post("/{kind}", status_code=201)
async def create(kind: str, values: Values, who: Administrator, panel: ThePanel) -> dict[str, Any]:
    """kind: user, queue, reason, code."""
    return await panel.people_desk.put(who.login, kind, values)


@router.put("/{kind}/{key}")
async def change(kind: str, key: str, values: Values, who: Administrator, panel: ThePanel) -> dict[str, Any]:
    """The whole record as it shall be; `active` false takes it out of use."""
    return await panel.people_desk.put(who.login, kind, values, key)
