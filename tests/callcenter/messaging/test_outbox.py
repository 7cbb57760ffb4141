"""Letters on their way: attempts, refusals, people who look, and the death of the core in between."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callcenter.kernel.errors import NotAllowed
from callcenter.messaging.files import Kept
from callcenter.messaging.letters import Letter
from channels.email.compose import Letter as OutLetter
from channels.email.compose import compose
from channels.email.mail import Envelope, Mail
from channels.email.relay import LATER, REFUSED, SENT, Result
from channels.files import safe_name
from tests.callcenter.centre import RETRY_S
from tests.callcenter.messaging.test_mail_desk import ZHANG, Carrier, Post, at_work, parsed, room_of, words

GREY = Result(LATER, "451 4.7.1 try again later")
GONE = Result(REFUSED, "550 5.1.1 no such user")


@pytest.fixture
def post() -> Post:
    return Post()


def answered(post: Post, text: str = "Your answer.", **more: Any) -> str:
    """An agent has answered a mail; the answer waits alone in the outbox. Answers the interaction."""
    interaction = post.talk()
    post.carry()
    post.desk.reply("ann", interaction, "r1", text, **more)
    post.centre.settle()
    assert len(post.letters.outbox) == 1
    return interaction


def waiting(post: Post) -> Letter:
    (letter,) = post.letters.outbox.values()
    found: Letter = letter
    return found


def state(post: Post, interaction: str) -> str:
    """Of the agent's last message, as pages show it."""
    return next(one.state for one in reversed(post.open(interaction).messages) if one.by == "ann")


def dead(post: Post) -> str:
    """A letter that was refused for good. Answers its message."""
    answered(post)
    message = waiting(post).message
    post.carry(GONE)
    assert [one.message for one in post.letters.dead] == [message]
    return message


# --- attempts ----------------------------------------------------------------------------------------


def test_a_letter_waits_is_sent_and_is_gone(post: Post) -> None:
    interaction = answered(post)
    assert state(post, interaction) == "waiting"
    assert len(post.carry()) == 1
    assert (state(post, interaction), post.letters.outbox) == ("sent", {})
    assert post.centre.outbox.next_ms() is None
    (tried,) = [fact for fact in post.centre.journalled("LetterTried") if fact["message"].startswith("m")]
    assert (tried["attempt"], tried["result"], tried["next_at_ms"]) == (1, "sent", 0)


def test_a_letter_that_was_not_taken_is_tried_later_and_later_and_then_looked_at(post: Post) -> None:
    interaction = answered(post)
    for n, seconds in enumerate(RETRY_S, 1):
        assert len(post.carry(GREY)) == 1
        letter = waiting(post)
        assert (letter.state, letter.attempt, letter.reason) == ("waiting", n, GREY.reason)
        assert post.centre.outbox.next_ms() == post.centre.clock.now_ms() + seconds * 1000
        assert state(post, interaction) == "waiting"
        post.centre.wait(seconds - 1)
        assert post.carry() == [], "not yet"
        post.centre.wait(1)
    assert len(post.carry(GREY)) == 1
    assert (waiting(post).state, state(post, interaction)) == ("dead", "dead")
    assert post.centre.outbox.next_ms() is None
    post.centre.wait(90_000)
    assert post.carry() == [], "nothing is tried that somebody has to look at"


def test_a_letter_that_was_refused_is_not_tried_again(post: Post) -> None:
    interaction = answered(post)
    post.carry(GONE)
    letter = waiting(post)
    assert (letter.state, letter.attempt, letter.reason) == ("dead", 1, GONE.reason)
    assert state(post, interaction) == "dead"
    assert post.carry() == []


def test_a_letter_that_goes_out_in_the_end_is_sent(post: Post) -> None:
    interaction = answered(post)
    post.carry(GREY)
    post.centre.wait(30)
    post.carry(Result(SENT, "550 no such user (1)"))
    assert (state(post, interaction), post.letters.outbox) == ("sent", {})


