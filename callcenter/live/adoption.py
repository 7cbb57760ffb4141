"""Taking workers over: what they still tell, what they hold, and what went with those that are gone.

The live call wins over the log. First, in one activation, whoever is joined is answered, so that no ring
time runs out over a conversation. When every worker that carries calls has said so, the core begins its day
(policy, hours, people), facts that the workers still held are dealt with in order, and each inventory is
compared with the book:

    log says            the worker has                   then
    any state           no caller leg                    the interaction ended
    ringing             no agent leg                     the offer failed, the contact keeps its place
    ringing             both, joined                     answered
    talking             no agent leg                     the agent was lost, the contact waits again
    in a flow           the caller                       the flow resumes at its node
    waiting             the caller, no music             music
    nothing             both, joined, with their tags    answered
    nothing             a caller tagged with a place     adopted in that place
    nothing             an agent's leg                   hung up
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from callcenter.kernel import logging
from callcenter.kernel.ids import parse_id
from callcenter.live import facts as f
from callcenter.live.book import CALLING, IN_FLOW, RINGING, TALKING, WAITING, WRAPPING, Interaction
from callcenter.live.host import Host
from callcenter.live.offers import Offers
from callcenter.live.recordings import RecordingSealer
from callcenter.live.voice_desk import VoiceDesk, ending
from channels.base import VoiceCommands
from routing import facts as rf

log = logging.get("adoption")
Row = dict[str, Any]
"""one leg of a worker's inventory"""


