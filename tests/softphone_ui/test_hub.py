"""Fan-out to open pages: in order, resumed without gaps, and nobody's slowness is another's."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from softphone_ui.hub import QUEUE_LIMIT, REMEMBERED, Hub, Listener


class World:
    """What the pages show."""

    def __init__(self) -> None:
        self.version = 0
        self.hub = Hub("7", lambda login: {"login": login, "version": self.version})

    def change(self, login: str = "1001") -> None:
        self.version += 1
        self.hub.push(login)


def drain(listener: Listener) -> list[dict[str, Any] | None]:
    found: list[dict[str, Any] | None] = []
    while not listener.queue.empty():
        text = listener.queue.get_nowait()
        found.append(None if text is None else json.loads(text))
    return found


def messages(listener: Listener) -> list[dict[str, Any]]:
    return [message for message in drain(listener) if message is not None]


def test_a_new_page_gets_the_whole_state() -> None:
    world = World()
    (message,) = messages(world.hub.join("1001", "", 0))
    assert message == {"t": "state", "seq": 1, "boot": "7", "body": {"login": "1001", "version": 0}}


def test_changes_come_in_order_with_numbers_without_gaps() -> None:
    world = World()
    page = world.hub.join("1001", "", 0)
    for _ in range(5):
        world.change()
    world.hub.push_all({"queues": [1]})
    found = messages(page)
    assert [message["seq"] for message in found] == [1, 2, 3, 4, 5, 6, 7]
    assert [message["t"] for message in found] == ["state"] * 6 + ["patch"]
    assert found[-1]["body"] == {"queues": [1]}


def test_people_get_their_own_state_only() -> None:
    world = World()
    ann, bob = world.hub.join("1001", "", 0), world.hub.join("1002", "", 0)
    messages(ann)
    messages(bob)
    world.change("1001")
    assert [message["body"]["login"] for message in messages(ann)] == ["1001"]
    assert messages(bob) == []


def test_two_pages_of_one_person_get_the_same() -> None:
    world = World()
    one = world.hub.join("1001", "", 0)
    other = world.hub.join("1001", "", 0)
    messages(one)
    messages(other)
    world.change()
    assert messages(one) == messages(other)


def test_who_comes_back_gets_what_was_missed() -> None:
    world = World()
    stays, leaves = world.hub.join("1001", "", 0), world.hub.join("1001", "", 0)
    last = messages(leaves)[-1]["seq"]
    world.hub.leave(leaves)
    for _ in range(3):
        world.change()
    back = messages(world.hub.join("1001", "7", last))
    assert [message["body"]["version"] for message in back[:-1]] == [1, 2, 3]
    assert back[-1]["t"] == "resumed"
    assert back[-1]["seq"] == messages(stays)[-1]["seq"]


def test_who_missed_nothing_is_told_so() -> None:
    world = World()
    page = world.hub.join("1001", "", 0)
    last = messages(page)[-1]["seq"]
    world.hub.leave(page)
    assert [message["t"] for message in messages(world.hub.join("1001", "7", last))] == ["resumed"]


def test_what_changed_while_nobody_looked_is_not_hidden() -> None:
    """An offer that came in while the network was away."""
    world = World()
    page = world.hub.join("1001", "", 0)
    last = messages(page)[-1]["seq"]
    world.hub.leave(page)
    world.change()
    back = messages(world.hub.join("1001", "7", last))
    assert back[-1]["t"] == "state"
    assert back[-1]["body"]["version"] == 1


def test_what_would_have_been_pushed_soon_is_not_hidden_either() -> None:
    async def scene() -> None:
        world = World()
        page = world.hub.join("1001", "", 0)
        last = messages(page)[-1]["seq"]
        world.hub.leave(page)
        world.version = 1
        world.hub.push_soon("1001")
        await asyncio.sleep(0)
        assert messages(world.hub.join("1001", "7", last))[-1]["body"]["version"] == 1

    asyncio.run(scene())


def test_a_page_of_another_core_gets_the_whole_state() -> None:
    world = World()
    messages(world.hub.join("1001", "", 0))
    assert [message["t"] for message in messages(world.hub.join("1001", "6", 1))] == ["state"]


def test_numbers_from_the_future_or_from_nowhere_get_the_whole_state() -> None:
    world = World()
    world.hub.join("1001", "", 0)
    for seq in (99, -1, -(2**70), 2**70):
        assert messages(world.hub.join("1001", "7", seq))[-1]["t"] == "state"


def test_who_was_away_too_long_gets_the_whole_state() -> None:
    world = World()
    stays, leaves = world.hub.join("1001", "", 0), world.hub.join("1001", "", 0)
    last = messages(leaves)[-1]["seq"]
    world.hub.leave(leaves)
    for _ in range(REMEMBERED + 5):
        world.change()
        drain(stays)
    back = messages(world.hub.join("1001", "7", last))
    assert [message["t"] for message in back] == ["state"]


def test_many_changes_in_one_turn_are_one_message() -> None:
    async def scene() -> None:
        world = World()
        page = world.hub.join("1001", "", 0)
        messages(page)
        for _ in range(10):
            world.version += 1
            world.hub.push_soon("1001")
        assert messages(page) == []
        await asyncio.sleep(0)
        (message,) = messages(page)
        assert message["body"]["version"] == 10
        world.hub.push_soon("1001")
        await asyncio.sleep(0)
        assert len(messages(page)) == 1

    asyncio.run(scene())


def test_a_patch_that_says_nothing_new_is_not_sent() -> None:
    world = World()
    page = world.hub.join("1001", "", 0)
    messages(page)
    for _ in range(3):
        world.hub.push_all({"queues": [1]})
    assert len(messages(page)) == 1
    world.hub.push_all({"queues": [2]})
    world.hub.push_all({"queues": [1]})
    assert [message["body"] for message in messages(page)] == [{"queues": [2]}, {"queues": [1]}]


def test_a_patch_is_compared_with_what_this_page_knows() -> None:
    """It opened with a newer state than the last patch said."""
    world = World()
    page = world.hub.join("1001", "", 0)
    world.hub.push_all({"queues": ["A"]})
    world.hub.leave(page)
    later = world.hub.join("1001", "", 0)  # its state shows B
    messages(later)
    world.hub.push_all({"queues": ["A"]})
    assert [message["body"] for message in messages(later)] == [{"queues": ["A"]}]


def test_a_page_that_does_not_keep_up_is_sent_away_alone() -> None:
    world = World()
    slow, quick = world.hub.join("1001", "", 0), world.hub.join("1001", "", 0)
    for _ in range(QUEUE_LIMIT + 10):
        world.change()
        messages(quick)
    assert drain(slow) == [None], "it is told to come back"
    world.change()
    assert drain(slow) == []
    assert len(messages(quick)) == 1


def test_who_was_sent_away_comes_back_up_to_date() -> None:
    world = World()
    slow = world.hub.join("1001", "", 0)
    for _ in range(QUEUE_LIMIT + 10):
        world.change()
    drain(slow)
    assert messages(world.hub.join("1001", "7", 5))[-1]["body"]["version"] == QUEUE_LIMIT + 10


def test_leaving_twice_or_as_a_stranger_does_no_harm() -> None:
    world = World()
    page = world.hub.join("1001", "", 0)
    world.hub.leave(page)
    world.hub.leave(page)
    world.hub.leave(Listener("nobody"))
    assert not world.hub.watched()
    world.hub.push("nobody")


def test_closing_sends_every_page_away_also_a_full_one() -> None:
    world = World()
    page, full = world.hub.join("1001", "", 0), world.hub.join("1002", "", 0)
    while full.put('"x"'):
        pass
    world.hub.close()
    assert drain(page)[-1] is None
    assert drain(full)[-1] is None


STEPS = st.lists(st.sampled_from(["change", "patch", "read", "leave", "join", "soon"]), max_size=60)


@settings(max_examples=150)
@given(STEPS)
def test_a_page_that_applies_what_it_gets_shows_the_truth(steps: list[str]) -> None:
    """However it comes and goes, after reading everything it shows what is."""

    async def scene() -> None:
        queues = 0
        state: dict[str, Any] = {"version": 0, "queues": 0}
        hub = Hub("7", lambda _login: dict(state))
        shown: dict[str, Any] = {}
        boot, seq = "", 0
        page: Listener | None = None

        def read() -> None:
            nonlocal boot, seq
            for message in messages(page) if page else []:
                assert message["seq"] in (seq, seq + 1) or message["t"] == "state", "a gap"
                boot, seq = message["boot"], message["seq"]
                if message["t"] == "state":
                    shown.clear()
                if message["t"] != "resumed":
                    shown.update(message["body"])

        for step in [*steps, "join", "read"]:
            if step == "change":
                state["version"] += 1
                hub.push("1001")
            elif step == "soon":
                state["version"] += 1
                hub.push_soon("1001")
                await asyncio.sleep(0)
            elif step == "patch":
                queues = (queues + 1) % 3
                state["queues"] = queues
                hub.push_all({"queues": queues})
            elif step == "leave" and page is not None:
                read()
                hub.leave(page)
                page = None
            elif step == "join" and page is None:
                page = hub.join("1001", boot, seq)
            elif step == "read":
                read()
        assert shown == state

    asyncio.run(scene())
