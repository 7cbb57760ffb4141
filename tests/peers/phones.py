"""Telephones for tests: SIPp and baresip as child processes, on 127.0.0.1 only."""

from __future__ import annotations

import ctypes
import fcntl
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from tests.peers.sound import write_capture, write_tone

SCENARIOS = Path(__file__).parent / "sipp"
HOST = "127.0.0.1"
T = TypeVar("T")
_SLOTS = 10
_PR_SET_PDEATHSIG = 1


def _take_slot() -> int:
    """A slot of ports that no other test process has, held by a file lock for the life of this process."""
    for slot in range(_SLOTS):
        lock = Path(tempfile.gettempdir()) / f"callcenter-test-ports-{slot}.lock"
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            continue
        return slot
    raise RuntimeError(f"more than {_SLOTS} test processes with telephones at once")


# Of each slot 1000 ports for phones and 1000 for the centre's RTP, all below those the kernel hands out.
_slot = _take_slot()
_UNSAFE = 10_080
"""a port that browsers refuse (it was a backup program's)"""
_bases = itertools.cycle(b for b in range(10_000 + 1000 * _slot, 10_900 + 1000 * _slot, 4) if b != _UNSAFE)
_kept = iter(range(10_900 + 1000 * _slot, 11_000 + 1000 * _slot, 4))
_small = itertools.cycle(range(20_000 + 1000 * _slot, 20_500 + 1000 * _slot, 100))
_large = 20_500 + 1000 * _slot


def rtp_range(large: bool = False) -> tuple[int, int]:
    """RTP ports for a centre: 100, or the 500 of this process for many calls."""
    low = _large if large else next(_small)
    return low, low + (499 if large else 99)


def free_port() -> int:
    """A multiple of 4 with that port and the next three free for UDP and TCP (RTCP, SIP over TLS)."""
    return _free_of(itertools.islice(_bases, 225))


def kept_port() -> int:
    """As `free_port`, handed out once in a run: for what is named long before it is used."""
    return _free_of(_kept)


def _free_of(bases: Iterable[int]) -> int:
    for base in bases:
        try:
            for kind, port in itertools.product(
                (socket.SOCK_DGRAM, socket.SOCK_STREAM), range(base, base + 4)
            ):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("", port))
        except OSError:
            continue
        return base
    raise RuntimeError("no free ports")


def ends_with_tests(number: int) -> Callable[[], None]:
    """A `preexec_fn`: the child gets this signal when the test process dies, however it dies (Linux)."""
    prctl = ctypes.CDLL(None).prctl  # found before the fork

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, number)

    return ask


def until(probe: Callable[[], T | None], timeout_s: float, what: str, every_s: float = 0.005) -> T:
    """The first true answer of `probe`. Raises TimeoutError saying what did not come."""
    deadline = time.monotonic() + timeout_s
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s} s")
        time.sleep(every_s)
    return answer


def _bound(port: int) -> bool:
    return f" 0100007F:{port:04X} " in Path("/proc/net/udp").read_text()


class Child:
    """A program with a directory of its own; its output goes to a file there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.output = directory / "output.txt"

    def start(self, command: list[str]) -> None:
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                command,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TERM": "dumb"},
                preexec_fn=ends_with_tests(signal.SIGKILL),
            )

    def up(self, port: int) -> bool:
        """Whether the UDP port is bound. Raises RuntimeError when the program has ended instead."""
        if self.process.poll() is not None:
            said = self.output.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"ended with {self.process.returncode} at the start: {said}")
        return _bound(port)

    def kill(self) -> None:
        """Gone without a word to anybody."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        # the second TERM makes baresip go although nobody answers its BYE
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(number)
                try:
                    self.process.wait(0.5)
                except subprocess.TimeoutExpired:
                    continue
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Message(NamedTuple):
    """One SIP message of SIPp's trace."""

    sent: bool
    text: str

    @property
    def first_line(self) -> str:
        return self.text.partition("\n")[0].strip()

    def header(self, name: str) -> str:
        found = re.search(rf"^{re.escape(name)}\s*:\s*(.*?)\s*$", self.text, re.MULTILINE | re.IGNORECASE)
        return found[1] if found else ""


