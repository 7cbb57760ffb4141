"""Two sides become one file; a helper that fails is said, and nothing is deleted before it is safe."""

from __future__ import annotations

import array
import asyncio
import io
import wave
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from callcenter.kernel.sealed_file import SealedFile, digest_of
from callcenter.live import facts as f
from callcenter.live.recordings import RecordingSealer
from tests.callcenter.centre import Centre


def side(path: Path, frames: int, value: int = 1) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(array.array("h", [value] * frames).tobytes())
    return str(path)


class Desk:
    """A talking centre and a merger of real files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.centre = Centre()
        self.centre.ready("ann")
        self.interaction = self.centre.talk()
        self.sealer = RecordingSealer(self.centre.host)

    def record(self, name: str, caller: int = 8000, agent: int = 4000) -> tuple[str, str]:
        return side(self.folder / f"{name}-caller.wav", caller), side(
            self.folder / f"{name}-agent.wav", agent, 2
        )

    async def until(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        async with asyncio.timeout(20):
            while len(found := self.centre.journalled(kind)) < count:
                await asyncio.sleep(0.005)
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    yield Desk(tmp_path / "rec")


def run(scene: Callable[[], Awaitable[None]], desk: Desk) -> None:
    async def all_of_it() -> None:
        try:
            await scene()
        finally:
            await desk.sealer.close()

    asyncio.run(all_of_it())


def test_both_sides_are_merged_and_only_then_removed(desk: Desk) -> None:
    async def scene() -> None:
        caller, agent = desk.record("i1-1-5")
        desk.centre.journal.stuck = True
        desk.sealer.stopped(desk.interaction.id, caller, agent)
        async with asyncio.timeout(20):
            while not (desk.folder / "i1-1-5.sealed").exists() or desk.sealer.waiting:
                await asyncio.sleep(0.005)
        assert Path(caller).exists(), "the fact is not committed yet"
        desk.centre.journal.flush()
        desk.centre.settle()
        assert not Path(caller).exists()
        assert not Path(agent).exists()

    run(scene, desk)
    (saved,) = desk.centre.journalled("RecordingSaved")
    assert (saved["interaction"], saved["duration_ms"]) == (desk.interaction.id, 1000)
    path = Path(saved["file"])
    assert path == desk.folder / "i1-1-5.sealed"
    assert (saved["size"], saved["sha256"]) == (path.stat().st_size, digest_of(path))
    assert {one.name for one in desk.folder.iterdir()} == {"i1-1-5.sealed"}
    assert b"WAVE" not in path.read_bytes()
    file, private = SealedFile(path), desk.centre.private
    key = private.opening_key(file.key_name)
    assert key is not None
    assert file.key_name.person == private.person_of(private.get(desk.interaction.party_ref))
    with wave.open(io.BytesIO(file.read(key))) as sound:
        assert (sound.getnchannels(), sound.getnframes()) == (2, 8000)
    assert file.about(key)["ms"] == 1000


def test_a_recording_is_merged_once_however_often_it_is_told(desk: Desk) -> None:
    async def scene() -> None:
        files = desk.record("i1-1-5")
        for _ in range(3):
            desk.sealer.stopped(desk.interaction.id, *files)
        await desk.until("RecordingSaved")
        desk.centre.settle()

    run(scene, desk)
    assert len(desk.centre.journalled("RecordingSaved")) == 1
    assert desk.centre.journalled("RecordingFailed") == []


def test_several_at_once(desk: Desk) -> None:
    async def scene() -> None:
        for n in range(6):
            desk.sealer.stopped(f"i9-{n}", *desk.record(f"i9-{n}"))
        await desk.until("RecordingSaved", 6)

    run(scene, desk)
    assert {fact["interaction"] for fact in desk.centre.journalled("RecordingSaved")} == {
        f"i9-{n}" for n in range(6)
    }


def test_what_cannot_be_merged_is_said_and_its_files_stay(desk: Desk) -> None:
    async def scene() -> None:
        caller, _ = desk.record("i1-1-5")
        desk.sealer.stopped(desk.interaction.id, caller, str(desk.folder / "none-agent.wav"))
        await desk.until("RecordingFailed")
        assert Path(caller).exists()
        desk.sealer.stopped("i9-1", *desk.record("i9-1"))
        await desk.until("RecordingSaved")

    run(scene, desk)
    assert desk.sealer.failed == 1


def test_a_helper_that_is_killed_is_started_anew(desk: Desk) -> None:
    async def scene() -> None:
        desk.sealer.stopped("i9-1", *desk.record("i9-1"))
        await desk.until("RecordingSaved")
        process = desk.sealer._helper._process
        assert process is not None
        process.kill()
        await process.wait()
        desk.sealer.stopped("i9-2", *desk.record("i9-2"))
        await desk.until("RecordingSaved", 2)

    run(scene, desk)


def test_after_a_start_what_is_left_over_is_picked_up(desk: Desk) -> None:
    async def scene() -> None:
        caller, agent = desk.record("i1-1-5")
        desk.interaction.recordings = {"i1-1-5": [caller, agent]}
        desk.sealer.goes_on(caller)
        desk.sealer.pick_up()
        assert desk.sealer.waiting == 0, "it is still being recorded"
        desk.interaction.state = "wrapping"
        desk.sealer.running.clear()
        desk.sealer.pick_up()
        await desk.until("RecordingSaved")

    run(scene, desk)
    assert desk.interaction.recording == []


def test_without_workers_everything_is_left_over(desk: Desk) -> None:
    async def scene() -> None:
        desk.interaction.recordings = {"i1-1-5": list(desk.record("i1-1-5"))}
        desk.sealer.pick_up()
        await desk.until("RecordingSaved")

    run(scene, desk)


def test_closing_in_the_middle_leaves_the_rest_for_the_next_core(desk: Desk) -> None:
    async def scene() -> None:
        caller, agent = desk.record("i1-1-5")
        desk.sealer.stopped(desk.interaction.id, caller, agent)
        await asyncio.sleep(0)
        await desk.sealer.close()
        assert Path(caller).exists() or (desk.folder / "i1-1-5.sealed").exists()
        assert desk.centre.journalled("RecordingFailed") == []

    run(scene, desk)


def test_of_a_call_that_goes_on_only_what_still_runs_is_left_alone(desk: Desk) -> None:
    """The first part was complete when the core stopped; the second is being written, or began since."""

    async def scene() -> None:
        first, second, third = (desk.record(f"i1-1-{n}") for n in (5, 6, 7))
        desk.interaction.recordings = {f"i1-1-{n}": list(one) for n, one in ((5, first), (6, second))}
        desk.sealer.goes_on(second[0])
        desk.centre.host.submit(f.RecordingStarted(desk.interaction.id, *third, desk.centre.clock.now_ms()))
        desk.sealer.pick_up()
        await desk.until("RecordingSaved")
        await asyncio.sleep(0.3)

    run(scene, desk)
    assert [Path(fact["file"]).stem for fact in desk.centre.journalled("RecordingSaved")] == ["i1-1-5"]
