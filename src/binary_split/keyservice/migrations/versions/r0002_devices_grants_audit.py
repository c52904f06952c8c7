"""Devices, grants, enrolment, spent nonces, sessions, the audit chain; keys and tokens get their states."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_FIRST_KEK = "kek-1"
_ENROLLED_REFUSED = "enrolled-refused"


def upgrade() -> None:
    """Keep every key and token as it is: a token goes on reading the fragment that it read."""
    _extend_keys_and_tokens()
    _make_devices()
    _make_grants()
    _make_enrolment_and_sessions()
    _make_audit()
    with op.batch_alter_table("tokens") as batch:
        batch.create_foreign_key("fk_tokens_device_id_devices", "devices", ["device_id"], ["device_id"])
        batch.create_index("ix_tokens_device_id", ["device_id"])


def downgrade() -> None:
    """Go back to keys with one token each: what revision 0001 cannot say is dropped."""
    _refuse_several_keks()
    for table in ("sessions", "spent_nonces", "enrolment_codes", "grants", "audit", "audit_head"):
        op.drop_table(table)
    op.execute(
        "DELETE FROM tokens WHERE key_id IS NULL OR device_id IS NOT NULL OR scopes <> 'fragment:read'"
    )
    op.execute("DELETE FROM tokens WHERE key_id IN (SELECT key_id FROM keys WHERE state = 'destroyed')")
    op.execute("DELETE FROM keys WHERE state = 'destroyed'")
    with op.batch_alter_table("tokens") as batch:
        batch.drop_constraint("fk_tokens_device_id_devices", type_="foreignkey")
        batch.drop_index("ix_tokens_device_id")
        batch.drop_column("device_id")
        batch.drop_column("scopes")
        batch.alter_column("key_id", existing_type=sa.String(64), nullable=False)
    op.drop_table("device_groups")
    op.drop_table("devices")
    op.drop_index("ix_keys_kek_id", "keys")
    for column in ("destroyed_at", "retired_at", "plain_release", "state", "kek_id"):
        op.drop_column("keys", column)
    op.execute(
        "INSERT INTO meta (name, value) SELECT 'kek-check', check_value FROM keks WHERE state = 'active'"
    )
    op.drop_table("keks")


def _refuse_several_keks() -> None:
    if op.get_bind().scalar(sa.text("SELECT count(*) FROM keks WHERE state <> 'retired'")) > 1:
        message = "a rotation of the key-encryption key is under way"
        raise RuntimeError(message)


def _extend_keys_and_tokens() -> None:
    op.create_table(
        "keks",
        sa.Column("kek_id", sa.String(64), nullable=False),
        sa.Column("check_value", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("kek_id", name="pk_keks"),
    )
    op.execute(
        "INSERT INTO keks (kek_id, check_value, state, created_at)"
        " SELECT 'kek-1', value, 'active', 0 FROM meta WHERE name = 'kek-check'"
    )
    op.execute("DELETE FROM meta WHERE name = 'kek-check'")
    # Columns are added and the table is not copied: SQLite refuses to drop one that another refers to.
    for column in (
        sa.Column("kek_id", sa.String(64), nullable=False, server_default=_FIRST_KEK),
        sa.Column("state", sa.String(16), nullable=False, server_default="active"),
        sa.Column("plain_release", sa.String(24), nullable=False, server_default=_ENROLLED_REFUSED),
        sa.Column("retired_at", sa.BigInteger, nullable=True),
        sa.Column("destroyed_at", sa.BigInteger, nullable=True),
    ):
        op.add_column("keys", column)
    op.create_index("ix_keys_kek_id", "keys", ["kek_id"])
    with op.batch_alter_table("tokens") as batch:
        batch.alter_column("key_id", existing_type=sa.String(64), nullable=True)
        batch.add_column(sa.Column("scopes", sa.String(100), nullable=False, server_default="fragment:read"))
        batch.add_column(sa.Column("device_id", sa.String(64), nullable=True))


def _make_devices() -> None:
    op.create_table(
        "devices",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("disabled_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("device_id", name="pk_devices"),
    )
    op.create_table(
        "device_groups",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("group_name", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("device_id", "group_name", name="pk_device_groups"),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.device_id"], name="fk_device_groups_device_id_devices"
        ),
    )
    op.create_index("ix_device_groups_group_name", "device_groups", ["group_name"])


def _make_grants() -> None:
    op.create_table(
        "grants",
        sa.Column("grant_id", sa.String(32), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("device_id", sa.String(64), nullable=True),
        sa.Column("group_name", sa.String(64), nullable=True),
        sa.Column("not_before", sa.BigInteger, nullable=True),
        sa.Column("not_after", sa.BigInteger, nullable=True),
        sa.Column("uses_left", sa.BigInteger, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("grant_id", name="pk_grants"),
        sa.ForeignKeyConstraint(["key_id"], ["keys.key_id"], name="fk_grants_key_id_keys"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.device_id"], name="fk_grants_device_id_devices"),
        sa.CheckConstraint(
            "(device_id IS NULL) <> (group_name IS NULL)", name=op.f("ck_grants_one_receiver")
        ),
        sa.CheckConstraint("uses_left >= 0", name=op.f("ck_grants_uses_left")),
    )
    for column in ("key_id", "device_id", "group_name"):
        op.create_index(f"ix_grants_{column}", "grants", [column])
    op.create_table(
        "spent_nonces",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("nonce", sa.LargeBinary(64), nullable=False),
        sa.Column("grant_id", sa.String(32), nullable=False),
        sa.Column("spent_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("device_id", "key_id", "nonce", name="pk_spent_nonces"),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.device_id"], name="fk_spent_nonces_device_id_devices"
        ),
        sa.ForeignKeyConstraint(["key_id"], ["keys.key_id"], name="fk_spent_nonces_key_id_keys"),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.grant_id"], name="fk_spent_nonces_grant_id_grants"),
    )
    op.create_index("ix_spent_nonces_spent_at", "spent_nonces", ["spent_at"])


def _make_enrolment_and_sessions() -> None:
    op.create_table(
        "enrolment_codes",
        sa.Column("code_id", sa.String(32), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger, nullable=True),
        sa.Column("revoked_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("code_id", name="pk_enrolment_codes"),
        sa.UniqueConstraint("code_hash", name="uq_enrolment_codes_code_hash"),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.device_id"], name="fk_enrolment_codes_device_id_devices"
        ),
    )
    op.create_index("ix_enrolment_codes_device_id", "enrolment_codes", ["device_id"])
    op.create_table(
        "sessions",
        sa.Column("session_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("token_id", sa.String(32), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("session_hash", name="pk_sessions"),
        sa.ForeignKeyConstraint(["token_id"], ["tokens.token_id"], name="fk_sessions_token_id_tokens"),
    )
    op.create_index("ix_sessions_token_id", "sessions", ["token_id"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])


def _make_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=True),
        sa.Column("device_id", sa.String(64), nullable=True),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("mac", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
    )
    op.create_index("ix_audit_device_id", "audit", ["device_id", "seq"])
    op.create_index("ix_audit_key_id", "audit", ["key_id", "seq"])
    op.create_table(
        "audit_head",
        sa.Column("name", sa.String(8), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("mac", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_audit_head"),
    )
    head = sa.table("audit_head", sa.column("name"), sa.column("seq"), sa.column("mac"))
    op.bulk_insert(head, [{"name": "head", "seq": 0, "mac": bytes(32)}])
