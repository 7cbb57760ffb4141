"""The worker: events of the library, commands of the core and timers, drained in one loop.

Theory of operation. The loop lets the library work for at most `POLL_MS`, pumps the socket, drains
the library's events, and runs timers. Nothing else has a thread. A leg's life:

    incoming --ring--> early --answer--> answered --(BYE, lost, hangup)--> ended
    dial ----> early ------------------> answered ----------------------> ended

Whatever needs no core was said with an earlier command (`Continuations`).
"""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callcenter.kernel import logging
from channels.voice.pace import EventPace
from channels.voice.protocol import Message
from channels.voice.worker.admission import Admission, Pace
from channels.voice.worker.inband import LOOK_EVERY_MS, offers_events
from channels.voice.worker.legs import ANSWERED, EARLY, INCOMING, Leg, Play, Recording
from channels.voice.worker.library import MAX_MESSAGE
from channels.voice.worker.link import Link
from channels.voice.worker.media import Media
from channels.voice.worker.rooms import HOLD, TALK, Room, connections, is_mode
from channels.voice.worker.sip import Sip, SipConfig
from channels.voice.worker.timers import Timers

log = logging.get("worker")
POLL_MS = 5
_IDLE_S = 0.02
"""the library's own timers are looked at so often"""
_BUSY_EVENTS_S, _REST_S, _MOST_POLLS = 2500, 0.004, 16
ORPHAN_ANSWER_MS = 30_000
CALLER_SILENCE_MS = 60_000
_WATCH_MS = 1000
_FIRST = "first"
"""the play of what an agent hears before a customer"""
_DIAL_TRIES, _DIAL_AGAIN_MS = 40, 50
_EXPECTED_MS, _EARLY_MS, _MOST_EARLY = 15_000, 1_000, 16
_MEETING = re.compile(r"INVITE sips?:meet-([0-9a-f]{32})@")
_VANISHED = re.compile(r"SIP\s*;\s*cause\s*=\s*408")
"""a phone's host says of its user: gone without a word"""
_LOST_CODES = frozenset({408, 481, 503, 504})


