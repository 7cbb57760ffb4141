"""Runs flows in writing: the verbs of the interpreter as messages, what the customer writes as answers.

Nothing is timed: a menu in writing stands until it is answered. Where a conversation stands is a fact, so a new core
goes on at the same node without saying anything twice.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from callcenter.kernel import logging
from callcenter.kernel.schedule import Handle, Scheduler
from callcenter.live.facts import FlowMoved
from callcenter.live.host import AnyFact, Host
from callcenter.messaging.conversations import IN_FLOW, Conversation
from ivr_flows import interpreter as iv
from ivr_flows.schema import Flow

log = logging.get("text_flow")
_LOOKUP_MS = 10_000
_NO_ANSWER = "?"
"""a key that no menu has"""
_SHORTEST_HINT = 2
"""of a choice's words; a single character may stand in any of them"""


class Party(Protocol):
    """Who is looked up, or for whom."""

    id: str
    party_ref: str


class Lookups(Protocol):
    def ask(
        self,
        interaction: Party,
        name: str,
        args: Mapping[str, str],
        answer: Callable[[Mapping[str, Any] | None], None],
    ) -> None:
        """Call `answer` once, on the loop: with the result, or None where it cannot be had."""
        ...


class Ends(Protocol):
    """What a flow hands over to."""

    def write(self, conversation: Conversation, text: str, choices: Mapping[str, str]) -> None: ...

    def enqueue(self, conversation: Conversation, queue: str, *before: AnyFact) -> None: ...

    def finish(self, conversation: Conversation, outcome: str) -> None: ...

    def broken(self, conversation: Conversation) -> None: ...


@dataclass
class _Run:
    conversation: Conversation
    name: str
    flow: Flow
    state: iv.State
    timer: Handle | None = None
    turn: int = 0
    vars_text: str = "{}"


