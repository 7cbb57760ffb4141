"""Offers made real: the engine says who, this rings their phone, and tells the engine how it went.

An offer ends once: bridged, refused, failed, withdrawn. A phone that answers after its offer was
withdrawn is parted from the caller again; the records hold one ending."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from callcenter.kernel import logging
from callcenter.kernel.ids import IdFactory
from callcenter.live import facts as f
from callcenter.live.book import RINGING, TALKING, Interaction
from callcenter.live.host import AnyFact, Host
from channels.base import VoiceCommands
from channels.voice.translate import DECLINED, offer_cause
from routing import Command, OfferContact, WithdrawOffer
from routing import facts as rf

log = logging.get("offers")
_WHISPER_S = 5
Introduce = Callable[[Interaction, bool, Callable[[list[str]], None]], None]
"""(interaction, answers by itself, ready): call `ready` once with the files that the agent hears first"""


@dataclass(frozen=True, slots=True)
class Seat:
    """Where and how an agent takes calls."""

    agent: str
    name: str
    device: str
    answer: str
    """phone: the device rings at once; panel: it is dialled when the offer is accepted there; auto: it is dialled at
    once and answers by itself"""


class Seats(Protocol):
    def seat(self, agent: str) -> Seat | None:
        """Where this person, of whatever role, takes calls."""
        ...

    def caller_id(self, queue: str) -> str:
        """Our number that outside telephones are shown; "" for none in particular."""
        ...

    def sound_of(self, queue: str) -> str: ...


@dataclass(frozen=True, slots=True)
class CallRules:
    max_call_s: int
    record: bool
    recordings: str
    """folder for recordings"""
    domain: str = "centre"
    """host part of our telephones' addresses"""


def host_of(address: str) -> str:
    """The host of `host`, `host:port`, `[v6]:port` or a bare IPv6 address, as it stands in a SIP URI."""
    if address.startswith("["):
        return address.partition("]")[0] + "]"
    return f"[{address}]" if address.count(":") > 1 else address.partition(":")[0]


