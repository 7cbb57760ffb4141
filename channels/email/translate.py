"""From the bytes of a mail to what the application sees. Pure, and hard to upset: whatever cannot be read is named in
`defects`, and what can be read is there. Runs in a process apart (`reader.py`)."""

from __future__ import annotations

import base64
import binascii
import codecs
import email
import email.policy
import hashlib
import html as markup
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime, unquote
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
_ADDRESS = re.compile(r"[^@\s<>\"(),;:]{1,64}@[A-Za-z0-9.\-\[\]:]{1,253}")
_SMALL = {n: n + 32 for n in range(ord("A"), ord("Z") + 1)}
"""of ASCII alone: other signs that become a k would become another address"""
_NAMED = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^",;:<>()]*)\s*<([^<>"]*)>\s*')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_HAN = re.compile(r"[\u3400-\u9fff]")
_WIDE = re.compile(r"[\u0800-\ud7ff\ue000-\ufffc\U00010000-\U0010ffff]")
_GB2312 = re.compile(rb"(?:[\x00-\x7f]|[\xa1-\xf7][\xa1-\xfe])*")
_ENCODED_WORD = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]{0,20})?\?([bBqQ])\?([^?]*)\?=")
_ENCODED_WORDS = re.compile(rf"(?:{_ENCODED_WORD.pattern}\s*)*{_ENCODED_WORD.pattern}")
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")
_BASE64_LINE = re.compile(rb"[A-Za-z0-9+/]*={0,2}[ \t\r]*")
_WORD = re.compile(r"[A-Za-z]{2,}")
_SAME = {
    **dict.fromkeys(
        ("gb2312", "gbk", "x-gbk", "cp936", "ms936", "gb_2312-80", "csgb2312", "euc-cn"), "gb18030"
    ),
    **dict.fromkeys(("big5", "cp950", "x-x-big5", "cn-big5"), "big5hkscs"),
    **dict.fromkeys(("", "us-ascii", "ascii"), "utf-8"),
}
"""charset -> one that has all of it: programs name the smaller"""
_WESTERN = frozenset({"iso8859-1", "cp1252"})
_NO_CHARSETS = frozenset({"undefined", "idna", "punycode", "unicode-escape", "raw-unicode-escape"})
_LONGEST_HEADER, _MOST_PARAMETERS = 20_000, 200
_LONG_NUMBER = re.compile(r"\*(\d{4})\d+")
_ELEMENT = re.compile(r"<(/?)([a-z][a-z0-9]*)", re.IGNORECASE)
_REOPENED = frozenset(
    ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"]
)
"""what is not closed is repeated in every block that follows"""
_NESTS = _REOPENED | {"blockquote", "div", "dl", "ol", "span", "table", "ul"}
_DEEPEST_HTML, _MOST_REOPENED = 400, 200_000
_TAG = re.compile(r"<[^<>]*>")
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


