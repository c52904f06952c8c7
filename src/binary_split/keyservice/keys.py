"""The stored keys: fragments by key-id, each sealed for its own row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import IntegrityError

from binary_split.errors import RecordError
from binary_split.keyservice.clock import Clock, from_seconds, to_seconds
from binary_split.keyservice.database import reading, writing
from binary_split.keyservice.envelope import Envelope
from binary_split.keyservice.schema import KEYS
from binary_split.model import Fragment, is_key_id

FRAGMENT_BYTES = 32
"""How long a fragment is that is made here; an imported one has the length that it has."""


Deliver = Callable[[bytes], None]
"""Hands a secret over before it is committed; if that raises, nothing is stored."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What may be told of a key: never its fragment."""

    key_id: str
    created: datetime


class KeyRepository:
    """Adds and lists keys. Every method may raise what ``reading`` and ``writing`` raise."""

    def __init__(self, engine: Engine, envelope: Envelope, clock: Clock) -> None:
        self._engine = engine
        self._envelope = envelope
        self._clock = clock

    def add(self, key_id: str, fragment: Fragment, *, deliver: Deliver | None = None) -> KeyRecord:
        """Store a fragment under a new key-id, which names it for ever.

        Raises:
            RecordError: the key-id is malformed, or exists already.
        """
        if not is_key_id(key_id):
            raise RecordError(
                f"not a key-id: {key_id[:100]!r}",
                hint="A key-id is 1 to 64 of a-z, 0-9, '.', '_' and '-', and starts with a letter or digit.",
            )
        created = to_seconds(self._clock())
        sealed = self._envelope.seal_fragment(key_id, fragment)
        with writing(self._engine) as connection:
            try:
                connection.execute(
                    insert(KEYS).values(key_id=key_id, sealed_fragment=sealed, created_at=created)
                )
            except IntegrityError:
                raise RecordError(
                    f"key {key_id!r} exists already",
                    hint="A key-id names one fragment for ever: to rotate, make a new key-id.",
                ) from None
            if deliver is not None:
                deliver(fragment.reveal())
        return KeyRecord(key_id, from_seconds(created))

    def list(self) -> list[KeyRecord]:
        """Return all keys by name."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(KEYS.c.key_id, KEYS.c.created_at).order_by(KEYS.c.key_id))
            return [KeyRecord(row.key_id, from_seconds(row.created_at)) for row in rows]

    def fragment(self, key_id: str) -> Fragment | None:
        """Return a key's fragment, or None where there is no such key.

        Raises:
            KeyStoreDamagedError: what is stored fails authentication.
        """
        with reading(self._engine) as connection:
            sealed = connection.scalar(select(KEYS.c.sealed_fragment).where(KEYS.c.key_id == key_id))
        return None if sealed is None else self._envelope.open_fragment(key_id, sealed)
