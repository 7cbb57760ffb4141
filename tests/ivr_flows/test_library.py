"""`complain` says everything that would hurt a caller later."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr_flows.library import PROMPTS, FlowInvalid, complain, load, shipped, targets
from ivr_flows.schema import LANGUAGES, Flow
from tests.ivr_flows.flows import END, HELLO, collect, flow_of, menu, say

LOOKUP = {"lookup": {"name": "customer", "into": "customer", "next": "z", "failed": "z"}}


def complaints(flow: Flow) -> list[str]:
    return list(complain(flow))


def one(flow: Flow) -> str:
    (complaint,) = complaints(flow)
    return complaint


def test_shipped_flows_are_without_complaint() -> None:
    flows = shipped()
    assert "hotline" in flows
    for name, flow in flows.items():
        assert flow.flow == name
        assert complaints(flow) == []


def test_every_prompt_of_a_shipped_flow_is_recorded_in_both_languages() -> None:
    for flow in shipped().values():
        for prompt in flow.prompts:
            for language in LANGUAGES:
                path = PROMPTS / language / f"{prompt}.wav"
                if (PROMPTS / f"{prompt}.wav").is_file():
                    path = PROMPTS / f"{prompt}.wav"  # a sound of no language
                with wave.open(str(path)) as file:
                    assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000), (
                        path
                    )
                    assert file.getnframes() > 800, path


def test_digits_are_recorded_and_so_is_music() -> None:
    names = [f"{language}/digit_{digit}.wav" for language in LANGUAGES for digit in range(10)]
    assert [name for name in [*names, "music.wav"] if not (PROMPTS / name).is_file()] == []


# --- what is wrong, a kind each ------------------------------------------------------------------------


def test_a_start_that_is_no_node() -> None:
    assert one(flow_of("b", a=END)) == "start: no node 'b'"


@pytest.mark.parametrize(
    ("node", "target"),
    [
        (say("nowhere"), "nowhere"),
        (menu({"1": "nowhere"}, "z"), "nowhere"),
        (menu({"1": "z"}, "nowhere"), "nowhere"),
        (collect("x", "nowhere", "z"), "nowhere"),
        (collect("x", "z", "nowhere"), "nowhere"),
        ({"lookup": {"name": "l", "into": "x", "next": "nowhere", "failed": "z"}}, "nowhere"),
        ({"lookup": {"name": "l", "into": "x", "next": "z", "failed": "nowhere"}}, "nowhere"),
        ({"branch": {"value": "1", "cases": {"1": "nowhere"}, "otherwise": "z"}}, "nowhere"),
        ({"branch": {"value": "1", "cases": {"1": "z"}, "otherwise": "nowhere"}}, "nowhere"),
        ({"set": {"values": {"x": "1"}, "next": "nowhere"}}, "nowhere"),
        ({"goto": {"next": "nowhere"}}, "nowhere"),
        ({"queue": {"queue": "q", "refused": "nowhere"}}, "nowhere"),
    ],
)
def test_a_target_that_is_no_node_is_named_with_its_node(node: dict[str, Any], target: str) -> None:
    found = complaints(flow_of(a=node, z=END))
    assert [line for line in found if line.startswith("a: ") and repr(target) in line]


def test_a_node_that_nobody_reaches() -> None:
    assert one(flow_of(a=END, island=END)) == "island: nothing leads here"
    assert len(complaints(flow_of(a=END, b=say("c"), c=say("b")))) == 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_missing_in_a_language(language: str) -> None:
    other = next(one for one in LANGUAGES if one != language)
    for words in ({other: "x"}, {other: "x", language: ""}):
        assert language in one(flow_of(a=say("z", {"text": words}), z=END))
        assert language in one(flow_of(prompts={"hi": words}, a=say("z", {"prompt": "hi"}), z=END))


@pytest.mark.parametrize("part", ["no_input", "no_match"])
def test_words_of_repeats_count_too(part: str) -> None:
    node = menu({"1": "z"}, "z", **{part: [{"prompt": "unknown"}]})
    assert "'unknown'" in one(flow_of(a=node, z=END))


def test_a_prompt_without_words() -> None:
    assert "prompt 'hi'" in one(flow_of(a=say("z", {"prompt": "hi"}), z=END))


BROKEN = ["{{ x", "{% if %}", "{{ }}", "{{ x | nosuchfilter }}", "{% include 'other' %}"]


@pytest.mark.parametrize("source", BROKEN)
@pytest.mark.parametrize("where", ["text", "digits", "branch", "queue", "set", "args", "prompt"])
def test_a_template_that_does_not_work(source: str, where: str) -> None:
    assert complaints(flow_with(source, where)), f"{source} in {where}"


@pytest.mark.parametrize("where", ["text", "digits", "branch", "queue", "set", "args", "prompt"])
def test_a_variable_that_nothing_sets(where: str) -> None:
    found = complaints(flow_with("{{ agnet_number }}", where))
    assert any("agnet_number" in line for line in found)


@pytest.mark.parametrize("where", ["text", "digits", "branch", "queue", "set", "args", "prompt"])
def test_variables_that_something_sets(where: str) -> None:
    assert (
        complaints(flow_with("{{ number }}{{ customer.known | default('no') }}{{ keyed }}{{ made }}", where))
        == []
    )


def flow_with(source: str, where: str) -> Flow:
    """A flow that sets customer, keyed and made, and has `source` somewhere."""
    prompts = {"hi": {"zh": source if where == "prompt" else "a", "en": "b"}}
    text = source if where == "text" else "a"
    return flow_of(
        prompts=prompts,
        a={"lookup": {"name": "customer", "args": {"n": source if where == "args" else ""}, "into": "customer",
                      "next": "b", "failed": "b"}},
        b=collect("keyed", "c", "c"),
        c={"set": {"values": {"made": source if where == "set" else "1"}, "next": "d"}},
        d=say("e", {"text": {"zh": text, "en": "b"}}, {"prompt": "hi"}, {"digits": source if where == "digits" else "1"}),
        e={"branch": {"value": source if where == "branch" else "1", "cases": {"1": "f"}, "otherwise": "f"}},
        f={"queue": {"queue": source if where == "queue" else "service", "refused": "z"}},
        z=END,
    )  # fmt: skip


def test_a_language_that_does_not_exist() -> None:
    """Nothing would be said from there on."""
    found = complaints(flow_of(a={"set": {"values": {"language": "fr"}, "next": "z"}}, z=END))
    assert any("fr" in line for line in found)


def test_a_title_in_one_language_only() -> None:
    """An agent who reads the other would see a hole in what the caller chose."""
    found = complaints(flow_of(a={**say("z"), "title": {"zh": "问候"}}, z=END))
    assert any("title" in line for line in found)


def test_a_circle_that_never_waits() -> None:
    flow = flow_of(a={"goto": {"next": "b"}}, b={"set": {"values": {"x": "1"}, "next": "a"}})
    assert any("circle" in line or "loop" in line or "without waiting" in line for line in complaints(flow))


def test_everything_wrong_is_said_at_once() -> None:
    flow = flow_of(
        a=say("nowhere", {"prompt": "hi"}), island=say("z", {"text": {"zh": "{{ x", "en": ""}}), z=END
    )
    assert len(complaints(flow)) >= 5


# --- files -------------------------------------------------------------------------------------------

GOOD = """
flow: small
start: a
nodes:
  a: {say: {words: [{text: {zh: 您好, en: hello}}], next: b}}
  b: {end: {}}
