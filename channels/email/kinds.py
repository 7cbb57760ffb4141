"""What kind of mail it is: somebody's words, or what a machine sent. Of headers alone; bounces by the library's many
forms too."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from email.message import EmailMessage, Message
from typing import Any

from flufl.bounce import all_failures

from channels.email import mail as m

Header = Callable[[str], str]
_OUT_OF_OFFICE = re.compile(
    r"^\s*(?:(?:自动回复|自动回覆|自動回覆|自動回復|自动答复|auto(?:matic)?[- ]?reply)\b"
    r"|out of (?:the )?office\s*(?:[:：(\[-]|auto|$))",
    re.IGNORECASE,
)
_DAEMONS = re.compile(r"^(?:mailer-daemon|postmaster|noreply-bounce|bounces?)[+@]", re.IGNORECASE)
_MESSAGE_ID = re.compile(
    rb"^(?:Message-ID|X-Original-Message-ID|Original-Message-ID):\s*<([\x21-\x3b\x3d\x3f-\x7e]{3,250})>",
    re.I | re.M,
)
_REPORT = re.compile(r"multipart/report\s*;(?:.*?report-type\s*=\s*\"?([\w-]+))?", re.IGNORECASE)
_ARRIVED = re.compile(rb"^Action:\s*(?:delivered|relayed|expanded)\b", re.IGNORECASE | re.MULTILINE)
_LISTS = ("list-id", "list-unsubscribe", "x-campaign", "x-mailgun-tag", "x-mc-user")
_LONGEST = 320
_MOST_RAW = 1_000_000
"""bytes of a bounce that are searched for what came back"""


def kind_of(
    header: Header, envelope_sender: str | None, sender: str, own: Collection[str], looped: bool
) -> str:
    """`envelope_sender`: None where it is not known; `own`: our addresses, small letters; `looped`: it carries our
    mark."""
    if looped or sender in own:
        return m.LOOP
    auto = header("auto-submitted").split(";")[0].strip().lower()
    report = _REPORT.match(header("content-type"))
    if report and (report[1] or "delivery-status").lower() != "delivery-status":
        return m.AUTO_REPLY  # it was read, or thought to be spam; it arrived
    if report or (_DAEMONS.match(sender) and envelope_sender in ("", None)):
        return m.BOUNCE
    if (auto and auto != "no") or header("x-autoreply") or header("x-autorespond"):
        return m.AUTO_REPLY
    if _OUT_OF_OFFICE.match(header("subject")) or envelope_sender == "" or _DAEMONS.match(sender):
        return m.AUTO_REPLY
    precedence = header("precedence").strip().lower()
    if precedence == "auto_reply":
        return m.AUTO_REPLY
    if precedence in ("bulk", "list", "junk") or any(header(name) for name in _LISTS):
        return m.NEWSLETTER
    return m.NORMAL


def failures(message: Message | EmailMessage | Any) -> tuple[tuple[str, ...], bool]:
    """(addresses that could not be reached, for good?) of a bounce."""
    try:
        temporary, permanent = all_failures(message)
    except Exception:  # seventeen readers of strangers' words
        return (), False
    found = sorted({_plain(address) for address in permanent}) or sorted(
        {_plain(address) for address in temporary}
    )
    return tuple(one for one in found if len(one) <= _LONGEST and one.isprintable()), bool(permanent)


def arrived(raw: bytes) -> bool:
    """A report of a server that all is well."""
    return _ARRIVED.search(raw[:_MOST_RAW]) is not None


def came_back(raw: bytes) -> tuple[str, ...]:
    """Message-IDs that stand anywhere in a bounce, its own first."""
    return tuple(
        dict.fromkeys(found.decode("ascii", "replace") for found in _MESSAGE_ID.findall(raw[:_MOST_RAW]))
    )


def _plain(address: bytes | str) -> str:
    return (address.decode("ascii", "replace") if isinstance(address, bytes) else address).lower()
