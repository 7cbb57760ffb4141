"""A voice worker without a telephone: it does what `channels/voice/protocol.py` says a worker does, in
plain memory and virtual time. Commands queue until `work()`, facts until `deliver()`, so that a test can
let any two of them cross; `Centre.settle()` lets everything pass until nothing is left to do."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from callcenter.kernel.clock import VirtualClock
from channels.voice.worker.rooms import Room

MUSIC = "music.wav"


@dataclass
class Sent:
    """One command as the core sent it."""

    boot: str
    op: str
    leg: str
    fields: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]


@dataclass
class SimLeg:
    id: str
    direction: str
    since_ms: int
    state: str = "early"
    tag: dict[str, Any] = field(default_factory=dict)
    room: Room | None = None
    play: str | None = None
    files: list[str] = field(default_factory=list)
    interruptible: bool = False
    music: bool = False
    on_answer: dict[str, Any] | None = None
    then: dict[str, str] = field(default_factory=dict)
    ring_until_ms: int = 0
    answered_ms: int = 0
    hung_up: str = ""
    recording: dict[str, Any] | None = None
    meeting: str = ""
    """token with which it calls another worker"""
    linked: str = ""
    """its other half, which ends with it"""

    @property
    def peer(self) -> str | None:
        return self.room.peer_of(self.id) if self.room is not None else None

    def describe(self) -> dict[str, Any]:
        mine = self.room is not None and self.room.anchor == self.id
        return {
            "room": dict(self.room.members) if self.room is not None and mine else None,
            "leg": self.id,
            "direction": self.direction,
            "state": self.state,
            "since_ms": self.since_ms,
            "answered_ms": self.answered_ms,
            "peer": self.peer,
            "play": self.play,
            "music": self.music,
            "recording": self.recording["caller_file"] if self.recording else "",
            "tag": dict(self.tag),
            "message": "",
        }


def invite(called: str, caller: str, call_id: str = "c1") -> str:
    sender = f'"" <sip:{caller}@10.0.0.1>' if caller else "<sip:anonymous@anonymous.invalid>"
    return (
        f"INVITE sip:{called}@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\n"
        f"From: {sender};tag=1\r\nTo: <sip:{called}@10.0.0.2>\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\r\n"
    )


class SimWorker:
    """Also the `VoiceCommands` port of the core that holds it."""

    def __init__(self, clock: VirtualClock, boot: str = "aaaa0001", slot: int = 0) -> None:
        self.clock, self.boot, self.slot = clock, boot, slot
        self.legs: dict[str, SimLeg] = {}
        self.sent: list[Sent] = []
        """everything that was ever commanded"""
        self.commands: deque[Sent] = deque()
        self.facts: deque[dict[str, Any]] = deque()
        """not yet delivered to the present core"""
        self.unacknowledged: deque[dict[str, Any]] = deque()
        self.expected: dict[str, tuple[str, Sent]] = {}
        self.pressed: list[tuple[str, str]] = []
        self.acked = 0
        self.free = 100
        self._n = 0
        self._made = 0
        self._ops = {
            "answer": self._answer,
            "reject": lambda leg, sent: self.leave(leg.id, sent["code"], why="rejected"),
            "play": self._play,
            "stop": lambda leg, _sent: self._quiet(leg),
            "music": self._music,
            "unbridge": lambda leg, _sent: self._unbridge(leg),
            "hangup": self._hangup,
            "room": lambda leg, sent: self._room(leg.id, sent["members"]),
            "pause_record": lambda leg, sent: self._fact(
                "recording_paused" if sent["on"] else "recording_resumed",
                leg.id,
                interaction=leg.recording["interaction"] if leg.recording else "",
            ),
            "on": lambda leg, sent: leg.then.update(sent["then"]),
            "expect": lambda leg, sent: self.expected.update({sent["token"]: (leg.id, sent)}),
            "keys": lambda leg, sent: self.pressed.append((leg.id, sent["keys"])),
            "message": self._message,
            "stop_record": lambda leg, _sent: self._stop_record(leg),
            "record": lambda leg, sent: self._record(leg, self.legs[leg.peer or ""], sent["record"]),
            "tag": lambda leg, sent: leg.tag.update(sent["tag"]),
        }

    # --- the port --------------------------------------------------------------------------------

    def command(self, boot: str, op: str, leg: str, **fields: Any) -> None:
        sent = Sent(boot, op, leg, fields)
        self.sent.append(sent)
        if boot == self.boot:
            self.commands.append(sent)

    def address(self, boot: str) -> str:
        return "127.0.0.1:5081"

    def roomiest(self, legs: int) -> str:
        return self.boot if self.free >= legs else ""

    def acknowledge(self, boot: str, n: int) -> None:
        if boot == self.boot:
            self.acked = max(self.acked, n)
            while self.unacknowledged and self.unacknowledged[0]["n"] <= n:
                self.unacknowledged.popleft()

    # --- what tests read -------------------------------------------------------------------------

    def ops(self, op: str, leg: str = "") -> list[Sent]:
        return [sent for sent in self.sent if sent.op == op and leg in ("", sent.leg)]

    def agent_legs(self) -> list[SimLeg]:
        return [leg for leg in self.legs.values() if leg.direction == "out"]

    def welcome(self) -> dict[str, Any]:
        facts = [dict(fact) for fact in self.unacknowledged]
        inventory = [leg.describe() for leg in self.legs.values()]
        return {"slot": self.slot, "boot": self.boot, "facts": facts, "inventory": inventory}

    # --- what people do --------------------------------------------------------------------------

    def ring(self, called: str = "95519", caller: str = "13800138000") -> str:
        """A call comes in; answers its leg."""
        self._made += 1
        leg = SimLeg(f"{self.boot}-{self._made}", "in", self.clock.now_ms())
        self.legs[leg.id] = leg
        self._fact("incoming", leg.id, message=invite(called, caller), source="10.0.0.1:5060")
        return leg.id

    def key(self, leg: str, digits: str) -> None:
        for digit in digits:
            self._fact("key", leg, digit=digit)
            if self.legs[leg].play is not None and self.legs[leg].interruptible:
                self._quiet(self.legs[leg])

    def finish_play(self, leg: str) -> bool:
        """The prompt comes to its end; False where none plays."""
        if self.legs[leg].play is None:
            return False
        self._quiet(self.legs[leg], interrupted=False)
        return True

    def pick_up(self, leg_id: str) -> None:
        """A dialled phone answers: bridged at once where the caller is still there."""
        leg = self.legs[leg_id]
        leg.state, leg.answered_ms = "answered", self.clock.now_ms()
        self._fact("answered", leg.id)
        plan, leg.on_answer = leg.on_answer, None
        if not plan or leg.hung_up:
            return
        caller = self.legs.get(plan.get("room") or plan["bridge"])
        if caller is None:
            self.leave(leg.id, 0, why="caller_gone")
            return
        if "room" in plan:
            self._room(caller.id, {one: mode for one, mode in plan["members"].items() if one in self.legs})
            record = plan.get("record")
            if record:
                self._record(self.legs[record["caller"]], self.legs[record["agent"]], record)
            return
        self._quiet(caller)
        caller.music = False
        caller.room = leg.room = Room(caller.id, {caller.id: "talk", leg.id: "talk"})
        recording = self._recording(caller, leg, plan["record"]) if plan.get("record") else None
        self._fact("bridged", caller.id, other=leg.id, recording=recording)

    def leave(self, leg_id: str, code: int = 200, why: str = "", lost: bool = False) -> None:
        """The leg ends; `why` where it was our doing."""
        leg = self.legs.pop(leg_id, None)
        if leg is None:
            return
        self._stop_record(leg)
        stats = {
            "rx": 100,
            "tx": 100,
            "rx_lost": 0,
            "tx_lost": 0,
            "jitter_us": 10,
            "rtt_us": 0,
            "codec": "PCMA",
        }
        self._fact(
            *("ended", leg.id),
            code=code,
            by="local" if why else "remote",
            why=why,
            lost=lost,
            answered_ms=leg.answered_ms,
            reason="",
            stats=stats if leg.answered_ms else None,
            tag=dict(leg.tag),
        )
        for other in list(self.legs.values()):
            if other.on_answer and (other.on_answer.get("room") or other.on_answer["bridge"]) == leg.id:
                self.leave(other.id, 487, why="caller_gone")
        if leg.linked:
            self.leave(leg.linked)
        room, leg.room = leg.room, None
        if room is None:
            return
        room.members.pop(leg.id, None)
        if len(room.parties()) > 1:
            self._fact("room", room.anchor, members=dict(room.members))
            return
        parties, others = room.parties(), room.others()
        self._dissolve(room)
        default = "music" if lost else "hangup"
        for peer in (self.legs[one] for one in parties if one in self.legs):
            if peer.then.get("on_peer_lost" if lost else "on_peer_gone", default) == "music":
                peer.music = True
            else:
                self.leave(peer.id, 200, why="peer_gone")
        for one in others:
            self.leave(one, 200, why="peer_gone")

    def _dissolve(self, room: Room) -> None:
        for one in room.members:
            if one in self.legs:
                self.legs[one].room = None
        room.members = {}

    def _room(self, anchor: str, members: dict[str, str]) -> None:
        room = self.legs[anchor].room or Room(anchor)
        for one in room.members:
            if one in self.legs and one not in members:
                self.legs[one].room = None
        room.members = dict(members)
        for one, mode in members.items():
            leg = self.legs[one]
            leg.room = room
            if mode == "hold":
                leg.music = True
            else:
                self._quiet(leg)
        self._fact("room", anchor, members=dict(members))

    def die(self) -> None:
        """The process is gone with everything in it."""
        self.legs.clear()
        self.commands.clear()
        self.facts.clear()
        self.unacknowledged.clear()

    def restart(self) -> None:
        """Another process: it counts its facts from one."""
        self._n = self.acked = 0

    # --- carrying out ----------------------------------------------------------------------------

    def work(self, limit: int = 0) -> int:
        """Carry out queued commands (all, or the first `limit`); answers how many."""
        done = 0
        while self.commands and (not limit or done < limit):
            sent = self.commands.popleft()
            done += 1
            if sent.op == "dial":
                self._dial(sent)
                continue
            leg = self.legs.get(sent.leg)
            action = self._ops.get(sent.op)
            if leg is None or action is None:
                self._fact(
                    "failed", sent.leg, op=sent.op, reason="no_such_leg" if leg is None else "no_such_op"
                )
            else:
                action(leg, sent)
        return done

    def link(self) -> None:
        """Legs dialled to `meet-<token>` are answered by the worker that expects them: here, this very one."""
        for leg in [leg for leg in self.legs.values() if leg.meeting and leg.state != "answered"]:
            anchor, sent = self.expected.pop(leg.meeting)
            self._made += 1
            other = SimLeg(
                f"{self.boot}-{self._made}", "in", self.clock.now_ms(), "answered", dict(sent["tag"])
            )
            self.legs[other.id] = other
            other.then = {"on_peer_gone": "hangup", "on_peer_lost": "hangup"}
            leg.linked, other.linked = other.id, leg.id
            self._room(anchor, {**sent["members"], other.id: sent["mode"]})
            self.pick_up(leg.id)

    def tick(self) -> None:
        """Phones that rang long enough stop by themselves."""
        for leg in list(self.legs.values()):
            if leg.ring_until_ms and leg.state != "answered" and self.clock.now_ms() >= leg.ring_until_ms:
                self.leave(leg.id, 487, why="no_answer")

    def _fact(self, kind: str, leg: str | None, **fields: Any) -> None:
        self._n += 1
        fact = {"t": "fact", "n": self._n, "at_ms": self.clock.now_ms(), "kind": kind, "leg": leg, **fields}
        self.unacknowledged.append(fact)
        self.facts.append(fact)

    def _answer(self, leg: SimLeg, sent: Sent) -> None:
        leg.tag.update(sent.fields.get("tag", {}))
        if leg.direction == "in" and leg.state != "answered":
            leg.state, leg.answered_ms = "answered", self.clock.now_ms()
            self._fact("answered", leg.id)

    def _play(self, leg: SimLeg, sent: Sent) -> None:
        self._quiet(leg)
        leg.play, leg.files = sent["play"], list(sent["files"])
        leg.interruptible = bool(sent["interruptible"])
        if not leg.files:
            self._quiet(leg, interrupted=False)

    def _music(self, leg: SimLeg, sent: Sent) -> None:
        leg.tag.update(sent.fields.get("tag", {}))
        self._quiet(leg)
        leg.music = True

    def _quiet(self, leg: SimLeg, interrupted: bool = True) -> None:
        play, leg.play, leg.music = leg.play, None, False
        if play is not None:
            self._fact("played", leg.id, play=play, interrupted=interrupted)

    def _dial(self, sent: Sent) -> None:
        plan = sent.fields.get("on_answer")
        leg = SimLeg(sent.leg, "out", self.clock.now_ms(), tag=dict(sent["tag"]), on_answer=plan)
        if plan is not None and (plan.get("room") or plan["bridge"]) not in self.legs:
            self.legs[leg.id] = leg
            self.leave(leg.id, 0, why="caller_gone")
            return
        leg.meeting = sent["uri"].partition("sip:meet-")[2].partition("@")[0]
        leg.then, leg.ring_until_ms = dict(sent["then"]), self.clock.now_ms() + sent["ring_s"] * 1000
        self.legs[leg.id] = leg
        self._fact("ringing", leg.id, code=180)

    def _hangup(self, leg: SimLeg, sent: Sent) -> None:
        if sent.fields.get("unanswered_only") and leg.state == "answered":
            return
        self.leave(leg.id, 0 if leg.state == "answered" else 487, why=sent.fields.get("why", "hangup"))

    def _unbridge(self, leg: SimLeg) -> None:
        room, peer = leg.room, leg.peer
        if room is not None and peer is not None:
            self._stop_record(leg)
            self._dissolve(room)
            self._fact("unbridged", leg.id, other=peer)

    def _message(self, leg: SimLeg, sent: Sent) -> None:
        if leg.recording is not None:
            return
        plan = sent["record"]
        leg.recording = {
            "interaction": plan["interaction"],
            "caller_file": f"{plan['folder']}/{plan['name']}-caller.wav",
            "agent_file": "",
            "started_ms": self.clock.now_ms(),
            "about": plan["kind"],
            "queue": plan["queue"],
        }
        self._fact("recording", leg.id, **leg.recording)

    def _record(self, caller: SimLeg, agent: SimLeg, plan: dict[str, Any]) -> None:
        self._fact("recording", caller.id, **self._recording(caller, agent, plan))

    def _recording(self, caller: SimLeg, agent: SimLeg, plan: dict[str, Any]) -> dict[str, Any]:
        stem = f"{plan['folder']}/{plan['name']}"
        recording = {
            "interaction": plan["interaction"],
            "caller_file": f"{stem}-caller.wav",
            "agent_file": f"{stem}-agent.wav",
            "started_ms": self.clock.now_ms(),
        }
        caller.recording = agent.recording = recording
        return recording

    def _stop_record(self, leg: SimLeg) -> None:
        recording = leg.recording
        if recording is None:
            return
        for other in self.legs.values():
            if other.recording is recording:
                other.recording = None
        leg.recording = None
        length_ms = self.clock.now_ms() - recording["started_ms"]
        self._fact("recorded", leg.id, ms=length_ms, **recording)
