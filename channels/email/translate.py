"""From the bytes of a mail to what the application sees. Pure, and hard to upset: whatever cannot be read is named in
`defects`, and what can be read is there. Runs in a process apart (`reader.py`)."""

from __future__ import annotations

import email
import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from email.message import Message

from channels.email import kinds
from channels.email import mail as m
from channels.email.decoding import decoded, from_base64
from channels.email.heads import (
    POLICY,
    addresses,
    date_ms,
    file_name,
    head_alone,
    header,
    ids,
    one_address,
    plain_address,
    raw_values,
)
from channels.email.html import LONGEST_HTML, clean, too_deep, words_of
from channels.email.quotes import fresh
from channels.files import TOO_LARGE, refusal, safe_name, type_of

_DEEPEST, _MOST_PARTS, _MOST_FILES = 30, 200, 50
LONGEST_TEXT = 100_000
_MOST_REFERENCES = 50
_LONGEST_SUBJECT = 300
_HAN = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"[A-Za-z]{2,}")


@dataclass(frozen=True, slots=True)
class Limits:
    file_bytes: int = 10_000_000
    """an attachment larger than this is named, not kept"""


@dataclass
class _Body:
    plain: list[str]
    html: list[str]
    files: list[m.File]
    defects: list[str]
    parts: int = 0


def read(
    raw: bytes,
    envelope: m.Envelope,
    own: Collection[str] = (),
    mark: str = "",
    limits: Limits = Limits(),
) -> m.Mail:
    """`own`: our addresses; `mark`: what our own mails carry as X-Loop, so that one that comes back is known."""
    defects: list[str] = []
    try:
        message = email.message_from_bytes(raw, policy=POLICY)
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError) as error:
        message, defects = head_alone(raw), [f"unreadable:{type(error).__name__}"]
    sender, sender_name = one_address(message, "From")
    if not sender:
        sender = plain_address(envelope.sender)
        defects.append("no_from")
    body = _Body([], [], [], defects)
    try:
        _walk(message, body, limits, 0)
    except RecursionError:
        defects.append("too_deep")
    text, html = "\n".join(body.plain), "\n".join(body.html)
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT]
        defects.append("text_cut")
    if len(html) > LONGEST_HTML:
        html = html[:LONGEST_HTML]
        defects.append("html_cut")
    html = "" if too_deep(html) else clean(html)
    if (body.html and not html and too_deep("".join(body.html))) or len(html) > 2 * LONGEST_HTML:
        html = ""
        defects.append("html_too_deep")
    new = fresh(text)
    subject = " ".join(header(message, "Subject").split())[:_LONGEST_SUBJECT]
    kind = kinds.kind_of(
        lambda name: header(message, name),
        envelope.sender if envelope.peer else None,
        sender,
        own,
        bool(mark) and any(mark in value.split() for value in raw_values(message, "X-Loop")),
    )
    bounced, for_good, back = ((), False, ())  # type: tuple[str, ...], bool, tuple[str, ...]
    if kind == m.BOUNCE:
        bounced, for_good = kinds.failures(message)
        back = kinds.came_back(raw)
        if not bounced and kinds.arrived(raw):
            kind, back = m.AUTO_REPLY, ()
    return m.Mail(
        message_id=next(iter(ids(message, "Message-ID")), ""),
        references=tuple(
            dict.fromkeys([*ids(message, "In-Reply-To"), *reversed(ids(message, "References"))])
        )[:_MOST_REFERENCES],
        sender=sender,
        sender_name=sender_name[:80],
        reply_to=one_address(message, "Reply-To")[0],
        to=addresses(message, "To"),
        cc=addresses(message, "Cc"),
        subject=subject,
        date_ms=date_ms(message),
        text=new[:LONGEST_TEXT],
        quoted=len(new) < len(text.strip()),
        html=html,
        files=tuple(body.files),
        language=language_of(f"{subject}\n{new}"),
        kind=kind,
        bounced=bounced,
        bounce_for_good=for_good,
        bounced_ids=back,
        defects=tuple(dict.fromkeys(defects)),
    )


def language_of(text: str) -> str:
    """zh where a Chinese character stands for every few English words, else en; zh for neither."""
    head = text[:4_000]
    han, words = len(_HAN.findall(head)), len(_WORD.findall(head))
    return "en" if words > han else "zh"


