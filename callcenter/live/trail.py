"""The log's trail of interactions: one event a line for what a person would ask about later."""

from __future__ import annotations

from collections.abc import Sequence

from callcenter.kernel import logging
from callcenter.live import facts as f
from callcenter.live.host import AnyFact
from routing import Command, RejectFact

log, lines = logging.get("interactions"), logging.Lines()
_TOLD = {
    f.InteractionStarted: ("interaction_started", ("leg",)),
    f.InteractionQueued: ("interaction_queued", ("contact", "queue")),
    f.AgentDialled: ("agent_dialled", ("offer", "agent", "leg")),
    f.OfferEnded: ("offer_ended", ("offer", "agent", "cause")),
    f.InteractionAnswered: ("interaction_answered", ("agent", "offer")),
    f.GuestDialled: ("guest_dialled", ("leg", "kind", "purpose")),
    f.GuestJoined: ("guest_joined", ("leg",)),
    f.GuestLeft: ("guest_left", ("leg", "cause")),
    f.AgentReleased: ("agent_released", ("agent",)),
    f.GuestTookOver: ("guest_took_over", ("leg", "agent")),
    f.InteractionParked: ("interaction_parked", ("agent",)),
    f.CallPlaced: ("call_placed", ("agent", "leg")),
    f.AgentLost: ("agent_lost", ("agent",)),
    f.RecordingFailed: ("recording_failed", ("reason",)),
    f.InteractionEnded: ("interaction_ended", ("outcome", "cause", "by")),
}


def tell(facts: Sequence[AnyFact], commands: Sequence[Command]) -> None:
    """A listener of the host."""
    for fact in facts:
        if isinstance(fact, f.ActionTaken):
            lines.write(
                "action_taken", by=fact.by, action=fact.action, subject=fact.subject, agent=fact.detail
            )
        told = _TOLD.get(type(fact))
        if told is not None:
            event, names = told
            lines.write(event, interaction=fact.interaction, **{name: getattr(fact, name) for name in names})
    for command in commands:
        if isinstance(command, RejectFact):
            log.info("fact_rejected", kind=command.kind, key=command.subject, reason=command.reason)
