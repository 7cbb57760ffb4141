"""The SIP side of a browser phone host: one thread owns the library; a line carries one call.

Theory of operation. The library is touched on one registered thread only: it polls, then carries out jobs that
others left. Frames cross by small queues, 20 ms of 8 kHz samples each: what the browser says waits at most
`KEPT` frames, so no standing delay builds up; where the browser says nothing, the far end hears silence, or music
while the page is away. Ports are made once and used again: destroying one while sound runs invites crashes."""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callcenter.kernel import logging
from channels.voice.worker import library

log = logging.get("browser")
CLOCK_HZ, FRAME_MS = 8000, 20
SAMPLES = CLOCK_HZ * FRAME_MS // 1000
FRAME_BYTES = SAMPLES * 2
SILENCE = bytes(FRAME_BYTES)
KEPT = 4
_POLL_MS = 10
_WAV_HEADER = 44
_BUSY, _NOT_HERE, _OK = 486, 480, 200


@dataclass(eq=False)
class Line:
    """One call and the frames that wait on either side of it."""

    n: int
    to_sip: deque[bytes] = field(default_factory=lambda: deque(maxlen=KEPT))
    to_browser: deque[bytes] = field(default_factory=lambda: deque(maxlen=KEPT))
    user: str = ""
    """whose it is now; "" for nobody's"""
    away: bool = False
    """the page is gone for a moment: the far end hears music"""
    call: Any = None
    port: Any = None
    music_at: int = 0


