"""Recordings: length, repair after a writer died, two sides into one stereo file."""

from __future__ import annotations

import array
import errno
import json
import struct
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callcenter.kernel.sealed_file import KeyName, SealedFile, digest_of
from channels.voice.merge import answer, answers
from channels.voice.wav import HEADER_BYTES, duration_ms, merge, outline, repair


def write(path: Path, samples: list[int], rate: int = 8000, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(array.array("h", samples).tobytes() if width == 2 else bytes(len(samples)))
    return path


def read(path: Path) -> tuple[list[int], list[int]]:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        samples = array.array("h", file.readframes(file.getnframes()))
    return list(samples[0::2]), list(samples[1::2])


def unfinished(path: Path, samples: list[int], sizes: tuple[int, int] = (0, 0)) -> Path:
    """What a killed recorder leaves: frames behind a header that says otherwise."""
    write(path, samples)
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, 4, sizes[0])
    struct.pack_into("<I", content, 40, sizes[1])
    path.write_bytes(content)
    return path


def test_the_length_of_a_file(tmp_path: Path) -> None:
    assert duration_ms(write(tmp_path / "a.wav", [0] * 8000)) == 1000
    assert duration_ms(write(tmp_path / "b.wav", [0] * 4001)) == 500
    assert duration_ms(write(tmp_path / "c.wav", [])) == 0
    assert duration_ms(write(tmp_path / "d.wav", [0] * 16_000, rate=16_000)) == 1000


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a wave file at all, but long enough to be one"])
def test_what_is_no_wav(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises((OSError, EOFError, wave.Error)):
        duration_ms(path)
    with pytest.raises(OSError, match="none"):
        duration_ms(tmp_path / "none.wav")


# --- repair ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(0, 0), (36, 0), (100_000, 99_000), (2**32 - 1, 2**32 - 1)])
def test_a_header_that_says_otherwise_is_set_right(tmp_path: Path, sizes: tuple[int, int]) -> None:
    path = unfinished(tmp_path / "a.wav", list(range(4000)), sizes)
    assert repair(path)
    assert duration_ms(path) == 500
    with wave.open(str(path)) as file:
        assert list(array.array("h", file.readframes(4000))) == list(range(4000))
    assert not repair(path), "the second time there is nothing to mend"


def test_a_whole_file_is_left_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", [1, 2, 3])
    before = path.read_bytes()
    assert not repair(path)
    assert path.read_bytes() == before


def test_a_header_that_was_never_written(tmp_path: Path) -> None:
    """The writer died before its first seek back: room for a header, all zero."""
    path = tmp_path / "a.wav"
    path.write_bytes(bytes(HEADER_BYTES) + array.array("h", [7] * 8000).tobytes())
    assert repair(path)
    assert duration_ms(path) == 1000


@pytest.mark.parametrize("length", [0, 1, 20, HEADER_BYTES - 1])
def test_a_file_that_is_shorter_than_its_header_is_left_alone(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(write(tmp_path / "b.wav", [0] * 100).read_bytes()[:length])
    assert not repair(path)
    assert path.stat().st_size == length


def test_half_a_sample_at_the_end_does_no_harm(tmp_path: Path) -> None:
    path = unfinished(tmp_path / "a.wav", [5] * 800)
    path.write_bytes(path.read_bytes() + b"\x01")
    assert repair(path)
    assert duration_ms(path) == 100


def test_a_file_with_other_chunks_is_not_spoilt(tmp_path: Path) -> None:
    """Prompts made elsewhere carry a LIST chunk; byte 40 is no length there."""
    path = write(tmp_path / "a.wav", [3] * 800)
    content = path.read_bytes()
    extra = b"LIST" + struct.pack("<I", 10) + b"INFOsome.."
    path.write_bytes(content[:36] + extra + content[36:])
    before = path.read_bytes()
    assert duration_ms(path) == 100
    repair(path)
    assert path.read_bytes() == before


# --- merge -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([1] * 800, [2] * 800),
        ([1] * 800, [2] * 400),
        ([1] * 400, [2] * 800),
        ([], [2] * 8),
        ([1] * 8, []),
        ([], []),
        ([32767, -32768, 0], [-1]),
    ],
)
def test_two_sides_become_left_and_right_the_shorter_ends_in_silence(
    tmp_path: Path, left: list[int], right: list[int]
) -> None:
    a, b = write(tmp_path / "a.wav", left), write(tmp_path / "b.wav", right)
    length_ms = merge(a, b, tmp_path / "both.wav")
    frames = max(len(left), len(right))
    assert length_ms == frames * 1000 // 8000
    assert read(tmp_path / "both.wav") == (
        left + [0] * (frames - len(left)),
        right + [0] * (frames - len(right)),
    )


@settings(max_examples=20)
@given(st.integers(0, 250_000), st.integers(0, 250_000))
def test_long_calls_are_merged_in_pieces(
    tmp_path_factory: pytest.TempPathFactory, left: int, right: int
) -> None:
    folder = tmp_path_factory.mktemp("long")
    ramp = [n % 30_000 for n in range(250_000)]
    a, b = write(folder / "a.wav", ramp[:left]), write(folder / "b.wav", ramp[:right])
    merge(a, b, folder / "both.wav")
    with wave.open(str(folder / "both.wav")) as file:
        samples = array.array("h", file.readframes(file.getnframes()))
    assert list(samples[0::2][:left]) == ramp[:left]
    assert list(samples[1::2][:right]) == ramp[:right]
    assert not any(samples[0::2][left:])
    assert not any(samples[1::2][right:])


