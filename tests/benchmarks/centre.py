"""A centre under load, and what it costs: its processes, their CPU and memory, callers and agents by SIPp."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HOST = "127.0.0.1"
SIP, INSIDE, HTTP, SMTP = 11060, 11080, 11070, 11025
CALLERS, AGENTS = 12060, 13060
"""SIP ports of SIPp's two sides"""
CALLER_MEDIA, AGENT_MEDIA = 14000, 14002
RTP = (20_000, 29_999)
NUMBER, OTHER_NUMBER = "95519", "95520"
PANEL = "1000"
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Shape:
    """What kind of centre."""

    agents: int
    edge: bool = False
    record: bool = False
    prompt: bool = False
    workers: int = 1
    calls_per_s: float = 0.0
    browser_hosts: int = 0
    panel: bool = False
    """agent 1000 alone serves `NUMBER`, at the panel; the others serve `OTHER_NUMBER`, and there is a supervisor"""
    mail: bool = False
    """mail is taken in, for a queue that nobody serves"""
    database: str = ""
    """a PostgreSQL URL for journal and records; none: SQLite"""
    chat: bool = False
    """visitors may write; nobody is ready, and telephones do not matter"""


@dataclass
class Centre:
    shape: Shape
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="bench-")))
    process: subprocess.Popen[bytes] | None = None
    phones: list[Phones] = field(default_factory=list)

    def __enter__(self) -> Centre:
        self._configure()
        out = (self.folder / "run.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "callcenter", "run", "-c", str(self.config)], stdout=out, stderr=out
        )
        deadline = time.monotonic() + 30
        while not self._ready():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError((self.folder / "run.log").read_text())
            time.sleep(0.05)
        time.sleep(1.0)  # the edge asks twice a second whether there are new workers
        return self

    def __exit__(self, *_error: object) -> None:
        assert self.process is not None
        for phones in self.phones:
            phones.stop()
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def config(self) -> Path:
        return self.folder / "bench.toml"

    def status(self) -> dict[str, Any]:
        asked = subprocess.run(
            [sys.executable, "-m", "callcenter", "status", "--json", "-c", str(self.config)],
            stdout=subprocess.PIPE,
            check=False,
        )
        found: dict[str, Any] = json.loads(asked.stdout)
        return found

    def pids(self) -> list[int]:
        """Every process of the centre: the supervisor and all below and beside it."""
        assert self.process is not None
        status = self.status()
        pids = {self.process.pid, status["core"]["pid"], *(worker["pid"] for worker in status["workers"])}
        if status["edge"]:
            pids.add(status["edge"]["pid"])
        return sorted(pids | {child for pid in pids for child in _children(pid)})

    def cpu_s(self, pids: Sequence[int] | None = None) -> float:
        """CPU seconds that its processes have used, their ended children included."""
        return sum(_cpu_s(pid) for pid in pids or self.pids())

    def memory_mb(self, pids: Sequence[int] | None = None) -> float:
        """Proportional set sizes, shared pages counted once."""
        return sum(_pss_kb(pid) for pid in pids or self.pids()) / 1024

    def metrics(self) -> dict[str, float]:
        with urllib.request.urlopen(f"http://{HOST}:{HTTP}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and line[0] != "#")
        return {name: float(value) for name, value in pairs}

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{HTTP}/readyz", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _configure(self) -> None:
        shape = self.shape
        prompts = self.folder / "prompts"
        prompts.mkdir()
        _tone(prompts / "half_second.wav", 0.5)
        voice = {
            "listen": f"{HOST}:{SIP}",
            "inside": f"{HOST}:{INSIDE}",
            "edge": shape.edge,
            "library": "stock" if shape.chat or shape.agents == 1 else "dense",
            "workers": shape.workers,
            "rtp_ports": list(RTP),
            "record": shape.record,
            "source_rate": 0.0,
            "calls_per_s": shape.calls_per_s,
        }
        number = {"number": NUMBER, "queue": "service", **({"prompt": "half_second"} if shape.prompt else {})}
        text = _table("[voice]", voice)
        text += _table("[http]", {"listen": f"{HOST}:{HTTP}"})
        if shape.browser_hosts:
            webrtc = {"hosts": shape.browser_hosts, "advertise": [HOST], "web_call_numbers": [NUMBER]}
            text += _table("[webrtc]", {**webrtc, "web_call_rate": "10000/minute"})
        if shape.chat:
            text += _table("[chat]", {"flow": "hotline", "rate": "10000/second", "gone_s": 86_400})
        if shape.database:
            text += _table("[database]", {"url": shape.database}) + _table(
                "[journal]", {"url": shape.database}
            )
        if shape.mail:
            mail = {
                "addresses": ["service@insurer.example"],
                "listen": f"{HOST}:{SMTP}",
                "rate": "100000/second",
            }
            text += _table("[email]", {**mail, "default_queue": "post", "prove": False, "acknowledge": False})
        text += _table("[paths]", {"prompts": str(prompts), "var": str(self.folder / "var")})
        text += _table("[[numbers]]", number)
        if shape.panel:
            self.config.write_text(text + _panel_centre(shape.agents))
            return
        text += _table("[[queues]]", {"name": "service", "target_s": 20})
        if shape.mail:
            text += '[[queues]]\nname = "post"\nskills = { post = 1 }\n'
        for n in range(shape.agents):
            seat = {
                "login": f"{1000 + n}",
                "name": f"Agent {n}",
                "device": f"sip:{1000 + n}@{HOST}:{AGENTS}",
                "ready_at_start": not shape.chat,
                "wrap_up_s": 0,
            }
            text += _table("[[agents]]", seat)
        self.config.write_text(text)


def _panel_centre(agents: int) -> str:
    text = _table("[[numbers]]", {"number": OTHER_NUMBER, "queue": "other"})
    text += '[[queues]]\nname = "service"\nskills = { panel = 1 }\n[[queues]]\nname = "other"\nskills = { other = 1 }\n'
    text += f'[[agents]]\nlogin = "{PANEL}"\nname = "Panel"\ndevice = "sip:{PANEL}@{HOST}:{AGENTS + 500}"\n'
    text += 'answer = "panel"\nwrap_up_s = 0\nskills = { panel = 5 }\n'
    text += '[[agents]]\nlogin = "8001"\nname = "Supervisor"\nrole = "supervisor"\n'
    for n in range(1, agents):
        text += f'[[agents]]\nlogin = "{1000 + n}"\nname = "Agent {n}"\ndevice = "sip:{1000 + n}@{HOST}:{AGENTS}"\n'
        text += "ready_at_start = true\nwrap_up_s = 0\nskills = { other = 5 }\n"
    return text


class Phones:
    """One SIPp process; its files lie in a folder of its own."""

    def __init__(
        self, centre: Centre, scenario: str, talk_ms: int, *words: str, port: int, media: int
    ) -> None:
        self.folder = centre.folder / f"{scenario}-{port}-{time.monotonic_ns()}"
        self.folder.mkdir()
        text = (HERE / "sipp" / f"{scenario}.xml").read_text().replace("TALK_MS", str(talk_ms))
        (self.folder / "scenario.xml").write_text(text)
        command = [
            "sipp",
            "-sf",
            "scenario.xml",
            "-i",
            HOST,
            "-p",
            str(port),
            "-mi",
            HOST,
            "-mp",
            str(port + 100),
        ]
        command += ["-key", "rtp", str(media)]
        command += ["-nostdin", "-skip_rlimit", "-fd", "1", "-trace_stat", "-stf", "stat.csv", *words]
        out = (self.folder / "screen.txt").open("wb")
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=out, stderr=out)
        centre.phones.append(self)

    def wait(self, timeout_s: float) -> dict[str, int]:
        """{"good": …, "failed": …} when all calls are over."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.stop()
        return self.counts()

    def counts(self) -> dict[str, int]:
        lines = (self.folder / "stat.csv").read_text().splitlines()
        last = dict(zip(lines[0].split(";"), lines[-1].split(";"), strict=False))
        return {
            "good": int(last["SuccessfulCall(C)"]),
            "failed": int(last["FailedCall(C)"]),
            "now": int(last["CurrentCall"]),
        }

    def response_ms(self) -> list[float]:
        """Of every call the time from INVITE to 200 (needs -trace_rtt -rtt_freq 1), sorted."""
        files = list(self.folder.glob("*_rtt.csv"))
        rows = [line.split(";") for file in files for line in file.read_text().splitlines()[1:]]
        return sorted(float(row[1]) for row in rows if len(row) > 1)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


def callers(centre: Centre, count: int, rate: float, talk_ms: int, *words: str) -> Phones:
    target = [f"{HOST}:{SIP}", "-s", NUMBER, "-m", str(count), "-r", str(rate), "-l", "100000", *words]
    return Phones(centre, "caller", talk_ms, *target, port=CALLERS, media=CALLER_MEDIA)


def agents(centre: Centre, talk_ms: int = 3_600_000, *words: str) -> Phones:
    phones = Phones(centre, "agent", talk_ms, *words, port=AGENTS, media=AGENT_MEDIA)
    time.sleep(0.5)
    if phones.process.poll() is not None:
        raise RuntimeError("agents: " + (phones.folder / "screen.txt").read_text()[:500])
    return phones


def percentile(values: Sequence[float], share: float) -> float:
    """Of sorted values; 0.0 of none."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def _table(head: str, values: dict[str, Any]) -> str:
    return "\n".join([head, *(f"{name} = {json.dumps(value)}" for name, value in values.items()), ""])


def _tone(path: Path, seconds: float) -> None:
    import math
    import struct
    import wave

    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        frames = (int(8000 * math.sin(2 * math.pi * 440 * n / 8000)) for n in range(int(8000 * seconds)))
        file.writeframes(b"".join(struct.pack("<h", frame) for frame in frames))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            found += [int(word) for word in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(ticks) for ticks in fields[11:15]) / _TICK


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
