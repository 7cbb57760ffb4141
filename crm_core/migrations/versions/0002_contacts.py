"""Contacts, 2026-11-28: one row for each time a customer waited in a queue, so that service figures of any interval
come from one place; and marks in a recording, where it was paused and resumed.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "contacts",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("interaction_id", sa.String(32), nullable=False, index=True),
        sa.Column("org_id", sa.Integer, sa.ForeignKey("orgs.id"), nullable=False, index=True),
        sa.Column("queue", sa.String(64), nullable=False),
        sa.Column("agent", sa.String(64), nullable=False),
        sa.Column("queued_at_ms", sa.BigInteger, nullable=False, index=True),
        sa.Column("answered_at_ms", sa.BigInteger),
        sa.Column("ended_at_ms", sa.BigInteger),
        sa.Column("result", sa.String(16), nullable=False),
    )
    op.add_column("interactions", sa.Column("recording_marks", sa.Text, nullable=False, server_default=""))
    # history is a fold over the journal: the follower fills the new table when it starts from the beginning
    op.execute("DELETE FROM segments")
    op.execute("DELETE FROM interactions")
    op.execute("DELETE FROM projection_state")


def downgrade() -> None:
    op.drop_column("interactions", "recording_marks")
    op.drop_table("contacts")
