"""A whole centre in its own processes, configured by a test, watched from outside only.

What tests see of it is what operators see: `/readyz`, `/metrics`, `callcenter status` and `report`,
the panel's API and feed, files of recordings."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect as connect_feed
from websockets.typing import Origin

from tests.peers.phones import HOST, ends_with_tests, free_port, rtp_range, until
from tests.peers.sound import write_tone

Row = dict[str, Any]
PASSWORD = "correct horse battery"
STOP_WITHIN_S = 3.0
REAPED_WITHIN_S = 0.5
"""for whatever adopts the children of processes that ended (init) to collect them"""
READY_WITHIN_S = 30.0
_MARK = "CENTRE_UNDER_TEST"
_SUPERVISOR = "8001"


def agent(login: str, port: int = 9, *skills: str, **more: Any) -> Row:
    """A seat whose device is a telephone on this port; ready from the start, no wrap-up."""
    seat = {
        "login": login,
        "name": f"座席{login}",
        "device": f"sip:{login}@{HOST}:{port}",
        "ready_at_start": True,
        "wrap_up_s": 0,
        "skills": dict.fromkeys(skills or ("service",), 5),
    }
    return {**seat, **more}


def queue(name: str, **more: Any) -> Row:
    """A queue that asks for the skill of its own name."""
    return {"name": name, "skills": {name: 1}, **more}


def moment(text: str) -> float:
    """A report's time as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


LIBRARIES = ["stock", pytest.param("dense", marks=pytest.mark.dense)]
"""a worker is tested on both builds of PJSIP"""


