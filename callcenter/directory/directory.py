"""What the running core knows of people, queues and numbers; read at start from records and settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from callcenter.directory.people import User, UserService
from callcenter.directory.queues import QueueRecord, QueueService
from callcenter.directory.reasons import ReasonPublic, ReasonService
from callcenter.directory.rules import RulesFile
from callcenter.kernel import logging
from callcenter.live.offers import Seat
from callcenter.messaging.desk import line
from callcenter.policies import usual
from channels.voice.browser.link import host_of
from config.policy import PolicyError
from config.settings import BROWSER, Settings
from config.written import Chat, Email
from crm_core.db import reads, session
from crm_core.wrap_up import WrapUpCodePublic, WrapUpService
from ivr_flows.library import PROMPTS
from ivr_flows.schema import End, Flow, Node, Queue, Say, Words
from routing.policy import AgentPolicy, Policy, QueuePolicy, skills_of

log = logging.get("directory")
_DIRECT = "direct_"
_MEDIA = {"chat": "Chat", "email": "E-Mail"}
_WRITTEN_RING_MS = 45_000
"""an offer of a written contact may be looked at before it is taken"""


@dataclass(frozen=True, slots=True)
class Content:
    queues: list[QueueRecord]
    agents: dict[str, User]
    people: dict[str, User]
    wrap_up_codes: list[WrapUpCodePublic]
    reasons: list[ReasonPublic]


class Directory:
    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings, self._engine = settings, engine
        self.rules = RulesFile(settings.routing.policy_file)
        self.queues: list[QueueRecord] = []
        self.agents: dict[str, User] = {}
        """everybody who takes contacts, by login; the same dict after `reload`"""
        self.people: dict[str, User] = {}
        """everybody who may log in"""
        self.wrap_up_codes: list[WrapUpCodePublic] = []
        self.reasons: list[ReasonPublic] = []
        self.seated: Mapping[str, str] = {}
        """devices that people chose for the day, by login"""
        with session(engine) as records:
            queues, users = QueueService(records), UserService(records)
            for queue in settings.queues:
                queues.upsert(queue, settings.voice.ring_timeout_s)
            for agent in settings.agents:
                users.upsert(agent)
            WrapUpService(records).seed()
            ReasonService(records).seed()
            records.commit()
        self.rules.rules = self.rules.read()
        self._numbers = {number.number: number for number in settings.numbers}
        self.take(self.read())

    def read(self) -> Content:
        """Everything from the records; blocks."""
        with session(reads(self._engine)) as records:
            users = UserService(records)
            return Content(
                QueueService(records).all(),
                {user.login: user for user in users.agents()},
                {user.login: user for user in users.everybody()},
                WrapUpService(records).all(),
                ReasonService(records).all(),
            )

    def take(self, content: Content) -> None:
        """What was read counts from now on."""
        self.queues[:] = content.queues
        for mine, theirs in ((self.agents, content.agents), (self.people, content.people)):
            mine.clear()
            mine.update(theirs)
        self.wrap_up_codes[:], self.reasons[:] = content.wrap_up_codes, content.reasons
        self._by_name = {queue.name: queue for queue in self.queues}

    @property
    def default_queue(self) -> str:
        """Where callers go whom no other queue takes: the first of the configuration, else of the records."""
        configured = [queue.name for queue in self._settings.queues if queue.name in self._by_name]
        return next(iter([*configured, *self._by_name]), "")

    @property
    def whispering(self) -> set[str]:
        return {queue.name for queue in self.queues if queue.whisper}

    def name_of(self, login: str) -> str:
        user = self.people.get(login)
        return user.name if user is not None else login

    def queue_titles(self) -> dict[str, str]:
        titles = {queue.name: queue.title or queue.name for queue in self.queues}
        plain = dict(titles)
        for medium in self.written_media:
            titles |= {line(name, medium): f"{title} · {_MEDIA[medium]}" for name, title in plain.items()}
        return titles

    @property
    def written_media(self) -> tuple[str, ...]:
        """Those that are served here, for which every queue has a line."""
        settings = self._settings
        return tuple(
            name for name, on in (("chat", bool(settings.chat.flow)), ("email", settings.email.on)) if on
        )

    def seat(self, agent: str) -> Seat | None:
        user = self.people.get(agent)
        if user is None:
            return None
        device = self.seated.get(agent) or user.device
        if device != BROWSER:
            return Seat(user.login, user.name, device, user.answer)
        # the host answers at once: it is the page that asks whether to take the call
        host, port = self._settings.browser_address(host_of(agent, max(1, self._settings.browser_hosts)))
        answer = "auto" if user.answer == "auto" else "panel"
        return Seat(user.login, user.name, f"sip:{agent}@{host}:{port}", answer)

    def caller_id(self, queue: str) -> str:
        found = self._by_name.get(queue)
        return found.caller_id if found is not None else ""

    def sound_of(self, queue: str) -> str:
        """The file that callers of this queue hear while waiting; "" for the usual music."""
        found = self._by_name.get(queue)
        rings = found is not None and found.sound == "ringback"
        return prompt_file(self._settings, "ringback") if rings else ""

    def flow_of(self, number: str) -> tuple[str, str] | None:
        found = self._numbers.get(number)
        if found is None:
            return None
        flow = found.flow or f"{_DIRECT}{found.queue}_{found.prompt or ''}"
        return flow, found.language

    def direct_flows(self) -> dict[str, Flow]:
        """A number that goes straight to a queue is a flow of three nodes."""
        flows = {}
        for number in self._numbers.values():
            if number.queue is not None:
                name = f"{_DIRECT}{number.queue}_{number.prompt or ''}"
                flows[name] = _direct_flow(number.queue, number.prompt or "")
        return flows

    def policy(self) -> Policy:
        """What the records and the file of rules say together. A queue that the rules need may have gone since; then
        the records count alone."""
        base = self.base_policy()
        try:
            return self.rules.over(base)
        except PolicyError as error:
            log.error("rules_do_not_fit", reason=str(error))
            return base

    def base_policy(self) -> Policy:
        """Of the records alone."""
        routing, settings = self._settings.routing, self._settings
        queues = {queue.name: _queue_policy(queue) for queue in self.queues}
        spoken = list(queues.values())
        capacity: tuple[tuple[str, int], ...] = (("voice", 1),)
        media: dict[str, Chat | Email] = {"chat": settings.chat, "email": settings.email}
        for medium in self.written_media:
            lines = [_line(queue, medium, media[medium].target_s * 1000) for queue in spoken]
            queues |= {one.name: one for one in lines}
            capacity = (*capacity, (medium, media[medium].per_agent))
        return Policy(
            queues=queues,
            agents=_agent_policies(self.agents.values(), tuple(sorted(capacity))),
            missed_action=routing.missed_action,
            decline_pause_ms=routing.decline_pause_s * 1000,
            device_pause_ms=routing.device_pause_s * 1000,
            priority_step_ms=routing.priority_step_s * 1000,
        )


def prompt_file(settings: Settings, name: str) -> str:
    """A sound of no language: the operator's own, else the shipped one."""
    own = settings.paths.prompts
    folder = own if own is not None and (own / f"{name}.wav").is_file() else PROMPTS
    return str(folder / f"{name}.wav")


