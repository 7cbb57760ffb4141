"""Telephones in the browser: an agent's own, and a visitor's call to the hotline.

The page sends a complete session description (all candidates gathered) and gets ours. Refusals are 409 with a code:
`no_browser_phones`, `all_lines_busy`, `call_over`; 422 `bad_description`; 429 `too_often`; 401 `bad_identity`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from callcenter.kernel.errors import NotAllowed
from softphone_ui.access import ThePanel, to_do
from softphone_ui.auth import Identity

router = APIRouter(prefix="/api", tags=["browser phones"])
Mine = Annotated[Identity, Depends(to_do("own.phone"))]
_SDP = Field(min_length=20, max_length=64_000)


class Description(BaseModel):
    sdp: str = _SDP


class WebCall(BaseModel):
    sdp: str = _SDP
    number: str = Field(default="", max_length=32)
    """one of the numbers that may be rung from the web; the first of them where none is named"""
    identity: str = Field(default="", max_length=4_000)
    """a JWT by which the insurer's own site says whose telephone number this is"""


class WebKeys(BaseModel):
    keys: str = Field(pattern=r"^[0-9*#]{1,32}$")


@router.post("/phone")
async def attach(body: Description, who: Mine, panel: ThePanel) -> dict[str, str]:
    """Open my phone in this page, or come back to it after a reload; the call, if any, goes on."""
    return {"sdp": await panel.browser_phones.attach(who.login, body.sdp)}


@router.delete("/phone", status_code=204)
async def detach(who: Mine, panel: ThePanel) -> None:
    await panel.browser_phones.detach(who.login)


@router.post("/web-call")
async def web_call(body: WebCall, request: Request, panel: ThePanel) -> dict[str, Any]:
    """Ring the hotline. `call` is the key to it; keep it."""
    panel.web_calls.admit(request.client.host if request.client else "")
    number = panel.web_calls.number(body.number)
    visit = panel.web_calls.visit(body.identity)
    made = await panel.browser_phones.call(body.sdp, number, visit)
    return {"call": made["user"], "sdp": made["sdp"]}


@router.get("/web-call/{call}")
async def web_call_state(call: str, panel: ThePanel) -> dict[str, str]:
    """ringing, talking, idle (over)."""
    return {"state": panel.browser_phones.state_of(call)}


@router.post("/web-call/{call}/keys", status_code=204)
async def web_call_keys(call: str, body: WebKeys, panel: ThePanel) -> None:
    await panel.browser_phones.visitor(call, "keys", keys=body.keys)


@router.delete("/web-call/{call}", status_code=204)
async def web_call_over(call: str, panel: ThePanel) -> None:
    if panel.browser_phones.state_of(call) == "idle":
        raise NotAllowed("call_over")
    await panel.browser_phones.visitor(call, "hangup")
