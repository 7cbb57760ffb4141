"""The documented API. Everything the pages do goes through here.

A session cookie says who; every call that changes something carries the session's token in
`X-CSRF-Token`. Refusals are `{"error": code}`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from softphone_ui.access import Newcomer, ThePanel, to_do, to_read
from softphone_ui.auth import COOKIE, Identity

router = APIRouter(prefix="/api")
STATUS = {
    "not_logged_in": 401,
    "wrong_login": 401,
    "locked": 423,
    "csrf": 403,
    "role": 403,
    "password_change_needed": 403,
    "no_interaction": 404,
    "not_explained": 503,
    "not_safe": 503,
    "unknown_kind": 404,
    "unknown_record": 404,
    "unknown_change": 404,
    "invalid": 422,
    "not_yours": 404,
    "letter_gone": 404,
    "no_such_mail": 404,
    "no_such_file": 404,
    "no_mail": 404,
    "too_short": 422,
    "no_address": 422,
    "no_customer": 404,
    "unknown_code": 422,
    "unknown_reason": 422,
    "unknown_agent": 422,
    "unknown_queue": 422,
    "unknown_mode": 422,
    "unknown_state": 422,
    "bad_number": 422,
    "bad_description": 422,
    "unknown_number": 422,
    "too_often": 429,
    "bad_identity": 401,
    "oidc_refused": 401,
    "oidc_unreachable": 502,
    "bad_keys": 422,
    "unknown_phone": 422,
    "unknown_way": 422,
    "no_recording": 404,
    "recording_deleted": 410,
    "recording_erased": 410,
    "recording_damaged": 500,
    "no_grant": 403,
}


class LogIn(BaseModel):
    login: str = Field(max_length=64)
    password: str = Field(max_length=200)


class NewPassword(BaseModel):
    old: str = Field(max_length=200)
    new: str = Field(max_length=200)


class NotReady(BaseModel):
    reason: str = Field(max_length=32)


class Seat(BaseModel):
    seat: str = Field(max_length=32)
    """the account of a desk phone, `browser`, or "" for my own device"""


class WrapUp(BaseModel):
    code: str = Field(max_length=32)
    note: str = Field(default="", max_length=2_000)


Own = Annotated[Identity, Depends(to_do("own.state"))]
Offered = Annotated[Identity, Depends(to_do("own.offers"))]
InCall = Annotated[Identity, Depends(to_do("own.call"))]
WrapsUp = Annotated[Identity, Depends(to_do("own.wrap_up"))]


@router.post("/session", tags=["session"])
async def log_in(body: LogIn, request: Request, panel: ThePanel, response: Response) -> dict[str, Any]:
    """Log in; 401 `wrong_login`, 423 `locked` after five failures, for five minutes."""
    token, who = await panel.sessions.log_in(body.login, body.password, request.headers.get("user-agent", ""))
    set_session(response, token, panel.secure_cookies)
    return {"csrf": who.csrf, "name": who.name, "role": who.role, "must_change": who.must_change}


@router.post("/session/password", tags=["session"])
async def change_password(
    body: NewPassword, who: Newcomer, request: Request, panel: ThePanel, response: Response
) -> dict[str, str]:
    """My own password; other sessions of mine end. 401 `wrong_login`; 409 `password_too_short`, `password_same`."""
    token, now = await panel.sessions.change_password(
        who.login, body.old, body.new, request.headers.get("user-agent", "")
    )
    set_session(response, token, panel.secure_cookies)
    return {"csrf": now.csrf}


def set_session(response: Response, token: str, secure: bool) -> None:
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=secure, path="/")


@router.delete("/session", tags=["session"], status_code=204)
async def log_out(request: Request, who: Newcomer, panel: ThePanel, response: Response) -> None:
    panel.left(who)
    await panel.sessions.log_out(request.cookies.get(COOKIE, ""))
    response.delete_cookie(COOKIE, path="/")


@router.post("/agent/ready", tags=["agent"], status_code=204)
async def ready(who: Own, panel: ThePanel) -> None:
    panel.ready(who.login)


@router.post("/agent/not-ready", tags=["agent"], status_code=204)
async def not_ready(body: NotReady, who: Own, panel: ThePanel) -> None:
    """While busy it takes effect when the work is done."""
    panel.not_ready(who.login, body.reason)


@router.get("/agent/seats", tags=["agent"])
async def seats(who: Annotated[Identity, Depends(to_read("own.phone"))], panel: ThePanel) -> dict[str, Any]:
    """Desk phones, who has which today, and where I sit."""
    return {"seat": panel.seat(who.login), "phones": await panel.people_desk.seats(who.login)}


@router.post("/agent/seat", tags=["agent"], status_code=204)
async def sit(body: Seat, who: Annotated[Identity, Depends(to_do("own.phone"))], panel: ThePanel) -> None:
    """Be rung at this phone until I log out. 409 `phone_in_use`, `you_are_busy`, `no_browser_phones`; 422
    `unknown_phone`."""
    await panel.people_desk.sit(who.login, body.seat)


@router.post("/offers/{offer}/answer", tags=["offers"], status_code=204)
async def answer(offer: str, who: Offered, panel: ThePanel) -> None:
    """409 `offer_over` where it was withdrawn, answered or never yours."""
    panel.answer(who.login, offer)


@router.post("/offers/{offer}/decline", tags=["offers"], status_code=204)
async def decline(offer: str, who: Offered, panel: ThePanel) -> None:
    panel.decline(who.login, offer)


@router.post("/interactions/{interaction}/hang-up", tags=["interactions"], status_code=204)
async def hang_up(interaction: str, who: InCall, panel: ThePanel) -> None:
    """409 `call_over` where there is nothing to hang up."""
    panel.hang_up(who.login, interaction)


@router.post("/interactions/{interaction}/wrap-up", tags=["interactions"], status_code=204)
async def wrap_up(interaction: str, body: WrapUp, who: WrapsUp, panel: ThePanel) -> None:
    """Code and note, during the call, during wrap-up or later; the last one saved counts."""
    await panel.wrap_up(who.login, interaction, body.code, body.note)


@router.get("/contacts", tags=["interactions"])
async def contacts(
    who: Annotated[Identity, Depends(to_read("own.contacts"))], panel: ThePanel
) -> list[dict[str, Any]]:
    """My last contacts, newest first."""
    return await panel.queries.last_of_agent(who.login)
