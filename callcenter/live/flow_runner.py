"""Runs flows on calls: interpreter's verbs to the voice worker, keys and silences back to the
interpreter. Where a call stands is a fact, so a new core goes on at the same node."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from callcenter.kernel import logging
from callcenter.kernel.schedule import Handle, Scheduler
from callcenter.live.book import IN_FLOW, Interaction
from callcenter.live.facts import FlowMoved, InteractionEnded
from callcenter.live.host import AnyFact, Host
from channels.base import VoiceCommands
from ivr_flows import interpreter as iv
from ivr_flows.schema import Flow
from routing import Command

log = logging.get("flow")
_TERMINATOR_MS = 1_500
_LOOKUP_MS = 10_000
"""nobody waits longer than this for a database that does not answer"""


class Speaker(Protocol):
    def prepare(self, words: tuple[iv.Words, ...], ready: Callable[[list[str]], None]) -> None: ...


class Lookups(Protocol):
    def ask(
        self,
        interaction: Interaction,
        name: str,
        args: Mapping[str, str],
        answer: Callable[[Mapping[str, Any] | None], None],
    ) -> None:
        """Call `answer` once, on the loop: with the result, or None where it cannot be had."""
        ...


class FlowEnds(Protocol):
    """What a flow hands over to."""

    def enqueue(self, interaction: Interaction, queue: str, *before: AnyFact) -> None: ...

    def finish(self, interaction: Interaction, outcome: str) -> None: ...

    def take_message(self, interaction: Interaction, queue: str, max_s: int) -> bool: ...

    def message_over(self, interaction: Interaction) -> None: ...

    def broken(self, interaction: Interaction) -> None: ...


@dataclass
class _Run:
    interaction: Interaction
    name: str
    """under which the flow was started: a number's own greeting has a name of its own"""
    flow: Flow
    state: iv.State
    keys: str = ""
    play: str = ""
    speaking_to_the_end: bool = False
    listen: iv.Listen | None = None
    message: iv.TakeMessage | None = None
    """what is to be taken, or is being taken, down"""
    taking: bool = False
    in_the_middle: bool = False
    """a core has started while a message is being taken down: it goes on, and nothing is said into it"""
    timer: Handle | None = None
    turn: int = 0
    """counts steps: an answer to an earlier question is not taken for the present one"""
    vars_text: str = field(default="{}")


