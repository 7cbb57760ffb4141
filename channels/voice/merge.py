"""`python -m channels.voice.merge`: makes sealed stereo files of recorded sides, some jobs a line.

In: `[{"sides": ["caller.wav", "agent.wav"], "target": "x.sealed", "key": hex, "person": …, "mark": …}, …]`. Out, in the
same order: `[{"ms": 8020, "sha256": …, "size": …}, {"error": "…", "full": false}]`. A message left by a caller has one
side and stays mono. Ends with its input, so it never outlives the core that started it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
import wave
from pathlib import Path
from typing import Any

from callcenter.kernel.sealed_file import KeyName, seal_file
from channels.voice.wav import duration_ms, merge, outline, repair

Answer = dict[str, Any]


def answers(line: str) -> list[Answer]:
    """A line of jobs done; one error for a line that is none."""
    try:
        jobs = json.loads(line)
    except ValueError as error:
        return [_failed(error)]
    return [answer(job) for job in jobs] if isinstance(jobs, list) else [_failed(ValueError("no list"))]


def answer(job: Any) -> Answer:
    """One job done, or why not. `full`: there was no room on the disk, and later there may be."""
    try:
        target = Path(job["target"])
        plain = target.with_suffix(".wav")
        try:
            length_ms = _join([Path(side) for side in job["sides"]], plain)
            about = {"name": target.stem, "ms": length_ms, "outline": outline(plain)}
            name = KeyName(job["person"], job["mark"])
            sealed = seal_file(plain, target, bytes.fromhex(job["key"]), name, about)
        finally:
            plain.unlink(missing_ok=True)
        return {"ms": length_ms, "sha256": sealed.sha256, "size": sealed.size}
    except (OSError, EOFError, KeyError, TypeError, ValueError, wave.Error) as error:
        return _failed(error)


def _join(sides: list[Path], target: Path) -> int:
    if len(sides) == 1:
        repair(sides[0])
        shutil.copyfile(sides[0], target)
        return duration_ms(target)
    caller, agent = sides
    return merge(caller, agent, target)


def _failed(error: Exception) -> Answer:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return {"error": f"{type(error).__name__}: {error}", "full": full}


def main() -> int:
    with contextlib.suppress(OSError):
        os.nice(10)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answers(line)) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
