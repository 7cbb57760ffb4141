"""/metrics: gauges read when asked, counters and histograms fed as things happen."""

from __future__ import annotations

from collections import Counter as TallyCounter
from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from callcenter.live import facts as f
from callcenter.live.host import AnyFact
from callcenter.service import SHORT_ABANDON_MS
from routing import Command, Overflow, RejectFact

_WAITS = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600)
_FAST = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1)


class Metrics:
    """`core` is read for gauges and never changed."""

    def __init__(self, core: Any) -> None:
        self._core = core
        self.registry = CollectorRegistry()
        own = self.registry
        self.offered = Counter(
            "callcenter_contacts_offered", "Contacts that entered a queue", ["queue"], registry=own
        )
        self.answered = Counter(
            "callcenter_contacts_answered", "Contacts connected to a seat", ["queue"], registry=own
        )
        self.in_target = Counter(
            "callcenter_contacts_answered_in_target",
            "Contacts answered within the queue's target",
            ["queue"],
            registry=own,
        )
        self.abandoned = Counter(
            "callcenter_contacts_abandoned", "Contacts that left before", ["queue"], registry=own
        )
        self.short = Counter(
            "callcenter_contacts_abandoned_short", "Contacts that left within 5 s", ["queue"], registry=own
        )
        self.ended = Counter(
            "callcenter_interactions_ended", "Interactions by outcome", ["outcome"], registry=own
        )
        self.rejected = Counter(
            "callcenter_facts_rejected", "Facts that did not fit", ["kind", "reason"], registry=own
        )
        self.waits = Histogram(
            "callcenter_wait_seconds", "Wait of answered contacts", ["queue"], buckets=_WAITS, registry=own
        )
        self.activation = Histogram(
            "callcenter_activation_seconds", "One activation", buckets=_FAST, registry=own
        )
        self.commit = Histogram(
            "callcenter_journal_commit_seconds", "One commit", buckets=_FAST, registry=own
        )
        self.lag = Histogram(
            "callcenter_loop_lag_seconds", "Lateness of the core's loop", buckets=_FAST, registry=own
        )
        self._tallies: dict[str, TallyCounter[str]] = {}
        self.registry.register(_Live(core))
        core.host.listeners.append(self._heard)

    def loop_lag(self, seconds: float) -> None:
        self.lag.observe(seconds)

    def service_level(self, queue: str) -> float | None:
        """Since the core's start; None before the first contact counts."""
        counted = self._tallies.get(queue)
        if counted is None or counted["offered"] <= counted["short"]:
            return None
        return counted["in_target"] / (counted["offered"] - counted["short"])

    def render(self) -> bytes:
        host, health = self._core.host, self._core.writer.health
        for source, histogram in ((host.activation_s, self.activation), (health.commit_s, self.commit)):
            taken, source[:] = list(source), []
            for seconds in taken:
                histogram.observe(seconds)
        return generate_latest(self.registry)

    def _heard(self, facts: Sequence[AnyFact], commands: Sequence[Command]) -> None:
        book = self._core.host.book
        refused = {command.contact for command in commands if isinstance(command, Overflow)}
        for fact in facts:
            if isinstance(fact, f.InteractionQueued) and fact.contact not in refused:
                self.offered.labels(fact.queue).inc()
                self._tally(fact.queue, "offered")
            elif isinstance(fact, f.InteractionAnswered):
                interaction, written = (
                    book.interactions.get(fact.interaction),
                    book.written.open.get(fact.interaction),
                )
                queued = interaction is not None and interaction.queued_at_ms > 0
                if queued and interaction is not None and interaction.taken_at_ms == fact.occurred_at_ms:
                    self._answered(interaction.queue, fact.occurred_at_ms - interaction.queued_at_ms)
                elif written is not None and written.answered_at_ms == fact.occurred_at_ms:
                    self._answered(written.queue, fact.occurred_at_ms - written.queued_at_ms)
            elif isinstance(fact, f.InteractionEnded):
                self.ended.labels(fact.outcome).inc()
                if fact.outcome == "abandoned":
                    self._abandoned(fact)
        for command in commands:
            if isinstance(command, RejectFact):
                self.rejected.labels(command.kind, command.reason).inc()

    def _answered(self, queue: str, waited_ms: int) -> None:
        self.answered.labels(queue).inc()
        self.waits.labels(queue).observe(waited_ms / 1000)
        policy = self._core.host.engine.policy.queues.get(queue)
        if policy is not None and waited_ms <= policy.target_ms:
            self.in_target.labels(queue).inc()
            self._tally(queue, "in_target")

    def _abandoned(self, fact: f.InteractionEnded) -> None:
        self.abandoned.labels(fact.queue).inc()
        if fact.occurred_at_ms - fact.queued_at_ms < SHORT_ABANDON_MS:
            self.short.labels(fact.queue).inc()
            self._tally(fact.queue, "short")

    def _tally(self, queue: str, what: str) -> None:
        self._tallies.setdefault(queue, TallyCounter())[what] += 1


