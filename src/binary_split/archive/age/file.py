"""A whole age v1 file: header, nonce and payload (C2SP age.md, "Encrypted file format")."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence

from binary_split.archive.age import hybrid, x25519
from binary_split.archive.age.armor import ArmorReader, looks_armored
from binary_split.archive.age.crypto import FILE_KEY_BYTES, payload_key
from binary_split.archive.age.header import SCRYPT, Header, Stanza, make_header, parse_header_from
from binary_split.archive.age.intake import Intake
from binary_split.archive.age.opening import open_header, take_nonce, unarmored
from binary_split.archive.age.random_access import SeekableReader
from binary_split.archive.age.stanzas import Identity, Recipient
from binary_split.archive.age.stream import NONCE_BYTES, ForwardReader
from binary_split.archive.age.writing import Sink, StreamWriter, write_all
from binary_split.archive.positioned import SeekableSource, unreadable
from binary_split.config import LIMITS, Limits
from binary_split.errors import ArchiveFormatError, ConfigError
from binary_split.model import Readable


def read_header(source: Readable, *, limits: Limits = LIMITS) -> Header:
    """Read a file's header, armored or not, without any key: nothing of it is authenticated.

    The source is left somewhere behind the header.

    Raises:
        ArchiveFormatError: the header is malformed or larger than ``limits`` allow.
        ArchiveUnreadableError: the source failed.
    """
    return parse_header_from(unarmored(source, limits), limits=limits)


def read_nonce(source: Readable, *, limits: Limits = LIMITS) -> bytes:
    """Read a payload's nonce (16 bytes) without any key: what names a payload, whatever header is before it.

    Raises:
        ArchiveFormatError: the header is malformed or larger than ``limits`` allow, or nothing is behind it.
        ArchiveUnreadableError: the source failed.
    """
    intake = unarmored(source, limits)
    parse_header_from(intake, limits=limits)
    return take_nonce(intake)


def open_age(
    source: SeekableSource,
    identities: Iterable[Identity],
    *,
    threads: int | None = None,
    limits: Limits = LIMITS,
) -> SeekableReader:
    """Open the age file that begins where ``source`` stands, for random access.

    The header and the final chunk are authenticated before this returns. An armored file is held in memory
    (``limits.age_armor_bytes``). The source must not be used otherwise while the reader is.

    Args:
        source: the file; `SeekableReader` closes it never.
        identities: tried in order.
        threads: as for `SeekableReader`.
        limits: bounds on the header.

    Raises:
        ArchiveDamagedError: no identity opens the file, or it is damaged, cut off or longer than it was.
        ArchiveFormatError: it is malformed.
        ArchiveUnreadableError: the source failed.
    """
    start = _tell(source)
    intake = Intake(source)
    if looks_armored(intake.peek(1)):
        source, start = _decode_armor(intake, limits), 0
        intake = Intake(source)
    key = _open_payload(intake, identities, limits)
    return SeekableReader(source, key, start=start + intake.consumed, threads=threads)


def open_age_stream(
    source: Readable, identities: Iterable[Identity], *, limits: Limits = LIMITS
) -> ForwardReader:
    """Open the age file that comes next in any source, armored or not, to be read in order.

    The header is authenticated before this returns; the true end of the file only when the reader reports it.

    Raises:
        ArchiveDamagedError: no identity opens the file, or its header is damaged.
        ArchiveFormatError: the header is malformed.
        ArchiveUnreadableError: the source failed.
    """
    intake = unarmored(source, limits)
    return ForwardReader(intake, _open_payload(intake, identities, limits))


def seal_age(sink: Sink, recipients: Sequence[Recipient], *, limits: Limits = LIMITS) -> StreamWriter:
    """Begin an age file for ``recipients``: write the header and the nonce, and return the payload's writer.

    File key and nonce are fresh from the system's CSPRNG.

    Raises:
        ConfigError: there is no recipient, or the recipients must not be mixed.
        ArchiveFormatError: the header would be larger than ``limits`` allow.
    """
    if not recipients:
        raise ConfigError("an archive is sealed for at least one recipient or fragment")
    file_key = os.urandom(FILE_KEY_BYTES)
    nonce = os.urandom(NONCE_BYTES)
    stanzas = [stanza for recipient in recipients for stanza in recipient.wrap(file_key)]
    check_mix(stanzas)
    write_all(sink, make_header(stanzas, file_key, limits=limits).serialise() + nonce)
    return StreamWriter(sink, payload_key(file_key, nonce))


def check_mix(stanzas: Sequence[Stanza]) -> None:
    """Check that the stanzas of one header may stand together (C2SP age.md, "Recipient stanza").

    Raises:
        ConfigError: they must not.
    """
    kinds = {stanza.kind for stanza in stanzas}
    if SCRYPT in kinds and len(stanzas) > 1:
        raise ConfigError(
            "a passphrase must be the only recipient",
            hint="Whoever knows the passphrase would be taken for the sealer; use recipients or fragments.",
        )
    if {x25519.KIND, hybrid.KIND} <= kinds:
        raise ConfigError(
            "post-quantum recipients are not mixed with others",
            hint="One recipient that a quantum computer opens makes the rest useless: take one sort.",
        )


def _open_payload(intake: Intake, identities: Iterable[Identity], limits: Limits) -> bytes:
    """Take header and nonce, and return the payload key."""
    opened = open_header(intake, identities, limits)
    return payload_key(opened.file_key, opened.nonce)


def _decode_armor(intake: Intake, limits: Limits) -> io.BytesIO:
    decoded = Intake(ArmorReader(intake, limits=limits)).read(limits.age_armor_bytes + 1)
    if len(decoded) > limits.age_armor_bytes:
        raise ArchiveFormatError(
            "the armored file is too large for random access",
            hint="Remove the armor first: seal again without it.",
        )
    return io.BytesIO(decoded)


def _tell(source: SeekableSource) -> int:
    try:
        return source.tell()
    except OSError as error:
        raise unreadable(error) from error
