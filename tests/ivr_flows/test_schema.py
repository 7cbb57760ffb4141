"""What a flow file may hold."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ivr_flows.schema import VERBS, Flow, Node, Words

HELLO = {"text": {"zh": "您好", "en": "hello"}}
GOOD: dict[str, dict[str, Any]] = {
    "say": {"words": [HELLO], "next": "b"},
    "menu": {"words": [HELLO], "keys": {"1": "b"}, "otherwise": "b"},
    "collect": {"words": [HELLO], "into": "x", "max_digits": 4, "next": "b", "otherwise": "b"},
    "lookup": {"name": "customer", "into": "x", "next": "b", "failed": "b"},
    "branch": {"value": "{{ x }}", "cases": {"a": "b"}, "otherwise": "b"},
    "set": {"values": {"x": "1"}, "next": "b"},
    "queue": {"queue": "service", "refused": "b"},
    "voicemail": {"words": [HELLO], "queue": "service", "next": "b", "failed": "b"},
    "goto": {"next": "b"},
    "end": {},
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_form(verb: str) -> None:
    node = Node.model_validate({verb: GOOD[verb]})
    assert node.verb == verb


def test_defaults_of_the_shipped_language() -> None:
    menu, collect = (
        Node.model_validate({"menu": GOOD["menu"]}).menu,
        Node.model_validate({"collect": GOOD["collect"]}).collect,
    )
    assert menu is not None
    assert collect is not None
    assert (menu.tries, menu.timeout_s) == (3, 5)
    assert (collect.tries, collect.min_digits, collect.terminator) == (3, 1, "#")


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "end"])
def test_a_part_that_is_missing_is_named(verb: str) -> None:
    for part in GOOD[verb]:
        if (verb, part) in {("set", "values")}:
            continue
        body = {name: value for name, value in GOOD[verb].items() if name != part}
        with pytest.raises(ValidationError, match=part):
            Node.model_validate({verb: body})


@pytest.mark.parametrize("verb", VERBS)
def test_a_part_too_many_is_named(verb: str) -> None:
    with pytest.raises(ValidationError, match="color"):
        Node.model_validate({verb: {**GOOD[verb], "color": "red"}})


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({}, "exactly one verb"),
        ({"goto": {"next": "b"}, "end": {}}, "exactly one verb"),
        ({"title": {"zh": "x", "en": "y"}}, "exactly one verb"),
        ({"dance": {"next": "b"}}, "dance"),
        ({"say": {"words": [], "next": "b"}}, "words"),
        ({"say": {"words": [{}], "next": "b"}}, "one of prompt, digits, text"),
        ({"say": {"words": [{"prompt": "a", "digits": "1"}], "next": "b"}}, "one of prompt, digits, text"),
        ({"say": {"words": [{"text": {"fr": "bonjour"}}], "next": "b"}}, "fr"),
        ({"say": {"words": [{"prompt": "Upper"}], "next": "b"}}, "prompt"),
        ({"menu": {**GOOD["menu"], "keys": {}}}, "expected keys"),
        ({"menu": {**GOOD["menu"], "keys": {"10": "b"}}}, "expected keys"),
        ({"menu": {**GOOD["menu"], "keys": {"A": "b"}}}, "expected keys"),
        ({"menu": {**GOOD["menu"], "tries": 0}}, "tries"),
        ({"menu": {**GOOD["menu"], "timeout_s": 0}}, "timeout_s"),
        ({"menu": {**GOOD["menu"], "timeout_s": 3600}}, "timeout_s"),
        ({"collect": {**GOOD["collect"], "min_digits": 5}}, "min_digits <= max_digits"),
        ({"collect": {**GOOD["collect"], "max_digits": 0}}, "max_digits"),
        ({"collect": {**GOOD["collect"], "max_digits": 100}}, "max_digits"),
        ({"collect": {**GOOD["collect"], "terminator": "9"}}, "terminator"),
        ({"end": {"outcome": "exploded"}}, "outcome"),
        ({"goto": {"next": "No Node"}}, "next"),
    ],
)
def test_what_a_node_may_not_be(node: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Node.model_validate(node)


@pytest.mark.parametrize("key", list("0123456789*#"))
def test_every_key_of_a_telephone(key: str) -> None:
    node = Node.model_validate({"menu": {**GOOD["menu"], "keys": {key: "b"}}})
    assert node.menu is not None
    assert node.menu.keys == {key: "b"}


@pytest.mark.parametrize("key", ["", "1\n", " 1", "12", "①", "１", "A", "-"])
def test_nothing_else_is_a_key(key: str) -> None:
    with pytest.raises(ValidationError, match="keys"):
        Node.model_validate({"menu": {**GOOD["menu"], "keys": {key: "b"}}})


@pytest.mark.parametrize("name", ["Hot Line", "1st", "", "x" * 60, "热线"])
def test_names_are_plain(name: str) -> None:
    with pytest.raises(ValidationError):
        Flow.model_validate({"flow": name, "start": "a", "nodes": {"a": {"end": {}}}})
    with pytest.raises(ValidationError):
        Flow.model_validate({"flow": "f", "start": "a", "nodes": {"a": {"end": {}}, name: {"end": {}}}})


def test_a_flow_is_not_changed_after_it_was_read() -> None:
    with pytest.raises(ValidationError):
        Words(prompt="a").prompt = "b"  # type: ignore[misc]
