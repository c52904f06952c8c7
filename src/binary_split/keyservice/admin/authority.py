"""Who may administrate: the bearer of a token with the right scope, looked up anew for each request."""

from __future__ import annotations

from binary_split.errors import FragmentForbiddenError, RecordError, TokenRejectedError
from binary_split.keyservice.admin.acts import Act
from binary_split.keyservice.store import Store
from binary_split.keyservice.tokens import TokenRecord

ADMIN = "admin"
AUDIT_READ = "audit:read"


class OutOfScopeError(Exception):
    """The token is good, and not for this."""


def verify_bearer(store: Store, token: str, act: Act, *, source: str) -> TokenRecord:
    """Return the record of a token that may do an act.

    Args:
        store: where tokens are looked up.
        token: its text.
        act: what is wanted; nothing else of the request is looked at before this is clear.
        source: the bearer's address: what fails is counted for it.

    Raises:
        TokenRejectedError: the token is unknown or has expired.
        FragmentForbiddenError: it was revoked, or its device disabled.
        OutOfScopeError: it has not the scope.
    """
    record = store.tokens.find(token)
    if record is None:
        store.failures.note(source=source, reason="unknown-token")
        raise TokenRejectedError("the token is unknown")
    verify_live(store, record)
    if ADMIN not in record.scopes and not (act.is_audit and AUDIT_READ in record.scopes):
        store.failures.note(source=record.token_id, reason="scope")
        raise OutOfScopeError
    return record


def verify_live(store: Store, record: TokenRecord) -> None:
    """Prove that a token works now.

    Raises:
        TokenRejectedError: it has expired.
        FragmentForbiddenError: it was revoked, or its device disabled.
    """
    state = record.state_at(store.clock())
    if state == "active" and not _is_device_disabled(store, record):
        return
    store.failures.note(source=record.token_id, reason=f"{state}-token" if state != "active" else "device")
    if state == "expired":
        raise TokenRejectedError("the token has expired")
    raise FragmentForbiddenError("the token was revoked")


def _is_device_disabled(store: Store, record: TokenRecord) -> bool:
    if record.device_id is None:
        return False
    try:
        return store.devices.find(record.device_id).state != "active"
    except RecordError:
        return True
