"""`callcenter bench voice`: the figures of the voice plane, on this machine, with everything on it.

Callers and agents are SIPp, audio comes from `farend.c`; their CPU is not counted, but they share the machine.
Beside each figure stands what an idle process suffered from the scheduler meanwhile (`probe`)."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.benchmarks import browser
from tests.benchmarks.centre import (
    Centre,
    Shape,
    agents,
    callers,
    percentile,
)
from tests.benchmarks.far_end import FarEnd

Figures = dict[str, Any]
_TALK_MS = 1000


class Probe:
    """How late this machine wakes a process that only sleeps: the noise under all figures."""

    def __init__(self) -> None:
        self._late_ms: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def figures(self) -> Figures:
        late = sorted(self._late_ms)
        return {"p99_ms": round(percentile(late, 0.99), 1), "worst_ms": round(late[-1] if late else 0.0, 1)}

    def _run(self) -> None:
        while not self._stop.is_set():
            started = time.perf_counter()
            time.sleep(0.005)
            self._late_ms.append((time.perf_counter() - started) * 1000 - 5)


def cost(edge: bool, full: bool, rate: float = 150.0, seconds: float = 20.0) -> Figures:
    """CPU of a call that is queued, bridged and ended; `full`: with half a second of prompt, and recorded."""
    with Centre(Shape(400, edge, record=full, prompt=full)) as centre, Probe() as probe:
        phones = agents(centre)
        callers(centre, 200, 50, _TALK_MS).wait(60)
        count, before = int(rate * seconds), centre.cpu_s()
        talked = callers(centre, count, rate, _TALK_MS, "-trace_rtt", "-rtt_freq", "1")
        result = talked.wait(seconds + 30)
        if full:
            time.sleep(2)  # merges
        used = centre.cpu_s() - before
        answers = talked.response_ms()
        phones.stop()
    return {
        "cpu_ms_per_call": round(used / count * 1000, 2),
        "rate": rate,
        "good": result["good"],
        "calls": count,
        "invite_to_200_ms_p95": percentile(answers, 0.95),
        "probe": probe.figures(),
    }


def answer_time(edge: bool) -> Figures:
    """INVITE to 200 at 50 calls a second."""
    found = cost(edge, full=False, rate=50.0)
    return {name: found[name] for name in ("invite_to_200_ms_p95", "good", "calls", "probe")}


def served_whole(edge: bool, full: bool, rates: tuple[float, ...], seconds: float = 15.0) -> Figures:
    """The highest of these rates at which every call was served."""
    best, tried = 0.0, []
    for rate in rates:
        with Centre(Shape(400, edge, record=full, prompt=full)) as centre, Probe() as probe:
            phones = agents(centre)
            callers(centre, 200, 50, _TALK_MS).wait(60)
            count = int(rate * seconds)
            result = callers(centre, count, rate, _TALK_MS).wait(seconds + 40)
            metrics = centre.metrics()
            answered = metrics.get('callcenter_interactions_ended_total{outcome="answered"}', 0.0) - 200
            phones.stop()
        whole = result["good"] == count and answered >= count
        tried.append(
            {
                "rate": rate,
                "good": result["good"],
                "answered": answered,
                "calls": count,
                "probe": probe.figures(),
            }
        )
        if not whole:
            break
        best = rate
    return {"calls_per_s": best, "tried": tried}


def idle_gap(agents_count: int = 50, seconds: float = 20.0) -> Figures:
    """While callers wait: from an agent's BYE to the next INVITE at the same agent's phone."""
    with Centre(Shape(agents_count)) as centre, Probe() as probe:
        phones = agents(centre, _TALK_MS, "-trace_msg", "-message_file", "messages.txt")
        before, started = centre.cpu_s(), time.monotonic()
        waiting = callers(centre, int(agents_count * (seconds + 4)), agents_count * 1.5, 3_600_000)
        time.sleep(seconds)
        share = (centre.cpu_s() - before) / (time.monotonic() - started) / (os.cpu_count() or 1)
        waiting.stop()
        phones.stop()
        gaps = _gaps(phones.folder / "messages.txt")
    return {
        "mean_ms": round(sum(gaps) / max(1, len(gaps)), 1),
        "p99_ms": round(percentile(gaps, 0.99), 1),
        "gaps": len(gaps),
        "cpu_share": round(share, 2),
        "probe": probe.figures(),
    }


_MESSAGE = re.compile(r"^-{20,} (\S+ \S+)\n\S+ message (sent|received) .*?\n\n(\S+) (?:sip:(\w+)@)?", re.M)


def _gaps(trace: Path) -> list[float]:
    """Milliseconds, sorted. A call belongs to the agent whose number its INVITE asks for."""
    text = trace.read_text(errors="replace")
    whose: dict[str, str] = {}
    left_s: dict[str, float] = {}
    gaps: list[float] = []
    for match in _MESSAGE.finditer(text):
        at_s = datetime.fromisoformat(match[1]).timestamp()
        call = re.compile(r"^Call-ID: (\S+)", re.M).search(text, match.end())
        if call is None:
            continue
        if match[3] == "INVITE" and match[2] == "received" and call[1] not in whose:
            agent = whose[call[1]] = match[4]
            if agent in left_s:
                gaps.append((at_s - left_s.pop(agent)) * 1000)
        elif match[3] == "BYE" and match[2] == "sent" and call[1] in whose:
            left_s.setdefault(whose[call[1]], at_s)
    return sorted(gaps)


def media(record: bool, bridges: int = 400, seconds: float = 60.0) -> Figures:
    """What `bridges` conversations cost while they last, a leg; and how they sound."""
    with Centre(Shape(bridges, record=record)) as centre, Probe() as probe:
        far = FarEnd(centre.folder)
        phones = agents(centre)
        talking = callers(centre, bridges, 25, 3_600_000)
        time.sleep(bridges / 25 + 6)
        far.figures()
        pids = centre.pids()
        before, started = centre.cpu_s(pids), time.monotonic()
        time.sleep(seconds)
        share = (centre.cpu_s(pids) - before) / (time.monotonic() - started)
        sound, memory = far.figures(), centre.memory_mb()
        for side in (talking, phones):
            side.stop()
        far.stop()
    return {
        "core_share_per_leg_percent": round(share * 100 / (2 * bridges), 4),
        "bridges": bridges,
        **sound,
        "memory_mb": round(memory),
        "probe": probe.figures(),
    }


def growth(rate: float = 150.0) -> Figures:
    """Memory after 5,000 and after 20,000 calls."""
    with Centre(Shape(400)) as centre:
        phones = agents(centre)
        callers(centre, 5_000, rate, _TALK_MS).wait(5_000 / rate + 60)
        time.sleep(3)
        first = centre.memory_mb()
        callers(centre, 15_000, rate, _TALK_MS).wait(15_000 / rate + 60)
        time.sleep(3)
        last = centre.memory_mb()
        phones.stop()
    return {
        "mb_at_5000": round(first),
        "mb_at_20000": round(last),
        "growth_percent": round((last / first - 1) * 100, 1),
    }


def core_killed(talking: int = 100, waiting: int = 50) -> Figures:
    """The core is killed while so many talk and wait: who drops, who is served out of turn."""
    with Centre(Shape(talking, edge=True, workers=2)) as centre:
        phones = agents(centre, 30_000)
        queued = callers(centre, talking + waiting, 30, 600_000)
        time.sleep((talking + waiting) / 30 + 3)
        before = queued.counts()
        at_s, pid = time.time(), centre.status()["core"]["pid"]
        os.kill(pid, signal.SIGKILL)
        adopted_s, started_s = _adopted(centre, talking + waiting, at_s)
        time.sleep(max(0.0, 36 - (time.time() - at_s)))
        after = queued.counts()
        report = _served(centre)
        queued.stop()
        phones.stop()
    return {
        "dropped": before["now"] - after["now"] - after["good"] + before["good"],
        "failed": after["failed"],
        "order_inversions": report,
        "adopted_s_after_kill": adopted_s,
        "adopted_s_after_start": started_s,
    }


def worker_killed(talking: int = 100, waiting: int = 50) -> Figures:
    """One of two workers is killed while so many talk and wait: only its calls end, its agents are free."""
    with Centre(Shape(talking, edge=True, workers=2)) as centre:
        phones = agents(centre)
        queued = callers(centre, talking + waiting, 30, 600_000)
        time.sleep((talking + waiting) / 30 + 3)
        dead = centre.status()["workers"][0]
        metrics = centre.metrics()
        before = metrics['callcenter_agents{state="talking"}']
        at_s = time.monotonic()
        os.kill(dead["pid"], signal.SIGKILL)
        lost = _cut_off(centre, at_s)
        time.sleep(3)
        after = centre.metrics()
        queued.stop()
        phones.stop()
    return {
        "legs_of_the_dead": dead["legs"],
        "cut_off": int(after['callcenter_interactions_ended_total{outcome="cut_off"}']),
        "talking_before": int(before),
        "talking_after": int(after['callcenter_agents{state="talking"}']),
        "noticed_s": lost,
    }


def _cut_off(centre: Centre, at_s: float) -> float:
    """Seconds until the calls of a dead worker are closed and its agents are free."""
    while time.monotonic() - at_s < 10:
        if centre.metrics().get('callcenter_interactions_ended_total{outcome="cut_off"}', 0):
            return round(time.monotonic() - at_s, 2)
        time.sleep(0.02)
    return -1.0


def edge_killed(talking: int = 100, waiting: int = 50) -> Figures:
    """The edge is killed while so many talk and wait; then everybody hangs up through the new one."""
    with Centre(Shape(talking, edge=True, workers=2)) as centre:
        phones = agents(centre)
        queued = callers(centre, talking + waiting, 30, 12_000)
        time.sleep((talking + waiting) / 30 + 2)
        before = queued.counts()
        os.kill(centre.status()["edge"]["pid"], signal.SIGKILL)
        result = queued.wait(60)
        again = callers(centre, 100, 50, _TALK_MS).wait(30)
        metrics = centre.metrics()
        phones.stop()
    return {
        "calls": talking + waiting,
        "standing_when_killed": before["now"],
        "ended_well": result["good"],
        "failed": result["failed"],
        "cut_off": int(metrics.get('callcenter_interactions_ended_total{outcome="cut_off"}', 0)),
        "new_calls_good": again["good"],
    }


def _adopted(centre: Centre, wanted: int, at_s: float) -> tuple[float, float]:
    """Seconds from the kill, and from the new core's start, until it holds all calls."""
    log = centre.folder / "var" / "log" / "core.log"
    deadline = time.time() + 20
    while time.time() < deadline:
        events = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        taken = [event for event in events if event["event"] == "worker_taken" and _at(event) > at_s]
        if sum(event["legs"] for event in taken) >= wanted and len(taken) == 2:
            recovered = [
                _at(event) for event in events if event["event"] == "recovered" and _at(event) > at_s
            ]
            return round(_at(taken[-1]) - at_s, 2), round(_at(taken[-1]) - recovered[0], 2)
        time.sleep(0.1)
    return -1.0, -1.0


