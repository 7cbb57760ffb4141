"""One SIP message as the bytes it came in. Headers are found and replaced line by line; whatever is not
touched leaves exactly as it arrived (RFC 3261 §16.6: a proxy must not change what it does not understand).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_HEADERS = 200
MAX_VIAS = 70
_REQUEST = re.compile(rb"([!-~]+) ([^\s\x00-\x1f]+) SIP/2\.0\Z", re.I)
_STATUS = re.compile(rb"SIP/2\.0 ([1-6]\d\d)(?: (.*))?\Z", re.I | re.S)
_NAME = re.compile(rb"([A-Za-z0-9\-.!%*_+`'~]+)[ \t]*:")
_CSEQ = re.compile(rb"(\d{1,10})[ \t]+([!-~]+)\Z")
_SENT_BY = re.compile(
    rb"SIP[ \t]*/[ \t]*2\.0[ \t]*/[ \t]*([A-Za-z0-9\-]+)[ \t]+"
    rb"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9.\-_]+)[ \t]*(?::[ \t]*(\d{1,5}))?[ \t]*(;.*)?\Z",
    re.I | re.S,
)
_COMPACT = {
    b"v": b"via",
    b"f": b"from",
    b"t": b"to",
    b"i": b"call-id",
    b"m": b"contact",
    b"l": b"content-length",
    b"c": b"content-type",
    b"e": b"content-encoding",
    b"k": b"supported",
    b"s": b"subject",
    b"r": b"refer-to",
    b"b": b"referred-by",
    b"u": b"allow-events",
    b"o": b"event",
    b"x": b"session-expires",
    b"a": b"accept-contact",
    b"j": b"reject-contact",
    b"d": b"request-disposition",
    b"y": b"identity",
}
_ONCE = (b"from", b"to", b"call-id", b"cseq")
_MAX_CSEQ = 2**31


class Malformed(ValueError):
    """Not a SIP message that can be forwarded; `message` is what was understood of it, for a 400."""

    def __init__(self, reason: str, message: SipMessage | None = None) -> None:
        super().__init__(reason)
        self.reason, self.message = reason, message


class SipMessage:
    """`start` and `lines` are raw (folded lines are kept folded), `names` their canonical lower-case names."""

    __slots__ = ("body", "lines", "method", "names", "start", "status", "uri")

    def __init__(self, start: bytes, names: list[bytes], lines: list[bytes], body: bytes) -> None:
        self.start, self.names, self.lines, self.body = start, names, lines, body
        self.method, self.uri, self.status = b"", b"", 0

    @property
    def is_request(self) -> bool:
        return not self.status

    def line_of(self, name: bytes) -> int:
        """Index of the first header of this name; -1 where there is none."""
        try:
            return self.names.index(name)
        except ValueError:
            return -1

    def value(self, name: bytes) -> bytes:
        """The first header's value, unfolded and stripped; b"" where there is none."""
        at = self.line_of(name)
        return b"" if at < 0 else value_of(self.lines[at])

    def values(self, name: bytes) -> list[bytes]:
        """All values of a header that may be a comma-separated list, in order."""
        found: list[bytes] = []
        for at, known in enumerate(self.names):
            if known == name:
                found.extend(split_list(value_of(self.lines[at])))
        return found

    def cseq(self) -> tuple[int, bytes]:
        """Number and method. Raises Malformed."""
        match = _CSEQ.match(self.value(b"cseq"))
        if match is None or int(match[1]) >= _MAX_CSEQ:
            raise Malformed("CSeq", self)
        return int(match[1]), match[2]

    def insert(self, at: int, name: bytes, line: bytes) -> None:
        self.names.insert(at, name)
        self.lines.insert(at, line)

    def remove_first_value(self, name: bytes) -> None:
        """Take away the first value of a list header; the rest of its line stays as it was."""
        at = self.line_of(name)
        line = self.lines[at]
        comma = _first_comma(line)
        if comma < 0:
            del self.names[at], self.lines[at]
        else:
            head = line[: line.index(b":") + 1]
            self.lines[at] = head + b" " + line[comma + 1 :].lstrip()

    def replace_first_value(self, name: bytes, value: bytes) -> None:
        at = self.line_of(name)
        line = self.lines[at]
        comma = _first_comma(line)
        head = line[: line.index(b":") + 1]
        self.lines[at] = head + b" " + value + (line[comma:] if comma >= 0 else b"")

    def set_uri(self, uri: bytes) -> None:
        """A new Request-URI; method and version stay as they were written."""
        version = self.start.rpartition(b" ")[2]
        self.uri = uri
        self.start = self.method + b" " + uri + b" " + version

    def to_bytes(self) -> bytes:
        return b"\r\n".join([self.start, *self.lines, b"", self.body])


def parse(data: bytes) -> SipMessage:
    """One whole message. Raises Malformed, with what was understood where a reply is possible."""
    head, gap, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not gap:
        raise Malformed("no end of headers")
    raw = head.split(b"\r\n")
    if len(raw) > MAX_HEADERS:
        raise Malformed("too many headers")
    plain = head.replace(b"\r\n", b"")
    if b"\x00" in head or b"\n" in plain or b"\r" in plain:
        raise Malformed("control characters")
    names: list[bytes] = []
    lines: list[bytes] = []
    broken = ""
    for line in raw[1:]:
        if line[:1] in (b" ", b"\t"):
            if not lines:
                raise Malformed("folding before any header")
            lines[-1] += b"\r\n" + line
            continue
        match = _NAME.match(line)
        if match is None:
            broken = "header without a name"
            continue
        name = match[1].lower()
        names.append(_COMPACT.get(name, name) if len(name) == 1 else name)
        lines.append(line)
    message = SipMessage(raw[0], names, lines, body)
    _read_start(message)
    if broken:
        raise Malformed(broken, message)
    _check(message)
    return message


