"""Time never runs backwards, whatever the wall clock does."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.kernel import clock as clock_module
from callcenter.kernel.clock import SystemClock, VirtualClock

HOUR_MS = 3_600_000


class Machine:
    """The operating system's two clocks, set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall_ms, self.mono_ms = 1_700_000_000_000, 5_000
        source = SimpleNamespace(
            time_ns=lambda: self.wall_ms * 1_000_000, monotonic_ns=lambda: self.mono_ms * 1_000_000
        )
        monkeypatch.setattr(clock_module, "time", source)

    def pass_ms(self, ms: int) -> None:
        self.wall_ms += ms
        self.mono_ms += ms


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_the_system_clock_tells_utc_milliseconds() -> None:
    assert abs(SystemClock().now_ms() - time.time() * 1000) < 1000


def test_readings_in_a_row_never_decrease() -> None:
    clock = SystemClock()
    readings = [clock.now_ms() for _ in range(2_000)]
    assert readings == sorted(readings)


@pytest.mark.parametrize("step_ms", [-2 * HOUR_MS, 2 * HOUR_MS])
def test_a_step_of_the_wall_clock_changes_nothing(machine: Machine, step_ms: int) -> None:
    clock = SystemClock()
    before = clock.now_ms()
    machine.wall_ms += step_ms
    machine.mono_ms += 250
    assert clock.now_ms() == before + 250


def test_raise_to_lifts_a_clock_that_is_behind_the_journal(machine: Machine) -> None:
    clock = SystemClock()
    floor_ms = clock.now_ms() + HOUR_MS
    clock.raise_to(floor_ms)
    assert clock.now_ms() >= floor_ms


def test_raise_to_the_past_changes_nothing(machine: Machine) -> None:
    clock = SystemClock()
    before = clock.now_ms()
    clock.raise_to(before - HOUR_MS)
    assert clock.now_ms() == before


def test_a_raised_clock_goes_on_running(machine: Machine) -> None:
    """After a start on a machine whose clock was set back, rings and wrap-ups must still end."""
    clock = SystemClock()
    clock.raise_to(clock.now_ms() + HOUR_MS)
    raised_ms = clock.now_ms()
    machine.pass_ms(20_000)
    assert clock.now_ms() == raised_ms + 20_000


@given(st.lists(st.tuples(st.sampled_from(["advance", "raise"]), st.integers(0, 10**13)), max_size=30))
def test_a_virtual_clock_never_decreases(moves: list[tuple[str, int]]) -> None:
    clock = VirtualClock(1_000)
    last = clock.now_ms()
    for move, ms in moves:
        if move == "advance":
            assert clock.advance(ms) == last + ms
        else:
            clock.raise_to(ms)
            assert clock.now_ms() == max(last, ms)
        assert clock.now_ms() >= last
        last = clock.now_ms()


def test_a_virtual_clock_moves_only_when_told_and_never_back() -> None:
    clock = VirtualClock(7)
    assert (clock.now_ms(), clock.now_ms()) == (7, 7)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
    assert clock.now_ms() == 7
