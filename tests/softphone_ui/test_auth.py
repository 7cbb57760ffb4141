"""Logging in: right, wrong, locked, unknown; sessions that outlive the core and end when they must."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text

from callcenter.cli.user import set_password
from callcenter.directory.directory import Directory
from callcenter.directory.people import UserService
from callcenter.kernel.clock import VirtualClock
from callcenter.kernel.errors import NotAllowed
from crm_core.db import session
from softphone_ui.auth import LOCK_MS, MAX_FAILURES, Sessions, hash_password
from tests.softphone_ui.office import PASSWORD, SETTINGS, Office, give_passwords

HOURS = 12


class Desk:
    def __init__(self, records: Engine) -> None:
        self.records, self.clock = records, VirtualClock()
        self.sessions = Sessions(records, self.clock, HOURS)

    def log_in(self, login: str = "1001", password: str = PASSWORD) -> Any:
        return asyncio.run(self.sessions.log_in(login, password))

    def who(self, token: str | None) -> Any:
        return asyncio.run(self.sessions.who(token))

    def refusal(self, login: str = "1001", password: str = PASSWORD) -> str:
        with pytest.raises(NotAllowed) as refused:
            self.log_in(login, password)
        return refused.value.code

    def change(self, login: str, change: Callable[[Any], None]) -> None:
        with session(self.records) as db:
            user = UserService(db).by_login(login)
            assert user is not None
            change(user)
            db.add(user)
            db.commit()


@pytest.fixture
def desk(records: Engine) -> Iterator[Desk]:
    Directory(SETTINGS, records)
    give_passwords(records, "1001")
    made = Desk(records)
    yield made
    made.sessions.close()


def test_the_right_password_opens_a_session(desk: Desk) -> None:
    token, who = desk.log_in()
    assert (who.login, who.name, who.role, who.language) == ("1001", "王芳", "agent", "zh")
    assert desk.who(token) == who
    assert len(token) >= 40
    assert len(who.csrf) >= 30


@pytest.mark.parametrize("password", ["", PASSWORD + " ", PASSWORD.upper(), "x" * 200])
def test_a_wrong_password_does_not(desk: Desk, password: str) -> None:
    assert desk.refusal(password=password) == "wrong_login"


@pytest.mark.parametrize("login", ["nobody", "", "1001 ", "' OR 1=1 --"])
def test_an_unknown_login_is_refused_in_the_same_words(desk: Desk, login: str) -> None:
    assert desk.refusal(login) == "wrong_login"


def test_without_a_password_nobody_logs_in(desk: Desk) -> None:
    for password in ("", " ", PASSWORD):
        assert desk.refusal("1009", password) == "wrong_login"


def test_who_is_not_active_any_more_does_not_log_in(desk: Desk) -> None:
    desk.change("1001", lambda user: setattr(user, "active", False))
    assert desk.refusal() == "wrong_login"


def test_five_failures_lock_for_five_minutes(desk: Desk) -> None:
    assert (MAX_FAILURES, LOCK_MS) == (5, 300_000)
    for _ in range(5):
        assert desk.refusal(password="wrong") == "wrong_login"
    assert desk.refusal() == "locked", "the right one does not help now"
    assert desk.refusal(password="wrong") == "locked"
    desk.clock.advance(LOCK_MS - 1)
    assert desk.refusal() == "locked"
    desk.clock.advance(2)
    assert desk.log_in()[1].login == "1001"


def test_tries_while_locked_do_not_lengthen_the_lock(desk: Desk) -> None:
    for _ in range(5):
        desk.refusal(password="wrong")
    desk.clock.advance(LOCK_MS // 2)
    for _ in range(7):
        desk.refusal(password="wrong")
    desk.clock.advance(LOCK_MS // 2 + 1)
    assert desk.log_in()


def test_success_forgives_failures(desk: Desk) -> None:
    for _ in range(3):
        for _ in range(4):
            desk.refusal(password="wrong")
        desk.log_in()


def test_a_lock_is_one_persons(desk: Desk) -> None:
    give_passwords(desk.records, "1002")
    for _ in range(6):
        desk.refusal(password="wrong")
    assert desk.log_in("1002")


def test_a_lock_outlives_the_core(desk: Desk) -> None:
    for _ in range(5):
        desk.refusal(password="wrong")
    desk.sessions.close()
    desk.sessions = Sessions(desk.records, desk.clock, HOURS)
    assert desk.refusal() == "locked"


# --- sessions ------------------------------------------------------------------------------------------


def test_a_session_outlives_the_core(desk: Desk) -> None:
    token, who = desk.log_in()
    desk.sessions.close()
    desk.sessions = Sessions(desk.records, desk.clock, HOURS)
    assert desk.who(token) == who


def test_a_session_ends_after_its_hours(desk: Desk) -> None:
    token, _ = desk.log_in()
    desk.clock.advance(HOURS * 3_600_000 - 1)
    assert desk.who(token) is not None
    desk.clock.advance(1)
    assert desk.who(token) is None
    desk.sessions.close()
    desk.sessions = Sessions(desk.records, desk.clock, HOURS)
    assert desk.who(token) is None


def test_logging_out_ends_it_everywhere(desk: Desk) -> None:
    token, _ = desk.log_in()
    other, _ = desk.log_in()
    asyncio.run(desk.sessions.log_out(token))
    assert desk.who(token) is None
    assert desk.who(other) is not None
    desk.sessions.close()
    desk.sessions = Sessions(desk.records, desk.clock, HOURS)
    assert desk.who(token) is None


@pytest.mark.parametrize("token", [None, "", "nonsense", "x" * 5_000, "密"])
def test_no_token_is_nobody(desk: Desk, token: str | None) -> None:
    assert desk.who(token) is None


def test_sessions_are_different_each_time(desk: Desk) -> None:
    opened = [desk.log_in() for _ in range(4)]
    assert len({token for token, _ in opened}) == 4
    assert len({who.csrf for _, who in opened}) == 4


def test_neither_password_nor_token_stands_in_the_database(desk: Desk) -> None:
    token, _ = desk.log_in()
    with desk.records.connect() as connection:
        rows = [
            row
            for table in ("users", "login_sessions")
            for row in connection.execute(text(f"SELECT * FROM {table}"))
        ]
    dumped = repr(rows)
    assert PASSWORD not in dumped
    assert token not in dumped
    assert "$argon2id$" in dumped


def test_who_is_taken_out_loses_the_open_session_at_the_next_start(desk: Desk) -> None:
    token, _ = desk.log_in()
    desk.change("1001", lambda user: setattr(user, "active", False))
    desk.sessions.close()
    desk.sessions = Sessions(desk.records, desk.clock, HOURS)
    assert desk.who(token) is None


def test_sessions_that_are_over_do_not_pile_up(desk: Desk) -> None:
    """An agent logs in every day for years."""
    for _ in range(5):
        desk.log_in()
        desk.clock.advance(HOURS * 3_600_000 + 1)
    desk.log_in()
    with desk.records.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM login_sessions")).scalar() == 1


# --- passwords -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["", "1234567", "密码密码密码密"])
def test_a_short_password_is_refused(password: str) -> None:
    with pytest.raises(NotAllowed, match="password_too_short"):
        hash_password(password)


def test_setting_a_password(desk: Desk) -> None:
    set_password(desk.records, "1001", "another one 12")
    assert desk.refusal() == "wrong_login"
    assert desk.log_in(password="another one 12")
    with pytest.raises(NotAllowed, match="unknown_login"):
        set_password(desk.records, "nobody", PASSWORD)


def test_a_new_password_ends_older_sessions_and_the_lock(desk: Desk) -> None:
    """Somebody else knew the old one."""
    token, _ = desk.log_in()
    for _ in range(5):
        desk.refusal(password="wrong")
    set_password(desk.records, "1001", "another one 12")
    desk.sessions.close()
    desk.sessions = Sessions(desk.records, desk.clock, HOURS)
    assert desk.who(token) is None
    assert desk.log_in(password="another one 12")


# --- a cookie in another browser ---------------------------------------------------------------------------


def test_a_stolen_cookie_ends_every_session_and_is_on_record(office: Office) -> None:
    owner = office.log_in("1001")
    thief = office.browser()
    thief.cookies = dict(owner.cookies)
    thief.agent = "curl/8.1"
    assert thief.get("/api/contacts").status_code == 401
    assert owner.get("/api/contacts").status_code == 401, "the owner notices"
    assert office.centre.journalled("ActionTaken")[-1]["action"] == "session_stolen"
    assert owner.log_in("1001").status_code == 200


def test_a_browser_that_updates_itself_is_the_same(office: Office) -> None:
    owner = office.browser()
    owner.agent = "Mozilla/5.0 (X11; Linux x86_64) Chrome/141.0.1.2 Safari/537.36"
    owner.log_in("1001")
    owner.agent = "Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0.3.4 Safari/537.36"
    assert owner.get("/api/contacts").status_code == 200