class Centre:
    """`callcenter run` with supervisor, core and one voice worker.

    `numbers`, `queues`, `agents` are the tables of the configuration file, `voice` and `routing` keys
    of those sections, `prompts` seconds of sound that take the place of shipped ones. A supervisor of people,
    8001, is always there for `agents()`."""

    def __init__(
        self,
        *,
        numbers: Sequence[Row],
        queues: Sequence[Row],
        agents: Sequence[Row],
        library: str = "stock",
        voice: Mapping[str, Any] | None = None,
        routing: Mapping[str, Any] | None = None,
        prompts: Mapping[str, float] | None = None,
        trunks: Sequence[Row] = (),
        webrtc: Mapping[str, Any] | None = None,
        sections: Mapping[str, Row] | None = None,
        sample: bool = False,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="cc-", dir="/tmp"))
        self.var = self.directory / "var"
        self.config = self.directory / "centre.toml"
        port = free_port()
        self.sip, self.inside = f"{HOST}:{port}", f"{HOST}:{port + 1}"
        self.http = f"{HOST}:{free_port()}"
        self._mark = f"{_MARK}={uuid.uuid4().hex}"
        name, _, value = self._mark.partition("=")
        # settings of the environment that started the tests are not this centre's
        clean = {k: v for k, v in os.environ.items() if not (k.startswith("CALLCENTER_") and "__" in k)}
        self._environment = {**clean, name: value}
        self._sessions: set[int] = set()
        self._people: dict[str, Person] = {}
        self.output = self.directory / "run.txt"
        self._prompts = self.directory / "prompts"
        self._prompts.mkdir()
        for prompt, seconds in (prompts or {}).items():
            write_tone(self._prompts / f"{prompt}.wav", 660, seconds)
        self._trunks, self._webrtc = trunks, dict(webrtc or {})
        self._sections = dict(sections or {})
        self._write_config(numbers, queues, agents, library, dict(voice or {}), dict(routing or {}))
        if sample:
            self._fill()
        self.supervisor = self._start()

    # --- its life ------------------------------------------------------------------------------------

    def wait_ready(self, within_s: float = READY_WITHIN_S) -> None:
        """Until /readyz says 200. Raises RuntimeError when the supervisor has given up."""

        def ready() -> bool:
            if self.supervisor.poll() is not None:
                raise RuntimeError(f"ended with {self.supervisor.returncode}: {self.output.read_text()}")
            return self._get("/readyz")[0] == 200

        until(ready, within_s, "/readyz", 0.02)
        self._note_sessions()

    def kill_core(self) -> float:
        """SIGKILL to the core; answers the moment (seconds since 1970)."""
        return self.kill(self.status()["core"]["pid"])

    def kill_edge(self) -> float:
        """SIGKILL to the edge; answers the moment."""
        return self.kill(self.status()["edge"]["pid"])

    def add_phone(self, user: str) -> str:
        """An account for a desk phone; its password."""
        told = dict(line.split(" ", 1) for line in self._command("phone", "add", user).splitlines())
        return told["password"]

    def restart(self) -> str:
        """`callcenter restart --drain`; what it said."""
        return self._command("restart", "--drain")

    def kill_worker(self) -> float:
        """SIGKILL to the voice worker; answers the moment."""
        return self.kill(self.status()["workers"][0]["pid"])

    def kill(self, pid: int) -> float:
        """SIGKILL to one of its processes; answers the moment."""
        assert pid, "nothing to kill"
        self._note_sessions()
        os.kill(pid, signal.SIGKILL)
        at = time.time()
        until(lambda: _stat(pid)[0] in "ZX", 2, f"the end of {pid}")
        return at

    @contextlib.contextmanager
    def without_supervisor(self) -> Iterator[None]:
        """Nothing is started or reaped meanwhile: the supervisor stands still."""
        self.supervisor.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.supervisor.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """TERM to the supervisor. Raises AssertionError unless it ends with 0, in time, leaving nothing."""
        self._note_sessions()
        asked = time.monotonic()
        self.supervisor.terminate()
        try:
            code = self.supervisor.wait(STOP_WITHIN_S + 5)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"does not stop: {self._leftovers()}") from None
        took = time.monotonic() - asked
        assert code == 0, f"ended with {code}: {self.output.read_text()}"
        assert took < STOP_WITHIN_S, f"took {took:.2f} s to stop"
        deadline = time.monotonic() + REAPED_WITHIN_S
        while (left := self._leftovers()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not left, f"still there after the stop: {left}"

    def close(self) -> None:
        """Whatever state it is in: none of its processes and files remain."""
        self._note_sessions()
        if self.supervisor.poll() is None:
            self.supervisor.kill()
        for pid in self._marked():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.supervisor.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def logs(self, lines: int = 40) -> str:
        """The ends of all logs, for the report of a failed test."""
        files = [self.output, *sorted((self.var / "log").glob("*.log"))]
        return "\n".join(
            f"--- {file.name}\n" + "\n".join(file.read_text(errors="replace").splitlines()[-lines:])
            for file in files
            if file.exists()
        )

    # --- what operators see --------------------------------------------------------------------------

    def status(self) -> Row:
        """`callcenter status --json`."""
        found: Row = json.loads(self._command("status", "--json", check=False))
        return found

    def report(self) -> list[Row]:
        """`callcenter report interactions --format json`."""
        rows: list[Row] = json.loads(self._command("report", "interactions", "--format", "json"))
        return rows

    def service_report(self) -> Row:
        """`callcenter report service --format json`: today so far."""
        found: Row = json.loads(self._command("report", "service", "--format", "json"))
        return found

    def records(self, number: str, caller: str = "") -> list[Row]:
        """Of the report: calls to this number (from this caller)."""
        return [
            row
            for row in self.report()
            if row["number"] == number and (not caller or (row["caller"] or "").endswith(caller))
        ]

    def ended(self, number: str, caller: str = "", within_s: float = 15) -> Row:
        """The one record of a call to this number, once it has ended. Raises AssertionError for several."""

        def over() -> Row | None:
            rows = self.records(number, caller)
            assert len(rows) <= 1, f"several interactions: {rows}"
            return rows[0] if rows and rows[0]["ended_at"] else None

        return until(over, within_s, f"the record of a call to {number}", 0.1)

    def recorded(self, number: str, caller: str = "", within_s: float = 15) -> Row:
        """As `ended`, once its recording is there too."""

        def saved() -> Row | None:
            row = self.ended(number, caller, within_s)
            return row if any(part["state"] == "saved" for part in row["recordings"]) else None

        return until(saved, within_s, f"the recording of a call to {number}", 0.1)

    def identity(self) -> tuple[str, str]:
        """Of the first sample customer: the last six places of the identity number, and a telephone number."""
        from callcenter.kernel.envelope import MasterKey
        from config.settings import load
        from crm_core.customers import Customer, CustomerService
        from crm_core.db import open_engine, reads, session

        settings = load(self.config, {})
        master = MasterKey.load(settings.paths.var / "keys" / "master.key")
        engine = open_engine(settings.database.url)
        with session(reads(engine)) as records:
            customer = records.get(Customer, 1)
            assert customer is not None
            assert customer.id_number_sealed is not None
            number = master.unseal_text(customer.id_number_sealed, f"id_number:{customer.id}")
            phone = CustomerService(records, master).public(customer).phones[0]
        engine.dispose()
        return number[-6:], phone.removeprefix("+86")

    def verify(self, *options: str) -> Row:
        """`callcenter recordings verify --json`."""
        found: Row = json.loads(self._command("recordings", "verify", "--json", *options, check=False))
        return found

    def sound(self, row: Row) -> Path:
        """The newest recording of this record, in clear: `callcenter recordings export`."""
        saved = [part for part in row["recordings"] if part["state"] == "saved"]
        target = self.directory / f"{saved[-1]['id']}.wav"
        self._command("recordings", "export", saved[-1]["id"], "--out", str(target))
        return target

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the series of /metrics that carry these labels; 0 where there is none."""
        status, body = self._get("/metrics")
        assert status == 200, f"/metrics answered {status}"
        total = 0.0
        for line in body.splitlines():
            found = re.fullmatch(rf"{re.escape(name)}(?:\{{(.*)\}})? (\S+)", line)
            if found and labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"', found[1] or "")).items():
                total += float(found[2])
        return total

    def waiting(self, queue: str) -> int:
        return int(self.metric("callcenter_queue_length", queue=queue))

    def legs(self) -> tuple[int, int]:
        """(legs in use or reserved, capacity) as the worker itself says."""
        worker = self.status()["workers"][0]
        return worker["legs"] + worker["reserved"], worker["capacity"]

    def wait_no_legs(self, within_s: float = 5) -> None:
        try:
            until(lambda: self.legs()[0] == 0, within_s, "all legs free", 0.05)
        except TimeoutError:
            raise TimeoutError(f"not all legs free within {within_s} s: {self.status()}") from None

    def agents(self) -> dict[str, Row]:
        """Every seat as a supervisor's page shows it: {login: {state, reason, since_ms, ...}}."""
        return {row["login"]: row for row in self.person(_SUPERVISOR).page()["agents"]}

    def wait_agent(self, login: str, state: str, within_s: float = 5) -> Row:
        """Until this seat is in this state; its row."""

        def there() -> Row | None:
            row = self.agents()[login]
            return row if row["state"] == state else None

        try:
            return until(there, within_s, state, 0.02)
        except TimeoutError:
            raise TimeoutError(f"{login} not {state} within {within_s} s: {self.agents()[login]}") from None

    def wait_agents(self, state: str, count: int, within_s: float = 5) -> None:
        """Until so many seats are in this state; quicker than `wait_agent`, needs nobody logged in."""
        until(
            lambda: self.metric("callcenter_agents", state=state) == count, within_s, f"{count} {state}", 0.01
        )

    def person(self, login: str) -> Person:
        """Somebody logged in at the panel, by way of its API."""
        if login not in self._people:
            self.set_password(login)
            self._people[login] = Person(self.http, login)
        return self._people[login]

    def set_password(self, login: str) -> None:
        self._command("user", "password", login, given=f"{PASSWORD}\n")

    # --- underneath ----------------------------------------------------------------------------------

    def _write_config(
        self,
        numbers: Sequence[Row],
        queues: Sequence[Row],
        agents: Sequence[Row],
        library: str,
        voice: Row,
        routing: Row,
    ) -> None:
        rtp = list(rtp_range(large=library == "dense"))
        people = [*agents, {"login": _SUPERVISOR, "name": "班长", "role": "supervisor"}]
        sections: Row = {
            "voice": {
                "listen": self.sip,
                "inside": self.inside,
                "rtp_ports": rtp,
                "library": library,
                "retry_after_s": 7,
                **voice,
            },
            "http": {"listen": self.http},
            "paths": {"var": str(self.var), "prompts": str(self._prompts)},
            "routing": routing,
            **(
                {"webrtc": {"rtp_ports": list(rtp_range(large=False)), **self._webrtc}}
                if self._webrtc
                else {}
            ),
            **self._sections,
            "trunks": self._trunks,
            "numbers": numbers,
            "queues": queues,
            "agents": people,
        }
        self.config.write_text("".join(_toml(name, content) for name, content in sections.items()))

    def _fill(self) -> None:
        """Sample people, before the centre starts."""
        from callcenter.kernel.envelope import MasterKey
        from config.settings import load
        from crm_core.db import migrate, open_engine, session
        from crm_core.sample import fill

        settings = load(self.config, {})
        master = MasterKey.load(settings.paths.var / "keys" / "master.key")
        engine = open_engine(settings.database.url)
        migrate(engine)
        with session(engine) as records:
            fill(records, master, date(2026, 1, 15))
            records.commit()
        engine.dispose()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.output.open("wb") as out:
            return subprocess.Popen(
                [sys.executable, "-m", "callcenter", "run", "-c", str(self.config)],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
                preexec_fn=ends_with_tests(signal.SIGTERM),
            )

    def _command(self, *arguments: str, given: str = "", check: bool = True) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "callcenter", *arguments, "-c", str(self.config)],
            cwd=self.directory,
            input=given,
            capture_output=True,
            text=True,
            env=self._environment,
            timeout=30,
            check=False,
        )
        assert not check or done.returncode == 0, f"{arguments} ended with {done.returncode}: {done.stderr}"
        return done.stdout

    def _get(self, path: str) -> tuple[int, str]:
        """(status, body); status 0 while nobody listens."""
        link = http.client.HTTPConnection(self.http, timeout=5)
        try:
            link.request("GET", path)
            answer = link.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            link.close()

    def _marked(self) -> list[int]:
        """Living processes that were started with this centre's environment."""
        mark, found = self._mark.encode(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found

    def _note_sessions(self) -> None:
        """Each part has a process session of its own, by which its zombies are known too."""
        self._sessions |= {_stat(pid)[1] for pid in self._marked()} - {0}

    def _leftovers(self) -> list[str]:
        found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        left = {pid for pid in found if _stat(pid)[1] in self._sessions and _stat(pid)[1]} | set(
            self._marked()
        )
        return [f"{pid} {_stat(pid)[0]} {_arguments(pid)}" for pid in sorted(left)]


class Person:
    """One log-in at the panel: commands by the API, the page's state by its feed."""

    def __init__(self, address: str, login: str) -> None:
        self._address, self.login = address, login
        status, headers, body = self._ask("POST", "/api/session", {"login": login, "password": PASSWORD}, {})
        assert status == 200, f"log-in of {login}: {status} {body}"
        self._cookie = headers["set-cookie"].partition(";")[0]
        self._csrf = body["csrf"]

    def act(self, path: str, body: Row | None = None) -> None:
        """POST; AssertionError where it is refused."""
        headers = {"Cookie": self._cookie, "X-CSRF-Token": self._csrf}
        status, _, answer = self._ask("POST", f"/api{path}", body, headers)
        assert status < 300, f"{path}: {status} {answer}"

    def get(self, path: str) -> Any:
        """AssertionError where it is refused."""
        status, _, answer = self._ask("GET", f"/api{path}", None, {"Cookie": self._cookie})
        assert status < 300, f"{path}: {status} {answer}"
        return answer

    def ready(self) -> None:
        self.act("/agent/ready")

    def page(self) -> Row:
        """The whole state as a page that is just opened gets it."""
        host, _, port = self._address.partition(":")
        link = socket.create_connection((host, int(port)), 5)
        with connect_feed(
            f"ws://{self._address}/ws",
            sock=link,
            origin=Origin(f"http://{self._address}"),
            additional_headers={"Cookie": self._cookie},
            close_timeout=1,
        ) as feed:
            feed.send(json.dumps({"boot": "", "seq": 0}))
            while True:
                message = json.loads(feed.recv(5))
                if message["t"] == "state":
                    body: Row = message["body"]
                    return body

    def _ask(
        self, method: str, path: str, body: Row | None, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], Row]:
        link = http.client.HTTPConnection(self._address, timeout=5)
        try:
            sent = {"Content-Type": "application/json", **headers}
            link.request(method, path, None if body is None else json.dumps(body), sent)
            answer = link.getresponse()
            text = answer.read().decode()
            return (
                answer.status,
                {k.lower(): v for k, v in answer.getheaders()},
                json.loads(text) if text else {},
            )
        finally:
            link.close()


def _toml(name: str, content: Row | Sequence[Row]) -> str:
    if isinstance(content, Mapping):
        return "".join(
            [f"[{name}]\n", *(f"{key} = {_value(value)}\n" for key, value in content.items()), "\n"]
        )
    return "".join(
        "".join([f"[[{name}]]\n", *(f"{key} = {_value(value)}\n" for key, value in row.items()), "\n"])
        for row in content
    )


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _stat(pid: int) -> tuple[str, int]:
    """(state letter, session) of a process; ("X", 0) for one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "X", 0
    return fields[0], int(fields[3])


def _arguments(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "?"
