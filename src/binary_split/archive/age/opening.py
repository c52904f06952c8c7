"""From a foreign header to its file key: identities are tried, then the MAC is verified (C2SP age.md)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from binary_split.archive.age.armor import ArmorReader, looks_armored
from binary_split.archive.age.crypto import damaged, verify_header_mac
from binary_split.archive.age.fragment import parse_fragment_stanzas
from binary_split.archive.age.header import Header, Stanza, parse_header_from
from binary_split.archive.age.intake import Intake
from binary_split.archive.age.stanzas import Identity
from binary_split.archive.age.stream import NONCE_BYTES
from binary_split.config import LIMITS, Limits
from binary_split.errors import ArchiveDamagedError, ArchiveFormatError
from binary_split.model import Readable

_HINT_KEY_IDS = 8


@dataclass(frozen=True, slots=True)
class OpenedHeader:
    """An authenticated header, and what it gives; the file key appears in no repr.

    Attributes:
        file_key: 16 bytes.
        nonce: the payload's (16 bytes).
    """

    header: Header
    file_key: bytes = field(repr=False)
    nonce: bytes


def open_header(intake: Intake, identities: Iterable[Identity], limits: Limits = LIMITS) -> OpenedHeader:
    """Take header and nonce, and leave ``intake`` at the first chunk.

    Raises:
        ArchiveDamagedError: no identity opens the file, or its header is damaged.
        ArchiveFormatError: the header is malformed.
        ArchiveUnreadableError: the source failed.
    """
    header = parse_header_from(intake, limits=limits)
    file_key = _unwrap(header, identities)
    verify_header_mac(file_key, header.covered(), header.mac)
    return OpenedHeader(header, file_key, take_nonce(intake))


def take_nonce(intake: Intake) -> bytes:
    """Take the payload's nonce (16 bytes), which follows the header.

    Raises:
        ArchiveFormatError: the file ends before.
        ArchiveUnreadableError: the source failed.
    """
    nonce = intake.read(NONCE_BYTES)
    if len(nonce) < NONCE_BYTES:
        raise ArchiveFormatError("the age file ends before its payload")
    return nonce


def unarmored(source: Readable, limits: Limits = LIMITS) -> Intake:
    """Return an intake of the age file in ``source``, which may be armored."""
    intake = Intake(source)
    return Intake(ArmorReader(intake, limits=limits)) if looks_armored(intake.peek(1)) else intake


def _unwrap(header: Header, identities: Iterable[Identity]) -> bytes:
    for identity in identities:
        file_key = identity.unwrap(header.stanzas)
        if file_key is not None:
            return file_key
    raise no_match(header.stanzas)


def no_match(stanzas: Sequence[Stanza]) -> ArchiveDamagedError:
    """Return the error for a header that no identity opens; what it says of key-ids anyone can read there."""
    try:
        key_ids = sorted({stanza.key_id for stanza in parse_fragment_stanzas(stanzas)})
    except ArchiveFormatError:
        key_ids = []
    if not key_ids:
        return damaged()
    named = ", ".join(key_ids[:_HINT_KEY_IDS]) + (", …" if len(key_ids) > _HINT_KEY_IDS else "")
    return damaged(
        hint=f"Copy the archive again, and check that the fragment is that of a key-id it names: {named}."
    )
