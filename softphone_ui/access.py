"""Who asks: the session behind a request, its CSRF token, and whether the role permits the action."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Header, Request
from starlette.requests import HTTPConnection

from callcenter.kernel.errors import NotAllowed
from softphone_ui.auth import COOKIE, Identity
from softphone_ui.panel import Panel
from softphone_ui.permissions import PERMISSIONS, may

MOST_NUMBER = 2**53 - 1
"""largest whole number that pages and databases both hold"""


def the_panel(request: Request) -> Panel:
    panel: Panel = request.app.state.panel
    return panel


async def who_asks(request: HTTPConnection) -> Identity | None:
    """The session behind a request or a socket."""
    panel: Panel = request.app.state.panel
    return await panel.sessions.who(request.cookies.get(COOKIE), request.headers.get("user-agent", ""))


async def anybody(request: Request) -> Identity:
    """A session, though its password may have to be changed first."""
    who = await who_asks(request)
    if who is None:
        raise NotAllowed("not_logged_in")
    return who


async def reader(request: Request) -> Identity:
    who = await anybody(request)
    if who.must_change:
        raise NotAllowed("password_change_needed")
    return who


async def writer(request: Request, x_csrf_token: Annotated[str, Header()] = "") -> Identity:
    return _with_token(await reader(request), x_csrf_token)


async def newcomer(request: Request, x_csrf_token: Annotated[str, Header()] = "") -> Identity:
    """As `writer`, also before the first password was changed."""
    return _with_token(await anybody(request), x_csrf_token)


def _with_token(who: Identity, x_csrf_token: str) -> Identity:
    if not hmac.compare_digest(x_csrf_token.encode(), who.csrf.encode()):
        raise NotAllowed("csrf")
    return who


def to_do(action: str) -> Callable[[Identity], Awaitable[Identity]]:
    """Dependency: a session with token, whose role may do this."""
    return _checked(action, writer)


def to_read(action: str) -> Callable[[Identity], Awaitable[Identity]]:
    return _checked(action, reader)


def _checked(
    action: str, session: Callable[..., Awaitable[Identity]]
) -> Callable[[Identity], Awaitable[Identity]]:
    if action not in PERMISSIONS:
        raise ValueError(f"no such permission: {action}")

    async def permitted(who: Identity = Depends(session)) -> Identity:
        if not may(who.role, action):
            raise NotAllowed("role")
        return who

    return permitted


Reader = Annotated[Identity, Depends(reader)]
Newcomer = Annotated[Identity, Depends(newcomer)]
Writer = Annotated[Identity, Depends(writer)]
ThePanel = Annotated[Panel, Depends(the_panel)]
