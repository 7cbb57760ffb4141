"""The flow language, version 1: a YAML map of named nodes, each with exactly one verb.

say     words, then `next`
menu    words and keys; no-input and no-match are counted, after `tries` goes to `otherwise`
collect words, then digits into a variable
lookup  asks the host by name; the answer lies under `into` (empty when it failed)
branch  the first case whose value equals the variable
set     variables from templates
queue   the rest is for a person
voicemail  words and a tone, then the caller's message for a queue, until a key, silence or `max_s`
goto    another node
end     the flow is over; the host hangs up
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

LANGUAGES = ("zh", "en")
Language = Literal["zh", "en"]
NodeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,48}$")]
_KEY = re.compile(r"[0-9*#]")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Words(_Part):
    """One thing to be said: a prompt by name, a number digit by digit, or words from a template."""

    prompt: NodeName | None = None
    digits: str | None = None
    text: dict[Language, str] | None = None

    @model_validator(mode="after")
    def _one(self) -> Words:
        if sum(part is not None for part in (self.prompt, self.digits, self.text)) != 1:
            raise ValueError("expected one of prompt, digits, text")
        return self


Said = Annotated[tuple[Words, ...], Field(min_length=1)]


class Say(_Part):
    words: Said
    interruptible: bool = True
    next: NodeName


class Menu(_Part):
    words: Said
    keys: dict[str, NodeName]
    timeout_s: Annotated[int, Field(ge=1, le=60)] = 5
    tries: Annotated[int, Field(ge=1, le=10)] = 3
    no_input: Said | None = None
    no_match: Said | None = None
    otherwise: NodeName

    @field_validator("keys")
    @classmethod
    def _keys(cls, keys: dict[str, str]) -> dict[str, str]:
        wrong = [key for key in keys if not _KEY.fullmatch(key)]
        if wrong or not keys:
            raise ValueError(f"expected keys 0-9, * or #, not {wrong or 'none'}")
        return keys


class Collect(_Part):
    words: Said
    into: NodeName
    min_digits: Annotated[int, Field(ge=1, le=32)] = 1
    max_digits: Annotated[int, Field(ge=1, le=32)]
    terminator: Literal["#", "*", ""] = "#"
    timeout_s: Annotated[int, Field(ge=1, le=60)] = 8
    interdigit_s: Annotated[int, Field(ge=1, le=30)] = 4
    tries: Annotated[int, Field(ge=1, le=10)] = 3
    no_input: Said | None = None
    no_match: Said | None = None
    next: NodeName
    otherwise: NodeName

    @model_validator(mode="after")
    def _range(self) -> Collect:
        if self.min_digits > self.max_digits:
            raise ValueError("expected min_digits <= max_digits")
        return self


class Lookup(_Part):
    name: NodeName
    args: dict[NodeName, str] = Field(default_factory=dict)
    into: NodeName
    next: NodeName
    failed: NodeName


class Branch(_Part):
    value: str
    """a template, such as `{{ customer.klass | default('standard') }}`"""
    cases: dict[str, NodeName]
    otherwise: NodeName


class Set(_Part):
    values: dict[NodeName, str]
    next: NodeName


class Queue(_Part):
    queue: str
    """a template: the name of the queue"""
    refused: NodeName
    """where the flow goes on when the queue is closed or full"""


class Voicemail(_Part):
    words: Said
    queue: str
    """a template: the queue whose agents listen to it"""
    max_s: Annotated[int, Field(ge=5, le=600)] = 120
    next: NodeName
    failed: NodeName
    """where the flow goes on when nothing can be recorded now"""


class Goto(_Part):
    next: NodeName


class End(_Part):
    outcome: Literal["served", "closed", "overflowed", "message"] = "served"


class Node(_Part):
    title: dict[Language, str] | None = None
    """what an agent reads about this step"""
    say: Say | None = None
    menu: Menu | None = None
    collect: Collect | None = None
    lookup: Lookup | None = None
    branch: Branch | None = None
    set: Set | None = None
    queue: Queue | None = None
    voicemail: Voicemail | None = None
    goto: Goto | None = None
    end: End | None = None

    @model_validator(mode="after")
    def _one_verb(self) -> Node:
        verbs = [name for name in VERBS if getattr(self, name) is not None]
        if len(verbs) != 1:
            raise ValueError(f"expected exactly one verb, not {verbs or 'none'}")
        return self

    @property
    def verb(self) -> str:
        return next(name for name in VERBS if getattr(self, name) is not None)


VERBS = ("say", "menu", "collect", "lookup", "branch", "set", "queue", "voicemail", "goto", "end")


class Flow(_Part):
    flow: NodeName
    language: Language = "zh"
    start: NodeName
    prompts: dict[NodeName, dict[Language, str]] = Field(default_factory=dict)
    """the words of every prompt: for synthesis, for text media and for translators"""
    written: dict[NodeName, dict[Language, str]] = Field(default_factory=dict)
    """the words of a prompt in writing, where they differ: no keys to press, no call"""
    nodes: dict[NodeName, Node]
