"""From the bytes of a mail to what the application sees. Pure, and hard to upset: whatever cannot be read is named in
`defects`, and what can be read is there. Runs in a process apart (`reader.py`)."""

from __future__ import annotations

import email
import email.policy
import hashlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from email.header import decode_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any

import html2text
import nh3

from channels.email import kinds
from channels.email import mail as m
from channels.email.quotes import fresh
from channels.files import TOO_LARGE, refusal, safe_name, type_of

_DEEPEST, _MOST_PARTS, _MOST_FILES = 30, 200, 50
LONGEST_TEXT, LONGEST_HTML = 100_000, 1_000_000
_MOST_REFERENCES = 50
_LONGEST_SUBJECT = 300
_ID = re.compile(r"<([^<>\s]{3,250})>")
_ADDRESS = re.compile(r"^[^@\s<>\"(),;:]{1,64}@[a-z0-9.\-\[\]:]{1,253}$")
_HAN = re.compile(r"[\u3400-\u9fff]")
_ENCODED_WORD = re.compile(r"=\?[^?\s]{1,40}\?[bBqQ]\?[^?]*\?=")
_WORD = re.compile(r"[A-Za-z]{2,}")
_TAGS = frozenset(
    [
        "a",
        "abbr",
        "b",
        "blockquote",
        "br",
        "caption",
        "center",
        "code",
        "col",
        "colgroup",
        "dd",
        "del",
        "div",
        "dl",
        "dt",
        "em",
        "font",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "ins",
        "li",
        "ol",
        "p",
        "pre",
        "s",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "tt",
        "u",
        "ul",
    ]
)
_ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "width", "height"},
    "font": {"color"},
    **{tag: {"colspan", "rowspan", "align", "width"} for tag in ("td", "th")},
    "table": {"border", "cellpadding", "cellspacing", "width", "align"},
}
_POLICY = email.policy.compat32


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
        message = email.message_from_bytes(raw, policy=_POLICY)
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError) as error:
        message, defects = _head_alone(raw), [f"unreadable:{type(error).__name__}"]
    sender, sender_name = _one_address(message, "From")
    if not sender:
        sender = _address(envelope.sender)
        defects.append("no_from")
    body = _Body([], [], [], defects)
    try:
        _walk(message, body, limits, 0)
    except RecursionError:
        defects.append("too_deep")
    text, html = "\n".join(body.plain), "\n".join(body.html)[:LONGEST_HTML]
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT]
        defects.append("text_cut")
    if not text.strip() and html:
        text = _words_of(html)
    new = fresh(text)
    subject = " ".join(_header(message, "Subject").split())[:_LONGEST_SUBJECT]
    kind = kinds.kind_of(
        lambda name: _header(message, name),
        envelope.sender if envelope.peer else None,
        sender,
        own,
        bool(mark) and mark in _header(message, "X-Loop"),
    )
    bounced, for_good, back = ((), False, ())  # type: tuple[str, ...], bool, tuple[str, ...]
    if kind == m.BOUNCE:
        bounced, for_good = kinds.failures(message)
        back = kinds.came_back(raw)
    return m.Mail(
        message_id=next(iter(_ids(message, "Message-ID")), ""),
        references=tuple(
            dict.fromkeys([*_ids(message, "In-Reply-To"), *reversed(_ids(message, "References"))])
        )[:_MOST_REFERENCES],
        sender=sender,
        sender_name=sender_name[:80],
        reply_to=_one_address(message, "Reply-To")[0],
        to=_addresses(message, "To"),
        cc=_addresses(message, "Cc"),
        subject=subject,
        date_ms=_date_ms(message),
        text=new[:LONGEST_TEXT],
        quoted=len(new) < len(text.strip()),
        html=clean(html) if html else "",
        files=tuple(body.files),
        language=language_of(f"{subject}\n{new}"),
        kind=kind,
        bounced=bounced,
        bounce_for_good=for_good,
        bounced_ids=back,
        defects=tuple(dict.fromkeys(defects)),
    )


def clean(html: str) -> str:
    """HTML without script, style, form or frame. Links open elsewhere and tell nobody where from; pictures are left as
    they are named: whoever shows them decides about `cid:` and the net."""
    return nh3.clean(html, **clean_arguments())


def clean_arguments() -> dict[str, Any]:
    """Of nh3: what mails may show, whoever cleans them."""
    return {
        "tags": set(_TAGS),
        "clean_content_tags": {"script", "style", "title", "head", "noscript", "template", "svg", "math"},
        "attributes": {tag: set(names) for tag, names in _ATTRIBUTES.items()},
        "url_schemes": {"http", "https", "mailto", "cid"},
        "link_rel": "noopener noreferrer nofollow",
    }


def language_of(text: str) -> str:
    """zh where a Chinese character stands for every few English words, else en; zh for neither."""
    head = text[:4_000]
    han, words = len(_HAN.findall(head)), len(_WORD.findall(head))
    return "en" if words > han else "zh"


def sender_of(raw: bytes) -> tuple[str, str]:
    """(address of From, Message-ID) by the header alone; cheap."""
    message = _head_alone(raw)
    return _one_address(message, "From")[0], next(iter(_ids(message, "Message-ID")), "")


def _head_alone(raw: bytes) -> Message:
    head = re.split(rb"\r?\n\r?\n", raw[:200_000], maxsplit=1)[0]
    try:
        return email.message_from_bytes(head + b"\r\n\r\n", policy=_POLICY)
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError):
        return Message()


