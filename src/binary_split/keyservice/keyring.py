"""The key-encryption keys of a store: one seals, and each that a stored fragment needs opens."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, select

from binary_split.errors import KeyEncryptionKeyError
from binary_split.keyservice.envelope import Envelope
from binary_split.keyservice.schema import KEKS
from binary_split.model import Fragment

Load = Callable[[], Iterable[bytes]]
"""Reads the keys from where they are kept; raises KeyEncryptionKeyError."""


@dataclass(frozen=True, slots=True)
class KekRow:
    """What the database knows of a key-encryption key."""

    kek_id: str
    check_value: bytes
    state: str


class KeyRing:
    """Seals and opens fragments by the id of the key; no repr shows a key.

    A running service may meet a fragment that another process sealed under a key made since: then the keys
    are read once more.
    """

    __slots__ = ("_envelopes", "_load")

    def __init__(self, load: Load) -> None:
        self._load = load
        self._envelopes: dict[str, Envelope] = {}

    def verify(self, connection: Connection) -> None:
        """Read the keys anew and prove that they are the ones which the store needs.

        Raises:
            KeyEncryptionKeyError: one is missing, or is another store's.
        """
        rows = read_kek_rows(connection)
        needed = [row for row in rows if row.state != "retired"]
        if not any(row.state == "active" for row in rows):
            raise KeyEncryptionKeyError("the store has no check value for its key-encryption key")
        candidates = [Envelope(key) for key in self._load()]
        self._envelopes = _matched(rows, candidates)
        for row in needed:
            if row.kek_id not in self._envelopes:
                raise KeyEncryptionKeyError(
                    f"the key-encryption key is not the one of this store: {row.kek_id} is missing"
                )

    def verify_known(self, connection: Connection) -> None:
        """Prove that every key which the store needs is here; they are read anew only if one is not.

        Raises:
            KeyEncryptionKeyError: one is missing, or is another store's.
        """
        needed = [row for row in read_kek_rows(connection) if row.state != "retired"]
        is_sound = bool(needed)
        for row in needed:
            envelope = self._envelopes.get(row.kek_id)
            is_sound = is_sound and envelope is not None and envelope.is_key_of(row.check_value)
        if not is_sound:
            self.verify(connection)

    def seal(self, connection: Connection, key_id: str, fragment: Fragment) -> tuple[str, bytes]:
        """Return the id of the active key-encryption key, and the fragment sealed under it.

        Raises:
            KeyEncryptionKeyError: the active key is not here.
        """
        active = connection.scalar(select(KEKS.c.kek_id).where(KEKS.c.state == "active"))
        if active is None:
            raise KeyEncryptionKeyError("the store has no check value for its key-encryption key")
        return active, self._envelope(connection, active).seal_fragment(key_id, fragment)

    def seal_under(self, connection: Connection, kek_id: str, key_id: str, fragment: Fragment) -> bytes:
        """Return a fragment sealed under a named key-encryption key.

        Raises:
            KeyEncryptionKeyError: it is not here.
        """
        return self._envelope(connection, kek_id).seal_fragment(key_id, fragment)

    def open(self, connection: Connection, kek_id: str, key_id: str, sealed: bytes) -> Fragment:
        """Return the fragment of a row.

        Raises:
            KeyEncryptionKeyError: the key that it needs is not here.
            KeyStoreDamagedError: it was altered, or belongs to another row.
        """
        return self._envelope(connection, kek_id).open_fragment(key_id, sealed)

    def _envelope(self, connection: Connection, kek_id: str) -> Envelope:
        envelope = self._envelopes.get(kek_id)
        if envelope is None:
            self.verify(connection)
            envelope = self._envelopes.get(kek_id)
        if envelope is None:
            raise KeyEncryptionKeyError(f"the key-encryption key {kek_id!r} is not here")
        return envelope


def read_kek_rows(connection: Connection) -> list[KekRow]:
    """Return what the database knows of its key-encryption keys, oldest first."""
    rows = connection.execute(select(KEKS).order_by(KEKS.c.created_at, KEKS.c.kek_id))
    return [KekRow(row.kek_id, row.check_value, row.state) for row in rows]


def _matched(rows: Iterable[KekRow], candidates: list[Envelope]) -> dict[str, Envelope]:
    return {
        row.kek_id: candidate
        for row in rows
        for candidate in candidates
        if candidate.is_key_of(row.check_value)
    }