class _Policy(email.policy.Compat32):
    """Headers as long as anybody needs (the library's time grows with the square of their length), and bytes beyond
    ASCII read as what they are (the library gives them up, or answers with another type)."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        short = _LONG_NUMBER.sub(r"*\1", value[:_LONGEST_HEADER])
        return name, ";".join(short.split(";", _MOST_PARAMETERS)[:_MOST_PARAMETERS])

    def header_fetch_parse(self, name: str, value: str) -> str:
        del name
        return _eight_bit(value)


_POLICY = _Policy()


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
    text, html = "\n".join(body.plain), "\n".join(body.html)
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT]
        defects.append("text_cut")
    if len(html) > LONGEST_HTML:
        html = html[:LONGEST_HTML]
        defects.append("html_cut")
    html = "" if _too_deep(html) else clean(html)
    if (body.html and not html and _too_deep("".join(body.html))) or len(html) > 2 * LONGEST_HTML:
        html = ""
        defects.append("html_too_deep")
    new = fresh(text)
    subject = " ".join(_header(message, "Subject").split())[:_LONGEST_SUBJECT]
    kind = kinds.kind_of(
        lambda name: _header(message, name),
        envelope.sender if envelope.peer else None,
        sender,
        own,
        bool(mark) and any(mark in value.split() for value in _raw(message, "X-Loop")),
    )
    bounced, for_good, back = ((), False, ())  # type: tuple[str, ...], bool, tuple[str, ...]
    if kind == m.BOUNCE:
        bounced, for_good = kinds.failures(message)
        back = kinds.came_back(raw)
        if not bounced and kinds.arrived(raw):
            kind, back = m.AUTO_REPLY, ()
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
        html=html,
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
        "url_relative": "deny",
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


def sole_sender_of(raw: bytes) -> str:
    """The address of From where the mail names one sender and no other; "" else."""
    message = _head_alone(raw)
    found = {address for _name, address in _pairs(message, "From")}
    return next(iter(found)) if len(found) == 1 and len(_raw(message, "From")) == 1 else ""


def _head_alone(raw: bytes) -> Message:
    head = re.split(rb"\r?\n\r?\n", raw[:200_000], maxsplit=1)[0]
    try:
        return email.message_from_bytes(head + b"\r\n\r\n", policy=_POLICY)
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError):
        return Message()


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
            body.plain.append(_words_of(text) if kind == "text/html" else text)
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
        body.plain += [_words_of(one) for one in body.html[forms:]]


def _is_attached(part: Message) -> bool:
    return str(part.get("Content-Disposition", "")).lower().lstrip().startswith("attachment")


def _is_file(part: Message, depth: int) -> bool:
    """Attached, or named; what is the whole mail is no file for its name."""
    return _is_attached(part) or (depth > 0 and bool(_name(part)))


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
        payload = part._payload  # type: ignore[attr-defined]  # as it came: get_payload would decode it
        if str(part.get("Content-Transfer-Encoding", "")).strip().lower() == "base64" and isinstance(
            payload, str
        ):
            return _from_base64(payload.encode("utf-8", "surrogateescape"))
        data = part.get_payload(decode=True)
    except (ValueError, LookupError, TypeError, AttributeError):
        data = None
    if not isinstance(data, bytes):
        body.defects.append("undecodable")
        return b""
    return data


def _from_base64(text: bytes) -> bytes:
    """As far as it goes; what stands under it (a gateway's notice), or is no base64 at all, as it is."""
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        lines = text.split(b"\n")
    n = next((n for n, line in enumerate(lines) if not _BASE64_LINE.fullmatch(line)), len(lines))
    return _unpadded(b"".join(lines[:n])) + b"\n".join([b"", *lines[n:]] if n and lines[n:] else lines[n:])


def _unpadded(text: bytes) -> bytes:
    plain = re.sub(rb"[^A-Za-z0-9+/]", b"", text)
    plain = plain[: len(plain) - (len(plain) % 4 == 1)]
    return base64.b64decode(plain + b"=" * (-len(plain) % 4))


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


def decoded(data: bytes, charset: str) -> tuple[str, bool]:
    """(text, was it written in another charset than it says?). Chinese mails that name the wrong one are common."""
    named = _codec(_SAME.get(charset.lower(), charset))
    text, used = _decoded(data, named)
    return text.encode("utf-8", "replace").decode("utf-8"), used != (named or "utf-8") or "\ufffd" in text


def _decoded(data: bytes, named: str) -> tuple[str, str]:
    if data.isascii():
        try:
            return data.decode(named or "ascii"), named or "utf-8"
        except (UnicodeError, ValueError):
            return data.decode("ascii"), "utf-8"
    loose = data.decode("utf-8", "replace")
    if len(_WIDE.findall(loose)) > 4 * loose.rstrip("\ufffd").count("\ufffd"):
        return loose, "utf-8"  # no other charset looks like this by chance
    if named in _WESTERN and _GB2312.fullmatch(data):
        return data.decode("gb18030", "replace"), "gb18030"
    for candidate in (named or "utf-8", "utf-8", "gb18030", "big5hkscs"):
        try:
            return data.decode(candidate), candidate
        except (UnicodeError, ValueError):
            continue
    found = [
        (data.decode(one, "replace"), one) for one in dict.fromkeys((named or "utf-8", "utf-8", "gb18030"))
    ]
    return min(found, key=lambda one: one[0].count("\ufffd"))


def _codec(name: str) -> str:
    """As Python calls it; "" for what is no charset."""
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        return ""
    return found.name if found._is_text_encoding and found.name not in _NO_CHARSETS else ""


def _raw(message: Message, name: str) -> list[str]:
    """As they came, bytes beyond ASCII as surrogates: the library's own view gives them up."""
    lowered = name.lower()
    return [str(value) for key, value in message.raw_items() if key.lower() == lowered]


def _header(message: Message, name: str) -> str:
    """Decoded, on one line; "" where there is none."""
    return " ".join(
        _CONTROL.sub("", " ".join(_unfolded(next(iter(_raw(message, name)), "")).split())).split()
    )


def _unfolded(value: str) -> str:
    """Words in the charset that they name, else in the one that they are written in."""
    return _ENCODED_WORDS.sub(_encoded_words, _eight_bit(value))


def _encoded_words(found: re.Match[str]) -> str:
    """Neighbours of one charset are one text: programs part them in the middle of a character."""
    runs: list[tuple[str, bytes]] = []
    for charset, how, text in _ENCODED_WORD.findall(found[0]):
        data = text.encode("utf-8", "surrogateescape")
        data = _unpadded(data) if how in "bB" else _HEX.sub(_byte, data.replace(b"_", b" "))
        if runs and runs[-1][0] == charset.lower():
            runs[-1] = (runs[-1][0], runs[-1][1] + data)
        else:
            runs.append((charset.lower(), data))
    return "".join(decoded(data, charset)[0] for charset, data in runs)


def _byte(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[1], 16)])


