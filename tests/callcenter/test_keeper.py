"""Retention against a naive oracle; the keeper on a disk that fills up, with a journal that is stuck, in virtual time."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import Engine, text

from callcenter.history import rebuild
from callcenter.kernel.clock import VirtualClock
from callcenter.live import facts as f
from callcenter.live.alarms import Alarms
from callcenter.live.book import TALKING, Interaction
from callcenter.live.control import Target
from callcenter.live.keeper import RecordingKeeper, Retention, Rule
from callcenter.projection import INTERACTION_COLUMNS, RECORDING_COLUMNS
from config.settings import Recordings
from tests.callcenter.centre import ANN, BOB, COMPLAINTS, SERVICE, START_MS, Centre
from tests.databases import Databases

Row = dict[str, Any]
DAY_MS = 86_400_000
HOUR_S = 3_600
MB = 1_000_000
MIN = 1_000 * MB
"""the room that is asked for, in bytes"""
KEEP_DAYS = 30


# --- rows of history, written directly -----------------------------------------------------------------


def interaction_row(name: str, **values: Any) -> Row:
    row: Row = dict.fromkeys(INTERACTION_COLUMNS, "")
    row.update(id=name, org_id=1, customer_id=None, arrived_at_ms=START_MS, last_seq=1, language="zh")
    row.update(queued_at_ms=None, answered_at_ms=None, ended_at_ms=START_MS, medium="voice", direction="in")
    row.update(stars=0)
    return {**row, **values}


def recording_row(name: str, interaction: str, **values: Any) -> Row:
    row: Row = dict.fromkeys(RECORDING_COLUMNS, "")
    row.update(id=name, interaction_id=interaction, org_id=1, kind="call", file=f"rec/{name}.sealed")
    row.update(started_at_ms=START_MS, duration_ms=1_000, size=1, state="saved", held=0, deleted_at_ms=None)
    row.update(done_at_ms=None)
    return {**row, **values}


def replace_rows(engine: Engine, **tables: Sequence[Row]) -> None:
    """These rows and no others."""
    with engine.begin() as connection:
        for table in ("recordings", "segments", "interactions"):
            connection.execute(text(f"DELETE FROM {table}"))
        for table, rows in tables.items():
            if rows:
                names = list(rows[0])
                places = ", ".join(f":{name}" for name in names)
                query = text(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})")
                connection.execute(query, list(rows))


@pytest.fixture(scope="module")
def shared(databases: Databases) -> Iterator[Engine]:
    with databases.opened(databases.migrated) as engine:
        yield engine


# --- retention -----------------------------------------------------------------------------------------

QUEUES, CODES = ["", "service", "complaints"], ["", "enquiry_answered", "complaint_taken"]
DIRECTIONS, NUMBERS = ["in", "out"], ["95519", "95500"]
CALLS = st.fixed_dictionaries(
    {
        "queue": st.sampled_from(QUEUES),
        "wrap_up_code": st.sampled_from(CODES),
        "direction": st.sampled_from(DIRECTIONS),
        "number": st.sampled_from(NUMBERS),
    }
)
SOUNDS = st.fixed_dictionaries(
    {
        "days": st.integers(0, 6),
        "off_ms": st.sampled_from([-1, 0, 1, 3_600_000]),
        "call": st.integers(0, 3),
        "state": st.sampled_from(["saved"] * 5 + ["recording", "failed", "deleted"]),
        "held": st.sampled_from([0, 0, 0, 1]),
    }
)
RULES = st.builds(
    Rule,
    keep_days=st.integers(1, 5),
    queue=st.sampled_from(QUEUES),
    wrap_up=st.sampled_from(CODES),
    direction=st.sampled_from(["", *DIRECTIONS]),
    number=st.sampled_from(["", *NUMBERS]),
)


def days_for(call: Row, rules: Sequence[Rule], keep_days: int) -> int:
    """As a clerk would do it, with the list of rules in hand."""
    for rule in rules:
        if rule.queue and rule.queue != call["queue"]:
            continue
        if rule.wrap_up and rule.wrap_up != call["wrap_up_code"]:
            continue
        if rule.direction and rule.direction != call["direction"]:
            continue
        if rule.number and rule.number != call["number"]:
            continue
        return rule.keep_days
    return keep_days


@settings(max_examples=80)
@given(
    calls=st.lists(CALLS, min_size=4, max_size=4),
    sounds=st.lists(SOUNDS, max_size=14),
    rules=st.lists(RULES, max_size=4),
    keep_days=st.integers(1, 5),
    limit=st.integers(1, 6),
)
def test_what_is_over_is_what_a_clerk_would_find(
    shared: Engine, calls: list[Row], sounds: list[Row], rules: list[Rule], keep_days: int, limit: int
) -> None:
    recordings = [
        recording_row(
            f"r{n:02}",
            f"i{sound['call']}",
            started_at_ms=START_MS - sound["days"] * DAY_MS - sound["off_ms"],
            state=sound["state"],
            held=sound["held"],
        )
        for n, sound in enumerate(sounds)
    ]
    interactions = [interaction_row(f"i{n}", **call) for n, call in enumerate(calls)]
    replace_rows(shared, interactions=interactions, recordings=recordings)
    expected = []
    for row in sorted(recordings, key=lambda one: (one["started_at_ms"], one["id"])):
        call = calls[int(row["interaction_id"][1:])]
        age_ms = START_MS - row["started_at_ms"]
        if (
            row["state"] in ("saved", "failed")
            and not row["held"]
            and age_ms > days_for(call, rules, keep_days) * DAY_MS
        ):
            expected.append((row["interaction_id"], row["id"], row["file"]))
    retention = Retention(shared, rules, keep_days)
    assert retention.over(START_MS) == expected
    assert retention.over(START_MS, limit) == expected[:limit]


@pytest.mark.parametrize(("age_ms", "gone"), [(DAY_MS - 1, 0), (DAY_MS, 0), (DAY_MS + 1, 1)])
def test_the_last_day_counts_to_its_end(shared: Engine, age_ms: int, gone: int) -> None:
    sound = recording_row("r", "i", started_at_ms=START_MS - age_ms)
    replace_rows(shared, interactions=[interaction_row("i")], recordings=[sound])
    assert len(Retention(shared, [], 1).over(START_MS)) == gone


def test_the_first_rule_that_fits_counts_even_where_it_keeps_longer(shared: Engine) -> None:
    sound = recording_row("r", "i", started_at_ms=START_MS - 5 * DAY_MS)
    replace_rows(shared, interactions=[interaction_row("i", queue="service")], recordings=[sound])
    long, short = Rule(9, queue="service"), Rule(1, direction="in")
    assert Retention(shared, [long, short], 1).over(START_MS) == []
    assert len(Retention(shared, [short, long], 9).over(START_MS)) == 1


def test_settings_become_rules() -> None:
    read = Recordings.model_validate(
        {"keep_days": 7, "rules": [{"queue": "service", "keep_days": 2}], "min_free_mb": 5}
    )
    assert [Rule(**rule.model_dump()) for rule in read.rules] == [Rule(2, queue="service")]
    assert Recordings().rules == ()


@pytest.mark.parametrize(
    "values",
    [
        {"keep_days": 0},
        {"keep_days": -1},
        {"min_free_mb": -1},
        {"rules": [{"queue": "service"}]},
        {"rules": [{"keep_days": 0}]},
        {"rules": [{"keep_days": 3, "direction": "sideways"}]},
        {"rules": [{"keep_days": 3, "colour": "red"}]},
    ],
)
def test_rules_that_make_no_sense_are_refused(values: Row) -> None:
    with pytest.raises(ValidationError):
        Recordings.model_validate(values)


# --- alarms --------------------------------------------------------------------------------------------


def test_an_alarm_keeps_its_beginning_and_tells_what_changed() -> None:
    clock = VirtualClock(START_MS)
    alarms, told = Alarms(clock), [0]

    def changed() -> None:
        told[0] += 1

    alarms.changed = changed
    alarms.lower("disk")
    assert told == [0], "it never stood"
    alarms.raise_("disk", "9 MB")
    clock.advance(5_000)
    alarms.raise_("disk", "9 MB")
    assert told == [1]
    alarms.raise_("disk", "8 MB")
    assert (alarms.standing, told) == ({"disk": (START_MS, "8 MB")}, [2])
    alarms.lower("disk")
    alarms.lower("disk")
    assert (alarms.standing, told) == ({}, [3])
    alarms.raise_("disk", "7 MB")
    assert alarms.standing["disk"] == (START_MS + 5_000, "7 MB")


def test_an_alarm_without_a_detail_is_told_too() -> None:
    alarms, told = Alarms(VirtualClock(START_MS)), []
    alarms.changed = lambda: told.append(1)
    alarms.raise_("disk", "")
    assert told == [1]


# --- the keeper ----------------------------------------------------------------------------------------


class AtOnce(Executor):
    """Helper threads without threads."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