def _at(event: Figures) -> float:
    return datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00")).timestamp()


def _served(centre: Centre) -> int:
    """Pairs of neighbours that were answered in another order than they arrived."""
    asked = subprocess.run(
        [
            *(sys.executable, "-m", "callcenter", "report", "interactions", "--format", "json"),
            "-c",
            str(centre.config),
        ],
        stdout=subprocess.PIPE,
        check=True,
    )
    rows = [row for row in json.loads(asked.stdout) if row["answered_at"]]
    rows.sort(key=lambda row: row["answered_at"])
    arrived = [row["arrived_at"] for row in rows]
    return sum(later < earlier for earlier, later in zip(arrived, arrived[1:], strict=False))


def limit(admissible: float = 100.0, seconds: float = 60.0) -> Figures:
    """Twice the admissible rate: who is admitted is served whole, who is not hears so at once."""
    with Centre(Shape(400, edge=True, calls_per_s=admissible)) as centre:
        phones = agents(centre)
        callers(centre, 100, 50, _TALK_MS).wait(60)
        count = int(2 * admissible * seconds)
        result = callers(centre, count, 2 * admissible, _TALK_MS).wait(seconds + 30)
        metrics = centre.metrics()
        refused = metrics.get('callcenter_edge_messages_total{what="refused_rate"}', 0.0)
        answered = metrics.get('callcenter_interactions_ended_total{outcome="answered"}', 0.0) - 100
        after = callers(centre, 200, 50, _TALK_MS, "-trace_rtt", "-rtt_freq", "1")
        again = after.wait(30)
        phones.stop()
    return {
        "admissible": admissible,
        "offered": count,
        "refused_at_once": int(refused),
        "served_whole": int(answered),
        "failed": result["failed"],
        "after_good": again["good"],
        "after_invite_to_200_ms_p95": percentile(after.response_ms(), 0.95),
    }


