"""Random policies and facts for the state machine: a few names and values, chosen so that they meet often."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from routing import AgentPolicy, Policy, QueuePolicy
from routing import facts as f
from routing.policy import (
    DEFAULT_MEDIA,
    STRATEGIES,
    VOICE,
    MediumPolicy,
    OverflowRule,
    ReasonPolicy,
    Ring,
    Weights,
    skills_of,
)

AGENTS = ("ann", "bob", "cyd", "dee")
VOICE_QUEUES = ("claims", "sales", "vip")
MEDIA = dict.fromkeys(VOICE_QUEUES, VOICE) | {"chats": "chat", "help": "chat", "mails": "email"}
QUEUES = tuple(MEDIA)
OVERFLOWS_TO = {"claims": "sales", "sales": "vip", "chats": "help"}
"""never round, and within a medium"""
ANY = st.integers(0, 30)
"""An index into whatever there is at that moment."""

waits = st.sampled_from((0, 0, 0, 1, 700, 2_000, 4_000))
needs = st.sampled_from(({}, {}, {"en": 1}, {"en": 3}, {"fr": 2}, {"en": 2, "fr": 2})).map(skills_of)
skills = st.sampled_from(
    ({}, {"en": 2}, {"en": 3}, {"fr": 3}, {"en": 2, "fr": 3}, {"en": 3, "fr": 2}),
).map(skills_of)
teams: st.SearchStrategy[tuple[str, ...]] = st.sampled_from(
    ((), (), (), ("red",), ("blue",), ("red", "blue"))
)

# --- policies ----------------------------------------------------------------------------------------

usual_queue: dict[str, st.SearchStrategy[Any]] = {
    "skills": needs,
    "target_ms": st.sampled_from((0, 20_000)),
    "priority": st.sampled_from((0, 0, 1)),
    "ring_ms": st.sampled_from((5_000, 20_000)),
    "max_waiting": st.sampled_from((0, 0, 1, 3)),
}
RINGS = (
    (),
    (),
    (Ring(3_000),),
    (Ring(1_500, (("en", 1),)), Ring(4_000, (), ("red", "blue"))),
    (Ring(2_000, (("fr", 1),), ("blue",)), Ring(6_000)),
)
SHARES = ((), (), (("red", 50),), (("red", 30), ("blue", 30)), (("blue", 60), ("red", 40)))
WEIGHTS = (Weights(), Weights(1_000, 2, 500), Weights(skill_ms=3_000), Weights(0, 5, 0), Weights(0, 0, 4_000))
OVERFLOW = (
    (),
    (),
    (OverflowRule(5_000, "voicemail"),),
    (OverflowRule(2_000, "callback"), OverflowRule(9_000, "flow", "sorry")),
    (OverflowRule(3_000, "queue"), OverflowRule(3_000, "callback"), OverflowRule(8_000, "text")),
    (OverflowRule(6_000, "queue"), OverflowRule(2_000, "queue")),
)
ANNOUNCE = ((0, 0), (0, 0), (2_000, 0), (1_000, 3_000))
rich_queue: dict[str, st.SearchStrategy[Any]] = {
    **usual_queue,
    "strategy": st.sampled_from(STRATEGIES),
    "weights": st.sampled_from(WEIGHTS),
    "teams": st.sampled_from(((), (), (), ("red",), ("red", "blue"))),
    "rings": st.sampled_from(RINGS),
    "strict_class": st.sampled_from((0, 0, 0, 1, 2)),
    "promote_ms": st.sampled_from((0, 5_000, 15_000)),
    "target_ms": st.sampled_from((0, 2_000, 5_000, 20_000)),
    "late_ms": st.sampled_from((0, 0, 3_000, 10_000)),
    "shares": st.sampled_from(SHARES),
    "share_ms": st.sampled_from((2_500, 8_000)),
    "preferred_ms": st.sampled_from((0, 4_000)),
    "explore_every": st.sampled_from((0, 1, 2, 3)),
    "overflow": st.sampled_from(OVERFLOW),
    "announce": st.sampled_from(ANNOUNCE),
    "no_waiting": st.sampled_from((False, False, False, False, True)),
}
rich_queue_row = st.fixed_dictionaries({}, optional=rich_queue)
usual_queue_row = st.fixed_dictionaries(usual_queue)
usual_agent_row = st.fixed_dictionaries({"skills": skills, "wrap_up_ms": st.sampled_from((0, 10_000))})
CAPACITY = (
    ((VOICE, 1),),
    (("chat", 2), ("email", 2), (VOICE, 1)),
    (("chat", 2), (VOICE, 1)),
    (("chat", 3), ("email", 1), (VOICE, 1)),
    (("chat", 1), ("email", 2), (VOICE, 2)),
    (("chat", 2), ("email", 1), (VOICE, 0)),
)
rich_agent_row = st.fixed_dictionaries(
    {
        "skills": skills,
        "wrap_up_ms": st.sampled_from((0, 3_000, 10_000)),
        "teams": teams,
        "capacity": st.sampled_from(CAPACITY),
        "total_load": st.sampled_from((100, 150, 100, 60, 220)),
    }
)
INTERRUPTIONS = (
    *((MediumPolicy(VOICE, 40), MediumPolicy("chat", 30), MediumPolicy("email", 50)),),
    (
        MediumPolicy(VOICE, 100, exclusive=True, beside=("chat",)),
        MediumPolicy("chat", 0, interrupted_by=(VOICE,)),
        MediumPolicy("email", 50, exclusive=True, beside=("chat",), interrupted_by=(VOICE, "chat")),
    ),
    (
        MediumPolicy(VOICE, 60),
        MediumPolicy("chat", 40, interrupted_by=(VOICE,)),
        MediumPolicy("email", 40, interrupted_by=("chat", VOICE)),
    ),
    (MediumPolicy(VOICE, 100), MediumPolicy("chat", 50, exclusive=True), MediumPolicy("email", 10)),
)
media = st.sampled_from((DEFAULT_MEDIA, *INTERRUPTIONS))
usual_rules = st.fixed_dictionaries(
    {
        "missed_action": st.sampled_from(("not_ready", "stay_ready")),
        "decline_pause_ms": st.sampled_from((0, 7_000, 10_000)),
        "device_pause_ms": st.sampled_from((0, 30_000)),
    }
)
rich_rules = st.fixed_dictionaries(
    {
        "missed_action": st.sampled_from(("not_ready", "stay_ready", "pause")),
        "decline_pause_ms": st.sampled_from((0, 3_000, 10_000)),
        "device_pause_ms": st.sampled_from((0, 6_000)),
        "missed_pause_ms": st.just(4_000),
        "missed_limit": st.sampled_from((0, 1, 2)),
        "wrap_up_max_ms": st.sampled_from((9_000, 12_000, 600_000)),
        "classes": st.sampled_from(({}, {"gold": 15_000}, {"gold": 3_000, "tin": -5_000})),
        "reasons": st.sampled_from(
            (
                {},
                {"lunch": ReasonPolicy("lunch", 3_000, 1)},
                {"lunch": ReasonPolicy("lunch", 0, 2)},
                {"missed": ReasonPolicy("missed", 1_500), "lunch": ReasonPolicy("lunch", 6_000)},
            )
        ),
        "media": media.map(lambda all_: {medium.name: medium for medium in all_}),
    }
)


def rich_queue_policy(name: str, row: dict[str, Any], present: set[str]) -> QueuePolicy:
    """What contradicts itself is left out: reservations without end, rules that lead to no queue."""
    row = dict(row)
    first, every = row.pop("announce", (0, 0))
    target = OVERFLOWS_TO.get(name, "")
    row["overflow"] = tuple(
        replace(rule, target=target) if rule.to == "queue" else rule
        for rule in row.get("overflow", ())
        if rule.to != "queue" or target in present
    )
    if row.get("shares"):
        row.setdefault("share_ms", 4_000)
    return QueuePolicy(name, medium=MEDIA[name], announce_first_ms=first, announce_every_ms=every, **row)


def promoted(queues: list[QueuePolicy]) -> list[QueuePolicy]:
    highest = max((queue.strict_class for queue in queues), default=0)
    return [
        replace(queue, promote_ms=queue.promote_ms or 12_000) if queue.strict_class < highest else queue
        for queue in queues
    ]


@st.composite
def rich_policies(draw: st.DrawFn) -> Policy:
    gone = draw(st.sampled_from(("", "", "", *QUEUES)))
    names = [name for name in QUEUES if name != gone]
    queues = promoted([rich_queue_policy(name, draw(rich_queue_row), set(names)) for name in names])
    absent = draw(st.sampled_from(((), (), (), *((agent,) for agent in AGENTS), AGENTS[:2])))
    agents = [AgentPolicy(name, **draw(rich_agent_row)) for name in AGENTS if name not in absent]
    return policy_of(queues, agents, draw(rich_rules))


@st.composite
def usual_policies(draw: st.DrawFn) -> Policy:
    """Voice alone, and no more rules than skills and deadlines."""
    gone = draw(st.sampled_from(("", "", *VOICE_QUEUES)))
    queues = [QueuePolicy(name, **draw(usual_queue_row)) for name in VOICE_QUEUES if name != gone]
    absent = draw(st.sampled_from(((), (), *((agent,) for agent in AGENTS), AGENTS[:2], AGENTS[1:])))
    agents = [AgentPolicy(name, **draw(usual_agent_row)) for name in AGENTS if name not in absent]
    return policy_of(queues, agents, draw(usual_rules))


def policy_of(queues: list[QueuePolicy], agents: list[AgentPolicy], rules: dict[str, Any]) -> Policy:
    return Policy({queue.name: queue for queue in queues}, {agent.agent: agent for agent in agents}, **rules)


def contradicted(policy: Policy, index: int) -> Policy:
    """The policy with one contradiction put into it."""
    if not policy.queues:
        return policy
    queue = list(policy.queues.values())[index % len(policy.queues)]
    wrongs: tuple[dict[str, Any], ...] = (
        {"rings": (Ring(2_000), Ring(1_000))},
        {"shares": (("red", 70), ("blue", 40))},
        {"overflow": (OverflowRule(1_000, "queue", queue.name),)},
        {"medium": "fax"},
    )
    broken = replace(queue, **wrongs[index % len(wrongs)])
    return replace(policy, queues=policy.queues | {queue.name: broken})


policies = st.one_of(usual_policies(), rich_policies(), rich_policies(), rich_policies())

# --- facts -------------------------------------------------------------------------------------------

queues = st.sampled_from((*QUEUES, *VOICE_QUEUES, *VOICE_QUEUES, "nowhere"))
agents = st.sampled_from((*AGENTS, *AGENTS, "ghost"))
arriving = st.builds(
    f.ContactArrived,
    contact=st.just(""),
    queue=queues,
    occurred_at_ms=st.sampled_from((0, 0, -5, 2_000)),
    credit_ms=st.sampled_from((0, 0, 5_000)),
    agent=st.one_of(*[st.just("")] * 6, agents),
    customer_class=st.sampled_from(("", "", "gold", "tin")),
    prefers=st.one_of(st.just(""), st.just(""), agents),
    prefers_ms=st.sampled_from((0, 0, 1_000, 7_000)),
)
"""`contact` is named, and how late it is told taken from the clock, when it happens."""

about_agents = st.one_of(
    *(st.builds(kind, agent=agents) for kind in (f.AgentLoggedIn, f.AgentReady, f.AgentReady)),
    st.builds(f.AgentLoggedOut, agent=agents, reason=st.sampled_from(("", "end_of_day"))),
    st.builds(f.AgentNotReady, agent=agents, reason=st.sampled_from(("", "lunch"))),
    st.builds(f.WrapUpEnded, agent=agents, occurred_at_ms=st.just(0)),
)
learned = st.builds(
    f.AgentsLearned,
    st.lists(
        st.tuples(st.sampled_from(AGENTS), st.sampled_from(QUEUES), st.sampled_from((100, 101, 200, 350))),
        max_size=8,
    ).map(lambda rows: tuple({(agent, queue): (agent, queue, cost) for agent, queue, cost in rows}.values())),
)
reskilled = st.builds(
    f.AgentsReskilled,
    st.lists(st.tuples(agents, skills), min_size=1, max_size=3).map(lambda all_: tuple(dict(all_).items())),
    st.sampled_from((0, 0, 1_000, 5_000)),
)
"""`at_ms` counts from when it happens."""

CONTACT_FACTS = (f.ContactAbandoned, f.ContactEnded, f.ContactRequeued)
about_offers = st.tuples(
    st.sampled_from((f.OfferAnswered, f.OfferAnswered, f.OfferDeclined, "busy", "no_answer")), ANY
)
about_contacts = st.tuples(st.sampled_from((*CONTACT_FACTS, f.ContactReleased, f.CallbackAsked)), ANY)
held = st.tuples(st.just(f.ContactHeld), ANY, st.sampled_from((0, 1, 1_500, 5_000)))
moved = st.tuples(st.just(f.ContactMoved), ANY, queues)
assigned = st.tuples(st.just(f.ContactAssigned), ANY, agents)
extended = st.tuples(st.just(f.WrapUpExtended), agents, st.sampled_from((0, 1_500, 5_000)))
queue_moved = st.builds(f.QueueMoved, queues, queues)
by_hand = st.one_of(held, moved, assigned, extended, queue_moved, reskilled, learned)
happenings = st.one_of(arriving, about_agents, about_agents, about_offers, about_contacts, by_hand)
adoptions = st.tuples(queues, st.sampled_from((*AGENTS, *AGENTS, "ghost", "")), ANY, st.booleans())