def test_sides_of_a_killed_worker_are_repaired_first(tmp_path: Path) -> None:
    a, b = unfinished(tmp_path / "a.wav", [1] * 800), unfinished(tmp_path / "b.wav", [2] * 600)
    assert merge(a, b, tmp_path / "both.wav") == 100
    assert read(tmp_path / "both.wav") == ([1] * 800, [2] * 600 + [0] * 200)


@pytest.mark.parametrize("empty", ["left", "right"])
def test_a_side_that_was_never_written_does_not_take_the_other_with_it(tmp_path: Path, empty: str) -> None:
    """The worker died before the first block of that side reached the disk: what there is, is kept."""
    a, b = write(tmp_path / "a.wav", [1] * 800), write(tmp_path / "b.wav", [1] * 800)
    (a if empty == "left" else b).write_bytes(b"")
    assert merge(a, b, tmp_path / "both.wav") == 100


def test_sides_that_differ_are_refused_and_nothing_is_left_behind(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.wav", [1] * 800), write(tmp_path / "b.wav", [1] * 800, rate=16_000)
    with pytest.raises(wave.Error, match="differ"):
        merge(a, b, tmp_path / "both.wav")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "b.wav"]


def test_an_older_target_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "both.wav"
    target.write_bytes(b"older")
    with pytest.raises(OSError, match="none"):
        merge(tmp_path / "none-a.wav", tmp_path / "none-b.wav", target)
    assert target.read_bytes() == b"older"


# --- the helper process ------------------------------------------------------------------------------


KEY = bytes(range(32))


def job_of(folder: Path, name: str, sides: list[Path]) -> dict[str, Any]:
    return {
        "sides": [str(side) for side in sides], "target": str(folder / f"{name}.sealed"), "key": KEY.hex(),
        "person": "p1", "mark": "m1",
    }  # fmt: skip


def unsealed(folder: Path, name: str) -> Path:
    plain = folder / f"{name}-opened.wav"
    plain.write_bytes(SealedFile(folder / f"{name}.sealed").read(KEY))
    return plain


def test_a_job_a_line_an_answer_a_line(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.wav", [1] * 800), write(tmp_path / "b.wav", [2] * 1600)
    missing = job_of(tmp_path, "none", [tmp_path / "none.wav", b])
    found = answers(json.dumps([missing, job_of(tmp_path, "both", [a, b])]))
    assert "FileNotFoundError" in found[0]["error"]
    assert found[0]["full"] is False
    assert found[1] == {
        "ms": 200, "size": (tmp_path / "both.sealed").stat().st_size, "sha256": digest_of(tmp_path / "both.sealed"),
    }  # fmt: skip
    assert read(unsealed(tmp_path, "both")) == ([1] * 800 + [0] * 800, [2] * 1600)
    assert not (tmp_path / "both.wav").exists(), "nothing stays in clear"
    assert SealedFile(tmp_path / "both.sealed").key_name == KeyName("p1", "m1")


def test_a_message_has_one_side_and_stays_mono(tmp_path: Path) -> None:
    a = unfinished(tmp_path / "a.wav", [100] * 800)
    assert answer(job_of(tmp_path, "message", [a]))["ms"] == 100
    with wave.open(str(unsealed(tmp_path, "message"))) as file:
        assert (file.getnchannels(), file.getnframes()) == (1, 800)


def test_an_outline_shows_where_it_is_loud(tmp_path: Path) -> None:
    stereo = tmp_path / "s.wav"
    left, right = [0] * 400 + [16_384] * 400, [-32_768] * 80 + [0] * 720
    merge(write(tmp_path / "l.wav", left), write(tmp_path / "r.wav", right), stereo)
    assert outline(stereo, 10) == [[0] * 5 + [50] * 5, [100] + [0] * 9]
    assert outline(write(tmp_path / "e.wav", []), 10) == [[]]
    assert [len(one) for one in outline(write(tmp_path / "x.wav", [1, 2, 3]), 10)] == [3]


def test_a_full_disk_is_told_apart(tmp_path: Path) -> None:
    a = write(tmp_path / "a.wav", [1] * 8000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("channels.voice.merge.seal_file", _no_space)
        assert answer(job_of(tmp_path, "x", [a]))["full"] is True
    assert not (tmp_path / "x.wav").exists()


def _no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\n",
        "no json",
        "[]",
        '["a", "b"]',
        "5",
        "null",
        '{"a": 1}',
        "[1, 2, 3]",
        '["", "", ""]',
        '[{"sides": []}]',
    ],
)
def test_a_job_that_is_none_is_answered_with_an_error(line: str) -> None:
    assert all(one["error"] for one in answers(line))
    assert all(one["error"] for one in answers(f"[{line or 0}]"))


def test_the_helper_ends_with_its_input(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.wav", [1] * 800), write(tmp_path / "b.wav", [2] * 1600)
    jobs = [json.dumps([job_of(tmp_path, str(n), [a, b])]) for n in range(3)]
    done = subprocess.run(
        [sys.executable, "-m", "channels.voice.merge"], input="\n".join([*jobs, "nonsense"]), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["ms"] for line in said[:3] for one in line] == [200] * 3
    assert "error" in said[3][0]
