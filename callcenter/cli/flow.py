"""`callcenter flow check FILE…` and `callcenter flow try NAME|FILE`: look at flows without a telephone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ivr_flows import interpreter as iv
from ivr_flows.library import FlowInvalid, load, shipped
from ivr_flows.schema import Flow

HELP = "keys: digits, then Enter; empty line: say nothing; q: hang up"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="callcenter flow", description="check a flow, or try it in the terminal"
    )
    actions = parser.add_subparsers(dest="action", required=True)
    check = actions.add_parser("check", help="say all that is wrong with flow files")
    check.add_argument("files", nargs="+", type=Path)
    attempt = actions.add_parser("try", help="play a flow in the terminal")
    attempt.add_argument("flow", help="a shipped flow's name, or a file")
    attempt.add_argument("--language", choices=["zh", "en"], default="")
    attempt.add_argument(
        "--answer",
        action="append",
        default=[],
        metavar="LOOKUP.KEY=VALUE",
        help="what a lookup answers, such as sales_agent.result=active",
    )
    options = parser.parse_args(arguments)
    if options.action == "check":
        return _check(options.files)
    try:
        flow = load(Path(options.flow)) if options.flow.endswith(".yaml") else shipped()[options.flow]
    except FlowInvalid as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyError:
        sys.stderr.write(f"no flow {options.flow!r}; shipped: {', '.join(sorted(shipped()))}\n")
        return 1
    return play(flow, options.language, _answers(options.answer), input, sys.stdout.write)


def _check(files: list[Path]) -> int:
    wrong = 0
    for file in files:
        try:
            flow = load(file)
        except FlowInvalid as error:
            wrong += 1
            sys.stderr.write(f"{error}\n")
        else:
            sys.stdout.write(f"{file.name}: {flow.flow}, {len(flow.nodes)} nodes, good\n")
    return 1 if wrong else 0


def _answers(pairs: list[str]) -> dict[str, dict[str, str]]:
    answers: dict[str, dict[str, str]] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        lookup, _, key = name.partition(".")
        answers.setdefault(lookup, {})[key] = value
    return answers


def play(
    flow: Flow,
    language: str,
    answers: dict[str, dict[str, str]],
    ask: Callable[[str], str],
    show: Callable[[str], Any],
) -> int:
    """Say what the flow says, take keys from `ask`, until the flow ends or the caller hangs up."""
    show(f"{HELP}\n")
    try:
        step = iv.begin(flow, {"number": "0"}, language)
        while True:
            given: iv.Input | None = None
            for verb in step.verbs:
                given = _perform(verb, step.state.node, answers, ask, show)
            if given is None:
                return 0
            step = iv.step(flow, step.state, given)
    except (EOFError, KeyboardInterrupt):
        show("\nhung up\n")
        return 0
    except iv.FlowError as error:
        sys.stderr.write(f"flow: {error}\n")
        return 1


def _perform(
    verb: iv.Verb,
    node: str,
    answers: dict[str, dict[str, str]],
    ask: Callable[[str], str],
    show: Callable[[str], Any],
) -> iv.Input | None:
    if isinstance(verb, iv.Speak):
        show(f"[{node}] " + " ".join(words.text for words in verb.words) + "\n")
        return iv.Said()
    if isinstance(verb, iv.Listen):
        keys = ask("> ").strip()
        if keys == "q":
            raise EOFError
        return iv.Entered(keys.rstrip(verb.terminator or "\0")) if keys else iv.Silence()
    if isinstance(verb, iv.Ask):
        answer = answers.get(verb.name)
        show(f"[{node}] lookup {verb.name} {dict(verb.args)} -> {answer}\n")
        return iv.Failed("not given") if answer is None else iv.Answered(answer)
    if isinstance(verb, iv.TakeMessage):
        show(f"[{node}] message for {verb.queue}\n")
        ask("(message, Enter to end) ")
        return iv.Recorded()
    if isinstance(verb, iv.Enqueue):
        show(f"[{node}] queue {verb.queue}\n")
        return None
    show(f"[{node}] end: {verb.outcome}\n")
    return None