class TextFlows:
    def __init__(
        self,
        host: Host,
        scheduler: Scheduler,
        lookups: Lookups,
        flows: Mapping[str, Flow],
        ends: Ends,
    ) -> None:
        self._host, self._scheduler, self._lookups = host, scheduler, lookups
        self._flows, self._ends = flows, ends
        self._runs: dict[str, _Run] = {}

    def start(
        self, conversation: Conversation, flow: str, language: str, variables: Mapping[str, Any]
    ) -> None:
        definition = self._flows[flow]
        self._open(conversation, flow, lambda: iv.begin(definition, variables, language))

    def resume(self, conversation: Conversation) -> None:
        """A core has started. What waits for the customer goes on waiting; what waited for us is done again."""
        run = self._known(conversation)
        if run is None:
            self._ends.broken(conversation)
        elif run.flow.nodes[run.state.node].menu is None and run.flow.nodes[run.state.node].collect is None:
            del self._runs[conversation.id]
            self._open(conversation, run.name, lambda: iv.resume(run.flow, run.state))

    def said(self, conversation: Conversation, text: str) -> None:
        """The customer wrote, while the flow is on."""
        run = self._known(conversation)
        if run is None:
            self._ends.broken(conversation)
            return
        node = run.flow.nodes[run.state.node]
        if node.menu is not None:
            self._step(run, iv.Entered(_chosen(text, _choices(run.flow, run.state)) or _NO_ANSWER))
        elif node.collect is not None:
            self._step(
                run, iv.Entered("".join(c for c in unicodedata.normalize("NFKC", text) if c.isalnum()))
            )

    def refused(self, conversation: Conversation, reason: str) -> bool:
        """The queue did not take it; False where no flow runs that could go on."""
        run = self._known(conversation)
        if run is None or run.flow.nodes[run.state.node].queue is None:
            return False
        self._step(run, iv.Refused(reason))
        return True

    def stop(self, conversation: str) -> None:
        run = self._runs.pop(conversation, None)
        if run is not None:
            self._disarm(run)

    def _known(self, conversation: Conversation) -> _Run | None:
        """The run, made anew from what the conversation remembers where another core had it."""
        run = self._runs.get(conversation.id)
        flow = self._flows.get(conversation.flow)
        if run is None and flow is not None and conversation.node in flow.nodes:
            text = self._host.private.get(conversation.vars_ref) or "{}"
            state = iv.State(conversation.node, conversation.language, conversation.tries, json.loads(text))
            run = _Run(conversation, conversation.flow, flow, state, vars_text=text)
            self._runs[conversation.id] = run
        return run

    def _open(self, conversation: Conversation, name: str, first: Callable[[], iv.Step]) -> None:
        try:
            step = first()
        except iv.FlowError as error:
            self._broken(conversation, error)
            return
        run = _Run(conversation, name, self._flows[name], step.state)
        self._runs[conversation.id] = run
        self._perform(run, step)

    def _step(self, run: _Run, given: iv.Input) -> None:
        self._disarm(run)
        try:
            step = iv.step(run.flow, run.state, given)
        except iv.FlowError as error:
            self._broken(run.conversation, error)
            return
        run.state = step.state
        self._perform(run, step)

    def _broken(self, conversation: Conversation, error: iv.FlowError) -> None:
        log.error("flow_broken", interaction=conversation.id, flow=conversation.flow, reason=str(error))
        self.stop(conversation.id)
        self._ends.broken(conversation)

    def _perform(self, run: _Run, step: iv.Step) -> None:
        run.turn += 1
        moved = self._moved(run, step.passed)
        last = step.verbs[-1]
        if isinstance(last, iv.Enqueue):
            self.stop(run.conversation.id)  # many wait, few come back: what it takes is known
            self._ends.enqueue(run.conversation, last.queue, moved)
            return
        self._host.submit(moved)
        for verb in step.verbs:
            if isinstance(verb, iv.Speak):
                listens = isinstance(last, iv.Listen)
                choices = _choices(run.flow, run.state) if listens else {}
                self._ends.write(run.conversation, _written(verb.words), choices)
                if verb.await_end:
                    self._step(run, iv.Said())
            elif isinstance(verb, iv.Ask):
                self._ask(run, verb)
            elif isinstance(verb, iv.TakeMessage):
                self._step(run, iv.Failed("not_in_writing"))
            elif isinstance(verb, iv.Finish):
                self.stop(run.conversation.id)
                self._ends.finish(run.conversation, verb.outcome)

    def _moved(self, run: _Run, passed: tuple[str, ...]) -> FlowMoved:
        conversation, state = run.conversation, run.state
        text = json.dumps(state.variables, ensure_ascii=False, sort_keys=True)
        vars_ref = ""
        if text != run.vars_text:
            run.vars_text = text
            private = self._host.private
            person = private.person_of(private.get(conversation.party_ref) or conversation.id)
            vars_ref = private.put(person, f"{conversation.id}.vars", text)
        return FlowMoved(conversation.id, run.name, state.node, state.language, state.tries, vars_ref, passed)

    def _ask(self, run: _Run, verb: iv.Ask) -> None:
        turn = run.turn

        def answer(result: Mapping[str, Any] | None) -> None:
            current = self._runs.get(run.conversation.id) is run and run.turn == turn
            if current and run.conversation.state == IN_FLOW:
                self._step(run, iv.Failed("unavailable") if result is None else iv.Answered(result))

        run.timer = self._scheduler.after(_LOOKUP_MS, lambda: answer(None))
        self._lookups.ask(run.conversation, verb.name, verb.args, answer)

    @staticmethod
    def _disarm(run: _Run) -> None:
        if run.timer is not None:
            run.timer.cancel()
            run.timer = None


def _written(words: tuple[iv.Words, ...]) -> str:
    return " ".join(one.digits or one.written or one.text for one in words)


def _choices(flow: Flow, state: iv.State) -> dict[str, str]:
    """What a menu offers: key -> words, those of the step that it leads to."""
    menu = flow.nodes[state.node].menu
    if menu is None:
        return {}
    choices = {}
    for key, target in menu.keys.items():
        title = flow.nodes[target].title or {}
        choices[key] = next((text for language, text in title.items() if language == state.language), key)
    return choices


def _chosen(text: str, choices: Mapping[str, str]) -> str:
    """The key that is meant: by itself, by the words of its choice, or by a part of them that no other has."""
    wanted = _plain(text)
    if wanted in choices:
        return wanted
    words = {key: _plain(label) for key, label in choices.items()}
    same = [key for key, label in words.items() if label == wanted]
    if not same and len(wanted) >= _SHORTEST_HINT:
        same = [
            key for key, label in words.items() if wanted in label or (len(label) > 1 and label in wanted)
        ]
    return same[0] if len(same) == 1 else ""


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().strip(".。!！?？").casefold()
