"""Telephone numbers as people, carriers and forms write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.kernel.e164 import national, to_e164

MOBILE = "+8613800138000"


@pytest.mark.parametrize(
    "text",
    [
        "13800138000",
        "138 0013 8000",
        "138-0013-8000",
        " 13800138000 ",
        "+8613800138000",
        "+86 138 0013 8000",
        "+86-138-0013-8000",
        "008613800138000",
        "0086 138 0013 8000",
        "8613800138000",
        "１３８００１３８０００",
        "tel:+8613800138000",
    ],
)
def test_every_writing_of_a_mobile_is_the_same_number(text: str) -> None:
    assert to_e164(text) == MOBILE


@pytest.mark.parametrize(
    ("text", "e164"),
    [
        ("010-62345678", "+861062345678"),
        ("01062345678", "+861062345678"),
        ("(010) 6234 5678", "+861062345678"),
        ("+86 10 6234 5678", "+861062345678"),
        ("0755 8888 8888", "+8675588888888"),
        ("0571-87654321", "+8657187654321"),
        ("400-800-1234", "+864008001234"),
        ("800 810 8888", "+868008108888"),
        ("+12025550123", "+12025550123"),
        ("0012025550123", "+12025550123"),
        ("+852 2345 6789", "+85223456789"),
        ("+442071838750", "+442071838750"),
    ],
)
def test_landlines_service_numbers_and_numbers_abroad(text: str, e164: str) -> None:
    assert to_e164(text) == e164


@pytest.mark.parametrize(
    "text", ["110", "119", "120", "1001", "0", "00", "+", "", "   ", "abc", "agent1", "*123#"]
)
def test_what_is_no_number(text: str) -> None:
    assert to_e164(text) is None


@pytest.mark.parametrize("text", ["1380013800012345", "+8613800138000138001", "0" * 20, "9" * 400])
def test_too_long_is_no_number(text: str) -> None:
    assert to_e164(text) is None


@pytest.mark.parametrize("short", ["95519", "95500", "12306", "10086"])
def test_a_short_number_keeps_its_digits(short: str) -> None:
    """Where it counts as a number at all, people read it as it is dialled."""
    e164 = to_e164(short)
    assert e164 in (None, f"+86{short}")
    assert national(e164 or short) == short


@pytest.mark.parametrize("text", ["138LOVE1234", "1800FLOWERS", "13800ABCDEF"])
def test_letters_are_not_turned_into_somebody_elses_digits(text: str) -> None:
    """A SIP user name with letters must not be recognised as a customer's mobile."""
    assert to_e164(text) is None


def test_the_region_decides_what_a_national_number_means() -> None:
    assert to_e164("(202) 555-0123", "US") == "+12025550123"
    assert to_e164("+8613800138000", "US") == MOBILE
    assert to_e164("008613800138000", "US") == MOBILE, "00 is international everywhere"


@given(st.text(max_size=40))
def test_no_text_raises_and_the_answer_is_e164(text: str) -> None:
    e164 = to_e164(text)
    if e164 is not None:
        assert e164[0] == "+"
        assert e164[1:].isascii()
        assert e164[1:].isdigit()
        assert to_e164(e164) == e164
    national(text)


@given(st.integers(13_000_000_000, 19_999_999_999))
def test_every_mobile_is_one_number(number: int) -> None:
    assert to_e164(str(number)) == f"+86{number}"
    assert national(f"+86{number}").replace(" ", "") == str(number)


@pytest.mark.parametrize(
    ("e164", "shown"),
    [(MOBILE, "138 0013 8000"), ("+861062345678", "010 6234 5678"), ("", ""), ("agent1", "agent1")],
)
def test_a_number_is_shown_as_people_write_it(e164: str, shown: str) -> None:
    assert national(e164) == shown
