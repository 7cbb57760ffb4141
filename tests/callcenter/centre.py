"""A whole core around one simulated worker, in virtual time: the real host, book, desks, flows, offers
and adoption; journal, voice, speech and lookups are fakes of their ports."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from callcenter.directory.people import User
from callcenter.journal import store
from callcenter.journal.private import PrivateStore
from callcenter.journal.writer import Entry
from callcenter.kernel.clock import VirtualClock
from callcenter.kernel.envelope import MasterKey
from callcenter.kernel.ids import IdFactory
from callcenter.kernel.schedule import VirtualScheduler
from callcenter.live.adoption import Adoption
from callcenter.live.agents import AgentDesk
from callcenter.live.book import Interaction
from callcenter.live.callbacks import CallbackRules, Callbacks
from callcenter.live.control import CallControl
from callcenter.live.cut_off import CutOffs
from callcenter.live.flow_runner import FlowRunner
from callcenter.live.host import Host, Recovered
from callcenter.live.key_entry import KeyEntry
from callcenter.live.messages import Messages
from callcenter.live.offers import CallRules, Offers, Seat
from callcenter.live.supervision import Supervision
from callcenter.live.voice_desk import DeskRules, VoiceDesk
from callcenter.live.waiting import WaitingRoom
from callcenter.messaging.casework import Casework
from callcenter.messaging.desk import WrittenDesk, WrittenRules
from callcenter.messaging.mail_desk import MailDesk, MailRules
from callcenter.messaging.outbox import Outbox
from callcenter.messaging.references import References
from callcenter.messaging.templates import Templates
from callcenter.messaging.text_flows import Party
from ivr_flows.interpreter import Words
from ivr_flows.library import shipped
from ivr_flows.schema import Flow
from routing import AgentPolicy, Policy, QueuePolicy
from routing import facts as rf
from tests.callcenter.sim_worker import SimWorker

MASTER = MasterKey(bytes(range(32)))
FLOWS = shipped()
START_MS = 1_767_600_000_000
REASONS = {"break", "meal", "training", "meeting", "other"}
CODES = {"enquiry_answered", "complaint_taken"}
OWN_MAIL = ("service@insurer.example", "claims@insurer.example")
RETRY_S = (30, 120, 600)
TEMPLATES = Templates({}, "客户服务")
SERVICE, COMPLAINTS = QueuePolicy("service"), QueuePolicy("complaints")
ANN, BOB = AgentPolicy("ann"), AgentPolicy("bob")


class MemoryJournal:
    """The journal port, committed at once, on a database in memory with the journal's own schema."""

    def __init__(self) -> None:
        self.connection: sqlite3.Connection = store.connect(Path(":memory:"))
        self.entries: list[Entry] = []
        self.to_tell: deque[Entry] = deque()
        """committed entries that the core has not heard of"""
        self.stuck = False
        """the disk is full: nothing is committed until this is lifted"""
        self._held: list[Entry] = []

    def put(self, entry: Entry) -> None:
        self._held.append(entry)
        if not self.stuck:
            self.flush()

    def flush(self) -> None:
        self.stuck = False
        held, self._held = self._held, []
        for entry in held:
            self._write(entry)

    def discard(self) -> None:
        """What was not committed when the core died is lost."""
        self._held.clear()
        self.stuck = False

    def rows(self, after: int = 0) -> Iterator[store.Row]:
        return store.rows_after(self.connection, after)

    def _write(self, entry: Entry) -> None:
        execute, many = self.connection.execute, self.connection.executemany
        execute(
            "INSERT INTO activations VALUES (?, ?, ?, ?, ?)",
            (entry.seq, entry.epoch, entry.now_ms, store.pack(entry.facts), store.pack(entry.commands)),
        )
        many("INSERT OR REPLACE INTO worker_acks VALUES (?, ?)", entry.acks)
        many("INSERT OR IGNORE INTO person_keys VALUES (?, ?)", entry.person_keys)
        many("INSERT OR REPLACE INTO private VALUES (?, ?, ?)", entry.private)
        if entry.snapshot is not None:
            row = store.snapshot_row(entry.seq, entry.now_ms, entry.snapshot)
            execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?)", row)
        self.entries.append(entry)
        self.to_tell.append(entry)


