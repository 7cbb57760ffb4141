"""Replies that the edge gives itself. Stateless: the same request always gets the same To tag."""

from __future__ import annotations

from collections.abc import Iterable

from channels.voice.edge.flow import UDP, Flow, Seal
from channels.voice.edge.message import SipMessage, Via, value_of

REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    420: "Bad Extension",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    489: "Bad Event",
    503: "Service Unavailable",
    513: "Message Too Large",
}
ALLOW = b"INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY, REGISTER"
DEFAULT_PORT = 5060
Header = tuple[str, bytes]


def reply(
    message: SipMessage, seal: Seal, code: int, reason: str = "", headers: Iterable[Header] = ()
) -> bytes:
    """A final reply with the request's Via, From, To, Call-ID and CSeq, as far as it has them."""
    text = reason or REASONS[code]
    lines = [f"SIP/2.0 {code} {text}".encode()]
    for name, line in zip(message.names, message.lines, strict=True):
        if name in (b"via", b"from", b"call-id", b"cseq"):
            lines.append(line)
        elif name == b"to":
            lines.append(line if has_tag(line) else line + b";tag=" + _tag(message, seal))
    lines += [name.encode() + b": " + value for name, value in headers]
    lines += [b"Server: callcenter", b"Content-Length: 0", b"", b""]
    return b"\r\n".join(lines)


def has_tag(line: bytes) -> bool:
    """Does this From or To line carry a tag? Looked for behind the address only."""
    value = value_of(line)
    return b";tag=" in value.rpartition(b">")[2].replace(b" ", b"").lower()


def _tag(message: SipMessage, seal: Seal) -> bytes:
    return seal.digest(b"tag", message.value(b"call-id"), message.value(b"from"), size=6).hex().encode()


def reply_flow(via: Via, flow: Flow) -> Flow:
    """Where a reply to a request from `flow` goes (RFC 3261 §18.2.2, RFC 3581): back along a connection, to
    the source port where `rport` was asked for, else to the port that the Via names."""
    if flow.transport != UDP or b"rport" in via.params:
        return flow
    return Flow(UDP, flow.host, via.port or DEFAULT_PORT)
