"""Users, queues, reasons and wrap-up codes changed by hand: each change keeps what was before, and can be undone.

What a configuration file says of somebody counts when it is new or has changed since it was last read; what was
changed by hand in between stays (`seeded` holds the digest of what the file said)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import BigInteger, Engine, Text
from sqlmodel import Column, Session, col, select
from sqlmodel import Field as Stored

from callcenter.directory.people import User
from callcenter.directory.queues import QueueRecord
from callcenter.directory.reasons import NotReadyReason
from callcenter.kernel.errors import NotAllowed
from config.sections import Level, Name
from config.settings import BROWSER
from crm_core.db import reads, session
from crm_core.orgs import OrgScoped
from crm_core.wrap_up import WrapUpCode

Plain = dict[str, Any]
MOST_CHANGES = 200
USER, QUEUE, REASON, CODE = "user", "queue", "reason", "code"


class Change(OrgScoped, table=True):
    __tablename__ = "changes"

    id: int | None = Stored(default=None, primary_key=True)
    at_ms: int = Stored(sa_type=BigInteger)
    actor: str = Stored(max_length=64)
    kind: str = Stored(max_length=16)
    key: str = Stored(max_length=64, index=True)
    before: str = Stored(sa_column=Column(Text, nullable=False))
    """JSON; "null" where there was none"""
    after: str = Stored(sa_column=Column(Text, nullable=False))
    undoes: int | None = None


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class UserForm(_Form):
    login: Name
    name: Annotated[str, Field(min_length=1, max_length=80)]
    role: Literal["agent", "supervisor", "administrator", "auditor"] = "agent"
    device: Annotated[str, Field(pattern=r"^(|browser|sips?:[^\s<>\"]{1,180}|tel:\+?[0-9]{2,20})$")] = BROWSER
    answer: Literal["phone", "panel", "auto"] = "panel"
    wrap_up_s: Annotated[int, Field(ge=0, le=86_400)] = 30
    language: Literal["zh", "en"] = "zh"
    skills: dict[Name, Level] = Field(default_factory=dict)
    active: bool = True


class QueueForm(_Form):
    name: Name
    title: Annotated[str, Field(max_length=80)]
    """"" shows the name"""
    skills: dict[Name, Level] = Field(default_factory=dict)
    target_s: Annotated[int, Field(ge=0, le=3600)] = 20
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    ring_timeout_s: Annotated[int, Field(ge=3, le=180)] = 20
    max_waiting: Annotated[int, Field(ge=0, le=100_000)] = 0
    caller_id: Annotated[str, Field(pattern=r"^(\+?[0-9]{2,20})?$")] = ""
    sound: Literal["music", "ringback"] = "music"
    whisper: bool = False
    active: bool = True


class TitledForm(_Form):
    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    title_zh: Annotated[str, Field(min_length=1, max_length=80)]
    title_en: Annotated[str, Field(min_length=1, max_length=80)]
    sort: Annotated[int, Field(ge=0, le=9_999)] = 0
    active: bool = True


@dataclass(frozen=True, slots=True)
class _Kind:
    form: type[_Form]
    table: type[Any]
    key: str


KINDS = {
    USER: _Kind(UserForm, User, "login"),
    QUEUE: _Kind(QueueForm, QueueRecord, "name"),
    REASON: _Kind(TitledForm, NotReadyReason, "code"),
    CODE: _Kind(TitledForm, WrapUpCode, "code"),
}


class Invalid(NotAllowed):
    """A form that cannot be; `fields` says what is wrong with which."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__("invalid")
        self.fields = fields


