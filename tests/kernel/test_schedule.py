from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from callcenter.kernel.clock import VirtualClock
from callcenter.kernel.schedule import AsyncioScheduler, VirtualScheduler


def test_what_is_due_runs_in_order_at_its_own_moment() -> None:
    clock = VirtualClock(0)
    scheduler, ran = VirtualScheduler(clock), []
    for delay_ms in (300, 100, 200, 100):
        scheduler.after(delay_ms, lambda d=delay_ms: ran.append((d, clock.now_ms())))
    scheduler.advance(199)
    assert ran == [(100, 100), (100, 100)]
    assert clock.now_ms() == 199
    scheduler.advance(1)
    assert ran[2:] == [(200, 200)]
    scheduler.advance(1_000)
    assert ran[3:] == [(300, 300)]
    assert clock.now_ms() == 1_200


def test_a_cancelled_timer_never_runs() -> None:
    clock = VirtualClock(0)
    scheduler, ran = VirtualScheduler(clock), []
    handle = scheduler.after(10, lambda: ran.append("cancelled"))
    scheduler.after(10, lambda: ran.append("kept"))
    handle.cancel()
    handle.cancel()
    scheduler.advance(10)
    handle.cancel()
    assert ran == ["kept"]


def test_a_timer_runs_once() -> None:
    clock = VirtualClock(0)
    scheduler, ran = VirtualScheduler(clock), []
    scheduler.after(5, lambda: ran.append(1))
    scheduler.advance(5)
    scheduler.advance(500)
    assert ran == [1]


def test_a_timer_set_by_a_timer_runs_in_the_same_stretch() -> None:
    clock = VirtualClock(0)
    scheduler, ran = VirtualScheduler(clock), []

    def again() -> None:
        ran.append(clock.now_ms())
        if len(ran) < 5:
            scheduler.after(10, again)

    scheduler.after(10, again)
    scheduler.advance(35)
    assert ran == [10, 20, 30]
    scheduler.advance(100)
    assert ran == [10, 20, 30, 40, 50]


@given(st.lists(st.integers(-5, 50), max_size=20), st.lists(st.integers(0, 30), max_size=10))
def test_every_timer_runs_when_its_time_has_come(delays: list[int], steps: list[int]) -> None:
    clock = VirtualClock(1_000)
    scheduler, ran = VirtualScheduler(clock), []
    for delay in delays:
        scheduler.after(delay, lambda due=1_000 + max(0, delay): ran.append((due, clock.now_ms())))
    for step in [0, *steps]:
        scheduler.advance(step)
    assert all(due == at for due, at in ran)
    assert len(ran) == sum(1_000 + max(0, delay) <= clock.now_ms() for delay in delays)
    assert [due for due, _ in ran] == sorted(due for due, _ in ran)


def test_on_a_loop() -> None:
    async def scene() -> list[str]:
        ran: list[str] = []
        done = asyncio.Event()
        scheduler = AsyncioScheduler(asyncio.get_running_loop())
        scheduler.after(0, lambda: ran.append("never")).cancel()
        scheduler.after(-5, lambda: ran.append("at once"))
        scheduler.after(1, done.set)
        await asyncio.wait_for(done.wait(), 5)
        return ran

    assert asyncio.run(scene()) == ["at once"]
