"""From a letter of ours to the bytes of a mail. Pure: the same letter makes the same mail, so that one which is sent
again is known as the same by its Message-ID."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from hashlib import sha256
from typing import Any

_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_ADDRESS = re.compile(r"[^@<>\"(),;:\\\x00-\x20\x7f]{1,64}@[A-Za-z0-9.\-]{1,253}")
_TOKEN = re.compile(r"[A-Za-z0-9!#$&^_.+\-]{1,100}")
_MAJORS = frozenset({"application", "audio", "image", "text", "video"})
"""what a file may be: a mail in a mail (message, multipart) would be taken apart on the way"""
_MOST_REFERENCES = 20
_IDS = ("In-Reply-To", "References")


class _Policy(EmailPolicy):
    """Ids of others stand as they are, one to a line: the library would encode long ones, and decode what looks
    encoded."""

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        return (name, value) if name in _IDS else super().header_store_parse(name, value)

    def header_fetch_parse(self, name: str, value: str) -> Any:
        return value if name in _IDS else super().header_fetch_parse(name, value)

    def fold_binary(self, name: str, value: str) -> bytes:
        if name in _IDS:
            ids = "\r\n ".join(value.split())
            return f"{name}: {ids}\r\n".encode("ascii", "replace")
        return super().fold_binary(name, value)


_SMTP = _Policy(linesep="\r\n")


@dataclass(frozen=True, slots=True)
class Enclosure:
    name: str
    type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    message_id: str
    """without brackets"""
    sender: str
    sender_name: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    subject: str
    text: str
    at_ms: int
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    """oldest first"""
    automatic: bool = False
    """nobody wrote it: other machines are asked not to answer"""
    mark: str = ""
    """X-Loop, by which we know our own mail"""
    bounces_to: str = ""
    """envelope sender; the letter's sender where empty"""
    files: tuple[Enclosure, ...] = ()


def is_address(text: str) -> bool:
    """One plain address, fit for an envelope and a header."""
    return text.isascii() and _ADDRESS.fullmatch(text) is not None


def compose(letter: Letter) -> bytes:
    """Raises ValueError where an address is none."""
    message = EmailMessage(policy=_SMTP)
    message["From"] = Address(one_line(letter.sender_name), addr_spec=_checked(letter.sender))
    message["To"] = ", ".join(_checked(address) for address in letter.to)
    if letter.cc:
        message["Cc"] = ", ".join(_checked(address) for address in letter.cc)
    message["Subject"] = one_line(letter.subject)
    message["Date"] = format_datetime(datetime.fromtimestamp(letter.at_ms / 1000, UTC))
    message["Message-ID"] = f"<{letter.message_id}>"
    if letter.in_reply_to:
        message["In-Reply-To"] = f"<{_id(letter.in_reply_to)}>"
    known = [_id(one) for one in letter.references]
    if known:
        kept = known if len(known) <= _MOST_REFERENCES else [known[0], *known[-_MOST_REFERENCES + 1 :]]
        message["References"] = " ".join(f"<{one}>" for one in kept)
    if letter.mark:
        message["X-Loop"] = letter.mark
    if letter.automatic:
        message["Auto-Submitted"] = "auto-replied"
        message["X-Auto-Response-Suppress"] = "All"
        message["Precedence"] = "auto_reply"
    plain = letter.text.replace("\r\n", "\n").rstrip() + "\n"
    message.set_content(plain, charset="utf-8", cte=None if plain.isascii() else "base64")
    for file in letter.files:
        major, _, minor = file.type.partition("/")
        fits = major in _MAJORS and _TOKEN.fullmatch(minor) is not None
        message.add_attachment(
            file.data,
            maintype=major if fits else "application",
            subtype=minor if fits else "octet-stream",
            filename=one_line(file.name),
        )
    if letter.files:  # else the library draws lots for it
        message.set_boundary(f"=_{sha256(letter.message_id.encode()).hexdigest()[:40]}")
    return message.as_bytes()


def one_line(text: str) -> str:
    """Nothing that ends a header, nor what the library would decode into that."""
    return " ".join(_CONTROL.sub(" ", text.replace("=?", "= ?")).split())


def quoted(text: str, introduction: str) -> str:
    """What is answered, as mail programs show it."""
    lines: Sequence[str] = text.splitlines()
    return "\n".join([introduction, *(f"> {line}" for line in lines)])


def _checked(address: str) -> str:
    if not is_address(address):
        raise ValueError("not an address")
    return address


def _id(text: str) -> str:
    return re.sub(r"[<>\s\x00-\x1f\x7f]", "", text)[:250]
