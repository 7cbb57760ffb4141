"""The worker protocol, version 1: what core and voice worker say to each other.

Frames are a 4-byte big-endian length and a msgpack map. The worker listens on
`<run_dir>/w-<slot>-<boot>.sock`; whoever connects says `hello` first.

core -> worker
    {t: hello, role: core|observer, epoch, proto}       the newest epoch wins; observers get one `status`
    {t: cmd, id: [epoch, n], op, leg, ...}              commands of an older epoch are refused
    {t: ack, n}                                         facts up to n are committed, forget them
    {t: ask}                                            answered with a status
    {t: drain, on}                                      from anyone: take no new calls (or take them again)
worker -> core
    {t: held, facts}                                    facts not acknowledged, oldest first, a few hundred
                                                        a frame; then
    {t: welcome, proto, boot, slot, pid, library, capacity, legs, reserved, free, inventory}
    {t: fact, n, at_ms, kind, leg, ...}                 kept until acknowledged
    {t: status, ...}  {t: superseded, epoch}

Commands (`op`): answer, ring, reject, play, stop, music, dial, bridge, unbridge, room, keys, expect, record,
pause_record, stop_record, hangup, tag, on. `room` names all members of a conversation with their modes
(`worker/rooms.py`); `expect` announces a leg of another worker, which calls `meet-<token>` with `dial` and `direct`.
Continuations travel with the command that needs them and are carried out without the core:
`on_answer` (of dial: bridge and record), `on_peer_gone` (hangup | music), `on_core_lost`
(music | keep), `max_s`, `ring_s`.

`bridged` says at once whether it is recorded; a `recording` of its own is one that began later.

`tag`, what a leg carries for whoever finds it, may come with answer, music and dial.

A dialled leg that is to be bridged says `bridged`, not `ringing` and `answered`; any other dialled leg says both.

Facts (`kind`): incoming, ringing, answered, ended, key, played, bridged, unbridged, room, recording,
recording_paused, recording_resumed, recorded, refused, failed (a command that could not be carried out).
"""

from __future__ import annotations

import struct
from typing import Any

import msgpack

PROTOCOL = 1
MAX_FRAME = 4 * 1024 * 1024
_LENGTH = struct.Struct(">I")

Message = dict[str, Any]


class FrameError(ValueError):
    """The peer sent what is no frame of this protocol."""


def pack(message: Message) -> bytes:
    """One frame with its length in front. Raises FrameError beyond MAX_FRAME: nobody would take it."""
    body = msgpack.packb(message)
    if len(body) > MAX_FRAME:
        raise FrameError(f"frame of {len(body)} bytes")
    return _LENGTH.pack(len(body)) + bytes(body)


def unpack(body: bytes) -> Message:
    """The map inside one frame (without its length). Raises FrameError on anything else."""
    try:
        message = msgpack.unpackb(body, strict_map_key=False)
    except Exception as error:
        raise FrameError(str(error)) from error
    if not isinstance(message, dict) or not isinstance(message.get("t"), str):
        raise FrameError("not a map with a type")
    return message


class FrameBuffer:
    """Bytes in as they come, whole messages out."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, chunk: bytes) -> list[Message]:
        self._bytes += chunk
        messages: list[Message] = []
        while len(self._bytes) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._bytes)
            if size > MAX_FRAME:
                raise FrameError(f"frame of {size} bytes")
            end = _LENGTH.size + size
            if len(self._bytes) < end:
                break
            messages.append(unpack(bytes(self._bytes[_LENGTH.size : end])))
            del self._bytes[:end]
        return messages