def _walk(part: Message, body: _Body, limits: Limits, depth: int, in_forms: bool = False) -> None:
    """`in_forms`: it is one form of several of one content."""
    body.parts += 1
    if body.parts > _MOST_PARTS:
        body.defects.append("too_many_parts")
        return
    if depth > _DEEPEST:
        body.defects.append("too_deep")
        return
    kind = part.get_content_type().split()[0]
    if part.is_multipart() and kind != "message/rfc822":
        children = [child for child in part.get_payload() if isinstance(child, Message)]
        if kind == "multipart/alternative":
            _alternative(children, body, limits, depth)
        else:
            for child in children:
                _walk(child, body, limits, depth + 1, in_forms)
        return
    if part.is_multipart():
        _keep_file(part, body, limits, _flat(part), "message.eml")
        return
    words = kind in ("text/plain", "text/html") or kind.startswith(
        "multipart/"
    )  # one whose seams are nowhere
    if words and not _is_file(part, depth):
        text = _text(part, body)
        if kind == "text/html":
            body.html.append(text)
        if kind != "text/html" or not in_forms:
            body.plain.append(words_of(text) if kind == "text/html" else text)
    elif kind == "message/delivery-status" and not _is_attached(part):
        return
    else:
        _keep_file(part, body, limits, _content(part, body), "")


def _alternative(children: list[Message], body: _Body, limits: Limits, depth: int) -> None:
    """One content in several forms: text once; HTML beside it to be looked at."""
    texts, forms = len(body.plain), len(body.html)
    seen = False
    for child in children:
        text = child.get_content_type() == "text/plain" and not _is_file(child, depth + 1)
        if not (text and seen):
            _walk(child, body, limits, depth + 1, True)
        seen = seen or text
    if not "".join(body.plain[texts:]).strip():
        body.plain += [words_of(one) for one in body.html[forms:]]


def _is_attached(part: Message) -> bool:
    return str(part.get("Content-Disposition", "")).lower().lstrip().startswith("attachment")


def _is_file(part: Message, depth: int) -> bool:
    """Attached, or named; what is the whole mail is no file for its name."""
    return _is_attached(part) or (depth > 0 and bool(file_name(part)))


def _keep_file(part: Message, body: _Body, limits: Limits, data: bytes, fallback: str) -> None:
    if len(body.files) >= _MOST_FILES:
        body.defects.append("too_many_files")
        return
    content_id = header(part, "Content-ID").strip().strip("<>")[:250]
    disposition = str(part.get("Content-Disposition", "")).lower()
    found = type_of(data, "")
    fallback = fallback or ("picture" if found.startswith("image/") else "file")
    name = safe_name(file_name(part), fallback)
    trouble = refusal(data, name, limits.file_bytes)
    body.files.append(
        m.File(
            name,
            found,
            len(data),
            hashlib.sha256(data).hexdigest(),
            content_id,
            bool(content_id) and "attachment" not in disposition,
            trouble,
            b"" if trouble else data,
        )
    )
    if trouble and trouble != TOO_LARGE:
        body.defects.append(trouble)


def _flat(part: Message) -> bytes:
    inner = part.get_payload()
    first = inner[0] if isinstance(inner, list) and inner else None
    try:
        return first.as_bytes() if isinstance(first, Message) else b""
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, UnicodeError):
        return b""


def _content(part: Message, body: _Body) -> bytes:
    try:
        payload = part._payload  # type: ignore[attr-defined]  # as it came: get_payload would decode it
        if str(part.get("Content-Transfer-Encoding", "")).strip().lower() == "base64" and isinstance(
            payload, str
        ):
            return from_base64(payload.encode("utf-8", "surrogateescape"))
        data = part.get_payload(decode=True)
    except (ValueError, LookupError, TypeError, AttributeError):
        data = None
    if not isinstance(data, bytes):
        body.defects.append("undecodable")
        return b""
    return data


def _charset(part: Message) -> str:
    try:
        return str(part.get_content_charset() or "")
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""


def _text(part: Message, body: _Body) -> str:
    text, mended = decoded(_content(part, body), _charset(part))
    if mended:
        body.defects.append("charset")
    return text.replace("\r\n", "\n").replace("\x00", "")
