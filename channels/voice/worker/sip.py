"""The pjsua2 endpoint of one worker: library, transports, account, and callbacks that only copy
scalars into a queue (a callback that works deadlocks or aborts the library)."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import secrets
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from channels.voice.worker import library
from channels.voice.worker.figures import figures_of

Event = tuple[Any, ...]
PORTS_PER_LEG = 4
CLOCK_HZ = 8000
_AUDIO_CODECS = {"PCMA/8000": 250, "PCMU/8000": 240, "G722/16000": 200}
_MALFORMED = "Error processing"
_DTMF_IS_UPDATE = 1
"""flag of pjmedia's DTMF events that the wrapper does not export: the same key is still held"""
_EXTRA_PORTS = 64
_DIRECT = "<direct>"
"""no caller id: the account for legs between workers"""
_MAX_CALLER_IDS = 5
"""accounts beside the first: the stock library has room for eight"""
_SPARE_LEGS = 16
"""room in which calls beyond the capacity are refused by us with a 503, not by the library with a 486"""


@dataclass(frozen=True)
class SipConfig:
    host: str
    port: int
    advertise: str
    rtp_low: int
    rtp_high: int
    library: str
    max_legs: int
    rtp_host: str = ""
    rtp_advertise: str = ""
    edge: str = ""
    """host:port of the edge's inner side, through which every call of ours goes; "" without one"""
    credentials: tuple[tuple[str, str], ...] = ()
    """(username, file of the password) for trunks that challenge our calls"""


def leg_capacity(compiled: int, config: SipConfig) -> int:
    """Legs this worker can carry: what the library was compiled for, the ports, and the setting."""
    by_ports = (config.rtp_high - config.rtp_low + 1) // PORTS_PER_LEG
    wanted = config.max_legs or compiled
    return min(compiled, by_ports, wanted)