def _queue_policy(queue: QueueRecord) -> QueuePolicy:
    return usual(
        QueuePolicy(
            name=queue.name,
            skills=skills_of(queue.skills),
            target_ms=queue.target_s * 1000,
            priority=queue.priority,
            ring_ms=queue.ring_timeout_s * 1000,
            max_waiting=queue.max_waiting,
        )
    )


def _line(queue: QueuePolicy, medium: str, target_ms: int) -> QueuePolicy:
    """The queue's line for a written medium: the same people and skills, a target of its own."""
    name = line(queue.name, medium)
    most = queue.max_waiting if medium == "chat" else 0
    return usual(
        replace(
            queue, name=name, medium=medium, target_ms=target_ms, ring_ms=_WRITTEN_RING_MS, max_waiting=most
        )
    )


def _agent_policies(users: Iterable[User], capacity: tuple[tuple[str, int], ...]) -> dict[str, AgentPolicy]:
    return {
        user.login: AgentPolicy(user.login, skills_of(user.skills), user.wrap_up_s * 1000, capacity=capacity)
        for user in users
    }


def _direct_flow(queue: str, prompt: str) -> Flow:
    nodes = {
        "wait": Node(queue=Queue(queue=queue, refused="over")),
        "over": Node(end=End(outcome="closed")),
    }
    if prompt:
        nodes["greet"] = Node(say=Say(words=(Words(prompt=prompt),), next="wait"))
    return Flow(flow="direct", start="greet" if prompt else "wait", nodes=nodes)
