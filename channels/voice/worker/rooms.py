"""Who hears whom. A room holds the legs of one conversation, each with a mode; from the modes follow the
connections. Pure: the worker carries out the difference between what is and what shall be.

mode              hears                 is heard by
talk              everybody             everybody who hears
mute              everybody             nobody
hold              music                 nobody
listen            everybody             nobody, and is no party
whisper:<leg>     everybody             that leg alone, and is no party
"""

from __future__ import annotations

from dataclasses import dataclass, field

TALK, MUTE, HOLD, LISTEN, WHISPER = "talk", "mute", "hold", "listen", "whisper"
PARTIES = frozenset({TALK, MUTE, HOLD})
_SIMPLE = frozenset({TALK, MUTE, HOLD, LISTEN})
Pair = tuple[str, str]
"""(source, sink)"""


def is_mode(mode: str) -> bool:
    kind, _, target = mode.partition(":")
    return mode in _SIMPLE or (kind == WHISPER and bool(target))


def connections(members: dict[str, str]) -> set[Pair]:
    """Source and sink of every connection that these modes ask for."""
    pairs: set[Pair] = set()
    for source, mode in members.items():
        kind, _, target = mode.partition(":")
        for sink, its_mode in members.items():
            heard = kind == TALK or (kind == WHISPER and sink == target)
            if heard and sink != source and its_mode != HOLD:
                pairs.add((source, sink))
    return pairs


@dataclass
class Room:
    """`members` in the order they came: the anchor (whose call it is), then who serves it, then others."""

    anchor: str
    members: dict[str, str] = field(default_factory=dict)
    joined: set[Pair] = field(default_factory=set)
    """connections as they are"""

    def parties(self) -> list[str]:
        return [leg for leg, mode in self.members.items() if mode in PARTIES]

    def others(self) -> list[str]:
        return [leg for leg, mode in self.members.items() if mode not in PARTIES]

    def peer_of(self, leg: str) -> str | None:
        """Of the anchor the second party, of anybody else the anchor; None where there is none."""
        if leg == self.anchor:
            return next((other for other in self.parties() if other != leg), None)
        return self.anchor if self.anchor in self.members else None
