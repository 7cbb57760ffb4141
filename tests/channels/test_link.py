"""The worker's side of the socket, over real unix sockets: one core reigns, facts are kept."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from callcenter.kernel.locks import LockTaken
from channels.voice.protocol import PROTOCOL, FrameBuffer, Message, pack
from channels.voice.worker.link import Link


class Peer:
    """Whoever connects to the worker."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.buffer = FrameBuffer()
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(link.path))
        self.sock.setblocking(False)
        link.pump()

    def say(self, message: Message | bytes) -> list[Message]:
        """Send and let the worker work; what came back since."""
        self.sock.sendall(message if isinstance(message, bytes) else pack(message))
        self.link.pump()
        return self.hear()

    def hear(self) -> list[Message]:
        self.link.pump()
        found: list[Message] = []
        while True:
            try:
                chunk = self.sock.recv(1 << 20)
            except BlockingIOError:
                return found
            if not chunk:
                return found
            found += self.buffer.feed(chunk)
            self.link.pump()

    def hello(self, epoch: int) -> list[Message]:
        return self.say({"t": "hello", "role": "core", "epoch": epoch, "proto": PROTOCOL})

    @property
    def closed(self) -> bool:
        self.link.pump()
        try:
            while self.sock.recv(1 << 16):
                pass
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True
        return True

    def close(self) -> None:
        self.sock.close()
        self.link.pump()


