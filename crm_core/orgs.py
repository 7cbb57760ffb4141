"""The tree of branches; one root by default. Every table carries `org_id`."""

from __future__ import annotations

from sqlmodel import Field, SQLModel

ROOT_ORG = 1


class Org(SQLModel, table=True):
    __tablename__ = "orgs"

    id: int | None = Field(default=None, primary_key=True)
    parent_id: int | None = Field(default=None, foreign_key="orgs.id")
    name: str


class OrgScoped(SQLModel):
    org_id: int = Field(default=ROOT_ORG, foreign_key="orgs.id", index=True)
