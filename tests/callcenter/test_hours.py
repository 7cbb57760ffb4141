"""Opening hours: a table of moments, and the keeper who tells the engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.live.hours import HoursKeeper, is_open
from config.settings import OpeningHours
from tests.callcenter.centre import ANN, COMPLAINTS, SERVICE, Centre

WORKDAYS = dict.fromkeys(("mon", "tue", "wed", "thu", "fri"), "08:30-20:00")
WEEK = {**WORKDAYS, "sat": "09:00-12:00"}
SHANGHAI = "Asia/Shanghai"


def at(moment: str, zone: str = SHANGHAI) -> int:
    return int(datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("moment", "open_then"),
    [
        ("2026-11-23 08:29:59.999", False),  # a Monday
        ("2026-11-23 08:30", True),
        ("2026-11-23 12:00", True),
        ("2026-11-23 19:59:59.999", True),
        ("2026-11-23 20:00", False),
        ("2026-11-23 00:00", False),
        ("2026-11-28 08:59", False),  # Saturday
        ("2026-11-28 11:59", True),
        ("2026-11-28 12:00", False),
        ("2026-11-29 10:00", False),  # Sunday has no entry
        ("2026-10-01 10:00", False),  # a holiday on a Thursday
        ("2026-10-02 10:00", True),
    ],
)
def test_a_week_with_a_holiday(moment: str, open_then: bool) -> None:
    assert is_open(at(moment), SHANGHAI, WEEK, ["2026-10-01"]) is open_then


@pytest.mark.parametrize(
    ("moment", "open_then"),
    [
        ("2026-10-10 08:29", False),  # a Saturday that makes up for a Thursday
        ("2026-10-10 19:59", True),
        ("2026-10-17 19:59", False),  # another Saturday
        ("2026-10-01 10:00", True),  # a holiday that was made a workday after all
        ("2026-10-02 10:00", False),
    ],
)
def test_make_up_workdays_have_the_hours_of_another_day(moment: str, open_then: bool) -> None:
    holidays, workdays = ["2026-10-01", "2026-10-02"], {"2026-10-10": "thu", "2026-10-01": "thu"}
    assert is_open(at(moment), SHANGHAI, WEEK, holidays, workdays) is open_then


@pytest.mark.parametrize("workdays", [{"2026-10-32": "fri"}, {"2026-10-10": "friday"}])
def test_a_make_up_workday_that_is_none(workdays: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"expected|should be"):
        OpeningHours.model_validate({"workdays": workdays})


@pytest.mark.parametrize("moment", ["2026-11-23 03:00", "2026-11-29 23:59", "1970-01-02 00:00"])
def test_without_any_entry_it_is_always_open(moment: str) -> None:
    assert is_open(at(moment), SHANGHAI, {}, [])


@pytest.mark.parametrize(
    ("moment", "open_then"),
    [("2026-11-23 23:59:59", True), ("2026-11-24 00:00", False), ("2026-11-23 00:00", True)],
)
def test_until_midnight(moment: str, open_then: bool) -> None:
    assert is_open(at(moment), SHANGHAI, {"mon": "00:00-24:00"}, []) is open_then


@pytest.mark.parametrize(
    ("utc", "open_then"),
    [
        ("2026-11-23 00:29", False),
        ("2026-11-23 00:30", True),
        ("2026-11-23 11:59", True),
        ("2026-11-23 12:00", False),
        ("2026-11-22 23:59", False),
    ],
)
def test_the_zone_decides_which_day_and_hour_it_is(utc: str, open_then: bool) -> None:
    assert is_open(at(utc, "UTC"), SHANGHAI, WEEK, []) is open_then


@pytest.mark.parametrize(
    ("moment", "open_then"),
    [
        ("2026-03-27 08:59", False),
        ("2026-03-27 09:00", True),
        ("2026-03-30 08:59", False),
        ("2026-03-30 09:00", True),
    ],
)
def test_summer_time_moves_the_hours_with_the_clock_on_the_wall(moment: str, open_then: bool) -> None:
    assert (
        is_open(
            at(moment, "Europe/Berlin"), "Europe/Berlin", {"mon": "09:00-17:00", "fri": "09:00-17:00"}, []
        )
        is open_then
    )


def test_a_holiday_is_a_day_of_the_zone() -> None:
    late_evening_utc = int(datetime(2026, 9, 30, 23, 30, tzinfo=UTC).timestamp() * 1000)
    assert not is_open(
        late_evening_utc, SHANGHAI, {"wed": "00:00-24:00", "thu": "00:00-24:00"}, ["2026-10-01"]
    )
    assert is_open(late_evening_utc, "UTC", {"wed": "00:00-24:00", "thu": "00:00-24:00"}, ["2026-10-01"])


@pytest.mark.parametrize("written", ["2026-10-01", "20261001", "2026-W40-4"])
def test_a_holiday_is_kept_however_it_was_written_or_it_is_refused(written: str) -> None:
    try:
        hours = OpeningHours(week={"thu": "00:00-24:00"}, holidays=(written,))
    except ValueError:
        return
    assert not is_open(at("2026-10-01 10:00"), hours.timezone, hours.week, hours.holidays)


@given(st.integers(0, 24 * 60 - 1), st.integers(0, 24 * 60 - 1), st.integers(0, 24 * 60 - 1))
def test_open_from_the_first_minute_to_before_the_last(opens: int, closes: int, minute: int) -> None:
    if closes <= opens:
        return
    week = {"mon": f"{opens // 60:02}:{opens % 60:02}-{closes // 60:02}:{closes % 60:02}"}
    moment = datetime(2026, 11, 23, tzinfo=ZoneInfo(SHANGHAI)) + timedelta(minutes=minute)
    assert is_open(int(moment.timestamp() * 1000), SHANGHAI, week, []) is (opens <= minute < closes)


# --- the keeper --------------------------------------------------------------------------------------------


def keeper(centre: Centre, **week: str) -> HoursKeeper:
    made = HoursKeeper(centre.host, centre.scheduler, OpeningHours(week=week))
    made.watch()
    return made


def test_the_engine_hears_of_it_once() -> None:
    centre = Centre(SERVICE, COMPLAINTS, ANN)
    keeper(centre)
    before = len(centre.journal.entries)
    centre.wait(60)
    assert len(centre.journal.entries) == before, "always open: there is nothing to tell"


def test_queues_close_and_open_with_the_hours() -> None:
    centre = Centre(SERVICE, COMPLAINTS, ANN)
    local = datetime.fromtimestamp(centre.clock.now_ms() / 1000, ZoneInfo(SHANGHAI))
    closes = local + timedelta(minutes=2)
    day = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[local.weekday()]
    keeper(centre, **{day: f"00:00-{closes:%H:%M}"})
    waiting = centre.queue_up()
    assert waiting.state == "waiting"
    centre.wait(130)
    assert [fact["queue"] for fact in centre.journalled("QueueClosed")] == ["service", "complaints"]
    refused = centre.queue_up(caller="13900139000")
    centre.worker.finish_play(refused.leg)
    centre.settle()
    centre.wait(6)
    assert refused.id not in centre.host.book.interactions
    assert waiting.state == "waiting", "who waits already stays"
    centre.clock.advance(7 * 24 * 3_600_000 - 180_000)
    centre.wait(10)
    assert len(centre.journalled("QueueOpened")) == 2


def test_a_new_core_knows_what_the_old_one_told() -> None:
    centre = Centre(SERVICE, ANN)
    keeper(centre, sun="00:00-00:01")
    assert len(centre.journalled("QueueClosed")) == 1
    centre.restart()
    keeper(centre, sun="00:00-00:01")
    assert len(centre.journalled("QueueClosed")) == 1