@dataclass(frozen=True)
class WorkerConfig:
    slot: int
    run_dir: Path
    sip: SipConfig
    music: str
    retry_after_s: int
    silence_probe_s: int
    calls_per_s: float


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Worker:
    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self.link = Link(config.run_dir, config.slot)
        self.sip = Sip(config.sip)
        self.timers = Timers()
        self.media = Media(self.sip, self.timers, now_ms)
        self.admission = Admission(self.sip.capacity)
        self.pace = Pace(config.calls_per_s)
        self.legs: dict[str, Leg] = {}
        self._expected: dict[str, tuple[str, Message, int]] = {}
        """token -> leg here, what was said of the one to come, until when"""
        self._early: dict[str, Leg] = {}
        """token -> leg that came before the core's word of it"""
        self._dialled_for: dict[str, list[str]] = {}
        """caller -> legs dialled to be bridged with it"""
        self.stopping = self.draining = False
        self.troubles = 0
        self._made = 0
        self._last_command = (0, 0)
        self.link.on_command = lambda message: self._guarded(functools.partial(self._command, message))
        self.link.on_core = self._core_changed
        self.link.on_drain = self._drain
        self.link.describe = self.describe
        self.link.inventory = lambda: [leg.describe() for leg in self.legs.values()]
        self.media.on_played = self._played
        self.media.on_missing = lambda leg, path: self._fact(
            "failed", leg.id, op="play", reason="prompt_unusable", file=Path(path).name
        )
        self._ops: dict[str, Callable[[Leg, Message], None]] = {
            "ring": self._ring,
            "answer": self._answer,
            "reject": self._reject,
            "play": self._play,
            "stop": lambda leg, _message: self.media.quiet(leg),
            "music": self._music,
            "bridge": lambda leg, message: self._bridge(
                leg, self.legs[message["other"]], message.get("record")
            ),
            "unbridge": lambda leg, _message: self._unbridge(leg),
            "room": lambda leg, message: self._room(leg, message["members"]),
            "keys": lambda leg, message: self.sip.press(leg.id, message["keys"]),
            "expect": self._expect,
            "record": lambda leg, message: self._record(leg, self.legs[leg.peer or ""], message["record"]),
            "message": self._message,
            "pause_record": self._pause_record,
            "stop_record": lambda leg, _message: self._stop_record(leg),
            "hangup": self._hangup_command,
            "tag": lambda leg, message: leg.tag.update(message["tag"]),
            "on": lambda leg, message: leg.then.update(message["then"]),
        }
        self._handlers: dict[str, Callable[..., None]] = {
            "incoming": self._on_incoming,
            "state": self._on_state,
            "media": self._on_media,
            "key": self._on_key,
            "bye": self._on_bye,
            "probed": self._on_probed,
        }
        self._pace_of_events = EventPace(_BUSY_EVENTS_S)
        if self.sip.readable >= 0:
            self.link.wait_also_for(self.sip.readable)
        self._watch()

    def describe(self) -> Message:
        admission = self.admission
        return {
            "slot": self.config.slot,
            "pid": os.getpid(),
            "library": self.sip.kind,
            "address": self.sip.address,
            "capacity": admission.capacity,
            "legs": admission.used,
            "reserved": admission.reserved,
            "free": admission.free,
            "draining": self.draining,
            "max_message": MAX_MESSAGE[self.sip.kind],
            "refused": admission.refused,
            "malformed": self.sip.malformed,
            "troubles": self.troubles,
            "unacknowledged": self.link.unacknowledged,
        }

    def step(self) -> None:
        """One turn of the loop. Where the library can be waited on, whoever speaks first, network or core,
        ends the wait; under load work is left to gather for a moment instead, since a process that wakes
        for every packet spends more on waking than on work."""
        if self.sip.readable < 0:
            self.sip.poll(POLL_MS)
        else:
            if self._pace_of_events.rests(time.monotonic()):
                time.sleep(_REST_S)
            else:
                self.link.wait(_IDLE_S)
            for _ in range(_MOST_POLLS):
                if not self.sip.poll(0):
                    break
        events = self.sip.events
        self._pace_of_events.count += len(events)
        while events:
            kind, *details = events.popleft()
            self._guarded(functools.partial(self._handlers[kind], *details))
        self.link.pump()
        self.timers.run(now_ms(), self._guarded)

    def _guarded(self, action: Callable[[], None]) -> None:
        """A leg may be gone from the library while its last event still waits here. Whatever such a leg
        makes fail stays with it: one call's trouble never ends the others."""
        try:
            action()
        except (self.sip.pj.Error, KeyError, OSError) as error:
            self.troubles += 1
            log.warning("leg_trouble", error=type(error).__name__, reason=str(error)[:200])

    def stop(self, grace_s: float = 1.0) -> None:
        """Hang up politely; does not tear the library down (that takes a second and may abort)."""
        self.stopping = True
        for leg in list(self.legs.values()):
            self._hang_up(leg, 503 if leg.state != ANSWERED else 0, "shutdown")
        deadline = time.monotonic() + grace_s
        while self.legs and time.monotonic() < deadline:
            self.step()
        self.link.close()

    # --- events of the library -------------------------------------------------------------------

    def _on_incoming(self, pending: str, message: str, source: str) -> None:
        call = self.sip.calls.pop(pending, None)
        if call is None:
            return
        self._made += 1
        leg = Leg(f"{self.link.boot}-{self._made}", "in", now_ms(), message=message, source=source)
        call.leg = leg.id
        self.sip.calls[leg.id] = call
        meeting = _MEETING.match(message)
        if meeting is not None:
            self._meets(leg, meeting[1])
            return
        refusal = self._refusal(leg)
        if refusal:
            self._fact("refused", None, reason=refusal)
            leg.hung_up = refusal
            self.sip.respond(leg.id, 503, {"Retry-After": str(self.config.retry_after_s)})
            return
        self.legs[leg.id] = leg
        leg.events_offered = offers_events(message)
        leg.then.music = self.config.music
        self.sip.respond(leg.id, 180)
        leg.state = EARLY
        if self.link.core_present:
            self.pace.told(leg.id, leg.since_ms)
        self._fact("incoming", leg.id, message=message, source=source)
        self._after(leg, ORPHAN_ANSWER_MS, lambda: self._answer_orphan(leg))

    def _refusal(self, leg: Leg) -> str:
        """Why this call is not taken; "" where it is."""
        if self.stopping or self.draining:
            return "stopping"
        if not self.pace.fits(leg.since_ms):
            return "overload"
        return "" if self.admission.admit_caller(leg.id) else "capacity"

    def _drain(self, on: bool) -> None:
        """No new calls; those that are here go on to their end."""
        self.draining = on

    def _on_state(self, leg_id: str, state: int, code: int, stats: dict[str, Any] | None) -> None:
        pj = self.sip.pj
        leg = self.legs.get(leg_id)
        if state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.admission.release(leg_id)
            if leg is not None:
                self._ended(leg, code, stats)
        elif leg is None:
            return
        elif state == pj.PJSIP_INV_STATE_EARLY and leg.direction == "out" and leg.state == INCOMING:
            leg.state = EARLY
            if not leg.then.on_answer:
                self._fact("ringing", leg.id, code=code)
        elif state == pj.PJSIP_INV_STATE_CONFIRMED and leg.state != ANSWERED:
            leg.state = ANSWERED
            leg.answered_ms = now_ms()
            if leg.direction == "out" and not leg.then.on_answer:
                self._fact("answered", leg.id)
            self._continue_answered(leg)

    def _on_media(self, leg_id: str, active: bool) -> None:
        leg = self.legs.get(leg_id)
        if leg is None:
            return
        leg.audio_ready = active
        if not active:
            return
        if not leg.events_offered:
            self._listen(leg)
        if leg.room is not None:
            self._rejoin(leg, leg.room)
        elif leg.state == ANSWERED and leg.then.on_answer:
            self._continue_answered(leg)
        else:
            self.media.audio_ready(leg)

    def _listen(self, leg: Leg) -> None:
        """For keys in the sound of a caller who has no other way to send them."""
        fresh = leg.ear is None
        try:
            self.media.listen(leg, self.config.run_dir / f"ear-{leg.id}.wav")
        except (OSError, self.sip.pj.Error) as error:
            leg.events_offered = True  # nothing to be done, and said once
            self._fact("failed", leg.id, op="listen", reason=type(error).__name__)
            return
        if fresh:
            self._after(leg, LOOK_EVERY_MS, lambda: self._heard_keys(leg))

    def _heard_keys(self, leg: Leg) -> None:
        if leg.ear is None:
            return
        for digit in leg.ear.pressed():
            self._key(leg, digit)
        leg.timers[:] = [timer for timer in leg.timers if timer.action is not None]
        self._after(leg, LOOK_EVERY_MS, lambda: self._heard_keys(leg))

    def _on_key(self, leg_id: str, digit: str) -> None:
        leg = self.legs.get(leg_id)
        if leg is None:
            return
        leg.events_offered = True  # this one has another way after all: each key counts once
        self.media.deafen(leg)
        self._key(leg, digit)

    def _key(self, leg: Leg, digit: str) -> None:
        self._fact("key", leg.id, digit=digit)
        if leg.play is not None and leg.play.interruptible:
            self.media.quiet(leg)

    def _on_bye(self, leg_id: str, message: str) -> None:
        leg = self.legs.get(leg_id)
        if leg is None:
            return
        for line in message.split("\r\n"):
            name, _, value = line.partition(":")
            if name.strip().lower() == "reason":
                leg.reason_header = value.strip()[:120]
                leg.vanished = _VANISHED.match(leg.reason_header) is not None

    def _on_probed(self, leg_id: str, code: int) -> None:
        leg = self.legs.get(leg_id)
        if leg is None or not leg.probing:
            return
        leg.probing = False
        leg.packets_ms = now_ms()
        if code in _LOST_CODES:
            self._hang_up(leg, 0, "lost")

    # --- what goes on without the core -----------------------------------------------------------

    def _continue_answered(self, leg: Leg) -> None:
        plan = leg.then.on_answer
        if not plan or not leg.audio_ready or leg.hung_up or (leg.play and leg.play.id == _FIRST):
            return
        first = plan.pop("first", None)
        if first:
            self.media.play(leg, Play(_FIRST, list(first), interruptible=False))
            return
        leg.then.on_answer = None
        other = self.legs.get(_anchor(plan))
        if other is None:
            self._hang_up(leg, 0, "caller_gone")
            return
        try:
            if "room" in plan:
                present = {one: mode for one, mode in plan["members"].items() if one in self.legs}
                self._room(other, present)
                self._record_both(plan.get("record"))
            else:
                self._bridge(other, leg, plan.get("record"))
        except (self.sip.pj.Error, KeyError):
            self._hang_up(leg, 0, "caller_gone")

    def _answer_orphan(self, leg: Leg) -> None:
        """A new call that no core has spoken to for 30 s hears music instead of ringing out."""
        if leg.state == EARLY and not self.link.core_present:
            self.sip.respond(leg.id, 200)
            self.media.music(leg, leg.then.music)

    def _core_changed(self, present: bool) -> None:
        self.pace.forget()
        if present:
            return
        for leg in self.legs.values():
            self._fall_back_to_music(leg)

    def _fall_back_to_music(self, leg: Leg) -> None:
        idle = leg.play is None and not leg.music and leg.room is None and leg.recording is None
        if idle and leg.direction == "in" and leg.state == ANSWERED and leg.then.on_core_lost == "music":
            self.media.music(leg, leg.then.music)

    def _played(self, leg: Leg, play: str, interrupted: bool) -> None:
        if play == _FIRST:
            self._continue_answered(leg)
            return
        self._fact("played", leg.id, play=play, interrupted=interrupted)
        if not interrupted and not self.link.core_present:
            self._fall_back_to_music(leg)

    def _ended(self, leg: Leg, code: int, stats: dict[str, Any] | None) -> None:
        del self.legs[leg.id]
        self.pace.answered(leg.id)
        for timer in leg.timers:
            timer.cancel()
        if leg.id not in self.sip.calls:
            self.admission.release(leg.id)
        lost = (
            leg.hung_up == "lost"
            or leg.vanished
            or (not leg.hung_up and leg.state == ANSWERED and code in _LOST_CODES)
        )
        self._stop_record(leg)
        self.media.deafen(leg)
        leg.play = None
        by = "local" if leg.hung_up else "remote"
        self._fact(
            "ended",
            leg.id,
            code=code,
            by=by,
            why=leg.hung_up,
            lost=lost,
            answered_ms=leg.answered_ms,
            reason=leg.reason_header,
            stats=stats,
            tag=leg.tag,
        )
        self._stop_dialling_for(leg)
        if leg.room is not None:
            self._left_room(leg, leg.room, lost)

    def _left_room(self, leg: Leg, room: Room, lost: bool) -> None:
        """Two who are parties stay together; one alone does what was said beforehand, and nobody listens to
        one alone."""
        room.members.pop(leg.id, None)
        leg.room = None
        room.joined = {pair for pair in room.joined if leg.id not in pair}
        if len(room.parties()) > 1:
            self._mix(room)
            self._tell_room(room)
            return
        parties, others = room.parties(), room.others()
        self._dissolve(room)
        for remaining in (self.legs[one] for one in parties if one in self.legs):
            action = remaining.then.on_peer_lost if lost else remaining.then.on_peer_gone
            if action == "music":
                self.media.music(remaining, remaining.then.music)
            else:
                self._hang_up(remaining, 0, "peer_gone")
        for bystander in (self.legs[one] for one in others if one in self.legs):
            self._hang_up(bystander, 0, "peer_gone")

    def _stop_dialling_for(self, caller: Leg) -> None:
        """Phones that still ring for a caller who left stop ringing, with or without a core."""
        for leg_id in self._dialled_for.pop(caller.id, ()):
            leg = self.legs.get(leg_id)
            if leg is not None and leg.then.on_answer:
                self._hang_up(leg, 0, "caller_gone")

    def _watch(self) -> None:
        """Once a second: has a phone that used to send audio fallen silent? An agent's is asked soon, so
        that the caller moves on; a caller's later, so that no leg stays behind for ever."""
        at_ms = now_ms()
        agent_limit_ms = self.config.silence_probe_s * 1000
        for leg in list(self.legs.values()):
            if leg.state != ANSWERED or (leg.direction == "out" and leg.peer is None):
                continue
            limit_ms = agent_limit_ms if leg.direction == "out" else CALLER_SILENCE_MS
            packets = self.sip.received_packets(leg.id)
            if packets != leg.packets or not leg.packets_ms:
                leg.packets, leg.packets_ms, leg.probing = packets, at_ms, False
            elif at_ms - leg.packets_ms > limit_ms and self._worth_a_probe(leg, packets):
                self._probe(leg, at_ms, limit_ms)
        self.timers.at(at_ms + _WATCH_MS, self._watch)

    def _worth_a_probe(self, leg: Leg, packets: int) -> bool:
        """A phone that sent audio and stopped, or that never sent any although its caller does. Where
        neither side sends (signalling without media) there is nothing to conclude from silence."""
        return packets > 0 or self.sip.received_packets(leg.peer or "") > 0

    def _probe(self, leg: Leg, at_ms: int, limit_ms: int) -> None:
        if leg.probing:
            if at_ms - leg.packets_ms > limit_ms + 4000:
                self._hang_up(leg, 0, "lost")
            return
        leg.probing = True
        try:
            self.sip.probe(leg.id)
        except self.sip.pj.Error:
            self._hang_up(leg, 0, "lost")

    # --- commands of the core --------------------------------------------------------------------

    def _command(self, message: Message) -> None:
        command_id = (message["id"][0], message["id"][1])
        if command_id <= self._last_command:
            return
        self._last_command = command_id
        op = message["op"]
        if op == "dial":
            self._dial(message)
            return
        self.pace.answered(message["leg"])
        leg = self.legs.get(message["leg"])
        action = self._ops.get(op)
        if leg is None or action is None:
            reason = "no_such_leg" if leg is None else "no_such_op"
            self._fact("failed", message["leg"], op=op, reason=reason, command=list(command_id))
            return
        try:
            action(leg, message)
        except (self.sip.pj.Error, KeyError, ValueError, OSError) as error:
            self._fact("failed", leg.id, op=op, reason=type(error).__name__, command=list(command_id))

    def _ring(self, leg: Leg, _message: Message) -> None:
        self.sip.respond(leg.id, 180)

    def _answer(self, leg: Leg, message: Message) -> None:
        leg.then.update(message.get("then", {}))
        leg.tag.update(message.get("tag", {}))
        if leg.direction == "in" and leg.state in (INCOMING, EARLY):
            self.sip.respond(leg.id, 200)
        if message.get("max_s"):
            self._after(leg, message["max_s"] * 1000, lambda: self._hang_up(leg, 0, "max_duration"))

    def _music(self, leg: Leg, message: Message) -> None:
        leg.tag.update(message.get("tag", {}))
        self.media.music(leg, message.get("file") or self.config.music)

    def _reject(self, leg: Leg, message: Message) -> None:
        headers = {"Retry-After": str(message["retry_after_s"])} if message.get("retry_after_s") else {}
        leg.hung_up = "rejected"
        self.sip.hang_up(leg.id, message["code"], headers)

    def _play(self, leg: Leg, message: Message) -> None:
        play = Play(message["play"], list(message["files"]), bool(message.get("interruptible")))
        self.media.play(leg, play)

    def _dial(self, message: Message) -> None:
        leg_id = message["leg"]
        if leg_id in self.legs:
            return
        leg = Leg(leg_id, "out", now_ms(), called=message["uri"], tag=dict(message.get("tag", {})))
        leg.then.update(message.get("then", {}))
        leg.then.on_answer = message.get("on_answer")
        caller = _anchor(leg.then.on_answer) if leg.then.on_answer else None
        if caller is not None and caller not in self.legs:
            self._not_dialled(leg, 0, "caller_gone")
            return
        if not self.admission.admit_dial(leg_id, caller):
            self._dial_later(message, leg)
            return
        self.legs[leg_id] = leg
        if caller is not None:
            self._dialled_for.setdefault(caller, []).append(leg_id)
        try:
            self.sip.dial(
                leg_id,
                message["uri"],
                message.get("headers", {}),
                message.get("caller_id", ""),
                bool(message.get("direct")),
            )
        except self.sip.pj.Error:
            leg.hung_up = "bad_address"
            self._ended(leg, 400, None)
            return
        self._after(leg, message.get("ring_s", 20) * 1000, lambda: self._ring_timeout(leg))
        if message.get("max_s"):
            self._after(leg, message["max_s"] * 1000, lambda: self._hang_up(leg, 0, "max_duration"))

    def _dial_later(self, message: Message, leg: Leg) -> None:
        """The caller's reservation may be held for another moment by a phone that was just told to stop."""
        tries = message.setdefault("tries", 0)
        if tries >= _DIAL_TRIES:
            self._not_dialled(leg, 503, "capacity")
            return
        message["tries"] = tries + 1
        self.timers.at(now_ms() + _DIAL_AGAIN_MS, lambda: self._dial(message))

    def _not_dialled(self, leg: Leg, code: int, why: str) -> None:
        self._fact(
            "ended",
            leg.id,
            code=code,
            by="local",
            why=why,
            lost=False,
            answered_ms=0,
            reason="",
            stats=None,
            tag=leg.tag,
        )

    def _ring_timeout(self, leg: Leg) -> None:
        if leg.state != ANSWERED:
            self._hang_up(leg, 0, "no_answer")

    def _hangup_command(self, leg: Leg, message: Message) -> None:
        """`unanswered_only`: an offer is being withdrawn; one that was answered meanwhile stays, and the
        core, which hears of the answer, decides."""
        if message.get("unanswered_only") and leg.state == ANSWERED:
            return
        self._hang_up(leg, message.get("code", 0), message.get("why", "hangup"))

    def _hang_up(self, leg: Leg, code: int, why: str) -> None:
        """An answered leg is over the moment we say so; a far end that never answers our BYE keeps
        nobody waiting. One that still rings is over when the library says so: an answer may cross."""
        if leg.hung_up:
            return
        leg.hung_up = why
        stats = self.sip.stats(leg.id) if leg.state == ANSWERED else None
        try:
            self.sip.hang_up(leg.id, code, {"Reason": 'Q.850;cause=16;text="' + why + '"'})
        except (self.sip.pj.Error, KeyError):
            self.sip.forget(leg.id)
        if leg.id in self.legs and (leg.state == ANSWERED or leg.id not in self.sip.calls):
            self._ended(leg, code, stats)

    def _bridge(self, caller: Leg, agent: Leg, record: dict[str, Any] | None) -> None:
        room = Room(caller.id, {caller.id: TALK, agent.id: TALK})
        self._enter(room)
        agent.packets_ms = now_ms()
        recording = self._start_record(caller, agent, record) if record else None
        fields = _recording_fields(recording) if recording is not None else None
        self._fact("bridged", caller.id, other=agent.id, recording=fields)

    def _room(self, anchor: Leg, members: dict[str, str]) -> None:
        """These legs, in these modes, and no others from now on. Raises KeyError for a leg that is not here,
        ValueError for a mode that is none."""
        for one, mode in members.items():
            if not is_mode(mode):
                raise ValueError(mode)
            if self.legs[one].state != ANSWERED:
                raise KeyError(one)
        room = self.legs[anchor.id].room
        if room is None or room.anchor != anchor.id:
            room = Room(anchor.id)
        for gone in [one for one in room.members if one not in members]:
            self._leave(room, gone)
        room.members = dict(members)
        self._enter(room)
        self._tell_room(room)

    def _enter(self, room: Room) -> None:
        for one in room.members:
            leg = self.legs[one]
            if leg.room is not None and leg.room is not room:
                self._leave(leg.room, one)
            leg.room = room
        self._mix(room)

    def _leave(self, room: Room, leg_id: str) -> None:
        """Out of this room, on to another or to nowhere; the leg itself goes on."""
        theirs = {pair for pair in room.joined if leg_id in pair}
        self.media.part(theirs)
        room.joined -= theirs
        room.members.pop(leg_id, None)
        leg = self.legs.get(leg_id)
        if leg is not None and leg.room is room:
            leg.room = None

    def _mix(self, room: Room) -> None:
        """From how it is to how it shall be."""
        for one, mode in room.members.items():
            leg = self.legs[one]
            if mode == HOLD and not leg.wanted_music:
                self.media.music(leg, leg.then.music or self.config.music)
            elif mode != HOLD:
                self.media.quiet(leg)
        wanted = connections(room.members)
        self.media.part(room.joined - wanted)
        self.media.join(wanted - room.joined)
        room.joined = wanted

    def _tell_room(self, room: Room) -> None:
        self._fact("room", room.anchor, members=dict(room.members))

    def _rejoin(self, leg: Leg, room: Room) -> None:
        """After a re-INVITE the leg has a new port: join and record it again."""
        ready = {one for one in room.members if self.legs[one].audio_ready}
        self.media.join(pair for pair in room.joined if leg.id in pair and set(pair) <= ready)
        if leg.held:
            self.media.audio_ready(leg)
        recording = leg.recording
        if recording is not None and recording.recorders and not recording.paused:
            self.sip.audio(leg.id).startTransmit(recording.recorders[recording.legs.index(leg.id)])

    def _dissolve(self, room: Room) -> None:
        self.media.part(room.joined)
        room.joined = set()
        for one in room.members:
            if one in self.legs:
                self.legs[one].room = None
        room.members = {}

    def _unbridge(self, leg: Leg) -> None:
        room, peer = leg.room, leg.peer
        if room is None or peer is None:
            return
        self._stop_record(leg)
        self._dissolve(room)
        self._fact("unbridged", leg.id, other=peer)

    def _not_expected(self, token: str, leg: Leg) -> None:
        if self._early.get(token) is leg:
            del self._early[token]
            self._meets(leg, token, patient=False)

    def _expect(self, leg: Leg, message: Message) -> None:
        """A leg of another worker will call with this token: its party is to join this leg's room."""
        now = now_ms()
        self._expected = {token: one for token, one in self._expected.items() if one[2] > now}
        self._expected[message["token"]] = (leg.id, message, now + _EXPECTED_MS)
        early = self._early.pop(message["token"], None)
        if early is not None:
            self._meets(early, message["token"])

    def _meets(self, leg: Leg, token: str, patient: bool = True) -> None:
        """An INVITE that says it is the other half of a conversation here: only with a token of ours. The other
        worker may be quicker than the core's word of it, so an unknown token is given a moment."""
        if patient and token not in self._expected and len(self._early) < _MOST_EARLY:
            self._early[token] = leg
            self.timers.at(now_ms() + _EARLY_MS, lambda: self._not_expected(token, leg))
            return
        if leg.id not in self.sip.calls:
            return  # gave up meanwhile
        anchor, message, until_ms = self._expected.pop(token, ("", {}, 0))
        if anchor not in self.legs or until_ms < now_ms() or not self.admission.admit_dial(leg.id, anchor):
            self._fact("refused", None, reason="meeting")
            leg.hung_up = "meeting"
            self.sip.respond(leg.id, 403)
            return
        self.legs[leg.id] = leg
        leg.tag.update(message["tag"])
        members = {**message["members"], leg.id: message["mode"]}
        leg.then.on_answer = {"room": anchor, "members": members}
        leg.then.on_peer_gone = leg.then.on_peer_lost = "hangup"
        self.sip.respond(leg.id, 200)

    def _record_both(self, record: dict[str, Any] | None) -> None:
        """`record` names its two legs; what cannot be recorded is said, and the call goes on."""
        caller = self.legs.get(record["caller"]) if record else None
        agent = self.legs.get(record["agent"]) if record else None
        if record is not None and caller is not None and agent is not None:
            self._record(caller, agent, record)

    def _record(self, caller: Leg, agent: Leg, plan: dict[str, Any]) -> None:
        recording = self._start_record(caller, agent, plan)
        if recording is not None:
            self._fact("recording", caller.id, **_recording_fields(recording))

    def _start_record(self, caller: Leg, agent: Leg, plan: dict[str, Any]) -> Recording | None:
        """The recording that runs now; None, and said so, where it cannot."""
        try:
            return self.media.record(caller, agent, plan["interaction"], plan["folder"], plan["name"])
        except (OSError, self.sip.pj.Error) as error:
            self._fact("failed", caller.id, op="record", reason=type(error).__name__)
            return None

    def _message(self, leg: Leg, message: Message) -> None:
        """Take down what the caller says, until a command, the end of the call, or `max_s`. A leg that is recorded
        already goes on: the core that asks may be a new one."""
        if leg.recording is not None:
            return
        recording = self.media.message(leg, message["record"])
        self._fact("recording", leg.id, **_recording_fields(recording))

        def over() -> None:
            if leg.recording is recording:
                self._stop_record(leg)

        self._after(leg, message["max_s"] * 1000, over)

    def _pause_record(self, leg: Leg, message: Message) -> None:
        recording, on = leg.recording, bool(message["on"])
        if recording is not None and recording.paused != on:
            self.media.pause(recording, on)
            kind = "recording_paused" if on else "recording_resumed"
            self._fact(kind, leg.id, interaction=recording.interaction)

    def _stop_record(self, leg: Leg) -> None:
        recording = leg.recording
        if recording is None:
            return
        for leg_id in recording.legs:
            if leg_id in self.legs:
                self.legs[leg_id].recording = None
        leg.recording = None
        length_ms = self.media.stop_record(recording)
        self._fact("recorded", leg.id, ms=length_ms, **_recording_fields(recording))

    # --- small things ----------------------------------------------------------------------------

    def _after(self, leg: Leg, delay_ms: int, action: Callable[[], None]) -> None:
        def guarded() -> None:
            if leg.id in self.legs:
                action()

        leg.timers.append(self.timers.at(now_ms() + delay_ms, guarded))

    def _fact(self, kind: str, leg: str | None, **fields: Any) -> None:
        self.link.fact(now_ms(), kind, leg, **fields)


def _anchor(plan: dict[str, Any]) -> str:
    """The leg that a dialled one is to join when it answers."""
    found: str = plan["room"] if "room" in plan else plan["bridge"]
    return found


def _recording_fields(recording: Recording) -> dict[str, Any]:
    return {
        "interaction": recording.interaction,
        "caller_file": recording.caller_file,
        "agent_file": recording.agent_file,
        "started_ms": recording.started_ms,
        "about": recording.kind,
        "queue": recording.queue,
    }
