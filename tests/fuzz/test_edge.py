"""A bounded time of coverage-guided fuzzing, on every run of the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SECONDS = 20


def test_a_stranger_s_bytes_never_stop_the_edge(tmp_path: Path) -> None:
    corpus, crashes = tmp_path / "corpus", tmp_path / "crashes"
    corpus.mkdir()
    crashes.mkdir()
    words = [
        str(corpus),
        f"-max_total_time={SECONDS}",
        f"-artifact_prefix={crashes}/",
        "-max_len=4096",
        "-timeout=5",
    ]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.edge", *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=SECONDS + 60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-3000:]
    assert not list(crashes.iterdir())
    assert len(list(corpus.iterdir())) > 12, "nothing new was found: is the edge instrumented?"
