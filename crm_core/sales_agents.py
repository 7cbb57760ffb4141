"""Field salespeople 代理人 of the insurer (never the people at the seats) and the check whether one is
genuine. Every check is recorded."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlmodel import Field, Session, SQLModel, col, or_, select

from callcenter.kernel.envelope import MasterKey
from crm_core.orgs import OrgScoped

ACTIVE, SUSPENDED, LEFT, UNKNOWN = "active", "suspended", "left", "unknown"


class SalesAgentBase(OrgScoped):
    employee_number: str = Field(max_length=20, unique=True)
    licence_number: str = Field(max_length=32, unique=True)
    name: str = Field(max_length=80)
    branch: str = Field(max_length=80)
    state: str = Field(default=ACTIVE, max_length=16)
    may_sell: str = Field(default="", max_length=200)


class SalesAgent(SalesAgentBase, table=True):
    __tablename__ = "sales_agents"

    id: int | None = Field(default=None, primary_key=True)


class SalesAgentCreate(SalesAgentBase):
    pass


class SalesAgentUpdate(SQLModel):
    state: str | None = None
    branch: str | None = None
    may_sell: str | None = None


class SalesAgentPublic(SalesAgentBase):
    id: int


class SalesAgentCheck(OrgScoped, table=True):
    __tablename__ = "sales_agent_checks"

    id: int | None = Field(default=None, primary_key=True)
    interaction_id: str = Field(index=True)
    number_index: str = Field(index=True)
    """keyed hash of the number that was asked about"""
    sales_agent_id: int | None = Field(default=None, foreign_key="sales_agents.id")
    result: str
    checked_at_ms: int = Field(sa_type=BigInteger)


class SalesAgentService:
    def __init__(self, session: Session, master: MasterKey) -> None:
        self._session, self._master = session, master

    def create(self, data: SalesAgentCreate) -> SalesAgent:
        sales_agent = SalesAgent.model_validate(data)
        self._session.add(sales_agent)
        return sales_agent

    def update(self, sales_agent: SalesAgent, changes: SalesAgentUpdate) -> SalesAgent:
        sales_agent.sqlmodel_update(changes.model_dump(exclude_unset=True))
        self._session.add(sales_agent)
        return sales_agent

    def find(self, number: str) -> SalesAgent | None:
        """By employee number or licence number."""
        query = select(SalesAgent).where(
            or_(col(SalesAgent.employee_number) == number, col(SalesAgent.licence_number) == number)
        )
        return self._session.exec(query).first()

    def check(self, number: str, interaction: str, now_ms: int) -> tuple[str, SalesAgent | None]:
        """(active | suspended | left | unknown, who); the check is recorded with its result."""
        found = self.find(number)
        result = found.state if found else UNKNOWN
        self._session.add(
            SalesAgentCheck(
                interaction_id=interaction,
                number_index=self._master.blind_index("sales_agent", number),
                sales_agent_id=found.id if found else None,
                result=result,
                checked_at_ms=now_ms,
            )
        )
        return result, found

    def checks_of(self, interaction: str) -> list[SalesAgentCheck]:
        query = select(SalesAgentCheck).where(SalesAgentCheck.interaction_id == interaction)
        return list(self._session.exec(query.order_by(col(SalesAgentCheck.id))))
