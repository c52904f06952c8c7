"""The stored tokens: issued, found by their hash, revoked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, RowMapping, func, insert, select, update

from binary_split.errors import RecordError
from binary_split.keyservice.clock import Clock, from_seconds, to_seconds
from binary_split.keyservice.database import reading, writing
from binary_split.keyservice.keys import Deliver
from binary_split.keyservice.schema import KEYS, TOKENS
from binary_split.keyservice.tokens import (
    IssuedToken,
    TokenRecord,
    generate_token,
    generate_token_id,
    hash_token,
    parse_label,
    parse_token_id,
)


class TokenRepository:
    """Issues, finds and revokes tokens. Every method may raise what ``reading`` and ``writing`` raise."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def issue(
        self, key_id: str, *, lifetime: timedelta, label: str = "", deliver: Deliver | None = None
    ) -> IssuedToken:
        """Make a token for one key, with a label that tells a person whose it is. Only its hash is stored.

        Raises:
            RecordError: there is no such key.
            ConfigError: the label is no label.
        """
        created = to_seconds(self._clock())
        row = {
            "token_id": generate_token_id(),
            "key_id": key_id,
            "label": parse_label(label),
            "created_at": created,
            "expires_at": created + int(lifetime.total_seconds()),
            "revoked_at": None,
        }
        token = generate_token()
        with writing(self._engine) as connection:
            if not connection.scalar(select(func.count()).select_from(KEYS).where(KEYS.c.key_id == key_id)):
                raise RecordError(f"there is no key {key_id[:100]!r}")
            connection.execute(insert(TOKENS).values(**row, token_hash=hash_token(token)))
            if deliver is not None:
                deliver(token.encode())
        return IssuedToken(_record(row), token)

    def revoke(self, token_id: str) -> TokenRecord:
        """Revoke a token from this moment on. Doing it again changes nothing, not even the time.

        Raises:
            RecordError: there is no such token.
        """
        parse_token_id(token_id)
        this_one = TOKENS.c.token_id == token_id
        with writing(self._engine) as connection:
            connection.execute(
                update(TOKENS)
                .where(this_one, TOKENS.c.revoked_at.is_(None))
                .values(revoked_at=to_seconds(self._clock()))
            )
            row = connection.execute(select(TOKENS).where(this_one)).mappings().first()
        if row is None:
            raise RecordError(f"there is no token {token_id}")
        return _record(row)

    def list(self) -> list[TokenRecord]:
        """Return all tokens, oldest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(TOKENS).order_by(TOKENS.c.created_at, TOKENS.c.token_id))
            return [_record(row) for row in rows.mappings()]

    def find(self, token: str) -> TokenRecord | None:
        """Return the record of a token, whatever its state, or None where it is unknown."""
        with reading(self._engine) as connection:
            row = connection.execute(select(TOKENS).where(TOKENS.c.token_hash == hash_token(token)))
            found = row.mappings().first()
        return None if found is None else _record(found)


def _record(row: Mapping[str, Any] | RowMapping) -> TokenRecord:
    revoked = row["revoked_at"]
    return TokenRecord(
        token_id=row["token_id"],
        key_id=row["key_id"],
        label=row["label"],
        created=from_seconds(row["created_at"]),
        expires=from_seconds(row["expires_at"]),
        revoked=None if revoked is None else from_seconds(revoked),
    )
