"""Recordings and the audit as tables of history; reasons, changes by hand, and passwords that have to be changed.

Revision ID: 0003
Revises: 0002
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ADDED: tuple[tuple[str, sa.Column[Any]], ...] = (
    ("login_sessions", sa.Column("by_provider", sa.Boolean, nullable=False, server_default=sa.false())),
    ("login_sessions", sa.Column("browser", sa.String(64), nullable=False, server_default="")),
    ("users", sa.Column("must_change", sa.Boolean, nullable=False, server_default=sa.false())),
    ("users", sa.Column("seeded", sa.String(32), nullable=False, server_default="")),
    ("queues", sa.Column("seeded", sa.String(32), nullable=False, server_default="")),
    ("queues", sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true())),
    ("queues", sa.Column("caller_id", sa.String(24), nullable=False, server_default="")),
    ("queues", sa.Column("sound", sa.String(16), nullable=False, server_default="music")),
    ("queues", sa.Column("whisper", sa.Boolean, nullable=False, server_default=sa.false())),
    ("wrap_up_codes", sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true())),
)
_MOVED = ("recording", "recording_ms", "recording_marks")
_WIDER = {
    "interactions": ("number", "flow", "queue", "cause", "ended_by"),
    "segments": ("queue", "result"),
    "contacts": ("id", "queue"),
    "recordings": ("queue", "reason"),
    "audit": ("subject",),
}
"""history takes whatever the journal holds: names of queues with what is put before and behind them, addresses, who
cancelled"""


def upgrade() -> None:
    op.create_table(
        "recordings",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("interaction_id", sa.String(32), nullable=False, index=True),
        sa.Column("org_id", sa.Integer, sa.ForeignKey("orgs.id"), nullable=False, index=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("started_at_ms", sa.BigInteger, nullable=False, index=True),
        sa.Column("duration_ms", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("marks", sa.Text, nullable=False),
        sa.Column("held", sa.Integer, nullable=False),
        sa.Column("note_ref", sa.String(64), nullable=False),
        sa.Column("deleted_at_ms", sa.BigInteger),
        sa.Column("queue", sa.String(64), nullable=False),
        sa.Column("taken_by", sa.String(64), nullable=False),
        sa.Column("done_at_ms", sa.BigInteger),
    )
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True),
        sa.Column("org_id", sa.Integer, sa.ForeignKey("orgs.id"), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False, index=True),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    for name in _MOVED:
        op.drop_column("interactions", name)
    if op.get_bind().dialect.name != "sqlite":  # which does not mind the length
        op.alter_column("interactions", "direction", type_=sa.String(8))
        for table, names in _WIDER.items():
            for name in names:
                op.alter_column(table, name, type_=sa.Text)
    op.create_table(
        "not_ready_reasons",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("org_id", sa.Integer, sa.ForeignKey("orgs.id"), nullable=False, index=True),
        sa.Column("code", sa.String(32), nullable=False, unique=True),
        sa.Column("title_zh", sa.String(80), nullable=False),
        sa.Column("title_en", sa.String(80), nullable=False),
        sa.Column("sort", sa.Integer, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
    )
    op.create_table(
        "changes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("org_id", sa.Integer, sa.ForeignKey("orgs.id"), nullable=False, index=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("key", sa.String(64), nullable=False, index=True),
        sa.Column("before", sa.Text, nullable=False),
        sa.Column("after", sa.Text, nullable=False),
        sa.Column("undoes", sa.Integer),
    )
    for table, column in _ADDED:
        op.add_column(table, column)
    # history is a fold over the journal: the follower fills the new tables when it starts from the beginning
    for table in ("contacts", "segments", "interactions", "projection_state"):
        op.execute(f"DELETE FROM {table}")  # noqa: S608 - constants


def downgrade() -> None:
    for table, column in reversed(_ADDED):
        op.drop_column(table, column.name)
    op.drop_table("changes")
    op.drop_table("not_ready_reasons")
    op.drop_table("audit")
    op.drop_table("recordings")
    op.add_column("interactions", sa.Column("recording", sa.Text, nullable=False, server_default=""))
    op.add_column(
        "interactions", sa.Column("recording_ms", sa.BigInteger, nullable=False, server_default="0")
    )
    op.add_column("interactions", sa.Column("recording_marks", sa.Text, nullable=False, server_default=""))
