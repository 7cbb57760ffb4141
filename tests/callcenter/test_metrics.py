"""/metrics: the named series, and figures by their definitions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from callcenter.journal.writer import WriterHealth
from callcenter.metrics import Metrics
from routing import QueuePolicy
from routing import facts as rf
from tests.callcenter.centre import ANN, BOB, COMPLAINTS, Centre

SERIES = {
    "callcenter_contacts_offered_total", "callcenter_contacts_answered_total", "callcenter_contacts_answered_in_target_total",
    "callcenter_contacts_abandoned_total", "callcenter_contacts_abandoned_short_total", "callcenter_interactions_ended_total",
    "callcenter_facts_rejected_total", "callcenter_wait_seconds_bucket", "callcenter_activation_seconds_bucket",
    "callcenter_journal_commit_seconds_bucket", "callcenter_loop_lag_seconds_bucket", "callcenter_queue_length",
    "callcenter_queue_longest_wait_seconds", "callcenter_agents", "callcenter_journal_backlog", "callcenter_service_level",
    "callcenter_voice_events_total", "callcenter_prompts_missing_total", "callcenter_voice_legs", "callcenter_voice_refused_total",
    "callcenter_alarm", "callcenter_recordings_waiting", "callcenter_recordings_failed_total", "callcenter_recordings_deleted_total",
    "callcenter_policy_refused_total", "callcenter_chat_events_total", "callcenter_chat_sockets",
}  # fmt: skip


class Gauge:
    """A centre with metrics, as the core joins them."""

    def __init__(self, *parts: Any) -> None:
        self.centre = Centre(*parts or (QueuePolicy("service", target_ms=20_000), COMPLAINTS, ANN, BOB))
        statuses = [
            {
                "slot": 0,
                "legs": 2,
                "reserved": 1,
                "free": 1,
                "refused": 3,
                "malformed": 0,
                "troubles": 1,
                "capacity": 4,
            }
        ]
        self.core = SimpleNamespace(
            host=self.centre.host,
            desk=self.centre.desk,
            writer=SimpleNamespace(health=WriterHealth(), backlog=4),
            speech=SimpleNamespace(missing=2),
            pool=SimpleNamespace(statuses=lambda: statuses),
            edge=SimpleNamespace(
                status={
                    "counts": {"calls_in": 3, "refused_full": 1},
                    "registered": 2,
                    "trunks": [{"name": "carrier-a", "up": True}],
                }
            ),
            clock=self.centre.clock,
            written=self.centre.written,
            uploads=SimpleNamespace(counts={"taken": 1}),
            mail=None,
            web_chat=SimpleNamespace(counts={"started": 1}, sockets=2),
            alarms=SimpleNamespace(standing={"recordings_disk": (1, "5 MB")}),
            recordings=SimpleNamespace(waiting=2, failed=1),
            keeper=SimpleNamespace(deleted=3),
            rules=SimpleNamespace(refused=1),
            waiting=self.centre.waiting,
        )
        self.core.metrics = self.metrics = Metrics(self.core)

    def read(self) -> dict[tuple[str, str], float]:
        """(name, first label value) -> value."""
        found = {}
        for family in text_string_to_metric_families(self.metrics.render().decode()):
            for sample in family.samples:
                labels = list(sample.labels.values())
                found[sample.name, labels[-1] if len(labels) > 1 else "".join(labels)] = sample.value
        return found

    def value(self, name: str, label: str = "service") -> float:
        return self.read().get((name, label), 0)


@pytest.fixture
def gauge() -> Gauge:
    return Gauge()


def test_every_named_series_is_there(gauge: Gauge) -> None:
    gauge.centre.ready("ann")
    interaction = gauge.centre.talk()
    gauge.centre.caller_leaves(interaction)
    left = gauge.centre.queue_up(caller="13900139000", keys="13")
    gauge.centre.caller_leaves(left)
    gauge.metrics.loop_lag(0.001)
    gauge.core.writer.health.commit_s.append(0.002)
    gauge.centre.host.submit(rf.OfferAnswered("o99-1", 0))
    gauge.centre.desk.counts["failed_play"] += 1
    names = {name for name, _ in gauge.read()}
    assert names >= SERIES


def test_offered_answered_and_in_target(gauge: Gauge) -> None:
    gauge.centre.ready("ann")
    quick = gauge.centre.talk()
    gauge.centre.caller_leaves(quick)
    gauge.centre.wait(31)
    slow = gauge.centre.queue_up(caller="13900139000")
    gauge.centre.agents.not_ready("ann", "meal")
    gauge.centre.agent_leaves(slow, 603)
    gauge.centre.wait(25)
    gauge.centre.ready("ann")
    gauge.centre.pick_up(slow)
    assert gauge.value("callcenter_contacts_offered_total") == 2
    assert gauge.value("callcenter_contacts_answered_total") == 2
    assert gauge.value("callcenter_contacts_answered_in_target_total") == 1
    assert gauge.value("callcenter_wait_seconds_sum") == pytest.approx(25, abs=1)
    assert gauge.value("callcenter_service_level") == pytest.approx(0.5)


def test_who_is_answered_twice_counts_once(gauge: Gauge) -> None:
    gauge.centre.ready("ann", "bob")
    interaction = gauge.centre.talk()
    gauge.centre.wait(10)
    gauge.centre.agent_leaves(interaction, lost=True)
    gauge.centre.wait(1)
    gauge.centre.pick_up(interaction)
    assert gauge.value("callcenter_contacts_offered_total") == 1
    assert gauge.value("callcenter_contacts_answered_total") == 1


@pytest.mark.parametrize(("seconds", "short"), [(0, 1), (4.9, 1), (5, 0), (60, 0)])
def test_short_abandons_are_told_apart(gauge: Gauge, seconds: float, short: int) -> None:
    interaction = gauge.centre.queue_up()
    gauge.centre.wait(seconds)
    gauge.centre.caller_leaves(interaction)
    assert gauge.value("callcenter_contacts_abandoned_total") == 1
    assert gauge.value("callcenter_contacts_abandoned_short_total") == short


def test_service_level_leaves_short_abandons_out(gauge: Gauge) -> None:
    """SL = answered within target / (offered - short abandons)."""
    gauge.centre.ready("ann")
    gauge.centre.talk()
    for seconds in (1, 30):
        left = gauge.centre.queue_up(caller="13900139000")
        gauge.centre.wait(seconds)
        gauge.centre.caller_leaves(left)
    assert gauge.value("callcenter_contacts_offered_total") == 3
    assert gauge.value("callcenter_service_level") == pytest.approx(1 / 2)


def test_a_queue_without_contacts_has_no_service_level(gauge: Gauge) -> None:
    assert ("callcenter_service_level", "service") not in gauge.read()


@pytest.mark.parametrize("why", ["closed", "full", "unknown"])
def test_contacts_that_no_queue_took_were_not_offered(why: str) -> None:
    """Offered: contacts that entered a queue."""
    gauge = Gauge(QueuePolicy("service", max_waiting=1), ANN)
    if why == "closed":
        gauge.centre.host.submit(rf.QueueClosed("service"))
    elif why == "full":
        gauge.centre.queue_up(caller="13900139000")
    gauge.centre.queue_up(keys="13" if why == "unknown" else "10")
    assert gauge.value("callcenter_contacts_offered_total") == (0 if why == "closed" else 1)
    assert ("callcenter_contacts_offered_total", "complaints") not in gauge.read()


def test_queue_length_and_longest_wait_are_of_this_moment(gauge: Gauge) -> None:
    """Also while nothing else happens in the centre."""
    gauge.centre.queue_up()
    gauge.centre.wait(40)
    gauge.centre.queue_up(caller="13900139000")
    gauge.centre.wait(20)
    assert gauge.value("callcenter_queue_length") == 2
    assert gauge.value("callcenter_queue_length", "complaints") == 0
    assert gauge.value("callcenter_queue_longest_wait_seconds") == pytest.approx(60, abs=1)


def test_agents_by_state(gauge: Gauge) -> None:
    gauge.centre.ready("ann", "bob")
    gauge.centre.talk()
    assert (gauge.value("callcenter_agents", "talking"), gauge.value("callcenter_agents", "idle")) == (1, 1)


def test_outcomes_refusals_and_rejected_facts(gauge: Gauge) -> None:
    interaction = gauge.centre.ring()
    gauge.centre.caller_leaves(interaction)
    gauge.centre.worker.ring("110110")
    gauge.centre.settle()
    gauge.centre.host.submit(rf.OfferAnswered("o99-1", 0))
    found = gauge.read()
    assert found["callcenter_interactions_ended_total", "left_in_flow"] == 1
    assert found["callcenter_voice_events_total", "unknown_number"] == 1
    assert found["callcenter_facts_rejected_total", "offer_over"] == 1


def test_durations_are_told_once(gauge: Gauge) -> None:
    gauge.core.writer.health.commit_s.extend([0.001, 0.002])
    assert gauge.value("callcenter_journal_commit_seconds_count", "") == 2
    assert gauge.value("callcenter_journal_commit_seconds_count", "") == 2
    assert gauge.core.writer.health.commit_s == []


def test_no_caller_is_in_the_metrics(gauge: Gauge) -> None:
    gauge.centre.ready("ann")
    gauge.centre.talk("13800138000")
    assert b"13800138000" not in gauge.metrics.render()
