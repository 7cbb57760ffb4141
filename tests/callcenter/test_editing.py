"""Changes by hand: checked, kept with what was before, undone unless somebody changed it since; and what a
configuration file may still say."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from callcenter.directory.directory import Directory
from callcenter.directory.editing import CODE, QUEUE, REASON, USER, Editor, Invalid
from callcenter.kernel.errors import NotAllowed
from config.settings import Settings
from tests.databases import Databases

ANN = {
    "login": "1001", "name": "王芳", "role": "agent", "device": "browser", "answer": "panel", "wrap_up_s": 30,
    "language": "zh", "skills": {"service": 5}, "active": True,
}  # fmt: skip


def configured(**agent: Any) -> Settings:
    agents = [
        {
            "login": "1001",
            "name": "王芳",
            "device": "browser",
            "skills": {"service": 5},
            "answer": "panel",
            **agent,
        }
    ]
    return Settings.model_validate(
        {"queues": [{"name": "service", "title": "服务", "skills": {"service": 1}}], "agents": agents}
    )


@pytest.fixture
def engine(records: Engine) -> Engine:
    Directory(configured(), records)
    return records


@pytest.fixture
def editor(engine: Any) -> Editor:
    clock = itertools.count(1_000)
    return Editor(engine, lambda: next(clock))


def refused(work: Any, *args: Any) -> str:
    with pytest.raises(NotAllowed) as caught:
        work(*args)
    return caught.value.code


def test_a_change_keeps_what_was_before_and_can_be_undone(editor: Editor) -> None:
    record, change = editor.put("9001", USER, {**ANN, "skills": {"service": 8}}, "1001")
    assert record["skills"] == {"service": 8}
    (row,) = editor.history(USER, "1001")
    assert (row["id"], row["actor"], row["before"]["skills"], row["undone"]) == (
        change,
        "9001",
        {"service": 5},
        False,
    )
    undone, second = editor.undo("9002", change)
    assert undone == ANN
    latest, first = editor.history()
    assert (latest["id"], latest["undoes"], first["undone"]) == (second, change, True)
    again, _ = editor.undo("9002", second)
    assert again == {**ANN, "skills": {"service": 8}}, "an undo can be undone"


def test_nobodys_later_work_is_undone(editor: Editor) -> None:
    _, change = editor.put("9001", USER, {**ANN, "wrap_up_s": 60}, "1001")
    editor.put("9002", USER, {**ANN, "wrap_up_s": 90}, "1001")
    assert refused(editor.undo, "9001", change) == "changed_since"
    assert refused(editor.undo, "9001", 99) == "unknown_change"


def test_what_was_made_new_goes_out_of_use_when_undone(editor: Editor) -> None:
    reason = {"code": "prayer", "title_zh": "祷告", "title_en": "prayer", "sort": 9, "active": True}
    _, change = editor.put("9001", REASON, reason)
    assert editor.undo("9001", change)[0] == {**reason, "active": False}
    assert next(one for one in editor.everything()[REASON] if one["code"] == "prayer")["active"] is False


def test_nothing_changed_is_no_change(editor: Editor) -> None:
    assert editor.put("9001", USER, ANN, "1001") == (ANN, 0)
    assert editor.history() == []


@pytest.mark.parametrize(
    ("kind", "values", "key", "code"),
    [
        ("nobody", ANN, "", "unknown_kind"),
        (USER, ANN, "", "key_taken"),
        (USER, {**ANN, "login": "1002"}, "1001", "key_stays"),
        (USER, {**ANN, "login": "1002"}, "1002", "unknown_record"),
        (USER, {**ANN, "role": "root"}, "1001", "invalid"),
        (USER, {**ANN, "device": "rm -rf"}, "1001", "invalid"),
        (USER, {**ANN, "skills": {"service": 11}}, "1001", "invalid"),
        (USER, {**ANN, "password_hash": "x"}, "1001", "invalid"),
        (QUEUE, {"name": "x y", "title": "x"}, "", "invalid"),
        (QUEUE, {"name": "x"}, "", "invalid"),
        (CODE, {"code": "Ä", "title_zh": "x", "title_en": "x"}, "", "invalid"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_changes_nothing(
    editor: Editor, kind: str, values: dict[str, Any], key: str, code: str
) -> None:
    before = editor.everything()
    assert refused(editor.put, "9001", kind, values, key) == code
    assert editor.everything() == before
    assert editor.history() == []


def test_a_refusal_names_the_field(editor: Editor) -> None:
    with pytest.raises(Invalid) as caught:
        editor.put("9001", USER, {**ANN, "wrap_up_s": -1}, "1001")
    assert caught.value.fields == {"wrap_up_s": "greater_than_equal"}


def test_the_last_administrator_stays(editor: Editor) -> None:
    boss = {**ANN, "login": "9001", "role": "administrator"}
    editor.put("9001", USER, boss)
    for change in ({"role": "agent"}, {"active": False}):
        assert refused(editor.put, "9001", USER, {**boss, **change}, "9001") == "last_administrator"
    editor.put("9001", USER, {**boss, "login": "9002"})
    assert editor.put("9001", USER, {**boss, "active": False}, "9001")[1]


def test_a_file_that_says_the_same_as_before_leaves_changes_by_hand(engine: Any, editor: Editor) -> None:
    editor.put("9001", USER, {**ANN, "skills": {"service": 9}}, "1001")
    editor.put("9001", QUEUE, {**editor.everything()[QUEUE][0], "target_s": 99}, "service")
    again = Directory(configured(), engine)
    assert (again.agents["1001"].skills, again.queues[0].target_s) == ({"service": 9}, 99)
    assert Directory(configured(name="王芳芳"), engine).agents["1001"].skills == {"service": 5}, (
        "a new word of the file counts"
    )


def test_what_is_out_of_use_is_not_served(engine: Any, editor: Editor) -> None:
    directory = Directory(configured(), engine)
    editor.put("9001", USER, {**ANN, "active": False}, "1001")
    directory.take(directory.read())
    assert (directory.agents, directory.people) == ({}, {})
    assert directory.policy().agents == {}


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(st.integers(0, 5).map(lambda n: ("put", n)), st.integers(1, 12).map(lambda n: ("undo", n))),
        max_size=12,
    )
)
def test_history_and_records_never_disagree(databases: Databases, steps: list[tuple[str, int]]) -> None:
    with databases.opened(databases.migrated) as made:
        Directory(configured(), made)
        editor = Editor(made, lambda: 1)
        for what, n in steps:
            try:
                if what == "put":
                    editor.put("a", USER, {**ANN, "wrap_up_s": n}, "1001")
                else:
                    editor.undo("a", n)
            except NotAllowed:
                pass
        changes = editor.history()
        now = editor.everything()[USER][0]
    assert now == (changes[0]["after"] if changes else ANN)
    for later, earlier in itertools.pairwise(changes):
        assert later["before"] == earlier["after"]