"""


def test_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(GOOD, encoding="utf-8")
    assert load(path).flow == "small"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["flow"]),
        ("[]", ["flow"]),
        ("flow: [", ["YAML"]),
        ("flow: small\nstart: a\nnodes: {a: {end: {}}, a: {end: {}}}", ["a"]),
        (GOOD.replace("next: b", "next: c"), ["a:", "'c'"]),
        (GOOD.replace("end: {}", "end: {outcome: gone}"), ["nodes.b.end.outcome"]),
        (
            GOOD.replace("{end: {}}", "{end: {}, say: {words: [{digits: '1'}], next: a}}"),
            ["nodes.b", "exactly one verb"],
        ),
        (GOOD + "extra: 1\n", ["extra"]),
        ("!!python/object/apply:os.system ['true']", ["YAML"]),
    ],
)
def test_a_bad_file_is_refused_with_the_place(tmp_path: Path, content: str, words: list[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(FlowInvalid) as refused:
        load(path)
    assert all(line.startswith("bad.yaml: ") for line in str(refused.value).splitlines()[:1])
    for word in words:
        assert word in str(refused.value)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gbk.yaml"
    path.write_bytes(GOOD.encode("gbk"))
    with pytest.raises(FlowInvalid, match="UTF-8"):
        load(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FlowInvalid, match="cannot be read"):
        load(tmp_path / "none.yaml")


@given(st.data())
def test_targets_are_all_that_may_follow(data: st.DataObject) -> None:
    names = [f"n{number}" for number in range(6)]
    name = st.sampled_from(names)
    keys = data.draw(st.dictionaries(st.sampled_from("0123456789*#"), name, min_size=1))
    otherwise, after = data.draw(name), data.draw(name)
    flow = flow_of("n0", n0=menu(keys, otherwise), n1=collect("x", after, otherwise), n2=say(after, HELLO))
    assert sorted(targets(flow.nodes["n0"])) == sorted([*keys.values(), otherwise])
    assert sorted(targets(flow.nodes["n1"])) == sorted([after, otherwise])
    assert targets(flow.nodes["n2"]) == [after]
