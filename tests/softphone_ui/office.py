"""A centre with its web application: real host, directory, queries, sessions and pages on SQLite, a simulated
worker, virtual time. What a test does to the centre runs on the application's loop (`office.do`)."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from sqlalchemy import Engine

from callcenter.directory.directory import Directory
from callcenter.directory.editing import Editor
from callcenter.directory.people import UserService
from callcenter.directory.phones import PhoneAccounts
from callcenter.explain import Step, explain
from callcenter.history import rebuild
from callcenter.journal.writer import WriterHealth
from callcenter.live.alarms import Alarms
from callcenter.live.book import Interaction
from callcenter.messaging.casework import Casework
from callcenter.messaging.uploads import Uploads
from callcenter.metrics import Metrics
from callcenter.recordings import RecordingArchive
from channels.voice.browser.link import BrowserPhones
from config.settings import Settings
from crm_core.db import session
from routing import facts as rf
from softphone_ui.app import build_app
from softphone_ui.auth import hash_password
from softphone_ui.panel import Panel
from tests.callcenter.centre import FLOWS, MASTER, Centre

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it wants another HTTP client than the one that is installed
    from starlette.testclient import TestClient, WebSocketTestSession

T = TypeVar("T")
PASSWORD = "correct horse 电池"
ORIGIN = "http://testserver"
_MARKS = itertools.count()
SETTINGS = Settings.model_validate(
    {
        "queues": [{"name": "service", "title": "客户服务"}, {"name": "complaints", "title": "投诉受理"}],
        "agents": [
            {"login": "1001", "name": "王芳", "device": "sip:1001@10.1.1.1", "answer": "panel"},
            {"login": "1002", "name": "李强", "device": "sip:1002@10.1.1.1"},
            {"login": "8001", "name": "周敏", "role": "supervisor"},
            {"login": "9001", "name": "郑审", "role": "auditor"},
            {"login": "9002", "name": "管理员", "role": "administrator"},
            {"login": "1009", "name": "无密码"},
        ],
        "numbers": [{"number": "95519", "flow": "hotline"}],
    }
)


def give_passwords(records: Engine, *logins: str) -> None:
    """One hash for all: hashing takes long on purpose."""
    hashed = hash_password(PASSWORD)
    with session(records) as db:
        for login in logins:
            user = UserService(db).by_login(login)
            assert user is not None
            user.password_hash = hashed
            db.add(user)
        db.commit()


class Office:
    """The core as `bootstrap` joins it, with the web application on top."""

    def __init__(self, records: Engine, directory: Directory) -> None:
        self.records, self.executor = records, ThreadPoolExecutor(2)
        policy = directory.policy()
        self.centre = Centre(
            *policy.queues.values(),
            *policy.agents.values(),
            directory=directory,
            people=directory.agents,
            codes={code.code for code in directory.wrap_up_codes},
        )
        self.troubles: list[str] = []
        self.core = SimpleNamespace(
            host=self.centre.host,
            agents=self.centre.agents,
            offers=self.centre.offers,
            desk=self.centre.desk,
            control=self.centre.control,
            supervision=self.centre.supervision,
            private=self.centre.private,
            clock=self.centre.clock,
            epoch=self.centre.epoch,
            records=records,
            settings=SETTINGS,
            master=MASTER,
            executor=self.executor,
            directory=directory,
            writer=SimpleNamespace(health=WriterHealth(), backlog=0),
            speech=SimpleNamespace(missing=0),
            pool=SimpleNamespace(statuses=list),
            edge=SimpleNamespace(status={}),
            alarms=Alarms(self.centre.clock),
            messages=self.centre.messages,
            key_entry=self.centre.key_entry,
            editor=Editor(records, self.centre.clock.now_ms),
            phone_accounts=PhoneAccounts(
                Path(tempfile.mkdtemp()) / "edge.db", "centre", "127.0.0.1:5060", self.centre.clock.now_ms
            ),
            reload_directory=self.reload_directory,
            archive=RecordingArchive(records, self.journal, MASTER),
            recordings=SimpleNamespace(waiting=0, failed=0),
            keeper=SimpleNamespace(deleted=0),
            rules=SimpleNamespace(refused=0),
            waiting=self.centre.waiting,
            browser_phones=BrowserPhones(Path("/nonexistent"), 0),
            troubles=lambda: list(self.troubles),
            until_in_history=self.until_in_history,
            on_record=self.on_record,
            callbacks=self.centre.callbacks,
            written=self.centre.written,
            mail=None,
            casework=Casework(self.centre.host, self.centre.ids, self.centre.written),
            uploads=Uploads(self.centre.written.files, self.executor, 10_000_000, "", self.on_record),
            web_chat=None,
            explain=self.explain,
        )
        directory.seated = self.centre.host.book.seats
        self.core.metrics = Metrics(self.core)
        self.panel = Panel(self.core, FLOWS)
        self.client = TestClient(build_app(self.panel))

    async def reload_directory(self) -> None:
        directory = self.core.directory
        directory.take(directory.read())
        if directory.policy().digest() != self.centre.host.engine.policy.digest():
            self.centre.host.submit(rf.PolicyReplaced(directory.policy()))

    async def explain(self, interaction: str) -> list[Step]:
        return explain(self.centre.journal.connection, interaction)

    async def on_record(self, *facts: Any) -> None:
        self.centre.host.submit(*facts)
        self.centre.settle()

    async def until_in_history(self) -> None:
        self.write_history()

    def journal(self) -> sqlite3.Connection:
        """A copy of the journal as it is now, for a reader of its own."""
        copy = sqlite3.connect(":memory:")
        self.centre.journal.connection.backup(copy)
        return copy

    def write_history(self) -> None:
        rebuild(self.records, self.centre.journal.connection, lambda _done: None)

    def do(self, work: Callable[..., T], *args: Any) -> T:
        """On the application's loop."""
        assert self.client.portal is not None
        result: T = self.client.portal.call(work, *args)
        return result

    def loop(self) -> asyncio.AbstractEventLoop:
        """The application's."""

        async def mine() -> asyncio.AbstractEventLoop:
            return asyncio.get_running_loop()

        return self.do(mine)

    def browser(self) -> Browser:
        return Browser(self)

    def log_in(self, login: str = "1001") -> Browser:
        browser = self.browser()
        browser.log_in(login)
        return browser

    async def rest(self) -> None:
        """Until nothing is being fetched any more."""
        for _ in range(20):
            await asyncio.gather(*self.panel._tasks, return_exceptions=True)
            await asyncio.sleep(0)

    # --- scenes, on the loop -------------------------------------------------------------------------

    def ring(self, agent: str = "1001", caller: str = "13800138000") -> Interaction:
        """A call that is offered to this agent."""

        def scene() -> Interaction:
            self.centre.agents.ready(agent)
            return self.centre.queue_up(caller)

        interaction = self.do(scene)
        assert interaction.agent == agent
        return interaction

    def talk(self, agent: str = "1001", caller: str = "13800138000") -> Interaction:
        interaction = self.ring(agent, caller)

        def scene() -> None:
            self.centre.offers.accept(agent, interaction.offer)
            self.centre.settle()
            self.centre.pick_up(interaction)

        self.do(scene)
        return interaction

    def hang_up(self, interaction: Interaction) -> None:
        self.do(self.centre.caller_leaves, interaction)

    def close(self) -> None:
        self.panel.close()
        self.executor.shutdown()
        self.centre.host.close()


