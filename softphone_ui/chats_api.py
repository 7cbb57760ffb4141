"""Written conversations. Refusals: 409 `offer_over`, `empty`, `too_long`, `no_such_queue`, `no_such_agent`,
`bad_address`, `nobody_to_answer`, `bad_time`, `cannot_merge`, `not_merged`, `cannot_split`, and of files `too_large`,
`type_refused`, `archive_bomb`, `malware`, `unscanned`; 404 `not_yours`, `no_such_mail`, `no_such_file`; 503 `not_safe`
where the journal does not take a message now (send it again under the same `client`)."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Response, UploadFile
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from callcenter.messaging.casework import LONGEST_NOTE
from callcenter.messaging.desk import LONGEST_LETTER, MOST_CLIENT
from softphone_ui.access import MOST_NUMBER, ThePanel, to_do, to_read
from softphone_ui.auth import Identity

router = APIRouter(prefix="/api/chats", tags=["chats"])
Mine = Annotated[Identity, Depends(to_do("own.chats"))]
Reader = Annotated[Identity, Depends(to_read("own.chats"))]


class Enclosed(BaseModel):
    ref: str = Field(pattern=r"^f\.[0-9a-f]{40}$")
    name: str = Field(max_length=250)


class Written(BaseModel):
    client: str = Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=MOST_CLIENT)
    text: str = Field(max_length=LONGEST_LETTER * 2)
    cc: list[str] = Field(default=[], max_length=50)
    files: list[Enclosed] = Field(default=[], max_length=20)


class Place(BaseModel):
    n: int = Field(ge=0, le=MOST_NUMBER)


class HandOn(BaseModel):
    agent: str = Field(default="", max_length=64)
    queue: str = Field(default="", max_length=64)
    note: str = Field(default="", max_length=LONGEST_NOTE * 2)


class Words(BaseModel):
    text: str = Field(max_length=LONGEST_NOTE * 2)


class Park(BaseModel):
    until_ms: int = Field(ge=0, le=MOST_NUMBER)
    note: str = Field(default="", max_length=LONGEST_NOTE * 2)


class Into(BaseModel):
    into: str = Field(max_length=64)


class Whose(BaseModel):
    customer: int = Field(ge=0, le=MOST_NUMBER)


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


@router.get("/colleagues")
async def colleagues(who: Reader, panel: ThePanel) -> list[dict[str, str]]:
    """Whom a conversation can be handed to: those who are there."""
    return panel.chats.colleagues(who.login)


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
    files = [one.model_dump() for one in body.files]
    return {"n": await panel.chats.send(who.login, interaction, body.client, body.text, body.cc, files)}


@router.put("/{interaction}/read", status_code=204)
async def read(interaction: str, body: Place, who: Mine, panel: ThePanel) -> None:
    panel.written.agent_read(who.login, interaction, body.n)


@router.post("/{interaction}/typing", status_code=204)
async def typing(interaction: str, who: Mine, panel: ThePanel) -> None:
    panel.written.typing(interaction, who.login)


@router.post("/{interaction}/end", status_code=204)
async def end(interaction: str, who: Mine, panel: ThePanel) -> None:
    panel.written.end(who.login, interaction)


@router.post("/{interaction}/hand-on", status_code=204)
async def hand_on(interaction: str, body: HandOn, who: Mine, panel: ThePanel) -> None:
    """To a colleague or to another queue, with a word for whoever takes it."""
    panel.casework.hand_on(who.login, interaction, body.agent, body.queue, body.note)


@router.post("/{interaction}/notes", status_code=204)
async def note(interaction: str, body: Words, who: Mine, panel: ThePanel) -> None:
    panel.casework.note(who.login, interaction, body.text)


@router.post("/{interaction}/park", status_code=204)
async def park(interaction: str, body: Park, who: Mine, panel: ThePanel) -> None:
    """Until then, or until the customer writes."""
    panel.casework.park(who.login, interaction, body.until_ms, body.note)


@router.post("/{interaction}/unpark", status_code=204)
async def unpark(interaction: str, who: Mine, panel: ThePanel) -> None:
    panel.casework.unpark(who.login, interaction)


@router.post("/{interaction}/merge", status_code=204)
async def merge(interaction: str, body: Into, who: Mine, panel: ThePanel) -> None:
    panel.casework.merge(who.login, interaction, body.into)


@router.post("/{interaction}/unmerge", status_code=204)
async def unmerge(interaction: str, who: Mine, panel: ThePanel) -> None:
    panel.casework.unmerge(who.login, interaction)


@router.post("/{interaction}/split", status_code=201)
async def split(interaction: str, body: Place, who: Mine, panel: ThePanel) -> dict[str, str]:
    """From this message on; answers the new conversation."""
    return {"id": panel.casework.split(who.login, interaction, body.n)}


@router.put("/{interaction}/customer", status_code=204)
async def link(interaction: str, body: Whose, who: Mine, panel: ThePanel) -> None:
    """Whose it is; 0 takes that back."""
    await panel.link(who.login, interaction, body.customer)


@router.post("/{interaction}/code", status_code=204)
async def code(interaction: str, body: Whose, who: Mine, panel: ThePanel) -> None:
    """A code to this customer's known address; written back in the conversation, it says who it is."""
    await panel.send_code(who.login, interaction, body.customer)


@router.get("/{interaction}/answer")
async def answer(interaction: str, who: Reader, panel: ThePanel) -> dict[str, Any]:
    """To whom and about what an answer would go, and beginnings to pick from."""
    return panel.chats.letters.answer(who.login, interaction)


@router.post("/{interaction}/files", status_code=201)
async def upload(interaction: str, who: Mine, panel: ThePanel, file: UploadFile) -> dict[str, Any]:
    """A file to enclose."""
    data = await file.read(panel.most_file_bytes + 1)
    return await panel.chats.letters.upload(who.login, interaction, file.filename or "", data)


@router.get("/{interaction}/messages/{message}/html")
async def html(
    interaction: str, message: str, who: Reader, panel: ThePanel, remote: bool = False
) -> Response:
    """A mail's HTML, for a frame; `remote`: with the pictures that lie elsewhere."""
    page, policy = panel.chats.letters.page(who.login, interaction, message, remote)
    headers = {
        "Content-Security-Policy": f"{policy}; frame-ancestors 'self'",
        "Referrer-Policy": "no-referrer",
    }
    return HTMLResponse(page, headers=headers)


@router.get("/{interaction}/messages/{message}/raw")
async def raw(interaction: str, message: str, who: Reader, panel: ThePanel) -> Response:
    """A mail as it came."""
    data = panel.chats.letters.raw(who.login, interaction, message)
    return Response(data, media_type="message/rfc822", headers=_download(f"{message}.eml"))


@router.get("/{interaction}/messages/{message}/files/{number}")
async def file(interaction: str, message: str, number: int, who: Reader, panel: ThePanel) -> Response:
    kept, data = panel.chats.letters.file(who.login, interaction, message, number)
    if kept.shown:
        return Response(data, media_type=kept.type, headers={"Content-Security-Policy": "sandbox"})
    return Response(data, media_type="application/octet-stream", headers=_download(kept.name))


def _download(name: str) -> dict[str, str]:
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "sandbox",
    }