class AtOnce(Executor):
    """Helper threads that need none."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


class Speaker:
    """Every prompt exists, under its name."""

    def prepare(self, words: tuple[Words, ...], ready: Callable[[list[str]], None]) -> None:
        ready([f"{one.language}/{one.prompt or one.text or one.digits}" for one in words])


class Answers:
    """The lookups port: what is in `results`, at once, or `later()` when held."""

    def __init__(self, **results: Mapping[str, Any] | None) -> None:
        self.results: dict[str, Mapping[str, Any] | None] = {
            "customer": {"known": "no"},
            "hours": {"open": "yes"},
            "sales_agent": {"result": "active", "name": "陈静", "branch": "北京分公司"},
            **results,
        }
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.recognised: list[tuple[str, str]] = []
        self.hold = False
        self._held: list[tuple[Callable[[Mapping[str, Any] | None], None], str]] = []

    def ask(
        self,
        interaction: Party,
        name: str,
        args: Mapping[str, str],
        answer: Callable[[Mapping[str, Any] | None], None],
    ) -> None:
        self.asked.append((interaction.id, name, dict(args)))
        self._held.append((answer, name))
        if not self.hold:
            self.later()

    @property
    def open(self) -> bool:
        """Somebody waits for an answer."""
        return bool(self._held)

    def forget(self) -> None:
        """The core that asked is gone."""
        self._held.clear()
        self.hold = False

    def later(self) -> None:
        while self._held:
            answer, name = self._held.pop(0)
            answer(self.results[name])

    def recognise(self, interaction: str, caller: str) -> None:
        self.recognised.append((interaction, caller))


class Opening:
    """The hours port of mail."""

    def __init__(self) -> None:
        self.open = True

    def open_now(self) -> bool:
        return self.open


class Book:
    """Numbers and seats: the ports of the desk and of the offers."""

    def __init__(
        self, numbers: dict[str, tuple[str, str]], seats: dict[str, Seat], default_queue: str
    ) -> None:
        self.numbers, self.seats, self.default_queue = numbers, seats, default_queue

    def flow_of(self, number: str) -> tuple[str, str] | None:
        return self.numbers.get(number)

    def seat(self, agent: str) -> Seat | None:
        return self.seats.get(agent)

    def caller_id(self, queue: str) -> str:
        return ""

    def sound_of(self, queue: str) -> str:
        return ""


class Files:
    """The recordings port."""

    def __init__(self) -> None:
        self.merged: list[tuple[str, str, str]] = []
        self.picked_up: list[list[str]] = []
        self.running: list[str] = []

    def stopped(self, interaction: str, caller_file: str, agent_file: str) -> None:
        self.merged.append((interaction, caller_file, agent_file))

    def pick_up(self) -> None:
        self.picked_up.append(sorted(self.running))

    def goes_on(self, caller_file: str) -> None:
        self.running.append(caller_file)


def policy_of(*parts: QueuePolicy | AgentPolicy, **rules: Any) -> Policy:
    queues = {part.name: part for part in parts if isinstance(part, QueuePolicy)}
    agents = {part.agent: part for part in parts if isinstance(part, AgentPolicy)}
    return Policy(queues, agents, **rules)


class Centre:
    """One core's life; `restart()` answers the next one, with the same journal, worker and time."""

    def __init__(
        self,
        *parts: QueuePolicy | AgentPolicy,
        answer: str = "phone",
        record: bool = True,
        snapshot_every: int = 5_000,
        numbers: dict[str, tuple[str, str]] | None = None,
        flows: dict[str, Flow] | None = None,
        address: str = "127.0.0.1:5060",
        default_queue: str = "service",
        rules: dict[str, Any] | None = None,
        directory: Any = None,
        people: dict[str, User] | None = None,
        codes: set[str] | None = None,
        mail_rules: tuple[Any, ...] = (),
    ) -> None:
        parts = parts or (SERVICE, COMPLAINTS, ANN, BOB)
        self.policy = policy_of(*parts, **(rules or {}))
        self.clock = VirtualClock(START_MS)
        self.journal, self.worker = MemoryJournal(), SimWorker(self.clock)
        agents = [part.agent for part in parts if isinstance(part, AgentPolicy)]
        seats = {agent: Seat(agent, agent, f"sip:{agent}@10.1.1.1", answer) for agent in agents}
        self.people = people or {
            agent: User(login=agent, name=agent, ready_at_start=True) for agent in agents
        }
        self.codes = codes or CODES
        self.directory = directory or Book(numbers or {"95519": ("hotline", "zh")}, seats, default_queue)
        self.flow_files = FLOWS if flows is None else flows
        self.answers, self.files = Answers(), Files()
        self.opening, self.mail_rules = Opening(), mail_rules
        self.rules, self.address, self.snapshot_every = (
            CallRules(14_400, record, "rec"),
            address,
            snapshot_every,
        )
        self.epoch = 0
        self._start()
        self.attach()

    # --- lives -----------------------------------------------------------------------------------

    def restart(self, away_ms: int = 0) -> Recovered:
        """The core dies; `away_ms` later the next one is here and has taken the worker over."""
        self.crash()
        self.stay_away(away_ms)
        recovered = self.revive()
        self.attach()
        return recovered

    def crash(self) -> None:
        """Killed: what was not committed is lost, what was commanded is on its way."""
        self.host.close()
        self.journal.discard()
        self.worker.work()

    def stay_away(self, ms: int) -> None:
        while ms > 0:
            self.clock.advance(min(ms, 1000))
            self.worker.tick()
            ms -= 1000

    def revive(self) -> Recovered:
        return self._start()

    def attach(self) -> None:
        """The worker is found and greeted."""
        self.worker.facts.clear()
        self.adoption.worker_taken(self.worker.boot, self.worker.welcome())
        self.settle()

    def _start(self) -> Recovered:
        self.epoch += 1
        self.journal.to_tell.clear()
        self.ids, self.scheduler = IdFactory(self.epoch), VirtualScheduler(self.clock)
        self.private = PrivateStore(self.journal.connection, MASTER)
        self.host = Host(
            self.epoch, self.clock, self.scheduler, self.journal, self.private, self.snapshot_every
        )
        recovered = self.host.recover_newest(self.journal.connection)
        self.offers = Offers(self.host, self.worker, self.directory, self.ids, self.rules, self.address)
        self.cut_offs = CutOffs(self.host.private, self.clock, 900)
        self.cut_offs.adopt(self.host.book.interactions.values())
        self.host.listeners.append(self.cut_offs.heard)
        self.desk = VoiceDesk(
            self.host,
            self.worker,
            self.directory,
            self.ids,
            self.offers,
            self.files,
            self.answers,
            self.cut_offs,
            DeskRules("CN", self.rules.max_call_s, behind_edge=False),
        )
        self.flows = FlowRunner(
            self.host, self.scheduler, self.worker, Speaker(), self.answers, self.flow_files, self.desk
        )
        self.desk.flows = self.flows
        self.control = self.desk.control = CallControl(
            self.host, self.scheduler, self.worker, self.offers, self.ids, "ringback.wav", 14_400
        )
        self.callbacks = self.desk.callbacks = Callbacks(
            self.host, self.worker, self.ids, CallbackRules(attempts=2, retry_ms=60_000)
        )
        self.offers.place, self.control.call_again = self.callbacks.place, self.callbacks.again
        self.waiting = self.desk.waiting = WaitingRoom(
            self.host,
            self.scheduler,
            self.worker,
            Speaker(),
            self.callbacks,
            self.desk.waits,
            self.desk.left_queue,
        )
        self.id_endings: dict[int, str] = {}
        self.key_entry = self.desk.key_entry = KeyEntry(
            self.host, self.scheduler, self.worker, self._ends, AtOnce()
        )
        self.key_entry.set_modes = self.control.set_modes
        self.supervision = Supervision(self.host, self.worker, self.offers, self.control, self.ids, 14_400)
        self.supervision.refuse, self.supervision.has_flow = self.flows.refused, self.flows.runs
        self.superseded: list[int] = []
        self.adoption = Adoption(
            self.host,
            self.worker,
            self.desk,
            self.offers,
            self.files,  # type: ignore[arg-type]
            lambda boot: store.acknowledged(self.journal.connection, boot),
            self.superseded.append,
            self._begin,
            lambda: {self.worker.boot},
        )
        self.messages = Messages(self.host)
        self.written = WrittenDesk(
            self.host,
            self.scheduler,
            self.ids,
            self.answers,
            self.answers,
            self.flow_files,
            lambda: self.directory.default_queue,
            str.upper,
            WrittenRules(idle_s=600, gone_s=120),
        )
        self.agents = AgentDesk(self.host, self.people, lambda: self.codes, lambda: REASONS)
        self._join_mail()
        return recovered

    def _join_mail(self) -> None:
        """As `MailService` and the bootstrap do, without helper processes and sockets."""
        references, files = References(MASTER.blind_index), self.written.files
        rules = MailRules(OWN_MAIL, lambda: self.directory.default_queue, self.mail_rules)
        self.mail = MailDesk(
            self.host,
            self.ids,
            self.written,
            references,
            TEMPLATES,
            files,
            self.opening,
            str.upper,
            MASTER.blind_index,
            rules,
        )
        domain = OWN_MAIL[0].partition("@")[2]
        self.outbox = Outbox(
            self.host, references, TEMPLATES, files, "客户服务", "bounces", domain, RETRY_S, str
        )
        self.casework = Casework(self.host, self.ids, self.written)

    def _ends(self, customer: int, ending: str) -> bool | None:
        known = self.id_endings.get(customer)
        return None if known is None else known == ending

    def _begin(self) -> None:
        if self.policy.digest() != self.host.engine.policy.digest():
            self.host.submit(rf.PolicyReplaced(self.policy))
        self.written.begin_day()

    # --- letting things happen -------------------------------------------------------------------

    def settle(self) -> None:
        """Commands are carried out, facts delivered, commits told, until nothing is left."""
        for _ in range(10_000):
            if not (self.worker.work() + self.deliver() + self.tell_commits()):
                return
        raise AssertionError("core and worker never come to rest")

    def deliver(self, limit: int = 0) -> int:
        done = 0
        while self.worker.facts and (not limit or done < limit):
            done += 1
            self.adoption.worker_fact(self.worker.boot, self.worker.facts.popleft())
        return done

    def tell_commits(self) -> int:
        done = 0
        while self.journal.to_tell:
            entry = self.journal.to_tell.popleft()
            done += 1
            for boot, n in entry.acks:
                self.worker.acknowledge(boot, n)
            self.host.committed(entry.seq)
        return done

    def wait(self, seconds: float) -> None:
        """Time passes, second by second, everything that is due happens."""
        left = round(seconds * 1000)
        while left:
            slice_ms = min(1000, left)
            left -= slice_ms
            self.scheduler.advance(slice_ms)
            self.worker.tick()
            self.settle()

    # --- words of a scene ------------------------------------------------------------------------

    def ready(self, *agents: str) -> None:
        for agent in agents:
            self.agents.ready(agent)
        self.settle()

    def ring(self, called: str = "95519", caller: str = "13800138000") -> Interaction:
        leg = self.worker.ring(called, caller)
        self.settle()
        found = self.host.book.of_leg(leg)
        assert found is not None, f"no interaction for a call to {called}"
        return found

    def listen_through(self, interaction: Interaction) -> None:
        """Prompts that are said to their end come to it, until the flow asks or hands over."""
        for _ in range(50):
            leg = self.worker.legs.get(interaction.leg)
            if leg is None or leg.play is None:
                return
            run_listens = self.node_of(interaction).menu or self.node_of(interaction).collect
            if run_listens:
                return
            self.worker.finish_play(interaction.leg)
            self.settle()

    def press(self, interaction: Interaction, digits: str) -> None:
        self.worker.key(interaction.leg, digits)
        self.settle()
        self.listen_through(interaction)

    def node_of(self, interaction: Interaction) -> Any:
        return self.flow_files[interaction.flow].nodes[interaction.node]

    def queue_up(self, caller: str = "13800138000", keys: str = "10") -> Interaction:
        """A caller who went through the hotline to a person; who is ready rings already."""
        interaction = self.ring(caller=caller)
        self.listen_through(interaction)
        for key in keys:
            if interaction.leg in self.worker.legs:
                self.press(interaction, key)
        return interaction

    def talk(self, caller: str = "13800138000") -> Interaction:
        """A caller who talks to whoever is ready."""
        interaction = self.queue_up(caller)
        self.pick_up(interaction)
        return interaction

    def pick_up(self, interaction: Interaction) -> None:
        self.worker.pick_up(interaction.agent_leg)
        self.settle()

    def caller_leaves(self, interaction: Interaction, lost: bool = False) -> None:
        self.worker.leave(interaction.leg, 0 if lost else 200, lost=lost)
        self.settle()

    def agent_leaves(self, interaction: Interaction, code: int = 200, lost: bool = False) -> None:
        self.worker.leave(interaction.agent_leg, code, lost=lost)
        self.settle()

    # --- what a scene reads ----------------------------------------------------------------------

    def journalled(self, kind: str = "") -> list[dict[str, Any]]:
        """Facts of this kind, as the journal holds them."""
        facts = [fact for entry in self.journal.entries for fact in entry.facts]
        return [fact for fact in facts if kind in ("", fact["k"])]

    def agent(self, agent: str) -> str:
        view = self.host.engine.agent_view(agent)
        assert view is not None
        return view.state

    def heard(self, interaction: Interaction) -> list[str]:
        """Files of the last prompt that was played to the caller."""
        plays = self.worker.ops("play", interaction.leg)
        files: list[str] = plays[-1]["files"] if plays else []
        return files
