"""Lock files by which a process says that it lives: held as long as it does, with its pid as text."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class LockTaken(RuntimeError):
    """Another living process holds this lock."""


def hold(path: Path) -> int:
    """Take the lock for the rest of this process's life; answers its descriptor. Raises LockTaken."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise LockTaken(str(path)) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor
