"""Bytes of mails as text: charsets and base64, whatever they say of themselves. Pure."""

from __future__ import annotations

import base64
import binascii
import codecs
import re

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
_WIDE = re.compile(r"[\u0800-\ud7ff\ue000-\ufffc\U00010000-\U0010ffff]")
_GB2312 = re.compile(rb"(?:[\x00-\x7f]|[\xa1-\xf7][\xa1-\xfe])*")
_BASE64_LINE = re.compile(rb"[A-Za-z0-9+/]*={0,2}[ \t\r]*")


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


def eight_bit(value: str) -> str:
    return value if value.isascii() else decoded(value.encode("utf-8", "surrogateescape"), "")[0]


def from_base64(text: bytes) -> bytes:
    """As far as it goes; what stands under it (a gateway's notice), or is no base64 at all, as it is."""
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        lines = text.split(b"\n")
    n = next((n for n, line in enumerate(lines) if not _BASE64_LINE.fullmatch(line)), len(lines))
    return unpadded(b"".join(lines[:n])) + b"\n".join([b"", *lines[n:]] if n and lines[n:] else lines[n:])


def unpadded(text: bytes) -> bytes:
    plain = re.sub(rb"[^A-Za-z0-9+/]", b"", text)
    plain = plain[: len(plain) - (len(plain) % 4 == 1)]
    return base64.b64decode(plain + b"=" * (-len(plain) % 4))
