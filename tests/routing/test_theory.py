"""The engine against queueing theory, in every run of the tests: the cases that take little; the whole, twenty of them,
is `callcenter bench theory`. And what two skills are worth."""

from __future__ import annotations

from tests.benchmarks.theory import QUICK, cases, skills


def test_simulated_figures_are_those_of_theory() -> None:
    found = cases(QUICK)
    assert found["held"] == f"{len(QUICK)} of {len(QUICK)}", found
    assert {case.kind for case in QUICK} >= {"erlang_c", "erlang_b", "second"}


def test_two_skills_are_almost_as_good_as_six() -> None:
    """Wallace and Whitt: at equal staff two well-chosen skills close nearly the whole gap."""
    found = skills(hours=30.0, replications=3)
    one, two, six = (found[have]["asa_s"]["mean"] for have in ("one", "two", "six"))
    assert one - two > 0.75 * (one - six), found
