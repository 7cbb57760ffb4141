"""`callcenter bench routing|theory|skills|rebuild|panel|channels|search|voice|all [--json]`: figures, never tested."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CALLS = 20_000


def rebuild(calls: int = _CALLS) -> dict[str, Any]:
    """History from a synthetic journal of `calls` answered calls: facts a second (must be ≥ 20,000)."""
    from callcenter.history import rebuild as rebuild_history
    from callcenter.journal import store
    from crm_core.db import migrate, open_engine

    with tempfile.TemporaryDirectory() as folder:
        journal = store.connect(Path(folder) / "journal.db")
        rows = list(_synthetic(calls))
        journal.executemany("INSERT INTO activations VALUES (?, ?, ?, ?, ?)", rows)
        engine = open_engine(f"sqlite:///{folder}/history.db")
        migrate(engine)
        facts, interactions, seconds = rebuild_history(engine, journal, lambda _done: None)
        engine.dispose()
        journal.close()
    return {"facts": facts, "interactions": interactions, "facts_per_s": round(facts / seconds)}


def _synthetic(calls: int) -> Any:
    from callcenter.journal import store
    from callcenter.live import facts as f
    from routing import facts as rf

    live, engine = f.CODEC.to_plain, rf.to_plain
    seq, at = 0, 1_700_000_000_000
    idle = {"k": "AgentChanged", "agent": "1001", "state": "idle", "reason": "", "since_ms": 0, "until_ms": 0}
    commands = store.pack([{**idle, "contact": ""}])
    for n in range(calls):
        i, c, o = f"i1-{n}", f"c1-{n}", f"o{n}-1"
        at += 100
        for facts in (
            [live(f.InteractionStarted(i, "voice", "in", "95519", "boot", f"l{n}", f"{i}.party", at))],
            [live(f.FlowMoved(i, "hotline", "notice", "zh", 0))],
            [live(f.CustomerMatched(i, 7))],
            [live(f.FlowMoved(i, "hotline", "main", "zh", 0))],
            [live(f.InteractionQueued(i, c, "service", at)), engine(rf.ContactArrived(c, "service", at))],
            [live(f.AgentDialled(i, c, o, "1001", f"d{n}", at))],
            [engine(rf.OfferAnswered(o, at)), live(f.InteractionAnswered(i, c, o, "1001", f"d{n}", at))],
            [live(f.RecordingStarted(i, f"rec/{i}-caller.wav", f"rec/{i}-agent.wav", at))],
            [live(f.LegClosed(i, f"l{n}", "caller", 200, "normal", "remote", at, "PCMA", 50, 0, 50))],
            [live(f.InteractionEnded(i, "answered", "normal", "caller", at)), engine(rf.ContactEnded(c, at))],
            [live(f.RecordingSaved(i, f"rec/{i}.sealed", 1000))],
            [live(f.WrapUpSaved(i, "1001", "enquiry_answered", "", at))],
        ):
            seq += 1
            yield seq, 1, at, store.pack(facts), commands


_CHECKOUT = Path(__file__).parents[2]


def voice(only: list[str]) -> dict[str, Any]:
    """The voice plane under load; scenarios and far end lie in the checkout beside the tests."""
    return _of_the_checkout("voice").run(only, _told)


def panel() -> dict[str, Any]:
    """Two hundred panels, one of them in a browser: fact to pixel, click to SIP, and what they cost the core."""
    return _of_the_checkout("panel").run()


def channels() -> dict[str, Any]:
    """Ten thousand visitors of the chat; mail on SQLite and PostgreSQL, and beside calls."""
    return {**_of_the_checkout("channels").run(), "mail": _of_the_checkout("mail").run()}


def search() -> dict[str, Any]:
    """A million messages searched, on SQLite and PostgreSQL (must be ≤ 100 ms)."""
    return _of_the_checkout("search").run()


def theory() -> dict[str, Any]:
    """The engine against queueing theory: see tests/benchmarks/theory.py."""
    return _of_the_checkout("theory").cases()


def skills() -> dict[str, Any]:
    """Six kinds of calls, agents with one, two or all six skills."""
    return _of_the_checkout("theory").skills()


def _of_the_checkout(name: str) -> Any:
    if not (_CHECKOUT / "tests" / "benchmarks" / f"{name}.py").is_file():
        raise SystemExit(f"bench {name} runs from a checkout: its scenarios are in tests/benchmarks")
    sys.path.insert(0, str(_CHECKOUT))
    return importlib.import_module(f"tests.benchmarks.{name}")


def _told(name: str) -> None:
    sys.stderr.write(f"{name} …\n")


BENCHES: dict[str, Callable[[], dict[str, Any]]] = {
    "rebuild": rebuild,
    "panel": panel,
    "channels": channels,
    "search": search,
    "theory": theory,
    "skills": skills,
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="callcenter bench", description="figures of this machine")
    parser.add_argument("what", choices=["routing", *BENCHES, "voice", "all"])
    parser.add_argument("only", nargs="*", help="of voice: only these figures")
    parser.add_argument("--json", action="store_true")
    for size, default in (("agents", 400), ("waiting", 1_000), ("queues", 30)):
        parser.add_argument(f"--{size}", type=int, default=default, help=f"of routing (default {default})")
    options = parser.parse_args(arguments)
    from callcenter.cli.bench_routing import routing

    benches = {
        "routing": lambda: routing(options.agents, options.waiting, options.queues),
        **BENCHES,
        "voice": lambda: voice(options.only),
    }
    found = {name: benches[name]() for name in (benches if options.what == "all" else [options.what])}
    if options.json:
        sys.stdout.write(
            json.dumps({"machine": platform.platform(), "python": platform.python_version(), **found})
        )
        sys.stdout.write("\n")
    else:
        for name, figures in found.items():
            sys.stdout.write(
                f"{name}: " + ", ".join(f"{key} {value}" for key, value in figures.items()) + "\n"
            )
    return 0