def _walk(part: Message, body: _Body, limits: Limits, depth: int) -> None:
    body.parts += 1
    if body.parts > _MOST_PARTS:
        body.defects.append("too_many_parts")
        return
    if depth > _DEEPEST:
        body.defects.append("too_deep")
        return
    kind = part.get_content_type()
    if part.is_multipart() and kind != "message/rfc822":
        children = [child for child in part.get_payload() if isinstance(child, Message)]
        if kind == "multipart/alternative":
            _alternative(children, body, limits, depth)
        else:
            for child in children:
                _walk(child, body, limits, depth + 1)
        return
    if part.is_multipart():
        _keep_file(part, body, limits, _flat(part), "message.eml")
        return
    attached = str(part.get("Content-Disposition", "")).lower().lstrip().startswith("attachment")
    if kind in ("text/plain", "text/html") and not attached and not _name(part):
        (body.html if kind == "text/html" else body.plain).append(_text(part, body))
    elif kind.startswith(("text/", "message/")) and not attached and kind in ("message/delivery-status",):
        return
    else:
        _keep_file(part, body, limits, _content(part, body), "")


def _alternative(children: list[Message], body: _Body, limits: Limits, depth: int) -> None:
    """One content in several forms: text once; HTML beside it to be looked at."""
    kinds_there = [child.get_content_type() for child in children]
    for child in children:
        first_plain = child.get_content_type() == "text/plain" and kinds_there.count("text/plain") > 1
        if first_plain and child is not children[kinds_there.index("text/plain")]:
            continue
        _walk(child, body, limits, depth + 1)


def _keep_file(part: Message, body: _Body, limits: Limits, data: bytes, fallback: str) -> None:
    if len(body.files) >= _MOST_FILES:
        body.defects.append("too_many_files")
        return
    content_id = _header(part, "Content-ID").strip().strip("<>")[:250]
    disposition = str(part.get("Content-Disposition", "")).lower()
    found = type_of(data, "")
    fallback = fallback or ("picture" if found.startswith("image/") else "file")
    name = safe_name(_name(part), fallback)
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
        data = part.get_payload(decode=True)
    except (ValueError, LookupError, TypeError, AttributeError):
        data = None
    if not isinstance(data, bytes):
        body.defects.append("undecodable")
        return b""
    return data


def _text(part: Message, body: _Body) -> str:
    text, mended = decoded(_content(part, body), str(part.get_content_charset() or ""))
    if mended:
        body.defects.append("charset")
    return text.replace("\r\n", "\n").replace("\x00", "")


def decoded(data: bytes, charset: str) -> tuple[str, bool]:
    """(text, was it written in another charset than it says?). Chinese mails that name the wrong one are common."""
    named = {"gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "us-ascii": "utf-8", "": "utf-8"}.get(
        charset.lower(), charset
    )
    for n, candidate in enumerate((named, "utf-8", "gb18030", "big5")):
        try:
            return data.decode(candidate), n > 0
        except (UnicodeDecodeError, LookupError):
            continue
    return data.decode("utf-8", "replace"), True


def _raw(message: Message, name: str) -> list[str]:
    """As they came, bytes beyond ASCII as surrogates: the library's own view gives them up."""
    lowered = name.lower()
    return [str(value) for key, value in message.raw_items() if key.lower() == lowered]


def _header(message: Message, name: str) -> str:
    """Decoded, on one line; "" where there is none."""
    return " ".join(_unfolded(next(iter(_raw(message, name)), "")).split())


def _unfolded(value: str) -> str:
    """Words in the charset that they name, else in the one that they are written in."""
    plain = re.sub(r"(\?=)\s+(?==\?)", r"\1", _eight_bit(value))
    return _ENCODED_WORD.sub(_encoded_word, plain)


def _encoded_word(found: re.Match[str]) -> str:
    try:
        parts = decode_header(found[0])
    except (ValueError, LookupError, TypeError, UnicodeError):
        return found[0]
    return "".join(decoded(p, charset or "")[0] if isinstance(p, bytes) else p for p, charset in parts)


def _name(part: Message) -> str:
    try:
        return _unfolded(part.get_filename() or "")
    except (ValueError, LookupError, TypeError, AttributeError, UnicodeError):
        return ""


def _pairs(message: Message, name: str) -> Iterator[tuple[str, str]]:
    try:
        found = getaddresses([_eight_bit(value) for value in _raw(message, name)[:20]])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        found = []
    for shown, address in found[:100]:
        plain = _address(address)
        if plain:
            yield _unfolded(shown), plain


def _eight_bit(value: str) -> str:
    return value if value.isascii() else decoded(value.encode("utf-8", "surrogateescape"), "")[0]


def _one_address(message: Message, name: str) -> tuple[str, str]:
    for shown, address in _pairs(message, name):
        return address, " ".join(shown.split())
    return "", ""


def _addresses(message: Message, name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(address for _shown, address in _pairs(message, name)))


def _address(text: str) -> str:
    plain = text.strip().strip("<>").lower()
    return plain if _ADDRESS.match(plain) else ""


def _ids(message: Message, name: str) -> list[str]:
    return [found for value in _raw(message, name)[:1] for found in _ID.findall(value) if found.isascii()]


def _date_ms(message: Message) -> int:
    try:
        return int(parsedate_to_datetime(next(iter(_raw(message, "Date")), "")).timestamp() * 1000)
    except (ValueError, TypeError, OverflowError, IndexError, OSError):
        return 0


def _words_of(html: str) -> str:
    reader = html2text.HTML2Text(bodywidth=0)
    reader.ignore_links = reader.ignore_images = reader.ignore_emphasis = reader.ignore_tables = True
    reader.escape_snob = False
    try:
        words = reader.handle(clean(html[:LONGEST_HTML]))
    except (RecursionError, ValueError, AssertionError, IndexError, AttributeError):
        return nh3.clean(html, tags=set())
    return re.sub(r"\n{3,}", "\n\n", words).strip()
