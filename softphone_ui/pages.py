"""Pages: log-in and panel. Everything they show beyond the frame comes from API and feed."""

from __future__ import annotations

import hmac
import json
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.templating import Jinja2Templates

from callcenter.kernel.errors import NotAllowed
from softphone_ui.access import who_asks
from softphone_ui.api import set_session
from softphone_ui.audit_api import ACTIONS
from softphone_ui.auth import MIN_PASSWORD, Identity
from softphone_ui.panel import VERSION, Panel
from softphone_ui.permissions import AGENT, may

router = APIRouter(include_in_schema=False)
_STATE = "cc_oidc"
_PROBLEMS = ("oidc_refused", "oidc_unreachable")
LANGUAGES = {"zh": "zh-CN", "en": "en"}
_HERE = Path(__file__).parent
_templates = Jinja2Templates(directory=_HERE / "templates")
WORDS: dict[str, dict[str, str]] = {
    language: json.loads((_HERE / "locales" / f"{language}.json").read_text(encoding="utf-8"))
    for language in LANGUAGES
}


@router.get("/")
async def panel_page(request: Request, lang: str = "") -> Response:
    panel: Panel = request.app.state.panel
    who = await who_asks(request)
    if who is None or who.must_change:
        return RedirectResponse("/login" if who is None else "/password", 303)
    language = _language(request, lang, who)
    words = WORDS[language]
    settings = {
        "csrf": who.csrf,
        "login": who.login,
        "name": who.name,
        "role": who.role,
        "language": language,
        "words": words,
        "chat": panel.has_written,
        "answers": panel.canned_answers,
        "device": panel.device(who.login),
        "ice_servers": panel.ice_servers(),
        "version": VERSION,
        "browser_phones": panel.has_browser_phones,
        "may_move": may(who.role, "queues.members"),
        "reasons": [reason.model_dump() for reason in panel.reasons],
        "codes": [code.model_dump() for code in panel.wrap_up_codes],
    }
    values = {"who": who, "settings": settings, "places": places(who.role, "overview")}
    return _page(request, "panel.html", language, values)


@router.get("/login")
async def login_page(request: Request, lang: str = "") -> Response:
    panel: Panel = request.app.state.panel
    language = _language(request, lang, None)
    problem = request.query_params.get("problem", "")
    values = {
        "settings": {"words": WORDS[language], "language": language},
        "oidc": panel.oidc.enabled,
        "oidc_name": panel.oidc.name or WORDS[language]["oidc_log_in"],
        "problem": WORDS[language][problem] if problem in _PROBLEMS else "",
    }
    return _page(request, "login.html", language, values)


@router.get("/login/oidc")
async def oidc_begin(request: Request) -> Response:
    """On to the identity provider."""
    panel: Panel = request.app.state.panel
    if not panel.oidc.enabled:
        return RedirectResponse("/login", 303)
    try:
        place, state = await panel.oidc.begin(str(request.url_for("oidc_back")))
    except NotAllowed as error:
        return RedirectResponse(f"/login?problem={error.code}", 303)
    response = RedirectResponse(place, 303)
    response.set_cookie(
        _STATE, state, max_age=600, httponly=True, samesite="lax", secure=panel.secure_cookies, path="/login"
    )
    return response


@router.get("/login/oidc/back")
async def oidc_back(request: Request, state: str = "", code: str = "") -> Response:
    """Back from the identity provider. The answer is a page of ours that goes on by itself: a redirect that began at
    another site would leave the new cookie behind."""
    panel: Panel = request.app.state.panel
    try:
        if not state or not hmac.compare_digest(state.encode(), request.cookies.get(_STATE, "").encode()):
            raise NotAllowed("oidc_refused")
        login = await panel.oidc.finish(state, code)
        token, _who = await panel.sessions.open_for(login, request.headers.get("user-agent", ""))
    except NotAllowed as error:
        known = error.code if error.code in _PROBLEMS else "oidc_refused"
        response: Response = RedirectResponse(f"/login?problem={known}", 303)
    else:
        response = HTMLResponse(
            '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/"><title>…</title>'
        )
        set_session(response, token, panel.secure_cookies)
    response.delete_cookie(_STATE, path="/login")
    return response


@router.get("/password")
async def password_page(request: Request, lang: str = "") -> Response:
    """Where somebody changes their own password; the first time they have to."""
    who = await who_asks(request)
    if who is None:
        return RedirectResponse("/login", 303)
    language = _language(request, lang, who)
    settings = {"words": WORDS[language], "language": language, "csrf": who.csrf}
    values = {"who": who, "settings": settings, "shortest": MIN_PASSWORD}
    return _page(request, "password.html", language, values)


@router.get("/people")
async def people_page(request: Request, lang: str = "") -> Response:
    panel: Panel = request.app.state.panel
    who = await who_asks(request)
    return _desk(request, "people", "people.read", who, lang, {"people": panel.people()})