def _name(part: Message) -> str:
    for parameter, header in (("filename", "Content-Disposition"), ("name", "Content-Type")):
        try:
            value = part.get_param(parameter, header=header)
        except (ValueError, LookupError, TypeError, AttributeError):
            continue
        if isinstance(value, tuple):
            return decoded(value[2].encode("latin-1", "replace"), value[0] or "")[0]
        if value:
            return _unfolded(str(value))
    return ""


def _pairs(message: Message, name: str) -> Iterator[tuple[str, str]]:
    values = [_eight_bit(value) for value in _raw(message, name)[:20]]
    single = _NAMED.fullmatch(values[0]) if len(values) == 1 else None
    try:
        found = [(unquote(single[1].strip()), single[2])] if single else getaddresses(values)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        found = []
    for shown, address in found[:100]:
        plain = _address(address)
        if plain:
            yield _CONTROL.sub("", " ".join(_unfolded(shown).split())), plain


def _eight_bit(value: str) -> str:
    return value if value.isascii() else decoded(value.encode("utf-8", "surrogateescape"), "")[0]


def _one_address(message: Message, name: str) -> tuple[str, str]:
    for shown, address in _pairs(message, name):
        return address, " ".join(shown.split())
    return "", ""


def _addresses(message: Message, name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(address for _shown, address in _pairs(message, name)))


def _address(text: str) -> str:
    plain = text.strip().strip("<>")
    return plain.translate(_SMALL) if _ADDRESS.fullmatch(plain) and plain.isprintable() else ""


def _ids(message: Message, name: str) -> list[str]:
    return [
        found
        for value in _raw(message, name)[:1]
        for found in _ID.findall(value)
        if found.isascii() and found.isprintable()
    ]


def _date_ms(message: Message) -> int:
    try:
        found = parsedate_to_datetime(next(iter(_raw(message, "Date")), ""))
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, TypeError, OverflowError, IndexError, OSError):
        return 0


def _too_deep(html: str) -> bool:
    """Elements that nobody closes: what reads them makes megabytes of kilobytes."""
    depth = reopened = total = 0
    for found in _ELEMENT.finditer(html):
        name, step = found[2].lower(), -1 if found[1] else 1
        if name in _NESTS:
            depth = max(0, depth + step)
        if name in _REOPENED:
            reopened = max(0, reopened + step)
        total += reopened
        if depth > _DEEPEST_HTML or total > _MOST_REOPENED:
            return True
    return False


def _words_of(html: str) -> str:
    html = html[:LONGEST_HTML]
    if _too_deep(html):
        return markup.unescape(_TAG.sub(" ", html))
    reader = html2text.HTML2Text(bodywidth=0)
    reader.ignore_links = reader.ignore_images = reader.ignore_emphasis = reader.ignore_tables = True
    reader.escape_snob = False
    try:
        words = reader.handle(clean(html))
    except (RecursionError, ValueError, AssertionError, IndexError, AttributeError):
        return nh3.clean(html, tags=set())
    return re.sub(r"\n{3,}", "\n\n", words).strip()