class Sip:
    """Owns the endpoint, its account, and the queue of events of all calls."""

    def __init__(self, config: SipConfig) -> None:
        self.pj, self.kind = library.load(config.library)
        self.config = config
        self._library = _native(self.pj)
        self.figures = figures_of(self.pj, self._library)
        self.capacity = leg_capacity(library.legs(self.pj), config)
        self.events: deque[Event] = deque()
        self.malformed = 0
        self._answers: dict[int, Any] = {}
        """parameters of plain answers, by code"""
        self.calls: dict[str, Any] = {}
        """leg id -> the library's call object, alive until DISCONNECTED was handled"""
        self._classes = _make_classes(self)
        self._endpoint = self._start_library()
        self.address = self._open_transports()
        self._accounts: dict[str, Any] = {}
        self.account = self._open_account("callcenter")
        self.silence = self._start_silence()

    def poll(self, timeout_ms: int) -> bool:
        """Let the library work; whether there was any."""
        return bool(self._endpoint.libHandleEvents(timeout_ms) > 0)

    def adopt_incoming(self, leg: str, pj_call_id: int) -> None:
        self.calls[leg] = self._classes.Call(self.account, pj_call_id, leg)

    def dial(
        self, leg: str, uri: str, headers: dict[str, str], caller_id: str = "", direct: bool = False
    ) -> None:
        """Send an INVITE, from `caller_id` where one is given; `direct`: to another worker, past the edge.
        Raises the library's Error when it will not."""
        account = self._direct() if direct else self._account_of(caller_id)
        call = self._classes.Call(account, self.pj.PJSUA_INVALID_ID, leg)
        prm = self.pj.CallOpParam(True)
        _put_headers(self.pj, prm, headers)
        self.calls[leg] = call
        try:
            call.makeCall(uri, prm)
        except self.pj.Error:
            self.forget(leg)
            raise

    def _account_of(self, caller_id: str) -> Any:
        """The account that calls from this number of ours; beyond what the library has room for, the
        usual one."""
        if not caller_id:
            return self.account
        if caller_id not in self._accounts and len(self._accounts) < _MAX_CALLER_IDS:
            self._accounts[caller_id] = self._open_account(caller_id)
        return self._accounts.get(caller_id, self.account)

    def _direct(self) -> Any:
        if _DIRECT not in self._accounts:
            self._accounts[_DIRECT] = self._open_account("worker", by_edge=False)
        return self._accounts[_DIRECT]

    def press(self, leg: str, keys: str) -> None:
        """Send keys to the far end (RFC 4733)."""
        self.calls[leg].dialDtmf(keys)

    def respond(self, leg: str, code: int, headers: dict[str, str] | None = None) -> None:
        prm = self._answers.get(code) if not headers else None
        if prm is None:
            prm = self.pj.CallOpParam(True)
            prm.statusCode = code
            _put_headers(self.pj, prm, headers or {})
            if not headers:
                self._answers[code] = prm
        self.calls[leg].answer(prm)

    def hang_up(self, leg: str, code: int, headers: dict[str, str] | None = None) -> None:
        prm = self.pj.CallOpParam(True)
        prm.statusCode = code
        _put_headers(self.pj, prm, headers or {})
        self.calls[leg].hangup(prm)

    def probe(self, leg: str) -> None:
        """Ask inside the dialog whether the far end still lives (OPTIONS)."""
        prm = self.pj.CallSendRequestParam()
        prm.method = "OPTIONS"
        self.calls[leg].sendRequest(prm)

    def audio(self, leg: str) -> Any:
        """The call's audio port, fetched afresh each time: a stale one connects somebody else."""
        return self.calls[leg].getAudioMedia(-1)

    def received_packets(self, leg: str) -> int:
        """RTP packets that came from this leg so far; -1 where it has no audio."""
        call = self.calls.get(leg)
        found = self.figures.stream(call, 0) if call is not None else None
        return int(found["rx"]) if found else -1

    def stats(self, leg: str) -> dict[str, Any] | None:
        """Quality figures so far; None where there is no audio."""
        call = self.calls.get(leg)
        if call is None:
            return None
        call.stats = self.figures.stream(call, 0)
        found: dict[str, Any] | None = call.stats
        return found

    def forget(self, leg: str) -> None:
        """Destroy the object of a call that never came to be."""
        call = self.calls.pop(leg, None)
        if call is not None and call.this is not None:
            self.pj.Call.__swig_destroy__(call)
            call.this = None

    def _start_library(self) -> Any:
        pj = self.pj
        self._library.pj_log_set_level(1)
        endpoint = pj.Endpoint()
        before = _epolls()
        endpoint.libCreate()
        made = _epolls() - before
        self.readable = made.pop() if len(made) == 1 else -1
        """descriptor that can be waited on for SIP; -1 where the library uses select()"""
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = False
        config.uaConfig.maxCalls = min(library.legs(pj), self.capacity + _SPARE_LEGS)
        config.uaConfig.userAgent = "callcenter"
        config.medConfig.clockRate = CLOCK_HZ
        config.medConfig.sndClockRate = CLOCK_HZ
        config.medConfig.noVad = True
        config.medConfig.ecTailLen = 0
        config.medConfig.maxMediaPorts = min(
            254 if self.kind == library.STOCK else 4096, self.capacity * 3 + _EXTRA_PORTS
        )
        self._log_writer = self._classes.LogWriter()
        config.logConfig.level = 1
        config.logConfig.consoleLevel = 1
        config.logConfig.writer = self._log_writer
        endpoint.libInit(config)
        self._log_writer.this.disown()
        return endpoint

    def _open_transports(self) -> str:
        """UDP and TCP on the same port; answers host:port as bound."""
        pj, config = self.pj, self.config
        transport = pj.TransportConfig()
        transport.boundAddress = config.host
        transport.port = config.port
        if config.advertise:
            transport.publicAddress = config.advertise
        udp = self._endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        port = int(str(self._endpoint.transportGetInfo(udp).localName).rpartition(":")[2])
        transport.port = port
        self._endpoint.transportCreate(pj.PJSIP_TRANSPORT_TCP, transport)
        self._endpoint.libStart()
        # Call-IDs and tags of a library built without libuuid come from `rand()`
        self._library.pj_srand(secrets.randbits(32))
        self._endpoint.audDevManager().setNullDev()
        for codec in self._endpoint.codecEnum2():
            name = codec.codecId.rsplit("/", 1)[0]
            self._endpoint.codecSetPriority(codec.codecId, _AUDIO_CODECS.get(name, 0))
        return f"{config.host}:{port}"

    def _open_account(self, user: str, by_edge: bool = True) -> Any:
        pj, config = self.pj, self.config
        account_config = pj.AccountConfig()
        account_config.idUri = f"sip:{user}@{config.rtp_advertise or config.advertise or self.address}"
        account_config.regConfig.registerOnAdd = False
        if config.edge and by_edge:
            account_config.sipConfig.proxies.append(f"sip:{config.edge};lr")
        for username, file in config.credentials:
            password = Path(file).read_text(encoding="utf-8").strip()
            account_config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", username, 0, password))
        rtp = account_config.mediaConfig.transportConfig
        rtp.port = config.rtp_low
        rtp.portRange = config.rtp_high - config.rtp_low - 1
        rtp.boundAddress = config.rtp_host or config.host
        if config.rtp_advertise:
            rtp.publicAddress = config.rtp_advertise
        account = self._classes.Account()
        account.create(account_config, user == "callcenter")
        return account

    def _start_silence(self) -> Any:
        """A silent generator connected for ever: without one the null device's clock stops and removed
        ports are never freed; recorders without a source write no frames."""
        silence = self.pj.ToneGenerator()
        silence.createToneGenerator(CLOCK_HZ, 1)
        silence.startTransmit(self._endpoint.audDevManager().getPlaybackDevMedia())
        return silence


