"""The tables of the key service. ``migrations/`` builds them; a test proves that both agree.

Times are whole seconds since 1970 in UTC: no database disagrees about what an integer means.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, LargeBinary, MetaData, String, Table

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
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

KEYS = Table(
    "keys",
    METADATA,
    Column("key_id", String(64), primary_key=True),
    Column("sealed_fragment", LargeBinary, nullable=False),  # nonce(12) || AES-256-GCM; never plain
    Column("created_at", BigInteger, nullable=False),
)

TOKENS = Table(
    "tokens",
    METADATA,
    Column("token_id", String(32), primary_key=True),
    Column("token_hash", LargeBinary(32), nullable=False, unique=True),  # SHA-256; the token is nowhere
    Column("key_id", String(64), ForeignKey("keys.key_id"), nullable=False, index=True),
    Column("label", String(200), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=True),
)