class Sipp(Child):
    """One run of a scenario: with `remote` it calls, without it answers on `port`.

    `hold_s` is the scenario's `-d`; `variables` are its globals (`-set`), other keywords its keys
    (`-key`). Digits as (seconds, key) go to `caller_pcap` only, inside one RTP stream: SIPp's own
    `play_dtmf` starts sequence numbers and time anew for each group of digits."""

    def __init__(
        self,
        scenario: str,
        directory: Path,
        *,
        remote: str = "",
        number: str = "95519",
        port: int = 0,
        calls: int = 1,
        rate: int = 10,
        at_once: int = 0,
        hold_s: float = 1,
        timeout_s: int = 60,
        digits: list[tuple[float, str]] | None = None,
        host: str = HOST,
        variables: Mapping[str, object] | None = None,
        **keys: str,
    ) -> None:
        super().__init__(directory)
        self.port = port or free_port()
        if digits is not None:
            write_capture(directory / "media.pcap", digits)
        keys = {"caller": "13800138000"} | keys
        command = [
            "sipp",
            *([remote, "-s", number] if remote else []),
            "-sf",
            str(SCENARIOS / f"{scenario}.xml"),
        ]
        command += ["-i", host, "-bind_local", "-p", str(self.port), "-mi", HOST, "-mp", str(free_port())]
        command += ["-ci", HOST, "-cp", str(free_port()), "-nostdin", "-skip_rlimit", "-m", str(calls)]
        command += [
            "-r",
            str(rate),
            "-d",
            str(round(hold_s * 1000)),
            "-timeout",
            str(timeout_s),
            "-timeout_error",
        ]
        command += ["-trace_err", "-error_file", "errors.txt", "-trace_msg", "-message_file", "messages.txt"]
        command += ["-l", str(at_once)] if at_once else []
        # while it is dead, what it is sent is not "unexpected"
        command += ["-pause_msg_ign"] if scenario == "agent_vanish" else []
        command += [word for name, value in keys.items() for word in ("-key", name, value)]
        command += [word for name, value in (variables or {}).items() for word in ("-set", name, str(value))]
        self.start(command)
        if not remote:
            until(lambda: self.up(self.port), 5, "SIPp listening")

    def wait(self, timeout_s: float = 60) -> None:
        """Until it has done all its calls. Raises AssertionError if one of them failed."""
        code = self.process.wait(timeout_s)
        if code:
            errors = self.directory / "errors.txt"
            told = (errors if errors.exists() else self.output).read_text(errors="replace")[-2000:]
            raise AssertionError(f"SIPp ended with {code}: {told}")

    def messages(self) -> list[Message]:
        file = self.directory / "messages.txt"
        text = file.read_text(errors="replace") if file.exists() else ""
        parts = re.split(r"^-{20,} .*\n", text, flags=re.MULTILINE)[1:]
        return [
            Message("sent" in head, body.strip()) for head, _, body in (p.partition("\n\n") for p in parts)
        ]

    def received(self, start: str) -> list[Message]:
        """Messages received whose first line begins so; a retransmission counts once."""
        found = {
            (m.header("call-id"), m.header("cseq"), m.first_line): m
            for m in self.messages()
            if not m.sent and m.text.startswith(start)
        }
        return list(found.values())

    def sent(self, start: str) -> list[Message]:
        """Messages sent whose first line begins so; a retransmission counts once."""
        found = {
            (m.header("call-id"), m.header("cseq"), m.first_line): m
            for m in self.messages()
            if m.sent and m.text.startswith(start)
        }
        return list(found.values())


