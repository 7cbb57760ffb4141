"""First tables, 2026-11-22: the hotline's records, people, and the projection of history.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ORG = "orgs.id"


def _org() -> sa.Column:
    return sa.Column("org_id", sa.Integer, sa.ForeignKey(ORG), nullable=False, index=True)


def _id() -> sa.Column:
    return sa.Column("id", sa.Integer, primary_key=True)


def upgrade() -> None:
    op.create_table(
        "orgs",
        _id(),
        sa.Column("parent_id", sa.Integer, sa.ForeignKey(ORG)),
        sa.Column("name", sa.String(80), nullable=False),
    )
    op.execute("INSERT INTO orgs (parent_id, name) VALUES (NULL, '总公司')")
    _customer_tables()
    _sales_agent_tables()
    _people_tables()
    _history_tables()


def _customer_tables() -> None:
    op.create_table(
        "customers",
        _id(),
        _org(),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("sex", sa.String(1), nullable=False),
        sa.Column("klass", sa.String(16), nullable=False),
        sa.Column("language", sa.String(2), nullable=False),
        sa.Column("do_not_call", sa.Boolean, nullable=False),
        sa.Column("id_number_sealed", sa.LargeBinary),
        sa.Column("birth_date_sealed", sa.LargeBinary),
        sa.Column("note", sa.String(500), nullable=False),
    )
    op.create_table(
        "customer_name_terms",
        sa.Column("customer_id", sa.Integer, sa.ForeignKey("customers.id"), primary_key=True),
        sa.Column("term", sa.String(80), primary_key=True, index=True),
    )
    op.create_table(
        "contact_points",
        _id(),
        _org(),
        sa.Column("customer_id", sa.Integer, sa.ForeignKey("customers.id"), nullable=False, index=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("label", sa.String(16), nullable=False),
        sa.Column("good_hours", sa.String(32), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("index_full", sa.String(32), nullable=False, index=True),
        sa.Column("index_last4", sa.String(32), nullable=False, index=True),
        sa.Column("index_last6", sa.String(32), nullable=False, index=True),
        sa.Column("index_last8", sa.String(32), nullable=False, index=True),
    )
    op.create_table(
        "policies",
        _id(),
        _org(),
        sa.Column("customer_id", sa.Integer, sa.ForeignKey("customers.id"), nullable=False, index=True),
        sa.Column("sales_agent_id", sa.Integer, index=True),
        sa.Column("number", sa.String(32), nullable=False, unique=True),
        sa.Column("product", sa.String(80), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("sum_insured_cents", sa.BigInteger, nullable=False),
        sa.Column("premium_cents", sa.BigInteger, nullable=False),
        sa.Column("premium_mode", sa.String(16), nullable=False),
        sa.Column("effective_on", sa.Date, nullable=False),
        sa.Column("due_on", sa.Date),
        sa.Column("grace_days", sa.Integer, nullable=False),
    )


def _sales_agent_tables() -> None:
    op.create_table(
        "sales_agents",
        _id(),
        _org(),
        sa.Column("employee_number", sa.String(20), nullable=False, unique=True),
        sa.Column("licence_number", sa.String(32), nullable=False, unique=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("branch", sa.String(80), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("may_sell", sa.String(200), nullable=False),
    )
    op.create_table(
        "sales_agent_checks",
        _id(),
        _org(),
        sa.Column("interaction_id", sa.String(32), nullable=False, index=True),
        sa.Column("number_index", sa.String(32), nullable=False, index=True),
        sa.Column("sales_agent_id", sa.Integer, sa.ForeignKey("sales_agents.id")),
        sa.Column("result", sa.String(16), nullable=False),
        sa.Column("checked_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "wrap_up_codes",
        _id(),
        _org(),
        sa.Column("code", sa.String(32), nullable=False, unique=True),
        sa.Column("title_zh", sa.String(80), nullable=False),
        sa.Column("title_en", sa.String(80), nullable=False),
        sa.Column("sort", sa.Integer, nullable=False),
    )


def _people_tables() -> None:
    op.create_table(
        "users",
        _id(),
        _org(),
        sa.Column("login", sa.String(64), nullable=False, unique=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password_hash", sa.String(200), nullable=False),
        sa.Column("device", sa.String(200), nullable=False),
        sa.Column("answer", sa.String(8), nullable=False),
        sa.Column("skills", sa.JSON, nullable=False),
        sa.Column("ready_at_start", sa.Boolean, nullable=False),
        sa.Column("wrap_up_s", sa.Integer, nullable=False),
        sa.Column("language", sa.String(2), nullable=False),
        sa.Column("failed_logins", sa.Integer, nullable=False),
        sa.Column("locked_until_ms", sa.BigInteger, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
    )
    op.create_table(
        "queues",
        _id(),
        _org(),
        sa.Column("name", sa.String(64), nullable=False, unique=True),
        sa.Column("title", sa.String(80), nullable=False),
        sa.Column("skills", sa.JSON, nullable=False),
        sa.Column("target_s", sa.Integer, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("ring_timeout_s", sa.Integer, nullable=False),
        sa.Column("max_waiting", sa.Integer, nullable=False),
    )
    op.create_table(
        "login_sessions",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False, index=True),
        sa.Column("csrf", sa.String(64), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger, nullable=False),
    )


def _history_tables() -> None:
    op.create_table(
        "interactions",
        sa.Column("id", sa.String(32), primary_key=True),
        _org(),
        sa.Column("medium", sa.String(16), nullable=False),
        sa.Column("direction", sa.String(3), nullable=False),
        sa.Column("number", sa.String(32), nullable=False),
        sa.Column("party_ref", sa.String(64), nullable=False),
        sa.Column("customer_id", sa.Integer, index=True),
        sa.Column("flow", sa.String(64), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("language", sa.String(2), nullable=False),
        sa.Column("queue", sa.String(64), nullable=False),
        sa.Column("agent", sa.String(64), nullable=False, index=True),
        sa.Column("arrived_at_ms", sa.BigInteger, nullable=False, index=True),
        sa.Column("queued_at_ms", sa.BigInteger),
        sa.Column("answered_at_ms", sa.BigInteger),
        sa.Column("ended_at_ms", sa.BigInteger),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("cause", sa.String(120), nullable=False),
        sa.Column("ended_by", sa.String(16), nullable=False),
        sa.Column("recording", sa.String(500), nullable=False),
        sa.Column("recording_ms", sa.Integer, nullable=False),
        sa.Column("wrap_up_code", sa.String(32), nullable=False),
        sa.Column("note_ref", sa.String(64), nullable=False),
        sa.Column("quality", sa.Text, nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "segments",
        sa.Column("interaction_id", sa.String(32), primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True),
        _org(),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("queue", sa.String(64), nullable=False),
        sa.Column("agent", sa.String(64), nullable=False),
        sa.Column("started_at_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger),
        sa.Column("result", sa.String(32), nullable=False),
    )
    op.create_table(
        "projection_state",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    for table in (
        *(
            "projection_state",
            "segments",
            "interactions",
            "login_sessions",
            "queues",
            "users",
            "wrap_up_codes",
        ),
        *("sales_agent_checks", "sales_agents", "policies", "contact_points", "customer_name_terms"),
        *("customers", "orgs"),
    ):
        op.drop_table(table)