class _Live:
    """Gauges, read at the moment of the scrape."""

    def __init__(self, core: Any) -> None:
        self._core = core

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        core = self._core
        waiting = GaugeMetricFamily(
            "callcenter_queue_length", "Contacts not yet with an agent", labels=["queue"]
        )
        longest = GaugeMetricFamily(
            "callcenter_queue_longest_wait_seconds", "Oldest of them", labels=["queue"]
        )
        for queue in core.host.engine.policy.queues:
            count, oldest_ms = core.host.engine.queue_view(queue, core.host.clock.now_ms())
            waiting.add_metric([queue], count)
            longest.add_metric([queue], oldest_ms / 1000)
        yield waiting
        yield longest
        states = GaugeMetricFamily("callcenter_agents", "Agents by state", labels=["state"])
        counts: dict[str, int] = {}
        for agent in core.host.engine.agent_views():
            counts[agent.state] = counts.get(agent.state, 0) + 1
        for state, number in sorted(counts.items()):
            states.add_metric([state], number)
        yield states
        yield GaugeMetricFamily(
            "callcenter_journal_backlog", "Entries not yet committed", core.writer.backlog
        )
        level = GaugeMetricFamily(
            "callcenter_service_level",
            "Answered within target / (offered - short abandons)",
            labels=["queue"],
        )
        for queue in core.host.engine.policy.queues:
            reached = core.metrics.service_level(queue)
            if reached is not None:
                level.add_metric([queue], reached)
        yield level
        events = CounterMetricFamily(
            "callcenter_voice_events", "Refused, failed and unknown", labels=["what"]
        )
        for what, number in sorted((core.desk.counts + core.waiting.counts).items()):
            events.add_metric([what], number)
        yield events
        prompts = CounterMetricFamily(
            "callcenter_prompts_missing", "Prompts that were skipped", core.speech.missing
        )
        yield prompts
        yield from self._routing()
        yield from self._recordings()
        yield from self._voice()
        yield from self._edge()
        yield from self._written()

    def _routing(self) -> Iterator[Metric]:
        core = self._core
        yield CounterMetricFamily(
            "callcenter_policy_refused", "Files of routing rules that could not count", core.rules.refused
        )
        wait = GaugeMetricFamily(
            "callcenter_estimated_wait_seconds", "Of a newcomer, where it can be told", labels=["queue"]
        )
        error = GaugeMetricFamily(
            "callcenter_estimated_wait_error_seconds", "Mean error of what was told", labels=["queue"]
        )
        for queue in core.host.engine.policy.queues:
            told = core.host.engine.estimate(queue, now_ms=core.host.clock.now_ms())
            if told.confident:
                wait.add_metric([queue], told.wait_ms / 1000)
            if told.compared:
                error.add_metric([queue], told.error_ms / 1000)
        yield wait
        yield error

    def _recordings(self) -> Iterator[Metric]:
        core = self._core
        alarms = GaugeMetricFamily("callcenter_alarm", "1 while it stands", labels=["alarm"])
        for name in sorted(core.alarms.standing):
            alarms.add_metric([name], 1)
        yield alarms
        yield GaugeMetricFamily(
            "callcenter_recordings_waiting", "Recorded and not sealed yet", core.recordings.waiting
        )
        yield CounterMetricFamily(
            "callcenter_recordings_failed", "Recordings that could not be sealed", core.recordings.failed
        )
        yield CounterMetricFamily("callcenter_recordings_deleted", "Beyond their time", core.keeper.deleted)

    def _written(self) -> Iterator[Metric]:
        core = self._core
        counts = CounterMetricFamily(
            "callcenter_written_events",
            "Messages taken in and sent, and what queues refused",
            labels=["what"],
        )
        for what, number in sorted(core.written.counts.items()):
            counts.add_metric([what], number)
        yield counts
        yield from self._mail()
        if core.web_chat is None:
            return
        events = CounterMetricFamily(
            "callcenter_chat_events", "Conversations begun, and what was refused", labels=["event"]
        )
        for event, number in sorted(core.web_chat.counts.items()):
            events.add_metric([event], number)
        yield events
        yield GaugeMetricFamily("callcenter_chat_sockets", "Pages that chat", core.web_chat.sockets)

    def _mail(self) -> Iterator[Metric]:
        core = self._core
        files = CounterMetricFamily(
            "callcenter_files", "Files brought by a page, taken and refused", labels=["what"]
        )
        for what, number in sorted(core.uploads.counts.items()):
            files.add_metric([what], number)
        yield files
        if core.mail is None:
            return
        mail, letters = core.mail, core.host.book.letters
        events = CounterMetricFamily(
            "callcenter_mail_events", "Mails taken, what they were, and what was refused", labels=["what"]
        )
        for what, number in sorted((mail.desk.counts + mail.channel.counts).items()):
            events.add_metric([what], number)
        yield events
        tried = CounterMetricFamily("callcenter_letters_tried", "What the relay said", labels=["result"])
        for what, number in sorted(mail.outbox.counts.items()):
            tried.add_metric([what], number)
        yield tried
        yield GaugeMetricFamily("callcenter_mail_unread", "Mails taken and not read yet", len(letters.unread))
        outbox = GaugeMetricFamily("callcenter_outbox", "Letters that are to go out", labels=["state"])
        dead = len(letters.dead)
        outbox.add_metric(["waiting"], len(letters.outbox) - dead)
        outbox.add_metric(["dead"], dead)
        yield outbox
        boxes = GaugeMetricFamily("callcenter_mail_mailboxes", "Mailboxes that are fetched", labels=["state"])
        troubled = sum(1 for box in mail.channel.mailboxes if box.trouble)
        boxes.add_metric(["fetched"], len(mail.channel.mailboxes) - troubled)
        boxes.add_metric(["trouble"], troubled)
        yield boxes

    def _edge(self) -> Iterator[Metric]:
        status = self._core.edge.status
        events = CounterMetricFamily(
            "callcenter_edge_messages", "What the edge did with what came", labels=["what"]
        )
        for what, number in sorted(status.get("counts", {}).items()):
            events.add_metric([what], number)
        yield events
        yield GaugeMetricFamily(
            "callcenter_phones_registered", "Desk phones that can be rung", status.get("registered", 0)
        )
        up = GaugeMetricFamily("callcenter_trunk_up", "1 where a trunk answers", labels=["trunk"])
        for trunk in status.get("trunks", ()):
            up.add_metric([trunk["name"]], float(trunk["up"]))
        yield up

    def _voice(self) -> Iterator[Metric]:
        legs = GaugeMetricFamily("callcenter_voice_legs", "Call legs of the workers", labels=["slot", "kind"])
        counts = CounterMetricFamily("callcenter_voice_refused", "Refused by workers", labels=["slot", "why"])
        for status in self._core.pool.statuses():
            slot = str(status["slot"])
            for kind in ("legs", "reserved", "free"):
                legs.add_metric([slot, {"legs": "used"}.get(kind, kind)], status.get(kind, 0))
            counts.add_metric([slot, "capacity"], status.get("refused", 0))
            counts.add_metric([slot, "malformed"], status.get("malformed", 0))
            counts.add_metric([slot, "troubles"], status.get("troubles", 0))
        yield legs
        yield counts
