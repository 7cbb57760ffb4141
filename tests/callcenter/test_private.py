"""Personal data beside the journal; erasing a person empties it for ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callcenter.journal import store
from callcenter.journal.private import PrivateStore, erase
from callcenter.kernel.envelope import MasterKey

MASTER = MasterKey(bytes(range(32)))
PHONE, OTHER = "+8613800138000", "+8613900139000"


class Disk:
    """A journal file; `write` is what the writer does with pending rows."""

    def __init__(self) -> None:
        self.connection = store.connect(Path(":memory:"))

    def open(self, master: MasterKey = MASTER) -> PrivateStore:
        return PrivateStore(self.connection, master)

    def write(self, private: PrivateStore) -> None:
        pending = private.take_pending()
        self.connection.executemany("INSERT OR IGNORE INTO person_keys VALUES (?, ?)", pending.person_keys)
        self.connection.executemany("INSERT OR REPLACE INTO private VALUES (?, ?, ?)", pending.private)


@pytest.fixture
def disk() -> Iterator[Disk]:
    made = Disk()
    yield made
    made.connection.close()


def test_a_text_is_there_at_once_and_after_a_restart(disk: Disk) -> None:
    private = disk.open()
    ref = private.put(private.person_of(PHONE), "i1-1.party", PHONE)
    assert ref == "i1-1.party"
    assert private.get(ref) == PHONE
    assert disk.open().get(ref) == "", "not committed yet"
    disk.write(private)
    assert private.get(ref) == PHONE
    assert disk.open().get(ref) == PHONE


def test_what_never_was_is_empty(disk: Disk) -> None:
    assert disk.open().get("") == ""
    assert disk.open().get("i9-9.party") == ""


def test_a_later_text_under_the_same_reference_counts(disk: Disk) -> None:
    private = disk.open()
    for text in ("{}", '{"topic": "agent"}'):
        private.put(private.person_of(PHONE), "i1-1.vars", text)
        disk.write(private)
    assert disk.open().get("i1-1.vars") == '{"topic": "agent"}'


def test_one_person_has_one_key_over_restarts(disk: Disk) -> None:
    for n in range(3):
        private = disk.open()
        private.put(private.person_of(PHONE), f"i{n}.party", PHONE)
        disk.write(private)
    (keys,) = disk.connection.execute("SELECT count(*) FROM person_keys").fetchone()
    assert keys == 1
    assert [disk.open().get(f"i{n}.party") for n in range(3)] == [PHONE] * 3


def test_rows_are_handed_out_once(disk: Disk) -> None:
    private = disk.open()
    private.put(private.person_of(PHONE), "a", "x")
    first = private.take_pending()
    assert (len(first.person_keys), len(first.private)) == (1, 1)
    private.put(private.person_of(PHONE), "b", "y")
    second = private.take_pending()
    assert (len(second.person_keys), len(second.private)) == (0, 1)
    assert private.take_pending().private == []


def test_nothing_readable_is_on_the_disk(tmp_path: Path) -> None:
    connection = store.connect(tmp_path / "j.db")
    private = PrivateStore(connection, MASTER)
    private.put(private.person_of(PHONE), "i1-1.party", PHONE)
    private.put(private.person_of(PHONE), "i1-1.note", "要求回电，保单号 P2026")
    pending = private.take_pending()
    connection.executemany("INSERT INTO person_keys VALUES (?, ?)", pending.person_keys)
    connection.executemany("INSERT INTO private VALUES (?, ?, ?)", pending.private)
    connection.close()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (PHONE, "13800138000", "要求回电", "P2026"):
        assert secret.encode() not in content
    assert b"i1-1.party" in content


def test_an_erased_person_is_empty_for_ever_and_others_stay(disk: Disk) -> None:
    private = disk.open()
    for number, ref in ((PHONE, "i1.party"), (PHONE, "i2.party"), (OTHER, "i3.party")):
        private.put(private.person_of(number), ref, number)
    disk.write(private)
    assert erase(disk.connection, private.person_of(PHONE))
    later = disk.open()
    assert [later.get(ref) for ref in ("i1.party", "i2.party", "i3.party")] == ["", "", OTHER]
    assert not erase(disk.connection, later.person_of(PHONE)), "there is nothing left to destroy"


def test_the_rows_of_an_erased_person_stay_in_their_place(disk: Disk) -> None:
    private = disk.open()
    private.put(private.person_of(PHONE), "i1.party", PHONE)
    disk.write(private)
    erase(disk.connection, private.person_of(PHONE))
    assert disk.connection.execute("SELECT count(*) FROM private").fetchone() == (1,)


def test_erasing_reaches_the_core_that_runs(disk: Disk) -> None:
    """What lies in the memory of the running core is gone too."""
    private = disk.open()
    person = private.person_of(PHONE)
    private.put(person, "i1.party", PHONE)
    disk.write(private)
    assert private.get("i1.party") == PHONE
    erase(disk.connection, person)
    private.forget(person)
    assert private.get("i1.party") == ""


def test_somebody_who_calls_again_after_being_erased_gets_a_new_key(disk: Disk) -> None:
    private = disk.open()
    person = private.person_of(PHONE)
    private.put(person, "i1.party", PHONE)
    disk.write(private)
    erase(disk.connection, person)
    private.forget(person)
    private.put(person, "i2.party", PHONE)
    disk.write(private)
    assert private.get("i2.party") == PHONE
    later = disk.open()
    assert (later.get("i1.party"), later.get("i2.party")) == ("", PHONE)


def test_texts_do_not_pile_up_in_memory(disk: Disk) -> None:
    """A core runs for months."""
    private = disk.open()
    for n in range(30_000):
        private.put("p1", f"i{n}.party", "x" * 20)
        if n % 100 == 0:
            disk.write(private)
    disk.write(private)
    assert len(private._texts) < 25_000
    assert private.get("i5.party") == "x" * 20


def test_a_key_that_waits_for_its_commit_is_not_made_twice(disk: Disk) -> None:
    """However many strangers call between two commits."""
    private = disk.open()
    private.put("p0", "first", "one")
    for n in range(1, 10_050):
        private.put(f"p{n}", f"r{n}", "x")
    private.put("p0", "second", "two")
    disk.write(private)
    later = disk.open()
    assert (later.get("first"), later.get("second")) == ("one", "two")


def test_another_master_key_does_not_open_it(disk: Disk) -> None:
    private = disk.open()
    private.put("p1", "i1.party", PHONE)
    disk.write(private)
    with pytest.raises(ValueError, match="does not open"):
        disk.open(MasterKey(bytes(32))).get("i1.party")


def test_a_text_moved_under_another_reference_does_not_open(disk: Disk) -> None:
    private = disk.open()
    private.put("p1", "i1.party", PHONE)
    disk.write(private)
    disk.connection.execute("UPDATE private SET ref = 'i2.party'")
    try:
        assert disk.open().get("i2.party") == ""
    except ValueError as refused:
        assert PHONE not in str(refused)


def test_a_persons_id_is_stable_and_unreadable(disk: Disk) -> None:
    person = disk.open().person_of(PHONE)
    assert person == disk.open().person_of(PHONE) != disk.open().person_of(OTHER)
    assert "138" not in person or PHONE[1:] not in person


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.text(max_size=30), st.booleans()),
        max_size=15,
    )
)
def test_the_last_text_of_each_reference_is_what_is_read(puts: list[tuple[str, str, str, bool]]) -> None:
    disk, wanted = Disk(), {}
    private = disk.open()
    for person, ref, text, commit in puts:
        private.put(person, ref, text)
        wanted[ref] = text
        if commit:
            disk.write(private)
            private = disk.open()
    disk.write(private)
    later = disk.open()
    assert {ref: later.get(ref) for ref in wanted} == wanted
    disk.connection.close()
