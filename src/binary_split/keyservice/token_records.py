"""The stored tokens: issued, found by their hash, revoked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from binary_split.errors import RecordError, RecordMissingError
from binary_split.keyservice.chain import LOCAL, AuditEvent
from binary_split.keyservice.clock import from_seconds, optional_time
from binary_split.keyservice.database import reading
from binary_split.keyservice.decision import FRAGMENT_READ
from binary_split.keyservice.devices import find_device
from binary_split.keyservice.keys import Deliver
from binary_split.keyservice.ledger import Ledger, Transaction
from binary_split.keyservice.paging import DEFAULT_PAGE, Page, fetch_page
from binary_split.keyservice.schema import KEYS, TOKENS
from binary_split.keyservice.tokens import (
    IssuedToken,
    TokenRecord,
    generate_token,
    generate_token_id,
    hash_token,
    parse_label,
    parse_scopes,
    parse_token_id,
)


class TokenRepository:
    """Issues, finds and revokes tokens. Every method may raise what ``reading`` and ``writing`` raise."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def issue(
        self,
        key_id: str | None = None,
        *,
        lifetime: timedelta,
        label: str = "",
        device_id: str | None = None,
        scopes: Collection[str] = (FRAGMENT_READ,),
        deliver: Deliver | None = None,
        by: str = LOCAL,
    ) -> IssuedToken:
        """Make a token. Only its hash is stored.

        Args:
            key_id: the key that the token itself opens; with a device, the key it asks for when it names
                none.
            lifetime: how long it works.
            label: tells a person whose it is.
            device_id: the device that it speaks for; the device's grants then decide.
            scopes: what it is for: ``fragment:read``, ``admin``, ``audit:read``.
            deliver: is given the token before it is stored.
            by: the actor in the audit.

        Raises:
            RecordError: there is no such key, device or scope, or the token would open nothing.
            ConfigError: the label is no label.
        """
        wanted = parse_scopes(scopes)
        if FRAGMENT_READ in wanted and key_id is None and device_id is None:
            raise RecordError("a token that reads fragments is for a key or a device", hint="Name one.")
        with self._ledger.writing() as turn:
            _verify_key(turn.connection, key_id)
            if device_id is not None:
                find_device(turn.connection, device_id)
            issued = insert_token(
                turn, lifetime=lifetime, label=label, key_id=key_id, device_id=device_id, scopes=wanted, by=by
            )
            if deliver is not None:
                deliver(issued.text.encode())
        return issued

    def revoke(self, token_id: str, *, by: str = LOCAL) -> TokenRecord:
        """Revoke a token from this moment on. Doing it again changes nothing, not even the time.

        Raises:
            RecordError: there is no such token.
        """
        parse_token_id(token_id)
        with self._ledger.writing() as turn:
            old = _find(turn.connection, token_id)
            if old.revoked is None:
                mark_token_revoked(turn.connection, token_id, turn.now)
                turn.record(
                    AuditEvent(
                        kind="token-revoke",
                        actor=by,
                        key_id=old.key_id,
                        device_id=old.device_id,
                        detail={"token_id": token_id},
                    )
                )
            return _find(turn.connection, token_id)

    def page(
        self,
        *,
        cursor: str | None = None,
        limit: int = DEFAULT_PAGE,
        key_id: str | None = None,
        device_id: str | None = None,
        is_revoked: bool | None = None,
    ) -> Page[TokenRecord]:
        """Return tokens, oldest first, that match every filter given.

        Raises:
            RecordError: the cursor or the limit is none.
        """
        query = select(TOKENS)
        if key_id is not None:
            query = query.where(TOKENS.c.key_id == key_id)
        if device_id is not None:
            query = query.where(TOKENS.c.device_id == device_id)
        if is_revoked is not None:
            revoked = TOKENS.c.revoked_at
            query = query.where(revoked.is_not(None) if is_revoked else revoked.is_(None))
        order = (TOKENS.c.created_at, TOKENS.c.token_id)
        with reading(self._ledger.engine) as connection:
            return fetch_page(connection, query, order, read_token, cursor=cursor, limit=limit)

    def find(self, token: str) -> TokenRecord | None:
        """Return the record of a token by its text, whatever its state, or None where it is unknown."""
        with reading(self._ledger.engine) as connection:
            row = connection.execute(select(TOKENS).where(TOKENS.c.token_hash == hash_token(token)))
            found = row.mappings().first()
        return None if found is None else read_token(found)

    def find_id(self, token_id: str) -> TokenRecord:
        """Return the record of a token by its public id.

        Raises:
            RecordError: there is no such token.
        """
        parse_token_id(token_id)
        with reading(self._ledger.engine) as connection:
            return _find(connection, token_id)


def insert_token(
    turn: Transaction,
    *,
    lifetime: timedelta,
    label: str,
    key_id: str | None,
    device_id: str | None,
    scopes: frozenset[str],
    by: str,
) -> IssuedToken:
    """Store a new token, and its record."""
    row = {
        "token_id": generate_token_id(),
        "key_id": key_id,
        "device_id": device_id,
        "scopes": " ".join(sorted(scopes)),
        "label": parse_label(label),
        "created_at": turn.now,
        "expires_at": turn.now + int(lifetime.total_seconds()),
        "revoked_at": None,
    }
    token = generate_token()
    turn.connection.execute(insert(TOKENS).values(**row, token_hash=hash_token(token)))
    detail = {"token_id": row["token_id"], "scopes": row["scopes"], "expires_at": row["expires_at"]}
    turn.record(AuditEvent(kind="token-issue", actor=by, key_id=key_id, device_id=device_id, detail=detail))
    return IssuedToken(read_token(row), token)


def mark_token_revoked(connection: Connection, token_id: str, now: int) -> None:
    """Revoke a token that is not revoked yet."""
    connection.execute(
        update(TOKENS)
        .where(TOKENS.c.token_id == token_id, TOKENS.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def mark_device_tokens_revoked(connection: Connection, device_id: str, now: int) -> int:
    """Revoke every token of a device; return how many there were."""
    done = connection.execute(
        update(TOKENS)
        .where(TOKENS.c.device_id == device_id, TOKENS.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    return done.rowcount


def _verify_key(connection: Connection, key_id: str | None) -> None:
    if key_id is None:
        return
    known = "\0" not in key_id and connection.scalar(
        select(func.count()).select_from(KEYS).where(KEYS.c.key_id == key_id)
    )
    if not known:
        raise RecordMissingError(f"there is no key {key_id[:100]!r}")


def _find(connection: Connection, token_id: str) -> TokenRecord:
    row = connection.execute(select(TOKENS).where(TOKENS.c.token_id == token_id)).mappings().first()
    if row is None:
        raise RecordMissingError(f"there is no token {token_id}")
    return read_token(row)


def read_token(row: Mapping[str, Any] | RowMapping) -> TokenRecord:
    """Make a record of a row."""
    return TokenRecord(
        token_id=row["token_id"],
        key_id=row["key_id"],
        label=row["label"],
        created=from_seconds(row["created_at"]),
        expires=from_seconds(row["expires_at"]),
        revoked=optional_time(row["revoked_at"]),
        device_id=row["device_id"],
        scopes=frozenset(row["scopes"].split()),
    )
