"""Messages out of a stream of bytes (RFC 3261 §18.3, RFC 5626 §4.4.1)."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.voice.edge.framing import MAX_HEAD, PING, StreamBroken, StreamFraming

MAX = 65_535
END = b"\r\n\r\n"


def message(body: bytes = b"", length: bytes = b"Content-Length: %d", more: bytes = b"") -> bytes:
    """A message as far as framing looks at it."""
    size = length % len(body) if b"%d" in length else length
    return b"MESSAGE sip:a@h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKa\r\n" + more + size + END + body


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in zip(edges, edges[1:], strict=False)]


def read(chunks: list[bytes], most: int = MAX) -> tuple[list[bytes], bool]:
    """(whole messages, whether the stream broke)."""
    framing, found = StreamFraming(most), []
    for chunk in chunks:
        try:
            found += framing.feed(chunk)
        except StreamBroken:
            return found + framing.done, True
    return found, False


LENGTHS = [
    *(b"Content-Length: %d", b"content-length:%d", b"CONTENT-LENGTH \t:\t %d ", b"l: %d", b"L:%d", b"l : %d"),
    *(b"Content-Length: 00%d", b"Content-Length: %d\t"),
]
BODIES = st.one_of(
    st.binary(max_size=80),
    st.text(max_size=40).map(str.encode),
    st.sampled_from(
        [
            b"",
            "您好，请问有什么可以帮您？".encode(),
            b"\r\n\r\n",
            b"Signal=1\r\n\r\nContent-Length: 99\r\n\r\n",
            message(b"a message in a message"),
            b"\r\nl: 5\r\n\r\n",
        ]
    ),
)
DECOYS = st.sampled_from(
    [
        *(
            b"",
            b"X-Content-Length: 77\r\n",
            b"Subject: x\r\n Content-Length: 78\r\n",
            b"Content-Lengths: 3\r\n",
        ),
        *(b"Subject: \xff\xfe Content-Length: 4\r\n", b"ll: 9\r\n", b"Max-Forwards: 70\r\n"),
    ]
)
MESSAGES = st.builds(message, BODIES, st.sampled_from(LENGTHS), DECOYS)


@given(st.lists(st.one_of(MESSAGES, st.just(PING)), max_size=6), st.lists(st.integers(0, 5000), max_size=25))
def test_the_same_messages_however_the_stream_is_cut(messages: list[bytes], places: list[int]) -> None:
    assert read(cut(b"".join(messages), places)) == (messages, False)


@given(st.lists(MESSAGES, min_size=1, max_size=3))
def test_byte_by_byte(messages: list[bytes]) -> None:
    data = b"".join(messages)
    assert read([data[at : at + 1] for at in range(len(data))]) == (messages, False)


@given(
    st.lists(st.one_of(MESSAGES, st.binary(max_size=60)), max_size=6),
    st.lists(st.integers(0, 5000), max_size=9),
)
def test_whatever_comes_is_read_the_same_in_one_piece_and_in_many(
    parts: list[bytes], places: list[int]
) -> None:
    data = b"".join(parts)
    assert read(cut(data, places), 400) == read([data], 400)


def test_a_body_in_utf8_does_not_swallow_the_next_request() -> None:
    """The length counts bytes, not characters."""
    first, second = message("电话".encode() * 20), message(b"next")
    assert read([first + second]) == ([first, second], False)


@pytest.mark.parametrize("length", LENGTHS)
def test_every_spelling_of_the_length(length: bytes) -> None:
    whole = message(b"v=0\r\n", length)
    assert read([whole + whole]) == ([whole, whole], False)


def test_a_folded_length_is_a_length() -> None:
    """RFC 3261 §7.3.1: a header may go on in the next line before its value."""
    whole = message(b"v=0\r\n", b"Content-Length:\r\n %d")
    assert read([whole + whole]) == ([whole, whole], False)


# --- keep-alives -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (PING, [PING]),
        (PING + PING, [PING, PING]),
        (b"\r\n", []),
        (b"\r\n" + message(), [message()]),
        (message() + PING + message(), [message(), PING, message()]),
        (message() + b"\r\n" + message(), [message(), message()]),
        (PING + b"\r\n" + message(), [PING, message()]),
        (message(b"\r\n\r\n") + PING, [message(b"\r\n\r\n"), PING]),
    ],
)
def test_keep_alives(stream: bytes, found: list[bytes]) -> None:
    """Two line ends ask for an answer, one is that answer; neither is part of a message."""
    for chunks in ([stream], [stream[at : at + 1] for at in range(len(stream))]):
        assert read(chunks) == (found, False)


# --- what ends a stream ----------------------------------------------------------------------------------

BREAKING = {
    "no length": message(length=b"X: 1"),
    "an empty length": message(length=b"Content-Length: "),
    "a negative length": message(length=b"Content-Length: -5"),
    "a length in words": message(length=b"Content-Length: five"),
    "a length with a sign": message(length=b"Content-Length: +5"),
    "a hexadecimal length": message(length=b"Content-Length: 0x5"),
    "two lengths": message(length=b"Content-Length: 5\r\nContent-Length: 6"),
    "two lengths in one": message(length=b"Content-Length: 5, 6"),
    "two lengths, one compact": message(length=b"l: 5\r\nContent-Length: 50"),
    "a good length and a bad one": message(length=b"Content-Length: 5\r\nContent-Length: -1"),
    "a bad length and a good one": message(length=b"l: five\r\nContent-Length: 5"),
    "a huge length": message(length=b"Content-Length: 65536"),
    "a length of nine digits": message(length=b"Content-Length: 999999999"),
    "a length of very many digits": message(length=b"Content-Length: " + b"9" * 6000),
    "a head that is too long": message(more=b"X: " + b"a" * MAX_HEAD + b"\r\n"),
    "a head without an end": b"A" * (MAX_HEAD + 10),
    "HTTP": b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
}


@pytest.mark.parametrize("bad", BREAKING.values(), ids=BREAKING.keys())
def test_garbage_ends_the_stream_and_what_came_before_counts(bad: bytes) -> None:
    good = [message(b"one"), message("二".encode())]
    assert read([b"".join(good) + bad]) == (good, True)
    assert read([good[0], good[1] + bad[:20], bad[20:]]) == (good, True)


@pytest.mark.parametrize("size", [399, 400, 401])
def test_the_largest_message(size: int) -> None:
    head = len(message(b"", b"Content-Length: 123"))
    whole = message(b"x" * (size - head))
    assert len(whole) == size
    assert read([whole], 400) == (([whole], False) if size <= 400 else ([], True))


def test_a_length_too_large_is_known_before_its_body_comes() -> None:
    with pytest.raises(StreamBroken):
        StreamFraming(MAX).feed(message(length=b"Content-Length: 70000"))


def test_memory_is_bounded_by_the_largest_message() -> None:
    """A peer that goes on for ever is stopped; a thousand messages leave nothing behind."""
    framing, sent = StreamFraming(MAX), 0
    with pytest.raises(StreamBroken):
        for _ in range(1000):
            framing.feed(b"X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")
            sent += 42
    assert sent <= MAX_HEAD + 42
    framing, whole = StreamFraming(MAX), message(b"x" * 60_000)
    tracemalloc.start()
    for _ in range(100):
        for at in range(0, len(whole), 4096):
            framing.feed(whole[at : at + 4096])
    kept, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 4 * MAX
