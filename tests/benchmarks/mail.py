"""Mail under load: how many are safe a second before 250, how many are read and queued, and what calls feel of it."""

from __future__ import annotations

import smtplib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.centre import HOST, SMTP, Centre, Shape, agents, callers, percentile
from tests.peers.mail import source
from tests.postgres import Postgres

Figures = dict[str, Any]
OURS, MAILS, SIZE = "service@insurer.example", 4_000, 5_000
CALLS_PER_S, CALLS_S, MAILS_PER_S = 20.0, 30.0, 60.0


def intake(database: str = "") -> Figures:
    """smtp-source, twenty sessions, mails of 5 kB; every one is in the journal before its 250."""
    with Centre(Shape(1, mail=True, database=database)) as centre:
        core = [centre.status()["core"]["pid"]]
        used = centre.cpu_s(core)
        started = time.perf_counter()
        done = source(
            f"{HOST}:{SMTP}", count=MAILS, sessions=20, size=SIZE, sender="a@load.example", recipient=OURS,
            reuse=True, timeout_s=300,
        )  # fmt: skip
        taken_s = time.perf_counter() - started
        backlog = centre.metrics()["callcenter_mail_unread"]
        while centre.metrics()["callcenter_mail_unread"]:
            time.sleep(0.1)
        read_s = time.perf_counter() - started
        return {
            "mails": MAILS,
            "accepted": done.returncode == 0,
            "taken_per_s": round(MAILS / taken_s),
            "backlog_then": round(backlog),
            "read_and_queued_per_s": round(MAILS / read_s),
            "core_ms_a_mail": round(1000 * (centre.cpu_s(core) - used) / MAILS, 2),
        }


def beside_calls() -> Figures:
    """INVITE to 200 without mail, and with sixty mails a second read and queued."""
    found: Figures = {}
    with Centre(Shape(200, mail=True)) as centre:
        agents(centre)
        callers(centre, 100, 50, 500).wait(60)
        for name in ("without_mail", "with_mail"):
            with _mails(centre, name == "with_mail"):
                talked = callers(
                    centre, int(CALLS_PER_S * CALLS_S), CALLS_PER_S, 500, "-trace_rtt", "-rtt_freq", "1"
                )
                result = talked.wait(CALLS_S + 30)
            answers = talked.response_ms()
            found[name] = {
                "good": result["good"],
                "p50_ms": round(percentile(answers, 0.5), 1),
                "p99_ms": round(percentile(answers, 0.99), 1),
            }
        found["mails_read"] = round(centre.metrics().get('callcenter_mail_events_total{what="words"}', 0))
    found["p99_rises_ms"] = round(found["with_mail"]["p99_ms"] - found["without_mail"]["p99_ms"], 1)
    return found


@contextmanager
def _mails(centre: Centre, on: bool) -> Iterator[None]:
    del centre
    over = threading.Event()

    def write() -> None:
        with smtplib.SMTP(HOST, SMTP, timeout=20) as peer:
            n, started = 0, time.monotonic()
            while not over.wait(max(0.0, started + n / MAILS_PER_S - time.monotonic())):
                n += 1
                head = f"From: c{n}@load.example\r\nTo: {OURS}\r\nSubject: {n}\r\nMessage-ID: <{n}@load.example>\r\n\r\n"
                raw = head + "words and words\r\n" * 300
                peer.sendmail(f"c{n}@load.example", [OURS], raw)

    writer = threading.Thread(target=write)
    if on:
        writer.start()
    try:
        yield
    finally:
        over.set()
        if on:
            writer.join(30)


def run() -> Figures:
    with Postgres(Path("/tmp")) as server:
        on_postgres = intake(server.create("bench"))
    return {"sqlite": intake(), "postgresql": on_postgres, "calls": beside_calls()}
