"""A test telephone on pjsua2: answers by itself and says something, or dials, presses keys and listens.

For demonstrations and for hands on; the centre does not use it."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from channels.voice.worker import library

POLL_MS = 20
CLOCK_HZ = 8000


@dataclass(frozen=True)
class PhoneConfig:
    host: str
    port: int
    says: Path | None = None
    answer_after_s: float = 0.5
    dial: str = ""
    caller: str = ""
    keys: tuple[tuple[float, str], ...] = ()
    """(seconds after the answer, key)"""
    seconds: float = 0.0
    """hang up so long after the answer; 0: never"""


class Phone:
    def __init__(self, config: PhoneConfig) -> None:
        self._config = config
        self._pj, _ = library.load("stock")
        self._events: list[tuple[Any, ...]] = []
        self._call: Any = None
        self._player: Any = None
        self._due: list[tuple[float, str]] = []
        self._stopping = False
        self._endpoint = self._start()
        self._account = self._open_account()

    def run(self) -> int:
        """Until TERM or INT, or until the dialled call is over."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: setattr(self, "_stopping", True))
        if self._config.dial:
            self._dial()
        while not self._stopping:
            self._endpoint.libHandleEvents(POLL_MS)
            while self._events:
                self._handle(*self._events.pop(0))
            self._run_due()
        if self._call is not None:
            self._call.hangup(self._pj.CallOpParam())
            self._endpoint.libHandleEvents(200)
        return 0

    def _start(self) -> Any:
        pj, config = self._pj, self._config
        endpoint = pj.Endpoint()
        endpoint.libCreate()
        settings = pj.EpConfig()
        settings.uaConfig.threadCnt = 0
        settings.uaConfig.userAgent = "callcenter-phone"
        settings.medConfig.clockRate = settings.medConfig.sndClockRate = CLOCK_HZ
        settings.medConfig.noVad = True
        settings.logConfig.level = settings.logConfig.consoleLevel = 0
        endpoint.libInit(settings)
        transport = pj.TransportConfig()
        transport.boundAddress, transport.port = config.host, config.port
        endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        endpoint.libStart()
        endpoint.audDevManager().setNullDev()
        return endpoint

    def _open_account(self) -> Any:
        pj, events, phone = self._pj, self._events, self

        class Call(pj.Call):  # type: ignore[name-defined]
            def onCallState(self, prm: Any) -> None:
                events.append(("state", self.getInfo().state))

            def onCallMediaState(self, prm: Any) -> None:
                events.append(("media",))

        class Account(pj.Account):  # type: ignore[name-defined]
            def onIncomingCall(self, prm: Any) -> None:
                busy = phone._call is not None
                call = Call(self, prm.callId)
                events.append(("refuse", call) if busy else ("incoming", call))

        self._call_class = Call
        config = pj.AccountConfig()
        config.idUri = f"sip:{self._config.caller or 'phone'}@{self._config.host}:{self._config.port}"
        config.regConfig.registerOnAdd = False
        config.mediaConfig.transportConfig.boundAddress = self._config.host
        account = Account()
        account.create(config, True)
        return account

    def _dial(self) -> None:
        self._call = self._call_class(self._account)
        self._call.makeCall(self._config.dial, self._pj.CallOpParam(True))

    def _handle(self, kind: str, *details: Any) -> None:
        pj = self._pj
        if kind == "refuse":
            prm = pj.CallOpParam()
            prm.statusCode = 486
            details[0].hangup(prm)
        elif kind == "incoming":
            self._call = details[0]
            self._answer(180)
            self._due.append((time.monotonic() + self._config.answer_after_s, "answer"))
        elif kind == "media" and self._call is not None:
            self._speak()
        elif kind == "state" and details[0] == pj.PJSIP_INV_STATE_CONFIRMED:
            now = time.monotonic()
            self._due += [(now + after, key) for after, key in self._config.keys]
            if self._config.seconds:
                self._due.append((now + self._config.seconds, "hang up"))
        elif kind == "state" and details[0] == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._over()

    def _answer(self, code: int) -> None:
        prm = self._pj.CallOpParam(True)
        prm.statusCode = code
        self._call.answer(prm)

    def _speak(self) -> None:
        if self._config.says is None or self._player is not None:
            return
        self._player = self._pj.AudioMediaPlayer()
        self._player.createPlayer(str(self._config.says), 0)
        self._player.startTransmit(self._call.getAudioMedia(-1))

    def _run_due(self) -> None:
        now = time.monotonic()
        ready, self._due = [e for e in self._due if e[0] <= now], [e for e in self._due if e[0] > now]
        for _, what in sorted(ready):
            if self._call is None:
                continue
            if what == "answer":
                self._answer(200)
            elif what == "hang up":
                self._call.hangup(self._pj.CallOpParam())
            else:
                self._call.dialDtmf(what)

    def _over(self) -> None:
        self._player = None
        call, self._call = self._call, None
        self._due.clear()
        self._call_class.__swig_destroy__(call)
        call.this = None
        if self._config.dial:
            self._stopping = True
