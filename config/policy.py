"""The routing policy as a file: what the pages do not edit, by name of queue and agent. Checked as a whole, with line
numbers; whole seconds here, milliseconds in the engine."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from config.settings import Level, Name, Section

Age = Annotated[float, Field(ge=0, le=86_400)]
Later = Annotated[float, Field(gt=0, le=86_400)]
Media = Literal["voice", "chat", "text", "email"]


class Ring(Section):
    """From this age on, these skills and teams count instead of the queue's own."""

    after_s: Later
    skills: dict[Name, Level] = Field(default_factory=dict)
    teams: tuple[Name, ...] = ()


class Overflow(Section):
    after_s: Age
    to: Literal["queue", "callback", "voicemail", "text", "flow"]
    target: str = ""
    if_estimate_over_s: Age = 0


class Weights(Section):
    """What merits are worth in seconds of idle time."""

    skill_s: Age = 0
    """each level of each needed skill"""
    occupancy_s: Age = 0
    """against each percent of the day spent with work"""
    breadth_s: Age = 0
    """against each queue that the agent can serve"""


class QueueRules(Section):
    """What a queue may have beside what its page says; docs/routing.md tells what each means."""

    medium: Media = "voice"
    strategy: Literal[
        "longest_idle", "least_occupied", "best_skilled", "least_flexible", "weighted", "learned"
    ] = "longest_idle"
    weights: Weights = Weights()
    explore_every: Annotated[int, Field(ge=0)] = 20
    teams: tuple[Name, ...] = ()
    rings: tuple[Ring, ...] = ()
    strict_class: Annotated[int, Field(ge=0, le=9)] = 0
    promote_s: Age = 0
    late_s: Age | None = None
    """so far the deadline moves once the target is missed; none: four times the target"""
    shares: dict[Name, Annotated[int, Field(ge=1, le=100)]] = Field(default_factory=dict)
    share_s: Age = 0
    preferred_s: Age = 0
    overflow: tuple[Overflow, ...] = ()
    announce_first_s: Age = 0
    announce_every_s: Age = 0
    outbound: bool = False
    blend_after_s: Age = 0
    keep_idle: Annotated[int, Field(ge=0)] = 0
    no_waiting: bool = False


class PolicyQueue(QueueRules):
    """`None` leaves what the page says."""

    name: Name
    skills: dict[Name, Level] | None = None
    target_s: Age | None = None
    priority: Annotated[int, Field(ge=-100, le=100)] | None = None
    max_waiting: Annotated[int, Field(ge=0)] | None = None


class PolicyAgent(Section):
    login: Name
    skills: dict[Name, Level] | None = None
    wrap_up_s: Age | None = None
    capacity: dict[Media, Annotated[int, Field(ge=0, le=50)]] | None = None
    total_load: Annotated[int, Field(ge=1, le=1_000)] = 100


class Medium(Section):
    load: Annotated[int, Field(ge=0, le=1_000)] = 100
    exclusive: bool = False
    beside: tuple[Media, ...] = ()
    interrupted_by: tuple[Media, ...] = ()


class Reason(Section):
    """Limits of a reason not to be ready."""

    limit_s: Age = 0
    at_once: Annotated[int, Field(ge=0)] = 0


class Rules(Section):
    """What holds for all queues and agents."""

    missed_action: Literal["not_ready", "stay_ready", "pause"] | None = None
    missed_pause_s: Age = 30
    missed_limit: Annotated[int, Field(ge=0)] = 3
    wrap_up_max_s: Age = 600
    classes: dict[Name, Age] = Field(default_factory=dict)
    """customer class -> seconds of waiting credited to it"""
    media: dict[Media, Medium] = Field(default_factory=dict)
    reasons: dict[Name, Reason] = Field(default_factory=dict)
    teams: dict[Name, tuple[Name, ...]] = Field(default_factory=dict)
    """team -> logins"""


class PolicyFile(Rules):
    queues: tuple[PolicyQueue, ...] = ()
    agents: tuple[PolicyAgent, ...] = ()


class PolicyError(ValueError):
    """A file that cannot count: all that is wrong, a line each, `FILE:LINE: key: what was expected`."""


def read_policy(path: Path) -> tuple[PolicyFile, str]:
    """The file and its text. Raises PolicyError."""
    text, raw = read_toml(path)
    try:
        return PolicyFile.model_validate(raw), text
    except ValidationError as error:
        raise PolicyError(where(path, text, error)) from error


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PolicyError(f"{path}: {error}") from error


def where(path: Path, text: str, error: ValidationError) -> str:
    """All that is wrong, a line each, with the line of the file it stands in."""
    found = []
    for detail in error.errors(include_url=False):
        loc = tuple(part for part in detail["loc"] if isinstance(part, str | int))
        key = ".".join(str(part) for part in loc) or "policy"
        message = detail["msg"].removeprefix("Value error, ")
        given = detail.get("input")
        shown = f" (given {given!r})" if isinstance(given, str | int | float | bool) else ""
        found.append(f"{path}:{line_of(text, loc)}: {key}: {message}{shown}")
    return "\n".join(found)


_HEADER = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.\"'\-]+)\s*\]\]?")


def line_of(text: str, loc: tuple[str | int, ...]) -> int:
    """The line of a key: of the key itself where it has one, else of the table around it. 1 where nothing fits."""
    names, best, deepest = [part for part in loc if isinstance(part, str)], 1, 0
    wanted = _counts(loc)
    path: list[str] = []
    counts: dict[str, int] = {}
    fits = True
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header is not None:
            path = [part.strip("\"'") for part in header[2].split(".")]
            joined = ".".join(path)
            if header[1] == "[[":
                counts[joined] = counts.get(joined, -1) + 1
                for other in [name for name in counts if name.startswith(joined + ".")]:
                    del counts[other]
            fits = path == names[: len(path)] and all(
                counts.get(name, 0) == at for name, at in wanted.items() if _within(name, joined)
            )
            if fits and len(path) > deepest:
                best, deepest = number, len(path)
        elif fits and len(path) < len(names):
            key = line.split("=", 1)[0].strip().strip("\"'")
            if "=" in line and key == names[len(path)] and len(path) + 1 > deepest:
                best, deepest = number, len(path) + 1
    return best


def _counts(loc: tuple[str | int, ...]) -> dict[str, int]:
    """("queues", 1, "rings", 0) -> {"queues": 1, "queues.rings": 0}"""
    found: dict[str, int] = {}
    names: list[str] = []
    for part in loc:
        if isinstance(part, str):
            names.append(part)
        else:
            found[".".join(names)] = part
    return found


def _within(name: str, joined: str) -> bool:
    return joined == name or joined.startswith(name + ".")
