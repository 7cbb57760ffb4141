"""The interpreter: `begin`, `step` and `resume` are functions of (flow, state, input) and nothing else.

    input                        what the interpreter was waiting for
    Said                         the words of a `say` are out
    Entered(digits)              keys of a `menu` or `collect`
    Silence                      nobody pressed anything in time
    Answered(result) | Failed    a `lookup`
    Refused(reason)              a `queue` that does not take the contact

A step answers the new state and verbs in order; the last verb is what is waited for, or Finish.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ivr_flows.schema import Flow, Node
from ivr_flows.schema import Words as WordsSchema
from ivr_flows.templates import WordsError, render

MAX_STEPS = 100
"""nodes passed without waiting for anything; more is a loop"""


class FlowError(RuntimeError):
    """The flow itself is at fault; the host puts the caller through to a person."""


@dataclass(frozen=True, slots=True)
class State:
    node: str
    language: str
    tries: int = 0
    variables: Mapping[str, Any] = field(default_factory=dict)


# --- inputs ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    pass


@dataclass(frozen=True, slots=True)
class Entered:
    digits: str


@dataclass(frozen=True, slots=True)
class Silence:
    pass


@dataclass(frozen=True, slots=True)
class Recorded:
    """The message is complete."""


@dataclass(frozen=True, slots=True)
class Answered:
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    reason: str


Input = Said | Entered | Silence | Answered | Failed | Refused | Recorded


# --- verbs -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Words:
    """What to say in which language: `prompt` names a recording, `text` is what it says."""

    language: str
    prompt: str
    text: str
    digits: str = ""
    written: str = ""
    """in writing, where that differs"""


@dataclass(frozen=True, slots=True)
class Speak:
    words: tuple[Words, ...]
    interruptible: bool
    await_end: bool


@dataclass(frozen=True, slots=True)
class Listen:
    min_digits: int
    max_digits: int
    terminator: str
    timeout_ms: int
    interdigit_ms: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A lookup, answered by the host."""

    name: str
    args: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Enqueue:
    queue: str


@dataclass(frozen=True, slots=True)
class TakeMessage:
    """Once what is said has been heard: a tone, then what the caller says is kept for this queue."""

    queue: str
    max_s: int


@dataclass(frozen=True, slots=True)
class Finish:
    outcome: str


Verb = Speak | Listen | Ask | Enqueue | TakeMessage | Finish


@dataclass(frozen=True, slots=True)
class Step:
    state: State
    verbs: tuple[Verb, ...]
    passed: tuple[str, ...] = ()
    """nodes gone through on the way, the one that waits last"""


# --- the three functions -----------------------------------------------------------------------------


def begin(flow: Flow, variables: Mapping[str, Any], language: str = "") -> Step:
    return _enter(flow, State(flow.start, language or flow.language, 0, dict(variables)), ())


def resume(flow: Flow, state: State) -> Step:
    """Stand again where `state` says, as after a restart: the node is entered anew, tries are kept."""
    if state.node not in flow.nodes:
        return begin(flow, state.variables, state.language)
    return _enter(flow, state, ())


def step(flow: Flow, state: State, given: Input) -> Step:
    """Raises FlowError when the input does not belong to the node, or the flow runs in circles."""
    node = flow.nodes[state.node]
    if node.say is not None and isinstance(given, Said | Entered):
        return _goto(flow, state, node.say.next)
    if node.menu is not None:
        return _menu(flow, state, node, given)
    if node.collect is not None:
        return _collect(flow, state, node, given)
    if node.lookup is not None:
        if isinstance(given, Answered):
            variables = {**state.variables, node.lookup.into: dict(given.result)}
            return _goto(flow, replace(state, variables=variables), node.lookup.next)
        if isinstance(given, Failed):
            nothing: dict[str, Any] = {}
            variables = {**state.variables, node.lookup.into: nothing}
            return _goto(flow, replace(state, variables=variables), node.lookup.failed)
    if node.voicemail is not None and isinstance(given, Recorded | Failed):
        after = node.voicemail.next if isinstance(given, Recorded) else node.voicemail.failed
        return _goto(flow, state, after)
    if node.queue is not None and isinstance(given, Refused):
        return _goto(flow, state, node.queue.refused)
    raise FlowError(f"{state.node}: a {node.verb} does not take {type(given).__name__}")


def _menu(flow: Flow, state: State, node: Node, given: Input) -> Step:
    menu = node.menu
    if menu is None:
        raise FlowError("not a menu")
    if isinstance(given, Entered):
        target = menu.keys.get(given.digits)
        if target is not None:
            return _goto(flow, state, target)
        return _again(flow, state, menu.tries, menu.no_match, menu.otherwise)
    if isinstance(given, Silence):
        return _again(flow, state, menu.tries, menu.no_input, menu.otherwise)
    raise FlowError(f"{state.node}: a menu does not take {type(given).__name__}")