def _epolls() -> set[int]:
    """Descriptors of this process that are epoll instances."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(entry.readlink()) == "anon_inode:[eventpoll]":
                found.add(int(entry.name))
    return found


def _put_headers(pj: Any, prm: Any, headers: dict[str, str]) -> None:
    for name, value in headers.items():
        header = pj.SipHeader()
        header.hName, header.hValue = name, value
        prm.txOption.headers.append(header)


class _Classes:
    Call: Any
    Account: Any
    LogWriter: Any


def _make_classes(sip: Sip) -> _Classes:
    """Director classes of the library that was chosen; they only enqueue."""
    pj, events, figures = sip.pj, sip.events, sip.figures
    disconnected = pj.PJSIP_INV_STATE_DISCONNECTED
    completed, received, server = pj.PJSIP_TSX_STATE_COMPLETED, pj.PJSIP_EVENT_RX_MSG, pj.PJSIP_ROLE_UAS

    class Call(pj.Call):  # type: ignore[name-defined]
        def __init__(self, account: Any, pj_call_id: int, leg: str) -> None:
            super().__init__(account, pj_call_id)
            self.leg = leg
            self.stats: dict[str, Any] | None = None

        def onStreamDestroyed(self, prm: Any) -> None:
            self.stats = self.stats or figures.stream(self, prm.streamIdx)

        def onCallState(self, prm: Any) -> None:
            state, code = figures.state(self)
            events.append(("state", self.leg, state, code, self.stats))
            if state == disconnected:
                # The library's id is free when this returns, and the next INVITE may take it: a call
                # object destroyed later would hang up that stranger. So: now, and as the last act.
                if sip.calls.get(self.leg) is self:
                    del sip.calls[self.leg]
                pj.Call.__swig_destroy__(self)
                self.this = None

        def onCallMediaState(self, prm: Any) -> None:
            events.append(("media", self.leg, figures.audio_active(self)))

        def onDtmfEvent(self, prm: Any) -> None:
            if not prm.flags & _DTMF_IS_UPDATE:
                events.append(("key", self.leg, prm.digit))

        def onCallTsxState(self, prm: Any) -> None:
            change = prm.e.body.tsxState
            tsx = change.tsx
            method = tsx.method
            if method == "OPTIONS" and tsx.state >= completed:
                events.append(("probed", self.leg, int(tsx.statusCode)))
            elif method in ("BYE", "CANCEL") and change.type == received and tsx.role == server:
                events.append(("bye", self.leg, _clean(change.src.rdata.wholeMsg)))

        def onCallTransferRequest(self, prm: Any) -> None:
            prm.statusCode = 603

    class Account(pj.Account):  # type: ignore[name-defined]
        def onIncomingCall(self, prm: Any) -> None:
            leg = f"pending-{prm.callId}"
            sip.adopt_incoming(leg, prm.callId)
            events.append(("incoming", leg, _clean(prm.rdata.wholeMsg), str(prm.rdata.srcAddress)))

    class LogWriter(pj.LogWriter):  # type: ignore[name-defined]
        def write(self, entry: Any) -> None:
            if _MALFORMED in entry.msg:
                sip.malformed += 1

    made = _Classes()
    made.Call, made.Account, made.LogWriter = Call, Account, LogWriter
    return made


def _native(pj: Any) -> ctypes.CDLL:
    """The library's C functions, for the few that have no Python name."""
    return ctypes.CDLL(importlib.import_module(f"{pj.__name__}._pjsua2").__file__)


def _clean(message: str) -> str:
    """Bytes that are no UTF-8 arrive as lone surrogates, which nothing can encode again."""
    return message.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