FIGURES: dict[str, Callable[[], Figures]] = {
    "cost_direct": lambda: cost(edge=False, full=False),
    "cost_direct_full": lambda: cost(edge=False, full=True),
    "cost_edge": lambda: cost(edge=True, full=False),
    "cost_edge_full": lambda: cost(edge=True, full=True),
    "rate_direct": lambda: served_whole(False, False, (100.0, 150.0, 200.0, 250.0, 300.0, 350.0)),
    "rate_edge_full": lambda: served_whole(True, True, (60.0, 100.0, 140.0, 180.0, 220.0)),
    "idle_gap": idle_gap,
    "media": lambda: media(record=False),
    "media_recorded": lambda: media(record=True),
    "memory_growth": growth,
    "core_killed": core_killed,
    "worker_killed": worker_killed,
    "edge_killed": edge_killed,
    "browser_phones": browser.phones,
    "answer_direct": lambda: answer_time(edge=False),
    "answer_edge": lambda: answer_time(edge=True),
    "limit": limit,
}


def run(only: list[str], told: Callable[[str], None]) -> Figures:
    """The figures asked for (all without names), each told as it begins."""
    found: Figures = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    }
    for name in only or list(FIGURES):
        told(name)
        try:
            found[name] = FIGURES[name]()
        except (RuntimeError, OSError, subprocess.SubprocessError, LookupError, ValueError) as error:
            found[name] = {"error": f"{type(error).__name__}: {error}"}
    return found
