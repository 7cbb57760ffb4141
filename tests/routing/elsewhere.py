"""Replays journals in a process of its own, under another hash seed than ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
Journal = list[dict[str, Any]]


class Elsewhere:
    """As a context: the process lives as long, and takes any number of journals."""

    def __enter__(self) -> Self:
        seed = "4711" if os.environ.get("PYTHONHASHSEED") != "4711" else "1147"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.routing.replay", "-"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.communicate()

    def differences(self, journal: Journal) -> list[int]:
        """The seqs that come out differently there."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(journal) + "\n")
        self._process.stdin.flush()
        found: list[int] = json.loads(self._process.stdout.readline())
        return found