def test_letters_go_out_oldest_first_and_each_once_at_a_time(post: Post) -> None:
    answered(post)
    for n in range(3):
        post.desk.write(f"{n}@x.example", "code", "zh", code="1")
    post.centre.settle()
    due = list(post.centre.outbox.due())
    assert [one.written_at_ms for one in due] == sorted(one.written_at_ms for one in due)
    assert [one.message[0] for one in due] == ["m", "a", "a", "a"]
    assert list(post.centre.outbox.due()) == [] and post.centre.outbox.next_ms() is None
    post.centre.outbox.tried(due[0], GREY)
    post.centre.settle()
    assert list(post.centre.outbox.due()) == [], "it waits"
    for letter in due[1:]:
        post.centre.outbox.tried(letter, Result(SENT))
        post.centre.outbox.tried(letter, GONE)  # a late word about what is gone
    post.centre.settle()
    assert waiting(post).message == due[0].message


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["sent", "later", "refused", "crash", "stuck", "wait"]), max_size=12))
def test_whatever_the_relay_says_a_letter_is_sent_or_waits_or_is_looked_at(steps: list[str]) -> None:
    post = Post()
    interaction = answered(post)
    ids, said = set(), {"sent": Result(SENT), "later": GREY, "refused": GONE}
    taken = 0
    for step in steps:
        if step == "crash":
            post.centre.restart()
        elif step == "stuck":
            post.centre.journal.stuck = True
        elif step == "wait":
            post.centre.journal.flush()
            post.centre.wait(700)
        else:
            carried = post.carry(said[step])
            taken += step == "sent" and len(carried)
            ids |= {letter["Message-ID"] for letter in carried}
            assert len(carried) <= 1
    post.centre.journal.flush()
    post.centre.settle()
    assert len(ids) <= 1
    assert bool(post.letters.outbox) == (state(post, interaction) in ("waiting", "dead"))
    assert (state(post, interaction) == "sent") <= (taken > 0)


# --- what it says, every time ------------------------------------------------------------------------


def test_a_letter_is_the_same_over_all_attempts_and_cores(post: Post) -> None:
    answered(post)
    for _ in range(4):
        post.carry(GREY)
        post.centre.restart(away_ms=5_000)
        post.centre.wait(600)
    answers = [raw for raw in post.sent if b"Auto-Submitted" not in raw]
    plain = {raw.replace(b"\r\n", b"\n") for raw in answers}
    assert len(answers) == 4 and len(plain) == 1


def test_a_letter_that_died_with_the_core_goes_out_once_more_under_the_same_id(post: Post) -> None:
    interaction = answered(post)
    post.centre.journal.stuck = True
    (first,) = post.carry()
    assert state(post, interaction) == "sent"
    post.centre.restart()
    assert state(post, interaction) == "waiting", "nobody wrote down that it was sent"
    (second,) = post.carry()
    assert first["Message-ID"] == second["Message-ID"]
    assert (state(post, interaction), post.letters.outbox) == ("sent", {})


def test_a_letter_that_was_on_its_way_when_the_core_died_is_due_again(post: Post) -> None:
    answered(post)
    assert len(list(post.centre.outbox.due())) == 1
    post.centre.restart()
    assert len(post.carry()) == 1


def test_attempts_are_counted_over_cores(post: Post) -> None:
    answered(post)
    post.carry(GREY)
    next_ms = waiting(post).next_at_ms
    post.centre.restart()
    assert (waiting(post).attempt, post.centre.outbox.next_ms()) == (1, next_ms)
    assert post.carry() == []
    post.centre.wait(31)
    post.carry(GREY)
    assert waiting(post).attempt == 2


def test_no_letter_leaves_the_house_before_it_is_safe(post: Post) -> None:
    """Else a core that dies has sent what it knows nothing of, and the agent sends it again as another."""
    interaction = post.talk()
    post.carry()
    post.centre.journal.stuck = True
    post.desk.reply("ann", interaction, "r1", "is it safe?")
    post.centre.settle()
    assert post.carry() == [] and post.centre.outbox.next_ms() is None
    post.centre.restart()
    post.desk.reply("ann", interaction, "r1", "is it safe?")
    post.centre.settle()
    assert len(post.carry()) == 1
    answers = [words(parsed(raw)) for raw in post.sent if b"Auto-Submitted" not in raw]
    assert sum("is it safe?" in text for text in answers) == 1


def test_a_mended_letter_leaves_the_house_once_the_mending_is_safe(post: Post) -> None:
    message = dead(post)
    post.centre.journal.stuck = True
    post.centre.outbox.resend("sue", message, ["new@x.example"], "s", "mended")
    assert post.carry() == []
    post.centre.journal.flush()
    post.centre.settle()
    assert [letter["To"] for letter in post.carry()] == ["new@x.example"]


def test_whoever_sends_is_told_once_a_letter_is_safe(post: Post) -> None:
    heard: list[int] = []
    post.centre.outbox.changed = lambda: heard.append(len(post.letters.outbox))
    post.centre.journal.stuck = True
    post.desk.write(ZHANG, "code", "zh", code="1")
    post.centre.settle()
    assert heard == []
    post.centre.journal.flush()
    post.centre.settle()
    assert heard == [1]


