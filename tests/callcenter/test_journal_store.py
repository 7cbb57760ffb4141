"""The journal's file: epochs, rows in order, snapshots that may be broken."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.journal import store


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = store.connect(tmp_path / "deep" / "journal.db")
    yield connection
    connection.close()


def put(connection: sqlite3.Connection, seq: int, now_ms: int = 0, **fact: Any) -> None:
    connection.execute(
        "INSERT INTO activations VALUES (?, 1, ?, ?, ?)",
        (seq, now_ms, store.pack([fact] if fact else []), store.pack([])),
    )


def snapshot(connection: sqlite3.Connection, seq: int, **state: Any) -> None:
    row = store.snapshot_row(seq, 5, {"seq": seq, **state})
    connection.execute("INSERT INTO snapshots VALUES (?, ?, ?, ?, ?)", row)


def test_a_new_file_has_everything_and_opening_it_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    for _ in range(2):
        connection = store.connect(path)
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2, "FULL: committed is on the disk"
        assert connection.execute("PRAGMA user_version").fetchone()[0] == store.SCHEMA_VERSION
        assert store.last_moment(connection) == (0, 0)
        connection.close()


def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    connection = store.connect(path)
    connection.execute(f"PRAGMA user_version={store.SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(store.JournalTooNew, match=str(store.SCHEMA_VERSION + 1)):
        store.connect(path)


def test_every_start_takes_the_next_epoch_and_it_is_committed(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    taken = []
    for start in range(4):
        connection = store.connect(path)
        taken.append(store.take_epoch(connection, 1_000 + start))
        connection.close()
    assert taken == [1, 2, 3, 4]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT epoch, started_at_ms FROM epochs").fetchall() == [
            (n + 1, 1_000 + n) for n in range(4)
        ]
    connection.close()


def test_two_starts_at_once_take_different_epochs(tmp_path: Path) -> None:
    one, other = store.connect(tmp_path / "j.db"), store.connect(tmp_path / "j.db")
    assert store.take_epoch(one, 1) != store.take_epoch(other, 1)
    one.close()
    other.close()


def test_rows_come_in_order_from_where_one_asks(journal: sqlite3.Connection) -> None:
    for seq in (3, 1, 2, 4):
        put(journal, seq, seq * 10, k="AgentReady", agent=f"a{seq}")
    rows = list(store.rows_after(journal, 2))
    assert [(row.seq, row.epoch, row.now_ms) for row in rows] == [(3, 1, 30), (4, 1, 40)]
    assert rows[0].facts == [{"k": "AgentReady", "agent": "a3"}]
    assert rows[0].commands == []
    assert store.last_moment(journal) == (4, 40)
    assert list(store.rows_after(journal, 4)) == []


def test_what_a_worker_was_acknowledged(journal: sqlite3.Connection) -> None:
    assert store.acknowledged(journal, "aaaa") == 0
    journal.execute("INSERT INTO worker_acks VALUES ('aaaa', 42)")
    assert (store.acknowledged(journal, "aaaa"), store.acknowledged(journal, "bbbb")) == (42, 0)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.text(max_size=10)
        | st.floats(allow_nan=False),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=5) | st.integers(0, 9), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_what_is_packed_is_what_comes_out(value: Any) -> None:
    assert store.unpack(store.pack(value)) == value


# --- snapshots ---------------------------------------------------------------------------------------


def test_there_may_be_none(journal: sqlite3.Connection) -> None:
    assert store.newest_snapshot(journal) is None


def test_the_newest_is_taken(journal: sqlite3.Connection) -> None:
    snapshot(journal, 10, book=["old"])
    snapshot(journal, 20, book=["new"])
    assert store.newest_snapshot(journal) == {"seq": 20, "book": ["new"]}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE snapshots SET state = substr(state, 1, length(state) - 3) WHERE seq = 20",
        "UPDATE snapshots SET state = x'00' WHERE seq = 20",
        "UPDATE snapshots SET checksum = 'nonsense' WHERE seq = 20",
        "UPDATE snapshots SET version = 99 WHERE seq = 20",
        "UPDATE snapshots SET state = x'' WHERE seq = 20",
    ],
)
def test_one_that_cannot_be_read_is_passed_over(journal: sqlite3.Connection, damage: str) -> None:
    snapshot(journal, 10, book=["old"])
    snapshot(journal, 20, book=["new"])
    journal.execute(damage)
    assert store.newest_snapshot(journal) == {"seq": 10, "book": ["old"]}
    journal.execute("UPDATE snapshots SET checksum = ''")
    assert store.newest_snapshot(journal) is None


def test_a_snapshot_holds_no_pickle(journal: sqlite3.Connection) -> None:
    import zlib

    snapshot(journal, 10, text="您好")
    (blob,) = journal.execute("SELECT state FROM snapshots").fetchone()
    assert store.unpack(zlib.decompress(blob)) == {"seq": 10, "text": "您好"}