def _collect(flow: Flow, state: State, node: Node, given: Input) -> Step:
    collect = node.collect
    if collect is None:
        raise FlowError("not a collect")
    if isinstance(given, Entered):
        if collect.min_digits <= len(given.digits) <= collect.max_digits:
            variables = {**state.variables, collect.into: given.digits}
            return _goto(flow, replace(state, variables=variables), collect.next)
        return _again(flow, state, collect.tries, collect.no_match, collect.otherwise)
    if isinstance(given, Silence):
        return _again(flow, state, collect.tries, collect.no_input, collect.otherwise)
    raise FlowError(f"{state.node}: a collect does not take {type(given).__name__}")


def _again(
    flow: Flow, state: State, tries: int, words: tuple[WordsSchema, ...] | None, otherwise: str
) -> Step:
    if state.tries + 1 >= tries:
        return _goto(flow, state, otherwise)
    again = replace(state, tries=state.tries + 1)
    before = _words(flow, again, words) if words else ()
    return _enter(flow, again, before)


def _goto(flow: Flow, state: State, node: str) -> Step:
    return _enter(flow, replace(state, node=node, tries=0), ())


def _enter(flow: Flow, state: State, before: tuple[Words, ...]) -> Step:
    """Pass nodes until one waits for something."""
    passed: list[str] = []
    for _ in range(MAX_STEPS):
        node = flow.nodes.get(state.node)
        if node is None:
            raise FlowError(f"no node {state.node!r}")
        passed.append(state.node)
        moved = _pass(flow, state, node)
        if moved is None:
            return Step(state, _wait(flow, state, node, before), tuple(passed))
        state = moved
    raise FlowError(f"{state.node}: more than {MAX_STEPS} steps without waiting")


def _pass(flow: Flow, state: State, node: Node) -> State | None:
    """The state behind a node that waits for nothing; None for one that waits."""
    if node.goto is not None:
        return replace(state, node=node.goto.next, tries=0)
    if node.set is not None:
        values = {name: _render(state, source) for name, source in node.set.values.items()}
        language = values.get("language", state.language)
        variables = {**state.variables, **values}
        return replace(state, node=node.set.next, tries=0, language=language, variables=variables)
    if node.branch is not None:
        value = _render(state, node.branch.value).strip()
        return replace(state, node=node.branch.cases.get(value, node.branch.otherwise), tries=0)
    return None


def _wait(flow: Flow, state: State, node: Node, before: tuple[Words, ...]) -> tuple[Verb, ...]:
    if node.say is not None:
        return (Speak(before + _words(flow, state, node.say.words), node.say.interruptible, True),)
    if node.menu is not None:
        timeout_ms = node.menu.timeout_s * 1000
        words = before + _words(flow, state, node.menu.words)
        return (Speak(words, True, False), Listen(1, 1, "", timeout_ms, timeout_ms))
    if node.collect is not None:
        collect = node.collect
        words = before + _words(flow, state, collect.words)
        listen = Listen(
            *(collect.min_digits, collect.max_digits, collect.terminator),
            *(collect.timeout_s * 1000, collect.interdigit_s * 1000),
        )
        return (Speak(words, True, False), listen)
    if node.lookup is not None:
        args = {name: _render(state, source) for name, source in node.lookup.args.items()}
        return (Ask(node.lookup.name, args),)
    if node.queue is not None:
        return (Enqueue(_render(state, node.queue.queue)),)
    if node.voicemail is not None:
        message = node.voicemail
        words = before + _words(flow, state, message.words)
        return (Speak(words, False, False), TakeMessage(_render(state, message.queue), message.max_s))
    return (Finish(node.end.outcome if node.end else "served"),)


def _words(flow: Flow, state: State, said: tuple[WordsSchema, ...]) -> tuple[Words, ...]:
    return tuple(_one(flow, state, words) for words in said)


def _one(flow: Flow, state: State, words: WordsSchema) -> Words:
    language = state.language
    if words.prompt is not None:
        texts, written = flow.prompts.get(words.prompt, {}), flow.written.get(words.prompt, {})
        text, own = (_render(state, of.get(language, "")) for of in (texts, written))  # type: ignore[call-overload]
        return Words(language, words.prompt, text, written=own)
    if words.digits is not None:
        digits = "".join(c for c in _render(state, words.digits) if c.isalnum())
        return Words(language, "", " ".join(digits), digits)
    texts = words.text or {}
    return Words(language, "", _render(state, texts.get(language, "")))  # type: ignore[call-overload]


def _render(state: State, source: str) -> str:
    try:
        return render(source, state.variables)
    except WordsError as error:
        raise FlowError(f"{state.node}: {error}") from error