class Scene:
    def __init__(self, folder: Path) -> None:
        self.link = Link(folder, 0)
        self.commands: list[Message] = []
        self.cores: list[bool] = []
        self.link.on_command = self.commands.append
        self.link.on_core = self.cores.append
        self.link.describe = lambda: {"slot": 0, "pid": os.getpid(), "legs": 2}
        self.link.inventory = lambda: [{"leg": "aaaa-1"}]
        self.peers: list[Peer] = []

    def peer(self) -> Peer:
        self.peers.append(Peer(self.link))
        return self.peers[-1]

    def core(self, epoch: int) -> Peer:
        peer = self.peer()
        peer.hello(epoch)
        return peer

    def facts(self, count: int) -> None:
        for n in range(count):
            self.link.fact(1_000 + n, "key", "aaaa-1", digit=str(n % 10))

    def close(self) -> None:
        for peer in self.peers:
            peer.sock.close()
        self.link.close()
        os.close(self.link._lock)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: names of unix sockets have little room."""
    with tempfile.TemporaryDirectory(prefix="cc") as made:
        yield Path(made) / "run"


@pytest.fixture
def scene(folder: Path) -> Iterator[Scene]:
    made = Scene(folder)
    yield made
    made.close()


def kinds(messages: list[Message]) -> list[str]:
    return [message["t"] for message in messages]


def greeting(messages: list[Message]) -> tuple[Message, list[Message]]:
    """The welcome, and the facts that the worker still held, which come in frames before it."""
    *held, welcome = messages
    assert welcome["t"] == "welcome"
    assert {message["t"] for message in held} <= {"held"}
    return welcome, [fact for message in held for fact in message["facts"]]


# --- greeting ----------------------------------------------------------------------------------------


def test_a_core_is_welcomed_with_all_it_needs(scene: Scene) -> None:
    scene.facts(2)
    welcome, held = greeting(scene.peer().hello(7))
    assert (welcome["proto"], welcome["boot"], welcome["slot"]) == (PROTOCOL, scene.link.boot, 0)
    assert [fact["n"] for fact in held] == [1, 2]
    assert held[0] == {"t": "fact", "n": 1, "at_ms": 1_000, "kind": "key", "leg": "aaaa-1", "digit": "0"}
    assert welcome["inventory"] == [{"leg": "aaaa-1"}]
    assert scene.cores == [True]
    assert scene.link.core_present


def test_facts_go_to_the_core_as_they_happen(scene: Scene) -> None:
    core = scene.core(1)
    scene.facts(3)
    assert [(fact["t"], fact["n"]) for fact in core.hear()] == [("fact", 1), ("fact", 2), ("fact", 3)]


def test_an_observer_gets_a_status_and_nothing_else(scene: Scene) -> None:
    watcher = scene.peer()
    (status,) = watcher.say({"t": "hello", "role": "observer", "proto": PROTOCOL})
    assert status["t"] == "status"
    assert (status["pid"], status["legs"], status["boot"]) == (os.getpid(), 2, scene.link.boot)
    scene.facts(1)
    assert watcher.hear() == []
    assert (scene.cores, scene.link.core_present) == ([], False)


def test_an_observer_does_not_disturb_the_core(scene: Scene) -> None:
    core = scene.core(3)
    scene.peer().say({"t": "hello", "role": "observer", "proto": PROTOCOL})
    scene.facts(1)
    assert kinds(core.hear()) == ["fact"]
    assert scene.cores == [True]


def test_an_observer_may_not_command(scene: Scene) -> None:
    watcher = scene.peer()
    watcher.say({"t": "hello", "role": "observer", "proto": PROTOCOL})
    watcher.say({"t": "cmd", "id": [99, 1], "op": "hangup", "leg": "aaaa-1"})
    watcher_2 = scene.peer()
    watcher_2.say({"t": "ack", "n": 99})
    assert scene.commands == []
    assert watcher.closed
    assert watcher_2.closed


def test_a_core_asks_how_things_stand(scene: Scene) -> None:
    core = scene.core(1)
    (status,) = core.say({"t": "ask"})
    assert (status["t"], status["boot"]) == ("status", scene.link.boot)


# --- epochs ------------------------------------------------------------------------------------------


def test_the_newest_epoch_wins(scene: Scene) -> None:
    old = scene.core(4)
    new = scene.peer()
    assert kinds(new.hello(5)) == ["welcome"]
    assert old.hear() == [{"t": "superseded", "epoch": 5}]
    assert old.closed
    scene.facts(1)
    assert kinds(new.hear()) == ["fact"]
    assert scene.link.epoch == 5
    assert scene.cores[-1] is True
    assert False not in scene.cores, "there was a core all the time: no music for anybody"


@pytest.mark.parametrize("epoch", [1, 3])
def test_an_older_core_is_sent_away_and_changes_nothing(scene: Scene, epoch: int) -> None:
    core = scene.core(4)
    late = scene.peer()
    assert late.hello(epoch) == [{"t": "superseded", "epoch": 4}]
    late.say({"t": "cmd", "id": [epoch, 1], "op": "hangup", "leg": "aaaa-1"})
    assert scene.commands == []
    assert core.say({"t": "cmd", "id": [4, 1], "op": "ring", "leg": "aaaa-1"}) == []
    assert len(scene.commands) == 1


def test_an_older_core_is_refused_when_the_newer_one_is_away(scene: Scene) -> None:
    scene.core(4).close()
    assert scene.peer().hello(3) == [{"t": "superseded", "epoch": 4}]
    assert kinds(scene.peer().hello(4)) == ["welcome"], "the same core may come back"


def test_a_stranger_of_the_same_epoch_does_not_push_the_core_out(scene: Scene) -> None:
    core = scene.core(4)
    assert kinds(scene.peer().hello(4)) == ["superseded"]
    assert core.say({"t": "cmd", "id": [4, 1], "op": "ring", "leg": "aaaa-1"}) == []
    assert len(scene.commands) == 1


def test_a_command_of_an_older_epoch_is_refused(scene: Scene) -> None:
    core = scene.core(4)
    assert core.say({"t": "cmd", "id": [3, 9], "op": "hangup", "leg": "aaaa-1"}) == [
        {"t": "superseded", "epoch": 4}
    ]
    assert scene.commands == []


def test_who_has_not_said_hello_is_not_listened_to(scene: Scene) -> None:
    stranger = scene.peer()
    stranger.say({"t": "cmd", "id": [9, 1], "op": "hangup", "leg": "aaaa-1"})
    assert scene.commands == []
    assert stranger.closed


def test_commands_arrive_in_order(scene: Scene) -> None:
    core = scene.core(1)
    commands = [
        {"t": "cmd", "id": [1, n], "op": "play", "leg": "aaaa-1", "files": ["x"] * n} for n in range(200)
    ]
    core.say(b"".join(pack(command) for command in commands))
    scene.link.pump()
    assert scene.commands == commands


def test_the_worker_hears_when_its_core_is_gone(scene: Scene) -> None:
    core = scene.core(1)
    core.close()
    assert (scene.cores, scene.link.core_present) == ([True, False], False)


# --- facts -------------------------------------------------------------------------------------------


def test_facts_are_kept_until_they_are_acknowledged(scene: Scene) -> None:
    core = scene.core(1)
    scene.facts(5)
    core.hear()
    core.say({"t": "ack", "n": 3})
    assert scene.link.unacknowledged == 2
    core.say({"t": "ack", "n": 1})
    assert scene.link.unacknowledged == 2, "an older word changes nothing"
    core.close()
    scene.facts(1)
    _, held = greeting(scene.peer().hello(2))
    assert [fact["n"] for fact in held] == [4, 5, 6]


def test_facts_before_any_core_wait_for_one(scene: Scene) -> None:
    scene.facts(100)
    _, held = greeting(scene.peer().hello(1))
    assert [fact["n"] for fact in held] == list(range(1, 101))


@pytest.mark.parametrize("n", [0, -5, 1_000_000])
def test_any_number_may_be_acknowledged(scene: Scene, n: int) -> None:
    core = scene.core(1)
    scene.facts(3)
    core.say({"t": "ack", "n": n})
    assert scene.link.unacknowledged == (0 if n > 3 else 3)


def test_a_night_without_a_core_is_told_in_the_morning(scene: Scene) -> None:
    """More facts than fit into one frame."""
    for n in range(3_000):
        scene.link.fact(n, "incoming", f"aaaa-{n}", message="x" * 1_500)
    core = scene.peer()
    _, held = greeting(core.hello(1))
    assert [fact["n"] for fact in held] == list(range(1, 3_001))


# --- peers that misbehave ----------------------------------------------------------------------------

QUICK = (Phase.explicit, Phase.reuse, Phase.generate)
FIELDS = st.dictionaries(
    st.sampled_from(["role", "epoch", "proto", "id", "op", "leg", "n"]),
    st.none()
    | st.integers(-(2**40), 2**40)
    | st.text(max_size=5)
    | st.lists(st.integers(0, 9) | st.none(), max_size=3),
)
STRANGE = st.builds(
    lambda kind, fields: {**fields, "t": kind},
    st.sampled_from(["hello", "cmd", "ack", "ask", "dance", ""]),
    FIELDS,
)


def still_works(scene: Scene, *gone: Peer) -> None:
    """Whoever asks gets an answer; everybody leaves again."""
    watcher = scene.peer()
    assert kinds(watcher.say({"t": "hello", "role": "observer"})) == ["status"]
    for peer in (*gone, watcher):
        peer.close()
        scene.peers.remove(peer)


@settings(max_examples=100, phases=QUICK, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STRANGE, st.booleans())
def test_no_message_stops_the_worker(scene: Scene, message: Message, as_core: bool) -> None:
    """Calls hang on this process: a peer that talks nonsense is dropped, nothing else."""
    peer = scene.core(scene.link.epoch + 1) if as_core else scene.peer()
    peer.sock.sendall(pack(message))
    scene.link.pump()
    scene.facts(1)
    still_works(scene, peer)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=60))
def test_no_bytes_stop_the_worker(scene: Scene, garbage: bytes) -> None:
    peer = scene.peer()
    peer.sock.sendall(garbage)
    scene.link.pump()
    still_works(scene, peer)


def test_an_oversized_frame_is_cut_off(scene: Scene) -> None:
    peer = scene.peer()
    peer.sock.sendall(b"\xff\xff\xff\xff")
    assert peer.closed


def test_a_core_that_does_not_read_is_given_up_in_the_end(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.voice.worker.link._MAX_UNSENT", 1_000_000)
    core = scene.core(1)
    for n in range(100):
        scene.link.fact(n, "incoming", "aaaa-1", message="x" * 100_000)
        scene.link.pump()
    assert not scene.link.core_present
    assert scene.link.unacknowledged == 100
    core.sock.close()


def test_a_frame_in_pieces_is_put_together(scene: Scene) -> None:
    peer = scene.peer()
    frame = pack({"t": "hello", "role": "observer", "proto": PROTOCOL})
    heard: list[Message] = []
    for byte in frame:
        heard += peer.say(bytes([byte]))
    assert kinds(heard) == ["status"]


# --- the slot ----------------------------------------------------------------------------------------


def test_a_slot_is_held_by_one_worker(scene: Scene, folder: Path) -> None:
    with pytest.raises(LockTaken):
        Link(folder, 0)
    assert scene.link.path.exists(), "the second must not touch the socket of the first"
    assert (folder / "w-0.lock").read_text() == str(os.getpid())
    other = Link(folder, 1)
    other.close()
    os.close(other._lock)


def test_nobody_else_may_read_the_run_directory(scene: Scene, folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(scene.link.path.stat().st_mode) == 0o600


def test_a_dead_workers_socket_is_cleared_away_and_others_are_not(folder: Path) -> None:
    folder.mkdir()
    for name in ("w-0-dead0001.sock", "w-1-live0001.sock", "w-0.lock", "core.json"):
        (folder / name).touch()
    scene = Scene(folder)
    names = {path.name for path in folder.iterdir()}
    assert "w-0-dead0001.sock" not in names
    assert {"w-1-live0001.sock", "w-0.lock", "core.json"} <= names
    scene.close()
    assert not scene.link.path.exists()


def test_every_start_has_a_name_of_its_own(folder: Path) -> None:
    boots = set()
    for _ in range(5):
        scene = Scene(folder)
        boots.add(scene.link.boot)
        scene.close()
    assert len(boots) == 5


def test_a_lock_dies_with_its_process(folder: Path) -> None:
    code = (
        "import sys, pathlib; from channels.voice.worker.link import Link\n"
        "link = Link(pathlib.Path(sys.argv[1]), 0); print(link.boot, flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip()
        with pytest.raises(LockTaken):
            Link(folder, 0)
        other.kill()
        other.wait()
    scene = Scene(folder)
    assert [path.name for path in folder.glob("w-0-*.sock")] == [scene.link.path.name]
    scene.close()


def test_a_path_that_is_too_long_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too long"):
        Link(tmp_path / ("x" * 120), 0)
