"""Frames between core and worker, however the bytes arrive."""

from __future__ import annotations

import struct

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.voice.protocol import MAX_FRAME, FrameBuffer, FrameError, Message, pack, unpack

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=5,
)
MESSAGES = st.dictionaries(st.text(max_size=6), VALUES, max_size=3).map(
    lambda fields: {**fields, "t": "fact"}
)


@given(MESSAGES)
def test_a_message_comes_out_as_it_went_in(message: Message) -> None:
    frame = pack(message)
    (length,) = struct.unpack(">I", frame[:4])
    assert length == len(frame) - 4
    assert unpack(frame[4:]) == message


@given(st.lists(MESSAGES, max_size=4), st.data())
def test_frames_come_out_whole_and_in_order_however_the_bytes_are_cut(
    messages: list[Message], data: st.DataObject
) -> None:
    stream = b"".join(pack(message) for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    buffer, found = FrameBuffer(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += buffer.feed(stream[start:end])
    assert found == messages


def test_byte_by_byte() -> None:
    buffer, found = FrameBuffer(), []
    for byte in pack({"t": "ack", "n": 5}) * 3:
        found += buffer.feed(bytes([byte]))
    assert found == [{"t": "ack", "n": 5}] * 3


def test_a_frame_is_given_out_only_when_it_is_whole() -> None:
    frame = pack({"t": "ack", "n": 5})
    buffer = FrameBuffer()
    assert buffer.feed(frame[:-1]) == []
    assert buffer.feed(b"") == []
    assert buffer.feed(frame[-1:]) == [{"t": "ack", "n": 5}]


def test_an_announced_size_beyond_the_limit_is_refused_before_it_arrives() -> None:
    with pytest.raises(FrameError, match=str(MAX_FRAME + 1)):
        FrameBuffer().feed(struct.pack(">I", MAX_FRAME + 1))
    assert FrameBuffer().feed(struct.pack(">I", MAX_FRAME)) == []
    with pytest.raises(FrameError):
        FrameBuffer().feed(b"GET / HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\xc1", b"\x93\x01\x02", b"\xc0", msgpack.packb(5), msgpack.packb("t"), msgpack.packb([["t", "ack"]]),
        msgpack.packb({}), msgpack.packb({"t": 5}), msgpack.packb({"t": None}), msgpack.packb({"n": 1}),
        msgpack.packb({"t": "ack"}) + b"\x00", msgpack.packb({"t": "ack"})[:-1],
    ],
)  # fmt: skip
def test_what_is_no_message(body: bytes) -> None:
    with pytest.raises(FrameError):
        unpack(body)
    with pytest.raises(FrameError):
        FrameBuffer().feed(struct.pack(">I", len(body)) + body)


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_waited_for_and_nothing_else(garbage: bytes) -> None:
    try:
        found = FrameBuffer().feed(garbage)
    except FrameError:
        return
    assert all(isinstance(message.get("t"), str) for message in found)


def test_whole_frames_before_a_bad_one_are_not_lost() -> None:
    """They were sent by a peer that was in its right mind then."""
    buffer = FrameBuffer()
    good = pack({"t": "ack", "n": 1})
    assert buffer.feed(good + good[:2]) == [{"t": "ack", "n": 1}]


def test_a_sender_notices_what_no_receiver_would_take() -> None:
    with pytest.raises((FrameError, ValueError)):
        pack({"t": "fact", "text": "x" * (MAX_FRAME + 1)})
