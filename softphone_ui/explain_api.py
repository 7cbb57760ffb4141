"""Why a contact went as it went: waited, was considered for whom, was offered to whom, what would have changed it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends

from softphone_ui.access import ThePanel, to_read
from softphone_ui.auth import Identity

router = APIRouter(prefix="/api/interactions", tags=["explanation"])


@router.get("/{interaction}/explanation")
async def explanation(
    interaction: str,
    _who: Annotated[Identity, Depends(to_read("calls.explain"))],
    panel: ThePanel,
    language: Literal["zh", "en"] = "zh",
) -> list[dict[str, str]]:
    """`[{"at": "09:30:05", "text": "…"}]`, oldest first. 404 `no_interaction`; 503 `not_explained` where the journal
    cannot be read in time."""
    return await panel.explanation(interaction, language)
