"""The file of routing rules beside the records, read anew whenever it changes. One that cannot count is refused as a
whole and the rules that counted go on counting."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path

from callcenter.kernel import logging
from callcenter.kernel.schedule import Scheduler
from callcenter.live.alarms import Alarms
from callcenter.policies import overlay
from config.policy import PolicyError, PolicyFile, read_policy
from routing import Policy

log = logging.get("rules")
ALARM = "policy_refused"
_LOOK_EVERY_MS = 2_000


class RulesFile:
    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rules = PolicyFile()
        self._stamp: tuple[int, int] | None = None

    def changed(self) -> bool:
        """Is the file another than the one that was read last?"""
        return self.path is not None and self._stat() != self._stamp

    def read(self) -> PolicyFile:
        """What the file says now; blocks. Raises PolicyError; it is not looked at again until it changes."""
        self._stamp = self._stat()
        return PolicyFile() if self.path is None else read_policy(self.path)[0]

    def _stat(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat() if self.path is not None else None
        except OSError:
            return None
        return None if found is None else (found.st_mtime_ns, found.st_size)

    def over(self, base: Policy, rules: PolicyFile | None = None) -> Policy:
        """The records' policy with the rules. Queues and agents that left the records since are passed over; raises
        PolicyError where the whole contradicts itself."""
        known = self._known(base, self.rules if rules is None else rules)
        try:
            return overlay(base, known)
        except ValueError as error:
            raise PolicyError(f"{self.path}: {error}") from error

    def _known(self, base: Policy, rules: PolicyFile) -> PolicyFile:
        strange = [queue.name for queue in rules.queues if queue.name not in base.queues]
        logins = {agent.login for agent in rules.agents} | {
            one for team in rules.teams.values() for one in team
        }
        strange += sorted(logins - set(base.agents))
        if not strange:
            return rules
        log.warning("rules_for_nobody", reason=f"{len(strange)} names that the records do not know")
        return rules.model_copy(
            update={
                "queues": tuple(queue for queue in rules.queues if queue.name in base.queues),
                "agents": tuple(agent for agent in rules.agents if agent.login in base.agents),
                "teams": {
                    team: tuple(login for login in members if login in base.agents)
                    for team, members in rules.teams.items()
                },
            }
        )


class RulesKeeper:
    """Looks at the file and lets new rules count between two activations, or not at all."""

    def __init__(
        self,
        file: RulesFile,
        scheduler: Scheduler,
        executor: Executor,
        alarms: Alarms,
        base: Callable[[], Policy],
        counts: Callable[[], None],
    ) -> None:
        """`base`: the policy of the records alone. `counts`: the rules have changed."""
        self._file, self._scheduler, self._executor, self._alarms = file, scheduler, executor, alarms
        self._base, self._counts = base, counts
        self._reading: Future[PolicyFile] | None = None
        self.refused = 0

    def watch(self) -> None:
        """From now on. Reading is another thread's; the answer is taken at the next look."""
        reading = self._reading
        if reading is not None and reading.done():
            self._reading = None
            self._take(reading)
        elif reading is None and self._file.changed():
            self._reading = self._executor.submit(self._file.read)
        if self._file.path is not None:
            self._scheduler.after(_LOOK_EVERY_MS, self.watch)

    def _take(self, reading: Future[PolicyFile]) -> None:
        try:
            rules = reading.result()
            self._file.over(self._base(), rules)
        except PolicyError as error:
            self.refused += 1
            self._alarms.raise_(ALARM, str(error).splitlines()[0])
            return
        self._file.rules = rules
        self._alarms.lower(ALARM)
        log.info("rules_count", path=str(self._file.path))
        self._counts()