class Browser:
    """One person's browser: its own cookies, its own token."""

    def __init__(self, office: Office) -> None:
        self.office, self.csrf = office, ""
        self.cookies: dict[str, str] = {}
        self.agent = "testclient"

    def log_in(self, login: str, password: str = PASSWORD) -> Any:
        response = self.send("POST", "/api/session", {"login": login, "password": password}, csrf=None)
        if response.status_code == 200:
            self.csrf = response.json()["csrf"]
        return response

    def get(self, path: str) -> Any:
        return self.send("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        return self.send("POST", f"/api{path}", body)

    def send(self, method: str, path: str, body: Any = None, csrf: str | bytes | None = "mine") -> Any:
        headers: dict[str, Any] = {"User-Agent": self.agent}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if csrf is not None and method != "GET":
            headers["X-CSRF-Token"] = self.csrf if csrf == "mine" else csrf
        client = self.office.client
        client.cookies.clear()
        response = client.request(method, path, json=body, headers=headers, follow_redirects=False)
        for name, value in response.cookies.items():
            self.cookies[name] = value
        if method == "DELETE" and path == "/api/session" and response.status_code == 204:
            self.cookies.pop("cc_session", None)
        return response

    @contextmanager
    def feed(
        self, boot: str = "", seq: int = 0, origin: str | None = ORIGIN, hello: Any = None
    ) -> Iterator[Feed]:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if origin is not None:
            headers["Origin"] = origin
        self.office.client.cookies.clear()
        with self.office.client.websocket_connect("/ws", headers=headers) as socket:
            socket.send_text(json.dumps({"boot": boot, "seq": seq} if hello is None else hello))
            yield Feed(self.office, socket)


class Feed:
    def __init__(self, office: Office, socket: WebSocketTestSession) -> None:
        self.office, self.socket = office, socket
        self.boot, self.seq = "", 0

    def next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.socket.receive_text())
        self.boot, self.seq = message["boot"], message["seq"]
        return message

    def so_far(self) -> list[dict[str, Any]]:
        """Everything that was on its way, up to a mark sent behind it: never waits for what does not come."""
        self.office.do(self.office.rest)
        mark = next(_MARKS)
        self.office.do(self.office.panel.hub.push_all, {"mark": mark})
        found: list[dict[str, Any]] = []
        while (message := self.next())["body"] != {"mark": mark}:
            found.append(message)
        return found

    def until(self, holds: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The last state that fits, among what came."""
        states = [message["body"] for message in self.so_far() if message["t"] == "state"]
        fitting = [state for state in states if holds(state)]
        assert fitting, f"it was never shown; the last was {states[-1:]}"
        return fitting[-1]
