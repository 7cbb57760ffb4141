"""The file of routing rules: what it says counts between two activations, or nothing of it does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from callcenter.cli import plan, policy
from callcenter.directory.rules import ALARM, RulesFile, RulesKeeper
from callcenter.kernel.clock import VirtualClock
from callcenter.kernel.schedule import VirtualScheduler
from callcenter.live.alarms import Alarms
from config.policy import PolicyError
from routing import AgentPolicy, Policy, QueuePolicy
from tests.callcenter.centre import AtOnce

GOOD = '[[queues]]\nname = "sales"\nstrategy = "best_skilled"\n'
BASE = Policy({"sales": QueuePolicy("sales")}, {"ann": AgentPolicy("ann")})


class Watched:
    def __init__(self, path: Path, text: str = "") -> None:
        self.path, self.writes = path, 0
        self.write(text)
        clock = VirtualClock()
        self.scheduler, self.alarms = VirtualScheduler(clock), Alarms(clock)
        self.file = RulesFile(path)
        self.file.rules = self.file.read()
        self.counted: list[Policy] = []
        self.keeper = RulesKeeper(
            self.file,
            self.scheduler,
            AtOnce(),
            self.alarms,
            lambda: BASE,
            lambda: self.counted.append(self.file.over(BASE)),
        )
        self.keeper.watch()

    def write(self, text: str) -> None:
        self.writes += 1
        self.path.write_text(text, encoding="utf-8")
        os.utime(self.path, ns=(self.writes, self.writes))

    def later(self) -> None:
        self.scheduler.advance(5_000)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "policy.toml")


def test_a_changed_file_counts_at_the_next_look(watched: Watched) -> None:
    watched.later()
    assert watched.counted == []
    watched.write(GOOD)
    watched.later()
    assert [policy.queues["sales"].strategy for policy in watched.counted] == ["best_skilled"]


@pytest.mark.parametrize(
    "text",
    ["[[queues]", '[[queues]]\nname = "sales"\nstrategy = "luck"\n', GOOD + "rings = [{ after_s = 0 }]\n"],
)
def test_a_bad_file_changes_nothing_and_says_so_until_it_is_mended(watched: Watched, text: str) -> None:
    watched.write(GOOD)
    watched.later()
    watched.write(text)
    watched.later()
    watched.later()
    assert (len(watched.counted), watched.keeper.refused) == (1, 1)
    assert str(watched.path) in watched.alarms.standing[ALARM][1]
    assert watched.file.over(BASE).queues["sales"].strategy == "best_skilled"
    watched.write(GOOD.replace("best_skilled", "least_flexible"))
    watched.later()
    assert watched.counted[-1].queues["sales"].strategy == "least_flexible"
    assert ALARM not in watched.alarms.standing


def test_rules_that_contradict_each_other_do_not_count(watched: Watched) -> None:
    watched.write(GOOD + "strict_class = 1\nshares = { north = 50 }\n")
    watched.later()
    assert (watched.counted, watched.keeper.refused) == ([], 1)
    assert "share_ms" in watched.alarms.standing[ALARM][1]


def test_a_file_that_vanishes_changes_nothing(watched: Watched) -> None:
    watched.write(GOOD)
    watched.later()
    watched.path.unlink()
    watched.later()
    assert (len(watched.counted), watched.keeper.refused) == (1, 1)
    watched.write(GOOD)
    watched.later()
    assert ALARM not in watched.alarms.standing


def test_people_and_queues_that_have_left_are_passed_over(tmp_path: Path) -> None:
    rules = '[teams]\nnorth = ["ann", "gone"]\n[[queues]]\nname = "old"\n[[agents]]\nlogin = "gone"\n' + GOOD
    policy = Watched(tmp_path / "policy.toml", rules).file.over(BASE)
    assert policy.agents["ann"].teams == ("north",)
    assert policy.queues["sales"].strategy == "best_skilled"


def test_without_a_file_there_are_no_rules() -> None:
    file = RulesFile(None)
    assert (file.changed(), file.over(BASE)) == (False, BASE)
    assert file.read() == file.rules


CONFIG = """
[routing]
policy_file = "policy.toml"
[[queues]]
name = "sales"
[[agents]]
login = "ann"
name = "Ann"
"""


def config(tmp_path: Path, rules: str) -> Path:
    (tmp_path / "policy.toml").write_text(rules, encoding="utf-8")
    (tmp_path / "cc.toml").write_text(CONFIG, encoding="utf-8")
    return tmp_path / "cc.toml"


def test_a_bad_file_stops_the_start_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = config(tmp_path, GOOD.replace("best_skilled", "luck"))
    assert plan.main(["-c", str(path)]) == 2
    assert "policy.toml:3: queues.0.strategy" in capsys.readouterr().err
    assert plan.main(["-c", str(config(tmp_path, GOOD))]) == 0


def test_the_command_names_what_would_change_and_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(tmp_path, GOOD)
    assert policy.main(["check", str(tmp_path / "policy.toml"), "-c", str(path)]) == 0
    assert "changes 1 queues and 0 agents" in capsys.readouterr().out
    other = tmp_path / "other.toml"
    other.write_text(GOOD.replace("sales", "seals"), encoding="utf-8")
    assert policy.main(["check", str(other), "-c", str(path)]) == 2
    assert "other.toml:1: queues: no queue 'seals'" in capsys.readouterr().err


def test_a_queue_that_is_not_known_is_an_error_when_checked_by_hand() -> None:
    with pytest.raises(PolicyError, match="No such file"):
        RulesFile(Path("/nowhere/policy.toml")).read()
