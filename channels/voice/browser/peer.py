"""The WebRTC side of a browser phone: one peer connection, its sound to and from a line."""

from __future__ import annotations

import asyncio
import fractions
import time
from collections.abc import Callable
from typing import Any

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame

from channels.voice.browser.lines import CLOCK_HZ, FRAME_BYTES, FRAME_MS, SAMPLES, SILENCE, Line

_GATHER_S = 3.0
_LATE_S = 0.2


class NotUsable(ValueError):
    """The page's description cannot be answered: nonsense, or no sound in a codec of ours."""


class _FromLine(MediaStreamTrack):
    """What the browser hears, a frame each 20 ms by the clock; silence where there is none."""

    kind = "audio"

    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self._peer = peer
        self._started = time.monotonic()
        self._sent = 0

    async def recv(self) -> AudioFrame:
        due = self._started + self._sent * FRAME_MS / 1000
        late = time.monotonic() - due
        if late > _LATE_S:
            self._started += late  # the loop was held up: do not send it all at once
        elif late < 0:
            await asyncio.sleep(-late)
        line = self._peer.line
        data = line.to_browser.popleft() if line is not None and line.to_browser else SILENCE
        frame = AudioFrame(format="s16", layout="mono", samples=SAMPLES)
        frame.planes[0].update(data.ljust(FRAME_BYTES, b"\x00")[:FRAME_BYTES])
        frame.sample_rate, frame.time_base = CLOCK_HZ, fractions.Fraction(1, CLOCK_HZ)
        frame.pts = self._sent * SAMPLES
        self._sent += 1
        return frame


class Peer:
    """`on_state` hears connected and gone."""

    def __init__(self, ice_servers: list[dict[str, Any]], on_state: Callable[[Peer, str], None]) -> None:
        servers = [RTCIceServer(**server) for server in ice_servers]
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._on_state = on_state
        self.line: Line | None = None
        self.connected = self.closed = False
        self._heard_at = 0.0
        self._hearing: asyncio.Task[None] | None = None
        self._pc.on("track", self._track)
        self._pc.on("connectionstatechange", self._changed)

    async def answer(self, sdp: str) -> str:
        """Our description for the page's. Raises NotUsable."""
        try:
            sender = self._pc.addTransceiver(_FromLine(self), direction="sendrecv")
            codecs = [
                codec
                for codec in RTCRtpSender.getCapabilities("audio").codecs
                if codec.mimeType.lower() in ("audio/pcmu", "audio/telephone-event")
            ]
            sender.setCodecPreferences(codecs)  # before the page's description, or Opus wins
            await self._pc.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
            description = await self._pc.createAnswer()
            await asyncio.wait_for(self._pc.setLocalDescription(description), _GATHER_S)
        except Exception as error:
            await self.close()
            raise NotUsable(type(error).__name__) from error
        local = str(self._pc.localDescription.sdp)
        if "PCMU/8000" not in local:
            await self.close()
            raise NotUsable("no codec")
        return local

    @property
    def silent_s(self) -> float:
        """Seconds since the last sound came, be it silence: a page that is there sends all the time."""
        return time.monotonic() - self._heard_at if self._heard_at else 0.0

    async def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self._hearing is not None:
            self._hearing.cancel()
        await self._pc.close()

    def _track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio" and self._hearing is None:
            self._hearing = asyncio.ensure_future(self._hear(track))

    async def _hear(self, track: MediaStreamTrack) -> None:
        """What the browser says, to the line, in frames of 20 ms."""
        kept = bytearray()
        while True:
            try:
                frame: Any = await track.recv()
            except MediaStreamError:
                return
            self._heard_at = time.monotonic()
            line = self.line
            if line is None:
                kept.clear()
                continue
            kept += bytes(frame.planes[0])[: frame.samples * 2]
            while len(kept) >= FRAME_BYTES:
                line.to_sip.append(bytes(kept[:FRAME_BYTES]))
                del kept[:FRAME_BYTES]

    def _changed(self) -> None:
        state = self._pc.connectionState
        if state == "connected":
            self.connected = True
            self._on_state(self, "connected")
        elif state in ("failed", "closed", "disconnected"):
            self.connected = False
            self._on_state(self, "gone")
