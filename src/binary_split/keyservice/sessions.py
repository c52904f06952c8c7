"""Logins of people at the console. They borrow the right of a token, and end with it."""

from __future__ import annotations

import secrets
from datetime import timedelta

from sqlalchemy import delete, insert, select

from binary_split.errors import RecordError
from binary_split.keyservice.clock import Clock, to_seconds
from binary_split.keyservice.database import reading, writing
from binary_split.keyservice.ledger import Ledger
from binary_split.keyservice.schema import SESSIONS, TOKENS
from binary_split.keyservice.token_records import read_token
from binary_split.keyservice.tokens import TokenRecord, hash_token, parse_token_id

_SESSION_BYTES = 32


class SessionRepository:
    """Begins, finds and ends sessions. Every method may raise what ``reading`` and ``writing`` raise."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def begin(self, token_id: str, *, lifetime: timedelta) -> str:
        """Return the secret of a new session, for a cookie; only its hash is stored.

        Raises:
            RecordError: there is no such token.
        """
        parse_token_id(token_id)
        secret = secrets.token_urlsafe(_SESSION_BYTES)
        now = to_seconds(self._clock())
        with writing(self._ledger.engine) as connection:
            if connection.scalar(select(TOKENS.c.token_id).where(TOKENS.c.token_id == token_id)) is None:
                raise RecordError(f"there is no token {token_id}")
            connection.execute(delete(SESSIONS).where(SESSIONS.c.expires_at <= now))
            connection.execute(
                insert(SESSIONS).values(
                    session_hash=hash_token(secret),
                    token_id=token_id,
                    created_at=now,
                    expires_at=now + int(lifetime.total_seconds()),
                )
            )
        return secret

    def find(self, secret: str) -> TokenRecord | None:
        """Return the token of a session that has not ended, or None; the token itself may be dead."""
        now = to_seconds(self._clock())
        query = (
            select(TOKENS)
            .join(SESSIONS, SESSIONS.c.token_id == TOKENS.c.token_id)
            .where(
                SESSIONS.c.session_hash == hash_token(secret),
                SESSIONS.c.expires_at > now,
            )
        )
        with reading(self._ledger.engine) as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else read_token(row)

    def end(self, secret: str) -> None:
        """End a session; one that has ended stays so."""
        with writing(self._ledger.engine) as connection:
            connection.execute(delete(SESSIONS).where(SESSIONS.c.session_hash == hash_token(secret)))
