"""References in subjects and ids that only we can make: forged, mangled, and as mail programs of all kinds leave them."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callcenter.kernel.envelope import MasterKey
from callcenter.messaging.references import References
from tests.callcenter.centre import MASTER

OURS = References(MASTER.blind_index)
OTHERS = References(MasterKey(bytes(32)).blind_index)
"""of another house, or of us with another key"""
THREAD = "i12-345"
REFERENCE = OURS.reference(THREAD)
MARK = f"[#{REFERENCE}]"
ID = OURS.message_id("m3-7", "i3-4", "insurer.example")
BOUNCE = OURS.bounce_address("m3-7", "i3-4", "bounces", "insurer.example")
SEQ = st.integers(1, 10**9 - 1)


# --- the reference in the subject --------------------------------------------------------------------


def first_in(subject: str) -> str:
    return next(iter(OURS.threads_in(subject)), "")


@pytest.mark.parametrize(
    "subject",
    [
        MARK,
        f"Re: Policy {MARK}",
        f"{MARK} in front",
        f"回复：答复: {MARK}",
        f"a{MARK}b",
        f"[{REFERENCE}]",
        f"[# {REFERENCE} ]",
        f"[#{REFERENCE.lower()}]",
        f"Re: {MARK} {MARK}",
        f"Fwd: [ext] [#1] [2026-01-05] {MARK}",
        f"[#99-99-ABCDEF] {MARK}",
        f"[#{OTHERS.reference(THREAD)}] {MARK}",
        f"{MARK}" + "]" * 200,
        f"{'x' * 5_000}{MARK}",
    ],
)
def test_a_reference_of_ours_is_found_as_programs_leave_it(subject: str) -> None:
    assert first_in(subject) == THREAD


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "no reference",
        REFERENCE,
        f"#{REFERENCE}",
        f"({REFERENCE})",
        f"[#{REFERENCE}",
        f"{REFERENCE}]",
        f"[#{REFERENCE[:-1]}]",
        f"[#{REFERENCE}0]",
        f"[#{REFERENCE[:-1]}G]",
        f"[##{REFERENCE}]",
        f"[#-{REFERENCE}]",
        f"[#0{REFERENCE}]",
        f"[#{REFERENCE.replace('12-', '13-')}]",
        f"[#{REFERENCE.replace('-345-', '-346-')}]",
        f"[#{REFERENCE.replace('-', '–')}]",
        f"[#12-345-{OTHERS.reference(THREAD)[-6:]}]",
        f"[#12-345-{OURS.reference('i12-346')[-6:]}]",
        f"［#{REFERENCE}］",
        "[#12-345-000000]",
        "[#" + "9" * 400 + "-1-ABCDEF]",
        "[#" * 3_000,
    ],
)
def test_what_we_did_not_give_is_no_reference(subject: str) -> None:
    assert first_in(subject) == ""


def test_digits_of_other_scripts_are_not_ours() -> None:
    arabic = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
    assert first_in(f"[#{REFERENCE.translate(arabic)}]") in ("", THREAD)
    assert OURS.own(ID.translate(arabic)) is None


@given(st.text(max_size=200))
@example(MARK * 20)
def test_a_subject_of_any_kind_names_a_thread_or_none(subject: str) -> None:
    thread = first_in(subject)
    assert thread == "" or f"[#{OURS.reference(thread)}".lower()[2:] in subject.lower()


@given(SEQ, SEQ, st.text("0123456789abcdefABCDEF", min_size=6, max_size=6))
def test_a_check_that_is_guessed_does_not_count(epoch: int, seq: int, check: str) -> None:
    thread = f"i{epoch}-{seq}"
    expected = thread if OURS.reference(thread).endswith(check.upper()) else ""
    assert first_in(f"[#{epoch}-{seq}-{check}]") == expected


@given(SEQ, SEQ)
def test_every_thread_is_found_by_its_reference(epoch: int, seq: int) -> None:
    thread = f"i{epoch}-{seq}"
    assert first_in(OURS.marked("x", thread)) == thread


# --- the subject of an answer ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "plain"),
    [
        ("Policy", "Policy"),
        ("Re: Policy", "Policy"),
        ("RE: re: Re : Policy", "Policy"),
        ("回复：Re: 答复: 回覆：Policy", "Policy"),
        ("AW: WG Policy", "WG Policy"),
        ("Fwd: FW: 转发：Policy", "Policy"),
        ("  Re:\tPolicy  two ", "Policy two"),
        (f"Re: Policy {MARK}", "Policy"),
        (f"{MARK} Policy {MARK}", "Policy"),
        (f"Re: {MARK} Re: Policy", "Policy"),
        (f"{MARK}回复：Policy", "Policy"),
        ("[#1-2-ABCDEF] Policy", "Policy"),
        (f"[#1-[#{REFERENCE}]2-ABCDEF] Policy", "Policy"),
        ("Regarding: Policy", "Regarding: Policy"),
        ("Re", "Re"),
        ("Re:", ""),
        ("", ""),
        (MARK, ""),
        ("a\r\nBcc: x@y.example", "a Bcc: x@y.example"),
    ],
)
def test_an_answer_has_one_re_and_one_reference(subject: str, plain: str) -> None:
    assert OURS.marked(subject, THREAD) == f"Re: {plain} {MARK}".replace("Re:  ", "Re: ")


PARTS = st.lists(
    st.sampled_from(
        ["Re:", "re :", "回复：", "Fwd:", " ", "\r\n", MARK, "[#1-2-ABCDEF]", "[#1-", "]", "Policy", "好"]
    ),
    max_size=9,
).map("".join)


@given(st.one_of(PARTS, st.text(max_size=80)), st.integers(2, 4))
@example(f"{MARK}Re: x", 2)
@example(f"[#1-[#{REFERENCE}]2-ABCDEF]", 2)
def test_a_subject_does_not_grow_however_often_it_goes_to_and_fro(subject: str, times: int) -> None:
    once = OURS.marked(subject, THREAD)
    again = once
    for _ in range(times):
        again = OURS.marked(f"回复：{again}", THREAD)
    assert again == once
    assert once.count("[#" + REFERENCE) == 1 and "\n" not in once and "\r" not in once
    assert not once.lower().startswith("re: re:")
    assert first_in(once) == THREAD


# --- ids that come back ------------------------------------------------------------------------------


@pytest.mark.parametrize("interaction", ["i3-4", ""])
@pytest.mark.parametrize("message", ["m3-7", "a3-7", "m999999999-999999999999"])
def test_an_id_of_ours_tells_what_it_is_of(message: str, interaction: str) -> None:
    name = OURS.message_id(message, interaction, "insurer.example")
    address = OURS.bounce_address(message, interaction, "bounces", "insurer.example")
    plain = OURS.bounce_address(message, interaction, "", "insurer.example")
    for text in (name, address, plain, address.upper(), name.replace("insurer", "relay")):
        assert OURS.own(text) == (message, interaction)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "x@y.example",
        f"<{ID}>",
        f" {ID}",
        f"x{ID}",
        ID.partition("@")[0],
        ID.replace("@", "0@"),
        ID.replace("m3-7", "m3-8"),
        ID.replace("m3-7", "a3-7"),
        ID.replace("i3-4", "i3-5"),
        ID.replace("i3-4", "-"),
        ID.replace("m3-7", "m3-07"),
        ID.replace("m3-7", "M3-7"),
        ID.replace("m3-7.i3-4", "i3-4.m3-7"),
        BOUNCE.replace("+", "-"),
        BOUNCE.replace("+", "++"),
        BOUNCE.replace("m3-7", "m3-8"),
        OTHERS.message_id("m3-7", "i3-4", "insurer.example"),
        OTHERS.bounce_address("m3-7", "i3-4", "bounces", "insurer.example"),
        f"m3-7.i3-4.{OURS.reference('i3-4')[-6:].lower()}0000000000@insurer.example",
    ],
)
def test_an_id_that_we_did_not_make_is_nobodys(text: str) -> None:
    assert OURS.own(text) is None


@given(st.integers(0, len(ID) - 1), st.sampled_from(string.ascii_letters + string.digits + ".-+@"))
def test_an_id_with_one_letter_changed_is_not_ours(at: int, letter: str) -> None:
    changed = ID[:at] + letter + ID[at + 1 :]
    same_but_for_the_domain = changed.partition("@")[0] == ID.partition("@")[0] and "@" in changed
    assert (OURS.own(changed) is not None) == same_but_for_the_domain


@given(SEQ, SEQ, SEQ)
def test_what_signs_one_message_signs_no_other(epoch: int, one: int, other: int) -> None:
    """An id of a letter without interaction does for none with one, nor the other way round."""
    name = OURS.message_id(f"a{epoch}-{one}", "", "x.example")
    with_one = OURS.message_id(f"a{epoch}-{one}", f"i{epoch}-{other}", "x.example")
    assert name.rpartition(".i")[2] != with_one
    assert OURS.own(name.replace(".-.", f".i{epoch}-{other}.")) is None
    assert OURS.own(with_one.replace(f".i{epoch}-{other}.", ".-.")) is None


@given(st.text(max_size=120))
def test_ids_of_any_kind_upset_nobody(text: str) -> None:
    assert OURS.own(text) is None
    assert OURS.own(f"{text}@x.example") is None


def test_a_reference_opens_no_id_and_an_id_no_reference() -> None:
    """The two are signed for different purposes."""
    assert MASTER.blind_index("reference", THREAD)[:16] != MASTER.blind_index("message", THREAD)[:16]
    with pytest.raises(ValueError, match="not an id"):
        OURS.reference("")
