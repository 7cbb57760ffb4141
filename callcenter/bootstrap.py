"""Builds the core of real parts and joins them. With `__main__` the only file that knows all rooms."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp

from callcenter.directory.directory import Directory, prompt_file
from callcenter.directory.editing import Editor
from callcenter.directory.phones import PhoneAccounts
from callcenter.directory.rules import RulesKeeper
from callcenter.explain import Step, explain_apart
from callcenter.history import HistoryFollower
from callcenter.journal import store
from callcenter.journal.database import ERRORS
from callcenter.journal.private import PrivateStore
from callcenter.journal.writer import Entry, JournalWriter
from callcenter.kernel import logging
from callcenter.kernel.clock import SystemClock
from callcenter.kernel.collector import spare_the_collector
from callcenter.kernel.envelope import MasterKey
from callcenter.kernel.errors import ConfigError, NotAllowed
from callcenter.kernel.ids import IdFactory
from callcenter.kernel.schedule import AsyncioScheduler
from callcenter.learning import LearningKeeper
from callcenter.live import trail
from callcenter.live.adoption import Adoption
from callcenter.live.agents import AgentDesk
from callcenter.live.alarms import Alarms
from callcenter.live.breaks import Breaks
from callcenter.live.callbacks import CallbackRules, Callbacks
from callcenter.live.control import CallControl
from callcenter.live.cut_off import CutOffs
from callcenter.live.flow_runner import FlowRunner
from callcenter.live.host import Host
from callcenter.live.hours import HoursKeeper
from callcenter.live.introduction import Introductions
from callcenter.live.keeper import RecordingKeeper, Retention, Rule
from callcenter.live.key_entry import KeyEntry
from callcenter.live.lookups import CrmLookups
from callcenter.live.messages import Messages, open_messages
from callcenter.live.offers import CallRules, Offers
from callcenter.live.recordings import RecordingSealer
from callcenter.live.speech import Speech
from callcenter.live.supervision import Supervision
from callcenter.live.voice_desk import DeskRules, VoiceDesk
from callcenter.live.waiting import WaitingRoom
from callcenter.messaging.archive import Index, MessageFold, MessageSearch, Texts
from callcenter.messaging.casework import Casework
from callcenter.messaging.desk import WrittenDesk, WrittenRules
from callcenter.messaging.identity import Identity
from callcenter.messaging.service import MailService, as_people_read
from callcenter.messaging.uploads import Uploads
from callcenter.messaging.visitors import Visitors
from callcenter.metrics import Metrics
from callcenter.queries import cut_off_since
from callcenter.recordings import RecordingArchive
from channels.webchat.adapter import WebChat
from config.sections import split_address
from config.settings import Settings
from crm_core.db import migrate, open_engine
from ivr_flows.library import PROMPTS, shipped
from ivr_flows.schema import Flow
from routing import facts as rf
from softphone_ui.app import Panel, build_app

log = logging.get("core")
_MISSING_WORKERS_S = 1.0
_LAG_EVERY_S = 0.1


class Core:
    """One core process: everything between the journal and the outside."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        from channels.voice.adapter import WorkerPool
        from channels.voice.browser.link import BrowserPhones
        from channels.voice.edge.link import EdgeLink

        self.settings, self.loop = settings, loop
        self.state = "starting"
        self._begun = False
        self._saved_seq = 0
        self._waiting_saved: list[tuple[int, asyncio.Future[None]]] = []
        self.http_address = ""
        self.clock, self.scheduler = SystemClock(), AsyncioScheduler(loop)
        self.master = MasterKey.load(settings.paths.var / "keys" / "master.key")
        self.records = open_engine(settings.database.url)
        migrate(self.records)
        self.directory = Directory(settings, self.records)
        self.reader = store.connect(settings.journal.url)
        seq, last_ms = store.last_moment(self.reader)
        self.clock.raise_to(last_ms)
        self.epoch = store.take_epoch(self.reader, self.clock.now_ms())
        logging.bind(epoch=self.epoch)
        self.ids = IdFactory(self.epoch)
        self.private = PrivateStore(self.reader, self.master)
        self.writer = JournalWriter(settings.journal.url, self._on_committed)
        self.host = Host(
            self.epoch, self.clock, self.scheduler, self.writer, self.private, settings.journal.snapshot_every
        )
        self.executor = ThreadPoolExecutor(4, "crm")
        index = Index(self.master.index_key("messages"))
        self.history = HistoryFollower(
            self.records, self.reader, self._on_saved, MessageFold(self._texts_apart(), index)
        )
        self.search = MessageSearch(self.records, index, self._texts_apart())
        self._recover(seq)
        self.pool = WorkerPool(settings.run_dir, self.epoch, self)  # type: ignore[arg-type]
        self.edge = EdgeLink(settings.run_dir)
        self.browser_phones = BrowserPhones(settings.run_dir, settings.browser_hosts)
        self._join()

    def _texts_apart(self) -> Texts:
        """What is committed, for another thread than the loop's."""
        return PrivateStore(store.connect(self.settings.journal.url), self.master).get

    def _recover(self, seq: int) -> None:
        started_ms = self.clock.now_ms()
        recovered = self.host.recover_newest(self.reader)
        log.info("recovered", seq=seq, facts=recovered.facts, ms=self.clock.now_ms() - started_ms)

    def _join(self) -> None:
        settings, host = self.settings, self.host
        prompts = [path for path in (settings.paths.prompts, PROMPTS) if path is not None]
        self.speech = Speech(prompts, settings.paths.var / "cache" / "prompts")
        self.hours = HoursKeeper(host, self.scheduler, settings.hours)
        self.lookups = CrmLookups(
            host,
            self.records,
            self.master,
            self.hours,
            self.executor,
            settings.routing.remember_agent_days * 86_400_000,
        )
        self.alarms = Alarms(self.clock)
        self.recordings = RecordingSealer(host)
        self.archive = RecordingArchive(
            self.records, lambda: store.connect(settings.journal.url), self.master
        )
        rules = CallRules(
            settings.voice.max_call_s,
            settings.voice.record,
            str(settings.paths.var / "recordings"),
            settings.voice.domain,
        )
        first = settings.routing.after_cut_off == "first"
        self.cut_offs = CutOffs(self.private, self.clock, settings.routing.cut_off_memory_s if first else 0)
        self.cut_offs.adopt(host.book.interactions.values())
        host.listeners.append(self.cut_offs.heard)
        self.cut_offs.remember(cut_off_since(self.records, self.clock.now_ms() - 86_400_000))
        address = settings.voice.advertise or settings.voice.listen
        self.offers = Offers(host, self.pool, self.directory, self.ids, rules, address)
        self.keeper = RecordingKeeper(
            host,
            self.scheduler,
            self.pool,
            Retention(
                self.records,
                [Rule(**rule.model_dump()) for rule in settings.recordings.rules],
                settings.recordings.keep_days,
            ),
            self.alarms,
            self.executor,
            settings.paths.var / "recordings",
            settings.recordings.min_free_mb,
        )
        self.introductions = Introductions(
            self.directory,
            self.speech,
            self.records,
            self.master,
            self.executor,
            prompt_file(settings, "zip"),
        )
        self.keeper.in_history = self.until_in_history
        self.offers.introduce = self.introductions.introduce
        self.offers.room_to_record = lambda: self.keeper.room
        self.recordings.full = self.keeper.found_no_room
        self.desk = VoiceDesk(
            host,
            self.pool,
            self.directory,
            self.ids,
            self.offers,
            self.recordings,
            self.lookups,
            self.cut_offs,
            DeskRules(settings.voice.region, settings.voice.max_call_s, settings.voice.edge),
        )
        flows = {**shipped(), **self.directory.direct_flows()}
        self.desk.flows = FlowRunner(
            host, self.scheduler, self.pool, self.speech, self.lookups, flows, self.desk
        )
        self.control = self.desk.control = CallControl(
            host,
            self.scheduler,
            self.pool,
            self.offers,
            self.ids,
            prompt_file(settings, "ringback"),
            settings.voice.max_call_s,
        )
        routing = settings.routing
        self.callbacks = self.desk.callbacks = Callbacks(
            host,
            self.pool,
            self.ids,
            CallbackRules(routing.callback_attempts, routing.callback_retry_s * 1000),
        )
        self.offers.place, self.control.call_again = self.callbacks.place, self.callbacks.again
        self.waiting = self.desk.waiting = WaitingRoom(
            host,
            self.scheduler,
            self.pool,
            self.speech,
            self.callbacks,
            self.desk.waits,
            self.desk.left_queue,
        )
        self.written = WrittenDesk(
            host,
            self.scheduler,
            self.ids,
            self.lookups,
            self.lookups,
            flows,
            lambda: self.directory.default_queue,
            self.directory.name_of,
            WrittenRules(settings.chat.idle_s, settings.chat.gone_s),
        )
        self.key_entry = self.desk.key_entry = KeyEntry(
            host, self.scheduler, self.pool, self.lookups.id_number_ends, self.executor
        )
        self.key_entry.set_modes = self.control.set_modes
        self.supervision = Supervision(
            host, self.pool, self.offers, self.control, self.ids, settings.voice.max_call_s
        )
        self.supervision.refuse, self.supervision.has_flow = self.desk.flows.refused, self.desk.flows.runs
        self.supervision.look_at_hours = self.hours.look
        self.adoption = Adoption(
            host,
            self.pool,
            self.desk,
            self.offers,
            self.recordings,
            lambda boot: store.acknowledged(self.reader, boot),
            self._superseded,
            self._begin,
            lambda: {path.stem.rpartition("-")[2] for path in settings.run_dir.glob("w-*-*.sock")},
        )
        # the pool reports to the adoption desk from its first word on
        self.pool.events = self.adoption
        self.messages = Messages(host, open_messages(self.records))
        self.directory.seated = host.book.seats
        self.editor = Editor(self.records, self.clock.now_ms)
        voice = settings.voice
        self.phone_accounts = PhoneAccounts(settings.edge_file, voice.domain, voice.listen, self.clock.now_ms)
        self.agents = AgentDesk(
            host,
            self.directory.agents,
            lambda: {code.code for code in self.directory.wrap_up_codes},
            lambda: {reason.code for reason in self.directory.reasons},
        )
        self.rules = RulesKeeper(
            self.directory.rules,
            self.scheduler,
            self.executor,
            self.alarms,
            self.directory.base_policy,
            self._policy_changed,
        )
        self.breaks = Breaks(host, self.alarms, self.directory.name_of)
        self.learning = LearningKeeper(host, self.scheduler, self.records, self.executor)
        self.metrics = Metrics(self)
        host.listeners.append(trail.tell)
        self.mail = MailService.of(self)
        self.casework = Casework(host, self.ids, self.written)
        self.uploads = Uploads(
            self.written.files,
            self.executor,
            settings.email.most_file_mb * 1_000_000,
            settings.email.clamd,
            self.on_record,
        )
        self.identity = Identity(host, self.written, self.mail.desk if self.mail is not None else None)
        self.visitors = Visitors(
            host,
            self.written,
            self.uploads,
            self.search,
            self.mail.desk if self.mail is not None else None,
            self.executor,
            self.directory.name_of,
            as_people_read,
        )
        self.web_chat = self._web_chat(flows)
        self.panel = Panel(self, flows)

    def _web_chat(self, flows: dict[str, Flow]) -> WebChat | None:
        chat = self.settings.chat
        if not chat.flow:
            return None
        if chat.flow not in flows:
            raise ConfigError("chat.flow", chat.flow, f"one of {sorted(flows)}")
        return WebChat(
            chat,
            self.written,
            self.settings.voice.region,
            lambda interaction: self.master.blind_index("chat-visit", interaction),
            self.visitors,
        )

    async def start(self) -> None:
        """Policy, people, workers, pages; ready when all of them are."""
        if not any(self.settings.run_dir.glob("w-*-*.sock")):
            self.adoption.open()
        self.pool.start()
        if self.settings.voice.edge:
            self.edge.start()
        self.browser_phones.start()
        self.keeper.start()
        if self.mail is not None:
            self.mail.channel.start()
        self.loop.call_later(_MISSING_WORKERS_S, self.adoption.give_up_missing)
        self._watch_lag(self.loop.time())
        await self._serve()
        self.state = "ready"
        spare_the_collector()
        self._say_where()
        log.info("ready", address=self.http_address)

    def _begin(self) -> None:
        """Once, when who talks is settled."""
        if self._begun:
            return
        self._begun = True
        self._policy_changed()
        self.rules.watch()
        self.learning.start()
        self.written.begin_day()
        if self.mail is not None:
            self.mail.post_room.start()
        self.hours.watch()
        self.agents.start_of_day()

    async def _serve(self) -> None:
        import uvicorn

        settings_http = self.settings.http
        host, port = split_address(settings_http.listen)
        app = build_app(self.panel)
        entrance: ASGIApp = app
        if self.web_chat is not None:
            app.include_router(self.web_chat.router)
            entrance = self.web_chat.before(app)
        config = uvicorn.Config(
            entrance,
            host=host,
            port=port,
            log_config=None,
            lifespan="off",
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            ssl_certfile=settings_http.tls_cert,
            ssl_keyfile=str(settings_http.tls_key) if settings_http.tls_key else None,
        )

        class Server(uvicorn.Server):
            def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
                return contextlib.nullcontext()  # the reactor owns the signals

        self.server = Server(config)
        self.serving = self.loop.create_task(self.server.serve())
        while not self.server.started:
            if self.serving.done():
                raise RuntimeError(f"cannot listen on {self.settings.http.listen}")
            await asyncio.sleep(0.01)
        bound = self.server.servers[0].sockets[0].getsockname()
        self.http_address = f"{bound[0]}:{bound[1]}"

    async def stop(self) -> None:
        """Hand over: workers keep their calls. When the workers are gone too, the day is over."""
        self.state = "stopping"
        self._say_where()
        if not self.pool.links:
            self.agents.end_of_day()
        self.keeper.close()
        self.pool.stop()
        self.edge.stop()
        await self.browser_phones.stop()
        if self.mail is not None:
            await self.mail.stop()
        self.host.close()
        self.panel.close()
        self.server.should_exit = True
        await self.recordings.close()
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(self.serving), 0.8)
        self.writer.close(0.8)
        self.history.close(0.5)
        self.executor.shutdown(wait=False, cancel_futures=True)
        trail.lines.flush()
        log.info("stopped")

    def _on_committed(self, entries: list[Entry]) -> None:
        self.history.put(entries)
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._after_commit, entries)

    def _after_commit(self, entries: list[Entry]) -> None:
        acks: dict[str, int] = {}
        for entry in entries:
            acks.update(entry.acks)
        for boot, n in acks.items():
            self.pool.acknowledge(boot, n)
        self.host.committed(entries[-1].seq)

    def _on_saved(self, seq: int) -> None:
        self._saved_seq = max(seq, self._saved_seq)
        if self._waiting_saved:
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._after_saved, seq)

    def _after_saved(self, seq: int) -> None:
        waiting, self._waiting_saved = self._waiting_saved, []
        for wanted, future in waiting:
            if wanted > seq:
                self._waiting_saved.append((wanted, future))
            elif not future.done():
                future.set_result(None)

    async def reload_directory(self) -> None:
        """What the records say of people and queues counts from now on."""
        content = await self.loop.run_in_executor(self.executor, self.directory.read)
        self.directory.take(content)
        self._policy_changed()

    def _policy_changed(self) -> None:
        policy = self.directory.policy()
        if policy.digest() != self.host.engine.policy.digest():
            self.host.submit(rf.PolicyReplaced(policy))

    async def explain(self, interaction: str) -> list[Step]:
        """Of what the journal has; in a process of its own."""
        return await explain_apart(self.settings.journal.url, interaction)

    async def on_record(self, *facts: Any, timeout_s: float = 5.0) -> None:
        """Submit these facts and return when the journal has them. Raises NotAllowed: database."""
        committed: asyncio.Future[None] = self.loop.create_future()

        def settle() -> None:
            if not committed.done():
                committed.set_result(None)

        self.host.submit(*facts, after_commit=settle)
        try:
            await asyncio.wait_for(committed, timeout_s)
        except TimeoutError as error:
            raise NotAllowed("database") from error

    async def until_in_history(self, timeout_s: float = 2.0) -> None:
        """Return when history shows what was submitted so far, or time is up: it will show it later."""
        seq = self.host.engine.seq
        if self._saved_seq >= seq:
            return
        future: asyncio.Future[None] = self.loop.create_future()
        self._waiting_saved.append((seq, future))
        if self._saved_seq >= seq:
            return  # saved between the two looks
        self.history.hurry()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(future, timeout_s)

    def _superseded(self, epoch: int) -> None:
        from twisted.internet import reactor

        log.warning("superseded", epoch=epoch)
        running: Any = reactor
        running.stop()

    def _watch_lag(self, expected: float) -> None:
        now = self.loop.time()
        self.metrics.loop_lag(max(0.0, now - expected))
        trail.lines.flush()
        self.loop.call_later(_LAG_EVERY_S, self._watch_lag, now + _LAG_EVERY_S)

    def _say_where(self) -> None:
        path = self.settings.run_dir / "core.json"
        part = path.with_suffix(".part")
        content = {"pid": os.getpid(), "epoch": self.epoch, "state": self.state, "http": self.http_address}
        part.write_text(json.dumps(content))
        part.replace(path)

    def troubles(self) -> list[str]:
        """Why the core is not ready to take work; empty when it is."""
        found = []
        if self.state != "ready":
            found.append(self.state)
        if self.writer.health.error:
            found.append(f"journal: {self.writer.health.error}")
        if self.history.error:
            found.append(f"database: {self.history.error}")
        if not self.pool.links:
            found.append("voice: no worker")
        if self.mail is not None and self.mail.channel.trouble:
            found.append(f"email: {self.mail.channel.trouble}")
        return found