class Baresip(Child):
    """A telephone with a tone for a voice that keeps what it hears; told what to do over a socket.

    `answer`: manual, or auto. With a `registrar` (host:port) it registers there. `trusts`: a certificate; then it
    speaks TLS, and only with who has it."""

    def __init__(
        self,
        directory: Path,
        user: str,
        *,
        hertz: int = 440,
        answer: str = "manual",
        port: int = 0,
        seconds: int = 60,
        calls: int = 1,
        codec: str = "PCMU/8000/1",
        registrar: str = "",
        password: str = "",
        trusts: Path | None = None,
    ) -> None:
        super().__init__(directory)
        self.port, control, rtp = port or free_port(), free_port(), free_port()
        self.uri = f"sip:{user}@{HOST}:{self.port}"
        self._seen: list[dict[str, Any]] = []
        self._token, self._buffer = itertools.count(1), b""
        write_tone(directory / "voice.wav", hertz, seconds, int(codec.split("/")[1]))
        account = f"<sip:{user}@{registrar or HOST}>;answermode={answer};audio_codecs={codec}"
        if trusts is not None:
            account = account.replace(">", ";transport=tls>", 1)
        account += f";regint=60;auth_user={user};auth_pass={password}\n" if registrar else ";regint=0\n"
        (directory / "accounts").write_text(account)
        config = [
            f"sip_listen {HOST}:{self.port}",
            f"net_interface {HOST}",
            f"ctrl_tcp_listen {HOST}:{control}",
            f"rtp_ports {rtp}-{rtp + 3}",
            f"call_max_calls {calls}",
            f"audio_source aufile,{directory}/voice.wav",
            "audio_player aubridge,nil",
            "audio_alert aubridge,alert",
            f"snd_path {directory}",
            "statmode_default off",
            *([f"sip_cafile {trusts}"] if trusts is not None else []),
            "module_path /usr/lib/baresip/modules",
            *(f"module {name}.so" for name in ("g711", "g722", "aufile", "aubridge", "sndfile")),
            *(f"module_app {name}.so" for name in ("account", "menu", "ctrl_tcp")),
        ]
        (directory / "config").write_text("\n".join([*config, ""]))
        (directory / "contacts").touch()
        self.start(["baresip", "-f", str(directory), "-s", "-t", "600"])  # -s: SIP messages go to the output
        until(lambda: self.up(self.port), 5, "baresip listening")
        self._control = until(lambda: self._connect(control), 5, "baresip's control port")

    def stop(self) -> None:
        super().stop()
        self._control.close()

    def dial(self, number: str, address: str) -> None:
        self.command("dial", f"sip:{number}@{address}")

    def accept(self) -> None:
        self.command("accept")

    def hang_up(self) -> None:
        """Ends the call; refuses it with 486 or gives it up with CANCEL if it was only ringing."""
        self.command("hangup")

    def press(self, keys: str) -> None:
        """RFC 4733 digits, 180 ms each with 60 ms between; returns at once."""
        self.command("sndcode", keys)

    def freeze(self) -> None:
        """From now on it neither sends nor answers anything; `stop` still ends it."""
        self.process.send_signal(signal.SIGSTOP)

    def heard(self) -> Path:
        """What the last call sounded like: whole only once it is over."""
        return max(self.directory.glob("dump-*-dec.wav"))

    def heard_s(self) -> float:
        """Seconds of sound heard so far in the running call; 0 before it."""
        files = list(self.directory.glob("dump-*-dec.wav"))
        return max(0.0, (max(files).stat().st_size - 44) / 16_000) if files else 0.0

    def event(self, kind: str, timeout_s: float = 10) -> dict[str, Any]:
        """The next CALL_INCOMING, _RINGING, _ESTABLISHED, _CLOSED; events before it are dropped."""
        deadline = time.monotonic() + timeout_s
        while True:
            message = self._seen.pop(0) if self._seen else self._read(deadline, kind)
            if message.get("type") == kind:
                return message

    def command(self, name: str, params: str = "", timeout_s: float = 5) -> str:
        """Carry out one of baresip's commands; its answer."""
        token, deadline = str(next(self._token)), time.monotonic() + timeout_s
        data = json.dumps({"command": name, "params": params, "token": token}).encode()
        self._control.sendall(b"%d:%s," % (len(data), data))
        while (message := self._read(deadline, name)).get("token") != token:
            self._seen.append(message)
        return str(message.get("data", ""))

    def _connect(self, port: int) -> socket.socket | None:
        try:
            return socket.create_connection((HOST, port), 1)
        except ConnectionRefusedError:
            return None

    def _read(self, deadline: float, what: str) -> dict[str, Any]:
        """The next netstring of the control port."""
        while True:
            length, colon, rest = self._buffer.partition(b":")
            if colon and len(rest) > int(length):
                self._buffer = rest[int(length) + 1 :]
                return dict(json.loads(rest[: int(length)]))
            self._control.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self._control.recv(65_536)
            except TimeoutError as error:
                raise TimeoutError(f"{what}: not a word of it from {self.uri}, see {self.output}") from error
            if not data:
                raise ConnectionError(f"{self.uri} is gone, see {self.output}")
            self._buffer += data
