"""What widgets say, and what none of ours says."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.webchat import translate as t


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ({"start": {"lang": "en"}}, t.Start("en", "")),
        ({"start": {"lang": "fr", "identity": "a.b.c"}}, t.Start("zh", "a.b.c")),
        ({"start": None}, t.Start("zh", "")),
        ({"resume": "i1-1.x", "after": 7}, t.Resume("i1-1.x", 7)),
        ({"send": "您好", "id": "k-1"}, t.Send("k-1", "您好")),
        ({"read": 3}, t.Read(3)),
        ({"typing": True}, t.Typing()),
        ({"leave": True}, t.Leave()),
        ({"beat": True}, t.Beat()),
    ],
)
def test_words(frame: Any, said: t.Said) -> None:
    assert t.parse(json.dumps(frame)) == said


@pytest.mark.parametrize(
    "frame",
    [
        "", "null", "[]", "{", '{"x":1}', '{"resume":1}', '{"resume":"v","after":-1}', '{"resume":"v","after":true}',
        '{"resume":"v","after":99999999999}', '{"send":"x"}', '{"send":"x","id":""}', '{"send":"x","id":"a b"}',
        '{"send":"x","id":"%s"}' % ("i" * 65), '{"send":1,"id":"a"}', '{"send":"\\ud800","id":"a"}', '{"read":"1"}',
        '{"read":1.5}', '{"start":{"identity":5}}', "[" * 5_000, '{"send":"%s","id":"a"}' % ("x" * 20_001),
    ],
)  # fmt: skip
def test_nonsense_is_said_to_be_nonsense(frame: str) -> None:
    with pytest.raises(t.Nonsense):
        t.parse(frame)


@given(
    st.text(max_size=200)
    | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(json.dumps)
)
def test_no_frame_breaks_it(frame: str) -> None:
    with contextlib.suppress(t.Nonsense):
        t.parse(frame)
