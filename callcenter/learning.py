"""What history teaches of agents and queues, for the strategy `learned`: what a contact costs in whose hands.

Cost = handling time (talk, hold, wrap-up) × (1 + share of customers who called the same queue again within three days),
each mean shrunk towards the queue's own as if twenty contacts of the queue's mean had been handled besides: who has
handled few is taken for average. It enters the engine as a fact, so a journal replays."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor, Future

from sqlalchemy import Connection, Engine, text

from callcenter.kernel import logging
from callcenter.kernel.schedule import Scheduler
from callcenter.live.host import Host
from crm_core.db import reads
from routing.facts import AgentsLearned

log = logging.get("learning")
Cost = tuple[str, str, int]
PRIOR = 20
"""contacts of the queue's mean that everybody is taken to have handled besides"""
WINDOW_MS, AGAIN_MS = 60 * 86_400_000, 3 * 86_400_000
_EVERY_MS, _FIRST_MS, _LOOK_MS = 3_600_000, 30_000, 1_000
_HANDLED = text(
    "SELECT agent, queue, SUM(ended_at_ms - started_at_ms) AS spent, COUNT(DISTINCT interaction_id) AS n "
    "FROM segments WHERE started_at_ms >= :since AND ended_at_ms IS NOT NULL AND agent <> '' AND queue <> '' "
    "AND kind IN ('talking', 'held', 'wrapping') GROUP BY agent, queue ORDER BY queue, agent"
)
_AGAIN = text(
    "SELECT i.agent, i.queue, COUNT(*) AS n, SUM(CASE WHEN EXISTS (SELECT 1 FROM interactions j "
    "WHERE j.customer_id = i.customer_id AND j.queue = i.queue AND j.arrived_at_ms > i.arrived_at_ms "
    "AND j.arrived_at_ms <= i.arrived_at_ms + :again) THEN 1 ELSE 0 END) AS again "
    "FROM interactions i WHERE i.answered_at_ms >= :since AND i.customer_id IS NOT NULL AND i.agent <> '' "
    "AND i.queue <> '' GROUP BY i.agent, i.queue"
)


def costs(
    handled: Iterable[tuple[str, str, int, int]], again: Iterable[tuple[str, str, int, int]]
) -> tuple[Cost, ...]:
    """From (agent, queue, ms spent, contacts) and (agent, queue, contacts, of those that came again)."""
    times, repeats = list(handled), {(agent, queue): (n, back) for agent, queue, n, back in again}
    spent: dict[str, int] = {}
    count: dict[str, int] = {}
    known: dict[str, int] = {}
    back: dict[str, int] = {}
    for _agent, queue, ms, n in times:
        spent[queue], count[queue] = spent.get(queue, 0) + ms, count.get(queue, 0) + n
    for (_agent, queue), (n, came) in repeats.items():
        known[queue], back[queue] = known.get(queue, 0) + n, back.get(queue, 0) + came
    found = []
    for agent, queue, ms, n in times:
        usual_ms = spent[queue] / count[queue]
        usual_again = back.get(queue, 0) / known[queue] if known.get(queue) else 0.0
        mine, came = repeats.get((agent, queue), (0, 0))
        handle_ms = (ms + PRIOR * usual_ms) / (n + PRIOR)
        rate = (came + PRIOR * usual_again) / (mine + PRIOR)
        found.append((agent, queue, round(handle_ms * (1 + rate))))
    return tuple(sorted(found))


def learn(connection: Connection, now_ms: int) -> tuple[Cost, ...]:
    """From the history of the last sixty days."""
    since = {"since": now_ms - WINDOW_MS}
    handled = [(row.agent, row.queue, int(row.spent), row.n) for row in connection.execute(_HANDLED, since)]
    again = connection.execute(_AGAIN, {**since, "again": AGAIN_MS})
    return costs(handled, [(row.agent, row.queue, row.n, int(row.again)) for row in again])


class LearningKeeper:
    """Learns every hour, while any queue chooses by what was learned."""

    def __init__(self, host: Host, scheduler: Scheduler, engine: Engine, executor: Executor) -> None:
        self._host, self._scheduler, self._engine, self._executor = host, scheduler, reads(engine), executor
        self._last: tuple[Cost, ...] = ()
        self.failed = 0

    def start(self) -> None:
        self._scheduler.after(_FIRST_MS, self._begin)

    def _begin(self) -> None:
        self._scheduler.after(_EVERY_MS, self._begin)
        if any(queue.strategy == "learned" for queue in self._host.engine.policy.queues.values()):
            self._await(self._executor.submit(self._learn, self._host.clock.now_ms()))

    def _learn(self, now_ms: int) -> tuple[Cost, ...]:
        with self._engine.connect() as connection:
            return learn(connection, now_ms)

    def _await(self, learning: Future[tuple[Cost, ...]]) -> None:
        if not learning.done():
            self._scheduler.after(_LOOK_MS, lambda: self._await(learning))
            return
        try:
            found = learning.result()
        except Exception as error:
            self.failed += 1
            log.error("not_learned", reason=type(error).__name__)
            return
        if found != self._last:
            self._last = found
            self._host.submit(AgentsLearned(found))