class Adoption:
    def __init__(
        self,
        host: Host,
        voice: VoiceCommands,
        desk: VoiceDesk,
        offers: Offers,
        recordings: RecordingSealer,
        acknowledged: Callable[[str], int],
        superseded: Callable[[int], None],
        begin: Callable[[], None],
        living: Callable[[], set[str]],
    ) -> None:
        self._host, self._voice, self._desk = host, voice, desk
        self._offers, self._recordings = offers, recordings
        self._acknowledged, self._begin = acknowledged, begin
        self.superseded = superseded
        self.taken: set[str] = set()
        self._living = living
        self._open = False
        self._greeted: list[tuple[str, Row, bool]] = []
        self._early: list[tuple[str, Row]] = []

    def worker_taken(self, boot: str, welcome: dict[str, Any]) -> None:
        first = boot not in self.taken
        self.taken.add(boot)
        if first:
            self._desk.known(boot, self._acknowledged(boot))
        for row in welcome["inventory"]:
            if row.get("recording"):
                self._recordings.goes_on(row["recording"])
        self._settle_joined(boot, _legs(welcome), welcome["facts"])
        self._greeted.append((boot, welcome, first))
        if self._open or not (self._with_calls() & self._living()) - self.taken:
            self.open()

    def worker_fact(self, boot: str, fact: Row) -> None:
        """One fact; before the day began it waits its turn."""
        if self._open:
            self._desk.worker_fact(boot, fact)
        else:
            self._early.append((boot, fact))

    def open(self) -> None:
        """Every worker that carries calls of ours has said who talks, or time is up: from now on ring times
        run and contacts are given out."""
        greeted, self._greeted = self._greeted, []
        self._begin()
        for boot, welcome, _first in greeted:
            self._settle_joined(boot, _legs(welcome), [])  # with people whom only the policy made known
        self._open = True
        for boot, welcome, first in greeted:
            self._take(boot, welcome, first)
        self._offers.dial_again(set(), "")
        early, self._early = self._early, []
        for boot, fact in early:
            self._desk.worker_fact(boot, fact)

    def _take(self, boot: str, welcome: Row, first: bool) -> None:
        """Facts that it still held, in order; then its inventory against the book."""
        legs = _legs(welcome)
        for fact in welcome["facts"]:
            self._desk.worker_fact(boot, fact)
        self._host.submit(f.WorkerTaken(boot, welcome["slot"], len(legs), len(welcome["facts"])))
        for interaction in list(self._host.book.interactions.values()):
            if interaction.worker == boot and interaction.state != WRAPPING:
                self._compare(interaction, legs, resume=first)
        for row in legs.values():
            if self._host.book.of_leg(row["leg"]) is None:
                self._unknown_leg(boot, row)
        self._offers.dial_again({row["tag"].get("offer", "") for row in legs.values()}, boot)

    def _with_calls(self) -> set[str]:
        """Workers that the journal says carry calls."""
        live = self._host.book.interactions.values()
        return {one.worker for one in live if one.state != WRAPPING and one.worker}

    def worker_lost(self, boot: str) -> None:
        """Every leg of that process is gone: its calls are cut off, its agents are free."""
        self.taken.discard(boot)
        self._desk.forget(boot)
        at_ms = self._host.clock.now_ms()
        facts: list[Any] = [f.WorkerLost(boot, at_ms)]
        for interaction in list(self._host.book.interactions.values()):
            if interaction.worker != boot:
                continue
            for files in interaction.recordings.values():
                self._recordings.stopped(interaction.id, files[0], files[1] if len(files) > 1 else "")
            if interaction.state != WRAPPING:
                if self._desk.flows is not None:
                    self._desk.flows.stop(interaction.id)
                if self._desk.control is not None:
                    facts.extend(self._desk.control.freed(interaction))
                facts.extend(self._lost(interaction, at_ms))
        self._host.submit(*facts)

    def _lost(self, interaction: Interaction, at_ms: int) -> list[Any]:
        """Its worker is gone. The customer of a callback was not on the line yet, and keeps the place."""
        if interaction.callback and interaction.state == RINGING:
            return [
                f.OfferEnded(interaction.id, interaction.offer, interaction.agent, "error", at_ms),
                rf.OfferDeclined(interaction.offer, at_ms),
            ]
        again = []
        if interaction.state == CALLING and self._desk.callbacks is not None:
            again = self._desk.callbacks.again(interaction, at_ms)
        return again or ending(interaction, "worker_lost", "worker", at_ms)

    def give_up_missing(self) -> None:
        """Some time after a start: boots that the journal knows and nobody answers for are lost."""
        self.open()
        for boot in sorted(self._with_calls() - self.taken):
            self.worker_lost(boot)
        self._recordings.pick_up()

    def _compare(self, interaction: Interaction, legs: dict[str, Any], resume: bool) -> None:
        at_ms = self._host.clock.now_ms()
        if interaction.state == CALLING and self._desk.control is not None:
            self._desk.control.adopt_call(interaction, legs)
            return
        if interaction.callback and interaction.state == RINGING:
            self._compare_callback(interaction, legs)
            return
        caller = legs.get(interaction.leg)
        if caller is None:
            freed = self._desk.control.freed(interaction) if self._desk.control is not None else []
            self._host.submit(*ending(interaction, "gone", "system", at_ms), *freed)
            return
        joined = caller["peer"] is not None and caller["peer"] == interaction.agent_leg
        if interaction.state == RINGING and interaction.agent_leg:
            if joined:
                self._offers.connected(interaction, interaction.agent_leg, at_ms)
            elif interaction.agent_leg not in legs and self._of_an_earlier_core(interaction.agent_leg):
                self._offers.gone(interaction, at_ms)
        elif interaction.state == TALKING and not joined:
            self._host.submit(
                f.AgentLost(interaction.id, interaction.agent, at_ms),
                rf.ContactRequeued(interaction.contact, at_ms),
            )
        if self._desk.control is not None:
            self._desk.control.adopt(interaction, legs)
        if self._desk.key_entry is not None:
            self._desk.key_entry.adopt(interaction)
        if interaction.state == IN_FLOW and resume and not interaction.flow:
            self._desk.begin_again(interaction)
        elif interaction.state == IN_FLOW and resume and self._desk.flows is not None:
            self._desk.flows.resume(interaction, caller["play"] or "", bool(caller.get("recording")))
        elif interaction.state in (WAITING, RINGING) and not caller["music"] and caller["peer"] is None:
            self._desk.comfort(interaction, interaction.queue)

    def _compare_callback(self, interaction: Interaction, legs: dict[str, Any]) -> None:
        """The reserved agent still rings, has answered meanwhile, or is gone; the customer was not rung yet."""
        row = legs.get(interaction.agent_leg)
        if row is None:
            if interaction.agent_leg and self._of_an_earlier_core(interaction.agent_leg):
                self._offers.gone(interaction, self._host.clock.now_ms())
        elif row["state"] == "answered":
            self._desk.agent_there(interaction, interaction.agent_leg)

    def _of_an_earlier_core(self, leg: str) -> bool:
        """A leg that this core dialled a moment ago is not in an inventory taken before."""
        return parse_id(leg)[1] < self._host.epoch

    def _settle_joined(self, boot: str, legs: dict[str, Any], held: list[dict[str, Any]]) -> None:
        """Who talks, talks: all of them in one activation, before any other lets a ring time run out."""
        joined = {fact["leg"]: (fact["other"], fact["at_ms"]) for fact in held if fact["kind"] == "bridged"}
        for row in legs.values():
            if row["direction"] == "in" and row["peer"] in legs:
                joined.setdefault(row["leg"], (row["peer"], legs[row["peer"]]["answered_ms"]))
        facts: list[Any] = []
        for caller, (agent_leg, at_ms) in joined.items():
            interaction = self._host.book.of_leg(caller)
            at_ms = min(at_ms, self._host.clock.now_ms())
            if interaction is not None and interaction.agent_leg == agent_leg:
                facts.extend(self._offers.answered(interaction, at_ms))
            elif caller in legs and agent_leg in legs:
                facts.extend(self._conversation(boot, legs[caller], legs[agent_leg], at_ms))
        for row in legs.values():
            called = legs.get(row["peer"] or "")
            if "placed" in row["tag"] and called is not None:
                facts.extend(self._placed(boot, called, row))
        if facts:
            self._host.submit(*facts)

    def _conversation(self, boot: str, caller: Row, agent: Row, at_ms: int) -> list[Any]:
        """Two who talk and of whom the log has lost the beginning: their tags say all that is needed."""
        place, who = caller["tag"], agent["tag"]
        known = self._host.engine.agent_view(who.get("agent", ""))
        if who.get("role") != "agent" or "deadline_ms" not in place or known is None:
            return []
        interaction, contact, queue = who["interaction"], who["contact"], place["queue"]
        arrived_ms = place["arrived_at_ms"]
        log.warning("conversation_adopted", boot=boot, interaction=interaction, agent=who["agent"])
        facts: list[Any] = []
        if interaction not in self._host.book.interactions:
            number, since_ms = place.get("number", ""), min(caller["since_ms"], at_ms)
            facts.append(
                f.InteractionStarted(interaction, "voice", "in", number, boot, caller["leg"], "", since_ms)
            )
        return [
            *facts,
            f.InteractionQueued(interaction, contact, queue, arrived_ms),
            f.AgentDialled(interaction, contact, who["offer"], who["agent"], agent["leg"], at_ms),
            f.InteractionAnswered(interaction, contact, who["offer"], who["agent"], agent["leg"], at_ms),
            rf.ContactAdopted(contact, queue, arrived_ms, place["deadline_ms"], who["agent"]),
        ]

    def _placed(self, boot: str, called: Row, agent: Row) -> list[Any]:
        """A call of ours that is in conversation and of which the log knows nothing."""
        tag = agent["tag"]
        interaction, who, placed = tag["interaction"], tag["agent"], tag["placed"]
        known = self._host.engine.agent_view(who)
        if interaction in self._host.book.interactions or known is None:
            return []
        log.warning("conversation_adopted", boot=boot, interaction=interaction, agent=who)
        at_ms = min(called["answered_ms"] or called["since_ms"], self._host.clock.now_ms())
        contact, queue, leg = tag["contact"], placed["queue"], agent["leg"]
        return [
            f.InteractionStarted(
                interaction, "voice", placed["direction"], placed["number"], boot, called["leg"], "", at_ms
            ),
            f.CallPlaced(interaction, contact, who, leg, placed["callee"], queue, at_ms),
            f.InteractionAnswered(interaction, contact, "", who, leg, at_ms),
            rf.ContactAdopted(contact, queue, at_ms, at_ms, who),
        ]

    def _unknown_leg(self, boot: str, row: dict[str, Any]) -> None:
        tag, leg = row["tag"], row["leg"]
        at_ms = self._host.clock.now_ms()
        rings = row["direction"] == "out" and row["state"] != "answered"
        if tag.get("role") != "caller" or "interaction" not in tag or rings:
            log.info("leg_orphaned", boot=boot, leg=leg)
            self._voice.command(boot, "hangup", leg, why="orphaned")
            return
        log.warning("leg_adopted", boot=boot, leg=leg, interaction=tag["interaction"])
        interaction, arrived_ms = tag["interaction"], tag.get("arrived_at_ms", row["since_ms"])
        started = f.InteractionStarted(
            interaction, "voice", "in", tag.get("number", ""), boot, leg, "", min(row["since_ms"], at_ms)
        )
        adopted = f.LegAdopted(interaction, boot, leg, "caller", at_ms)
        if "contact" in tag:
            self._host.submit(
                started,
                adopted,
                f.InteractionQueued(interaction, tag["contact"], tag["queue"], arrived_ms),
                rf.ContactAdopted(tag["contact"], tag["queue"], arrived_ms, tag["deadline_ms"]),
            )
            self._voice.command(boot, "music", leg)
        else:
            self._host.submit(started, adopted)
            live = self._host.book.interactions.get(interaction)
            if live is not None:
                self._desk.broken(live)


def _legs(welcome: Row) -> dict[str, Row]:
    return {row["leg"]: row for row in welcome["inventory"]}
