"""Sealed files: any part opens, nothing changed opens, nothing is left half done."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callcenter.kernel import sealed_file as sf

KEY, OTHER = bytes(range(32)), bytes(32)
NAME = sf.KeyName("person", "mark")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sealed")


def sealed(folder: Path, content: bytes, key: bytes = KEY) -> Path:
    source, target = folder / "plain", folder / "x.sealed"
    source.write_bytes(content)
    told = sf.seal_file(source, target, key, NAME, {"ms": 5})
    assert (told.size, told.sha256) == (target.stat().st_size, sf.digest_of(target))
    return target


@pytest.mark.parametrize(
    "length", [0, 1, sf.CHUNK - 1, sf.CHUNK, sf.CHUNK + 1, 2 * sf.CHUNK, 3 * sf.CHUNK + 7]
)
def test_what_was_sealed_is_read_again(tmp_path: Path, length: int) -> None:
    content = bytes(n * 7 % 251 for n in range(length))
    file = sf.SealedFile(sealed(tmp_path, content))
    assert file.read(KEY) == content
    assert (file.size, file.key_name, file.about(KEY)) == (length, NAME, {"ms": 5})
    assert not list(tmp_path.glob("*.part"))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 220_000), length=st.integers(0, 220_000))
def test_any_part_opens_alone(folder: Path, start: int, length: int) -> None:
    content = bytes(n * 13 % 256 for n in range(200_000))
    path = folder / "x.sealed"
    if not path.exists():
        sealed(folder, content)
    assert sf.SealedFile(path).read(KEY, start, length) == content[start : start + length]


@pytest.mark.parametrize("where", ["magic", "header", "first", "middle", "last"])
def test_one_changed_bit_anywhere_is_noticed(tmp_path: Path, where: str) -> None:
    path = sealed(tmp_path, b"\1" * (2 * sf.CHUNK + 10))
    raw = bytearray(path.read_bytes())
    start = len(raw) - (2 * sf.CHUNK + 10 + 3 * 16)
    place = {
        "magic": 0,
        "header": start - 5,
        "first": start,
        "middle": start + sf.CHUNK + 20,
        "last": len(raw) - 1,
    }
    raw[place[where]] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ValueError):
        sf.SealedFile(path).read(KEY)


def test_chunks_cannot_be_dropped_or_swapped(tmp_path: Path) -> None:
    content = b"".join(bytes([n]) * sf.CHUNK for n in range(3))
    path = sealed(tmp_path, content)
    raw, size = path.read_bytes(), sf.CHUNK + 16
    start = len(raw) - 3 * size
    chunks = [raw[start + n * size : start + (n + 1) * size] for n in range(3)]
    for order in ([0, 1], [0, 2, 1], [1, 0, 2], [0, 1, 1], [0]):
        path.write_bytes(raw[:start] + b"".join(chunks[n] for n in order))
        with pytest.raises(ValueError):
            sf.SealedFile(path).read(KEY)


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    file = sf.SealedFile(sealed(tmp_path, b"words"))
    with pytest.raises(ValueError):
        file.read(OTHER)
    with pytest.raises(ValueError):
        file.about(OTHER)


def test_chunks_of_another_file_of_the_same_key_do_not_fit(tmp_path: Path) -> None:
    one = sealed(tmp_path, b"a" * 10).read_bytes()
    path = sealed(tmp_path, b"b" * 10)
    path.write_bytes(path.read_bytes()[:-26] + one[-26:])
    with pytest.raises(ValueError):
        sf.SealedFile(path).read(KEY)


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF", sf.MAGIC, sf.MAGIC + b"\0\0\0\2{}", sf.MAGIC + b"\xff\xff\xff\xff", sf.MAGIC + b"\0\0\0\4[1,2"],
)  # fmt: skip
def test_what_is_no_sealed_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(ValueError):
        sf.SealedFile(path)


def test_what_cannot_be_read_leaves_no_target(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sf.seal_file(tmp_path / "none", tmp_path / "x.sealed", KEY, NAME, {})
    assert list(tmp_path.iterdir()) == []
