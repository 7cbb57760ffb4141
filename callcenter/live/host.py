"""The host of the engine: serialises activations, journals them whole, hands out commands, arms one
timer. It decides nothing.

Theory of operation. `submit` queues facts; one activation takes them, in order, at one moment. Live
facts fold into the book, routing facts go to the engine, both go to the journal in one entry.
Listeners hear (facts, commands) at once, before the commit: they may command live media. Whatever
has an effect elsewhere waits for `after_commit`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from callcenter.journal import store
from callcenter.journal.database import Database
from callcenter.journal.private import Pending, PrivateStore
from callcenter.journal.writer import Entry
from callcenter.kernel import logging
from callcenter.kernel.clock import Clock
from callcenter.kernel.schedule import Handle, Scheduler
from callcenter.live.book import Book
from callcenter.live.facts import CODEC
from routing import Activation, Command, Policy, RoutingEngine
from routing import facts as routing_facts

log = logging.get("host")
_NOTHING = store.pack([])
Ack = tuple[str, int]
AnyFact = Any
"""a routing fact or a live fact"""


class Journal(Protocol):
    def put(self, entry: Entry) -> None: ...


@dataclass(frozen=True, slots=True)
class _Submission:
    facts: tuple[AnyFact, ...]
    after_commit: Callable[[], None] | None


class SnapshotUnfit(ValueError):
    """A snapshot that this version does not read; an older one, or the whole journal, serves as well."""


@dataclass
class Recovered:
    """What `recover` read."""

    seq: int = 0
    facts: int = 0
    from_snapshot: bool = False


class Host:
    def __init__(
        self,
        epoch: int,
        clock: Clock,
        scheduler: Scheduler,
        journal: Journal,
        private: PrivateStore,
        snapshot_every: int = 5_000,
    ) -> None:
        self.epoch, self.clock = epoch, clock
        self.engine = RoutingEngine()
        self.book = Book()
        self.private = private
        self._scheduler, self._journal = scheduler, journal
        self._snapshot_every = snapshot_every
        self._pending: deque[_Submission] = deque()
        self._running = False
        self._timer: Handle | None = None
        self._armed_ms = 0
        self._waiting_commit: deque[tuple[int, Callable[[], None]]] = deque()
        self._unsaved: deque[tuple[int, Pending]] = deque()
        self.listeners: list[Callable[[Sequence[AnyFact], Sequence[Command]], None]] = []
        self.take_acks: Callable[[], tuple[Ack, ...]] = tuple
        """facts of workers dealt with since the last activation: committed with the next one"""
        self.committed_seq = 0
        self.listener_errors = 0
        self.activation_s: list[float] = []
        """durations since the metrics were last read, at most a few thousand"""

    def submit(
        self,
        *facts: AnyFact,
        after_commit: Callable[[], None] | None = None,
    ) -> None:
        """Queue facts as one activation. Called from within a listener it runs after the present one."""
        self._pending.append(_Submission(facts, after_commit))
        if self._running:
            return
        self._running = True
        try:
            while self._pending:
                self._activate(self._pending.popleft())
        finally:
            self._running = False
        self._arm()

    def committed(self, seq: int) -> None:
        """The journal has everything up to `seq`; effects that waited for it go out now."""
        self.committed_seq = max(self.committed_seq, seq)
        while self._unsaved and self._unsaved[0][0] <= seq:
            self.private.saved(self._unsaved.popleft()[1])
        while self._waiting_commit and self._waiting_commit[0][0] <= seq:
            self._waiting_commit.popleft()[1]()

    def recover(self, snapshot: dict[str, Any] | None, rows: Sequence[store.Row] | Any) -> Recovered:
        """Rebuild engine and book from a snapshot (or nothing) and the journal's rows behind it."""
        recovered = Recovered()
        if snapshot is not None:
            self._restore(snapshot)
            recovered.from_snapshot = True
        for row in rows:
            live, routing, _plain = _split([_fact(plain) for plain in row.facts])
            for fact in live:
                self.book.apply(fact)
            completion = self.engine.activate(Activation(row.seq, row.now_ms, tuple(routing)))
            for command in completion.commands:
                self.book.apply_command(command.to_plain())
            recovered.facts += len(row.facts)
        recovered.seq = self.committed_seq = self.engine.seq
        return recovered

    def recover_newest(self, connection: Database) -> Recovered:
        """From the newest snapshot that this version reads, else from the whole journal."""
        for snapshot in store.snapshots(connection):
            try:
                return self.recover(snapshot, store.rows_after(connection, snapshot["seq"]))
            except SnapshotUnfit as error:
                log.warning("snapshot_passed_over", seq=snapshot["seq"], reason=str(error))
        return self.recover(None, store.rows_after(connection, 0))

    def _restore(self, snapshot: dict[str, Any]) -> None:
        """Raises SnapshotUnfit, with engine and book as new, for one of another form."""
        try:
            policy = Policy.from_plain(snapshot["policy"])
            engine, rows = RoutingEngine.restore(snapshot["engine"], policy), snapshot["book"]
            self.book.restore(rows)
        except (ValueError, TypeError, LookupError) as error:
            self.book.clear()
            raise SnapshotUnfit(str(error)) from error
        self.engine = engine

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _activate(self, submission: _Submission) -> None:
        started = time.perf_counter()
        now_ms = self.clock.now_ms()
        live, routing, facts = _split(submission.facts)
        packed = store.pack(facts)  # what cannot be written is refused before anything changes
        for fact in live:
            self.book.apply(fact)
        completion = self.engine.activate(Activation(self.engine.seq + 1, now_ms, tuple(routing)))
        commands = [command.to_plain() for command in completion.commands]
        for command in commands:
            self.book.apply_command(command)
        if submission.after_commit is not None:
            self._waiting_commit.append((completion.seq, submission.after_commit))
        if len(self.activation_s) < 5_000:
            self.activation_s.append(time.perf_counter() - started)
        self._tell(submission.facts, completion.commands)
        pending = self.private.take_pending()
        if pending.private or pending.person_keys:
            self._unsaved.append((completion.seq, pending))
        self._journal.put(
            Entry(
                completion.seq,
                self.epoch,
                now_ms,
                facts,
                commands,
                self.take_acks(),
                tuple(pending.person_keys),
                tuple(pending.private),
                self._snapshot(completion.seq),
                (packed, store.pack(commands) if commands else _NOTHING),
            )
        )

    def _tell(self, facts: Sequence[AnyFact], commands: Sequence[Command]) -> None:
        """One listener's fault stops neither the others nor the journal."""
        for listener in self.listeners:
            try:
                listener(facts, commands)
            except Exception:
                self.listener_errors += 1
                log.exception("listener_failed", seq=self.engine.seq)

    def _snapshot(self, seq: int) -> dict[str, Any] | None:
        if seq % self._snapshot_every:
            return None
        return {
            "seq": seq,
            "policy": self.engine.policy.to_plain(),
            "engine": self.engine.snapshot(),
            "book": self.book.snapshot(),
        }

    def _arm(self) -> None:
        """One timer. One that is set for earlier looks again when it is due; only a nearer deadline needs
        another."""
        deadline_ms = self.engine.next_deadline_ms
        if deadline_ms is None or (self._timer is not None and self._armed_ms <= deadline_ms):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed_ms = deadline_ms
        self._timer = self._scheduler.after(max(0, deadline_ms - self.clock.now_ms()) + 1, self._due)

    def _due(self) -> None:
        self._timer = None
        deadline_ms = self.engine.next_deadline_ms
        if deadline_ms is not None and deadline_ms <= self.clock.now_ms():
            self.submit()
        else:
            self._arm()


def _split(
    facts: Sequence[AnyFact],
) -> tuple[list[AnyFact], list[routing_facts.Fact], list[dict[str, Any]]]:
    """Live facts, routing facts, and all of them plain, each in order."""
    live: list[AnyFact] = []
    routing: list[routing_facts.Fact] = []
    plain: list[dict[str, Any]] = []
    for fact in facts:
        if isinstance(fact, routing_facts.Fact):
            routing.append(fact)
            plain.append(routing_facts.to_plain(fact))
        else:
            live.append(fact)
            plain.append(CODEC.to_plain(fact))
    return live, routing, plain


def _fact(plain: dict[str, Any]) -> AnyFact:
    return CODEC.from_plain(plain) if CODEC.knows(plain["k"]) else routing_facts.from_plain(plain)
