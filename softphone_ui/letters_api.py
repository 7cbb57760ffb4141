"""The post: letters that nobody took, mail that was kept out. Refusals: 404 `letter_gone`, `no_such_mail`, `no_mail`;
409 `bad_address`, `empty`, `too_long`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from softphone_ui.access import ThePanel, to_do, to_read
from softphone_ui.auth import Identity

router = APIRouter(prefix="/api/post", tags=["post"])
Reader = Annotated[Identity, Depends(to_read("post"))]
Doer = Annotated[Identity, Depends(to_do("post"))]


class Mended(BaseModel):
    to: list[str] = Field(min_length=1, max_length=50)
    subject: str = Field(max_length=500)
    text: str = Field(max_length=40_000)


@router.get("")
async def post(_who: Reader, panel: ThePanel) -> dict[str, Any]:
    return panel.chats.letters.post()


@router.post("/letters/{message}/resend", status_code=204)
async def resend(message: str, body: Mended, who: Doer, panel: ThePanel) -> None:
    """Mended, and tried anew."""
    panel.chats.letters.outbox.resend(who.login, message, body.to, body.subject, body.text)


@router.post("/letters/{message}/drop", status_code=204)
async def drop(message: str, who: Doer, panel: ThePanel) -> None:
    panel.chats.letters.outbox.drop(who.login, message)


@router.post("/mails/{mail}/release", status_code=204)
async def release(mail: str, who: Doer, panel: ThePanel) -> None:
    """It is served after all."""
    panel.chats.letters.desk.release(who.login, mail)
