"""Figures of the wallboard."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from softphone_ui.access import ThePanel, to_read
from softphone_ui.auth import Identity

router = APIRouter(prefix="/api", tags=["wallboard"])


@router.get("/wallboard")
async def wallboard(
    _who: Annotated[Identity, Depends(to_read("wallboard.read"))], panel: ThePanel
) -> dict[str, Any]:
    """Today's service by queue (as `callcenter report service`), who waits now, agents by state, half hours."""
    return await panel.board.figures()
