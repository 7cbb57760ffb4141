"""Recordings: found by the fields of their records, played, downloaded, held.

To hear one takes a grant: `POST …/grants` writes the audit and answers an address that serves this person for an hour.
Refusals: 404 `no_recording`; 410 `recording_deleted`, `recording_erased`; 409 `recording_not_ready`; 500
`recording_damaged`; 403 `no_grant`; 422 `bad_number`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from callcenter.kernel.errors import NotAllowed
from callcenter.recordings import Opened
from softphone_ui.access import MOST_NUMBER, Reader, ThePanel, to_do, to_read
from softphone_ui.auth import Identity
from softphone_ui.panel import Panel
from softphone_ui.permissions import may

router = APIRouter(prefix="/api/recordings", tags=["recordings"])
Listener = Annotated[Identity, Depends(to_read("recordings.read"))]
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
_MOST_BYTES = 4 << 20
"""of one answer: the player asks for the rest"""


class Search(BaseModel):
    since_ms: int | None = Field(default=None, ge=0, le=MOST_NUMBER)
    until_ms: int | None = Field(default=None, ge=0, le=MOST_NUMBER)
    longer_ms: int | None = Field(default=None, ge=0, le=MOST_NUMBER)
    queue: str = Field(default="", max_length=64)
    agent: str = Field(default="", max_length=64)
    number: str = Field(default="", max_length=32)
    direction: str = Field(default="", max_length=8)
    outcome: str = Field(default="", max_length=16)
    wrap_up: str = Field(default="", max_length=32)
    customer: int | None = Field(default=None, ge=0, le=MOST_NUMBER)
    interaction: str = Field(default="", max_length=32)
    kind: str = Field(default="", max_length=16)
    state: str = Field(default="", max_length=16)
    party: str = Field(default="", max_length=24)
    """the customer's telephone number, as people write it"""
    name: str = Field(default="", max_length=80)
    """the customer's: characters, pinyin or initials"""
    held: bool | None = None


class Use(BaseModel):
    use: Literal["play", "download"]


class Hold(BaseModel):
    on: bool
    note: str = Field(default="", max_length=500)
    """why; part of the record of the hold"""


@router.get("")
async def find(wanted: Annotated[Search, Query()], _who: Listener, panel: ThePanel) -> list[dict[str, Any]]:
    """Newest first, at most 200."""
    return await panel.recordings.find(wanted.model_dump())


@router.post("/{recording}/grants")
async def grant(
    recording: str, body: Use, who: Annotated[Identity, Depends(to_do("recordings.read"))], panel: ThePanel
) -> dict[str, Any]:
    """`{url, ms, outline, marks}`: where to hear or fetch it, and what to draw meanwhile."""
    if body.use == "download" and not may(who.role, "recordings.download"):
        raise NotAllowed("role")
    needs = "recordings.download" if body.use == "download" else "recordings.read"
    return await panel.recordings.grant(who.login, recording, body.use, needs)


@router.get("/{recording}/sound", response_class=Response)
async def sound(
    recording: str,
    who: Reader,
    panel: ThePanel,
    grant: Annotated[str, Query(max_length=64)] = "",
    wanted: Annotated[str, Header(alias="Range")] = "",
) -> Response:
    """The WAV file, whole or by one range, for who holds the grant."""
    use, opened = panel.recordings.granted(who, recording, grant)
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "no-store"}
    span = _span(wanted, opened.size) if use == "play" else None
    if span is None:
        if use == "download":
            headers["Content-Disposition"] = f'attachment; filename="{recording}.wav"'
        headers["Content-Length"] = str(opened.size)
        beginning = await panel.recordings.read(
            opened, 0, _MOST_BYTES
        )  # what is damaged is said before a 200
        return StreamingResponse(_pieces(panel, opened, beginning), 200, headers, "audio/wav")
    first, last = span
    if first >= opened.size:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{opened.size}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{opened.size}"
    content = await panel.recordings.read(opened, first, last - first + 1)
    return Response(content, 206, headers, "audio/wav")


@router.post("/{recording}/hold", status_code=204)
async def hold(
    recording: str, body: Hold, who: Annotated[Identity, Depends(to_do("recordings.hold"))], panel: ThePanel
) -> None:
    """Legal hold on everything recorded of this interaction, or its end."""
    await panel.recordings.hold(who.login, recording, body.on, body.note)


async def _pieces(panel: Panel, opened: Opened, beginning: bytes) -> AsyncIterator[bytes]:
    yield beginning
    for start in range(_MOST_BYTES, opened.size, _MOST_BYTES):
        yield await panel.recordings.read(opened, start, _MOST_BYTES)


def _span(wanted: str, size: int) -> tuple[int, int] | None:
    """First and last byte of the answer; None for the whole: what cannot be read as one range is none (RFC 9110)."""
    found = _RANGE.fullmatch(wanted.strip())
    if (
        found is None
        or found[1] == found[2] == ""
        or (found[1] and found[2] and int(found[2]) < int(found[1]))
    ):
        return None
    if found[1] == "":
        first, last = max(0, size - int(found[2])), size - 1
    else:
        first, last = int(found[1]), min(size - 1, int(found[2] or size - 1))
    return first, min(last, first + _MOST_BYTES - 1)
