"""Headers of mails: words in any charset, addresses, ids, days. Pure, and cheap where the header alone is asked."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from datetime import UTC
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime, unquote

from channels.email.decoding import decoded, eight_bit, unpadded

_ID = re.compile(r"<([^<>\s]{3,250})>")
_ADDRESS = re.compile(r"[^@\s<>\"(),;:]{1,64}@[A-Za-z0-9.\-\[\]:]{1,253}")
_SMALL = {n: n + 32 for n in range(ord("A"), ord("Z") + 1)}
"""of ASCII alone: other signs that become a k would become another address"""
_NAMED = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^",;:<>()]*)\s*<([^<>"]*)>\s*')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_ENCODED_WORD = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]{0,20})?\?([bBqQ])\?([^?]*)\?=")
_ENCODED_WORDS = re.compile(rf"(?:{_ENCODED_WORD.pattern}\s*)*{_ENCODED_WORD.pattern}")
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")
_LONGEST_HEADER, _MOST_PARAMETERS = 20_000, 200
_LONG_NUMBER = re.compile(r"\*(\d{4})\d+")


class _Policy(email.policy.Compat32):
    """Headers as long as anybody needs (the library's time grows with the square of their length), and bytes beyond
    ASCII read as what they are (the library gives them up, or answers with another type)."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        short = _LONG_NUMBER.sub(r"*\1", value[:_LONGEST_HEADER])
        return name, ";".join(short.split(";", _MOST_PARAMETERS)[:_MOST_PARAMETERS])

    def header_fetch_parse(self, name: str, value: str) -> str:
        del name
        return eight_bit(value)


POLICY = _Policy()


def sender_of(raw: bytes) -> tuple[str, str]:
    """(address of From, Message-ID) by the header alone; cheap."""
    message = head_alone(raw)
    return one_address(message, "From")[0], next(iter(ids(message, "Message-ID")), "")


def sole_sender_of(raw: bytes) -> str:
    """The address of From where the mail names one sender and no other; "" else."""
    message = head_alone(raw)
    found = {address for file_name, address in named_addresses(message, "From")}
    return next(iter(found)) if len(found) == 1 and len(raw_values(message, "From")) == 1 else ""


def head_alone(raw: bytes) -> Message:
    head = re.split(rb"\r?\n\r?\n", raw[:200_000], maxsplit=1)[0]
    try:
        return email.message_from_bytes(head + b"\r\n\r\n", policy=POLICY)
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError):
        return Message()


def raw_values(message: Message, name: str) -> list[str]:
    """As they came, bytes beyond ASCII as surrogates: the library's own view gives them up."""
    lowered = name.lower()
    return [str(value) for key, value in message.raw_items() if key.lower() == lowered]


def header(message: Message, name: str) -> str:
    """Decoded, on one line; "" where there is none."""
    return " ".join(
        _CONTROL.sub("", " ".join(_unfolded(next(iter(raw_values(message, name)), "")).split())).split()
    )


def _unfolded(value: str) -> str:
    """Words in the charset that they name, else in the one that they are written in."""
    return _ENCODED_WORDS.sub(_encoded_words, eight_bit(value))


def _encoded_words(found: re.Match[str]) -> str:
    """Neighbours of one charset are one text: programs part them in the middle of a character."""
    runs: list[tuple[str, bytes]] = []
    for charset, how, text in _ENCODED_WORD.findall(found[0]):
        data = text.encode("utf-8", "surrogateescape")
        data = unpadded(data) if how in "bB" else _HEX.sub(_byte, data.replace(b"_", b" "))
        if runs and runs[-1][0] == charset.lower():
            runs[-1] = (runs[-1][0], runs[-1][1] + data)
        else:
            runs.append((charset.lower(), data))
    return "".join(decoded(data, charset)[0] for charset, data in runs)


def _byte(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[1], 16)])


def file_name(part: Message) -> str:
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


def named_addresses(message: Message, name: str) -> Iterator[tuple[str, str]]:
    values = [eight_bit(value) for value in raw_values(message, name)[:20]]
    single = _NAMED.fullmatch(values[0]) if len(values) == 1 else None
    try:
        found = [(unquote(single[1].strip()), single[2])] if single else getaddresses(values)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        found = []
    for shown, address in found[:100]:
        plain = plain_address(address)
        if plain:
            yield _CONTROL.sub("", " ".join(_unfolded(shown).split())), plain


def one_address(message: Message, name: str) -> tuple[str, str]:
    for shown, address in named_addresses(message, name):
        return address, " ".join(shown.split())
    return "", ""


def addresses(message: Message, name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(address for _shown, address in named_addresses(message, name)))


def plain_address(text: str) -> str:
    plain = text.strip().strip("<>")
    return plain.translate(_SMALL) if _ADDRESS.fullmatch(plain) and plain.isprintable() else ""


def ids(message: Message, name: str) -> list[str]:
    return [
        found
        for value in raw_values(message, name)[:1]
        for found in _ID.findall(value)
        if found.isascii() and found.isprintable()
    ]


def date_ms(message: Message) -> int:
    try:
        found = parsedate_to_datetime(next(iter(raw_values(message, "Date")), ""))
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, TypeError, OverflowError, IndexError, OSError):
        return 0
