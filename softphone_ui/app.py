"""The web application of one core: health, metrics, API, feed, pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError, SQLAlchemyError
from starlette.staticfiles import StaticFiles

from callcenter.directory.editing import Invalid
from callcenter.kernel import logging
from callcenter.kernel.errors import NotAllowed
from softphone_ui import (
    api,
    audit_api,
    board_api,
    calls_api,
    chats_api,
    explain_api,
    feed,
    letters_api,
    messages_api,
    pages,
    people_api,
    phone_api,
    recordings_api,
    search_api,
    supervise_api,
)
from softphone_ui.panel import Panel

log = logging.get("http")
STATIC = Path(__file__).parent / "static"
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def build_app(panel: Panel) -> FastAPI:
    app = FastAPI(title="callcenter", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.state.panel = panel

    @app.middleware("http")
    async def headers(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.exception_handler(NotAllowed)
    async def not_allowed(_request: Request, error: NotAllowed) -> JSONResponse:
        content: dict[str, Any] = {"error": error.code}
        if isinstance(error, Invalid):
            content["fields"] = error.fields
        return JSONResponse(content, status_code=api.STATUS.get(error.code, 409))

    @app.exception_handler(RequestValidationError)
    async def not_valid(_request: Request, _error: RequestValidationError) -> JSONResponse:
        """What was sent is not repeated: it may hold a password."""
        return JSONResponse({"error": "invalid"}, status_code=422)

    @app.exception_handler(DataError)
    async def not_storable(_request: Request, _error: DataError) -> JSONResponse:
        """PostgreSQL has no room for it: a zero character, a number beyond its column."""
        return JSONResponse({"error": "invalid"}, status_code=422)

    @app.exception_handler(SQLAlchemyError)
    async def no_database(_request: Request, error: SQLAlchemyError) -> JSONResponse:
        log.error("database_unavailable", reason=type(error).__name__)
        return JSONResponse({"error": "database"}, status_code=503)

    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"])
    async def readyz(response: Response) -> dict[str, Any]:
        """Everything that work needs is there; 503 with the reasons where it is not."""
        troubles = panel.troubles()
        response.status_code = 503 if troubles else 200
        return {"ready": not troubles, "troubles": troubles}

    @app.get("/metrics", tags=["health"])
    async def metrics() -> Response:
        return Response(panel.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    for part in (
        api,
        calls_api,
        chats_api,
        supervise_api,
        phone_api,
        board_api,
        recordings_api,
        audit_api,
        messages_api,
        letters_api,
        search_api,
        people_api,
        explain_api,
    ):
        app.include_router(part.router)
    app.include_router(feed.router)
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


__all__ = ["Panel", "build_app"]
