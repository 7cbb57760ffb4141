from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.kernel.ids import IdFactory, parse_id


def test_each_kind_counts_for_itself() -> None:
    ids = IdFactory(7)
    made = [ids.next("i"), ids.next("i"), ids.next("l"), ids.next("i")]
    assert made == ["i7-1", "i7-2", "l7-1", "i7-3"]


def test_two_epochs_never_make_the_same_id() -> None:
    one, other = IdFactory(1), IdFactory(11)
    made = [factory.next(kind) for factory in (one, other) for kind in "icl" for _ in range(200)]
    assert len(set(made)) == len(made)


@given(st.sampled_from("abcilo"), st.integers(0, 10**9), st.integers(1, 50))
def test_parse_is_the_inverse(kind: str, epoch: int, count: int) -> None:
    ids = IdFactory(epoch)
    for number in range(1, count + 1):
        assert parse_id(ids.next(kind)) == (kind, epoch, number)


@pytest.mark.parametrize(
    "text", ["", "i", "i7", "7-1", "i7-", "i-1", "ii7-1", "I7-1", "i7-1-2", " i7-1", "i7-1 ", "i7--1", "i7-x"]
)
def test_anything_else_is_no_id(text: str) -> None:
    with pytest.raises(ValueError, match="not an id"):
        parse_id(text)
