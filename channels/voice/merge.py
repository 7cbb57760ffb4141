"""`python -m channels.voice.merge CALLER AGENT TARGET`: one stereo file of two sides; prints its ms."""

from __future__ import annotations

import os
import sys
import wave
from pathlib import Path

from channels.voice.wav import merge


def main() -> int:
    os.nice(10)
    caller, agent, target = (Path(argument) for argument in sys.argv[1:4])
    try:
        duration_ms = merge(caller, agent, target)
    except (OSError, EOFError, wave.Error) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    sys.stdout.write(f"{duration_ms}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