@router.get("/wallboard")
async def wallboard_page(request: Request, lang: str = "") -> Response:
    who = await who_asks(request)
    if who is None or who.must_change or not may(who.role, "wallboard.read"):
        return RedirectResponse("/login" if who is None else "/", 303)
    language = _language(request, lang, who)
    settings = {"words": WORDS[language], "language": language, "csrf": who.csrf, "login": who.login}
    return _page(request, "wallboard.html", language, {"settings": settings})


@router.get("/recordings")
async def recordings_page(request: Request, lang: str = "") -> Response:
    panel: Panel = request.app.state.panel
    who = await who_asks(request)
    queues = [{"name": name, "title": title} for name, title in panel.queue_titles().items()]
    extra = {
        "queues": queues,
        "agents": panel.people("agent"),
        "codes": [code.model_dump() for code in panel.wrap_up_codes],
    }
    return _desk(request, "recordings", "recordings.read", who, lang, extra)


@router.get("/audit")
async def audit_page(request: Request, lang: str = "") -> Response:
    panel: Panel = request.app.state.panel
    who = await who_asks(request)
    return _desk(request, "audit", "audit.read", who, lang, {"people": panel.people(), "actions": ACTIONS})


@router.get("/find")
async def find_page(request: Request, lang: str = "") -> Response:
    """Messages found by their words."""
    panel: Panel = request.app.state.panel
    who = await who_asks(request)
    people = panel.people("agent") if who is not None and who.role != AGENT else []
    explain = who is not None and may(who.role, "calls.explain")
    return _desk(request, "find", "messages.find", who, lang, {"people": people, "may_explain": explain})


@router.get("/post")
async def post_page(request: Request, lang: str = "") -> Response:
    """Letters that nobody took, mail that was kept out."""
    who = await who_asks(request)
    return _desk(request, "post", "post", who, lang, {})


@router.get("/why")
async def why_page(request: Request, lang: str = "", interaction: str = "") -> Response:
    """Why a contact went as it went."""
    who = await who_asks(request)
    return _desk(request, "why", "calls.explain", who, lang, {"interaction": interaction[:32]})


@router.get("/call")
async def call_page(request: Request, lang: str = "") -> Response:
    """Where a visitor rings the hotline with nothing but a browser."""
    panel: Panel = request.app.state.panel
    language = _language(request, lang, None)
    settings = {
        "words": WORDS[language],
        "language": language,
        "enabled": panel.web_calls.enabled,
        "ice_servers": panel.ice_servers(),
    }
    return _page(request, "call.html", language, {"settings": settings})


_PLACES = (
    ("overview", "/", "overview.read"),
    ("wallboard", "/wallboard", "wallboard.read"),
    ("recordings", "/recordings", "recordings.read"),
    ("find_messages", "/find", "messages.find"),
    ("post", "/post", "post"),
    ("why", "/why", "calls.explain"),
    ("people", "/people", "people.read"),
    ("audit", "/audit", "audit.read"),
)


def places(role: str, here: str) -> list[dict[str, Any]]:
    """Pages that this role may open."""
    return [
        {"word": word, "href": href, "here": word == here}
        for word, href, action in _PLACES
        if may(role, action)
    ]


def _desk(
    request: Request, name: str, action: str, who: Identity | None, lang: str, extra: dict[str, Any]
) -> Response:
    """A page for those at a desk; whoever may not see it is led to where they belong."""
    if who is None or who.must_change or not may(who.role, action):
        return RedirectResponse("/login" if who is None else "/password" if who.must_change else "/", 303)
    language = _language(request, lang, who)
    settings = {
        "csrf": who.csrf,
        "login": who.login,
        "role": who.role,
        "language": language,
        "words": WORDS[language],
        "may": {
            "download": may(who.role, "recordings.download"),
            "hold": may(who.role, "recordings.hold"),
            "edit": may(who.role, "people.edit"),
        },
        **extra,
    }
    values = {"who": who, "settings": settings, "places": places(who.role, name)}
    return _page(request, f"{name}.html", language, values)


def _language(request: Request, wanted: str, who: Identity | None) -> str:
    """What was just chosen, what was chosen on this computer, the person's own, Chinese."""
    for candidate in (wanted, request.cookies.get("lang", ""), who.language if who else ""):
        if candidate in LANGUAGES:
            return candidate
    return "zh"


def _page(request: Request, name: str, language: str, values: dict[str, Any]) -> Response:
    values.update(w=WORDS[language], lang=LANGUAGES[language], other="en" if language == "zh" else "zh")
    response = _templates.TemplateResponse(request, name, values)
    if request.query_params.get("lang") == language:
        response.set_cookie("lang", language, samesite="strict", max_age=31_536_000, path="/")
    return response
