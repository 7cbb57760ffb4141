"""What comes from the voice workers, turned into facts; calls received and ended."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from callcenter.kernel import logging
from callcenter.kernel.ids import IdFactory
from callcenter.live import facts as f
from callcenter.live.book import CALLING, IN_FLOW, RINGING, TALKING, VOICEMAIL, WAITING, Interaction
from callcenter.live.callbacks import Callbacks
from callcenter.live.control import CallControl
from callcenter.live.flow_runner import FlowRunner
from callcenter.live.host import AnyFact, Host
from callcenter.live.key_entry import KeyEntry
from callcenter.live.offers import Offers
from callcenter.live.waiting import WaitingRoom
from channels.base import VoiceCommands
from channels.voice.translate import IncomingCall, offer_cause, parse_invite, reason_code
from ivr_flows.interpreter import Words
from routing import Command, Overflow
from routing import facts as rf

log = logging.get("calls")


class Directory(Protocol):
    """Which numbers are ours."""

    def flow_of(self, number: str) -> tuple[str, str] | None:
        """(flow, language) that answers this number; None where it is not ours."""
        ...

    def sound_of(self, queue: str) -> str:
        """File that callers of this queue hear while waiting; "" for the usual music."""
        ...

    @property
    def default_queue(self) -> str: ...


class Recordings(Protocol):
    def stopped(self, interaction: str, caller_file: str, agent_file: str) -> None: ...


class Favours(Protocol):
    def credit_ms(self, interaction: Interaction) -> int:
        """Waiting time granted to a caller beforehand."""
        ...


class Recogniser(Protocol):
    def recognise(self, interaction: str, caller: str) -> None: ...


@dataclass(frozen=True, slots=True)
class DeskRules:
    region: str
    max_call_s: int
    behind_edge: bool
    """calls come through our edge, which says who brought them"""


class VoiceDesk:
    """Implements the channel's `VoiceEvents` together with `Adoption` (worker taken, worker lost)."""

    def __init__(
        self,
        host: Host,
        voice: VoiceCommands,
        directory: Directory,
        ids: IdFactory,
        offers: Offers,
        recordings: Recordings,
        recogniser: Recogniser,
        favours: Favours,
        rules: DeskRules,
    ) -> None:
        self._host, self._voice, self._directory, self._ids = host, voice, directory, ids
        self._offers, self._recordings, self._recogniser = offers, recordings, recogniser
        self._favours, self._rules = favours, rules
        self.flows: FlowRunner | None = None
        self.control: CallControl | None = None
        self.visitor_of: Callable[[str], str] = lambda _visit: ""
        """the number of somebody who rings from the web with a signed identity; "" where it is not known"""
        self.key_entry: KeyEntry | None = None
        self.waiting: WaitingRoom | None = None
        self.callbacks: Callbacks | None = None
        self.counts: Counter[str] = Counter()
        self._seen: dict[str, int] = {}
        self._unsaved_acks: dict[str, int] = {}
        host.take_acks = self._take_acks
        host.listeners.append(self._heard)
        self._handlers: dict[str, Callable[[str, dict[str, Any]], None]] = {
            "incoming": self._incoming,
            "bridged": self._bridged,
            "room": self._room,
            "ended": self._ended,
            "answered": self._answered,
            "key": self._key,
            "played": self._played,
            "recording": self._recording,
            "recording_paused": lambda _boot, fact: self._host.submit(
                f.RecordingPaused(fact["interaction"], self._when(fact))
            ),
            "recording_resumed": lambda _boot, fact: self._host.submit(
                f.RecordingResumed(fact["interaction"], self._when(fact))
            ),
            "recorded": self._recorded,
            "unbridged": lambda _boot, _fact: None,
            "refused": lambda _boot, fact: self._count(f"refused_{fact['reason']}"),
            "failed": self._failed,
        }

    # --- facts of workers ------------------------------------------------------------------------

    def worker_fact(self, boot: str, fact: dict[str, Any]) -> None:
        """Each fact of a boot is dealt with once; its number is committed with the next activation."""
        if fact["n"] <= self._seen.get(boot, 0):
            return
        self._seen[boot] = self._unsaved_acks[boot] = fact["n"]
        handler = self._handlers.get(fact["kind"])
        if handler is not None:
            handler(boot, fact)

    def known(self, boot: str, n: int) -> None:
        """Facts of this boot up to `n` were committed by an earlier core."""
        self._seen[boot] = max(n, self._seen.get(boot, 0))

    def forget(self, boot: str) -> None:
        self._seen.pop(boot, None)
        self._unsaved_acks.pop(boot, None)

    def _take_acks(self) -> tuple[tuple[str, int], ...]:
        taken, self._unsaved_acks = tuple(self._unsaved_acks.items()), {}
        return taken

    def _incoming(self, boot: str, fact: dict[str, Any]) -> None:
        if self._host.book.of_leg(fact["leg"]) is not None:
            return  # adopted by its tag already: the log had lost its beginning
        call = parse_invite(fact["message"], self._rules.region, self._rules.behind_edge)
        target = self._directory.flow_of(call.called)
        if target is None:
            self._count("unknown_number")
            self._voice.command(boot, "reject", fact["leg"], code=404)
            return
        visitor = self.visitor_of(call.visit) if call.visit else ""
        if visitor:
            call = replace(call, caller=visitor)
        interaction = self._ids.next("i")
        party_ref = ""
        if call.caller:
            person = self._host.private.person_of(call.caller)
            party_ref = self._host.private.put(person, f"{interaction}.party", call.caller)
        self._host.submit(
            f.InteractionStarted(
                interaction, "voice", "in", call.called, boot, fact["leg"], party_ref, self._when(fact)
            ),
            *([f.CallerVerified(interaction, "signed", self._when(fact))] if visitor else []),
        )
        tag = {"interaction": interaction, "role": "caller", "number": call.called}
        self._voice.command(boot, "answer", fact["leg"], max_s=self._rules.max_call_s, tag=tag)
        self._start_flow(interaction, call, target)

    def _start_flow(self, interaction: str, call: IncomingCall, target: tuple[str, str]) -> None:
        if call.caller:
            self._recogniser.recognise(interaction, call.caller)
        live = self._host.book.interactions.get(interaction)
        if live is not None and self.flows is not None:
            self.begin_flow(live, target)

    def begin_flow(self, live: Interaction, target: tuple[str, str]) -> None:
        """The announcement, where one is set, then the flow of the number that was called."""
        if self.flows is None:
            return
        flow, language = target
        text = self._host.private.get(self._host.book.announcement)
        said: dict[str, str] = json.loads(text) if text else {}
        order = (language, *(other for other in said if other != language))
        first = tuple(Words(one, "", said[one]) for one in order if one in said)
        self.flows.start(live, flow, language, {"number": live.number}, first)

    def begin_again(self, live: Interaction) -> None:
        """A core has started before the flow did."""
        target = self._directory.flow_of(live.number)
        if target is None:
            self.broken(live)
        else:
            self.begin_flow(live, target)

    def _key(self, _boot: str, fact: dict[str, Any]) -> None:
        interaction = self._host.book.of_leg(fact["leg"])
        if interaction is None or fact["leg"] != interaction.leg:
            return
        if interaction.key_entry and self.key_entry is not None:
            self.key_entry.key(interaction, fact["digit"])
        elif self.waiting is not None and self.waiting.key(interaction, fact["digit"]):
            return
        elif self.flows is not None:
            self.flows.key(interaction.id, fact["digit"])

    def _played(self, _boot: str, fact: dict[str, Any]) -> None:
        interaction = self._host.book.of_leg(fact["leg"])
        if interaction is None or (self.waiting and self.waiting.played(interaction, fact["play"])):
            return
        if self.flows is not None:
            self.flows.played(interaction.id, fact["play"])

    def _bridged(self, boot: str, fact: dict[str, Any]) -> None:
        interaction = self._host.book.of_leg(fact["leg"])
        at_ms, recorded = self._when(fact), fact.get("recording")
        started = [_recording_started(recorded, at_ms)] if recorded else []
        if interaction is not None:
            self._offers.connected(interaction, fact["other"], at_ms, started)
        else:
            self._voice.command(boot, "hangup", fact["other"], why="withdrawn")

    def _room(self, _boot: str, fact: dict[str, Any]) -> None:
        interaction = self._host.book.of_leg(fact["leg"])
        if interaction is not None and self.control is not None:
            self.control.room_changed(interaction, fact["members"], self._when(fact))

    def _answered(self, _boot: str, fact: dict[str, Any]) -> None:
        interaction = self._host.book.of_leg(fact["leg"])
        if interaction is not None:
            self.agent_there(interaction, fact["leg"])

    def agent_there(self, interaction: Interaction, leg: str) -> None:
        """Of a call of ours: ring the customer now."""
        if self.control is None:
            return
        reserved = interaction.callback and interaction.state == RINGING and self.callbacks is not None
        if reserved and self.callbacks is not None and not self.callbacks.agent_answered(interaction, leg):
            self._voice.command(interaction.worker, "hangup", leg, why="withdrawn")
            return
        self.control.agent_answered(interaction, leg)

    def _ended(self, _boot: str, fact: dict[str, Any]) -> None:
        leg, at_ms = fact["leg"], self._when(fact)
        interaction = self._host.book.of_leg(leg)
        closed = self._leg_closed(fact, at_ms)
        if interaction is not None and leg == interaction.leg:
            self._caller_gone(interaction, fact, at_ms, closed)
            return
        if closed:
            self._host.submit(*closed)
        if interaction is None:
            return
        if self.control is not None and leg in interaction.guests:
            self.control.guest_ended(interaction, fact, at_ms)
        elif leg == interaction.agent_leg and not (self.control and self.control.agent_left(interaction)):
            self._offers.leg_ended(interaction, fact, at_ms)

    def _leg_closed(self, fact: dict[str, Any], at_ms: int) -> tuple[AnyFact, ...]:
        """The leg's end for the records; nothing for a leg that never was an interaction's."""
        tag = fact.get("tag") or {}
        if "interaction" not in tag:
            return ()
        cause = fact["why"] or reason_code(fact["reason"]) or "normal"
        stats = fact.get("stats") or {}
        return (
            f.LegClosed(
                tag["interaction"],
                fact["leg"],
                tag.get("role", ""),
                fact["code"],
                cause,
                fact["by"],
                at_ms,
                **stats,
            ),
        )

    def _caller_gone(
        self, interaction: Interaction, fact: dict[str, Any], at_ms: int, closed: tuple[AnyFact, ...]
    ) -> None:
        if self.flows is not None:
            self.flows.stop(interaction.id)
        if self.control is not None:
            self.control.over(interaction)
        cause = fact["why"] or ("lost" if fact["lost"] else "normal")
        if interaction.state == CALLING:
            cause = fact["why"] or offer_cause(fact["code"], "")
        by = "caller" if fact["by"] == "remote" else "system"
        if interaction.state == CALLING and self.callbacks is not None:
            again = self.callbacks.again(interaction, at_ms)
            if again:
                self._host.submit(*closed, *again)
                return
        self._host.submit(*closed, *ending(interaction, cause, by, at_ms))

    def _recording(self, _boot: str, fact: dict[str, Any]) -> None:
        self._host.submit(_recording_started(fact, self._when(fact)))

    def _recorded(self, _boot: str, fact: dict[str, Any]) -> None:
        self._recordings.stopped(fact["interaction"], fact["caller_file"], fact["agent_file"])
        if self.flows is not None:
            self.flows.recorded(fact["interaction"])

    def _failed(self, _boot: str, fact: dict[str, Any]) -> None:
        self._count(f"failed_{fact['op']}")
        log.warning("command_failed", leg=fact["leg"], reason=f"{fact['op']}: {fact['reason']}")
        interaction = self._host.book.of_leg(fact["leg"])
        if fact["op"] == "room" and interaction is not None and self.control is not None:
            self.control.not_done(interaction)
        if fact["op"] == "message" and interaction is not None and self.flows is not None:
            self.flows.not_recorded(interaction.id)
        if fact["op"] == "record" and interaction is not None:
            at_ms = self._when(fact)
            name = f"{interaction.id}-{at_ms}"
            self._host.submit(f.RecordingFailed(interaction.id, fact["reason"], name, at_ms))

    # --- what flows hand over --------------------------------------------------------------------

    def enqueue(self, interaction: Interaction, queue: str, *before: AnyFact) -> None:
        """`before`: what led there, in the same activation."""
        contact, at_ms = self._ids.next("c"), self._host.clock.now_ms()
        credit_ms = self._favours.credit_ms(interaction)
        if credit_ms:
            self._count("put_first")
        self._host.submit(
            *before,
            f.InteractionQueued(interaction.id, contact, queue, at_ms),
            rf.ContactArrived(
                contact,
                queue,
                at_ms,
                credit_ms,
                customer_class=interaction.klass,
                prefers=interaction.last_agent if self._asks_for_agent(queue) else "",
            ),
        )

    def _asks_for_agent(self, queue: str) -> bool:
        known = self._host.engine.policy.queues.get(queue)
        return known is not None and known.preferred_ms > 0

    def comfort(self, interaction: Interaction, queue: str, tag: dict[str, Any] | None = None) -> None:
        """What a waiting caller hears. `tag`: what its leg is to carry from now on."""
        self._voice.command(
            interaction.worker,
            "music",
            interaction.leg,
            file=self._directory.sound_of(queue),
            **({"tag": tag} if tag else {}),
        )

    def take_message(self, interaction: Interaction, queue: str, max_s: int) -> bool:
        """What the caller says from now on is a message for this queue; False where nothing can be recorded."""
        plan = self._offers.recording(interaction)
        if plan is None:
            return False
        self._voice.command(
            interaction.worker,
            "message",
            interaction.leg,
            record={**plan, "kind": VOICEMAIL, "queue": queue},
            max_s=max_s,
        )
        return True

    def message_over(self, interaction: Interaction) -> None:
        self._voice.command(interaction.worker, "stop_record", interaction.leg)

    def finish(self, interaction: Interaction, outcome: str) -> None:
        self._voice.command(interaction.worker, "hangup", interaction.leg, why="flow_ended")
        at_ms = self._host.clock.now_ms()
        freed = self.control.freed(interaction) if self.control is not None else []
        self._host.submit(f.InteractionEnded(interaction.id, outcome, "flow_ended", "system", at_ms), *freed)

    def broken(self, interaction: Interaction) -> None:
        """A flow that fails puts the caller through to a person rather than hanging up."""
        self.enqueue(interaction, self._directory.default_queue)

    def hang_up(self, interaction: Interaction) -> None:
        """The agent ends the call; the worker's word that the leg is gone ends the records."""
        self._voice.command(
            interaction.worker, "hangup", interaction.agent_leg or interaction.leg, why="agent"
        )

    def _heard(self, facts: Sequence[AnyFact], commands: Sequence[Command]) -> None:
        for fact in facts:
            if isinstance(fact, f.InteractionEnded) and self.control is not None:
                self.control.ended(fact.interaction)
            if (
                isinstance(fact, f.InteractionEnded | f.AgentReleased | f.AgentLost)
                and self.key_entry is not None
            ):
                self.key_entry.left(fact.interaction)
            if isinstance(fact, rf.ContactArrived) or (
                isinstance(fact, rf.ContactAdopted) and not fact.agent
            ):
                self.waits(fact.contact)
        for command in commands:
            if isinstance(command, Overflow):
                interaction = self._host.book.of_contact(command.contact)
                if interaction is not None:
                    self._overflowed(interaction, command)

    def _overflowed(self, interaction: Interaction, command: Overflow) -> None:
        """A queue that does not exist must not cost a caller; a closed or full one is the flow's affair, and
        where no flow runs any more the call ends."""
        self._count(f"overflow_{command.reason}")
        default = self._directory.default_queue
        if command.reason == "agent_not_ready":
            # the one it was meant for was quicker with something else
            self.enqueue(interaction, command.queue)
        elif command.reason == "unknown_queue" and default and command.queue != default:
            self.enqueue(interaction, default)
        elif self.flows is None or not self.flows.refused(interaction.id, command.reason):
            self.finish(interaction, "closed" if command.reason == "closed" else "overflowed")

    def left_queue(self, interaction: Interaction, to: str, target: str) -> None:
        """It waited too long, and its queue's rules send it on. Where no flow can, it waits again, as long as since
        the first time: nobody is hung up on for having waited."""
        if self.flows is None:
            return
        if to == "flow" and self.flows.knows(target):
            self.flows.stop(interaction.id)
            self.flows.start(interaction, target, interaction.language, {"number": interaction.number})
        elif not self.flows.refused(interaction.id, f"waited_{to}") and self.control is not None:
            self.control.wait_again(interaction)

    def waits(self, contact: str) -> None:
        """Music; and the leg itself carries its place, so it survives even a journal whose tail is lost."""
        interaction = self._host.book.of_contact(contact)
        view = self._host.engine.contact_view(contact)
        if interaction is not None and view is not None:
            place = {
                "contact": contact,
                "queue": view.queue,
                "arrived_at_ms": view.arrived_at_ms,
                "deadline_ms": view.deadline_ms,
            }
            self.comfort(interaction, view.queue, place)

    def _when(self, fact: dict[str, Any]) -> int:
        return min(int(fact["at_ms"]), self._host.clock.now_ms())

    def _count(self, what: str) -> None:
        self.counts[what] += 1


