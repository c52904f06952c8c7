"""What a batch of releases must know, in at most four queries however many requests there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy import BindParameter, Connection, RowMapping, bindparam, select, tuple_, union_all

from binary_split.keyservice.decision import (
    Bearer,
    Grant,
    KeyFacts,
    KeyState,
    PlainRelease,
    holds_key,
    meant_key,
)
from binary_split.keyservice.schema import DEVICE_GROUPS, DEVICES, GRANTS, KEYS, SPENT_NONCES, TOKENS

Nonce = tuple[str, str, bytes]
"""A device, a key, and the nonce that the one showed for the other."""


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """A token and its device; times in seconds since 1970."""

    bearer: Bearer
    expires_at: int
    is_revoked: bool
    is_device_disabled: bool
    public_key: bytes | None


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A key with its sealed fragment."""

    facts: KeyFacts
    kek_id: str
    sealed: bytes


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """Everything that a batch of requests is decided on."""

    tokens: dict[bytes, TokenFacts]
    keys: dict[str, SealedKey]
    spent: dict[Nonce, str]


_TOKENS = (
    select(
        TOKENS.c.token_id,
        TOKENS.c.token_hash,
        TOKENS.c.scopes,
        TOKENS.c.key_id,
        TOKENS.c.device_id,
        TOKENS.c.expires_at,
        TOKENS.c.revoked_at,
        DEVICES.c.state.label("device_state"),
        DEVICES.c.public_key,
    )
    .select_from(TOKENS.outerjoin(DEVICES, DEVICES.c.device_id == TOKENS.c.device_id))
    .where(TOKENS.c.token_hash.in_(bindparam("hashes", expanding=True)))
)
_GRANT = (
    GRANTS.c.grant_id,
    GRANTS.c.key_id,
    GRANTS.c.not_before,
    GRANTS.c.not_after,
    GRANTS.c.uses_left,
)
_DEVICE_IDS: BindParameter[str] = bindparam("devices", expanding=True)
_GRANTS = union_all(
    select(GRANTS.c.device_id.label("holder"), *_GRANT).where(
        GRANTS.c.device_id.in_(_DEVICE_IDS), GRANTS.c.revoked_at.is_(None)
    ),
    select(DEVICE_GROUPS.c.device_id.label("holder"), *_GRANT)
    .select_from(DEVICE_GROUPS.join(GRANTS, GRANTS.c.group_name == DEVICE_GROUPS.c.group_name))
    .where(DEVICE_GROUPS.c.device_id.in_(_DEVICE_IDS), GRANTS.c.revoked_at.is_(None)),
)
_KEYS = select(
    KEYS.c.key_id, KEYS.c.state, KEYS.c.plain_release, KEYS.c.kek_id, KEYS.c.sealed_fragment
).where(KEYS.c.key_id.in_(bindparam("keys", expanding=True)))
_SPENT = SPENT_NONCES.c


def read_facts(
    connection: Connection, requests: Sequence[tuple[bytes, str | None, bytes | None]], now: int
) -> BatchFacts:
    """Read what requests are about: each is the hash of a token, the key that is named, and a nonce."""
    tokens = _read_tokens(connection, {token_hash for token_hash, _, _ in requests})
    meant: set[str] = set()
    nonces: set[Nonce] = set()
    for token_hash, named, nonce in requests:
        token = tokens.get(token_hash)
        key_id = None if token is None else meant_key(token.bearer, named, now)
        # Only what the bearer holds is looked up: no answer takes longer because a key of others exists.
        if token is None or key_id is None or not holds_key(token.bearer, key_id, now):
            continue
        meant.add(key_id)
        limited = any(g.key_id == key_id and g.uses_left is not None for g in token.bearer.grants)
        if nonce is not None and token.bearer.device_id is not None and limited:
            nonces.add((token.bearer.device_id, key_id, nonce))
    return BatchFacts(tokens, read_keys(connection, meant), _read_spent(connection, nonces))


def _read_tokens(connection: Connection, hashes: set[bytes]) -> dict[bytes, TokenFacts]:
    rows = connection.execute(_TOKENS, {"hashes": list(hashes)}).mappings().all()
    grants = read_grants(connection, {row["device_id"] for row in rows if row["device_id"] is not None})
    return {row["token_hash"]: _token(row, grants.get(row["device_id"], ())) for row in rows}


def _token(row: RowMapping, grants: Sequence[Grant]) -> TokenFacts:
    bearer = Bearer(
        token_id=row["token_id"],
        scopes=frozenset(row["scopes"].split()),
        token_key_id=row["key_id"],
        device_id=row["device_id"],
        has_public_key=row["public_key"] is not None,
        grants=grants,
    )
    return TokenFacts(
        bearer,
        row["expires_at"],
        row["revoked_at"] is not None,
        row["device_id"] is not None and row["device_state"] != "active",
        row["public_key"],
    )


def read_grants(connection: Connection, device_ids: Iterable[str]) -> dict[str, list[Grant]]:
    """Return the grants of devices, of their own and of their groups, that are not revoked."""
    wanted = list(device_ids)
    found: dict[str, list[Grant]] = {}
    if wanted:
        for holder, *grant in connection.execute(_GRANTS, {"devices": wanted}):
            found.setdefault(holder, []).append(Grant(*grant))
    return found


def read_keys(connection: Connection, key_ids: set[str]) -> dict[str, SealedKey]:
    """Return keys by id with their sealed fragments."""
    if not key_ids:
        return {}
    return {
        row.key_id: SealedKey(
            KeyFacts(row.key_id, cast("KeyState", row.state), cast("PlainRelease", row.plain_release)),
            row.kek_id,
            row.sealed_fragment,
        )
        for row in connection.execute(_KEYS, {"keys": list(key_ids)})
    }


def _read_spent(connection: Connection, nonces: set[Nonce]) -> dict[Nonce, str]:
    if not nonces:
        return {}
    query = select(_SPENT.device_id, _SPENT.key_id, _SPENT.nonce, _SPENT.grant_id).where(
        tuple_(_SPENT.device_id, _SPENT.key_id, _SPENT.nonce).in_(list(nonces))
    )
    return {(row.device_id, row.key_id, bytes(row.nonce)): row.grant_id for row in connection.execute(query)}
