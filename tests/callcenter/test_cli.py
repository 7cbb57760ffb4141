"""Commands on the files of a stopped centre: report, rebuild, password."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from callcenter.cli import rebuild, report, user
from callcenter.directory.people import UserService
from callcenter.journal import store
from callcenter.journal.private import PrivateStore
from callcenter.journal.writer import Entry, JournalWriter
from callcenter.kernel.envelope import MasterKey
from callcenter.live.facts import CODEC, InteractionStarted
from config.settings import load
from crm_core.db import open_engine, session
from softphone_ui import auth
from tests.callcenter.test_projection import ANSWERED, T0, plain
from tests.config.test_settings import EXAMPLE

PHONE = "+8613800138000"


class Files:
    """A configuration, and what a centre under it left behind."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "centre.toml"
        self.path.write_text(EXAMPLE, encoding="utf-8")
        self.settings = load(self.path, {})
        master = MasterKey.load(self.settings.paths.var / "keys" / "master.key")
        reader = store.connect(self.settings.journal.path)
        private = PrivateStore(reader, master)
        private.put(private.person_of(PHONE), "i1-1.party", PHONE)
        pending = private.take_pending()
        writer = JournalWriter(self.settings.journal.path, lambda _entries: None)
        for seq, (second, facts, commands) in enumerate(ANSWERED, 1):
            keys = tuple(pending.person_keys) if seq == 1 else ()
            texts = tuple(pending.private) if seq == 1 else ()
            entry = Entry(
                seq, 1, T0 + second * 1000, [plain(fact) for fact in facts], commands, (), keys, texts
            )
            writer.put(entry)
        assert writer.close(10)
        reader.close()

    def rows(self, query: str) -> list[tuple[object, ...]]:
        engine = open_engine(self.settings.database.url)
        with engine.connect() as connection:
            found = [tuple(row) for row in connection.execute(text(query))]
        engine.dispose()
        return found


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    yield Files(tmp_path)


def test_rebuild_and_report(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert rebuild.main(["-c", str(files.path), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["interactions"], figures["facts"]) == (1, sum(len(facts) for _, facts, _ in ANSWERED))
    assert report.main(["interactions", "-c", str(files.path), "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["id"], row["caller"], row["agent"], row["outcome"]) == ("i1-1", PHONE, "bob", "answered")
    assert (row["arrived_at"], row["ended_at"]) == ("2026-01-05T08:00:00.000Z", "2026-01-05T08:01:30.000Z")


def test_rebuilding_twice_changes_nothing(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    query = "SELECT * FROM interactions"
    assert rebuild.main(["-c", str(files.path), "--json"]) == 0
    first = files.rows(query)
    assert rebuild.main(["-c", str(files.path)]) == 0
    assert files.rows(query) == first
    assert "1 interactions" in capsys.readouterr().out


def test_a_table_for_people(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    rebuild.main(["-c", str(files.path), "--json"])
    capsys.readouterr()
    assert report.main(["interactions", "-c", str(files.path)]) == 0
    assert "i1-1" in capsys.readouterr().out


def test_nothing_is_rebuilt_under_a_running_core(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    files.settings.run_dir.mkdir(parents=True, exist_ok=True)
    said = {"pid": os.getpid(), "epoch": 1, "state": "ready", "http": ""}
    (files.settings.run_dir / "core.json").write_text(json.dumps(said))
    assert rebuild.main(["-c", str(files.path)]) == 1
    assert "stop the centre first" in capsys.readouterr().err


def test_a_report_of_nothing_is_an_empty_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "centre.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    assert report.main(["interactions", "-c", str(path), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize("command", [report.main, rebuild.main, user.main])
def test_a_bad_configuration_is_exit_2(
    tmp_path: Path, command: object, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[voice]\nworkers = 65\n")
    arguments = {report.main: ["interactions"], user.main: ["password", "1001"]}.get(command, [])  # type: ignore[call-overload]
    with pytest.raises(SystemExit) as left:
        command([*arguments, "-c", str(path)])  # type: ignore[operator]
    assert left.value.code == 2
    assert "voice.workers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("login", "password", "status", "said"),
    [
        ("1001", "correct horse", 0, ""),
        ("1001", "short", 1, "password_too_short"),
        ("4711", "correct horse", 1, "unknown_login"),
    ],
)
def test_a_password_is_read_from_standard_input(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    login: str, password: str, status: int, said: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    assert user.main(["password", login, "-c", str(files.path)]) == status
    assert said in capsys.readouterr().err
    engine = open_engine(files.settings.database.url)
    with session(engine) as records:
        found = UserService(records).by_login("1001")
        assert found is not None
        assert auth._verify(found.password_hash, password) is (status == 0)
    engine.dispose()


def test_the_first_fact_of_the_synthetic_day_is_what_the_codec_writes() -> None:
    """The golden rows of these tests do not drift from the facts."""
    started = InteractionStarted("i1-1", "voice", "in", "95519", "w", "l1", "i1-1.party", T0)
    assert plain(started) == CODEC.to_plain(started)