class SipLines:
    """`on_state(user, state)` hears ringing, talking, ended, on the library's thread."""

    def __init__(self, host: str, port: int, rtp: tuple[int, int], music: Path) -> None:
        self._host, self._sip_port, self._rtp = host, port, rtp
        self._music = music.read_bytes()[_WAV_HEADER:]
        self._jobs: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._started = threading.Event()
        self._failed: Exception | None = None
        self.lines: list[Line] = []
        self.is_here: Callable[[str], bool] = lambda _user: False
        self.on_state: Callable[[str, str], None] = lambda _user, _state: None
        self._thread = threading.Thread(target=self._run, name="sip", daemon=True)

    @property
    def capacity(self) -> int:
        return len(self.lines)

    def start(self) -> None:
        """Raises what the library raises where it cannot listen."""
        self._thread.start()
        self._started.wait()
        if self._failed is not None:
            raise self._failed

    def stop(self) -> None:
        self._stopping = True
        self._thread.join(2)

    def free(self) -> bool:
        return any(not line.user for line in self.lines)

    def line_of(self, user: str) -> Line | None:
        return next((line for line in self.lines if user and line.user == user), None)

    def dial(self, user: str, uri: str, visit: str = "") -> Line | None:
        """Take a line and call; None where none is free. `visit` goes along for the core, which knows who it is."""
        line = next((line for line in self.lines if not line.user), None)
        if line is None:
            return None
        self._take(line, user)
        self._jobs.append(lambda: self._dial(line, uri, visit))
        return line

    def hang_up(self, user: str, lost: bool = False) -> None:
        """`lost`: the page did not come back; the far end is told so."""
        self._jobs.append(lambda: self._hang_up(user, lost))

    def press(self, user: str, keys: str) -> None:
        self._jobs.append(lambda: self._press(user, keys))

    # --- the library's thread --------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._open()
        except Exception as error:
            self._failed = error
            self._started.set()
            return
        self._started.set()
        while not self._stopping:
            self._endpoint.libHandleEvents(_POLL_MS)
            while self._jobs:
                job = self._jobs.popleft()
                try:
                    job()
                except self._pj.Error:
                    continue  # the call ended while the job waited
        for line in self.lines:
            if line.call is not None:
                self._hang_up(line.user, False)
        self._endpoint.libHandleEvents(200)

    def _open(self) -> None:
        pj, _ = library.load(library.STOCK)  # the one of the two whose ports speak Python
        self._pj = pj
        endpoint = self._endpoint = pj.Endpoint()
        endpoint.libCreate()
        config = pj.EpConfig()
        config.uaConfig.threadCnt, config.uaConfig.mainThreadOnly = 0, False
        config.uaConfig.userAgent = "callcenter-browser"
        config.medConfig.clockRate = config.medConfig.sndClockRate = CLOCK_HZ
        config.medConfig.audioFramePtime, config.medConfig.ptime = FRAME_MS, FRAME_MS
        config.medConfig.noVad, config.medConfig.ecTailLen = True, 0
        config.logConfig.level = config.logConfig.consoleLevel = 0
        endpoint.libInit(config)
        transport = pj.TransportConfig()
        transport.boundAddress, transport.port = self._host, self._sip_port
        endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        endpoint.libStart()
        endpoint.audDevManager().setNullDev()
        for codec in endpoint.codecEnum2():
            endpoint.codecSetPriority(codec.codecId, 255 if codec.codecId.startswith("PCMU/8000") else 0)
        self._classes = _classes(self)
        self.account = self._account("anonymous", default=True)
        self.lines = [Line(n) for n in range(library.legs(pj))]
        for line in self.lines:
            line.port = self._classes["Port"](line)
        # without a source that never ends the clock of the null device stops
        self._silence = pj.ToneGenerator()
        self._silence.createToneGenerator(CLOCK_HZ, 1)
        self._silence.startTransmit(endpoint.audDevManager().getPlaybackDevMedia())

    def _account(self, user: str, default: bool = False) -> Any:
        pj = self._pj
        config = pj.AccountConfig()
        config.idUri = (
            f"sip:{user}@anonymous.invalid"  # visitors say no number; our users are called, and call nobody
        )
        config.regConfig.registerOnAdd = False
        rtp = config.mediaConfig.transportConfig
        rtp.boundAddress, rtp.port, rtp.portRange = self._host, self._rtp[0], self._rtp[1] - self._rtp[0]
        account = self._classes["Account"]()
        account.create(config, default)
        return account

    def _take(self, line: Line, user: str) -> None:
        line.user, line.away, line.music_at = user, False, 0
        line.to_sip.clear()
        line.to_browser.clear()

    def _dial(self, line: Line, uri: str, visit: str) -> None:
        pj = self._pj
        options = pj.CallOpParam(True)
        if visit:
            header = pj.SipHeader()
            header.hName, header.hValue = "X-Visit", visit
            options.txOption.headers.push_back(header)
        call = self._classes["Call"](self.account, line)
        line.call = call
        try:
            call.makeCall(uri, options)
        except pj.Error as error:
            log.warning("call_not_made", reason=str(error.reason)[:200])
            line.call, user, line.user = None, line.user, ""
            pj.Call.__swig_destroy__(call)
            call.this = None
            self.on_state(user, "ended")

    def incoming(self, call_id: int) -> None:
        """On the library's thread, inside its callback: an INVITE for one of our users."""
        line = next((line for line in self.lines if not line.user), None)
        call = self._classes["Call"](self.account, line, call_id)
        user = _user_of(str(call.getInfo().localUri))
        code = _OK
        if not self.is_here(user):
            code = _NOT_HERE
        elif line is None or self.line_of(user) is not None:
            code = _BUSY
        else:
            self._take(line, user)
            line.call = call
        self._jobs.append(lambda: self._answer(call, code))
        if code == _OK:
            self.on_state(user, "ringing")

    def _answer(self, call: Any, code: int) -> None:
        prm = self._pj.CallOpParam(True)
        prm.statusCode = code
        call.answer(prm)

    def _hang_up(self, user: str, lost: bool) -> None:
        line = self.line_of(user)
        if line is None or line.call is None:
            return
        prm = self._pj.CallOpParam(True)
        if lost:
            header = self._pj.SipHeader()
            header.hName, header.hValue = "Reason", "SIP;cause=408"
            prm.txOption.headers.append(header)
        line.call.hangup(prm)

    def _press(self, user: str, keys: str) -> None:
        line = self.line_of(user)
        if line is not None and line.call is not None:
            line.call.dialDtmf(keys)

    # --- frames, on the library's media thread ---------------------------------------------------

    def frame_for_sip(self, line: Line) -> bytes:
        if line.to_sip:
            return line.to_sip.popleft()
        if not line.away:
            return SILENCE
        start = line.music_at
        line.music_at = (start + FRAME_BYTES) % max(FRAME_BYTES, len(self._music) - FRAME_BYTES)
        return self._music[start : start + FRAME_BYTES].ljust(FRAME_BYTES, b"\x00")


