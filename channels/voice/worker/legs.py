"""What the worker knows of each leg, and what it was told to do without asking."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from channels.voice.worker.inband import Ear
from channels.voice.worker.rooms import HOLD, Room
from channels.voice.worker.timers import Timer

INCOMING, EARLY, ANSWERED, ENDED = "incoming", "early", "answered", "ended"


@dataclass
class Continuations:
    """Said beforehand by the core, carried out without it."""

    on_answer: dict[str, Any] | None = None
    """of a dialled leg: {"bridge": leg, "record": {...} | None}, or {"room": leg, "members": {leg: mode}}; in both
    `first` may name files that the leg hears before that"""
    on_peer_gone: str = "hangup"
    """the other party hung up: hangup | music"""
    on_peer_lost: str = "music"
    """the other party vanished: hangup | music"""
    on_core_lost: str = "music"
    """nothing plays and the core is away: music | keep"""
    music: str = ""
    """file of the music for the two above"""

    def update(self, changes: dict[str, Any]) -> None:
        for name, value in changes.items():
            if name in self.__dataclass_fields__:
                setattr(self, name, value)


@dataclass
class Play:
    id: str
    files: list[str]
    interruptible: bool
    player: Any = None
    timer: Timer | None = None


@dataclass
class Recording:
    interaction: str
    caller_file: str
    agent_file: str
    started_ms: int
    recorders: list[Any] = field(default_factory=list)
    legs: tuple[str, ...] = ()
    """in the order of their recorders"""
    paused: bool = False
    kind: str = "call"
    queue: str = ""


@dataclass
class Leg:
    id: str
    direction: str
    since_ms: int
    state: str = INCOMING
    called: str = ""
    message: str = ""
    source: str = ""
    tag: dict[str, Any] = field(default_factory=dict)
    then: Continuations = field(default_factory=Continuations)
    audio_ready: bool = False
    room: Room | None = None
    play: Play | None = None
    music: str = ""
    wanted_music: str = ""
    recording: Recording | None = None
    hung_up: str = ""
    """why we hung up, when we did; else the far end did"""
    answered_ms: int = 0
    reason_header: str = ""
    vanished: bool = False
    timers: list[Timer] = field(default_factory=list)
    packets: int = 0
    packets_ms: int = 0
    probing: bool = False
    events_offered: bool = True
    """keys of this leg come as events; otherwise they are listened for"""
    ear: Ear | None = None

    @property
    def peer(self) -> str | None:
        return self.room.peer_of(self.id) if self.room is not None else None

    @property
    def held(self) -> bool:
        return self.room is not None and self.room.members.get(self.id) == HOLD

    def describe(self) -> dict[str, Any]:
        """As it stands in the inventory."""
        return {
            "leg": self.id,
            "direction": self.direction,
            "state": self.state,
            "since_ms": self.since_ms,
            "answered_ms": self.answered_ms,
            "peer": self.peer,
            "room": dict(self.room.members) if self.room and self.room.anchor == self.id else None,
            "play": self.play.id if self.play else None,
            "music": bool(self.music),
            "recording": self.recording.caller_file if self.recording else "",
            "tag": self.tag,
            "message": self.message if self.direction == "in" and not self.tag else "",
        }
