"""A stored journal gives the same commands for ever, in any process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from routing import Policy
from routing import facts as f
from tests.routing.elsewhere import Elsewhere
from tests.routing.pair import Pair
from tests.routing.replay import differences, rows_of

ROOT = Path(__file__).resolve().parents[2]
FIRST_KINDS = {
    *("PolicyReplaced", "QueueOpened", "QueueClosed", "AgentLoggedIn", "AgentLoggedOut", "AgentReady"),
    *("AgentNotReady", "ContactArrived", "ContactAbandoned", "ContactEnded", "ContactRequeued"),
    *("ContactAdopted", "OfferAnswered", "OfferDeclined", "OfferFailed", "WrapUpEnded"),
}
"""the facts that there were when the journal was stored"""
JOURNAL = ROOT / "tests" / "golden" / "routing-v1.jsonl"
LIVES = ROOT / "tests" / "golden" / "routing-v2.jsonl"


def replay(hash_seed: str, *restore_every: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.routing.replay", str(JOURNAL), *restore_every],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.strip() + done.stderr


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_the_journal_replays_identically_whatever_the_hash_seed(hash_seed: str) -> None:
    assert replay(hash_seed) == (0, "")


@pytest.mark.parametrize("restore_every", ["1", "97"])
def test_the_journal_replays_identically_through_restored_snapshots(restore_every: str) -> None:
    assert replay("random", restore_every) == (0, "")


def test_the_journal_holds_every_kind_of_fact_and_thousands_of_activations() -> None:
    rows = [json.loads(line) for line in JOURNAL.read_text(encoding="utf-8").splitlines()]
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) > 2_000
    assert {fact["k"] for row in rows for fact in row["facts"]} == FIRST_KINDS


def test_the_journal_agrees_with_the_naive_centre() -> None:
    pair = Pair(Policy())
    for row in map(json.loads, JOURNAL.read_text(encoding="utf-8").splitlines()):
        pair.act(row["now_ms"], tuple(map(f.from_plain, row["facts"])))


def test_every_stored_life_replays_identically_under_another_hash_seed() -> None:
    lives = [json.loads(line) for line in LIVES.read_text(encoding="utf-8").splitlines()]
    with Elsewhere() as elsewhere:
        assert [elsewhere.differences(life) for life in lives] == [[]] * len(lives)
    assert sum(map(len, lives)) > 2_000
    kinds = {fact["k"] for life in lives for row in life for fact in row["facts"]}
    assert kinds == {kind.__name__ for kind in f.Fact.__subclasses__()}


def test_the_stored_lives_agree_with_the_naive_centre() -> None:
    for line in LIVES.read_text(encoding="utf-8").splitlines():
        pair = Pair(Policy())
        for row in json.loads(line):
            pair.act(row["now_ms"], tuple(map(f.from_plain, row["facts"])))


def test_a_changed_line_is_noticed(tmp_path: Path) -> None:
    lines = JOURNAL.read_text(encoding="utf-8").splitlines()[:40]
    row = json.loads(lines[20])
    row["digest"] = "0" * 16
    lines[20] = json.dumps(row)
    changed = tmp_path / "changed.jsonl"
    changed.write_text("\n".join(lines), encoding="utf-8")
    assert list(differences(rows_of(changed))) == [21]
