"""The words between widget and server, as plain values.

The widget says, one JSON object a frame:
  {"start": {"lang": "zh", "identity": JWT or absent}}   or   {"resume": VISIT, "after": N}      first of all
  {"send": TEXT, "id": ID}      kept until {"kept": ID, "n": N}; may be sent again
  {"read": N}   {"typing": true}   {"leave": true}   {"beat": true}
The server says:
  {"visit": VISIT}              what to resume with
  {"kept": ID, "n": N}          safe, at this place
  {"refused": CODE, "id": ID}   with the id where a message is meant
  {"messages": [...]}           behind what was sent before; {"standing": {...}} where that changed
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

LARGEST = 20_000
"""bytes of a frame"""
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""no text: it stands in the journal"""
LANGUAGES = ("zh", "en")


class Nonsense(ValueError):
    """A frame that no widget of ours sends."""


@dataclass(frozen=True, slots=True)
class Start:
    language: str
    identity: str


@dataclass(frozen=True, slots=True)
class Resume:
    visit: str
    after: int


@dataclass(frozen=True, slots=True)
class Send:
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Read:
    n: int


@dataclass(frozen=True, slots=True)
class Typing:
    pass


@dataclass(frozen=True, slots=True)
class Leave:
    pass


@dataclass(frozen=True, slots=True)
class Beat:
    pass


Said = Start | Resume | Send | Read | Typing | Leave | Beat


def parse(frame: str) -> Said:
    """Raises Nonsense."""
    if len(frame) > LARGEST:
        raise Nonsense("too large")
    try:
        said = json.loads(frame)
    except (ValueError, RecursionError) as error:
        raise Nonsense("not JSON") from error
    if not isinstance(said, dict):
        raise Nonsense("not an object")
    if "start" in said:
        start = said["start"] if isinstance(said["start"], dict) else {}
        language = start.get("lang")
        return Start(language if language in LANGUAGES else LANGUAGES[0], _text(start.get("identity", "")))
    if "resume" in said:
        return Resume(_text(said["resume"]), _place(said.get("after", 0)))
    if "send" in said:
        name = _text(said.get("id", ""))
        if not _ID.fullmatch(name):
            raise Nonsense("id")
        return Send(name, _text(said["send"]))
    if "read" in said:
        return Read(_place(said["read"]))
    for word, kind in (("typing", Typing), ("leave", Leave), ("beat", Beat)):
        if word in said:
            return kind()
    raise Nonsense("unknown")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Nonsense("not a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Nonsense("half a character") from error
    return value


def _place(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise Nonsense("not a place")
    return value
