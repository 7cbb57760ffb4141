"""Sound for telephones and for judging what they heard: tones, RTP captures to play, shares of a tone."""

from __future__ import annotations

import itertools
import math
import struct
import wave
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

RATE_HZ = 8000
WINDOW_S = 0.1
QUIET = 100.0
"""root mean square of 16-bit samples below which a window counts as silence"""
PURE = 0.9
"""share of a window's energy at a frequency from which the window is that tone and nothing else"""
_FRAME = 160  # samples in 20 ms
_KEYS = "0123456789*#ABCD"


def write_tone(path: Path, hertz: int, seconds: float, rate: int = RATE_HZ) -> None:
    """A mono WAV file of a sine at half of full scale; `hertz` a whole number, so that seconds join."""
    step = 2 * math.pi * hertz / rate
    second = array("h", (round(16_000 * math.sin(step * n)) for n in range(rate))).tobytes()
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes((second * math.ceil(seconds))[: round(seconds * rate) * 2])


def write_samples(path: Path, samples: Sequence[float]) -> None:
    """A mono WAV file of samples between -1 and 1."""
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        out.writeframes(array("h", (round(32_000 * sample) for sample in samples)).tobytes())


def length_s(path: Path) -> float:
    with wave.open(str(path)) as file:
        return float(file.getnframes() / file.getframerate())


def _windows(path: Path, channel: int) -> Iterator[tuple[int, array[int]]]:
    """(rate, samples) of each whole window of one channel."""
    with wave.open(str(path)) as file:
        rate, channels = file.getframerate(), file.getnchannels()
        samples = array("h", file.readframes(file.getnframes()))[channel::channels]
    size = round(rate * WINDOW_S)
    for start in range(0, len(samples) - size + 1, size):
        yield rate, samples[start : start + size]


def loudness(path: Path, channel: int = 0) -> list[float]:
    """Root mean square of each window."""
    return [math.sqrt(sum(x * x for x in part) / len(part)) for _, part in _windows(path, channel)]


def tone_share(path: Path, hertz: float, channel: int = 0) -> list[float]:
    """For each window, the part (0 to 1) of its energy at this frequency (Goertzel); 0 where it is quiet."""
    shares = []
    for rate, part in _windows(path, channel):
        factor, a, b = 2 * math.cos(2 * math.pi * hertz / rate), 0.0, 0.0
        for x in part:
            a, b = x + factor * a - b, a
        energy, n = sum(x * x for x in part), len(part)
        shares.append(2 * (a * a + b * b - factor * a * b) / (n * energy) if energy > n * QUIET**2 else 0.0)
    return shares


def longest_run(flags: Sequence[bool]) -> int:
    """Length of the longest unbroken run of true ones."""
    best = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        best = max(best, run)
    return best


def assert_tone(path: Path, hertz: float, seconds: float, channel: int = 0) -> None:
    """From its first to its last moment there this tone and nothing else lasts so long, but for a few
    windows with a lost packet in them."""
    pure = [share > PURE for share in tone_share(path, hertz, channel)]
    assert any(pure), f"no {hertz} Hz in {path.name}"
    part = pure[pure.index(True) : len(pure) - pure[::-1].index(True)]
    assert abs(len(part) * WINDOW_S - seconds) < 0.6 + seconds * 0.02, (
        f"{len(part) * WINDOW_S:.1f} s, not {seconds:.1f}"
    )
    assert part.count(False) <= 3 + seconds / 3, f"{hertz} Hz broken: {part}"
    gaps = [len(list(run)) for pure_run, run in itertools.groupby(part) if not pure_run]
    assert max(gaps, default=0) <= 3, f"{hertz} Hz broken for {max(gaps)} windows at a stretch"


def assert_no_silence(levels: Sequence[float], longest_s: float = 0.3) -> None:
    """`levels` of `loudness` without a pause longer than that."""
    silence_s = longest_run([level < QUIET for level in levels]) * WINDOW_S
    assert silence_s <= longest_s + 0.01, f"{silence_s:.1f} s of silence"


def _packet(payload_type: int, marker: bool, seq: int, timestamp: int, body: bytes) -> bytes:
    rtp = struct.pack("!BBHII", 0x80, marker << 7 | payload_type, seq & 0xFFFF, timestamp, 0x5EED0001) + body
    udp = struct.pack("!HHHH", 4000, 4002, 8 + len(rtp), 0) + rtp
    home = b"\x7f\0\0\1"
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, home, home)
    return bytes(12) + b"\x08\0" + ip + udp


def write_capture(
    path: Path, digits: Sequence[tuple[float, str]], held_s: float = 0.1, event: int = 101
) -> None:
    """A pcap of one G.711 µ-law RTP stream: silence with RFC 4733 digits in it, and a second after them.

    `digits`: (start in seconds, key), each held so long."""
    starts = {round(at * 50): key for at, key in digits}
    ticks = max(2, round(held_s * 50))
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
    seq, key, begun = 1, "", 0

    def put(millis: float, data: bytes) -> None:
        nonlocal seq
        stamp = int(millis // 1000), int(millis % 1000 * 1000)
        out.append(struct.pack("<IIII", *stamp, len(data), len(data)) + data)
        seq += 1

    for tick in range(max(starts, default=0) + ticks + 50):
        if tick in starts:
            key, begun = starts[tick], tick
        if not key:
            put(tick * 20, _packet(0, False, seq, tick * _FRAME, b"\xff" * _FRAME))
            continue
        done = tick - begun + 1
        for n in range(3 if done == ticks else 1):
            body = struct.pack("!BBH", _KEYS.index(key), (done == ticks) << 7 | 10, done * _FRAME)
            put(tick * 20 + n, _packet(event, done == 1, seq, begun * _FRAME, body))
        if done == ticks:
            key = ""
    path.write_bytes(b"".join(out))
