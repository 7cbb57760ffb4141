"""Users of the panel: agents 座席, supervisors, administrators, auditors."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Column
from sqlmodel import Field, Session, SQLModel, col, select

from callcenter.directory.seeds import digest_of
from config.settings import Agent as AgentSettings
from crm_core.orgs import OrgScoped

ROLES = ("agent", "supervisor", "administrator", "auditor")


class UserBase(OrgScoped):
    login: str = Field(max_length=64, unique=True)
    name: str = Field(max_length=80)
    role: str = Field(default="agent", max_length=16)
    device: str = Field(default="", max_length=200)
    answer: str = Field(default="phone", max_length=8)
    ready_at_start: bool = False
    wrap_up_s: int = 30
    language: str = Field(default="zh", max_length=2)
    active: bool = True


class User(UserBase, table=True):
    __tablename__ = "users"

    id: int | None = Field(default=None, primary_key=True)
    password_hash: str = ""
    """argon2id, or "" where no password was set: nobody logs in with it"""
    skills: dict[str, int] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    failed_logins: int = 0
    locked_until_ms: int = Field(default=0, sa_type=BigInteger)
    must_change: bool = False
    """the password was given by somebody else: nothing else is served until it is changed"""
    seeded: str = ""
    """digest of what the configuration file last said"""


class LoginSession(SQLModel, table=True):
    __tablename__ = "login_sessions"

    token_hash: str = Field(primary_key=True)
    user_id: int = Field(foreign_key="users.id", index=True)
    csrf: str
    expires_at_ms: int = Field(sa_type=BigInteger)
    by_provider: bool = False
    """opened by single sign-on, not by a password of ours"""
    browser: str = Field(default="", max_length=64)
    """digest of what the browser calls itself; a session that comes from another one is over"""


class UserService:
    def __init__(self, session: Session) -> None:
        self._session = session

    def upsert(self, settings: AgentSettings) -> User:
        """What the configuration says of somebody wins where it is new; what was changed by hand since, password and
        language are kept."""
        values: dict[str, Any] = settings.model_dump()
        digest = digest_of(settings.model_dump(exclude_defaults=True))
        user = self.by_login(settings.login)
        if user is not None and user.seeded == digest:
            return user
        if user is None:
            user = User(**values)
        else:
            user.sqlmodel_update(values)
        user.active, user.seeded = True, digest
        self._session.add(user)
        return user

    def by_login(self, login: str) -> User | None:
        return self._session.exec(select(User).where(User.login == login)).first()

    def everybody(self) -> list[User]:
        """All who may log in."""
        return list(self._session.exec(select(User).where(User.active).order_by(col(User.id))))

    def agents(self) -> list[User]:
        """Everybody who takes contacts."""
        query = select(User).where(User.role == "agent", User.active).order_by(col(User.id))
        return list(self._session.exec(query))
