"""Where audio of SIPp's calls goes and comes from."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.benchmarks.centre import AGENT_MEDIA, CALLER_MEDIA, HERE

Figures = dict[str, Any]


class FarEnd:
    """The media far end, built where it is needed."""

    def __init__(self, folder: Path) -> None:
        program = folder / "farend"
        subprocess.run(["gcc", "-O2", "-o", program, HERE / "farend.c"], check=True)
        self._process = subprocess.Popen(
            [program, str(CALLER_MEDIA), str(AGENT_MEDIA)], stdout=subprocess.PIPE, text=True
        )
        self._line()

    def figures(self) -> Figures:
        """Since the last question."""
        self._process.send_signal(signal.SIGUSR1)
        return self._line()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _line(self) -> Figures:
        assert self._process.stdout is not None
        found: Figures = json.loads(self._process.stdout.readline())
        return found