class Voice:
    """The voice port: notes what is commanded."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []

    def command(self, boot: str, op: str, leg: str, **_fields: Any) -> None:
        self.sent.append((boot, op, leg))

    def address(self, boot: str) -> str:
        return "127.0.0.1:5081"


class Looked(Retention):
    """Looks into history as it is by then; counts how often; `between` happens behind its back."""

    def __init__(self, house: House) -> None:
        super().__init__(house.records, [], KEEP_DAYS)
        self._house, self.looks = house, 0
        self.between: Callable[[], None] = lambda: None

    def over(self, now_ms: int, limit: int = 200) -> list[tuple[str, str, str]]:
        self.looks += 1
        self._house.write_history()
        found = super().over(now_ms, limit)
        self.between()
        return found


class House:
    """A centre whose recordings lie in a real folder, on a disk as full as the test says."""

    def __init__(self, records: Engine, folder: Path) -> None:
        self.records, self.folder = records, folder
        self.folder.mkdir()
        self.centre = Centre(SERVICE, COMPLAINTS, ANN, BOB)
        self.free: int | OSError = 10 * MIN
        self.voice, self.alarms = Voice(), Alarms(self.centre.clock)
        self.changes = 0
        self.alarms.changed = self._changed
        self.retention = Looked(self)
        self.keeper = self.another_keeper()

    def another_keeper(self) -> RecordingKeeper:
        keeper = RecordingKeeper(
            self.centre.host,
            self.centre.scheduler,
            self.voice,
            self.retention,
            self.alarms,
            AtOnce(),
            self.folder,
            MIN // MB,
            self._free,
        )
        self.centre.offers.room_to_record = lambda: keeper.room
        return keeper

    def _changed(self) -> None:
        self.changes += 1

    def _free(self, folder: Path) -> int:
        assert folder == self.folder
        if isinstance(self.free, OSError):
            raise self.free
        return self.free

    # --- time ------------------------------------------------------------------------------------

    async def rest(self) -> None:
        for _ in range(12):
            await asyncio.sleep(0)
            self.centre.settle()

    async def wait(self, seconds: int) -> None:
        while seconds > 0:
            self.centre.scheduler.advance(min(5, seconds) * 1000)
            seconds -= 5
            await self.rest()

    async def start(self) -> None:
        self.keeper.start()
        await self.rest()

    # --- what lies there -------------------------------------------------------------------------

    def put(self, *names: str, days: float = KEEP_DAYS + 1) -> list[Path]:
        """A finished call with one recording each, this old."""
        facts: list[Any] = []
        files = [self.folder / f"{name}-rec.sealed" for name in names]
        for name, file in zip(names, files, strict=True):
            at_ms = self.centre.clock.now_ms() - round(days * DAY_MS)
            file.write_bytes(b"x")
            stem = str(file.with_suffix(""))
            facts += [
                f.InteractionStarted(name, "voice", "in", "95519", "w", f"leg-{name}", "", at_ms),
                f.RecordingStarted(name, f"{stem}-caller.wav", f"{stem}-agent.wav", at_ms),
                f.RecordingSaved(name, str(file), 1_000, "abc", 1),
                f.InteractionEnded(name, "answered", "normal", "caller", at_ms),
            ]
        self.centre.host.submit(*facts)
        self.centre.settle()
        return files

    def hold(self, name: str) -> None:
        self.centre.host.submit(f.RecordingsHeld(name, "9001", "", self.centre.clock.now_ms()))

    def write_history(self) -> None:
        rebuild(self.records, self.centre.journal.connection, lambda _done: None)

    def rows(self) -> dict[str, Any]:
        """Recordings by id, as history has them."""
        self.write_history()
        with self.records.connect() as connection:
            found = connection.execute(text("SELECT * FROM recordings"))
            return {row.id: row for row in found}

    def deleted(self) -> list[str]:
        return [fact["name"] for fact in self.centre.journalled("RecordingDeleted")]

    def talking(self) -> Interaction:
        self.centre.ready("ann")
        return self.centre.talk()


@pytest.fixture
def house(records: Engine, tmp_path: Path) -> Iterator[House]:
    made = House(records, tmp_path / "rec")
    yield made
    made.keeper.close()
    made.centre.host.close()


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


# --- room ----------------------------------------------------------------------------------------------


@on_a_loop
async def test_enough_room_is_no_alarm(house: House) -> None:
    house.free = MIN
    await house.start()
    assert house.keeper.room
    assert house.alarms.standing == {}


@on_a_loop
async def test_too_little_room_raises_the_alarm_once(house: House) -> None:
    house.free = MIN - 1
    await house.start()
    await house.wait(60)
    assert not house.keeper.room
    assert house.alarms.standing == {"recordings_disk": (START_MS, "999 MB")}
    assert house.changes == 1
    house.free = MIN // 2
    await house.wait(5)
    assert house.alarms.standing == {"recordings_disk": (START_MS, "500 MB")}
    assert house.changes == 2


@on_a_loop
async def test_the_alarm_is_lowered_a_tenth_above(house: House) -> None:
    house.free = MIN - 1
    await house.start()
    for free in (MIN, MIN + MIN // 10 - 1):
        house.free = free
        await house.wait(10)
        assert not house.keeper.room, free
        assert "recordings_disk" in house.alarms.standing
    house.free = MIN + MIN // 10
    await house.wait(5)
    assert house.keeper.room
    assert house.alarms.standing == {}


@on_a_loop
async def test_a_file_that_found_no_room_is_known_at_once(house: House) -> None:
    call = house.talking()
    await house.start()
    house.keeper.found_no_room()
    await house.rest()
    assert not house.keeper.room
    assert "recordings_disk" in house.alarms.standing
    assert (call.worker, "stop_record", call.leg) in house.voice.sent
    await house.wait(5)
    assert house.keeper.room, "there is room again"
    assert house.alarms.standing == {}


@on_a_loop
async def test_a_folder_that_cannot_be_read_is_an_alarm_of_its_own(house: House) -> None:
    house.free = PermissionError(13, "no")
    await house.start()
    assert house.alarms.standing == {"recordings_folder": (START_MS, "PermissionError")}
    assert house.keeper.room
    await house.wait(10)
    assert house.changes == 1
    house.free = 10 * MIN
    await house.wait(5)
    assert house.alarms.standing == {}


@on_a_loop
async def test_a_file_in_the_place_of_the_folder_is_that_alarm_too(house: House) -> None:
    house.folder.rmdir()
    house.folder.write_text("no folder")
    await house.start()
    assert list(house.alarms.standing) == ["recordings_folder"]
    house.folder.unlink()
    await house.wait(5)
    assert house.folder.is_dir(), "it is made"
    assert house.alarms.standing == {}


@on_a_loop
async def test_an_unreadable_folder_does_not_end_an_alarm_about_room(house: House) -> None:
    house.free = 0
    await house.start()
    house.free = OSError(5, "i/o")
    await house.wait(5)
    assert set(house.alarms.standing) == {"recordings_disk", "recordings_folder"}
    assert not house.keeper.room


# --- calls without room --------------------------------------------------------------------------------


@on_a_loop
async def test_without_room_a_call_goes_on_and_its_record_says_why(house: House) -> None:
    house.free = MIN - 1
    await house.start()
    call = house.talking()
    assert house.centre.offers.recording(call) is None
    (dialled,) = house.centre.worker.ops("dial")
    assert dialled["on_answer"]["record"] is None
    assert call.state == TALKING
    assert call.recordings == {}
    (failed,) = house.centre.journalled("RecordingFailed")
    assert (failed["interaction"], failed["reason"]) == (call.id, "disk_full")
    house.centre.caller_leaves(call)
    (row,) = house.rows().values()
    assert (row.interaction_id, row.state, row.reason, row.id) == (
        call.id, "failed", "disk_full", failed["name"],
    )  # fmt: skip
    assert house.centre.files.merged == []


@on_a_loop
async def test_with_room_nothing_is_said(house: House) -> None:
    await house.start()
    call = house.talking()
    assert len(call.recordings) == 1
    assert house.centre.journalled("RecordingFailed") == []


@on_a_loop
async def test_a_recording_that_was_planned_before_runs(house: House) -> None:
    await house.start()
    house.centre.ready("ann")
    call = house.centre.queue_up()
    house.free = MIN - 1
    await house.wait(5)
    house.centre.pick_up(call)
    assert len(call.recordings) == 1
    assert house.centre.journalled("RecordingFailed") == []


@on_a_loop
async def test_room_that_came_back_while_it_rang_leaves_a_word_of_what_was_not_recorded(house: House) -> None:
    house.free = MIN - 1
    await house.start()
    house.centre.ready("ann")
    call = house.centre.queue_up()
    house.free = 10 * MIN
    await house.wait(5)
    assert house.keeper.room
    house.centre.pick_up(call)
    assert call.state == TALKING
    said = house.centre.journalled("RecordingStarted") + house.centre.journalled("RecordingFailed")
    assert len(said) == 1, "a call that is not recorded says so"


@on_a_loop
async def test_a_call_handed_on_without_room_says_that_its_second_half_is_missing(house: House) -> None:
    await house.start()
    house.centre.ready("ann", "bob")
    call = house.centre.talk()
    first, second = call.agent, {"ann": "bob", "bob": "ann"}[call.agent]
    house.free = MIN - 1
    await house.wait(5)
    house.centre.control.consult(first, call.id, Target(agent=second))
    house.centre.settle()
    house.centre.worker.pick_up(next(iter(call.guests)))
    house.centre.settle()
    house.centre.control.complete(first, call.id)
    house.centre.settle()
    assert (call.agent, call.state) == (second, TALKING)
    assert house.centre.worker.ops("record") == []
    assert [fact["reason"] for fact in house.centre.journalled("RecordingFailed")] == ["disk_full"]


@on_a_loop
async def test_near_the_end_running_recordings_stop(house: House) -> None:
    house.centre.ready("ann", "bob")
    calls = [house.centre.talk(f"1380013800{n}") for n in range(2)]
    menu = house.centre.ring(caller="13800138009")
    house.free = MIN // 4
    await house.start()
    assert house.voice.sent == [], "a quarter is left"
    house.free = MIN // 4 - 1
    await house.wait(5)
    assert set(house.voice.sent) == {(call.worker, "stop_record", call.leg) for call in calls}
    assert menu.leg not in {leg for _boot, _op, leg in house.voice.sent}
    assert {call.state for call in calls} == {TALKING}


@on_a_loop
async def test_what_is_not_recorded_is_not_stopped(house: House) -> None:
    house.free = 0
    await house.start()
    house.talking()
    await house.wait(20)
    assert house.voice.sent == []


# --- deleting ------------------------------------------------------------------------------------------


@on_a_loop
async def test_what_is_over_goes_at_start_and_the_record_says_so(house: House) -> None:
    (old,), (new,) = house.put("old"), house.put("new", days=KEEP_DAYS - 1)
    await house.start()
    assert not old.exists()
    assert new.exists()
    (fact,) = house.centre.journalled("RecordingDeleted")
    assert (fact["interaction"], fact["name"], fact["why"]) == ("old", "old-rec", "retention")
    rows = house.rows()
    assert (rows["old-rec"].state, rows["old-rec"].reason) == ("deleted", "retention")
    assert rows["old-rec"].deleted_at_ms == START_MS
    assert rows["new-rec"].state == "saved"
    assert house.keeper.deleted == 1


@on_a_loop
async def test_it_looks_again_every_hour(house: House) -> None:
    (file,) = house.put("i", days=KEEP_DAYS - 1.5 / 24)
    await house.start()
    await house.wait(HOUR_S + 5)
    assert file.exists()
    await house.wait(HOUR_S)
    assert not file.exists()
    assert house.retention.looks == 3


@on_a_loop
async def test_a_full_disk_does_not_wait_for_the_hour(house: House) -> None:
    await house.start()
    (file,) = house.put("i")
    await house.wait(30)
    assert file.exists()
    house.free = MIN - 1
    await house.wait(5)
    assert not file.exists()
    (fact,) = house.centre.journalled("RecordingDeleted")
    assert fact["why"] == "disk"


@on_a_loop
async def test_a_full_disk_takes_nothing_before_its_time(house: House) -> None:
    (file,) = house.put("i", days=KEEP_DAYS)
    house.free = 0
    await house.start()
    assert file.exists()
    assert house.deleted() == []


@on_a_loop
async def test_no_file_goes_before_the_fact_is_committed(house: House) -> None:
    (file,) = house.put("i")
    house.centre.journal.stuck = True
    await house.start()
    await house.wait(60)
    assert file.exists()
    assert house.keeper.deleted == 0
    house.centre.journal.flush()
    await house.rest()
    assert not file.exists()
    assert house.deleted() == ["i-rec"]


@on_a_loop
async def test_a_core_that_dies_before_the_commit_has_deleted_nothing(house: House) -> None:
    (file,) = house.put("i")
    house.centre.journal.stuck = True
    await house.start()
    house.centre.journal.discard()
    await house.rest()
    assert file.exists()
    assert house.rows()["i-rec"].state == "saved"


@on_a_loop
async def test_a_full_disk_with_a_stuck_journal_is_told_each_deletion_once(house: House) -> None:
    """The very same disk: while it is full nothing is committed either."""
    house.put("i")
    await house.start()
    house.put("j")
    house.centre.journal.stuck = True
    house.free = MIN - 1
    await house.wait(60)
    house.centre.journal.flush()
    await house.rest()
    assert house.deleted() == ["i-rec", "j-rec"]


@on_a_loop
async def test_a_start_on_a_full_disk_deletes_each_once(house: House) -> None:
    files = house.put("i", "j")
    house.free = MIN - 1
    await house.start()
    assert not any(file.exists() for file in files)
    assert sorted(house.deleted()) == ["i-rec", "j-rec"]
    assert house.keeper.deleted == 2


@on_a_loop
async def test_everything_beyond_its_time_goes_in_pieces(house: House) -> None:
    files = house.put(*(f"i{n}" for n in range(450)))
    await house.start()
    await house.wait(60)
    assert sum(file.exists() for file in files) == 0


@on_a_loop
async def test_a_missing_file_and_one_that_resists_stop_nothing(house: House) -> None:
    missing, resists, usual = house.put("a", "b", "c")
    missing.unlink()
    resists.unlink()
    resists.mkdir()
    await house.start()
    assert not usual.exists()
    assert resists.exists()
    assert {row.state for row in house.rows().values()} == {"deleted"}


@on_a_loop
async def test_a_database_that_cannot_be_read_costs_an_hour(house: House) -> None:
    (file,) = house.put("i")

    def fail() -> None:
        raise RuntimeError("locked")

    house.retention.between = fail
    await house.start()
    assert file.exists()
    house.retention.between = lambda: None
    await house.wait(HOUR_S)
    assert not file.exists()


# --- held ----------------------------------------------------------------------------------------------


@on_a_loop
async def test_what_is_held_stays_whatever_happens(house: House) -> None:
    held, free = house.put("held", "free")
    house.hold("held")
    house.free = 0
    await house.start()
    await house.wait(HOUR_S)
    assert held.exists()
    assert not free.exists()
    house.centre.host.submit(f.RecordingsFreed("held", "9001", house.centre.clock.now_ms()))
    await house.wait(5)
    assert not held.exists()


@on_a_loop
async def test_a_hold_between_the_look_and_the_fact_counts(house: House) -> None:
    """It stands in the journal before the deletion does."""
    (file,) = house.put("i")
    house.retention.between = lambda: house.hold("i")
    await house.start()
    assert house.centre.journalled("RecordingsHeld")
    assert file.exists()


@on_a_loop
async def test_a_hold_covers_recordings_of_its_interaction_that_come_later(house: House) -> None:
    """The call goes on after the hold, and is recorded a second time."""
    at_ms = START_MS - (KEEP_DAYS + 1) * DAY_MS
    files = [house.folder / f"i-{n}.sealed" for n in range(2)]
    submit = house.centre.host.submit
    submit(f.InteractionStarted("i", "voice", "in", "95519", "w", "leg", "", at_ms))
    for file in files:
        file.write_bytes(b"x")
        stem = str(file.with_suffix(""))
        submit(f.RecordingStarted("i", f"{stem}-caller.wav", f"{stem}-agent.wav", at_ms))
        submit(f.RecordingSaved("i", str(file), 1_000, "abc", 1))
        if file == files[0]:
            house.hold("i")
    submit(f.InteractionEnded("i", "answered", "normal", "caller", at_ms))
    house.centre.settle()
    await house.start()
    assert [file.exists() for file in files] == [True, True]
    assert {row.held for row in house.rows().values()} == {1}


# --- the end -------------------------------------------------------------------------------------------


@on_a_loop
async def test_a_closed_keeper_does_nothing_any_more(house: House) -> None:
    await house.start()
    await house.wait(60)
    house.keeper.close()
    (file,) = house.put("i")
    looks = house.retention.looks
    house.free = 0
    await house.wait(2 * HOUR_S)
    assert house.keeper.room
    assert house.retention.looks == looks
    assert file.exists()


@on_a_loop
async def test_closing_between_fact_and_file_leaves_no_file_for_ever(house: House) -> None:
    """The core stops while its deletion is being committed; the next core finds a record that says `deleted`."""
    (file,) = house.put("i")
    house.centre.journal.stuck = True
    await house.start()
    house.keeper.close()
    house.centre.journal.flush()
    await house.rest()
    assert house.rows()["i-rec"].state == "deleted"
    house.keeper = house.another_keeper()
    await house.start()
    await house.wait(HOUR_S)
    assert not file.exists()
