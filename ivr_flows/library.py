"""Flows by name: read, checked as a whole, with messages that name file, node and expectation."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ivr_flows.schema import LANGUAGES, Flow, Node, Words
from ivr_flows.templates import WordsError, check

SHIPPED = Path(__file__).parent / "flows"
PROMPTS = Path(__file__).parent / "prompts"
_BUILT_IN = frozenset({"number", "medium"})


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that stands twice; plain YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


class FlowInvalid(ValueError):
    """Every complaint about a flow, a line each."""

    def __init__(self, name: str, complaints: list[str]) -> None:
        self.complaints = complaints
        super().__init__("\n".join(f"{name}: {complaint}" for complaint in complaints))


def load(path: Path) -> Flow:
    """Read and check one flow file. Raises FlowInvalid."""
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # noqa: S506 - a safe loader
        flow = Flow.model_validate(raw)
    except OSError as error:
        raise FlowInvalid(path.name, [f"cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise FlowInvalid(path.name, ["not UTF-8"]) from error
    except yaml.YAMLError as error:
        raise FlowInvalid(path.name, [f"not YAML: {error}"]) from error
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in detail['loc']) or 'flow'}: {detail['msg'].removeprefix('Value error, ')}"
            for detail in error.errors(include_url=False)
        ]
        raise FlowInvalid(path.name, lines) from error
    complaints = list(complain(flow))
    if complaints:
        raise FlowInvalid(path.name, complaints)
    return flow


def shipped() -> dict[str, Flow]:
    """All flows that come with the product."""
    flows = [load(path) for path in sorted(SHIPPED.glob("*.yaml"))]
    return {flow.flow: flow for flow in flows}


def complain(flow: Flow) -> Iterator[str]:
    """What the schema cannot see: dangling targets, nodes nobody reaches, missing words, bad templates,
    variables that nothing sets."""
    if flow.start not in flow.nodes:
        yield f"start: no node {flow.start!r}"
        return
    known = _BUILT_IN | _assigned(flow)
    for name, node in flow.nodes.items():
        for target in targets(node):
            if target not in flow.nodes:
                yield f"{name}: goes to {target!r}, which is no node"
        for words in _said(node):
            yield from (f"{name}: {complaint}" for complaint in _complain_words(flow, words))
        yield from (f"{name}: {complaint}" for complaint in _complain_language(node))
        for source in _templates(flow, node):
            yield from (f"{name}: {complaint}" for complaint in _complain_template(source, known))
    yield from (f"written: no prompt {name!r}" for name in flow.written if name not in flow.prompts)
    for name, texts in flow.written.items():
        for source in texts.values():
            yield from (f"written.{name}: {complaint}" for complaint in _complain_template(source, known))
    yield from (f"{name}: goes in a circle without waiting for anything" for name in _circles(flow))
    reached = _reached(flow)
    yield from (f"{name}: nothing leads here" for name in flow.nodes if name not in reached)


def targets(node: Node) -> list[str]:
    """Names of the nodes that may follow."""
    found: list[str] = []
    part = getattr(node, node.verb)
    for attribute in ("next", "otherwise", "failed", "refused"):
        value = getattr(part, attribute, None)
        if value is not None:
            found.append(value)
    for attribute in ("keys", "cases"):
        found.extend(getattr(part, attribute, {}).values())
    return found


def _reached(flow: Flow) -> set[str]:
    reached: set[str] = set()
    to_see = [flow.start]
    while to_see:
        name = to_see.pop()
        if name in reached or name not in flow.nodes:
            continue
        reached.add(name)
        to_see.extend(targets(flow.nodes[name]))
    return reached


def _circles(flow: Flow) -> list[str]:
    """Nodes from which goto, set and branch alone lead back to themselves."""
    moves = {
        name: [target for target in targets(node) if target in flow.nodes]
        for name, node in flow.nodes.items()
        if node.goto is not None or node.set is not None or node.branch is not None
    }
    return [name for name in moves if _leads_back(name, moves)]


def _leads_back(start: str, moves: dict[str, list[str]]) -> bool:
    seen: set[str] = set()
    to_see = list(moves[start])
    while to_see:
        name = to_see.pop()
        if name == start:
            return True
        if name not in seen:
            seen.add(name)
            to_see.extend(moves.get(name, ()))
    return False


def _said(node: Node) -> list[Words]:
    part = getattr(node, node.verb)
    words: list[Words] = []
    for attribute in ("words", "no_input", "no_match"):
        words.extend(getattr(part, attribute, None) or ())
    return words


def _complain_words(flow: Flow, words: Words) -> Iterator[str]:
    if words.prompt is not None:
        texts = flow.prompts.get(words.prompt)
        if texts is None:
            yield f"prompt {words.prompt!r} has no words under prompts"
            return
    else:
        texts = words.text
    for language in LANGUAGES if texts is not None else ():
        if not (texts or {}).get(language):  # type: ignore[call-overload]
            yield f"{words.prompt or 'text'}: no words in {language!r}"


def _complain_language(node: Node) -> Iterator[str]:
    wanted = node.set.values.get("language") if node.set is not None else None
    if wanted is not None and "{" not in wanted and wanted not in LANGUAGES:
        yield f"language {wanted!r} is none of {', '.join(LANGUAGES)}"
    if node.title is not None:
        yield from (f"title has no words in {code!r}" for code in LANGUAGES if not node.title.get(code))  # type: ignore[call-overload]


def _complain_template(source: str, known: frozenset[str] | set[str]) -> Iterator[str]:
    try:
        wanted = check(source)
    except WordsError as error:
        yield f"template {source!r}: {error}"
        return
    yield from (f"template {source!r}: nothing sets {name!r}" for name in sorted(wanted - known))


def _templates(flow: Flow, node: Node) -> Iterator[str]:
    for words in _said(node):
        if words.digits is not None:
            yield words.digits
        yield from (words.text or {}).values()
        yield from flow.prompts.get(words.prompt or "", {}).values()
    if node.branch is not None:
        yield node.branch.value
    if node.queue is not None:
        yield node.queue.queue
    if node.set is not None:
        yield from node.set.values.values()
    if node.lookup is not None:
        yield from node.lookup.args.values()


def _assigned(flow: Flow) -> set[str]:
    names: set[str] = set()
    for node in flow.nodes.values():
        if node.collect is not None:
            names.add(node.collect.into)
        if node.lookup is not None:
            names.add(node.lookup.into)
        if node.set is not None:
            names.update(node.set.values)
    return names
