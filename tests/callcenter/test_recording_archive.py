"""The archive of recordings: searched against a naive filter, opened, verified, exported; real sealed files throughout."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from callcenter.cli import recordings as cli
from callcenter.history import rebuild
from callcenter.journal import store
from callcenter.journal.private import PrivateStore, erase
from callcenter.kernel.envelope import MASTER_KEY_ENV, MasterKey
from callcenter.kernel.errors import NotAllowed
from callcenter.kernel.sealed_file import CHUNK, MAGIC, Sealed, digest_of, seal_file
from callcenter.live import facts as f
from callcenter.projection import SEGMENT_COLUMNS
from callcenter.recordings import FIELDS, MOST_FOUND, RecordingArchive
from config.settings import load
from crm_core.db import open_engine
from tests.callcenter.centre import MASTER, START_MS, Centre
from tests.callcenter.test_keeper import interaction_row, recording_row, replace_rows, shared
from tests.config.test_settings import EXAMPLE
from tests.databases import Files

__all__ = ["shared"]  # a fixture

Row = dict[str, Any]
NOBODY = "+8613900139000"
PEOPLE = ["+8613800138000", "+8613800138001", "+861065432100"]


# --- finding -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def parties() -> sqlite3.Connection:
    """The party of call n is person n % 3; call 9 has none."""
    connection = store.connect(Path(":memory:"))
    private = PrivateStore(connection, MASTER)
    for n in range(9):
        number = PEOPLE[n % 3]
        private.put(private.person_of(number), f"i{n}.party", number)
        private.put(private.person_of(number), f"i{n}.note", "a note is no party")
    pending = private.take_pending()
    connection.executemany("INSERT INTO person_keys VALUES (?, ?)", pending.person_keys)
    connection.executemany("INSERT INTO private VALUES (?, ?, ?)", pending.private)
    return connection


def copy_of(connection: sqlite3.Connection) -> sqlite3.Connection:
    """For a reader that closes it."""
    copied = sqlite3.connect(":memory:")
    connection.backup(copied)
    return copied


AGENTS = ["ann", "bob", "eve"]
CALLS = st.fixed_dictionaries(
    {
        "queue": st.sampled_from(["", "service", "complaints"]),
        "number": st.sampled_from(["95519", "95500"]),
        "direction": st.sampled_from(["in", "out"]),
        "outcome": st.sampled_from(["answered", "cut_off"]),
        "wrap_up_code": st.sampled_from(["", "enquiry_answered"]),
        "customer_id": st.sampled_from([None, 1, 2]),
        "agents": st.lists(st.sampled_from(AGENTS), max_size=2, unique=True),
    }
)
SOUNDS = st.fixed_dictionaries(
    {
        "call": st.integers(0, 9),
        "kind": st.sampled_from(["call", "voicemail"]),
        "state": st.sampled_from(["saved", "recording", "failed", "deleted"]),
        "held": st.integers(0, 1),
        "started_at_ms": st.integers(START_MS, START_MS + 5),
        "duration_ms": st.integers(0, 5),
    }
)
WANTED = st.fixed_dictionaries(
    {},
    optional={
        "queue": st.sampled_from(["", "service", "complaints", "none"]),
        "number": st.sampled_from(["", "95519", "95500"]),
        "direction": st.sampled_from(["", "in", "out"]),
        "outcome": st.sampled_from(["", "answered", "cut_off"]),
        "wrap_up": st.sampled_from(["", "enquiry_answered"]),
        "customer": st.sampled_from([None, 0, 1, 2]),
        "interaction": st.sampled_from(["", "i0", "i5", "i"]),
        "kind": st.sampled_from(["", "call", "voicemail"]),
        "state": st.sampled_from(["", "saved", "deleted"]),
        "held": st.sampled_from([None, True, False]),
        "since_ms": st.one_of(st.none(), st.integers(START_MS - 1, START_MS + 6)),
        "until_ms": st.one_of(st.none(), st.integers(START_MS - 1, START_MS + 6)),
        "longer_ms": st.one_of(st.none(), st.integers(0, 6)),
        "agent": st.sampled_from(["", *AGENTS]),
        "party": st.sampled_from(["", NOBODY, *PEOPLE]),
        "unheard_of": st.just("passes by"),
    },
)


def fits(sound: Row, number: int, call: Row, wanted: Row) -> bool:
    """As somebody would who goes through the list with a pencil."""
    found = {
        "queue": call["queue"],
        "number": call["number"],
        "direction": call["direction"],
        "outcome": call["outcome"],
        "wrap_up": call["wrap_up_code"],
        "customer": call["customer_id"],
        "interaction": f"i{number}",
        "kind": sound["kind"],
        "state": sound["state"],
        "held": bool(sound["held"]),
        "party": PEOPLE[number % 3] if number < 9 else "none",
    }
    for name, value in wanted.items():
        if value is None or value == "":
            continue
        if name in found and found[name] != value:
            return False
        if name == "since_ms" and sound["started_at_ms"] < value:
            return False
        if name == "until_ms" and sound["started_at_ms"] >= value:
            return False
        if name == "longer_ms" and sound["duration_ms"] < value:
            return False
        if name == "agent" and value not in call["agents"]:
            return False
    return True


def segment_row(interaction: str, n: int, agent: str, kind: str = "talking") -> Row:
    row: Row = dict.fromkeys(SEGMENT_COLUMNS, "")
    row.update(interaction_id=interaction, n=n, org_id=1, kind=kind, agent=agent)
    row.update(started_at_ms=START_MS, ended_at_ms=START_MS)
    return row


@settings(max_examples=120)
@given(calls=st.lists(CALLS, min_size=10, max_size=10), sounds=st.lists(SOUNDS, max_size=12), wanted=WANTED)
def test_what_is_found_is_what_a_pencil_would_find(
    shared: Engine, parties: sqlite3.Connection, calls: list[Row], sounds: list[Row], wanted: Row
) -> None:
    interactions = [
        interaction_row(
            f"i{n}",
            **{name: value for name, value in call.items() if name != "agents"},
            party_ref=f"i{n}.party" if n < 9 else "",
            agent=call["agents"][-1] if call["agents"] else "",
        )
        for n, call in enumerate(calls)
    ]
    segments = [
        segment_row(f"i{number}", n, agent)
        for number, call in enumerate(calls)
        for n, agent in enumerate(call["agents"], 1)
    ]
    recordings = [
        recording_row(
            f"r{n:02}",
            f"i{sound['call']}",
            **{name: value for name, value in sound.items() if name != "call"},
            marks='[["paused", 5]]' if n % 2 else "",
        )
        for n, sound in enumerate(sounds)
    ]
    replace_rows(shared, interactions=interactions, segments=segments, recordings=recordings)
    expected = [
        (f"r{n:02}", sound)
        for n, sound in enumerate(sounds)
        if fits(sound, sound["call"], calls[sound["call"]], wanted)
    ]
    expected.sort(key=lambda one: (-one[1]["started_at_ms"], one[0]))
    archive = RecordingArchive(shared, lambda: copy_of(parties), MASTER)
    found = archive.find(wanted)
    assert [row["id"] for row in found] == [name for name, _sound in expected]
    for row in found:
        number = int(row["id"][1:])
        assert row["held"] is bool(sounds[number]["held"])
        assert row["marks"] == ([["paused", 5]] if number % 2 else [])
        assert archive.get(row["id"]) == row


def test_every_field_is_in_the_pencils_list() -> None:
    assert set(FIELDS) == {
        *("queue", "number", "direction", "outcome", "wrap_up", "customer", "interaction", "kind", "state"),
        *("held", "since_ms", "until_ms", "longer_ms", "agent", "party"),
    }


def test_at_most_so_many_are_found_the_newest(shared: Engine, parties: sqlite3.Connection) -> None:
    sounds = [recording_row(f"r{n:03}", "i", started_at_ms=START_MS + n) for n in range(MOST_FOUND + 5)]
    replace_rows(shared, interactions=[interaction_row("i")], recordings=sounds)
    found = RecordingArchive(shared, lambda: copy_of(parties), MASTER).find({})
    assert [row["id"] for row in found] == [f"r{n:03}" for n in range(MOST_FOUND + 4, 4, -1)]


def test_whose_telephone_only_rang_has_no_part_in_the_recording(
    shared: Engine, parties: sqlite3.Connection
) -> None:
    """Ann did not answer; bob did."""
    replace_rows(
        shared,
        interactions=[interaction_row("i", agent="bob")],
        segments=[segment_row("i", 1, "ann", "ringing"), segment_row("i", 2, "bob")],
        recordings=[recording_row("r", "i")],
    )
    archive = RecordingArchive(shared, lambda: copy_of(parties), MASTER)
    assert len(archive.find({"agent": "bob"})) == 1
    assert archive.find({"agent": "ann"}) == []


def test_a_name_that_is_no_field_is_no_sql(shared: Engine, parties: sqlite3.Connection) -> None:
    replace_rows(shared, interactions=[interaction_row("i")], recordings=[recording_row("r", "i")])
    archive = RecordingArchive(shared, lambda: copy_of(parties), MASTER)
    assert len(archive.find({"1 = 0 --": "x"})) == 1
    assert archive.find({"queue": "' OR 1 = 1 --"}) == []
    assert archive.find({"party": "%"}) == []


# --- a shelf of real files -----------------------------------------------------------------------------


class Shelf:
    """A centre's journal and history, and sealed files of known content."""

    def __init__(self, records: Engine, folder: Path) -> None:
        self.records, self.folder = records, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.centre = Centre()
        self.private = self.centre.private
        self.archive = RecordingArchive(records, lambda: copy_of(self.centre.journal.connection), MASTER)

    def put(self, name: str, content: bytes = b"sound", person: str = PEOPLE[0]) -> Path:
        """A call with one recording, which is called as the call is."""
        ref = self.private.put(self.private.person_of(person), f"{name}.party", person)
        self.submit(f.InteractionStarted(name, "voice", "in", "95519", "w", f"leg-{name}", ref, START_MS))
        path, sealed = self.seal(name, content, person)
        stem = str(path.with_suffix(""))
        self.submit(
            f.RecordingStarted(name, f"{stem}-caller.wav", f"{stem}-agent.wav", START_MS),
            f.RecordingSaved(name, str(path), 5, sealed.sha256, sealed.size),
            f.InteractionEnded(name, "answered", "normal", "caller", START_MS),
        )
        return path

    def seal(self, name: str, content: bytes, person: str) -> tuple[Path, Sealed]:
        plain, path = self.folder / f"{name}.plain", self.folder / f"{name}.sealed"
        plain.write_bytes(content)
        key, key_name = self.private.sealing_key(self.private.person_of(person))
        sealed = seal_file(plain, path, key, key_name, {"ms": 5, "name": name})
        plain.unlink()
        return path, sealed

    def submit(self, *facts: Any) -> None:
        self.centre.host.submit(*facts)
        self.centre.settle()
        rebuild(self.records, self.centre.journal.connection, lambda _done: None)

    def resaid(self, name: str) -> None:
        """The record says of the file what it is by now."""
        path = self.folder / f"{name}.sealed"
        with self.records.begin() as connection:
            query = text("UPDATE recordings SET size = :size, sha256 = :digest WHERE id = :id")
            values = {"size": path.stat().st_size, "digest": digest_of(path), "id": name}
            connection.execute(query, values)

    def erase(self, person: str = PEOPLE[0]) -> None:
        assert erase(self.centre.journal.connection, self.private.person_of(person))
        self.private.forget(self.private.person_of(person))

    def refusal(self, name: str) -> str:
        with pytest.raises(NotAllowed) as refused:
            self.archive.open(name)
        return refused.value.code

    def faults(self, deep: bool) -> dict[str, str]:
        return {row["id"]: fault for row, fault in self.archive.verify(deep)}


