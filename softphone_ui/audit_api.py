"""Who used which power over others, when, and over what."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from softphone_ui.access import MOST_NUMBER, ThePanel, to_read
from softphone_ui.auth import Identity

router = APIRouter(prefix="/api", tags=["audit"])
ACTIONS = (
    *("letter_resent", "letter_dropped", "messages_found", "code_sent"),
    *("listen", "whisper", "barge", "take_over", "assign", "cancel_callback"),
    *("state_ready", "state_not_ready", "state_logged_out"),
    *("play_recording", "download_recording", "hold_recordings", "free_recordings"),
    *(f"{action}_{kind}" for action in ("edit", "undo") for kind in ("user", "queue", "reason", "code")),
    *("close_queue", "open_queue", "announce", "end_announcement"),
    *("session_stolen", "give_password", "add_phone", "drop_phone"),
)


class Wanted(BaseModel):
    since_ms: int | None = Field(default=None, ge=0, le=MOST_NUMBER)
    until_ms: int | None = Field(default=None, ge=0, le=MOST_NUMBER)
    actor: str = Field(default="", max_length=64)
    action: str = Field(default="", max_length=32)
    subject: str = Field(default="", max_length=64)


@router.get("/audit")
async def audit(
    wanted: Annotated[Wanted, Query()],
    _who: Annotated[Identity, Depends(to_read("audit.read"))],
    panel: ThePanel,
) -> list[dict[str, Any]]:
    """Newest first, at most 200."""
    await panel.until_in_history()
    return await panel.queries.audit(wanted.model_dump())