# --- people who look ---------------------------------------------------------------------------------


def test_a_letter_that_somebody_mended_is_tried_anew(post: Post) -> None:
    message = dead(post)
    (interaction,) = post.all_open
    heard: list[str] = []
    post.centre.outbox.changed = lambda: heard.append("changed")
    post.centre.outbox.resend("sue", message, [" New@X.Example "], "About\r\nBcc: a@b.example", "  mended  ")
    post.centre.settle()
    assert heard == ["changed"]
    letter = waiting(post)
    assert (letter.state, letter.attempt, letter.reason) == ("waiting", 0, "")
    assert state(post, interaction) == "waiting"
    assert post.said(interaction)[-1] == ("agent", "mended")
    post.centre.restart()
    (out,) = post.carry()
    assert (out["To"], out["Bcc"], out["Subject"]) == ("new@x.example", None, "About Bcc: a@b.example")
    assert words(out).startswith("mended\n\nANN\n")
    assert state(post, interaction) == "sent"
    (taken,) = post.centre.journalled("ActionTaken")
    assert (taken["by"], taken["action"]) == ("sue", "letter_resent")


def test_a_mended_letter_keeps_its_id_and_has_all_its_attempts(post: Post) -> None:
    message = dead(post)
    first = post.sent[-1]
    post.centre.outbox.resend("sue", message, [ZHANG], "s", "mended")
    post.centre.settle()
    for seconds in RETRY_S:
        assert [letter["Message-ID"] for letter in post.carry(GREY)] == [parsed(first)["Message-ID"]]
        assert waiting(post).state == "waiting"
        post.centre.wait(seconds)
    post.carry(GREY)
    assert waiting(post).state == "dead"


@pytest.mark.parametrize(
    ("to", "text", "code"),
    [
        ([], "x", "bad_address"),
        (["", " "], "x", "bad_address"),
        (["nobody"], "x", "bad_address"),
        ([ZHANG, "a@b.example\r\nBcc: c@d.example"], "x", "bad_address"),
        ([ZHANG], " \n", "empty"),
        ([ZHANG], "x" * 20_001, "too_long"),
    ],
)
def test_a_letter_that_would_be_none_is_not_mended(post: Post, to: list[str], text: str, code: str) -> None:
    message = dead(post)
    with pytest.raises(NotAllowed, match=code):
        post.centre.outbox.resend("sue", message, to, "s", text)
    assert waiting(post).state == "dead"


def test_a_letter_that_was_dropped_is_gone_and_says_so(post: Post) -> None:
    message = dead(post)
    (interaction,) = post.all_open
    post.centre.outbox.drop("sue", message)
    post.centre.settle()
    assert (state(post, interaction), post.letters.outbox) == ("dropped", {})
    post.centre.restart()
    assert post.carry() == [] and state(post, interaction) == "dropped"


def test_only_a_letter_that_nobody_took_is_mended_or_dropped(post: Post) -> None:
    answered(post)
    message = waiting(post).message

    def refused(name: str) -> None:
        with pytest.raises(NotAllowed, match="letter_gone"):
            post.centre.outbox.resend("sue", name, [ZHANG], "s", "x")
        with pytest.raises(NotAllowed, match="letter_gone"):
            post.centre.outbox.drop("sue", name)

    refused(message)  # it waits
    refused("m9-9")
    post.carry(GONE)
    post.centre.outbox.drop("sue", message)
    refused(message)  # it is gone


def test_a_supervisor_sees_what_waits(post: Post) -> None:
    dead(post)
    shown = post.centre.outbox.shown(waiting(post))
    assert (shown["to"], shown["state"], shown["attempt"], shown["text"]) == (
        [ZHANG],
        "dead",
        1,
        "Your answer.",
    )
    assert shown["subject"].startswith("Re: 保单 [#") and shown["automatic"] is False


def test_a_letter_outlives_its_conversation(post: Post) -> None:
    interaction = answered(post)
    post.carry(GREY)
    post.end(interaction)
    post.centre.restart()
    post.centre.wait(31)
    assert len(post.carry()) == 1 and not post.letters.outbox


# --- what was erased, and files ----------------------------------------------------------------------


def test_a_letter_to_who_was_erased_does_not_go_out(post: Post) -> None:
    answered(post)
    post.erase(ZHANG)
    assert post.carry() == []
    assert (waiting(post).state, waiting(post).reason) == ("dead", "erased")
    assert post.centre.outbox.shown(waiting(post))["to"] == []


