"""Rules in a file over the policy of the records: what they say, and where they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from callcenter.policies import overlay_file
from config.policy import PolicyError, line_of
from routing import AgentPolicy, Policy, QueuePolicy
from routing.policy import MediumPolicy, OverflowRule, ReasonPolicy, Ring, Weights, skills_of

BASE = Policy(
    queues={
        name: QueuePolicy(name, skills_of({name: 5}), target_ms=30_000, priority=1)
        for name in ("sales", "claims")
    },
    agents={name: AgentPolicy(name, skills_of({"sales": 5}), 10_000) for name in ("ann", "bob")},
)
RULES = """
missed_action = "pause"
missed_pause_s = 20

[classes]
vip = 90

[teams]
north = ["ann"]
all = ["ann", "bob"]

[reasons.lunch]
limit_s = 1800
at_once = 2

[media.chat]
load = 25
beside = ["email"]

[[queues]]
name = "sales"
strategy = "weighted"
weights = { skill_s = 2, occupancy_s = 0.5, breadth_s = 3 }
shares = { north = 50 }
share_s = 30
announce_first_s = 15
announce_every_s = 60

[[queues.rings]]
after_s = 20
skills = { sales = 3 }

[[queues.rings]]
after_s = 45
teams = ["all"]

[[queues.overflow]]
after_s = 60
to = "queue"
target = "claims"
if_estimate_over_s = 30

[[agents]]
login = "bob"
capacity = { voice = 1, chat = 3 }
total_load = 110
wrap_up_s = 5
"""


def rules(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return overlay_file(BASE, path)


def test_everything_that_a_file_may_say(tmp_path: Path) -> None:
    policy = rules(tmp_path, RULES)
    sales = policy.queues["sales"]
    assert (sales.skills, sales.target_ms, sales.priority) == (skills_of({"sales": 5}), 30_000, 1)
    assert (sales.strategy, sales.weights) == ("weighted", Weights(2_000, 50, 3_000))
    assert sales.rings == (Ring(20_000, skills_of({"sales": 3})), Ring(45_000, (), ("all",)))
    assert sales.overflow == (OverflowRule(60_000, "queue", "claims", 30_000),)
    assert (sales.shares, sales.share_ms) == ((("north", 50),), 30_000)
    assert (sales.announce_first_ms, sales.announce_every_ms) == (15_000, 60_000)
    assert policy.queues["claims"] == BASE.queues["claims"]
    assert policy.agents["ann"].teams == ("north", "all")
    bob = policy.agents["bob"]
    assert (bob.teams, bob.capacity, bob.total_load, bob.wrap_up_ms) == (
        *(("all",), (("voice", 1), ("chat", 3))),
        *(110, 5_000),
    )
    assert (policy.missed_action, policy.missed_pause_ms, policy.classes) == (
        "pause",
        20_000,
        {"vip": 90_000},
    )
    assert policy.media["chat"] == MediumPolicy("chat", 25, beside=("email",))
    assert policy.reasons == {"lunch": ReasonPolicy("lunch", 1_800_000, 2)}


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert rules(tmp_path, "") == BASE


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ('strategy = "weighted"', 'strategy = "luck"', 22, "queues.0.strategy"),
        ("after_s = 45", "after_s = 0", 34, "queues.0.rings.1.after_s"),
        ("after_s = 45", "after_s = 5", 20, "rings"),
        ('target = "claims"', 'target = "nowhere"', 20, "queue 'nowhere' is not known"),
        ('login = "bob"', 'login = "eve"', 43, "no agent 'eve'"),
        ('name = "sales"', 'name = "seals"', 20, "no queue 'seals'"),
        ('north = ["ann"]', 'north = ["eve"]', 9, "no agent 'eve'"),
        ("at_once = 2", "at_once = -1", 14, "reasons.lunch.at_once"),
        ("load = 25", "load = 25\nspeed = 3", 18, "media.chat.speed"),
        ("vip = 90", "vip = -90", 6, "classes.vip"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    with pytest.raises(PolicyError) as refused:
        rules(tmp_path, RULES.replace(old, new))
    assert message in str(refused.value)
    assert f"policy.toml:{line}:" in str(refused.value)


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    text = RULES.replace("load = 25", "load = -1").replace("after_s = 20", "after_s = -20")
    with pytest.raises(PolicyError) as refused:
        rules(tmp_path, text)
    assert len(str(refused.value).splitlines()) == 2


def test_a_file_that_is_no_toml_or_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="line 1"):
        rules(tmp_path, "queues = [ 5 6 ]")
    with pytest.raises(PolicyError, match="No such file"):
        overlay_file(BASE, tmp_path / "none.toml")


def test_the_line_of_what_stands_nowhere_is_that_of_the_table_around_it() -> None:
    assert line_of(RULES, ("queues", 0, "rings", 1, "skills", "sales")) == 33
    assert line_of(RULES, ("queues", 7)) == 1
