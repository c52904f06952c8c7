"""The tables of the key service. ``migrations/`` builds them; a test proves that both agree.

Times are whole seconds since 1970 in UTC: no database disagrees about what an integer means.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

FIRST_KEK_ID = "kek-1"
"""The name of a store's first key-encryption key."""

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

META = Table(
    "meta",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

KEKS = Table(
    "keks",
    METADATA,
    Column("kek_id", String(64), primary_key=True),
    Column("check_value", LargeBinary, nullable=False),  # opens under this key-encryption key alone
    Column("state", String(16), nullable=False),  # active, retiring, retired
    Column("created_at", BigInteger, nullable=False),
)

KEYS = Table(
    "keys",
    METADATA,
    Column("key_id", String(64), primary_key=True),
    Column("sealed_fragment", LargeBinary, nullable=False),  # nonce(12) || AES-256-GCM; empty once destroyed
    Column("created_at", BigInteger, nullable=False),
    Column("kek_id", String(64), nullable=False, server_default=FIRST_KEK_ID, index=True),
    Column("state", String(16), nullable=False, server_default="active"),
    Column("plain_release", String(24), nullable=False, server_default="enrolled-refused"),
    Column("retired_at", BigInteger, nullable=True),
    Column("destroyed_at", BigInteger, nullable=True),
)

DEVICES = Table(
    "devices",
    METADATA,
    Column("device_id", String(64), primary_key=True),
    Column("label", String(200), nullable=False),
    Column("state", String(16), nullable=False),
    Column("public_key", LargeBinary, nullable=True),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger, nullable=True),
)

DEVICE_GROUPS = Table(
    "device_groups",
    METADATA,
    Column("device_id", String(64), ForeignKey("devices.device_id"), primary_key=True),
    Column("group_name", String(64), primary_key=True, index=True),
)

GRANTS = Table(
    "grants",
    METADATA,
    Column("grant_id", String(32), primary_key=True),
    Column("key_id", String(64), ForeignKey("keys.key_id"), nullable=False, index=True),
    Column("device_id", String(64), ForeignKey("devices.device_id"), nullable=True, index=True),
    Column("group_name", String(64), nullable=True, index=True),
    Column("not_before", BigInteger, nullable=True),
    Column("not_after", BigInteger, nullable=True),
    Column("uses_left", BigInteger, nullable=True),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=True),
    CheckConstraint("(device_id IS NULL) <> (group_name IS NULL)", name="one_receiver"),
    CheckConstraint("uses_left >= 0", name="uses_left"),
)

TOKENS = Table(
    "tokens",
    METADATA,
    Column("token_id", String(32), primary_key=True),
    Column("token_hash", LargeBinary(32), nullable=False, unique=True),  # SHA-256; the token is nowhere
    Column("key_id", String(64), ForeignKey("keys.key_id"), nullable=True, index=True),
    Column("label", String(200), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=True),
    Column("scopes", String(100), nullable=False, server_default="fragment:read"),
    Column("device_id", String(64), ForeignKey("devices.device_id"), nullable=True, index=True),
)

ENROLMENT_CODES = Table(
    "enrolment_codes",
    METADATA,
    Column("code_id", String(32), primary_key=True),
    Column("code_hash", LargeBinary(32), nullable=False, unique=True),
    Column("device_id", String(64), ForeignKey("devices.device_id"), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=True),
    Column("revoked_at", BigInteger, nullable=True),
)

SPENT_NONCES = Table(
    "spent_nonces",
    METADATA,
    Column("device_id", String(64), ForeignKey("devices.device_id"), primary_key=True),
    Column("key_id", String(64), ForeignKey("keys.key_id"), primary_key=True),
    Column("nonce", LargeBinary(64), primary_key=True),
    Column("grant_id", String(32), ForeignKey("grants.grant_id"), nullable=False),
    Column("spent_at", BigInteger, nullable=False, index=True),
)

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("session_hash", LargeBinary(32), primary_key=True),
    Column("token_id", String(32), ForeignKey("tokens.token_id"), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

AUDIT = Table(
    "audit",
    METADATA,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("key_id", String(64), nullable=True),
    Column("device_id", String(64), nullable=True),
    Column("detail", Text, nullable=False),  # JSON with sorted names
    Column("mac", LargeBinary(32), nullable=False),
    Index("ix_audit_device_id", "device_id", "seq"),
    Index("ix_audit_key_id", "key_id", "seq"),
)

AUDIT_HEAD = Table(
    "audit_head",
    METADATA,
    Column("name", String(8), primary_key=True),  # one row, and its lock is the turn to write
    Column("seq", BigInteger, nullable=False),
    Column("mac", LargeBinary(32), nullable=False),
)