class FlowRunner:
    def __init__(
        self,
        host: Host,
        scheduler: Scheduler,
        voice: VoiceCommands,
        speech: Speaker,
        lookups: Lookups,
        flows: dict[str, Flow],
        ends: FlowEnds,
    ) -> None:
        self._host, self._scheduler, self._voice = host, scheduler, voice
        self._speech, self._lookups, self._flows, self._ends = speech, lookups, flows, ends
        self._runs: dict[str, _Run] = {}
        host.listeners.append(self._heard)
        self._early: dict[str, str] = {}
        """keys of flows that were not resumed yet: pressed while no core reigned"""
        self._announcing: dict[str, tuple[str, Callable[[], None]]] = {}
        """by interaction, the play of what is said before its flow, and what comes then"""
        self._plays = itertools.count(1)
        self.errors = 0

    def start(
        self,
        interaction: Interaction,
        flow: str,
        language: str,
        variables: Mapping[str, Any],
        first: tuple[iv.Words, ...] = (),
    ) -> None:
        """`first`: what is said to the end before the flow begins."""
        definition = self._flows[flow]
        if first:
            self._say_first(interaction, flow, language, variables, first)
        else:
            self._open(interaction, flow, lambda: iv.begin(definition, variables, language))

    def _say_first(
        self,
        interaction: Interaction,
        flow: str,
        language: str,
        variables: Mapping[str, Any],
        first: tuple[iv.Words, ...],
    ) -> None:
        play = f"p{self._host.epoch}-{next(self._plays)}"
        self._announcing[interaction.id] = (play, lambda: self.start(interaction, flow, language, variables))

        def ready(files: list[str]) -> None:
            if interaction.id in self._announcing:
                self._voice.command(
                    interaction.worker, "play", interaction.leg, play=play, files=files, interruptible=False
                )

        self._speech.prepare(first, ready)

    def resume(self, interaction: Interaction, playing: str, recording: bool = False) -> None:
        """Go on where the journal says. `playing`: the prompt that the worker still plays, or "": then
        the node's words are said again. `recording`: a message is being taken down."""
        definition = self._flows.get(interaction.flow)
        if definition is None:
            self._ends.broken(interaction)
            return
        text = self._host.private.get(interaction.vars_ref) or "{}"
        state = iv.State(interaction.node, interaction.language, interaction.tries, json.loads(text))
        self._open(interaction, interaction.flow, lambda: iv.resume(definition, state), playing, recording)

    def key(self, interaction: str, digit: str) -> None:
        run = self._runs.get(interaction)
        if run is None:
            live = self._host.book.interactions.get(interaction)
            if live is not None and live.state == IN_FLOW:
                self._early[interaction] = self._early.get(interaction, "") + digit
            return
        if run.message is not None:
            if run.taking:
                self._ends.message_over(run.interaction)
            return
        run.keys += digit
        if run.listen is not None:
            self._take_keys(run, run.listen)

    def played(self, interaction: str, play: str) -> None:
        announcing = self._announcing.get(interaction)
        if announcing is not None and announcing[0] == play:
            del self._announcing[interaction]
            announcing[1]()
            return
        run = self._runs.get(interaction)
        if run is None or run.play != play:
            return
        run.play = ""
        if run.speaking_to_the_end:
            self._step(run, iv.Said())
        elif run.message is not None:
            self._take_down(run)
        elif run.listen is not None and run.timer is None:
            self._arm(run, run.listen.timeout_ms)

    def recorded(self, interaction: str) -> None:
        """What was recorded of the caller is complete."""
        run = self._runs.get(interaction)
        if run is not None and run.taking:
            self._step(run, iv.Recorded())

    def not_recorded(self, interaction: str) -> None:
        run = self._runs.get(interaction)
        if run is not None and run.taking:
            self._step(run, iv.Failed("not_recorded"))

    def knows(self, flow: str) -> bool:
        return flow in self._flows

    def runs(self, interaction: str) -> bool:
        """Is there a flow that could go on?"""
        return interaction in self._runs

    def refused(self, interaction: str, reason: str) -> bool:
        """The queue did not take the contact; False where no flow runs that could go on."""
        run = self._runs.get(interaction)
        if run is None:
            return False
        self._step(run, iv.Refused(reason))
        return True

    def stop(self, interaction: str) -> None:
        self._early.pop(interaction, None)
        self._announcing.pop(interaction, None)
        run = self._runs.pop(interaction, None)
        if run is not None:
            self._disarm(run)

    def _heard(self, facts: Sequence[AnyFact], _commands: Sequence[Command]) -> None:
        for fact in facts:
            if isinstance(fact, InteractionEnded):
                self.stop(fact.interaction)

    def _open(
        self,
        interaction: Interaction,
        name: str,
        first: Callable[[], iv.Step],
        playing: str | None = None,
        recording: bool = False,
    ) -> None:
        """`playing`: of a flow that is resumed, the prompt that still plays, or ""."""
        try:
            step = first()
        except iv.FlowError as error:
            self._broken(interaction, error)
            return
        run = _Run(interaction, name, self._flows[name], step.state, keys=self._early.pop(interaction.id, ""))
        self._runs[interaction.id] = run
        takes = playing is not None and any(isinstance(verb, iv.TakeMessage) for verb in step.verbs)
        run.in_the_middle = takes and recording
        if takes and not recording and interaction.message:
            self._step(run, iv.Recorded())  # it came to its end while no core reigned
            return
        self._perform(run, step, playing or "")

    def _step(self, run: _Run, given: iv.Input) -> None:
        self._disarm(run)
        run.listen, run.play, run.speaking_to_the_end = None, "", False
        run.message, run.taking, run.in_the_middle = None, False, False
        try:
            step = iv.step(run.flow, run.state, given)
        except iv.FlowError as error:
            self._broken(run.interaction, error)
            return
        run.state = step.state
        self._perform(run, step)

    def _broken(self, interaction: Interaction, error: iv.FlowError) -> None:
        self.errors += 1
        log.error("flow_broken", interaction=interaction.id, flow=interaction.flow, reason=str(error))
        self.stop(interaction.id)
        self._ends.broken(interaction)

    def _perform(self, run: _Run, step: iv.Step, playing: str = "") -> None:
        run.turn += 1
        moved = self._moved(run, step.passed)
        if len(step.verbs) == 1 and isinstance(step.verbs[0], iv.Enqueue):
            self._ends.enqueue(run.interaction, step.verbs[0].queue, moved)
            return
        self._host.submit(moved)
        for verb in step.verbs:
            if isinstance(verb, iv.Speak):
                self._speak(run, verb, playing)
            elif isinstance(verb, iv.Listen):
                self._listen(run, verb)
            elif isinstance(verb, iv.Ask):
                self._ask(run, verb)
            elif isinstance(verb, iv.Enqueue):
                self._ends.enqueue(run.interaction, verb.queue)
            elif isinstance(verb, iv.TakeMessage):
                run.message = verb
                if not run.in_the_middle:
                    run.keys = ""
                if not run.play:
                    self._take_down(run)
            else:
                self.stop(run.interaction.id)
                self._ends.finish(run.interaction, verb.outcome)

    def _moved(self, run: _Run, passed: tuple[str, ...]) -> FlowMoved:
        interaction, state = run.interaction, run.state
        text = json.dumps(state.variables, ensure_ascii=False, sort_keys=True)
        vars_ref = ""
        if text != run.vars_text:
            run.vars_text = text
            person = self._host.private.person_of(
                self._host.private.get(interaction.party_ref) or interaction.id
            )
            vars_ref = self._host.private.put(person, f"{interaction.id}.vars", text)
        return FlowMoved(interaction.id, run.name, state.node, state.language, state.tries, vars_ref, passed)

    def _speak(self, run: _Run, verb: iv.Speak, playing: str) -> None:
        run.speaking_to_the_end = verb.await_end
        if run.in_the_middle:
            return
        if playing:
            run.play = playing
            return
        if run.keys and not verb.await_end:
            return
        run.play = play = f"p{self._host.epoch}-{next(self._plays)}"

        def ready(files: list[str]) -> None:
            if run.play != play:
                return
            self._voice.command(
                run.interaction.worker,
                "play",
                run.interaction.leg,
                play=play,
                files=files,
                interruptible=verb.interruptible,
            )

        self._speech.prepare(verb.words, ready)

    def _take_down(self, run: _Run) -> None:
        message = run.message
        if message is None:
            return
        run.taking = True
        if run.in_the_middle:
            if run.keys:
                self._ends.message_over(run.interaction)  # a key was pressed while no core reigned
        elif not self._ends.take_message(run.interaction, message.queue, message.max_s):
            self._step(run, iv.Failed("not_recorded"))
            return
        # the worker ends it in time; this is for one that is gone
        run.timer = self._scheduler.after((message.max_s + 10) * 1000, lambda: self._step(run, iv.Recorded()))

    def _listen(self, run: _Run, verb: iv.Listen) -> None:
        run.listen = verb
        if run.keys:
            self._take_keys(run, verb)
        elif not run.play:
            self._arm(run, verb.timeout_ms)

    def _take_keys(self, run: _Run, listen: iv.Listen) -> None:
        """Enough when the terminator came or no more can follow. After the last digit of a `collect` the
        terminator gets a moment to come, lest it be taken for an answer to what is said next."""
        entered, terminator, rest = run.keys, "", ""
        if listen.terminator:
            entered, terminator, rest = run.keys.partition(listen.terminator)
        if terminator:
            run.keys = rest
            self._step(run, iv.Entered(entered))
        elif len(entered) > listen.max_digits or (
            len(entered) == listen.max_digits and not listen.terminator
        ):
            run.keys = entered[listen.max_digits :]
            self._step(run, iv.Entered(entered[: listen.max_digits]))
        else:
            full = len(entered) == listen.max_digits
            self._arm(run, min(_TERMINATOR_MS, listen.interdigit_ms) if full else listen.interdigit_ms)

    def _arm(self, run: _Run, delay_ms: int) -> None:
        self._disarm(run)
        run.timer = self._scheduler.after(delay_ms, lambda: self._timed_out(run))

    def _timed_out(self, run: _Run) -> None:
        run.timer = None
        entered, run.keys = run.keys, ""
        self._step(run, iv.Entered(entered) if entered else iv.Silence())

    def _ask(self, run: _Run, verb: iv.Ask) -> None:
        turn = run.turn

        def answer(result: Mapping[str, Any] | None) -> None:
            if self._runs.get(run.interaction.id) is run and run.turn == turn:
                self._step(run, iv.Failed("unavailable") if result is None else iv.Answered(result))

        run.timer = self._scheduler.after(_LOOKUP_MS, lambda: answer(None))
        self._lookups.ask(run.interaction, verb.name, verb.args, answer)

    @staticmethod
    def _disarm(run: _Run) -> None:
        if run.timer is not None:
            run.timer.cancel()
            run.timer = None
