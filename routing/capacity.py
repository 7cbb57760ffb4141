"""What fits into an agent's hands beside what is there."""

from __future__ import annotations

from routing.policy import AgentPolicy, MediumPolicy, Names
from routing.state import CONNECTED, Agent, Work

Media = dict[str, MediumPolicy]


def load(agent: Agent, media: Media) -> int:
    """Of active work; what is paused weighs nothing."""
    return sum(_medium(media, work.medium).load for work in agent.works.values() if not work.paused)


def yields(work: Work, medium: str, media: Media) -> bool:
    """Would this work be paused for a contact of the medium?"""
    return (
        work.state == CONNECTED and not work.paused and medium in _medium(media, work.medium).interrupted_by
    )


def fits(agent: Agent, settings: AgentPolicy, medium: str, media: Media) -> bool:
    """By number, exclusiveness and load; see docs/routing.md."""
    slots = dict(settings.capacity).get(medium, 0)
    if sum(1 for work in agent.works.values() if work.medium == medium) >= slots:
        return False
    active = [work for work in agent.works.values() if not work.paused and not yields(work, medium, media)]
    return _fit(active, settings, _medium(media, medium), media)


def fits_again(agent: Agent, settings: AgentPolicy, work: Work, media: Media) -> bool:
    """May paused work go on?"""
    active = [other for other in agent.works.values() if not other.paused]
    return _fit(active, settings, _medium(media, work.medium), media)


def free_media(agent: Agent, settings: AgentPolicy, media: Media) -> Names:
    """Media of which one more contact fits, in the order of the capacity."""
    return tuple(medium for medium, _count in settings.capacity if fits(agent, settings, medium, media))


def _fit(active: list[Work], settings: AgentPolicy, newcomer: MediumPolicy, media: Media) -> bool:
    total = newcomer.load
    for work in active:
        theirs = _medium(media, work.medium)
        if theirs.exclusive and newcomer.name not in theirs.beside:
            return False
        if newcomer.exclusive and theirs.name not in newcomer.beside:
            return False
        total += theirs.load
    return total <= settings.total_load


def _medium(media: Media, name: str) -> MediumPolicy:
    return media.get(name) or MediumPolicy(name)
