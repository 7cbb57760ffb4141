"""Messages as history and found by their words, on SQLite and on PostgreSQL, over a rebuild and an erased person."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from callcenter.history import HistoryFollower, rebuild
from callcenter.journal import private, store
from callcenter.journal.private import PrivateStore
from callcenter.messaging.archive import Index, MessageFold, MessageSearch, TooShort, Wanted, forget, terms_of
from crm_core.db import migrate, open_engine
from tests.callcenter.centre import MASTER
from tests.postgres import Postgres, postgres

__all__ = ["postgres"]
START = 1_767_600_000_000
_NAMES = itertools.count(1)


class Archive:
    """A journal with messages, and history made of it."""

    def __init__(self, records: Engine) -> None:
        self.records = records
        self.journal = store.connect(Path(":memory:"))
        self.private = PrivateStore(self.journal, MASTER)
        self.index = Index(MASTER.index_key("messages"))
        self.search = MessageSearch(records, self.index, self.private.get)
        self.seq = 0

    def write(self, *facts: dict[str, Any]) -> None:
        self.seq += 1
        pending = self.private.take_pending()
        self.journal.executemany("INSERT OR IGNORE INTO person_keys VALUES (?, ?)", pending.person_keys)
        self.journal.executemany("INSERT OR REPLACE INTO private VALUES (?, ?, ?)", pending.private)
        self.private.saved(pending)
        row = (self.seq, 1, START + self.seq, store.pack(list(facts)), store.pack([]))
        self.journal.execute("INSERT INTO activations VALUES (?, ?, ?, ?, ?)", row)

    def begin(
        self, name: str, person: str, customer: int = 0, agent: str = "", medium: str = "email"
    ) -> None:
        self.private.put(person, f"{name}.party", person)
        started = {
            "k": "InteractionStarted", "interaction": name, "medium": medium, "direction": "in", "number": "n",
            "worker": "", "leg": "", "party_ref": f"{name}.party", "occurred_at_ms": START + self.seq, "org_id": 1,
        }  # fmt: skip
        facts = [started]
        if customer:
            facts.append({"k": "CustomerMatched", "interaction": name, "customer": customer})
        self.write(*facts)
        if agent:
            answered = {
                "k": "InteractionAnswered", "interaction": name, "contact": "c", "offer": "o", "agent": agent,
                "leg": "", "occurred_at_ms": START + self.seq,
            }  # fmt: skip
            self.write(answered)

    def say(self, name: str, person: str, words: str, by: str = "") -> str:
        message = f"m1-{next(_NAMES)}"
        self.private.put(person, message, words)
        fact = {
            "interaction": name,
            "message": message,
            "client": "",
            "ref": message,
            "occurred_at_ms": START + self.seq,
        }
        self.write({"k": "MessageSent", "by": by, **fact} if by else {"k": "MessageReceived", **fact})
        return message

    def make(self) -> None:
        rebuild(self.records, self.journal, lambda _done: None, MessageFold(self.private.get, self.index))

    def find(self, words: str = "", **more: Any) -> list[str]:
        return [row["text"] for row in self.search.find(Wanted(words, **more))]

    def rows(self) -> list[Any]:
        with self.records.connect() as connection:
            return [
                tuple(row) for row in connection.execute(text("SELECT * FROM written_messages ORDER BY id"))
            ]


@pytest.fixture(params=["sqlite", "postgresql"])
def archive(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> Iterator[Archive]:
    name = f"archive{next(_NAMES)}"
    url = f"sqlite:///{tmp_path}/records.db" if request.param == "sqlite" else postgres.create(name)
    records = open_engine(url)
    migrate(records)
    made = Archive(records)
    yield made
    made.journal.close()
    records.dispose()
    if request.param != "sqlite":
        postgres.drop(name)


def fill(archive: Archive) -> None:
    archive.begin("i1-1", "zhang", 7, "ann")
    archive.say("i1-1", "zhang", "我想变更缴费日期，保单号 P2026-0011。")
    archive.say("i1-1", "zhang", "您好，缴费日期可以变更。", by="ann")
    archive.begin("i1-2", "li", 8, "bob")
    archive.say("i1-2", "li", "日期缴费有问题")
    archive.say("i1-2", "li", "Please change my Payment date")
    archive.begin("i1-3", "wang", medium="chat")
    archive.say("i1-3", "wang", "缴费成功了吗")
    archive.make()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("缴费日期", ["您好，缴费日期可以变更。", "我想变更缴费日期，保单号 P2026-0011。"]),
        ("缴费", ["缴费成功了吗", "日期缴费有问题", "您好，缴费日期可以变更。", "我想变更缴费日期，保单号 P2026-0011。"]),
        ("日期缴费", ["日期缴费有问题"]),
        ("p2026", ["我想变更缴费日期，保单号 P2026-0011。"]),
        ("ＰＡＹＭＥＮＴ change", ["Please change my Payment date"]),
        ("pay", []),
        ("缴费 可以", ["您好，缴费日期可以变更。"]),
        ("没有的话", []),
        ("%' OR 1=1 --_", []),
        ('"缴费" AND *', ["缴费成功了吗", "日期缴费有问题", "您好，缴费日期可以变更。", "我想变更缴费日期，保单号 P2026-0011。"]),
    ],
)  # fmt: skip
def test_words_are_found_newest_first(archive: Archive, words: str, found: list[str]) -> None:
    fill(archive)
    if "AND" in words:
        archive.say("i1-3", "wang", "and 缴费")
        archive.make()
        assert archive.find(words)[0] == "and 缴费"
    else:
        assert archive.find(words) == found


def test_customer_agent_time_and_organisation_narrow_it_down(archive: Archive) -> None:
    fill(archive)
    assert archive.find("缴费", customer=8) == ["日期缴费有问题"]
    assert archive.find("缴费", agent="ann") == [
        "您好，缴费日期可以变更。",
        "我想变更缴费日期，保单号 P2026-0011。",
    ]
    assert archive.find(customer=7) == ["您好，缴费日期可以变更。", "我想变更缴费日期，保单号 P2026-0011。"]
    assert archive.find("缴费", since_ms=START + 8) == ["缴费成功了吗"]
    assert archive.find("缴费", until_ms=START + 3) == ["我想变更缴费日期，保单号 P2026-0011。"]
    assert archive.find("缴费", org_ids=(2,)) == []
    assert len(archive.find("缴费", limit=2)) == 2


@pytest.mark.parametrize("words", ["", " ", "缴", "a", "。！"])
def test_what_is_too_short_is_refused(archive: Archive, words: str) -> None:
    with pytest.raises(TooShort):
        archive.find(words)


def test_a_rebuild_gives_the_same_rows_and_finds_the_same(archive: Archive) -> None:
    fill(archive)
    rows, found = archive.rows(), archive.find("缴费")
    archive.make()
    assert (archive.rows(), archive.find("缴费")) == (rows, found)


def test_however_often_the_follower_begins_anew_the_index_is_the_same(archive: Archive) -> None:
    """A core that dies after every activation, agents who hand on, messages that move; and the rebuild in one go."""

    def follow() -> None:
        fold = MessageFold(archive.private.get, archive.index)
        HistoryFollower(archive.records, archive.journal, lambda _seq: None, fold).close()

    def step(*facts: dict[str, Any]) -> None:
        archive.write(*facts)
        follow()

    def words() -> list[tuple[int, list[str]]]:
        column = "rowid" if archive.records.dialect.name == "sqlite" else "id"
        with archive.records.connect() as connection:
            rows = connection.execute(text(f"SELECT {column}, words FROM message_words ORDER BY 1"))
            return [(n, sorted(found.split() if isinstance(found, str) else found)) for n, found in rows]

    def answered(name: str, agent: str) -> dict[str, Any]:
        at_ms = START + archive.seq
        return {
            "k": "InteractionAnswered", "interaction": name, "contact": "c", "offer": "o", "agent": agent, "leg": "",
            "occurred_at_ms": at_ms,
        }  # fmt: skip

    archive.begin("i1-1", "zhang", 7)
    archive.begin("i1-2", "zhang", 7)
    follow()
    for name in ("i1-1", "i1-2"):
        archive.say(name, "zhang", f"缴费日期 {name}")
        follow()
    step(answered("i1-1", "ann"))
    moving = archive.say("i1-1", "zhang", "缴费日期 之后")
    follow()
    queued = {"k": "InteractionQueued", "interaction": "i1-1", "contact": "c2", "queue": "q"}
    step({**queued, "occurred_at_ms": START + archive.seq})
    step(answered("i1-1", "bob"))
    archive.say("i1-1", "zhang", "缴费日期 再后")
    follow()
    step(answered("i1-2", "cat"))
    step(
        {
            "k": "MessagesMoved",
            "interaction": "i1-1",
            "to": "i1-2",
            "messages": [moving],
            "by": "bob",
            "occurred_at_ms": START,
        }
    )
    before = words()
    assert len(archive.find("缴费日期", agent="ann")) == 3
    assert len(archive.find("缴费日期", agent="bob")) == 3
    assert len(archive.find("缴费日期", agent="cat")) == 2
    archive.make()
    assert words() == before


def test_an_erased_person_is_not_found_and_leaves_no_words_in_the_index(archive: Archive) -> None:
    fill(archive)
    refs = [row[0] for row in archive.journal.execute("SELECT ref FROM private WHERE person = 'zhang'")]
    with archive.records.begin() as connection:
        assert forget(connection, refs) == 2
    private.erase(archive.journal, "zhang")
    archive.private.forget("zhang")
    assert archive.find("缴费日期") == []
    before = archive.rows()
    archive.make()
    assert archive.rows() == before
    with archive.records.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM message_words")).scalar() == 3


def test_messages_that_moved_and_letters_that_changed_are_shown_as_they_are_now(archive: Archive) -> None:
    fill(archive)
    message = archive.say("i1-1", "zhang", "更正前", by="ann")
    archive.private.put("zhang", f"{message}.2", "更正后的回复")
    changed = {
        "k": "LetterChanged",
        "interaction": "i1-1",
        "message": message,
        "ref": f"{message}.2",
        "head_ref": "",
    }
    archive.write({**changed, "by": "8001", "occurred_at_ms": START})
    moved = {"k": "MessagesMoved", "interaction": "i1-1", "to": "i1-2", "messages": [message], "by": "ann"}
    archive.write({**moved, "occurred_at_ms": START})
    archive.make()
    last = archive.search.history(["i1-2"])[-1]
    assert (last["message"], last["text"], last["state"]) == (message, "更正后的回复", "waiting")


def test_terms_are_words_and_pairs() -> None:
    assert terms_of("缴费日期 ABC-12, ｄｅｆ") == {"缴费", "费日", "日期", "abc", "12", "def"}
    assert terms_of("好") == {"好"}
    assert len(terms_of(" ".join(f"w{n}" for n in range(9_000)))) <= 2_001