def _recording_started(fields: dict[str, Any], at_ms: int) -> f.RecordingStarted:
    return f.RecordingStarted(
        fields["interaction"],
        fields["caller_file"],
        fields["agent_file"],
        at_ms,
        fields.get("about", "call"),
        fields.get("queue", ""),
    )


def ending(interaction: Interaction, cause: str, by: str, at_ms: int) -> list[AnyFact]:
    """The facts that end an interaction, whatever state it was in."""
    outcomes = {IN_FLOW: "left_in_flow", WAITING: "abandoned", RINGING: "abandoned", TALKING: "answered"}
    outcomes[CALLING] = "not_reached"
    if interaction.message:
        outcomes[IN_FLOW] = "message"
    outcome = "cut_off" if by == "worker" else outcomes.get(interaction.state, "answered")
    if outcome == "abandoned" and interaction.answered_at_ms:
        outcome = "answered"  # somebody served them before they were sent on
    ended: list[AnyFact] = [
        f.InteractionEnded(
            interaction.id, outcome, cause, by, at_ms, interaction.queue, interaction.queued_at_ms
        )
    ]
    if interaction.state in (TALKING, CALLING):
        ended.append(rf.ContactEnded(interaction.contact, at_ms))
    elif interaction.contact:
        ended.append(rf.ContactAbandoned(interaction.contact, at_ms))
    return ended
