"""Keys of callers whose telephone or carrier does not offer RFC 4733 events: heard in the sound itself, by
spandsp's detector (ITU-T Q.24), where Debian's libspandsp2 is installed.

The library writes what the caller says into a pipe, as a recording without a file; the loop reads it and lets
the detector listen. Keys come about a quarter of a second after they were pressed."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path
from typing import Any

LIBRARY = "libspandsp.so.2"
HEADER_BYTES = 44
LOOK_EVERY_MS = 50
_MOST_DIGITS = 128
_SAMPLE_BYTES = 2


def detector_available() -> bool:
    with contextlib.suppress(OSError):
        ctypes.CDLL(LIBRARY)
        return True
    return False


def offers_events(invite: str) -> bool:
    """Does this INVITE's session description offer telephone events? One without a description is asked by
    ours, which does."""
    body = invite.partition("\r\n\r\n")[2]
    return not body.strip() or "telephone-event" in body.lower()


class Detector:
    """16-bit samples, mono, 8 kHz, in; digits out."""

    def __init__(self) -> None:
        """Raises OSError where the library is missing."""
        self._library = library = ctypes.CDLL(LIBRARY)
        library.dtmf_rx_init.restype = ctypes.c_void_p
        library.dtmf_rx_init.argtypes = [ctypes.c_void_p] * 3
        library.dtmf_rx.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
        library.dtmf_rx_get.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
        library.dtmf_rx_get.restype = ctypes.c_size_t
        library.dtmf_rx_free.argtypes = [ctypes.c_void_p]
        self._state = ctypes.c_void_p(library.dtmf_rx_init(None, None, None))
        self._odd = b""

    def feed(self, samples: bytes) -> str:
        whole = self._odd + samples
        size = len(whole) // _SAMPLE_BYTES * _SAMPLE_BYTES
        self._odd = whole[size:]
        self._library.dtmf_rx(self._state, whole[:size], size // _SAMPLE_BYTES)
        found = ctypes.create_string_buffer(_MOST_DIGITS + 1)
        count = self._library.dtmf_rx_get(self._state, found, _MOST_DIGITS)
        return found.raw[:count].decode("ascii")

    def close(self) -> None:
        if self._state:
            self._library.dtmf_rx_free(self._state)
            self._state = ctypes.c_void_p(None)


class Ear:
    """Listens to one leg. `recorder` is to be fed with the leg's audio."""

    def __init__(self, pj: Any, pipe: Path) -> None:
        """Raises OSError, or the library's Error."""
        self._detector = Detector()
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe, 0o600)
        self._pipe = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._header = HEADER_BYTES
        try:
            self.recorder: Any = pj.AudioMediaRecorder()
            self.recorder.createRecorder(str(pipe))
        finally:
            pipe.unlink()

    def pressed(self) -> str:
        """What was pressed since the last look."""
        heard = b""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._pipe, 65_536):
                heard += chunk
        skipped = min(self._header, len(heard))
        self._header -= skipped
        return self._detector.feed(heard[skipped:]) if len(heard) > skipped else ""

    def close(self) -> None:
        """The recorder goes first: nothing may write into a pipe that nobody reads."""
        self.recorder = None
        os.close(self._pipe)
        self._detector.close()
