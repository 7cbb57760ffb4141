"""From rules in a file to the engine's policy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from config.policy import PolicyError, PolicyFile, QueueRules, Rules, line_of, read_policy
from routing import AgentPolicy, Policy, QueuePolicy
from routing.policy import DEFAULT_MEDIA, MediumPolicy, OverflowRule, ReasonPolicy, Ring, Weights, skills_of


def ms(seconds: float) -> int:
    return round(seconds * 1000)


LATE_TARGETS = 4
"""who misses the target gives way by so many of it, unless a file says otherwise; docs/routing.md tells why"""


def usual(queue: QueuePolicy) -> QueuePolicy:
    """As shipped, beyond what the engine does where nothing is said."""
    return replace(queue, late_ms=LATE_TARGETS * queue.target_ms)


def with_rules(queue: QueuePolicy, rules: QueueRules) -> QueuePolicy:
    """The queue with everything that `QueueRules` names."""
    weights = rules.weights
    late_ms = queue.late_ms if rules.late_s is None else ms(rules.late_s)
    return replace(
        queue,
        medium=rules.medium,
        strategy=rules.strategy,
        weights=Weights(ms(weights.skill_s), round(weights.occupancy_s * 100), ms(weights.breadth_s)),
        explore_every=rules.explore_every,
        teams=rules.teams,
        rings=tuple(Ring(ms(ring.after_s), skills_of(ring.skills), ring.teams) for ring in rules.rings),
        strict_class=rules.strict_class,
        promote_ms=ms(rules.promote_s),
        late_ms=late_ms,
        shares=tuple(rules.shares.items()),
        share_ms=ms(rules.share_s),
        preferred_ms=ms(rules.preferred_s),
        overflow=tuple(
            OverflowRule(ms(rule.after_s), rule.to, rule.target, ms(rule.if_estimate_over_s))
            for rule in rules.overflow
        ),
        announce_first_ms=ms(rules.announce_first_s),
        announce_every_ms=ms(rules.announce_every_s),
        outbound=rules.outbound,
        blend_after_ms=ms(rules.blend_after_s),
        keep_idle=rules.keep_idle,
        no_waiting=rules.no_waiting,
    )


def with_general(policy: Policy, rules: Rules) -> Policy:
    """The policy with what holds for all queues and agents."""
    media = {medium.name: medium for medium in DEFAULT_MEDIA}
    for name, medium in rules.media.items():
        media[name] = MediumPolicy(name, medium.load, medium.exclusive, medium.beside, medium.interrupted_by)
    return replace(
        policy,
        missed_action=rules.missed_action or policy.missed_action,
        missed_pause_ms=ms(rules.missed_pause_s),
        missed_limit=rules.missed_limit,
        wrap_up_max_ms=ms(rules.wrap_up_max_s),
        media=media,
        classes={name: ms(seconds) for name, seconds in rules.classes.items()},
        reasons={
            name: ReasonPolicy(name, ms(reason.limit_s), reason.at_once)
            for name, reason in rules.reasons.items()
        },
    )


def overlay(base: Policy, file: PolicyFile) -> Policy:
    """The policy of the records with what the file says. Raises ValueError naming a queue or agent that is not
    known, or the contradiction."""
    queues, agents = dict(base.queues), dict(base.agents)
    for queue in file.queues:
        if queue.name not in queues:
            raise ValueError(f"queues: no queue {queue.name!r}")
        changed = queues[queue.name]
        if queue.target_s is not None:
            changed = usual(replace(changed, target_ms=ms(queue.target_s)))
        changed = with_rules(changed, queue)
        if queue.skills is not None:
            changed = replace(changed, skills=skills_of(queue.skills))
        if queue.priority is not None:
            changed = replace(changed, priority=queue.priority)
        if queue.max_waiting is not None:
            changed = replace(changed, max_waiting=queue.max_waiting)
        queues[queue.name] = changed
    for agent in file.agents:
        if agent.login not in agents:
            raise ValueError(f"agents: no agent {agent.login!r}")
        agents[agent.login] = _agent(agents[agent.login], agent.skills, agent.wrap_up_s)
        agents[agent.login] = replace(agents[agent.login], total_load=agent.total_load)
        if agent.capacity is not None:
            capacity = tuple(agent.capacity.items())
            agents[agent.login] = replace(agents[agent.login], capacity=capacity)
    for team, logins in file.teams.items():
        for login in logins:
            if login not in agents:
                raise ValueError(f"teams.{team}: no agent {login!r}")
            agents[login] = replace(agents[login], teams=(*agents[login].teams, team))
    policy = with_general(replace(base, queues=queues, agents=agents), file)
    if wrong := policy.problem():
        raise ValueError(wrong)
    return policy


def _agent(agent: AgentPolicy, skills: dict[str, int] | None, wrap_up_s: float | None) -> AgentPolicy:
    if skills is not None:
        agent = replace(agent, skills=skills_of(skills))
    return agent if wrap_up_s is None else replace(agent, wrap_up_ms=ms(wrap_up_s))


def overlay_file(base: Policy, path: Path) -> Policy:
    """Raises PolicyError with file and line; then nothing is to change."""
    file, text = read_policy(path)
    try:
        return overlay(base, file)
    except ValueError as error:
        raise PolicyError(f"{path}:{_line(text, file, str(error))}: {error}") from error


def _line(text: str, file: PolicyFile, message: str) -> int:
    """The line of the queue, agent or team that the message names."""
    for at, queue in enumerate(file.queues):
        if f"queue {queue.name}:" in message or f"queue {queue.name!r}" in message:
            return line_of(text, ("queues", at))
    for at, agent in enumerate(file.agents):
        if f"agent {agent.login}:" in message or f"agent {agent.login!r}" in message:
            return line_of(text, ("agents", at))
    section, _, rest = message.partition(".")
    return line_of(text, (section, rest.split(":")[0])) if rest else 1
