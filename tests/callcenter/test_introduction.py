"""What an agent hears before a customer: a tone, a whisper, or nothing when it takes too long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from callcenter.live import introduction
from callcenter.live.book import Interaction
from callcenter.live.introduction import Introductions
from crm_core.customers import CustomerCreate, CustomerService
from crm_core.db import migrate, open_engine, session
from ivr_flows.interpreter import Words
from tests.callcenter.centre import MASTER, Centre


class Titles:
    def __init__(self) -> None:
        self.whispering = {"complaints"}

    def queue_titles(self) -> dict[str, str]:
        return {"complaints": "投诉受理", "service": "客户服务"}


class Speaker:
    def __init__(self, says: bool = True) -> None:
        self.says = says

    def prepare(self, words: tuple[Words, ...], ready: Callable[[list[str]], None]) -> None:
        if self.says:
            ready([one.text for one in words])


def heard(folder: Path, queue: str, auto: bool, klass: str = "", says: bool = True) -> list[str]:
    engine = open_engine(f"sqlite:///{folder}/c.db")
    migrate(engine)
    customer = 0
    if klass:
        with session(engine) as records:
            customer = CustomerService(records, MASTER).create(CustomerCreate(name="李", klass=klass)).id or 0
            records.commit()
    live = Interaction("i1", "voice", "95519", "w", "l", "", 0, queue=queue, customer=customer)

    async def scene() -> list[str]:
        done: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        with ThreadPoolExecutor(1) as executor:
            made = Introductions(Titles(), Speaker(says), engine, MASTER, executor, "zip.wav")
            made.introduce(live, auto, done.set_result)
            return await done

    return asyncio.run(scene())


@pytest.mark.parametrize(
    ("queue", "auto", "klass", "files"),
    [
        ("service", False, "", []),
        ("service", True, "vip", ["zip.wav"]),
        ("complaints", False, "", ["投诉受理"]),
        ("complaints", True, "vip", ["zip.wav", "贵宾客户", "投诉受理"]),
        ("complaints", True, "standard", ["zip.wav", "投诉受理"]),
    ],
)
def test_what_is_heard(tmp_path: Path, queue: str, auto: bool, klass: str, files: list[str]) -> None:
    assert heard(tmp_path, queue, auto, klass) == files


def test_nobody_waits_for_a_voice_that_does_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(introduction, "_PATIENCE_S", 0.05)
    assert heard(tmp_path, "complaints", True, says=False) == ["zip.wav"]


# --- in an offer ---------------------------------------------------------------------------------------


def test_a_device_that_answers_by_itself_is_told_to_and_hears_the_tone_first() -> None:
    centre = Centre(answer="auto")
    centre.offers.introduce = lambda _live, auto, ready: ready(["zip.wav"] if auto else [])
    centre.ready("ann")
    centre.queue_up()
    (dial,) = centre.worker.ops("dial")
    assert dial["on_answer"]["first"] == ["zip.wav"]
    assert dial["headers"]["Call-Info"].endswith("answer-after=0")


def test_an_offer_that_ends_before_the_words_are_there_rings_nobody() -> None:
    centre = Centre(answer="auto")
    waiting: list[Callable[[list[str]], None]] = []
    centre.offers.introduce = lambda _live, _auto, ready: waiting.append(ready)
    centre.ready("ann")
    live = centre.queue_up()
    centre.caller_leaves(live)
    waiting[0]([])
    centre.settle()
    assert centre.worker.ops("dial") == []


def test_accepting_twice_rings_once() -> None:
    centre = Centre(answer="panel")
    waiting: list[Callable[[list[str]], None]] = []
    centre.offers.introduce = lambda _live, _auto, ready: waiting.append(ready)
    centre.ready("ann")
    live = centre.queue_up()
    for _ in range(2):
        assert centre.offers.accept("ann", live.offer)
    for ready in waiting:
        ready([])
    centre.settle()
    assert len(centre.worker.ops("dial")) == 1