def run_core(settings: Settings) -> int:
    """The core until TERM or INT, or until a newer core reigns."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    from twisted.internet import asyncioreactor

    asyncioreactor.install(loop)
    from twisted.internet import defer, reactor

    _reactor: Any = reactor
    logging.configure("core")
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    settings.run_dir.chmod(0o700)
    lock = _core_lock(settings.run_dir)
    try:
        core = Core(settings, loop)
    except ConfigError as error:
        sys.stderr.write(f"configuration: {error}\n")
        return 2
    except (store.JournalTooNew, *ERRORS, SQLAlchemyError, OSError, ValueError) as error:
        log.error("cannot_start", reason=str(error))
        return 4
    failed: list[BaseException] = []

    async def start() -> None:
        try:
            await core.start()
        except Exception as error:
            log.exception("start_failed")
            failed.append(error)
            _reactor.stop()

    _reactor.addSystemEventTrigger(
        "before", "shutdown", lambda: defer.Deferred.fromFuture(asyncio.ensure_future(core.stop(), loop=loop))
    )
    _reactor.callWhenRunning(lambda: asyncio.ensure_future(start(), loop=loop))
    _reactor.run()
    os.close(lock)
    return 4 if failed else 0


def _core_lock(run_dir: Path) -> int:
    """`<run_dir>/core.lock`, held for life; its text is the pid of the newest core. The lock is shared,
    since a newer core starts while an older one, about to be superseded, still lives."""
    descriptor = os.open(run_dir / "core.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor
