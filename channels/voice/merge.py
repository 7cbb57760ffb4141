"""`python -m channels.voice.merge`: makes stereo files of recorded sides, one job a line.

In: `["caller.wav", "agent.wav", "target.wav"]`. Out: `{"ms": 8020}` or `{"error": "…"}`. Ends with its input,
so it never outlives the core that started it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import wave
from pathlib import Path

from channels.voice.wav import merge


def answer(line: str) -> dict[str, int | str]:
    """One job done."""
    try:
        caller, agent, target = (Path(path) for path in json.loads(line))
        return {"ms": merge(caller, agent, target)}
    except (OSError, EOFError, TypeError, ValueError, wave.Error) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> int:
    with contextlib.suppress(OSError):
        os.nice(10)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(line)) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
