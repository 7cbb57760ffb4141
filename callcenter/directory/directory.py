"""What the running core knows of people, queues and numbers; read at start from records and settings."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Engine

from callcenter.directory.people import User, UserService
from callcenter.directory.queues import QueueRecord, QueueService
from callcenter.live.offers import Seat
from channels.voice.browser.link import host_of
from config.settings import BROWSER, Settings
from crm_core.db import session
from crm_core.wrap_up import WrapUpCodePublic, WrapUpService
from ivr_flows.library import PROMPTS
from ivr_flows.schema import End, Flow, Node, Queue, Say, Words
from routing.policy import AgentPolicy, Policy, QueuePolicy, skills_of

_DIRECT = "direct_"


class Directory:
    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        with session(engine) as records:
            queues, users = QueueService(records), UserService(records)
            for queue in settings.queues:
                queues.upsert(queue, settings.voice.ring_timeout_s)
            for agent in settings.agents:
                users.upsert(agent)
            wrap_up = WrapUpService(records)
            wrap_up.seed()
            records.commit()
            self.queues: list[QueueRecord] = queues.all()
            self.agents: dict[str, User] = {user.login: user for user in users.agents()}
            self.people: dict[str, User] = {user.login: user for user in users.everybody()}
            self.wrap_up_codes: list[WrapUpCodePublic] = wrap_up.all()
        self.whispering = {queue.name for queue in settings.queues if queue.whisper}
        self._outside_ids = {queue.name: queue.caller_id for queue in settings.queues}
        ringback = prompt_file(settings, "ringback")
        self._sounds = {queue.name: ringback for queue in settings.queues if queue.sound == "ringback"}
        self._numbers = {number.number: number for number in settings.numbers}

    @property
    def default_queue(self) -> str:
        """Where callers go whom no other queue takes: the first of the configuration, else of the records."""
        configured = self._settings.queues
        if configured:
            return configured[0].name
        return self.queues[0].name if self.queues else ""

    def queue_titles(self) -> dict[str, str]:
        return {queue.name: queue.title or queue.name for queue in self.queues}

    def seat(self, agent: str) -> Seat | None:
        user = self.people.get(agent)
        if user is None:
            return None
        if user.device != BROWSER:
            return Seat(user.login, user.name, user.device, user.answer)
        # the host answers at once: it is the page that asks whether to take the call
        host, port = self._settings.browser_address(host_of(agent, max(1, self._settings.browser_hosts)))
        answer = "auto" if user.answer == "auto" else "panel"
        return Seat(user.login, user.name, f"sip:{agent}@{host}:{port}", answer)

    def caller_id(self, queue: str) -> str:
        return self._outside_ids.get(queue, "")

    def sound_of(self, queue: str) -> str:
        """The file that callers of this queue hear while waiting; "" for the usual music."""
        return self._sounds.get(queue, "")

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
        routing = self._settings.routing
        return Policy(
            queues={queue.name: _queue_policy(queue) for queue in self.queues},
            agents=_agent_policies(self.agents.values()),
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
    return QueuePolicy(
        name=queue.name,
        skills=skills_of(queue.skills),
        target_ms=queue.target_s * 1000,
        priority=queue.priority,
        ring_ms=queue.ring_timeout_s * 1000,
        max_waiting=queue.max_waiting,
    )


def _agent_policies(users: Iterable[User]) -> dict[str, AgentPolicy]:
    return {
        user.login: AgentPolicy(user.login, skills_of(user.skills), user.wrap_up_s * 1000) for user in users
    }


def _direct_flow(queue: str, prompt: str) -> Flow:
    nodes = {
        "wait": Node(queue=Queue(queue=queue, refused="over")),
        "over": Node(end=End(outcome="closed")),
    }
    if prompt:
        nodes["greet"] = Node(say=Say(words=(Words(prompt=prompt),), next="wait"))
    return Flow(flow="direct", start="greet" if prompt else "wait", nodes=nodes)