def _read_start(message: SipMessage) -> None:
    status = _STATUS.match(message.start)
    if status is not None:
        message.status = int(status[1])
        return
    request = _REQUEST.match(message.start)
    if request is None:
        if re.search(rb" SIP/\d", message.start, re.I):
            message.method = message.start.partition(b" ")[0]
            raise Malformed("start line", message)
        raise Malformed("start line")
    message.method, message.uri = request[1], request[2]


def _check(message: SipMessage) -> None:
    names = message.names
    if b"via" not in names:
        raise Malformed("Via")
    if names.count(b"via") > MAX_VIAS:
        raise Malformed("too many Via")
    for name in _ONCE:
        if names.count(name) != 1 or not message.value(name):
            raise Malformed(name.decode(), message)
    _number, method = message.cseq()
    if message.is_request and method != message.method:
        raise Malformed("CSeq is of another method", message)
    length = message.value(b"content-length")
    if length:
        if not length.isdigit() or len(length) > 9 or names.count(b"content-length") > 1:
            raise Malformed("Content-Length", message)
        if int(length) > len(message.body):
            raise Malformed("shorter than its Content-Length", message)
        message.body = message.body[: int(length)]


def value_of(line: bytes) -> bytes:
    """What follows the colon of a header line, unfolded."""
    value = line[line.index(b":") + 1 :]
    if b"\r\n" in value:
        value = re.sub(rb"\r\n[ \t]+", b" ", value)
    return value.strip()


def _first_comma(text: bytes) -> int:
    """Where the first value of a list ends: a comma outside quotes and angle brackets; -1 for the last."""
    if b"," not in text:
        return -1
    quoted = angled = False
    at, end = 0, len(text)
    while at < end:
        character = text[at]
        if quoted:
            if character == 0x5C:
                at += 1
            elif character == 0x22:
                quoted = False
        elif character == 0x22:
            quoted = True
        elif character == 0x3C:
            angled = True
        elif character == 0x3E:
            angled = False
        elif character == 0x2C and not angled:
            return at
        at += 1
    return -1


def split_list(value: bytes) -> list[bytes]:
    found = []
    while (comma := _first_comma(value)) >= 0:
        found.append(value[:comma].strip())
        value = value[comma + 1 :]
    return [part for part in (*found, value.strip()) if part]


def params_of(text: bytes) -> dict[bytes, bytes]:
    """`;a=1;b` as {b"a": b"1", b"b": b""}; names in lower case, the first of a name counts. Semicolons in
    quotes separate nothing."""
    found: dict[bytes, bytes] = {}
    parts = text.split(b";") if b'"' not in text else re.findall(rb'(?:"(?:[^"\\]|\\.)*"|[^;"])+', text)
    for part in parts:
        name, _, value = part.partition(b"=")
        name = name.strip().lower()
        if name:
            found.setdefault(name, value.strip())
    return found


@dataclass(frozen=True, slots=True)
class Via:
    transport: bytes
    host: bytes
    port: int
    """0 where none is written"""
    params: dict[bytes, bytes]

    @property
    def branch(self) -> bytes:
        return self.params.get(b"branch", b"")


def parse_via(value: bytes) -> Via:
    """Raises Malformed. Only the sent-by names the host; a parameter called `host` is a parameter."""
    match = _SENT_BY.match(value)
    if match is None:
        raise Malformed("Via")
    port = int(match[3] or 0)
    if port > 65_535:
        raise Malformed("Via")
    return Via(match[1].upper(), match[2].lower(), port, params_of(match[4] or b""))


def first_value(message: SipMessage, name: bytes) -> bytes:
    """The first value of a list header; b"" where there is none."""
    at = message.line_of(name)
    if at < 0:
        return b""
    value = value_of(message.lines[at])
    comma = _first_comma(value)
    return value if comma < 0 else value[:comma].strip()


@dataclass(frozen=True, slots=True)
class Uri:
    scheme: bytes
    user: bytes
    host: bytes
    """lower case, brackets kept"""
    port: int
    """0 where none is written"""
    params: dict[bytes, bytes]


_URI = re.compile(
    rb"(?i:(sips?)):(?:([^@\s<>]*)@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.\-_]+)(?::(\d{1,5}))?"
    rb"((?:;[^\s?<>]*)?)(?:\?[^\s<>]*)?\Z"
)


def parse_uri(text: bytes) -> Uri | None:
    """A sip: or sips: URI (RFC 3261 §19.1); None for anything else."""
    match = _URI.match(text)
    if match is None or int(match[4] or 0) > 65_535:
        return None
    user = (match[2] or b"").partition(b":")[0].partition(b";")[0]
    return Uri(match[1].lower(), user, match[3].lower(), int(match[4] or 0), params_of(match[5]))


def address_of(value: bytes) -> tuple[bytes, bytes]:
    """(URI, parameters behind it) of a name-addr or addr-spec, such as Contact or Route. (b"", b"") where
    there is none."""
    at, quoted = 0, False
    while at < len(value):
        character = value[at]
        if quoted:
            if character == 0x5C:
                at += 1
            elif character == 0x22:
                quoted = False
        elif character == 0x22:
            quoted = True
        elif character == 0x3C:
            uri, close, after = value[at + 1 :].partition(b">")
            return (uri.strip(), after) if close else (b"", b"")
        at += 1
    uri, _, after = value.partition(b";")
    return uri.strip(), after
