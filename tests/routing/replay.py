"""Run a stored journal through the engine: `python -m tests.routing.replay JOURNAL [RESTORE_EVERY]`.

A journal is one activation a line: its seq, its time, its facts, and the digest of what the engine made of
it. Prints the seq of every line that came out differently, and ends with 1 if there was any. With
RESTORE_EVERY the engine is put away and restored from its snapshot after so many lines.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from routing import Activation, Completion, RoutingEngine
from routing import facts as f


def digest(done: Completion) -> str:
    plain = [[command.to_plain() for command in done.commands], done.next_deadline_ms]
    return hashlib.sha256(json.dumps(plain, separators=(",", ":")).encode()).hexdigest()[:16]


def differences(journal: Path, restore_every: int = 0) -> Iterator[int]:
    engine = RoutingEngine()
    with journal.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            facts = tuple(map(f.from_plain, row["facts"]))
            if digest(engine.activate(Activation(row["seq"], row["now_ms"], facts))) != row["digest"]:
                yield row["seq"]
            if restore_every and engine.seq % restore_every == 0:
                state = json.loads(json.dumps(engine.snapshot()))
                engine = RoutingEngine.restore(state, engine.policy)


if __name__ == "__main__":
    found = list(differences(Path(sys.argv[1]), *map(int, sys.argv[2:])))
    print(*found, sep="\n")
    sys.exit(bool(found))
