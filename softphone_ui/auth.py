"""Logging in: argon2id off the loop, a session cookie, a CSRF token, lock-out after failures."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import Engine
from sqlmodel import Session, col, delete

from callcenter.directory.people import LoginSession, User, UserService
from callcenter.kernel.clock import Clock
from callcenter.kernel.errors import NotAllowed
from crm_core.db import reads, session

COOKIE = "cc_session"
MAX_FAILURES = 5
LOCK_MS = 5 * 60_000
MIN_PASSWORD = 8
_HASHER = PasswordHasher()
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Identity:
    login: str
    name: str
    role: str
    language: str
    csrf: str
    must_change: bool = False
    """the password was given by somebody else"""


def hash_password(password: str) -> str:
    """Raises NotAllowed for one that is too short."""
    if len(password) < MIN_PASSWORD:
        raise NotAllowed("password_too_short")
    return _HASHER.hash(password)


class Sessions:
    """Log-ins live in the database, so they outlive the core; known ones are kept at hand."""

    def __init__(self, engine: Engine, clock: Clock, hours: int) -> None:
        self._engine, self._clock, self._lifetime_ms = engine, clock, hours * 3_600_000
        # argon2 releases the interpreter lock while it works
        self._threads = ThreadPoolExecutor(2, "passwords")
        self._known: dict[str, tuple[Identity, int, str]] = {}
        self._generation = 0
        """counts whatever ends or changes a session: what was read before that is not kept"""
        self.stolen: Callable[[str], None] = lambda _login: None
        """hears whose session came from another browser than it was opened in"""
        self.ended: Callable[[str], None] = lambda _login: None
        """hears whose sessions were all ended"""

    async def log_in(self, login: str, password: str, browser: str = "") -> tuple[str, Identity]:
        """(cookie, who). `browser`: what it calls itself. Raises NotAllowed: wrong_login, locked."""
        return await self._off_loop(self._log_in, login, password, browser)

    async def who(self, token: str | None, browser: str = "") -> Identity | None:
        """Whose session this is. One that comes from another browser than it was opened in was stolen: all sessions of
        that person end, and `stolen` hears of it."""
        if not token:
            return None
        key = _digest(token)
        known = self._known.get(key)
        if known is None:
            generation = self._generation
            known = await self._off_loop(self._read, key)
            if known is None:
                return None
            if generation == self._generation:
                self._known[key] = known
        identity, expires_at_ms, opened_in = known
        if opened_in and not hmac.compare_digest(opened_in, _kind(browser)):
            await self.end_all(identity.login)
            self.stolen(identity.login)
            return None
        if expires_at_ms <= self._clock.now_ms():
            self._known.pop(key, None)
            return None
        return identity

    async def open_for(self, login: str, browser: str = "") -> tuple[str, Identity]:
        """(cookie, who) for somebody whom another authority has recognised. Raises NotAllowed: wrong_login."""
        return await self._off_loop(self._open_for, login, browser)

    async def change_password(
        self, login: str, old: str, new: str, browser: str = ""
    ) -> tuple[str, Identity]:
        """A new password for oneself; other sessions of this person end. Answers as `log_in`.

        Raises NotAllowed: wrong_login, locked, password_too_short, password_same."""
        if old == new:
            raise NotAllowed("password_same")
        hashed = await self._off_loop(hash_password, new)
        await self._off_loop(self._log_in, login, old, browser)
        await self._off_loop(self._set_password, login, hashed, False)
        self.changed(login)
        self.ended(login)
        return await self._off_loop(self._log_in, login, new, browser)

    async def give_password(self, login: str) -> str:
        """A password for once: whoever logs in with it has to change it. Raises NotAllowed: unknown_record."""
        password = "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))
        hashed = await self._off_loop(hash_password, password)
        await self._off_loop(self._set_password, login, hashed, True)
        self.changed(login)
        self.ended(login)
        return password

    async def end_all(self, login: str) -> None:
        """Every session of this person is over, now."""
        await self._off_loop(self._end_all, login)
        self.changed(login)
        self.ended(login)

    def changed(self, login: str) -> None:
        """Role or name changed, or sessions ended: what is known of them is read again. On the loop."""
        self._generation += 1
        self._known = {key: known for key, known in self._known.items() if known[0].login != login}

    async def log_out(self, token: str) -> None:
        key = _digest(token)
        self._generation += 1
        self._known.pop(key, None)
        await asyncio.get_running_loop().run_in_executor(self._threads, self._forget, key)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _log_in(self, login: str, password: str, browser: str) -> tuple[str, Identity]:
        now_ms = self._clock.now_ms()
        with session(self._engine) as records:
            user = UserService(records).by_login(login)
            if user is not None and user.locked_until_ms > now_ms:
                raise NotAllowed("locked")
            right = _verify(user.password_hash if user and user.active else "", password)
            if user is None or not right:
                if user is not None:
                    _count_failure(user, now_ms)
                    records.add(user)
                    records.commit()
                raise NotAllowed("wrong_login")
            user.failed_logins, user.locked_until_ms = 0, 0
            records.add(user)
            return self._open(records, user, now_ms, browser)

    def _open_for(self, login: str, browser: str) -> tuple[str, Identity]:
        with session(self._engine) as records:
            user = UserService(records).by_login(login)
            if user is None or not user.active:
                raise NotAllowed("wrong_login")
            return self._open(records, user, self._clock.now_ms(), browser, by_provider=True)

    def _open(
        self, records: Session, user: User, now_ms: int, browser: str, by_provider: bool = False
    ) -> tuple[str, Identity]:
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
        expires_at_ms = now_ms + self._lifetime_ms
        records.exec(delete(LoginSession).where(col(LoginSession.expires_at_ms) <= now_ms))
        records.add(
            LoginSession(
                token_hash=_digest(token),
                user_id=user.id or 0,
                csrf=csrf,
                expires_at_ms=expires_at_ms,
                browser=_kind(browser),
                by_provider=by_provider,
            )
        )
        records.commit()
        identity = _identity(user, csrf, by_provider)
        self._known[_digest(token)] = (identity, expires_at_ms, _kind(browser))
        return token, identity

    def _set_password(self, login: str, hashed: str, must_change: bool) -> None:
        with session(self._engine) as records:
            user = UserService(records).by_login(login)
            if user is None:
                raise NotAllowed("unknown_record")
            user.password_hash, user.must_change = hashed, must_change
            user.failed_logins, user.locked_until_ms = 0, 0
            records.add(user)
            records.exec(delete(LoginSession).where(col(LoginSession.user_id) == user.id))
            records.commit()

    def _end_all(self, login: str) -> None:
        with session(self._engine) as records:
            user = UserService(records).by_login(login)
            if user is not None:
                records.exec(delete(LoginSession).where(col(LoginSession.user_id) == user.id))
                records.commit()

    async def _off_loop(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    def _read(self, key: str) -> tuple[Identity, int, str] | None:
        with session(reads(self._engine)) as records:
            found = records.get(LoginSession, key)
            user = records.get(User, found.user_id) if found else None
            if found is None or user is None or not user.active:
                return None
            return _identity(user, found.csrf, found.by_provider), found.expires_at_ms, found.browser

    def _forget(self, key: str) -> None:
        with session(self._engine) as records:
            records.exec(delete(LoginSession).where(LoginSession.token_hash == key))  # type: ignore[arg-type]
            records.commit()


@functools.cache
def _nobody() -> str:
    """A hash that no password matches, made when first needed: it costs as much as a log-in."""
    return _HASHER.hash(secrets.token_urlsafe(16))


def _verify(stored: str, password: str) -> bool:
    """An unknown login costs as much time as a wrong password."""
    try:
        return _HASHER.verify(stored or _nobody(), password) and bool(stored)
    except (VerifyMismatchError, InvalidHashError):
        return False


def _count_failure(user: User, now_ms: int) -> None:
    user.failed_logins += 1
    if user.failed_logins >= MAX_FAILURES:
        user.failed_logins, user.locked_until_ms = 0, now_ms + LOCK_MS


def _identity(user: User, csrf: str, by_provider: bool) -> Identity:
    """Whom a provider let in has no password of ours to change."""
    must_change = user.must_change and not by_provider
    return Identity(user.login, user.name, user.role, user.language, csrf, must_change)


def _kind(browser: str) -> str:
    """Digest of what a browser calls itself, whatever its version: one that updates itself is the same."""
    return _digest(re.sub(r"[\d.]+", "", browser)) if browser else ""


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
