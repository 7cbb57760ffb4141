from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from channels.voice.worker.timers import Timers


def carry_out(action: Callable[[], None]) -> None:
    action()


@given(st.lists(st.integers(0, 100), max_size=30), st.lists(st.integers(0, 120), min_size=1, max_size=10))
def test_everything_due_runs_once_in_order_of_due_time(dues: list[int], moments: list[int]) -> None:
    timers, ran = Timers(), []
    for order, due in enumerate(dues):
        timers.at(due, lambda pair=(due, order): ran.append(pair))
    for moment in sorted(moments):
        timers.run(moment, carry_out)
    assert ran == sorted((due, order) for order, due in enumerate(dues) if due <= max(moments))


def test_a_cancelled_timer_never_runs_not_even_when_a_timer_before_it_cancels_it() -> None:
    timers, ran = Timers(), []
    timers.at(10, lambda: ran.append("before")).cancel()
    later = timers.at(12, lambda: ran.append("later"))
    timers.at(11, later.cancel)
    timers.run(100, carry_out)
    assert ran == []


def test_a_timer_set_while_others_run_waits_its_turn() -> None:
    timers, ran = Timers(), []
    timers.at(1, lambda: timers.at(2, lambda: ran.append("soon")))
    timers.at(1, lambda: timers.at(50, lambda: ran.append("far")))
    timers.run(10, carry_out)
    assert ran == ["soon"]
    timers.run(50, carry_out)
    assert ran == ["soon", "far"]


def test_who_carries_out_may_stop_an_action_from_doing_harm() -> None:
    timers, ran = Timers(), []

    def fail() -> None:
        raise ValueError("nobody home")

    def guarded(action: Callable[[], None]) -> None:
        try:
            action()
        except ValueError:
            ran.append("failed")

    timers.at(1, fail)
    timers.at(2, lambda: ran.append("kept"))
    timers.run(5, guarded)
    timers.run(5, guarded)
    assert ran == ["failed", "kept"]
