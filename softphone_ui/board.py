"""What the wallboard shows: today's service by queue and half hour, from history; who waits and who is where, from
the engine. The same functions make `callcenter report service`, so the two agree."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from callcenter.service import figures, half_hours, start_of_day_ms

Plain = dict[str, Any]


class Board:
    """`core` is the bootstrap's core; used here for its services and queries only."""

    def __init__(self, core: Any) -> None:
        self._core = core

    async def figures(self) -> Plain:
        """Everything a wallboard needs, as of now. History is read off the loop."""
        await self._core.until_in_history()
        now_ms: int = self._core.clock.now_ms()
        since_ms = start_of_day_ms(now_ms, self._core.settings.hours.timezone)
        policy = self._core.host.engine.policy
        targets_s = {name: queue.target_ms // 1000 for name, queue in policy.queues.items()}
        loop = asyncio.get_running_loop()
        today = await loop.run_in_executor(
            self._core.executor, figures, self._core.records, since_ms, now_ms + 1, targets_s
        )
        trend = await loop.run_in_executor(
            self._core.executor, half_hours, self._core.records, since_ms, now_ms + 1
        )
        return {
            "now_ms": now_ms,
            "since_ms": since_ms,
            "goal": self._core.settings.supervision.service_level_goal,
            "long_wait_s": self._core.settings.supervision.long_wait_s,
            "queues": [{**one.to_plain(), **self._now(one.queue, now_ms)} for one in today],
            "agents": dict(Counter(agent.state for agent in self._core.host.engine.agent_views())),
            "trend": trend,
        }

    def _now(self, queue: str, now_ms: int) -> Plain:
        waiting, longest_ms = self._core.host.engine.queue_view(queue, now_ms)
        return {
            "title": self._core.directory.queue_titles().get(queue, queue),
            "waiting": waiting,
            "longest_ms": longest_ms,
            "open": self._core.host.engine.is_open(queue),
        }
