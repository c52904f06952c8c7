"""Change who opens a file, in a new file (C2SP age.md, "Header" and "Payload").

`add_recipients` keeps the payload and its file key: whoever could open still can. `replace_recipients` makes
both anew: the old file key is known to all who could open, so nobody is shut out as long as it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from binary_split.archive.age.crypto import payload_key
from binary_split.archive.age.file import check_mix, open_age, seal_age
from binary_split.archive.age.header import Header, make_header
from binary_split.archive.age.intake import Intake, size_from_here
from binary_split.archive.age.opening import open_header, unarmored
from binary_split.archive.age.stanzas import Identity, Recipient
from binary_split.archive.age.stream import CHUNK_BYTES, ForwardReader
from binary_split.archive.age.writing import Sink, write_all
from binary_split.archive.positioned import SeekableSource
from binary_split.config import LIMITS, Limits
from binary_split.errors import ConfigError
from binary_split.model import Progress, ProgressSink, Readable, ignore_progress

_STEP = "rekeying"


def add_recipients(
    source: SeekableSource,
    sink: Sink,
    identities: Iterable[Identity],
    recipients: Sequence[Recipient],
    *,
    report: ProgressSink = ignore_progress,
    limits: Limits = LIMITS,
) -> Header:
    """Copy an age file with more stanzas in its header: the old ones first, then those of ``recipients``.

    Nonce and payload are copied byte by byte, each chunk once it is authenticated; what was written is whole
    and authentic only when this returns. An armored file is copied without its armor.

    Args:
        source: the file, where it begins; used by nobody else meanwhile.
        sink: gets the new one.
        identities: tried in order, for the file key.
        recipients: who may open the new file besides.
        report: is told how many bytes of the file were copied, of how many.
        limits: bounds on the header.

    Returns:
        The new header.

    Raises:
        ConfigError: there is no recipient, or they must not stand beside those of the file.
        ArchiveDamagedError: no identity opens the file, or it is damaged.
        ArchiveFormatError: it is malformed, or its new header would be too large.
        ArchiveUnreadableError: the source failed.
    """
    if not recipients:
        raise ConfigError("no recipient or fragment is given to add")
    total = size_from_here(source)
    intake = unarmored(source, limits)
    opened = open_header(intake, identities, limits)
    added = [stanza for recipient in recipients for stanza in recipient.wrap(opened.file_key)]
    stanzas = (*opened.header.stanzas, *added)
    check_mix(stanzas)
    header = make_header(stanzas, opened.file_key, limits=limits)
    write_all(sink, header.serialise() + opened.nonce)
    _copy_payload(intake, sink, payload_key(opened.file_key, opened.nonce), total, report)
    return header


def replace_recipients(
    source: SeekableSource,
    sink: Sink,
    identities: Iterable[Identity],
    recipients: Sequence[Recipient],
    *,
    report: ProgressSink = ignore_progress,
    limits: Limits = LIMITS,
) -> None:
    """Seal a file's content anew, for ``recipients`` alone, under a new file key and nonce.

    The content goes through memory in pieces of 1 MiB, decrypted in parallel; nothing is written before the
    file's header and end are authenticated. What was written is whole only when this returns.

    Args:
        source: the file, where it begins; used by nobody else meanwhile.
        sink: gets the new one.
        identities: tried in order.
        recipients: who may open the new file, and nobody else.
        report: is told how many bytes of content were sealed, of how many.
        limits: bounds on the headers.

    Raises:
        ConfigError: there is no recipient, or they must not be mixed.
        ArchiveDamagedError: no identity opens the file, or it is damaged.
        ArchiveFormatError: it is malformed, or its new header would be too large.
        ArchiveUnreadableError: the source failed.
    """
    with (
        open_age(source, identities, limits=limits) as reader,
        seal_age(sink, recipients, limits=limits) as writer,
    ):
        done = 0
        while count := writer.write_from(reader):
            done += count
            report(Progress(_STEP, done, reader.size))


class _Kept(Intake):
    """An intake that keeps the sealed chunk which it gave out last, until it is taken."""

    def __init__(self, source: Readable) -> None:
        super().__init__(source)
        self._chunk = b""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, and keep them."""
        self._chunk = super().read(size)
        return self._chunk

    def take(self) -> bytes:
        """Return the chunk that was read last, once."""
        chunk, self._chunk = self._chunk, b""
        return chunk


def _copy_payload(intake: Intake, sink: Sink, key: bytes, total: int, report: ProgressSink) -> None:
    kept = _Kept(intake)
    reader = ForwardReader(kept, key)
    while reader.read(CHUNK_BYTES):  # exactly one chunk, the last one shorter
        write_all(sink, kept.take())
        report(Progress(_STEP, min(intake.consumed, total), total))
    write_all(sink, kept.take())  # the only chunk of an empty payload
    report(Progress(_STEP, total, total))
