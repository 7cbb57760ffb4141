"""WAV files as the worker and its helpers need them: length, repair, merging two sides to stereo, outline."""

from __future__ import annotations

import array
import struct
import wave
from pathlib import Path

HEADER_BYTES = 44
RATE_HZ = 8000
_CHUNK_FRAMES = 80_000


def duration_ms(path: Path) -> int:
    """Length of a PCM WAV file. Raises OSError, wave.Error or EOFError where it is none."""
    with wave.open(str(path), "rb") as file:
        return file.getnframes() * 1000 // file.getframerate()


def repair(path: Path) -> bool:
    """Set the sizes of a recording whose writer died, from the file's length. True where mended.

    A recorder writes its header when it is closed; what a killed worker leaves has frames behind a
    header that says none."""
    size = path.stat().st_size
    if size < HEADER_BYTES:
        return False
    with path.open("r+b") as file:
        head = bytearray(file.read(HEADER_BYTES))
        if head[:4] != b"RIFF":
            head[:] = _header(size)
        elif head[36:40] != b"data" or struct.unpack_from("<I", head, 40)[0] == size - HEADER_BYTES:
            return False
        else:
            struct.pack_into("<I", head, 4, size - 8)
            struct.pack_into("<I", head, 40, size - HEADER_BYTES)
        file.seek(0)
        file.write(head)
    return True


def merge(left: Path, right: Path, target: Path) -> int:
    """Two mono recordings that began together into one stereo file (left, right); answers its ms.

    The shorter side ends in silence. The target appears whole or not at all."""
    for side in (left, right):
        if side.stat().st_size < HEADER_BYTES:
            side.write_bytes(_header(HEADER_BYTES))  # its writer died before the first frame: silence
        repair(side)
    unfinished = target.with_suffix(".part")
    try:
        duration = _write_stereo(left, right, unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return duration


def outline(path: Path, points: int = 800) -> list[list[int]]:
    """The loudest sample, 0 to 100, of each channel in each of at most `points` equal parts: what a waveform shows."""
    with wave.open(str(path), "rb") as file:
        frames, channels = file.getnframes(), file.getnchannels()
        shown = max(1, min(points, frames))
        found: list[list[int]] = [[] for _ in range(channels)]
        for point in range(shown if frames else 0):
            count = frames * (point + 1) // shown - frames * point // shown
            samples = array.array("h", file.readframes(count))
            for channel in range(channels):
                side = samples[channel::channels]
                found[channel].append(max(max(side, default=0), -min(side, default=0)) * 100 // 32_768)
    return found


def _write_stereo(left: Path, right: Path, target: Path) -> int:
    with wave.open(str(left), "rb") as a, wave.open(str(right), "rb") as b:
        if (a.getsampwidth(), b.getsampwidth()) != (2, 2) or a.getframerate() != b.getframerate():
            raise wave.Error("the two sides differ in format")
        frames = max(a.getnframes(), b.getnframes())
        with wave.open(str(target), "wb") as out:
            out.setnchannels(2)
            out.setsampwidth(2)
            out.setframerate(a.getframerate())
            for start in range(0, frames, _CHUNK_FRAMES):
                count = min(_CHUNK_FRAMES, frames - start)
                stereo = array.array("h", bytes(4 * count))
                stereo[0::2] = _frames(a, count)
                stereo[1::2] = _frames(b, count)
                out.writeframes(stereo.tobytes())
        return frames * 1000 // a.getframerate()


def _frames(file: wave.Wave_read, count: int) -> array.array[int]:
    samples = array.array("h", file.readframes(count))
    samples.extend([0] * (count - len(samples)))
    return samples


def _header(size: int) -> bytes:
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", size - 8, b"WAVE", b"fmt ", 16, 1, 1, RATE_HZ, RATE_HZ * 2, 2, 16),
        *(b"data", size - HEADER_BYTES),
    )