def _classes(lines: SipLines) -> dict[str, Any]:
    """Director classes; their callbacks copy and queue."""
    pj = lines._pj

    class Port(pj.AudioMediaPort):  # type: ignore[name-defined]
        def __init__(self, line: Line) -> None:
            super().__init__()
            self.line = line
            form = pj.MediaFormatAudio()
            form.init(pj.PJMEDIA_FORMAT_PCM, CLOCK_HZ, 1, FRAME_MS * 1000, 16)
            self.createPort(f"line-{line.n}", form)

        def onFrameRequested(self, frame: Any) -> None:
            frame.type = pj.PJMEDIA_FRAME_TYPE_AUDIO
            frame.buf = pj.ByteVector(lines.frame_for_sip(self.line))
            frame.size = FRAME_BYTES

        def onFrameReceived(self, frame: Any) -> None:
            if frame.type == pj.PJMEDIA_FRAME_TYPE_AUDIO and self.line.user:
                self.line.to_browser.append(_bytes(frame))

    class Call(pj.Call):  # type: ignore[name-defined]
        def __init__(self, account: Any, line: Line | None, call_id: int = pj.PJSUA_INVALID_ID) -> None:
            super().__init__(account, call_id)
            self.line = line

        def onCallState(self, prm: Any) -> None:
            state = self.getInfo().state
            line = self.line
            mine = line is not None and line.call is self
            if state == pj.PJSIP_INV_STATE_CONFIRMED and line is not None and mine:
                lines.on_state(line.user, "talking")
            elif state == pj.PJSIP_INV_STATE_EARLY and line is not None and mine:
                lines.on_state(line.user, "ringing")
            elif state == pj.PJSIP_INV_STATE_DISCONNECTED:
                if line is not None and mine:
                    user, line.user, line.call = line.user, "", None
                    lines.on_state(user, "ended")
                pj.Call.__swig_destroy__(self)
                self.this = None

        def onCallMediaState(self, prm: Any) -> None:
            info = self.getInfo()
            active = any(
                media.type == pj.PJMEDIA_TYPE_AUDIO and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE
                for media in info.media
            )
            if active and self.line is not None and self.line.call is self:
                lines._jobs.append(self.connect)

        def connect(self) -> None:
            if self.line is not None and self.line.call is self:
                audio = self.getAudioMedia(-1)
                audio.startTransmit(self.line.port)
                self.line.port.startTransmit(audio)

        def onCallTransferRequest(self, prm: Any) -> None:
            prm.statusCode = 603

    class Account(pj.Account):  # type: ignore[name-defined]
        def onIncomingCall(self, prm: Any) -> None:
            lines.incoming(prm.callId)

    return {"Port": Port, "Call": Call, "Account": Account}


def _bytes(frame: Any) -> bytes:
    """The vector's bytes by its pointers: a hundred times faster than through the wrapper's iterator."""
    place = ctypes.c_void_p.from_address
    vector = int(frame.buf.this)
    start = place(vector).value or 0
    return ctypes.string_at(start, (place(vector + 8).value or 0) - start)


def _user_of(uri: str) -> str:
    return uri.partition("sip:")[2].partition("@")[0]
