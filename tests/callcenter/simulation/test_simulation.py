"""Simulated days: the same for the same seed, right where the answer is known by hand, and clear about bad scenarios."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from callcenter.cli import simulate as command
from callcenter.simulation import Estimate, Scenario, Simulation, figures, simulate
from callcenter.simulation.day import Contact
from callcenter.simulation.drawing import draw
from callcenter.simulation.figures import student
from routing import AgentPolicy, Policy, QueuePolicy
from routing import facts as f
from routing.policy import OverflowRule

ROOT = Path(__file__).resolve().parents[3]
SMALL = """
hours = 2.0
replications = 3
seed = 5

[[queues]]
name = "sales"
skills = { sales = 1 }

[[arrivals]]
queue = "sales"
per_hour = [60, 90]
handle = { kind = "lognormal", mean = 90, sd = 60 }
patience = { mean = 60 }

[[agents]]
count = 2
skills = { sales = 3 }
wrap_up_s = 5
"""


def scenario(**changes: Any) -> Scenario:
    import tomllib

    return Scenario.model_validate(tomllib.loads(SMALL) | changes)


def after(seconds: float) -> Any:
    return lambda _agent: round(seconds * 1000)


def at(second: float, queue: str = "sales", handle_s: float = 60, **more: Any) -> Contact:
    return Contact(round(second * 1000), queue, after(handle_s), **more)


def played(policy: Policy, contacts: list[Contact], *, end_s: float = 600) -> Simulation:
    ready: list[tuple[int, f.Fact]] = [(0, f.AgentReady(agent)) for agent in policy.agents]
    simulation = Simulation(policy, ready, contacts, round(end_s * 1000))
    simulation.run()
    return simulation


def policy(*queues: QueuePolicy, agents: int = 1, **more: Any) -> Policy:
    people = [AgentPolicy(f"a{n}", wrap_up_ms=0, **more) for n in range(agents)]
    return Policy({queue.name: queue for queue in queues}, {agent.agent: agent for agent in people})


def test_the_same_seed_is_the_same_day_and_another_is_another() -> None:
    assert simulate(scenario()) == simulate(scenario())
    assert simulate(scenario()) != simulate(scenario(seed=6))


def test_a_day_known_by_hand() -> None:
    """One agent, 60 s each: the second waits 50 s, the third gives up after 30, the fourth finds nobody before them."""
    contacts = [at(0), at(10), at(20, patience_ms=30_000), at(300)]
    day = played(policy(QueuePolicy("sales", target_ms=20_000)), contacts).day
    tally = day.queues["sales"]
    assert (tally.offered, tally.answered, tally.abandoned, tally.waited) == (4, 3, 1, 2)
    assert (tally.waits_ms, tally.in_target) == ([0, 50_000, 0], 2)
    assert (day.agents["a0"].busy_ms, day.agents["a0"].staffed_ms) == (180_000, 360_000)


def test_what_is_interrupted_goes_on_afterwards() -> None:
    """A mail of 100 s begun at 0, a call of 60 s at 40: the mail ends at 160, and the next one waits for it."""
    both = policy(
        QueuePolicy("calls"),
        QueuePolicy("mail", medium="email", target_ms=0),
        capacity=(("voice", 1), ("email", 1)),
    )
    contacts = [at(0, "mail", 100), at(40, "calls", 60), at(50, "mail", 10)]
    day = played(both, contacts).day
    assert day.queues["mail"].waits_ms == [0, 110_000]
    assert day.queues["calls"].waits_ms == [0]


def test_who_overflows_is_counted_where_they_came_from() -> None:
    first = QueuePolicy("sales", overflow=(OverflowRule(30_000, "voicemail"),))
    day = played(policy(first), [at(0, handle_s=100), at(1), at(2)]).day
    assert (day.queues["sales"].answered, day.queues["sales"].refused) == (1, 2)


def test_who_accepts_a_callback_leaves_no_more() -> None:
    rules = QueuePolicy("sales", overflow=(OverflowRule(10_000, "callback"),))
    contacts = [at(0, handle_s=100), at(1, patience_ms=30_000, callback=True), at(2, patience_ms=30_000)]
    day = played(policy(rules), contacts).day
    assert (day.queues["sales"].answered, day.queues["sales"].abandoned) == (2, 1)


def test_shifts_and_warm_up_bound_what_counts() -> None:
    base = scenario(
        warm_up_h=1.0, agents=[{"count": 1, "skills": {"sales": 1}, "from_h": 0.5, "until_h": 1.5}]
    )
    day = base.day(0).run()
    assert day.agents["a1"].staffed_ms >= 1_800_000
    assert day.agents["a1"].staffed_ms < 2_400_000, "until their last call is over"
    assert all(at_slot >= 2 for at_slot in day.slots)


def test_a_slower_pace_takes_longer() -> None:
    quick, slow = (
        simulate(scenario(agents=[{"count": 2, "skills": {"sales": 1}, "pace": {"sales": pace}}]))
        for pace in (0.5, 2.0)
    )
    assert slow["occupancy"]["mean"] > quick["occupancy"]["mean"] + 0.2


def test_figures_of_the_day() -> None:
    found = figures([played(policy(QueuePolicy("sales")), [at(0), at(10)]).day] * 2)
    assert found["all"]["service_level"] == {"mean": 0.5, "half_width": 0.0}
    assert found["all"]["asa_s"]["mean"] == 25.0
    assert found["all"]["p90_s"]["mean"] == 50.0
    assert found["course"] == [{"from_h": 0.0, "wait_s": 25.0, "occupancy": 1.0}]


@pytest.mark.parametrize(
    ("degrees", "confidence", "point"),
    [(1, 0.95, 12.706), (3, 0.95, 3.182), (9, 0.95, 2.262), (29, 0.95, 2.045), (29, 0.9974, 3.287)],
)
def test_points_of_students_distribution(degrees: int, confidence: float, point: float) -> None:
    assert student(degrees, confidence) == pytest.approx(point, rel=0.01)


def test_an_estimate_of_one_value_claims_no_width() -> None:
    assert Estimate.of([0.5]) == Estimate(0.5, 0.0)
    assert Estimate.of([1.0, 3.0]).mean == 2.0


def test_the_picture_is_well_formed_and_shows_the_course() -> None:
    course = [{"from_h": n / 2, "wait_s": 3.0 * n, "occupancy": 0.5} for n in range(18)]
    root = ElementTree.fromstring(draw(course))
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [18, 18]
    assert ElementTree.fromstring(draw([])) is not None


# --- the command -------------------------------------------------------------------------------------------


def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, *more: str) -> tuple[int, str, str]:
    path = tmp_path / "scenario.toml"
    path.write_text(text, encoding="utf-8")
    status = command.main([str(path), *more])
    return status, *capsys.readouterr()


def test_the_command_prints_json_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "day.svg"
    status, out, _err = run(tmp_path, capsys, SMALL, "--json", "--svg", str(picture), "--replications", "2")
    found = json.loads(out)
    assert (status, found["replications"]) == (0, 2)
    assert found["queues"]["sales"]["offered"]["mean"] > 100
    assert picture.read_text(encoding="utf-8").startswith("<svg")


def test_two_policies_over_the_same_arrivals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[queues]]\nname = "sales"\nmax_waiting = 1\n', encoding="utf-8")
    status, out, _err = run(tmp_path, capsys, SMALL, "--json", "--policy", str(rules))
    found = json.loads(out)
    assert status == 0
    assert found["before"]["all"]["offered"] == found["after"]["all"]["offered"]
    assert found["before"]["all"]["refused"]["mean"] == 0 < found["after"]["all"]["refused"]["mean"]
    assert run(tmp_path, capsys, SMALL, "--policy", str(rules))[0] == 0


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("hours = 2.0", 'hours = "long"', 2, "hours: "),
        ('queue = "sales"', 'queue = "claims"', 1, "'claims' is none of the queues"),
        ('kind = "lognormal", mean = 90, sd = 60', 'kind = "lognormal", mean = 90', 13, "expected sd"),
        ("count = 2", "count = 0", 17, "agents.0.count: "),
        ("wrap_up_s = 5", "wrapup = 5", 19, "agents.0.wrapup: "),
        ("seed = 5", "seed = ", 4, "line 4"),
    ],
)
def test_a_bad_scenario_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, line: int, message: str
) -> None:
    status, out, err = run(tmp_path, capsys, SMALL.replace(old, new))
    assert (status, out) == (2, "")
    assert message in err
    assert f"scenario.toml:{line}:" in err or "at line 4" in err


def test_a_scenario_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["/nowhere/scenario.toml"]) == 2
    assert "/nowhere/scenario.toml" in capsys.readouterr().err


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs" / "scenarios").glob("*.toml")), ids=lambda path: path.stem
)
def test_a_shipped_scenario_is_sound(path: Path) -> None:
    from config.policy import read_toml

    assert Scenario.model_validate(read_toml(path)[1]).policy().problem() == ""