class Offers:
    def __init__(
        self, host: Host, voice: VoiceCommands, seats: Seats, ids: IdFactory, rules: CallRules, address: str
    ) -> None:
        self._host, self._voice, self._seats, self._ids, self._rules = host, voice, seats, ids, rules
        self._address, self._domain = address, rules.domain
        self._host_part = host_of(address)
        self.room_to_record: Callable[[], bool] = lambda: True
        """False while the disk is too full"""
        self._unplanned: set[str] = set()
        """legs that ring while there is no room to record their conversation"""
        self.place: Callable[[Interaction], str] = lambda interaction: interaction.worker
        """choose a worker for a callback, which has none yet; "" where none has room"""
        self.introduce: Introduce = lambda _interaction, _auto, ready: ready([])
        host.listeners.append(self._heard)

    def seat(self, agent: str) -> Seat | None:
        return self._seats.seat(agent)

    def caller_id(self, queue: str) -> str:
        """Our number that outside telephones are shown."""
        return self._seats.caller_id(queue)

    def call_to(self, device: str, interaction: Interaction, at_once: bool = False) -> dict[str, Any]:
        """The words of a `dial` that rings this device in the course of this interaction. `at_once`: somebody at the
        device asked for it, so it is to answer by itself."""
        outside = device.startswith("tel:")
        caller_id = self._seats.caller_id(interaction.queue) if outside else ""
        return {
            "uri": self._uri(device),
            "caller_id": caller_id,
            "headers": self._headers(interaction, at_once, caller_id if outside else None),
        }

    def accept(self, agent: str, offer: str) -> bool:
        """The agent takes an offer at the panel; False where it is no longer theirs to take."""
        interaction = self._theirs(agent, offer)
        if interaction is None:
            return False
        if not interaction.agent_leg:
            self._dial(interaction, offer, agent, accepted=True)
        return True

    def decline(self, agent: str, offer: str) -> bool:
        interaction = self._theirs(agent, offer)
        if interaction is None:
            return False
        self._stop_ringing(interaction)
        self._end(interaction, rf.OfferDeclined(offer, self._host.clock.now_ms()), DECLINED)
        return True

    def connected(
        self, interaction: Interaction, leg: str, at_ms: int, recording: Sequence[AnyFact] = ()
    ) -> None:
        """The worker joined caller and agent; `recording`: the fact that a recording began with it."""
        facts = self.answered(interaction, at_ms) if interaction.agent_leg == leg else []
        if facts and leg in self._unplanned:
            facts += self.unrecorded(interaction)
        if facts or recording:
            self._host.submit(*facts, *recording)
        if not (interaction.state == TALKING and interaction.agent_leg == leg):
            log.info("late_answer", interaction=interaction.id, leg=leg)
            self._voice.command(interaction.worker, "unbridge", interaction.leg)
            self._voice.command(interaction.worker, "hangup", leg, why="withdrawn")
            sound = self._seats.sound_of(interaction.queue)
            self._voice.command(interaction.worker, "music", interaction.leg, file=sound)

    def answered(self, interaction: Interaction, at_ms: int) -> list[AnyFact]:
        """The facts of an offer that rings and was answered; none where it is over."""
        contact = self._host.engine.contact_view(interaction.contact)
        if interaction.state != RINGING or contact is None or contact.offer != interaction.offer:
            return []
        leg = interaction.agent_leg
        return [
            rf.OfferAnswered(interaction.offer, at_ms),
            f.InteractionAnswered(
                interaction.id, interaction.contact, interaction.offer, interaction.agent, leg, at_ms
            ),
        ]

    def leg_ended(self, interaction: Interaction, fact: dict[str, Any], at_ms: int) -> None:
        """The agent's leg is gone."""
        if interaction.state == RINGING:
            self._not_taken(interaction, fact, at_ms)
        elif interaction.state == TALKING and fact["lost"] and interaction.direction == "in":
            agent = interaction.agent
            self._host.submit(
                f.AgentLost(interaction.id, agent, at_ms),
                rf.ContactRequeued(interaction.contact, at_ms),
            )
        elif interaction.state == TALKING:
            self._host.submit(
                f.InteractionEnded(interaction.id, "answered", fact["why"] or "normal", "agent", at_ms),
                rf.ContactEnded(interaction.contact, at_ms),
            )

    def dial_again(self, offers: set[str], boot: str) -> None:
        """After a restart: offers for callers at this worker that the engine holds and nobody rings for."""
        for offer in self._host.engine.offer_views():
            if offer.id not in offers and self._host.book.of_offer(offer.id) is None:
                interaction = self._host.book.of_contact(offer.contact)
                if interaction is not None and interaction.worker == boot and not interaction.offer:
                    self._present(interaction, offer.id, offer.agent)

    def gone(self, interaction: Interaction, at_ms: int) -> None:
        """The leg that was to ring is not there (lost with the core's last moments)."""
        self._end(interaction, rf.OfferFailed(interaction.offer, at_ms, "error"), "error")

    def _heard(self, _facts: Sequence[AnyFact], commands: Sequence[Command]) -> None:
        for command in commands:
            if isinstance(command, OfferContact):
                interaction = self._host.book.of_contact(command.contact)
                if interaction is not None:
                    self._present(interaction, command.offer, command.agent)
            elif isinstance(command, WithdrawOffer):
                interaction = self._host.book.of_offer(command.offer)
                if interaction is not None:
                    self._withdraw(interaction, command)

    def _present(self, interaction: Interaction, offer: str, agent: str) -> None:
        seat = self._seats.seat(agent)
        if seat is not None and seat.answer == "panel":
            at_ms = self._host.clock.now_ms()
            self._host.submit(f.AgentDialled(interaction.id, interaction.contact, offer, agent, "", at_ms))
        else:
            self._dial(interaction, offer, agent, accepted=False)

    def _dial(self, interaction: Interaction, offer: str, agent: str, accepted: bool) -> None:
        """Once it is known what the agent hears first; an offer that is over by then rings nobody."""
        seat = self._seats.seat(agent)
        auto = seat is not None and seat.answer == "auto"

        def ready(first: list[str]) -> None:
            view = self._host.engine.offer_view(offer)
            if view is not None and not (interaction.offer == offer and interaction.agent_leg):
                self._ring(interaction, offer, agent, accepted or auto, first)

        self.introduce(interaction, auto, ready)

    def _ring(
        self, interaction: Interaction, offer: str, agent: str, accepted: bool, first: list[str]
    ) -> None:
        seat = self._seats.seat(agent)
        at_ms = self._host.clock.now_ms()
        worker = self.place(interaction) if interaction.callback else interaction.worker
        if not worker:
            self._host.submit(
                f.OfferEnded(interaction.id, offer, agent, "capacity", at_ms), rf.OfferDeclined(offer, at_ms)
            )
            return
        leg = self._ids.next("l")
        self._host.submit(f.AgentDialled(interaction.id, interaction.contact, offer, agent, leg, at_ms))
        outside = seat is not None and seat.device.startswith("tel:")
        caller_id = self._seats.caller_id(interaction.queue)
        plan = None if interaction.callback else self.recording(interaction)
        if plan is None and not interaction.callback:
            self._unplanned = {*list(self._unplanned)[-1_000:], leg}
        view = self._host.engine.offer_view(offer)
        left_ms = view.expires_at_ms - at_ms if view else 20_000
        # who lifts at the last moment hears the whisper out before the offer is over
        ring_s = max(1, -(-left_ms // 1000)) + 2 if not first else max(3, left_ms // 1000 - _WHISPER_S)
        self._voice.command(
            worker,
            "dial",
            leg,
            uri=self._uri(seat.device if seat is not None else ""),
            caller_id=caller_id if outside else "",
            headers=self._headers(interaction, accepted, caller_id if outside else None),
            ring_s=ring_s,
            max_s=self._rules.max_call_s,
            tag={
                "interaction": interaction.id,
                "contact": interaction.contact,
                "role": "agent",
                "agent": agent,
                "offer": offer,
            },
            on_answer=None if interaction.callback else self._bridge(interaction, plan, first),
            then={"on_peer_gone": "hangup", "on_peer_lost": "hangup"},
        )

    @staticmethod
    def _bridge(interaction: Interaction, plan: dict[str, Any] | None, first: list[str]) -> dict[str, Any]:
        """What the worker does when the agent answers. A customer who is rung back joins later."""
        return {"bridge": interaction.leg, "record": plan, **({"first": first} if first else {})}

    def _uri(self, device: str) -> str:
        """Where to ring; an outside number goes to our own domain, whose edge knows the trunks."""
        scheme, _, rest = device.partition(":")
        if scheme == "tel":
            return f"sip:{rest}@{self._domain}"
        return device or "sip:nobody@127.0.0.1:9"

    def _headers(self, interaction: Interaction, accepted: bool, outside: str | None) -> dict[str, str]:
        """`outside`: of a telephone beyond a trunk, the number of ours that it is shown. Carriers get
        neither our ids nor the customer's number."""
        if outside is not None:
            return {"P-Asserted-Identity": f"<sip:{outside}@{self._host_part}>"} if outside else {}
        headers = {"X-Interaction": interaction.id}
        caller = self._host.private.get(interaction.party_ref)
        user = "".join(c for c in caller if c.isalnum() or c in "+-_.")
        if user:
            headers["P-Asserted-Identity"] = f"<sip:{user}@{self._host_part}>"
        if accepted:
            headers["Call-Info"] = f"<sip:{self._address}>;answer-after=0"
            headers["Alert-Info"] = "<http://callcenter.invalid>;info=alert-autoanswer;delay=0"
        return headers

    def unrecorded(self, interaction: Interaction) -> list[AnyFact]:
        """The word that a conversation is not recorded though it should be; nothing where it shall not."""
        if not self._rules.record:
            return []
        at_ms = self._host.clock.now_ms()
        return [f.RecordingFailed(interaction.id, "disk_full", f"{interaction.id}-{at_ms}", at_ms)]

    def recording(self, interaction: Interaction) -> dict[str, Any] | None:
        """The plan of a recording that begins now; None where none shall."""
        if not self._rules.record or not self.room_to_record():
            return None
        name = f"{interaction.id}-{self._host.clock.now_ms()}"
        return {"interaction": interaction.id, "folder": self._rules.recordings, "name": name}

    def _withdraw(self, interaction: Interaction, command: WithdrawOffer) -> None:
        self._stop_ringing(interaction)
        at_ms = self._host.clock.now_ms()
        self._host.submit(f.OfferEnded(interaction.id, command.offer, command.agent, command.reason, at_ms))

    def _stop_ringing(self, interaction: Interaction) -> None:
        if interaction.agent_leg:
            self._voice.command(
                interaction.worker, "hangup", interaction.agent_leg, why="withdrawn", unanswered_only=True
            )

    def _not_taken(self, interaction: Interaction, fact: dict[str, Any], at_ms: int) -> None:
        why = fact["why"]
        if why in ("withdrawn", "caller_gone"):
            return
        cause = "capacity" if why == "capacity" else offer_cause(fact["code"], why)
        if fact["answered_ms"]:
            cause = "error"
        end: AnyFact = (
            rf.OfferDeclined(interaction.offer, at_ms)
            if cause in (DECLINED, "capacity")  # no leg was free: not the fault of the agent's phone
            else rf.OfferFailed(interaction.offer, at_ms, cause)
        )
        self._end(interaction, end, cause)

    def _end(self, interaction: Interaction, fact: AnyFact, cause: str) -> None:
        self._host.submit(
            f.OfferEnded(interaction.id, interaction.offer, interaction.agent, cause, fact.occurred_at_ms),
            fact,
        )

    def _theirs(self, agent: str, offer: str) -> Interaction | None:
        interaction = self._host.book.of_offer(offer)
        if interaction is None or interaction.agent != agent or interaction.state != RINGING:
            return None
        return interaction
