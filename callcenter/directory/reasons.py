"""Reasons for not being ready 小休原因, as records."""

from __future__ import annotations

from sqlmodel import Field, Session, SQLModel, col, select

from crm_core.orgs import OrgScoped

DEFAULTS = (
    ("break", "休息", "break"),
    ("meal", "用餐", "meal"),
    ("training", "培训", "training"),
    ("meeting", "会议", "meeting"),
    ("other", "其他", "other"),
)


class NotReadyReason(OrgScoped, table=True):
    __tablename__ = "not_ready_reasons"

    id: int | None = Field(default=None, primary_key=True)
    code: str = Field(max_length=32, unique=True)
    title_zh: str = Field(max_length=80)
    title_en: str = Field(max_length=80)
    sort: int = 0
    active: bool = True


class ReasonPublic(SQLModel):
    code: str
    title_zh: str
    title_en: str


class ReasonService:
    def __init__(self, session: Session) -> None:
        self._session = session

    def seed(self) -> None:
        """The shipped reasons, where there are none yet."""
        if self._session.exec(select(NotReadyReason)).first() is not None:
            return
        for sort, (code, title_zh, title_en) in enumerate(DEFAULTS):
            self._session.add(NotReadyReason(code=code, title_zh=title_zh, title_en=title_en, sort=sort))

    def all(self) -> list[ReasonPublic]:
        query = select(NotReadyReason).where(NotReadyReason.active)
        ordered = query.order_by(col(NotReadyReason.sort), col(NotReadyReason.id))
        return [ReasonPublic.model_validate(reason.model_dump()) for reason in self._session.exec(ordered)]
