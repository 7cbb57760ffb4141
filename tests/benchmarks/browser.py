"""Browser phones under load: visitors on aiortc ring the hotline, agents are SIPp; what the hosts cost a phone."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from fractions import Fraction
from pathlib import Path
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame

from tests.benchmarks.centre import HOST, HTTP, Centre, Shape, agents
from tests.benchmarks.far_end import FarEnd

Figures = dict[str, Any]
_RATE, _SAMPLES = 8000, 160


class _Silence(MediaStreamTrack):
    """A microphone in a quiet room: frames all the same."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._n, self._started = 0, time.monotonic()

    async def recv(self) -> AudioFrame:
        await asyncio.sleep(max(0.0, self._started + self._n * 0.02 - time.monotonic()))
        frame = AudioFrame(format="s16", layout="mono", samples=_SAMPLES)
        frame.planes[0].update(bytes(_SAMPLES * 2))
        frame.sample_rate, frame.time_base, frame.pts = _RATE, Fraction(1, _RATE), self._n * _SAMPLES
        self._n += 1
        return frame


class _Visitor:
    def __init__(self) -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.heard = 0
        self.late_ms: list[float] = []
        self._task: asyncio.Task[None] | None = None

    async def call(self) -> None:
        self.pc.addTransceiver(_Silence(), direction="sendrecv")
        self.pc.on("track", self._track)
        await self.pc.setLocalDescription(await self.pc.createOffer())
        asked = urllib.request.Request(
            f"http://{HOST}:{HTTP}/api/web-call",
            json.dumps({"sdp": self.pc.localDescription.sdp}).encode(),
            {"Content-Type": "application/json"},
        )
        answer = await asyncio.to_thread(lambda: json.load(urllib.request.urlopen(asked, timeout=10)))
        await self.pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))

    def _track(self, track: MediaStreamTrack) -> None:
        self._task = asyncio.ensure_future(self._hear(track))

    async def _hear(self, track: MediaStreamTrack) -> None:
        last = 0.0
        while True:
            try:
                await track.recv()
            except MediaStreamError:
                return
            now = time.monotonic()
            if last:
                self.late_ms.append((now - last) * 1000)
            self.heard, last = self.heard + 1, now


def phones(count: int = 20, hosts: int = 5, seconds: float = 30.0) -> Figures:
    """CPU and memory of the hosts while so many talk. The visitors' own cost is not counted, but they share the
    machine."""
    with Centre(Shape(count, edge=True, browser_hosts=hosts)) as centre:
        far = FarEnd(centre.folder)
        seats = agents(centre)
        found = asyncio.run(_talk(centre, count, seconds))
        seats.stop()
        far.stop()
    return {"phones": count, "hosts": hosts, **found}


async def _talk(centre: Centre, count: int, seconds: float) -> Figures:
    visitors = [_Visitor() for _ in range(count)]
    for visitor in visitors:
        await visitor.call()
    await asyncio.sleep(3)
    pids = [
        pid for pid in centre.pids() if b"channels.voice.browser" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    before, started = centre.cpu_s(pids), time.monotonic()
    heard = sum(visitor.heard for visitor in visitors)
    await asyncio.sleep(seconds)
    took = time.monotonic() - started
    share = (centre.cpu_s(pids) - before) / took
    frames = sum(visitor.heard for visitor in visitors) - heard
    gaps = sorted(late for visitor in visitors for late in visitor.late_ms)
    talking = centre.metrics().get('callcenter_agents{state="talking"}', 0.0)
    for visitor in visitors:
        await visitor.pc.close()
    return {
        "talking": int(talking),
        "core_share_percent": round(share * 100, 1),
        "core_share_per_phone_percent": round(share * 100 / count, 2),
        "memory_mb": round(centre.memory_mb(pids)),
        "frames_heard_percent": round(frames * 100 / (count * took * 50), 1),
        "gap_p99_ms": round(gaps[int(len(gaps) * 0.99)], 1),
    }
