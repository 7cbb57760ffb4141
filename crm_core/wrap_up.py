"""Wrap-up codes: what a contact was about and how it ended, as the agent says."""

from __future__ import annotations

from sqlmodel import Field, Session, SQLModel, col, select

from crm_core.orgs import OrgScoped

DEFAULTS = (
    ("enquiry_answered", "咨询已解答", "enquiry answered"),
    ("policy_service", "保全服务", "policy service"),
    ("premium_payment", "保费与缴费", "premium and payment"),
    ("sales_agent_check", "核实业务员", "sales agent verified"),
    ("complaint_taken", "投诉已受理", "complaint taken"),
    ("call_back_promised", "已约定回电", "call-back promised"),
    ("wrong_number", "打错电话", "wrong number"),
    ("caller_left", "客户中途挂机", "caller left"),
)


class WrapUpCodeBase(OrgScoped):
    code: str = Field(max_length=32, unique=True)
    title_zh: str = Field(max_length=80)
    title_en: str = Field(max_length=80)
    sort: int = 0


class WrapUpCode(WrapUpCodeBase, table=True):
    __tablename__ = "wrap_up_codes"

    id: int | None = Field(default=None, primary_key=True)
    active: bool = True


class WrapUpCodePublic(SQLModel):
    code: str
    title_zh: str
    title_en: str


class WrapUpService:
    def __init__(self, session: Session) -> None:
        self._session = session

    def seed(self) -> None:
        """The shipped codes, where there are none yet."""
        if self._session.exec(select(WrapUpCode)).first() is not None:
            return
        for sort, (code, title_zh, title_en) in enumerate(DEFAULTS):
            self._session.add(WrapUpCode(code=code, title_zh=title_zh, title_en=title_en, sort=sort))

    def all(self) -> list[WrapUpCodePublic]:
        """Those in use."""
        query = select(WrapUpCode).where(WrapUpCode.active).order_by(col(WrapUpCode.sort), col(WrapUpCode.id))
        return [WrapUpCodePublic.model_validate(code.model_dump()) for code in self._session.exec(query)]