def test_a_letter_of_which_nothing_is_left_cannot_be_mended(post: Post) -> None:
    """Who it was from, what it answered and in which thread is gone with the person."""
    answered(post)
    message = waiting(post).message
    post.erase(ZHANG)
    post.carry()
    with pytest.raises(NotAllowed, match="letter_gone"):
        post.centre.outbox.resend("sue", message, [ZHANG], "s", "x")
    post.centre.outbox.drop("sue", message)
    post.centre.settle()
    assert not post.letters.outbox


def test_what_is_quoted_goes_with_whoever_wrote_it(post: Post) -> None:
    interaction = post.talk(text="my secret")
    post.carry()
    post.desk.reply("ann", interaction, "r1", "Your answer.")
    post.centre.settle()
    post.erase(ZHANG)
    assert post.carry() == [] and not any(b"secret" in raw for raw in post.sent)


@pytest.mark.parametrize("restarted", [False, True])
def test_files_go_with_the_letter(post: Post, restarted: bool) -> None:
    def kept(data: bytes, name: str, kind: str) -> Kept:
        person = post.centre.private.person_of(ZHANG)
        return Kept(post.centre.written.files.keep(person, data), name, kind, len(data))

    hostile = safe_name("x\r\nBcc: a@b =?utf-8?q?=0d=0aBcc=3a_x=40y.example?= .png")
    files = [kept(b"%PDF-1.4 \xff", "保单.pdf", "application/pdf"), kept(b"\x89PNG", hostile, "image/png")]
    files += [kept(b"%PDF-1.4 \xff", "again.pdf", "application/pdf"), kept(b"?", "odd", "odd")]
    answered(post, files=files)
    post.carry(GREY)
    if restarted:
        post.centre.restart()
    post.centre.wait(31)
    (letter,) = post.carry()
    found = [
        (one.get_filename(), one.get_content_type(), one.get_payload(decode=True))
        for one in letter.iter_attachments()
    ]
    assert found[0] == ("保单.pdf", "application/pdf", b"%PDF-1.4 \xff")
    assert [content for _name, _kind, content in found] == [
        b"%PDF-1.4 \xff",
        b"\x89PNG",
        b"%PDF-1.4 \xff",
        b"?",
    ]
    assert all(part["Bcc"] is None for part in letter.walk())
    assert words(letter).startswith("Your answer.")


def test_a_file_of_an_unknown_name_is_none(post: Post) -> None:
    for ref in ("", "f.0", "m1-1", "e123.envelope"):
        assert post.centre.written.files.content(ref) is None


# --- sending for real --------------------------------------------------------------------------------


class Relay(Carrier):
    """Says what it was told to say, in turn; then takes everything."""

    def __init__(self, *said: Result | Exception) -> None:
        super().__init__()
        self.said, self.got = list(said), list[OutLetter]()

    async def send(self, letter: OutLetter) -> Result:
        compose(letter)
        self.got.append(letter)
        result = self.said.pop(0) if self.said else Result(SENT)
        if isinstance(result, Exception):
            raise result
        return result

    async def read(self, raw: bytes, envelope: Envelope) -> Mail:
        raise AssertionError("nothing came")


def test_the_post_room_tries_again_in_time(post: Post) -> None:
    """Whatever goes wrong with an attempt, another follows."""
    interaction = answered(post)
    relay = Relay(GREY, RuntimeError("relay fell over"), GREY)
    room, began = room_of(post, relay), post.centre.clock.now_ms()
    at_work(post, room, 5)
    assert len(relay.got) == 1
    for seconds in RETRY_S:
        post.centre.wait(seconds)
        at_work(post, room, 5)
    assert len(relay.got) == 4 and len({one.message_id for one in relay.got}) == 1
    assert (state(post, interaction), post.letters.outbox) == ("sent", {})
    assert post.centre.clock.now_ms() - began >= sum(RETRY_S) * 1000


def test_the_post_room_sends_many(post: Post) -> None:
    for n in range(40):
        post.desk.write(f"{n}@x.example", "code", "zh", code=str(n))
    post.centre.settle()
    relay = Relay()
    at_work(post, room_of(post, relay), 5)
    assert sorted(one.to[0] for one in relay.got) == sorted(f"{n}@x.example" for n in range(40))
    assert not post.letters.outbox


def test_the_post_room_asks_no_relay_to_carry_what_was_erased(post: Post) -> None:
    answered(post)
    post.erase(ZHANG)
    relay = Relay()
    at_work(post, room_of(post, relay), 5)
    assert relay.got == [] and waiting(post).reason == "erased"
