"""What wraps a file key, and what unwraps it: two small protocols (C2SP age.md, "Recipient stanza")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from binary_split.archive.age.header import Stanza


class Recipient(Protocol):
    """Someone for whom a file is sealed."""

    def wrap(self, file_key: bytes) -> Sequence[Stanza]:
        """Wrap a file key (16 bytes) into one or more stanzas."""


class Identity(Protocol):
    """Someone who can open what was sealed for the recipient that belongs to it."""

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Return the file key (16 bytes), or None where no stanza is for this identity.

        Raises:
            ArchiveFormatError: a stanza of this identity's own type is malformed.
        """
