"""Run a stored journal through the engine: `python -m tests.routing.replay JOURNAL [RESTORE_EVERY]`.

A journal is one activation a line: its seq, its time, its facts, and the digest of what the engine made of
it. Prints the seq of every line that came out differently, and ends with 1 if there was any. With
RESTORE_EVERY the engine is put away and restored from its snapshot after so many lines. `-` instead of JOURNAL
takes whole journals from standard input, one a line as a list, and answers each with the list of those seqs.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from routing import Activation, Completion, RoutingEngine
from routing import facts as f


def digest(done: Completion) -> str:
    plain = [[command.to_plain() for command in done.commands], done.next_deadline_ms]
    return hashlib.sha256(json.dumps(plain, separators=(",", ":")).encode()).hexdigest()[:16]


def row_of(activation: Activation, done: Completion) -> dict[str, Any]:
    facts = [f.to_plain(fact) for fact in activation.facts]
    return {"seq": activation.seq, "now_ms": activation.now_ms, "facts": facts, "digest": digest(done)}


def differences(rows: Iterable[dict[str, Any]], restore_every: int = 0) -> Iterator[int]:
    engine = RoutingEngine()
    for row in rows:
        facts = tuple(map(f.from_plain, row["facts"]))
        if digest(engine.activate(Activation(row["seq"], row["now_ms"], facts))) != row["digest"]:
            yield row["seq"]
        if restore_every and engine.seq % restore_every == 0:
            state = json.loads(json.dumps(engine.snapshot()))
            engine = RoutingEngine.restore(state, engine.policy)


def rows_of(journal: Path) -> Iterator[dict[str, Any]]:
    with journal.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def serve() -> None:
    for line in sys.stdin:
        print(json.dumps(list(differences(json.loads(line)))), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "-":
        serve()
        sys.exit()
    found = list(differences(rows_of(Path(sys.argv[1])), *map(int, sys.argv[2:])))
    print(*found, sep="\n")
    sys.exit(bool(found))