@pytest.fixture
def shelf(records: Engine, tmp_path: Path) -> Shelf:
    return Shelf(records, tmp_path / "rec")


def flip(path: Path, place: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(bytes(raw))


def header_of(path: Path) -> tuple[Row, bytes]:
    """Header and what comes behind it."""
    raw = path.read_bytes()
    (length,) = struct.unpack(">I", raw[len(MAGIC) : len(MAGIC) + 4])
    start = len(MAGIC) + 4
    header: Row = json.loads(raw[start : start + length])
    return header, raw[start + length :]


def rewrite_header(path: Path, change: Callable[[Row], Any]) -> None:
    header, rest = header_of(path)
    made = json.dumps(change(header) or header, sort_keys=True).encode()
    path.write_bytes(MAGIC + struct.pack(">I", len(made)) + made + rest)


# --- opening -------------------------------------------------------------------------------------------


def test_an_opened_recording_reads_from_anywhere(shelf: Shelf) -> None:
    content = bytes(n * 11 % 251 for n in range(2 * CHUNK + 100))
    shelf.put("i1", content)
    opened = shelf.archive.open("i1")
    assert (opened.size, opened.about) == (len(content), {"ms": 5, "name": "i1"})
    for start, length in ((0, 10), (CHUNK - 1, 2), (2 * CHUNK, 500), (0, 1 << 20), (len(content), 5), (7, 0)):
        assert opened.read(start, length) == content[start : start + length]


def test_what_there_is_not_is_not_opened(shelf: Shelf) -> None:
    for name in ("i1", "", "' OR 1 = 1 --"):
        assert shelf.refusal(name) == "no_recording"
        with pytest.raises(NotAllowed) as refused:
            shelf.archive.get(name)
        assert refused.value.code == "no_recording"


def test_a_deleted_one_says_so_even_where_its_file_is_there(shelf: Shelf) -> None:
    path = shelf.put("i1")
    shelf.submit(f.RecordingDeleted("i1", "i1", "retention", START_MS))
    assert path.exists()
    assert shelf.refusal("i1") == "recording_deleted"


def test_one_that_runs_or_failed_is_not_ready(shelf: Shelf) -> None:
    shelf.submit(
        f.InteractionStarted("i1", "voice", "in", "95519", "w", "leg", "", START_MS),
        f.RecordingStarted("i1", "rec/i1-caller.wav", "rec/i1-agent.wav", START_MS),
        f.RecordingFailed("i1", "disk_full", "i1-2", START_MS),
    )
    assert shelf.refusal("i1") == shelf.refusal("i1-2") == "recording_not_ready"


def test_an_erased_person_is_heard_no_more(shelf: Shelf) -> None:
    shelf.put("i1")
    shelf.put("i2", person=PEOPLE[1])
    shelf.erase()
    assert shelf.refusal("i1") == "recording_erased"
    assert shelf.archive.open("i2").read(0, 5) == b"sound"
    assert shelf.archive.get("i1")["state"] == "saved", "the record stays"


def test_an_erased_person_who_comes_back_does_not_open_the_old_ones(shelf: Shelf) -> None:
    shelf.put("i1")
    shelf.erase()
    shelf.put("i2", b"again")
    assert shelf.refusal("i1") == "recording_erased"
    assert shelf.archive.open("i2").read(0, 5) == b"again"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def turn_a_bit_of_about(path: Path) -> None:
    def change(header: Row) -> None:
        about = bytearray(base64.b64decode(header["about"]))
        about[-1] ^= 1
        header["about"] = base64.b64encode(bytes(about)).decode()

    rewrite_header(path, change)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "another format": lambda path: path.write_bytes(b"RIFF" + bytes(100)),
    "cut in the header": cut,
    "magic": lambda path: flip(path, 0),
    "length of the header": lambda path: flip(path, len(MAGIC)),
    "about": turn_a_bit_of_about,
    "header is a list": lambda path: rewrite_header(path, lambda _header: [1]),
    "no person": lambda path: rewrite_header(path, lambda header: header.pop("person") and None),
    "size is a word": lambda path: rewrite_header(path, lambda header: header.update(size="much")),
    "size is negative": lambda path: rewrite_header(path, lambda header: header.update(size=-1)),
    "size is infinite": lambda path: rewrite_header(path, lambda header: header.update(size=float("inf"))),
    "no chunks": lambda path: rewrite_header(path, lambda header: header.update(chunk=0)),
    "nonce": lambda path: rewrite_header(path, lambda header: header.update(nonce="00")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused(shelf: Shelf, damage: str) -> None:
    DAMAGES[damage](shelf.put("i1"))
    assert shelf.refusal("i1") == "recording_damaged"
    assert set(shelf.faults(deep=True).values()) == {"missing" if damage == "missing" else "changed"}


def test_with_another_master_key_nothing_opens(shelf: Shelf) -> None:
    shelf.put("i1")
    shelf.archive = RecordingArchive(
        shelf.records, lambda: copy_of(shelf.centre.journal.connection), MasterKey(bytes(32))
    )
    assert shelf.refusal("i1") == "recording_damaged"


def test_a_damaged_chunk_is_not_read(shelf: Shelf) -> None:
    path = shelf.put("i1", bytes(2 * CHUNK))
    flip(path, path.stat().st_size - 1)
    opened = shelf.archive.open("i1")
    assert opened.read(0, CHUNK) == bytes(CHUNK)
    with pytest.raises(ValueError, match="does not open"):
        opened.read(CHUNK, 1)


# --- verifying -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("deep", [False, True])
def test_sound_ones_are_sound(shelf: Shelf, deep: bool) -> None:
    for n, size in enumerate((0, 1, CHUNK, CHUNK + 1)):
        shelf.put(f"i{n}", bytes(size))
    assert shelf.faults(deep) == dict.fromkeys(("i0", "i1", "i2", "i3"), "")
    assert shelf.archive.count() == 4


@pytest.mark.parametrize("deep", [False, True])
def test_missing_and_changed_are_told_apart(shelf: Shelf, deep: bool) -> None:
    paths = {name: shelf.put(name, bytes(100)) for name in ("gone", "longer", "shorter", "flipped", "sound")}
    paths["gone"].unlink()
    paths["longer"].write_bytes(paths["longer"].read_bytes() + b"x")
    paths["shorter"].write_bytes(paths["shorter"].read_bytes()[:-1])
    flip(paths["flipped"], paths["flipped"].stat().st_size - 50)
    assert shelf.faults(deep) == {
        "gone": "missing", "longer": "changed", "shorter": "changed", "flipped": "changed", "sound": "",
    }  # fmt: skip


def test_two_files_that_changed_places_are_noticed(shelf: Shelf) -> None:
    one, two = shelf.put("i1", b"aaaaa"), shelf.put("i2", b"bbbbb")
    kept = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(kept)
    assert set(shelf.faults(deep=False).values()) == {"changed"}


def test_a_folder_in_its_place_is_a_fault(shelf: Shelf) -> None:
    path = shelf.put("i1")
    path.unlink()
    path.mkdir()
    (fault,) = shelf.faults(deep=True).values()
    assert fault in ("changed", "damaged")


def test_erased_is_told_where_files_are_opened(shelf: Shelf) -> None:
    shelf.put("i1")
    shelf.put("i2", person=PEOPLE[1])
    shelf.erase()
    assert shelf.faults(deep=False) == {"i1": "", "i2": ""}
    assert shelf.faults(deep=True) == {"i1": "erased", "i2": ""}
    shelf.put("i3")
    assert shelf.faults(deep=True) == {"i1": "erased", "i2": "", "i3": ""}


@pytest.mark.parametrize("chunk", [0, 1, 2])
def test_only_deep_finds_what_was_wrong_from_the_beginning(shelf: Shelf, chunk: int) -> None:
    path = shelf.put("i1", bytes(2 * CHUNK + 9))
    flip(path, path.stat().st_size - (2 * CHUNK + 9 + 3 * 16) + chunk * (CHUNK + 16))
    shelf.resaid("i1")
    assert shelf.faults(deep=False) == {"i1": ""}
    assert shelf.faults(deep=True) == {"i1": "damaged"}


def test_chunks_that_are_cut_off_are_found_by_deep(shelf: Shelf) -> None:
    path = shelf.put("i1", bytes(2 * CHUNK + 9))
    path.write_bytes(path.read_bytes()[: -(9 + 16)])
    shelf.resaid("i1")
    assert shelf.faults(deep=True) == {"i1": "damaged"}


def test_only_saved_ones_are_looked_at(shelf: Shelf) -> None:
    shelf.put("i1").unlink()
    shelf.submit(f.RecordingDeleted("i1", "i1", "retention", START_MS))
    shelf.submit(
        f.InteractionStarted("i2", "voice", "in", "95519", "w", "leg", "", START_MS),
        f.RecordingFailed("i2", "disk_full", "i2-2", START_MS),
    )
    assert shelf.faults(deep=True) == {}
    assert shelf.archive.count() == 0


def test_strays_are_sealed_files_without_a_record(shelf: Shelf) -> None:
    shelf.put("i1")
    for name in ("b.sealed", "a.sealed", "c.wav", "d.sealed.part"):
        (shelf.folder / name).write_bytes(b"x")
    assert shelf.archive.strays(shelf.folder) == [shelf.folder / "a.sealed", shelf.folder / "b.sealed"]
    assert shelf.archive.strays(shelf.folder / "none") == []


# --- the command ---------------------------------------------------------------------------------------


class Stopped(Shelf):
    """The shelf of a centre that is stopped: everything on the disk, where its configuration says."""

    def __init__(self, folder: Path, empty: str, environment: pytest.MonkeyPatch) -> None:
        self.config = folder / "centre.toml"
        self.config.write_text(EXAMPLE, encoding="utf-8")
        self.settings = load(self.config, {})
        environment.setenv(MASTER_KEY_ENV, base64.b64encode(bytes(range(32))).decode())
        self.settings.paths.var.mkdir()
        shutil.copyfile(*(url.removeprefix("sqlite:///") for url in (empty, self.settings.database.url)))
        super().__init__(open_engine(self.settings.database.url), self.settings.paths.var / "recordings")

    def run(self, *arguments: str) -> int:
        """The command, on what the journal holds by now."""
        self.settings.journal.path.unlink(missing_ok=True)
        written = sqlite3.connect(self.settings.journal.path)
        self.centre.journal.connection.backup(written)
        written.close()
        return cli.main([*arguments, "-c", str(self.config)])


@pytest.fixture
def stopped(tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stopped]:
    made = Stopped(tmp_path, files.migrated, monkeypatch)
    yield made
    made.records.dispose()


@pytest.mark.parametrize("deep", [(), ("--deep",)])
def test_verify_is_0_where_all_are_sound(
    stopped: Stopped, capsys: pytest.CaptureFixture[str], deep: tuple[str, ...]
) -> None:
    assert stopped.run("verify", *deep) == 0
    assert "recordings: none" in capsys.readouterr().out
    stopped.put("i1")
    stopped.put("i2")
    (stopped.folder / "stray.sealed").write_bytes(b"x")
    assert stopped.run("verify", *deep) == 0
    said = capsys.readouterr().out
    assert "recordings: 2 sound; files without a record: 1" in said
    assert f"stray\t-\t{stopped.folder / 'stray.sealed'}" in said


def test_verify_is_1_where_any_is_not(stopped: Stopped, capsys: pytest.CaptureFixture[str]) -> None:
    stopped.put("i1")
    path = stopped.put("i2")
    flip(path, path.stat().st_size - 1)
    assert stopped.run("verify") == 1
    assert f"changed\ti2\t{path}" in capsys.readouterr().out
    path.unlink()
    assert stopped.run("verify") == 1
    assert f"missing\ti2\t{path}" in capsys.readouterr().out


def test_verify_for_machines(stopped: Stopped, capsys: pytest.CaptureFixture[str]) -> None:
    stopped.put("i1", bytes(2 * CHUNK))
    path = stopped.put("i2")
    path.unlink()
    (stopped.folder / "stray.sealed").write_bytes(b"x")
    assert stopped.run("verify", "--json") == 1
    assert json.loads(capsys.readouterr().out) == {
        "counts": {"sound": 1, "missing": 1},
        "faults": [{"id": "i2", "interaction": "i2", "file": str(path), "fault": "missing"}],
        "strays": [str(stopped.folder / "stray.sealed")],
    }


def test_only_deep_verify_is_1_for_what_does_not_open(
    stopped: Stopped, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stopped.put("i1", bytes(2 * CHUNK))
    flip(path, path.stat().st_size - 1)
    stopped.resaid("i1")
    assert stopped.run("verify") == 0
    assert stopped.run("verify", "--deep") == 1
    assert "damaged\ti1" in capsys.readouterr().out


def test_an_erased_person_is_no_fault_of_the_archive(
    stopped: Stopped, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped.put("i1")
    stopped.erase()
    assert stopped.run("verify", "--deep") == 0
    assert "recordings: 1 erased" in capsys.readouterr().out


def test_export_writes_what_was_recorded(stopped: Stopped, tmp_path: Path) -> None:
    content = bytes(n * 7 % 253 for n in range((1 << 20) + 5))
    stopped.put("i1", content)
    target = tmp_path / "out.wav"
    assert stopped.run("export", "i1", "--out", str(target)) == 0
    assert target.read_bytes() == content


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda stopped: stopped.erase(), "recording_erased"),
        (lambda stopped: (stopped.folder / "i1.sealed").unlink(), "recording_damaged"),
        (lambda stopped: stopped.submit(f.RecordingDeleted("i1", "i1", "disk", START_MS)), "recording_deleted"),
        (lambda stopped: replace_rows(stopped.records), "no_recording"),
    ],
)  # fmt: skip
def test_export_is_1_and_says_why(
    stopped: Stopped, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Stopped], object], said: str,
) -> None:  # fmt: skip
    stopped.put("i1")
    spoil(stopped)
    target = tmp_path / "out.wav"
    assert stopped.run("export", "i1", "--out", str(target)) == 1
    assert said in capsys.readouterr().err
    assert not target.exists()


def test_export_of_a_damaged_chunk_is_1_and_leaves_no_half(
    stopped: Stopped, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stopped.put("i1", bytes((1 << 20) + 5))
    flip(path, path.stat().st_size - 1)
    target = tmp_path / "out.wav"
    assert stopped.run("export", "i1", "--out", str(target)) == 1
    assert "recording_damaged" in capsys.readouterr().err
    assert not target.exists()


def test_export_to_where_nothing_can_be_written_is_1(
    stopped: Stopped, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped.put("i1")
    assert stopped.run("export", "i1", "--out", str(tmp_path / "none" / "out.wav")) == 1
    assert capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["export"], ["export", "i1"], ["export", "--out", "x.wav"], ["play", "i1"], []]
)
def test_what_is_no_command_is_2(
    stopped: Stopped, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        stopped.run(*arguments)
    assert left.value.code == 2
    assert capsys.readouterr().err


def test_a_bad_configuration_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[recordings]\nkeep_days = 0\n")
    with pytest.raises(SystemExit) as left:
        cli.main(["verify", "-c", str(path)])
    assert left.value.code == 2
    assert "recordings.keep_days" in capsys.readouterr().err
