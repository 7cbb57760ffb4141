"""SIP's words into ours: who calls whom, and what a status means."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.voice.translate import (
    BUSY,
    DECLINED,
    ERROR,
    NO_ANSWER,
    NOT_FOUND,
    UNREACHABLE,
    IncomingCall,
    offer_cause,
    parse_invite,
    user_of,
)

MOBILE = "+8613800138000"


def invite(*lines: str, uri: str = "sip:95519@10.0.0.2:5060", end: str = "\r\n", body: str = "") -> str:
    return end.join([f"INVITE {uri} SIP/2.0", *lines, "", body])


@pytest.mark.parametrize(
    ("sender", "caller"),
    [
        ("<sip:13800138000@10.0.0.1>;tag=1", MOBILE),
        ("sip:13800138000@10.0.0.1;tag=1", MOBILE),
        ('"王芳" <sip:+8613800138000@carrier.example;user=phone>;tag=1', MOBILE),
        ("Wang Fang <sips:008613800138000@carrier.example>;tag=1", MOBILE),
        ("<tel:+86-138-0013-8000>;tag=1", MOBILE),
        ("<tel:13800138000;phone-context=+86>;tag=1", MOBILE),
        ("<SIP:13800138000@10.0.0.1>", MOBILE),
        ("<sip:01062345678@10.0.0.1>", "+861062345678"),
        ("<sip:1001@10.0.0.1>", "1001"),
        ("<sip:desk-7@10.0.0.1>", "desk-7"),
        ("<sip:%2B8613800138000@10.0.0.1>", MOBILE),
        ("<sip:13800138000:secret@10.0.0.1>", MOBILE),
        ("<sip:13800138000;phone-context=example.com@10.0.0.1;user=phone>", MOBILE),
        ("<sip:anonymous@anonymous.invalid>;tag=1", ""),
        ('"Anonymous" <sip:Anonymous@anonymous.invalid>', ""),
        ("<sip:unknown@10.0.0.1>", ""),
        ("<sip:restricted@10.0.0.1>", ""),
        ("<sip:unavailable@10.0.0.1>", ""),
        ("<sip:10.0.0.1>", ""),
        ("", ""),
        ("garbage", ""),
    ],
)
def test_the_caller_is_who_the_from_header_says(sender: str, caller: str) -> None:
    assert parse_invite(invite(f"From: {sender}")).caller == caller


@pytest.mark.parametrize(
    "sender",
    [
        '"sip:110@police" <sip:13800138000@carrier.example>',
        '"Grand Hotel:Lobby" <sip:13800138000@carrier.example>',
        '"tel:110" <sip:13800138000@carrier.example>',
        "Motel:7 <sip:13800138000@carrier.example>",
        '"a \\" <sip:110@police> b" <sip:13800138000@carrier.example>',
    ],
)
def test_a_display_name_cannot_pose_as_a_number(sender: str) -> None:
    assert parse_invite(invite(f"From: {sender};tag=1")).caller == MOBILE


@pytest.mark.parametrize(
    ("uri", "called"),
    [
        ("sip:95519@10.0.0.2", "95519"),
        ("sip:95519@10.0.0.2:5060;transport=udp", "95519"),
        ("sip:+8695519@10.0.0.2;user=phone", "+8695519"),
        ("sips:95519@centre.example", "95519"),
        ("tel:95519", "95519"),
        ("tel:95519;phone-context=+86", "95519"),
        ("sip:95519@[2001:db8::1]:5060", "95519"),
        ("sip:service.desk@10.0.0.2", "service.desk"),
        ("sip:95519;phone-context=+86@10.0.0.2;user=phone", "95519"),
        ("sip:95519:pw@10.0.0.2", "95519"),
        ("sip:10.0.0.2", ""),
        ("http://x/", ""),
    ],
)
def test_the_called_number_is_the_user_of_the_request_uri(uri: str, called: str) -> None:
    assert parse_invite(invite("From: <sip:1001@a>", "To: <sip:other@b>", uri=uri)).called == called


@pytest.mark.parametrize(
    "lines",
    [
        ("From: <sip:13800138000@a>;tag=1", "Call-ID: abc@host"),
        ("f: <sip:13800138000@a>;tag=1", "i: abc@host"),
        ("F:<sip:13800138000@a>;tag=1", "I:abc@host"),
        ("FROM  :   <sip:13800138000@a>", "call-id\t: abc@host"),
        ('From: "a long name"\r\n  <sip:13800138000@a>;tag=1', "Call-ID:\r\n\tabc@host"),
        ('From: "Wang"\r\n <sip:13800138000@a>\r\n ;tag=1', "Call-ID: abc@host"),
        (
            "Via: SIP/2.0/UDP a;branch=z",
            "Subject: From: <sip:110@x>",
            "From: <sip:13800138000@a>",
            "i: abc@host",
        ),
        ("From: <sip:13800138000@a>", "From: <sip:110@x>", "Call-ID: abc@host", "i: other"),
    ],
)
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_headers_in_every_writing(lines: tuple[str, ...], end: str) -> None:
    found = parse_invite(invite(*(line.replace("\r\n", end) for line in lines), end=end))
    assert found == IncomingCall("95519", MOBILE, "abc@host")


@pytest.mark.parametrize(
    ("privacy", "withheld"),
    [
        ("Privacy: id", True), ("Privacy: ID", True), ("Privacy: user;id", True), ("Privacy: id;critical", True),
        ("Privacy: user; id", True), ("Privacy: user ;id ; critical", True), ("privacy:id", True),
        ("Privacy: none", False), ("Privacy: header", False), ("Privacy: idle", False), ("Privacy:", False),
    ],
)  # fmt: skip
def test_a_caller_who_withholds_the_number_is_not_known(privacy: str, withheld: bool) -> None:
    found = parse_invite(invite("From: <sip:13800138000@a>", privacy))
    assert found.caller == ("" if withheld else MOBILE)


def test_the_body_is_no_header() -> None:
    found = parse_invite(invite("From: <sip:13800138000@a>", "i: 1", body="From: <sip:110@x>\r\ni: 2\r\n"))
    assert (found.caller, found.call_id) == (MOBILE, "1")


def test_the_region_decides_what_a_national_number_is() -> None:
    assert parse_invite(invite("From: <sip:2025550123@a>"), "US").caller == "+12025550123"


def test_a_name_with_letters_is_not_somebody_elses_mobile() -> None:
    assert parse_invite(invite("From: <sip:138LOVE1234@a>")).caller == "138LOVE1234"


@given(st.text(max_size=300))
def test_no_text_raises(text: str) -> None:
    parse_invite(text)
    user_of(text)


@given(st.binary(max_size=300))
def test_no_bytes_raise(content: bytes) -> None:
    parse_invite(content.decode("utf-8", "surrogateescape"))


@given(
    st.lists(
        st.sampled_from(
            [
                "INVITE ",
                "sip:",
                "tel:",
                "<",
                ">",
                "@",
                ";",
                ":",
                "\r\n",
                " ",
                "From",
                "f",
                "Privacy: id",
                "95519",
                '"',
            ]
        ),
        max_size=40,
    )
)
def test_no_broken_invite_raises(parts: list[str]) -> None:
    found = parse_invite("".join(parts))
    assert isinstance(found, IncomingCall)


@pytest.mark.parametrize(
    "hostile",
    ["sip:" * 1_000, "sip:a" * 800, "sip:a;" * 600, '"' * 4_000, "<" * 4_000, "\r\n " * 1_300, '"\\' * 2_000],
)
def test_a_hostile_header_of_one_packet_is_read_within_the_loops_budget(hostile: str) -> None:
    message = invite(f"From: {hostile}")
    took_ms = []
    for _ in range(3):
        started = time.perf_counter()
        parse_invite(message)
        took_ms.append((time.perf_counter() - started) * 1000)
    assert min(took_ms) < 5


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_only_a_line_feed_ends_a_header(separator: str) -> None:
    found = parse_invite(invite(f"Subject: a{separator}From: <sip:110@x>", "From: <sip:13800138000@a>"))
    assert found.caller == MOBILE


# --- what a status means -----------------------------------------------------------------------------

CAUSES = {BUSY, DECLINED, NOT_FOUND, NO_ANSWER, UNREACHABLE, ERROR}


@pytest.mark.parametrize("code", range(400, 700))
def test_every_status_is_one_of_the_causes(code: int) -> None:
    assert offer_cause(code, "") in CAUSES
    assert offer_cause(code, "no_answer") == NO_ANSWER


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (486, BUSY), (600, BUSY),
        (603, DECLINED),
        (404, NOT_FOUND), (410, NOT_FOUND), (484, NOT_FOUND), (604, NOT_FOUND),
        (408, UNREACHABLE), (480, UNREACHABLE), (502, UNREACHABLE), (503, UNREACHABLE), (504, UNREACHABLE),
        (487, NO_ANSWER),
        (400, ERROR), (401, ERROR), (403, ERROR), (407, ERROR), (415, ERROR), (488, ERROR), (500, ERROR), (606, ERROR),
        (0, ERROR), (200, ERROR), (302, ERROR),
    ],
)  # fmt: skip
def test_what_each_status_means_for_an_offer(code: int, cause: str) -> None:
    assert offer_cause(code, "") == cause
