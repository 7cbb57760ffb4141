"""Insurance policies. Money in cents of `currency`."""

from __future__ import annotations

from datetime import date

from sqlalchemy import BigInteger
from sqlmodel import Field, Session, SQLModel, col, select

from crm_core.orgs import OrgScoped

STATES = ("in_force", "grace", "lapsed", "matured", "surrendered", "claim")


class PolicyBase(OrgScoped):
    number: str = Field(max_length=32, unique=True)
    product: str = Field(max_length=80)
    state: str = Field(default="in_force", max_length=16)
    currency: str = Field(default="CNY", max_length=3)
    sum_insured_cents: int = Field(sa_type=BigInteger)
    premium_cents: int = Field(sa_type=BigInteger)
    premium_mode: str = Field(default="yearly", max_length=16)
    effective_on: date
    due_on: date | None = None
    grace_days: int = 60


class Policy(PolicyBase, table=True):
    __tablename__ = "policies"

    id: int | None = Field(default=None, primary_key=True)
    customer_id: int = Field(foreign_key="customers.id", index=True)
    sales_agent_id: int | None = None


class PolicyCreate(PolicyBase):
    customer_id: int
    sales_agent_id: int | None = None


class PolicyUpdate(SQLModel):
    state: str | None = None
    due_on: date | None = None


class PolicyPublic(PolicyBase):
    id: int


class PolicyService:
    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, data: PolicyCreate) -> Policy:
        policy = Policy.model_validate(data)
        self._session.add(policy)
        return policy

    def update(self, policy: Policy, changes: PolicyUpdate) -> Policy:
        policy.sqlmodel_update(changes.model_dump(exclude_unset=True))
        self._session.add(policy)
        return policy

    def of_customer(self, customer_id: int) -> list[PolicyPublic]:
        """Those in force first, then by due date."""
        query = select(Policy).where(Policy.customer_id == customer_id).order_by(col(Policy.id))
        rank = {state: n for n, state in enumerate(STATES)}
        policies = sorted(
            self._session.exec(query),
            key=lambda p: (rank.get(p.state, len(rank)), p.due_on or date.max, p.number),
        )
        return [PolicyPublic.model_validate(policy.model_dump()) for policy in policies]
