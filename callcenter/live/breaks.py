"""Breaks that last longer than their reason allows: an alarm that names who, until they are back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from callcenter.live.alarms import Alarms
from callcenter.live.host import AnyFact, Host
from routing import AgentChanged, Command
from routing.commands import LimitPassed

ALARM = "break_over"


class Breaks:
    def __init__(self, host: Host, alarms: Alarms, name: Callable[[str], str]) -> None:
        """`name`: of an agent, for people to read."""
        self._alarms, self._name = alarms, name
        self._over: dict[str, None] = {}
        host.listeners.append(self._heard)

    def _heard(self, _facts: Sequence[AnyFact], commands: Sequence[Command]) -> None:
        before = list(self._over)
        for command in commands:
            if isinstance(command, LimitPassed):
                self._over[command.agent] = None
            elif isinstance(command, AgentChanged):
                self._over.pop(command.agent, None)
        if list(self._over) == before:
            return
        if self._over:
            self._alarms.raise_(ALARM, ", ".join(map(self._name, self._over)))
        else:
            self._alarms.lower(ALARM)
