"""Sealed texts open with the right key and context only, and never show what is in them."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.kernel.envelope import MASTER_KEY_ENV, MasterKey, seal, unseal
from callcenter.kernel.errors import ConfigError

KEY, OTHER = bytes(32), bytes([1]) * 32
MASTER = MasterKey(bytes(range(32)))


@given(st.binary(max_size=2000), st.binary(max_size=40))
def test_what_was_sealed_opens_again(plain: bytes, context: bytes) -> None:
    assert unseal(KEY, seal(KEY, plain, context), context) == plain


def test_a_wrong_key_or_context_opens_nothing() -> None:
    sealed = seal(KEY, b"13800138000", b"phone:1")
    for key, context in ((OTHER, b"phone:1"), (KEY, b"phone:2"), (KEY, b"")):
        with pytest.raises(ValueError, match="does not open"):
            unseal(key, sealed, context)


@given(st.data())
def test_a_changed_byte_is_noticed(data: st.DataObject) -> None:
    sealed = bytearray(seal(KEY, b"\xe7\x8e\x8b\xe8\x8a\xb3", b"c"))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match=r".+"):
        unseal(KEY, bytes(sealed), b"c")


@pytest.mark.parametrize("length", [0, 1, 11, 12, 13, 27])
def test_a_torn_off_text_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=r".+"):
        unseal(KEY, seal(KEY, b"text")[:length])


def test_the_same_text_is_sealed_differently_each_time() -> None:
    sealed = {seal(KEY, b"110101199001011234") for _ in range(500)}
    assert len(sealed) == 500
    assert len({text[:12] for text in sealed}) == 500
    assert not any(b"110101199001011234" in text for text in sealed)


def test_a_wrapped_data_key_belongs_to_its_person() -> None:
    wrapped = MASTER.wrap(KEY, "person-1")
    assert MASTER.unwrap(wrapped, "person-1") == KEY
    with pytest.raises(ValueError, match="does not open"):
        MASTER.unwrap(wrapped, "person-2")
    with pytest.raises(ValueError, match="does not open"):
        MasterKey(OTHER).unwrap(wrapped, "person-1")


@given(st.text(max_size=100), st.text(max_size=20))
def test_texts_of_the_installation(text: str, context: str) -> None:
    assert MASTER.unseal_text(MASTER.seal_text(text, context), context) == text


def test_a_blind_index_finds_equals_and_tells_nothing_else() -> None:
    index = MASTER.blind_index("phone", "+8613800138000")
    assert index == MasterKey(bytes(range(32))).blind_index("phone", "+8613800138000")
    assert "138" not in index or "13800138000" not in index
    different = {
        MASTER.blind_index("phone", "+8613800138001"),
        MASTER.blind_index("phone-last4", "+8613800138000"),
        MasterKey(OTHER).blind_index("phone", "+8613800138000"),
    }
    assert index not in different
    assert len(different) == 3


def test_purpose_and_text_cannot_be_shifted_into_each_other() -> None:
    assert MASTER.blind_index("phone-last4", "5678") != MASTER.blind_index("phone-last", "45678")


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_master_key_has_32_bytes(length: int) -> None:
    with pytest.raises(ConfigError, match="32 bytes"):
        MasterKey(bytes(length))


def test_the_first_start_makes_a_key_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master.key"
    wrapped = MasterKey.load(path).wrap(KEY, "p")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(base64.b64decode(path.read_text())) == 32
    assert MasterKey.load(path).unwrap(wrapped, "p") == KEY


def test_two_installations_have_different_keys(tmp_path: Path) -> None:
    MasterKey.load(tmp_path / "a.key")
    MasterKey.load(tmp_path / "b.key")
    assert (tmp_path / "a.key").read_text() != (tmp_path / "b.key").read_text()


def test_the_environment_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "master.key"
    monkeypatch.setenv(MASTER_KEY_ENV, base64.b64encode(OTHER).decode())
    wrapped = MasterKey.load(path).wrap(KEY, "p")
    assert not path.exists()
    assert MasterKey(OTHER).unwrap(wrapped, "p") == KEY


@pytest.mark.parametrize("text", ["geheim", "not base64!", base64.b64encode(b"short").decode(), "密钥"])
def test_a_bad_key_is_refused_and_never_shown(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "master.key"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        MasterKey.load(path)
    assert text not in str(refused.value)
    monkeypatch.setenv(MASTER_KEY_ENV, text)
    with pytest.raises(ConfigError) as refused:
        MasterKey.load(tmp_path / "none.key")
    assert text not in str(refused.value)
    assert refused.value.expected == "32 bytes, base64"
