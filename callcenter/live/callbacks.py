"""Callbacks: the customer hangs up and keeps the place; an agent is reserved first, then the customer is rung.

Each attempt is an interaction of its own, and all share one contact of the engine, which never leaves its line. Nobody
reached, or an agent who hangs up before: the contact is held for a while and tried again, until it was tried often
enough. A supervisor may cancel it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from callcenter.kernel.errors import NotAllowed
from callcenter.kernel.ids import IdFactory
from callcenter.live import facts as f
from callcenter.live.book import RINGING, WAITING, Interaction
from callcenter.live.host import AnyFact, Host
from channels.base import VoiceCommands
from routing import facts as rf

_DIALABLE = re.compile(r"^\+?[0-9]{5,20}$")
_LEGS = 2


@dataclass(frozen=True, slots=True)
class CallbackRules:
    attempts: int = 3
    retry_ms: int = 300_000


class Callbacks:
    def __init__(self, host: Host, voice: VoiceCommands, ids: IdFactory, rules: CallbackRules) -> None:
        self._host, self._voice, self._ids, self._rules = host, voice, ids, rules

    def possible(self, live: Interaction) -> bool:
        """Do we know a number to ring?"""
        number = self._host.private.get(live.party_ref) if live.party_ref else ""
        return bool(number and _DIALABLE.fullmatch(number))

    def ask(self, live: Interaction) -> bool:
        """The waiting caller wants to be rung back; their own call is over for us from now on. False where it is too
        late or no number is known."""
        contact = self._host.engine.contact_view(live.contact)
        if live.state not in (WAITING, RINGING) or contact is None or contact.callback:
            return False
        if live.state == RINGING or not self.possible(live):
            return False
        at_ms = self._host.clock.now_ms()
        self._host.submit(
            f.InteractionEnded(live.id, "callback", "asked", "caller", at_ms, live.queue, live.queued_at_ms),
            *self._planned(live, 1, at_ms),
            rf.CallbackAsked(live.contact),
        )
        return True

    def _planned(self, live: Interaction, attempt: int, at_ms: int) -> list[AnyFact]:
        """The facts of the next attempt."""
        interaction = self._ids.next("i")
        number = self._host.private.get(live.party_ref)
        person = self._host.private.person_of(number)
        party_ref = self._host.private.put(person, f"{interaction}.party", number)
        facts: list[AnyFact] = [
            f.InteractionStarted(interaction, live.medium, "out", live.number, "", "", party_ref, at_ms)
        ]
        if live.customer:
            facts.append(f.CustomerMatched(interaction, live.customer, live.klass, live.last_agent))
        facts.append(
            f.CallbackPlanned(interaction, live.contact, live.queue, live.queued_at_ms, attempt, at_ms)
        )
        return facts

    def place(self, live: Interaction) -> str:
        """An agent is about to be rung for it: at which worker; "" where none has room."""
        worker = self._voice.roomiest(_LEGS)
        if worker:
            leg, at_ms = self._ids.next("l"), self._host.clock.now_ms()
            self._host.submit(f.CallbackPlaced(live.id, worker, leg, at_ms))
        return worker

    def agent_answered(self, live: Interaction, leg: str) -> bool:
        """The reserved agent is there; from here it is a call of ours. False where the offer is over."""
        contact = self._host.engine.contact_view(live.contact)
        if live.state != RINGING or leg != live.agent_leg or contact is None or contact.offer != live.offer:
            return False
        at_ms = self._host.clock.now_ms()
        self._host.submit(
            rf.OfferAnswered(live.offer, at_ms),
            f.CallPlaced(live.id, live.contact, live.agent, leg, "", live.queue, at_ms),
        )
        return True

    def again(self, live: Interaction, at_ms: int) -> list[AnyFact]:
        """The facts by which a callback that reached nobody ends and is tried again; [] where it is none, or was tried
        often enough."""
        if not live.callback or live.callback >= self._rules.attempts:
            return []
        return [
            f.InteractionEnded(
                live.id, "callback_again", "not_reached", "system", at_ms, live.queue, live.queued_at_ms
            ),
            *self._planned(live, live.callback + 1, at_ms),
            rf.ContactHeld(live.contact, at_ms + self._rules.retry_ms),
        ]

    def cancel(self, by: str, interaction: str) -> None:
        """Nobody is rung back after all. Raises NotAllowed: no_callback."""
        live = self._host.book.interactions.get(interaction)
        if live is None or not live.callback or live.state != WAITING:
            raise NotAllowed("no_callback")
        at_ms = self._host.clock.now_ms()
        self._host.submit(
            f.ActionTaken(by, "cancel_callback", live.id, live.queue, at_ms),
            f.InteractionEnded(live.id, "cancelled", "cancelled", by, at_ms, live.queue, live.queued_at_ms),
            rf.ContactAbandoned(live.contact, at_ms),
        )
