"""Queues as records."""

from __future__ import annotations

from sqlalchemy import JSON, Column
from sqlmodel import Field, Session, col, select

from callcenter.directory.seeds import digest_of
from config.settings import Queue as QueueSettings
from crm_core.orgs import OrgScoped


class QueueRecord(OrgScoped, table=True):
    __tablename__ = "queues"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=64, unique=True)
    title: str = Field(default="", max_length=80)
    skills: dict[str, int] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    target_s: int = 20
    priority: int = 0
    ring_timeout_s: int = 20
    max_waiting: int = 0
    caller_id: str = Field(default="", max_length=24)
    sound: str = Field(default="music", max_length=16)
    whisper: bool = False
    active: bool = True
    seeded: str = ""
    """digest of what the configuration file last said"""


class QueueService:
    def __init__(self, session: Session) -> None:
        self._session = session

    def upsert(self, settings: QueueSettings, ring_timeout_s: int) -> QueueRecord:
        """What the configuration says wins where it is new; what was changed by hand since is kept."""
        values = settings.model_dump()
        values["ring_timeout_s"] = settings.ring_timeout_s or ring_timeout_s
        digest = digest_of(settings.model_dump(exclude_defaults=True))
        query = select(QueueRecord).where(QueueRecord.name == settings.name)
        queue = self._session.exec(query).first() or QueueRecord(name=settings.name)
        if queue.seeded != digest:
            queue.sqlmodel_update(values)
            queue.active, queue.seeded = True, digest
            self._session.add(queue)
        return queue

    def all(self) -> list[QueueRecord]:
        """Those in use."""
        query = select(QueueRecord).where(QueueRecord.active).order_by(col(QueueRecord.id))
        return list(self._session.exec(query))
