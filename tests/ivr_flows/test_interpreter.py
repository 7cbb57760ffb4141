"""begin, step and resume: pure functions of flow, state and input."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr_flows.interpreter import (
    MAX_STEPS,
    Answered,
    Ask,
    Enqueue,
    Entered,
    Failed,
    Finish,
    FlowError,
    Input,
    Listen,
    Recorded,
    Refused,
    Said,
    Silence,
    Speak,
    State,
    Step,
    begin,
    resume,
    step,
)
from tests.ivr_flows.flows import END, HELLO, collect, flow_of, menu, say

AGAIN = {"text": {"zh": "请重试", "en": "again"}}
WRONG = {"text": {"zh": "有误", "en": "wrong"}}


def texts(found: Step) -> list[str]:
    return [words.text for verb in found.verbs if isinstance(verb, Speak) for words in verb.words]


def test_begin_stands_at_the_first_node_that_waits() -> None:
    flow = flow_of(
        a={"goto": {"next": "b"}}, b={"set": {"values": {"x": "1"}, "next": "c"}}, c=say("z"), z=END
    )
    begun = begin(flow, {"number": "95519"})
    assert begun.state == State("c", "zh", 0, {"number": "95519", "x": "1"})
    assert begun.passed == ("a", "b", "c")


@pytest.mark.parametrize(("language", "said"), [("", "您好"), ("zh", "您好"), ("en", "hello")])
def test_the_language_is_the_flows_or_the_callers(language: str, said: str) -> None:
    begun = begin(flow_of(a=say("z"), z=END), {}, language)
    assert texts(begun) == [said]


def test_set_language_changes_every_word_from_there_on() -> None:
    flow = flow_of(a={"set": {"values": {"language": "en"}, "next": "b"}}, b=say("z"), z=END)
    assert texts(begin(flow, {})) == ["hello"]


# --- each verb ---------------------------------------------------------------------------------------


def test_say_is_waited_for_and_goes_on_when_it_was_said() -> None:
    flow = flow_of(a=say("z", HELLO, {"digits": "12 34-5a!"}, interruptible=False), z=END)
    begun = begin(flow, {})
    (speak,) = begun.verbs
    assert isinstance(speak, Speak)
    assert (speak.interruptible, speak.await_end) == (False, True)
    assert [words.digits for words in speak.words] == ["", "12345a"]
    assert step(flow, begun.state, Said()).verbs == (Finish("served"),)


def test_menu_speaks_and_listens_for_one_key() -> None:
    flow = flow_of(a=menu({"1": "z"}, "z", timeout_s=7), z=END)
    speak, listen = begin(flow, {}).verbs
    assert isinstance(speak, Speak)
    assert (speak.interruptible, speak.await_end) == (True, False)
    assert listen == Listen(1, 1, "", 7_000, 7_000)


def test_collect_speaks_and_listens_for_digits() -> None:
    flow = flow_of(a=collect("x", "z", "z", min_digits=2, terminator="*", timeout_s=9, interdigit_s=3), z=END)
    assert begin(flow, {}).verbs[1] == Listen(2, 6, "*", 9_000, 3_000)


def test_a_key_of_the_menu_leads_on() -> None:
    flow = flow_of(a=menu({"1": "b", "*": "c"}, "z"), b=say("z"), c=collect("x", "z", "z"), z=END)
    state = begin(flow, {}).state
    assert step(flow, state, Entered("1")).state.node == "b"
    assert step(flow, state, Entered("*")).state.node == "c"


@pytest.mark.parametrize("tries", [1, 2, 3, 5])
@pytest.mark.parametrize(
    "given_each", [[Silence()], [Entered("9")], [Silence(), Entered("9")], [Entered("")]]
)
def test_no_input_and_no_match_are_counted_together(tries: int, given_each: list[Input]) -> None:
    flow = flow_of(a=menu({"1": "b"}, "z", tries=tries), b=END, z={"end": {"outcome": "closed"}})
    at = begin(flow, {})
    for count in range(1, tries):
        at = step(flow, at.state, given_each[count % len(given_each)])
        assert (at.state.node, at.state.tries) == ("a", count)
        assert isinstance(at.verbs[-1], Listen)
    assert step(flow, at.state, given_each[0]).verbs == (Finish("closed"),)


def test_what_went_wrong_is_said_before_the_words_of_the_node() -> None:
    flow = flow_of(a=menu({"1": "z"}, "z", no_input=[AGAIN], no_match=[WRONG]), z=END)
    state = begin(flow, {}).state
    assert texts(step(flow, state, Silence())) == ["请重试", "您好"]
    assert texts(step(flow, state, Entered("7"))) == ["有误", "您好"]


def test_tries_begin_anew_in_the_next_node() -> None:
    flow = flow_of(a=menu({"1": "b"}, "z"), b=menu({"1": "a"}, "z"), z=END)
    at = step(flow, begin(flow, {}).state, Silence())
    assert at.state.tries == 1
    at = step(flow, at.state, Entered("1"))
    assert (at.state.node, at.state.tries) == ("b", 0)
    assert step(flow, at.state, Entered("1")).state.tries == 0


@pytest.mark.parametrize(
    ("digits", "node"),
    [("1", "a"), ("12", "b"), ("123456", "b"), ("1234567", "a"), ("", "a")],
)
def test_collect_takes_what_is_long_enough_and_not_too_long(digits: str, node: str) -> None:
    flow = flow_of(a=collect("x", "b", "z", min_digits=2), b=say("z", {"digits": "{{ x }}"}), z=END)
    at = step(flow, begin(flow, {}).state, Entered(digits))
    assert at.state.node == node
    if node == "b":
        assert at.state.variables["x"] == digits


def test_collect_gives_up_after_its_tries() -> None:
    flow = flow_of(
        a=collect("x", "b", "z", tries=2, no_input=[AGAIN], no_match=[WRONG], min_digits=3), b=END, z=END
    )
    at = step(flow, begin(flow, {}).state, Entered("1"))
    assert texts(at) == ["有误", "您好"]
    at = step(flow, at.state, Silence())
    assert at.state.node == "z"
    assert "x" not in at.state.variables


def lookup_flow() -> Any:
    return flow_of(
        a={
            "lookup": {
                "name": "customer",
                "args": {"n": "{{ number }}"},
                "into": "c",
                "next": "b",
                "failed": "f",
            }
        },
        b=say("z", {"text": {"zh": "{{ c.name }}", "en": "{{ c.name }}"}}),
        f=say("z", {"text": {"zh": "{{ c.name | default('-') }}", "en": "-"}}),
        z=END,
    )


def test_a_lookup_asks_with_its_arguments_and_keeps_the_answer() -> None:
    flow = lookup_flow()
    begun = begin(flow, {"number": "95519"})
    assert begun.verbs == (Ask("customer", {"n": "95519"}),)
    assert texts(step(flow, begun.state, Answered({"name": "王芳"}))) == ["王芳"]


def test_a_lookup_that_failed_leaves_an_empty_answer() -> None:
    flow = lookup_flow()
    begun = begin(flow, {"number": "1", "c": {"name": "from before"}})
    at = step(flow, begun.state, Failed("unavailable"))
    assert at.state.node == "f"
    assert texts(at) == ["-"]


@pytest.mark.parametrize(
    ("value", "node"), [("a", "x"), (" a ", "x"), ("b", "y"), ("A", "z"), ("", "z"), ("ab", "z")]
)
def test_a_branch_takes_the_case_that_equals(value: str, node: str) -> None:
    flow = flow_of(
        a={"branch": {"value": "{{ v }}", "cases": {"a": "x", "b": "y"}, "otherwise": "z"}},
        x=say("z"), y=say("z"), z=say("e"), e=END,
    )  # fmt: skip
    assert begin(flow, {"v": value}).state.node == node


def test_a_queue_hands_over_and_a_refusal_leads_on() -> None:
    flow = flow_of(a={"queue": {"queue": "{{ wanted }}", "refused": "b"}}, b=say("z"), z=END)
    begun = begin(flow, {"wanted": "complaints"})
    assert begun.verbs == (Enqueue("complaints"),)
    assert step(flow, begun.state, Refused("closed")).state.node == "b"


def test_an_end_says_how_it_ended() -> None:
    assert begin(flow_of(a={"end": {"outcome": "closed"}}), {}).verbs == (Finish("closed"),)


# --- mistakes ----------------------------------------------------------------------------------------

INPUTS: list[Input] = [Said(), Entered("1"), Silence(), Answered({}), Failed("x"), Refused("x"), Recorded()]
WELCOME: dict[str, set[type]] = {
    "say": {Said, Entered},
    "menu": {Entered, Silence},
    "collect": {Entered, Silence},
    "lookup": {Answered, Failed},
    "queue": {Refused},
    "voicemail": {Recorded, Failed},
    "end": set(),
}


@pytest.mark.parametrize("verb", WELCOME)
@pytest.mark.parametrize("given_input", INPUTS, ids=lambda i: type(i).__name__)
def test_an_input_belongs_to_its_node_or_is_a_flow_error(verb: str, given_input: Input) -> None:
    nodes: dict[str, dict[str, Any]] = {
        "say": say("z"),
        "menu": menu({"1": "z"}, "z"),
        "collect": collect("x", "z", "z"),
        "lookup": {"lookup": {"name": "l", "into": "x", "next": "z", "failed": "z"}},
        "queue": {"queue": {"queue": "q", "refused": "z"}},
        "voicemail": {
            "voicemail": {
                "words": [{"text": {"zh": "请讲", "en": "speak"}}],
                "queue": "q",
                "next": "z",
                "failed": "z",
            }
        },
        "end": END,
    }
    flow = flow_of(a=nodes[verb], z=END)
    state = begin(flow, {}).state
    if type(given_input) in WELCOME[verb]:
        assert step(flow, state, given_input).verbs
    else:
        with pytest.raises(FlowError):
            step(flow, state, given_input)


@pytest.mark.parametrize(
    "node",
    [
        say("z", {"text": {"zh": "{{ nobody }}", "en": "x"}}),
        {"branch": {"value": "{{ nobody }}", "cases": {}, "otherwise": "z"}},
        {"queue": {"queue": "{{ nobody.queue }}", "refused": "z"}},
        {"set": {"values": {"x": "{{ 1 / zero }}"}, "next": "z"}},
        {"lookup": {"name": "l", "args": {"n": "{{ nobody }}"}, "into": "x", "next": "z", "failed": "z"}},
        {"goto": {"next": "nowhere"}},
        {"goto": {"next": "a"}},
    ],
)
def test_a_flow_at_fault_is_a_flow_error_that_names_the_node(node: dict[str, Any]) -> None:
    with pytest.raises(FlowError, match=r"a|nowhere"):
        begin(flow_of(a=node, z=END), {"zero": 0})


def test_a_circle_ends_after_its_steps() -> None:
    flow = flow_of(a={"goto": {"next": "b"}}, b={"goto": {"next": "a"}})
    with pytest.raises(FlowError, match=str(MAX_STEPS)):
        begin(flow, {})


def test_a_long_way_is_no_circle() -> None:
    nodes = {f"n{n}": {"goto": {"next": f"n{n + 1}"}} for n in range(MAX_STEPS - 1)}
    flow = flow_of("n0", **nodes, **{f"n{MAX_STEPS - 1}": END})
    assert begin(flow, {}).verbs == (Finish("served"),)


# --- standing again ----------------------------------------------------------------------------------


def test_resume_says_the_node_again_and_keeps_tries_and_variables() -> None:
    flow = flow_of(a=menu({"1": "z"}, "z", no_input=[AGAIN]), z=END)
    state = State("a", "en", 1, {"number": "5"})
    again = resume(flow, state)
    assert again.state == state
    assert texts(again) == ["hello"]
    assert step(flow, again.state, Silence()).state.tries == 2


def test_resume_at_a_node_that_a_newer_flow_lacks_begins_anew() -> None:
    flow = flow_of(a=say("z"), z=END)
    again = resume(flow, State("gone", "en", 2, {"number": "5"}))
    assert (again.state.node, again.state.tries, again.state.language) == ("a", 0, "en")
    assert again.state.variables["number"] == "5"


@given(st.lists(st.sampled_from(INPUTS), max_size=12))
def test_functions_of_their_arguments_and_nothing_else(inputs: list[Input]) -> None:
    flow = flow_of(
        a=menu({"1": "b", "2": "c"}, "q"), b=collect("x", "c", "q"), c=lookup_flow().nodes["a"].model_dump(exclude_none=True),
        q={"queue": {"queue": "s", "refused": "z"}}, f=say("a"), z=END,
    )  # fmt: skip
    at = begin(flow, {"number": "9"})
    for given_input in inputs:
        variables = dict(at.state.variables)
        outcomes = []
        for _ in range(2):
            try:
                outcomes.append(step(flow, at.state, given_input))
            except FlowError as error:
                outcomes.append(str(error))  # type: ignore[arg-type]
        assert outcomes[0] == outcomes[1]
        assert at.state.variables == variables, "a step must not write into the state it was given"
        if isinstance(outcomes[0], Step):
            at = outcomes[0]
