"""The store: keys and tokens, and the one decision whether a fragment is released."""

from __future__ import annotations

from sqlalchemy import Engine, select

from binary_split.errors import (
    FragmentForbiddenError,
    FragmentNotFoundError,
    KeyEncryptionKeyError,
    TokenRejectedError,
)
from binary_split.keyservice.clock import Clock, utc_now
from binary_split.keyservice.database import reading
from binary_split.keyservice.envelope import Envelope
from binary_split.keyservice.keys import KeyRepository
from binary_split.keyservice.schema import META
from binary_split.keyservice.token_records import TokenRepository
from binary_split.model import Fragment

CHECK_NAME = "kek-check"


class Store:
    """One key service's store, safe to share between threads.

    Whatever touches the database may raise KeyStoreStateError (locked, full or gone: try again) and
    KeyStoreDamagedError (no sound database).

    Attributes:
        keys: the fragments.
        tokens: the tokens.
        clock: the present, as the store sees it.
    """

    def __init__(self, engine: Engine, envelope: Envelope, *, clock: Clock = utc_now) -> None:
        self._engine = engine
        self._envelope = envelope
        self.clock = clock
        self.keys = KeyRepository(engine, envelope, clock)
        self.tokens = TokenRepository(engine, clock)

    def close(self) -> None:
        """Close every connection; the next use opens new ones."""
        self._engine.dispose()

    def verify_ready(self) -> None:
        """Prove that the database answers and that the key-encryption key is its own.

        Raises:
            KeyEncryptionKeyError: it is another store's.
        """
        with reading(self._engine) as connection:
            sealed = connection.scalar(select(META.c.value).where(META.c.name == CHECK_NAME))
        if sealed is None:
            raise KeyEncryptionKeyError("the store has no check value for its key-encryption key")
        self._envelope.verify_check(sealed)

    def release(self, token: str, *, key_id: str | None = None) -> Fragment:
        """Return the fragment that a token opens.

        Args:
            token: the bearer's token.
            key_id: which fragment the bearer means; None is the token's own.

        Raises:
            TokenRejectedError: the token is unknown or has expired.
            FragmentForbiddenError: the token was revoked.
            FragmentNotFoundError: ``key_id`` is not the token's own; whether it exists makes no difference.
            KeyStoreDamagedError: the stored fragment fails authentication.
        """
        record = self.tokens.find(token)
        if record is None:
            raise TokenRejectedError("the token is unknown")
        state = record.state_at(self.clock())
        if state == "revoked":
            raise FragmentForbiddenError("the token was revoked")
        if state == "expired":
            raise TokenRejectedError("the token has expired")
        # Without a look into the database: neither the answer nor its time tells what other keys there are.
        fragment = self.keys.fragment(record.key_id) if key_id in (None, record.key_id) else None
        if fragment is None:
            raise FragmentNotFoundError("no such fragment")
        return fragment
