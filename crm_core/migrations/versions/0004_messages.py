"""Written messages as history, and the index of their words.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "written_messages",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("message", sa.String(32), nullable=False, index=True),
        sa.Column("interaction_id", sa.String(32), nullable=False, index=True),
        sa.Column("org_id", sa.Integer, sa.ForeignKey("orgs.id"), nullable=False),
        sa.Column("medium", sa.String(16), nullable=False),
        sa.Column("writer", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False, index=True),
        sa.Column("ref", sa.String(64), nullable=False, index=True),
        sa.Column("head_ref", sa.String(64), nullable=False),
        sa.Column("files_ref", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
    )
    op.add_column("interactions", sa.Column("stars", sa.Integer, nullable=False, server_default="0"))
    if op.get_bind().dialect.name == "sqlite":
        op.execute("CREATE VIRTUAL TABLE message_words USING fts5(words, detail=none, tokenize='ascii')")
        return
    op.create_table(
        "message_words",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("words", ARRAY(sa.Text), nullable=False),
    )
    op.create_index("ix_message_words_words", "message_words", ["words"], postgresql_using="gin")


def downgrade() -> None:
    op.drop_table("message_words")
    op.drop_table("written_messages")
    op.drop_column("interactions", "stars")
