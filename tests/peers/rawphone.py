"""A telephone of a few lines, for what no proper telephone does: no telephone events, keys as sound, audio from
somebody else's address."""

from __future__ import annotations

import itertools
import math
import re
import socket
import struct
import threading
import time
import uuid
from types import TracebackType

from tests.peers.phones import HOST

FRAME = 160
_ROWS, _COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
_KEYS = "123A456B789C*0#D"


def ulaw(samples: list[float]) -> bytes:
    """G.711 µ-law of samples between -1 and 1."""
    coded = bytearray()
    for sample in samples:
        value = int(max(-1.0, min(1.0, sample)) * 32_635)
        sign, value = (0x80, -value) if value < 0 else (0, value)
        value += 132
        exponent = max(0, value.bit_length() - 8)
        coded.append(~(sign | exponent << 4 | (value >> (exponent + 3) & 0x0F)) & 0xFF)
    return bytes(coded)


def linear(coded: bytes) -> list[float]:
    """The inverse of `ulaw`."""
    samples = []
    for byte in coded:
        byte = ~byte & 0xFF
        value = (((byte & 0x0F) << 3) + 132 << (byte >> 4 & 7)) - 132
        samples.append((-value if byte & 0x80 else value) / 32_768)
    return samples


def tone(seconds: float, *hertz: float) -> list[float]:
    count = int(seconds * 8000)
    return [sum(0.3 * math.sin(2 * math.pi * f * n / 8000) for f in hertz) for n in range(count)]


def dtmf(keys: str) -> list[float]:
    """100 ms of each key's pair of tones, 100 ms of silence between (ITU-T Q.23)."""
    found: list[float] = []
    for key in keys:
        row, column = divmod(_KEYS.index(key), 4)
        found += tone(0.1, _ROWS[row], _COLUMNS[column]) + [0.0] * 800
    return found


class Sender:
    """Sends samples as PCMU in real time from a socket of its own; what comes back is kept."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOST, 0))
        self.port: int = self.socket.getsockname()[1]
        self.heard = bytearray()
        self._number = itertools.count(1)
        self._source = uuid.uuid4().int & 0xFFFFFFFF

    def send(self, samples: list[float], to: tuple[str, int]) -> None:
        due = time.monotonic()
        for start in range(0, len(samples) - FRAME + 1, FRAME):
            number = next(self._number)
            head = struct.pack(">BBHII", 0x80, 0, number, number * FRAME, self._source)
            self.socket.sendto(head + ulaw(samples[start : start + FRAME]), to)
            due += 0.02
            time.sleep(max(0.0, due - time.monotonic()))

    def listen(self, stop: threading.Event) -> None:
        self.socket.settimeout(0.1)
        while not stop.is_set():
            try:
                self.heard += self.socket.recv(2048)[12:]
            except TimeoutError:
                continue


class RawPhone:
    """One call, PCMU and nothing else offered."""

    def __init__(self, centre: str, number: str, caller: str) -> None:
        host, _, port = centre.rpartition(":")
        self._to, self._number, self._caller = (host, int(port)), number, caller
        self._sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sip.bind((HOST, 0))
        self._sip.settimeout(5)
        self._port = self._sip.getsockname()[1]
        self._call = uuid.uuid4().hex
        self._tag, self._routes, self._target = "", "", f"sip:{number}@{centre}"
        self.audio = Sender()
        self._stop = threading.Event()
        self._ear = threading.Thread(target=self.audio.listen, args=(self._stop,))
        self.media = ("", 0)
        """where the centre wants our audio"""

    def __enter__(self) -> RawPhone:
        self._request("INVITE", 1, self._sdp())
        while not (reply := self._sip.recv(65_535).decode()).startswith("SIP/2.0 200"):
            assert reply[8] == "1", reply
        match = re.search(r"^To: .*?;tag=(\S+)", reply, re.M)
        assert match is not None
        self._tag = f";tag={match[1]}"
        routes = re.findall(r"^Record-Route: (.*?)\r", reply, re.M)
        self._routes = "".join(f"Route: {route}\r\n" for route in reversed(routes))
        contact = re.search(r"^Contact: <([^>]+)>", reply, re.M)
        port = re.search(r"^m=audio (\d+)", reply, re.M)
        assert contact is not None
        assert port is not None
        self._target, self.media = contact[1], (self._to[0], int(port[1]))
        self._request("ACK", 1)
        self._ear.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._request("BYE", 2)
        self._stop.set()
        self._ear.join()
        self._sip.close()
        self.audio.socket.close()

    def say(self, samples: list[float]) -> None:
        self.audio.send(samples, self.media)

    def _sdp(self) -> str:
        return (
            f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\n"
            f"m=audio {self.audio.port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        )

    def _request(self, method: str, number: int, body: str = "") -> None:
        branch = uuid.uuid4().hex
        kind = "Content-Type: application/sdp\r\n" if body else ""
        text = (
            f"{method} {self._target} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {HOST}:{self._port};rport;branch=z9hG4bK{branch}\r\n{self._routes}"
            f"Max-Forwards: 70\r\nFrom: <sip:{self._caller}@{HOST}>;tag={self._call[:8]}\r\n"
            f"To: <sip:{self._number}@{HOST}>{self._tag}\r\nCall-ID: {self._call}\r\nCSeq: {number} {method}\r\n"
            f"Contact: <sip:{self._caller}@{HOST}:{self._port}>\r\n{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        )
        self._sip.sendto(text.encode(), self._to)
