"""The shipped hotline, walked through every path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr_flows import interpreter as iv
from ivr_flows.library import shipped

HOTLINE = shipped()["hotline"]
NEW, KNOWN = {"known": "no"}, {"known": "yes", "id": 7, "klass": "vip", "language": "zh"}
OPEN, CLOSED = {"open": "yes"}, {"open": "no"}


def agent_found(result: str) -> dict[str, str]:
    return {"result": result, "name": "陈静", "branch": "北京分公司"}


@dataclass
class Walk:
    """A caller's way: `keys` are what they press where the flow listens; `-` is silence, `!` a refusal
    of the queue."""

    keys: list[str]
    lookups: Mapping[str, Mapping[str, Any] | None]
    nodes: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    end: iv.Verb | None = None
    state: iv.State | None = None

    def go(self, language: str = "") -> Walk:
        at = iv.begin(HOTLINE, {"number": "95519"}, language)
        for _ in range(200):
            self.nodes.append(at.state.node)
            self.state = at.state
            for verb in at.verbs:
                if isinstance(verb, iv.Speak):
                    self.heard += [f"{words.language}/{words.prompt or words.text}" for words in verb.words]
            answer = self._answer(at.verbs[-1])
            if answer is None:
                self.end = at.verbs[-1]
                return self
            at = iv.step(HOTLINE, at.state, answer)
        raise AssertionError("the flow never comes to an end")

    def _answer(self, verb: iv.Verb) -> iv.Input | None:
        if isinstance(verb, iv.Speak):
            return iv.Said()
        if isinstance(verb, iv.Ask):
            found = self.lookups.get(verb.name)
            return iv.Failed("unavailable") if found is None else iv.Answered(found)
        if isinstance(verb, iv.Listen):
            key = self.keys.pop(0) if self.keys else None
            return None if key is None else iv.Silence() if key == "-" else iv.Entered(key)
        if isinstance(verb, iv.TakeMessage):
            self.messages.append(verb.queue)
            return (
                iv.Failed("not_recorded") if self.keys[:1] == ["full"] and self.keys.pop(0) else iv.Recorded()
            )
        if isinstance(verb, iv.Enqueue) and self.keys and self.keys[0] == "!":
            self.keys.pop(0)
            return iv.Refused("full")
        return None


def walk(
    keys: str, customer: Any = NEW, hours: Any = OPEN, sales_agent: Any = None, language: str = ""
) -> Walk:
    """`keys`: what is entered at each listening, separated by blanks."""
    found = {"customer": customer, "hours": hours, "sales_agent": sales_agent}
    return Walk(keys.split(), found).go(language)


SERVICE, COMPLAINTS = iv.Enqueue("service"), iv.Enqueue("complaints")
MESSAGE_END = iv.Finish("message")
SERVED, CLOSED_END, FULL_END = iv.Finish("served"), iv.Finish("closed"), iv.Finish("overflowed")
LICENCE = "02001234567890123456"


@pytest.mark.parametrize(
    ("keys", "end"),
    [
        # the five choices
        ("1 1", SERVICE),
        ("1 3", COMPLAINTS),
        ("1 4", SERVICE),
        ("1 0", SERVICE),
        ("2 1", SERVICE),
        ("2 3", COMPLAINTS),
        # language: two tries, then Chinese
        ("- 1 1", SERVICE),
        ("9 1 1", SERVICE),
        ("- - 1", SERVICE),
        ("9 9 1", SERVICE),
        ("9 - 1", SERVICE),
        ("- 9 1", SERVICE),
        # the main menu: three tries in all, then a person
        ("1 - 1", SERVICE),
        ("1 9 1", SERVICE),
        ("1 - - 1", SERVICE),
        ("1 - - -", SERVICE),
        ("1 9 9 9", SERVICE),
        ("1 - 9 -", SERVICE),
        ("1 # * 5", SERVICE),
        ("1 9 - 3", COMPLAINTS),
        ("- - - - -", SERVICE),
        # the queue does not take the caller
        ("1 1 ! -", FULL_END),
        ("1 3 ! 9", FULL_END),
        # and may leave a message
        ("1 1 ! 1", MESSAGE_END),
        ("1 3 ! 1 full", FULL_END),
        # a sales agent, and then: again, a person, enough
        (f"1 2 {LICENCE} 0", SERVICE),
        ("1 2 10001 0", SERVICE),
        ("1 2 10001 1 10002 0", SERVICE),
        ("1 2 10001 - -", SERVED),
        ("1 2 10001 9 9", SERVED),
        ("1 2 10001 9 0", SERVICE),
        ("1 2 10001 1 10002 1 10003 - -", SERVED),
        # a number that is none: three tries, then a person
        ("1 2 - 10001 0", SERVICE),
        ("1 2 123 10001 0", SERVICE),
        ("1 2 - - -", SERVICE),
        ("1 2 12 1 123", SERVICE),
        ("1 2 12 - 12", SERVICE),
        (f"1 2 {LICENCE}7 - -", SERVICE),
    ],
)
def test_where_each_way_ends(keys: str, end: iv.Verb) -> None:
    way = walk(keys, sales_agent=agent_found("active"))
    assert (way.end, way.keys) == (end, [])


@pytest.mark.parametrize(
    ("result", "node", "prompt"),
    [
        ("active", "genuine", "zh/genuine"),
        ("suspended", "suspended", "zh/suspended"),
        ("left", "has_left", "zh/has_left"),
        ("unknown", "not_ours", "zh/not_ours"),
        ("anything else", "not_ours", "zh/not_ours"),
    ],
)
def test_what_is_said_of_a_sales_agent(result: str, node: str, prompt: str) -> None:
    way = walk("1 2 10001 - -", sales_agent=agent_found(result))
    assert node in way.nodes
    assert prompt in way.heard
    assert way.end == SERVED
    names = [said for said in way.heard if "陈静" in said]
    assert names == (["zh/陈静，北京分公司。"] if result == "active" else []), "only a genuine one is named"
    assert way.state is not None
    assert way.state.variables["agent_number"] == "10001"


def test_the_number_is_said_back_digit_by_digit_before_the_answer() -> None:
    way = walk("1 2 10001 - -", sales_agent=agent_found("active"))
    at = way.heard.index("zh/number_is")
    assert way.heard[at + 1] == "zh/1 0 0 0 1"
    assert way.heard[at + 2] == "zh/genuine"


def test_a_check_that_cannot_be_made_leads_to_a_person() -> None:
    way = walk("1 2 10001", sales_agent=None)
    assert way.end == SERVICE
    assert not [said for said in way.heard if said in ("zh/genuine", "zh/not_ours")]


@pytest.mark.parametrize(
    ("customer", "welcomed"),
    [(NEW, False), (KNOWN, True), ({"known": "no", "candidates": 2}, False), (None, False)],
)
def test_who_called_before_is_welcomed_back(customer: Any, welcomed: bool) -> None:
    way = walk("1 1", customer=customer)
    assert ("zh/welcome_back" in way.heard) is welcomed
    assert way.end == SERVICE


@pytest.mark.parametrize("keys", ["1 1", "1 3", "1 4", "1 0", "1 - - -", "1 2 - - -"])
def test_outside_opening_hours_nobody_is_queued(keys: str) -> None:
    way = walk(f"{keys} -", hours=CLOSED)
    assert way.end == CLOSED_END
    assert way.heard[-2:] == ["zh/closed", "zh/leave_message"]


@pytest.mark.parametrize(
    ("keys", "queue"), [("1 1", "service"), ("1 3", "complaints"), ("1 - - -", "service")]
)
def test_outside_opening_hours_a_message_reaches_the_right_queue(keys: str, queue: str) -> None:
    way = walk(f"{keys} 1", hours=CLOSED)
    assert (way.end, way.messages) == (MESSAGE_END, [queue])
    assert way.heard[-3:] == ["zh/speak_now", "zh/beep", "zh/message_kept"]


def test_a_sales_agent_is_checked_at_night_too() -> None:
    assert walk("1 2 10001 - -", hours=CLOSED, sales_agent=agent_found("active")).end == SERVED


def test_without_opening_hours_the_caller_is_put_through() -> None:
    assert walk("1 1", hours=None).end == SERVICE


@pytest.mark.parametrize(("key", "language"), [("1", "zh"), ("2", "en")])
def test_the_chosen_language_is_spoken_from_then_on(key: str, language: str) -> None:
    way = walk(f"{key} - 2 10001 0", sales_agent=agent_found("active"))
    after = way.heard[way.heard.index("zh/choose_language") + 1 :]
    assert len(after) > 5
    assert {said.split("/")[0] for said in after} == {language}
    assert way.state is not None
    assert way.state.language == language


def test_the_recording_notice_comes_first() -> None:
    assert walk("1 1").heard[0] == "zh/notice"


@pytest.mark.parametrize(
    ("keys", "heard"),
    [
        ("1 - 1", ["zh/main", "zh/nothing_heard", "zh/main"]),
        ("1 9 1", ["zh/main", "zh/not_known", "zh/main"]),
        ("1 2 - 10001", ["zh/ask_agent_number", "zh/nothing_heard", "zh/ask_agent_number"]),
        ("1 2 99 10001", ["zh/ask_agent_number", "zh/not_known", "zh/ask_agent_number"]),
        ("1 1 ! -", ["zh/to_agent", "zh/busy"]),
        ("1 2 10001 - -", ["zh/after_check", "zh/after_check", "zh/goodbye"]),
    ],
)
def test_what_is_heard_on_the_way(keys: str, heard: list[str]) -> None:
    way = walk(keys, sales_agent=agent_found("active"))
    text = "|".join(way.heard)
    assert "|".join(heard) in text


def test_the_words_before_a_person_cannot_be_cut_short() -> None:
    at = iv.resume(HOTLINE, iv.State("to_agent", "zh", 0, {}))
    (speak,) = at.verbs
    assert isinstance(speak, iv.Speak)
    assert not speak.interruptible


@pytest.mark.parametrize("key", ["1", "3", "4", "0"])
def test_a_choice_has_a_title_that_the_agent_reads(key: str) -> None:
    way = walk(f"1 {key}")
    assert way.state is not None
    titled = [node for node in HOTLINE.nodes.values() if node.title]
    assert way.state.variables["topic"]
    assert all(set(node.title or {}) == {"zh", "en"} for node in titled)


# --- whatever comes --------------------------------------------------------------------------------

KEYS = st.one_of(
    st.sampled_from([iv.Entered(key) for key in "0123456789*#"]),
    st.builds(iv.Entered, st.text("0123456789*#ABCD", max_size=40)),
    st.just(iv.Silence()),
)
RESULTS = {
    "customer": st.sampled_from([NEW, KNOWN, {"known": "no", "candidates": 3}]),
    "hours": st.sampled_from([OPEN, CLOSED]),
    "sales_agent": st.sampled_from(["active", "suspended", "left", "unknown"]).map(agent_found),
}


def legal(draw: Any, verb: iv.Verb) -> iv.Input | None:
    """Some input that the host may give where the flow waits for `verb`; None where it is over."""
    if isinstance(verb, iv.Speak):
        return draw(st.sampled_from([iv.Said(), iv.Entered("1"), iv.Entered("#")]))
    if isinstance(verb, iv.Listen):
        return draw(KEYS)
    if isinstance(verb, iv.Ask):
        return draw(st.one_of(RESULTS[verb.name].map(iv.Answered), st.just(iv.Failed("unavailable"))))
    if isinstance(verb, iv.TakeMessage):
        return draw(st.sampled_from([iv.Recorded(), iv.Failed("not_recorded")]))
    if isinstance(verb, iv.Enqueue):
        return draw(st.one_of(st.none(), st.just(iv.Refused("closed"))))
    return None


@given(st.data(), st.sampled_from(["", "zh", "en"]))
def test_no_caller_can_break_it(data: st.DataObject, language: str) -> None:
    at = iv.begin(HOTLINE, {"number": "95519"}, language)
    for _ in range(60):
        assert at.verbs
        assert at.state.node in HOTLINE.nodes
        assert at.passed[-1] == at.state.node
        assert isinstance(at.verbs[-1], iv.Verb)
        for verb in at.verbs:
            if isinstance(verb, iv.Speak):
                assert all(words.text.strip() for words in verb.words), f"{at.state.node} says nothing"
            if isinstance(verb, iv.Enqueue):
                assert verb.queue in ("service", "complaints")
        given_input = legal(data.draw, at.verbs[-1])
        if given_input is None:
            return
        at = iv.step(HOTLINE, at.state, given_input)


@given(st.data())
def test_a_caller_stands_at_the_same_place_after_a_restart(data: st.DataObject) -> None:
    at = iv.begin(HOTLINE, {"number": "95519"})
    for _ in range(40):
        again = iv.resume(HOTLINE, at.state)
        assert again.state == at.state
        assert again.verbs[1:] == at.verbs[1:]
        if isinstance(at.verbs[0], iv.Speak) and isinstance(again.verbs[0], iv.Speak):
            assert at.verbs[0].words[-len(again.verbs[0].words) :] == again.verbs[0].words
        else:
            assert again.verbs == at.verbs
        given_input = legal(data.draw, at.verbs[-1])
        if given_input is None:
            return
        at = iv.step(HOTLINE, at.state, given_input)


def test_every_node_is_reached_by_some_caller() -> None:
    reached: set[str] = set()
    for keys, customer, hours, result in (
        ("1 1 ! -", KNOWN, OPEN, "active"),
        ("1 1 ! 1 full", KNOWN, OPEN, "active"),
        ("2 3 -", NEW, CLOSED, "active"),
        ("2 3 1", NEW, CLOSED, "active"),
        ("1 4", NEW, OPEN, "active"),
        ("1 0", NEW, OPEN, "active"),
        *(
            (f"1 2 10001 {end}", NEW, OPEN, result)
            for result in ("active", "suspended", "left", "no")
            for end in ("0", "- -")
        ),
    ):
        found = {"customer": customer, "hours": hours, "sales_agent": agent_found(result)}
        way = Walk(keys.split(), found)
        at = iv.begin(HOTLINE, {"number": "95519"})
        while True:
            reached.update(at.passed)
            answer = way._answer(at.verbs[-1])
            if answer is None:
                break
            at = iv.step(HOTLINE, at.state, answer)
    assert reached == set(HOTLINE.nodes)
