"""`python -m channels.voice.merge`: makes stereo files of recorded sides, some jobs a line.

In: `[["caller.wav", "agent.wav", "target.wav"], …]`. Out, in the same order: `[{"ms": 8020}, {"error": "…"}]`.
Ends with its input, so it never outlives the core that started it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import wave
from pathlib import Path

from channels.voice.wav import merge


def answers(line: str) -> list[dict[str, int | str]]:
    """A line of jobs done; one error for a line that is none."""
    try:
        jobs = json.loads(line)
    except ValueError as error:
        return [{"error": f"{type(error).__name__}: {error}"}]
    return [answer(job) for job in jobs] if isinstance(jobs, list) else [{"error": "ValueError: no list"}]


def answer(job: object) -> dict[str, int | str]:
    """One job done, or why not."""
    try:
        caller, agent, target = (Path(path) for path in job)  # type: ignore[attr-defined]
        return {"ms": merge(caller, agent, target)}
    except (OSError, EOFError, TypeError, ValueError, wave.Error) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> int:
    with contextlib.suppress(OSError):
        os.nice(10)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answers(line)) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
