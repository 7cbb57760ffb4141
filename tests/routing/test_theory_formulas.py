"""The formulas of `theory.py` against tables, exact fractions, each other, and Markov chains solved numerically."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from tests.routing.theory import (
    erlang_a,
    erlang_b,
    erlang_c,
    erlang_c_mean_wait,
    erlang_c_service_level,
    in_time_or_gone,
    priority_waits,
)


def near(value: float, relative: float = 1e-9) -> object:
    return pytest.approx(value, rel=relative, abs=1e-12)


def chain_of_waiting(servers: int, lam: float, mu: float, theta: float, most: int) -> list[float]:
    """Probabilities of 0, 1, .. in the system, by the birth-death equations in logarithms."""
    logs = [0.0]
    for number in range(1, most + 1):
        leave = min(number, servers) * mu + max(number - servers, 0) * theta
        logs.append(logs[-1] + math.log(lam / leave))
    largest = max(logs)
    weights = [math.exp(value - largest) for value in logs]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


# --- Erlang B and C ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("servers", "offered"),
    [
        (1, 0.0101),
        (5, 1.361),
        (10, 4.461),
        (15, 8.108),
        (20, 12.031),
        (30, 20.337),
        (50, 37.901),
        (100, 84.064),
    ],
)
def test_the_traffic_that_tables_give_for_one_percent_lost(servers: int, offered: float) -> None:
    assert erlang_b(servers, offered) == pytest.approx(0.01, abs=1e-5)


@pytest.mark.parametrize(
    ("servers", "offered"),
    [
        (1, Fraction(1)),
        (2, Fraction(1)),
        (5, Fraction(3)),
        (10, Fraction(8)),
        (40, Fraction(71, 2)),
        (200, Fraction(190)),
    ],
)
def test_loss_and_delay_are_the_sums_they_stand_for(servers: int, offered: Fraction) -> None:
    terms = [Fraction(1)]
    for busy in range(1, servers + 1):
        terms.append(terms[-1] * offered / busy)
    assert erlang_b(servers, float(offered)) == near(float(terms[-1] / sum(terms)))
    if offered < servers:
        delayed = terms[-1] * servers / (servers - offered)
        assert erlang_c(servers, float(offered)) == near(float(delayed / (sum(terms[:-1]) + delayed)))


def test_small_cases_that_are_known_by_heart() -> None:
    assert erlang_b(1, 1) == near(1 / 2)
    assert erlang_b(2, 1) == near(1 / 5)
    assert erlang_b(0, 3) == 1
    assert erlang_c(1, 0.7) == near(0.7)
    assert erlang_c(2, 1) == near(1 / 3)
    assert erlang_c(10, 8) == pytest.approx(0.4092, abs=5e-5)
    assert erlang_c(4, 4) == erlang_c(4, 9) == 1


def test_waits_of_one_server_are_those_of_the_simplest_queue() -> None:
    lam, mu = 0.8, 1.0
    assert erlang_c_mean_wait(1, lam, mu) == near(lam / (mu * (mu - lam)))
    assert erlang_c_service_level(1, lam, mu, 3.0) == near(1 - 0.8 * math.exp(-0.2 * 3.0))


@pytest.mark.parametrize(
    ("servers", "lam", "mu"), [(1, 0.5, 1.0), (4, 3.4, 1.0), (50, 48.0, 1.0), (200, 0.95, 0.005)]
)
def test_waiting_follows_from_the_chain(servers: int, lam: float, mu: float) -> None:
    chain = chain_of_waiting(servers, lam, mu, 0.0, servers + 2_000)
    assert erlang_c(servers, lam / mu) == near(math.fsum(chain[servers:]), 1e-7)
    in_line = math.fsum((number - servers) * part for number, part in enumerate(chain) if number > servers)
    assert erlang_c_mean_wait(servers, lam, mu) == near(in_line / lam, 1e-7)


def test_service_level_is_the_integral_of_waits_by_places() -> None:
    """Who finds j others waiting waits for j + 1 departures: P(Erlang(j + 1, c mu) <= target)."""
    servers, lam, mu, target = 4, 3.4 / 60, 1 / 60, 20.0
    chain = chain_of_waiting(servers, lam, mu, 0.0, 1_500)
    mean = servers * mu * target
    poisson, fewer, level = math.exp(-mean), 0.0, math.fsum(chain[:servers])
    for place, part in enumerate(chain[servers : servers + 100]):
        fewer += poisson
        poisson *= mean / (place + 1)
        level += part * (1 - fewer)
    assert erlang_c_service_level(servers, lam, mu, target) == near(level, 1e-7)


def test_too_much_load_is_never_served() -> None:
    assert erlang_c_mean_wait(3, 3.0, 1.0) == math.inf
    assert erlang_c_service_level(3, 3.5, 1.0, 60.0) == 0


# --- two classes -------------------------------------------------------------------------------------


def test_priorities_move_waits_about_and_keep_their_mean() -> None:
    rates, mu, servers = (1.5, 1.9), 1.0, 4
    first, second = priority_waits(servers, rates, mu)
    mean = (rates[0] * first + rates[1] * second) / sum(rates)
    assert mean == near(erlang_c_mean_wait(servers, sum(rates), mu))
    assert first < mean < second


def test_one_server_is_cobhams_example() -> None:
    """M/M/1: W0 = rho / mu; 0.5 / (1 - 0.2) and 0.5 / (0.8 * 0.5)."""
    assert priority_waits(1, (0.2, 0.3), 1.0) == (near(0.625), near(1.25))


def test_a_class_alone_waits_as_if_there_were_no_priorities() -> None:
    assert priority_waits(5, (4.0, 0.0), 1.0)[0] == near(erlang_c_mean_wait(5, 4.0, 1.0))
    assert priority_waits(5, (0.0, 4.0), 1.0)[1] == near(erlang_c_mean_wait(5, 4.0, 1.0))
    assert priority_waits(3, (1.0, 2.5), 1.0)[1] == math.inf


@pytest.mark.parametrize(("servers", "rates"), [(2, (0.7, 0.6)), (3, (0.6, 1.2))])
def test_priority_waits_follow_from_the_chain_of_both_lines(servers: int, rates: tuple[float, float]) -> None:
    """States: fewer than all busy, or all busy with i of the first and j of the second class waiting."""
    first_most, second_most = 18, 50
    size = (first_most + 1) * (second_most + 1)
    rows = servers + size
    flow = np.zeros((rows, rows))

    def at(i: int, j: int) -> int:
        return servers + i * (second_most + 1) + j

    for busy in range(servers):
        flow[busy, busy + 1 if busy + 1 < servers else at(0, 0)] += sum(rates)
        if busy:
            flow[busy, busy - 1] += busy
    for i in range(first_most + 1):
        for j in range(second_most + 1):
            if i < first_most:
                flow[at(i, j), at(i + 1, j)] += rates[0]
            if j < second_most:
                flow[at(i, j), at(i, j + 1)] += rates[1]
            then = at(i - 1, j) if i else at(0, j - 1) if j else servers - 1
            flow[at(i, j), then] += servers
    flow -= np.diag(flow.sum(axis=1))
    flow[:, 0] = 1.0
    parts = np.linalg.solve(flow.T, np.eye(rows)[0])[servers:].reshape(first_most + 1, second_most + 1)
    waits = (
        float(np.arange(first_most + 1) @ parts.sum(axis=1)) / rates[0],
        float(np.arange(second_most + 1) @ parts.sum(axis=0)) / rates[1],
    )
    assert priority_waits(servers, rates, 1.0) == (near(waits[0], 1e-4), near(waits[1], 1e-4))


# --- Erlang A ----------------------------------------------------------------------------------------


def test_the_example_of_garnett_mandelbaum_and_reiman() -> None:
    """48 calls a minute of 1 minute each, 50 agents, patience of 2 minutes: 3.1 % leave after 3.7 seconds, where Erlang C
    says 20.8 seconds."""
    found = erlang_a(50, 48.0, 1.0, 0.5)
    assert found.abandons == pytest.approx(0.031, abs=5e-4)
    assert found.mean_wait * 60 == pytest.approx(3.7, abs=0.05)
    assert erlang_c_mean_wait(50, 48.0, 1.0) * 60 == pytest.approx(20.8, abs=0.05)


@pytest.mark.parametrize(
    ("servers", "lam", "mu", "theta"),
    [
        (1, 0.5, 1.0, 1.0),
        (4, 5.0, 1.0, 0.3),
        (50, 48.0, 1.0, 0.5),
        (200, 190.0, 1.0, 0.01),
        (200, 400.0, 1.0, 0.5),
    ],
)
def test_impatience_follows_from_the_chain(servers: int, lam: float, mu: float, theta: float) -> None:
    chain = chain_of_waiting(servers, lam, mu, theta, servers + 4_000)
    in_line = math.fsum((number - servers) * part for number, part in enumerate(chain) if number > servers)
    served = math.fsum(min(number, servers) * part for number, part in enumerate(chain)) * mu
    found = erlang_a(servers, lam, mu, theta)
    assert found.waits == near(math.fsum(chain[servers:]), 1e-8)
    assert found.mean_wait == near(in_line / lam, 1e-8)
    assert found.abandons == near(1 - served / lam, 1e-7)


@pytest.mark.parametrize("servers", [1, 4, 50, 200])
def test_the_patient_wait_and_the_impatient_are_lost(servers: int) -> None:
    offered = 0.9 * servers
    patient, impatient = erlang_a(servers, offered, 1.0, 1e-9), erlang_a(servers, offered, 1.0, 1e9)
    assert patient.waits == near(erlang_c(servers, offered), 1e-6)
    assert patient.mean_wait == near(erlang_c_mean_wait(servers, offered, 1.0), 1e-6)
    assert patient.abandons == pytest.approx(0.0, abs=1e-6)
    assert impatient.abandons == near(erlang_b(servers, offered), 1e-5)
    assert impatient.mean_wait == pytest.approx(0.0, abs=1e-6)


def test_patience_as_long_as_service_makes_it_a_system_of_endless_servers() -> None:
    """theta = mu: the number in the system is Poisson with mean lambda / mu."""
    servers, offered = 20, 18.0
    poisson = [math.exp(-offered + k * math.log(offered) - math.lgamma(k + 1)) for k in range(200)]
    assert erlang_a(servers, offered, 1.0, 1.0).waits == near(math.fsum(poisson[servers:]), 1e-9)


@pytest.mark.parametrize("lam", [1.0, 100.0, 199.0, 201.0, 400.0, 2_000.0])
def test_two_hundred_servers_under_any_load(lam: float) -> None:
    found = erlang_a(200, lam, 1.0, 1e-3)
    assert 0 <= found.abandons <= found.waits <= 1
    assert found.abandons >= max(0.0, 1 - 200 / lam) - 1e-9
    if lam > 300:  # a fluid: who is too many leaves
        assert found.abandons == pytest.approx(1 - 200 / lam, abs=1e-6)


# --- patience that ends all at once ------------------------------------------------------------------


@pytest.mark.parametrize(("servers", "offered"), [(1, 0.6), (4, 3.4), (20, 25.0)])
def test_no_patience_is_loss_and_much_of_it_is_delay(servers: int, offered: float) -> None:
    assert in_time_or_gone(servers, offered, 1.0, 0.0) == near(1 - erlang_b(servers, offered))
    served = min(1.0, servers / offered)
    assert in_time_or_gone(servers, offered, 1.0, 500.0) == pytest.approx(served, abs=1e-6)


def test_a_load_of_just_one_is_no_exception() -> None:
    around = [in_time_or_gone(4, 4.0 + more, 1.0, 2.0) for more in (-1e-6, 0.0, 1e-6)]
    assert around[0] > around[1] > around[2]
    assert around[1] == near((around[0] + around[2]) / 2, 1e-8)


def test_patience_to_the_target_follows_from_level_crossing() -> None:
    """One server: work x found by a newcomer crosses a level downwards as often as upwards,
    f(x) = lam exp(-mu x) P(0) + lam times the integral of f(y) exp(-mu (x - y)) over y < min(x, target), solved step by
    step."""
    lam, mu, target, step = 0.9, 1.0, 1.5, 1e-3
    work = np.arange(0, 15, step)
    density = np.zeros_like(work)
    joined = 0.0
    for at, x in enumerate(work):
        density[at] = lam * math.exp(-mu * x) + lam * joined
        joined = (joined + (density[at] * step if x < target else 0.0)) * math.exp(-mu * step)
    total = 1 + float(density.sum()) * step
    served = (1 + float(density[work < target].sum()) * step) / total
    assert in_time_or_gone(1, lam, mu, target) == pytest.approx(served, abs=1e-3)
