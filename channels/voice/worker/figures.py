"""What the worker asks of a call at every change: its state, whether audio flows, how well it went.

The wrapper answers each with a copy of all there is to know. The dense build exports functions that answer the
question alone (tools/dense/figures.c); the stock one is asked the long way."""

from __future__ import annotations

import contextlib
import ctypes
from typing import Any

FIGURES = ("rx", "tx", "rx_lost", "tx_lost", "jitter_us", "rtt_us")
"""packets received, sent and lost; microseconds"""


class Figures:
    """By the wrapper alone."""

    def __init__(self, pj: Any) -> None:
        self._pj = pj

    def state(self, call: Any) -> tuple[int, int]:
        """State of the invite session, and the last status."""
        info = call.getInfo()
        return int(info.state), int(info.lastStatusCode)

    def audio_active(self, call: Any) -> bool:
        pj = self._pj
        info = call.getInfo()  # held: the list of media points into it
        return any(
            media.type == pj.PJMEDIA_TYPE_AUDIO
            and media.status in (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD)
            for media in info.media
        )

    def stream(self, call: Any, index: int) -> dict[str, Any] | None:
        """Quality of the audio so far; None where there is none."""
        with contextlib.suppress(Exception):
            stat = call.getStreamStat(index)  # held: its parts point into it
            rtcp = stat.rtcp
            received, sent = rtcp.rxStat, rtcp.txStat
            values = (
                received.pkt,
                sent.pkt,
                received.loss,
                sent.loss,
                received.jitterUsec.mean,
                rtcp.rttUsec.mean,
            )
            found: dict[str, Any] = dict(zip(FIGURES, map(int, values), strict=True))
            found["codec"] = str(call.getStreamInfo(index).codecName)
            return found
        return None


class NativeFigures(Figures):
    def __init__(self, pj: Any, library: ctypes.CDLL) -> None:
        super().__init__(pj)
        self._state, self._active = library.cc_call_state, library.cc_audio_active
        self._figures = library.cc_stream_figures
        self._values, self._codec = (ctypes.c_int * len(FIGURES))(), ctypes.create_string_buffer(32)

    def state(self, call: Any) -> tuple[int, int]:
        found = self._state(call.getId())
        return divmod(found, 1000) if found >= 0 else super().state(call)

    def audio_active(self, call: Any) -> bool:
        return bool(self._active(call.getId()))

    def stream(self, call: Any, index: int) -> dict[str, Any] | None:
        if not self._figures(call.getId(), index, self._values, self._codec):
            return None
        found: dict[str, Any] = dict(zip(FIGURES, self._values, strict=True))
        found["codec"] = self._codec.value.decode("ascii", "replace")
        return found


def figures_of(pj: Any, library: ctypes.CDLL) -> Figures:
    return NativeFigures(pj, library) if hasattr(library, "cc_call_state") else Figures(pj)