class Editor:
    """Every method blocks, and is to run on a helper thread."""

    def __init__(self, engine: Engine, now_ms: Callable[[], int]) -> None:
        self._engine, self._now_ms = engine, now_ms

    def everything(self) -> dict[str, list[Plain]]:
        """All records of each kind, also those that are not active any more."""
        with session(reads(self._engine)) as records:
            return {
                name: [_shown(kind, row) for row in records.exec(select(kind.table).order_by(kind.table.id))]
                for name, kind in KINDS.items()
            }

    def put(self, actor: str, kind: str, values: Plain, key: str = "") -> tuple[Plain, int]:
        """Make a record, or change the one with this `key`; answers it and the number of the change (0 where nothing
        changed). Raises Invalid; NotAllowed: unknown_kind, unknown_record, key_taken, key_stays, last_administrator."""
        form = _form(kind, values)
        with session(self._engine) as records:
            done = self._put(records, actor, kind, form, key, None)
            records.commit()
        return done

    def before(self, change: int) -> tuple[str, str, bool]:
        """(kind, key, whether undoing this change takes the record out of use). Raises NotAllowed: unknown_change."""
        with session(reads(self._engine)) as records:
            found = records.get(Change, change)
        if found is None:
            raise NotAllowed("unknown_change")
        before = json.loads(found.before)
        return found.kind, found.key, before is None or not before["active"]

    def undo(self, actor: str, change: int) -> tuple[Plain, int]:
        """Take a change back, unless somebody has changed the record since. Raises NotAllowed: unknown_change,
        changed_since."""
        with session(self._engine) as records:
            found = records.get(Change, change)
            if found is None:
                raise NotAllowed("unknown_change")
            kind = KINDS[found.kind]
            row = _row(records, kind, found.key)
            if row is None or json.loads(found.after) != _shown(kind, row):
                raise NotAllowed("changed_since")
            before: Plain | None = json.loads(found.before)
            # what had not been there before goes out of use; a record is never deleted
            wanted = before if before is not None else {**_shown(kind, row), "active": False}
            done = self._put(records, actor, found.kind, _form(found.kind, wanted), found.key, change)
            records.commit()
        return done

    def history(self, kind: str = "", key: str = "") -> list[Plain]:
        """Newest first, at most `MOST_CHANGES`."""
        query = select(Change).order_by(col(Change.id).desc()).limit(MOST_CHANGES)
        if kind:
            query = query.where(Change.kind == kind)
        if key:
            query = query.where(Change.key == key)
        with session(reads(self._engine)) as records:
            found = list(records.exec(query))
        undone = {change.undoes for change in found}
        return [
            {
                **change.model_dump(exclude={"before", "after", "org_id"}),
                "before": json.loads(change.before),
                "after": json.loads(change.after),
                "undone": change.id in undone,
            }
            for change in found
        ]

    def _put(
        self, records: Session, actor: str, kind: str, values: Plain, key: str, undoes: int | None
    ) -> tuple[Plain, int]:
        known = KINDS[kind]
        row = _row(records, known, key or values[known.key])
        if key and row is None:
            raise NotAllowed("unknown_record")
        if not key and row is not None:
            raise NotAllowed("key_taken")
        if key and values[known.key] != key:
            raise NotAllowed("key_stays")
        before = _shown(known, row) if row is not None else None
        if before == values:
            return values, 0
        if kind == USER:
            _keep_an_administrator(records, values, before)
        if row is None:
            row = known.table(**values)
        else:
            row.sqlmodel_update(values)
        records.add(row)
        change = Change(
            at_ms=self._now_ms(),
            actor=actor,
            kind=kind,
            key=values[known.key],
            before=json.dumps(before, ensure_ascii=False),
            after=json.dumps(values, ensure_ascii=False),
            undoes=undoes,
        )
        records.add(change)
        records.flush()
        return values, change.id or 0


def _form(kind: str, values: Plain) -> Plain:
    known = KINDS.get(kind)
    if known is None:
        raise NotAllowed("unknown_kind")
    try:
        return known.form.model_validate(values).model_dump()
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        raise Invalid({".".join(map(str, one["loc"])): one["type"] for one in details}) from error


def _row(records: Session, kind: _Kind, key: str) -> Any:
    return records.exec(select(kind.table).where(getattr(kind.table, kind.key) == key)).first()


def _shown(kind: _Kind, row: Any) -> Plain:
    return {name: getattr(row, name) for name in kind.form.model_fields}


def _keep_an_administrator(records: Session, values: Plain, before: Plain | None) -> None:
    """Nobody may lock everybody out."""
    was = before is not None and before["role"] == "administrator" and before["active"]
    if was and not (values["role"] == "administrator" and values["active"]):
        query = select(User).where(User.role == "administrator", User.active, User.login != values["login"])
        if records.exec(query).first() is None:
            raise NotAllowed("last_administrator")
