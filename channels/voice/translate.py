"""SIP's words into ours, purely: who calls whom, and what a status code means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from callcenter.kernel.e164 import to_e164

_ANONYMOUS = frozenset({"", "anonymous", "unknown", "restricted", "unavailable"})
_COMPACT = {"f": "from", "t": "to", "i": "call-id", "v": "via", "m": "contact"}


@dataclass(frozen=True, slots=True)
class IncomingCall:
    called: str
    """user part of the Request-URI: the number of ours that was dialled"""
    caller: str
    """E.164 where the From user is such a number, else the user part; "" when withheld"""
    call_id: str
    origin: str = ""
    """who brought it, as the edge says: trunk:<name>, phone:<user>, stranger; "" without an edge"""
    visit: str = ""
    """X-Visit: a word that we gave to a call from the web"""


_HEAD_END, _LINE_END, _FOLD = re.compile(r"\r?\n\r?\n"), re.compile(r"\r?\n"), re.compile(r"\r?\n[ \t]+")
_ORIGIN = re.compile(r"<[^<>]*;cc-from=((?:trunk:|phone:)[A-Za-z0-9_.\-]{1,64}|stranger)>")


def parse_invite(message: str, region: str = "CN", behind_edge: bool = False) -> IncomingCall:
    """Read an INVITE as received. The caller's number is what From claims; an asserted identity (RFC 3325)
    is believed of trunks only, and who is a trunk is believed of our edge only: its own Record-Route is the
    topmost one of whatever came through it."""
    head = _HEAD_END.split(message, maxsplit=1)[0]
    lines = _LINE_END.split(_FOLD.sub(" ", head))
    parts = lines[0].split(" ")
    called = user_of(parts[1]) if len(parts) > 1 else ""
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        key = name.strip().lower()
        headers.setdefault(_COMPACT.get(key, key), value.strip())
    found = _ORIGIN.match(headers.get("record-route", "")) if behind_edge else None
    origin = found[1] if found else ""
    asserted = headers.get("p-asserted-identity", "") if origin.startswith("trunk:") else ""
    user = user_of(asserted) or user_of(headers.get("from", ""))
    privacy = {part.strip() for part in headers.get("privacy", "").lower().split(";")}
    withheld = user.lower() in _ANONYMOUS or "id" in privacy
    caller = "" if withheld else (to_e164(user, region) or user)
    return IncomingCall(called, caller, headers.get("call-id", ""), origin, headers.get("x-visit", ""))


def user_of(text: str) -> str:
    """The user part of a sip:, sips: or tel: address, as name-addr or bare (RFC 3261 §25.1, RFC 3966);
    "" where there is none. A display name is never taken for an address. Linear in the length."""
    scheme, _, rest = _address(text).partition(":")
    if scheme.strip().lower() in ("sip", "sips"):
        user, at, _ = rest.rpartition("@")
        return unquote(re.split("[;:]", user, maxsplit=1)[0]) if at else ""
    if scheme.strip().lower() == "tel":
        return re.split(r"[;>\s]", rest, maxsplit=1)[0]
    return ""


def _address(text: str) -> str:
    """What stands between < and > outside quoted strings, else the text up to the first blank."""
    quoted, at = False, 0
    while at < len(text):
        character = text[at]
        if quoted and character == "\\":
            at += 1
        elif character == '"':
            quoted = not quoted
        elif character == "<" and not quoted:
            return text[at + 1 :].partition(">")[0]
        at += 1
    return text.strip().partition(" ")[0]


_REASON = re.compile(r"\s*(SIP|Q\.850)\s*;[^\"]{0,80}?cause\s*=\s*(\d{1,3})", re.I)


def reason_code(header: str) -> str:
    """A Reason header (RFC 3326) as protocol and cause, `sip_487` or `q850_16`; "" without one. Its text is
    the peer's own words and goes no further."""
    if not header:
        return ""
    match = _REASON.match(header)
    return f"{match[1].lower().replace('.', '')}_{match[2]}" if match else "peer"


BUSY, DECLINED, NOT_FOUND, NO_ANSWER, UNREACHABLE, ERROR = (
    "busy",
    "declined",
    "not_found",
    "no_answer",
    "unreachable",
    "error",
)
_CAUSES = {
    400: ERROR,
    404: NOT_FOUND,
    408: UNREACHABLE,
    410: NOT_FOUND,
    480: UNREACHABLE,
    484: NOT_FOUND,
    486: BUSY,
    487: NO_ANSWER,
    502: UNREACHABLE,
    503: UNREACHABLE,
    504: UNREACHABLE,
    600: BUSY,
    603: DECLINED,
    604: NOT_FOUND,
}


def offer_cause(code: int, why: str) -> str:
    """Why an agent's phone did not take the call: RFC 3261 §21 status, or our own reason to stop."""
    if why == "no_answer":
        return NO_ANSWER
    return _CAUSES.get(code, ERROR)
