from __future__ import annotations

from dataclasses import dataclass

import pytest

from callcenter.kernel.codec import FactCodec
from callcenter.kernel.errors import ConfigError, ContactCentreError, NotAllowed, PeerError


@dataclass(frozen=True, slots=True)
class Rang:
    leg: str
    at_ms: int
    times: int = 1


@dataclass(frozen=True, slots=True)
class Left:
    leg: str


CODEC = FactCodec((Rang, Left))


@pytest.mark.parametrize("fact", [Rang("l1", 5), Rang("l1", 5, 3), Left("l2")])
def test_there_and_back(fact: object) -> None:
    assert CODEC.from_plain(CODEC.to_plain(fact)) == fact


def test_the_kind_stands_under_k_and_fields_under_their_names() -> None:
    assert CODEC.to_plain(Rang("l1", 5)) == {"k": "Rang", "leg": "l1", "at_ms": 5, "times": 1}


def test_a_row_from_before_a_field_was_added_still_reads() -> None:
    assert CODEC.from_plain({"k": "Rang", "leg": "l1", "at_ms": 5}) == Rang("l1", 5, 1)


def test_it_knows_its_own_kinds_only() -> None:
    assert CODEC.knows("Rang")
    assert not CODEC.knows("Fell")
    with pytest.raises(KeyError):
        CODEC.from_plain({"k": "Fell"})


def test_a_configuration_error_names_key_value_and_expectation() -> None:
    error = ConfigError("voice.workers", 2, "1")
    assert isinstance(error, ContactCentreError)
    assert (error.key, error.value, error.expected) == ("voice.workers", 2, "1")
    for part in ("voice.workers", "2", "expected 1"):
        assert part in str(error)


def test_a_peers_error_carries_a_code_for_the_counter() -> None:
    assert PeerError("malformed", "no Via").code == "malformed"
    assert str(PeerError("malformed", "no Via")) == "malformed: no Via"
    assert str(PeerError("malformed")) == "malformed"
    assert NotAllowed("role").code == "role"
