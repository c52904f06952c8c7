"""Opening an archive: which format it has, what may be believed of it, and what it then holds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from binary_split.archive.age import Identity, SeekableReader, open_age, read_nonce
from binary_split.archive.cbc import BLOCK, CbcReader
from binary_split.archive.detect import ArchiveFormat, read_format
from binary_split.config import LIMITS
from binary_split.errors import (
    ArchiveDamagedError,
    ArchiveFormatError,
    ImageMismatchError,
    SignatureUntrustedError,
)
from binary_split.model import Digest, Fragment, ImagePins, ImageRef
from binary_split.oci.blob import hash_bytes
from binary_split.oci.image_tar import ImageContents, ImageTar
from binary_split.oci.publisher_key import PublicKey
from binary_split.oci.release_contents import ReleaseContents
from binary_split.oci.signature import read_unverified_payload, verify_envelope
from binary_split.oci.statement import ReleaseStatement
from binary_split.transports.file import FileSource


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose ``age`` archives are believed.

    Attributes:
        keys: the publishers; a signature by one of them is enough.
        allow_unsigned: believe whoever was able to seal.
    """

    keys: tuple[PublicKey, ...] = ()
    allow_unsigned: bool = False

    def verify_possible(self) -> None:
        """Check, before any secret is asked for, that there is something to measure an archive by.

        Raises:
            SignatureUntrustedError: there is not.
        """
        if not self.keys and not self.allow_unsigned:
            raise SignatureUntrustedError("no trusted key is configured, so no signature can be verified")

    def open_envelope(self, envelope: bytes) -> bytes:
        """Return the statement in an envelope that is believed.

        Raises:
            SignatureMissingError: nobody signed it.
            SignatureUntrustedError: no trusted key signed it.
        """
        if self.allow_unsigned:
            return read_unverified_payload(envelope)
        return verify_envelope(envelope, self.keys)


@dataclass(frozen=True, slots=True)
class SignedRelease:
    """A release statement that was believed, and the envelope that it came in."""

    statement: ReleaseStatement
    envelope: bytes


@dataclass(frozen=True, slots=True)
class OpenedArchive:
    """An archive that was opened: its images, which may be loaded once they match.

    Attributes:
        contents: what it holds.
        plaintext: what the contents are read through.
        refs: the images of the release.
        pins: what they must be; None where the archive's own word is taken.
        signed: what the publisher states, if anything.
    """

    contents: ImageContents
    plaintext: SeekableReader | CbcReader
    refs: tuple[ImageRef, ...]
    pins: ImagePins | None
    signed: SignedRelease | None = None

    @contextmanager
    def forked(self) -> Iterator[ImageContents]:
        """Give the same contents for use by another thread."""
        with closing(self.plaintext.fork()) as reader:
            yield self.contents.through(reader)


def name_archive(source: FileSource) -> str:
    """Return what names an archive in the journal: no secret, and the same whoever may open it.

    Raises:
        ArchiveFormatError: it is no archive.
        ArchiveUnreadableError: it cannot be read.
    """
    archive_format = read_format(source)
    if archive_format is ArchiveFormat.AGE:
        name = read_nonce(source).hex()
    else:
        ends = source.read(2 * BLOCK)
        size = source.seek(max(0, source.seek(0, os.SEEK_END) - BLOCK)) + BLOCK
        ends += source.read(BLOCK)  # in CBC it depends on all before it
        name = hash_bytes(ends + str(size).encode()).hex[:32]
    source.seek(0)
    return f"{archive_format.value}-{name}"


@contextmanager
def open_cbc(
    source: FileSource,
    fragment: Fragment,
    refs: tuple[ImageRef, ...],
    pins: ImagePins | None,
    signed: SignedRelease | None = None,
) -> Iterator[OpenedArchive]:
    """Open a ``cbc`` archive; only what is pinned is known of it.

    Raises:
        ArchiveDamagedError: wrong fragment or damaged archive.
    """
    with one_kind_of_damage():
        plaintext = CbcReader(source, fragment)
        contents = ImageTar(plaintext)
    with closing(plaintext):
        yield OpenedArchive(contents, plaintext, refs, pins, signed)


@contextmanager
def open_release(
    source: FileSource, identities: Sequence[Identity], trust: Trust
) -> Iterator[ReleaseContents]:
    """Open an ``age`` archive: everything in it is known from its statement.

    Raises:
        ArchiveDamagedError: wrong fragment or damaged archive.
        ArchiveFormatError: the tar within is not what its statement says.
        SignatureMissingError: nobody signed it.
        SignatureUntrustedError: no trusted key signed it.
    """
    with closing(open_age(source, identities)) as plaintext:
        yield _read_release(plaintext, trust)


@contextmanager
def open_signed(
    source: FileSource, identities: Sequence[Identity], trust: Trust, *, version: str | None
) -> Iterator[OpenedArchive]:
    """Open an ``age`` archive to be loaded.

    Args:
        source: the archive.
        identities: who opens it.
        trust: whose releases are believed.
        version: which it must be; None: any.

    Raises:
        ImageMismatchError: it is another version.
        ArchiveError: as for `open_release`.
    """
    with closing(open_age(source, identities, threads=1)) as plaintext:  # its forks do the work
        contents = _read_release(plaintext, trust)
        pins = pin_release(contents.statement, version=version)
        signed = SignedRelease(contents.statement, contents.envelope)
        yield OpenedArchive(contents, plaintext, tuple(pins), pins, signed)


def _read_release(plaintext: SeekableReader, trust: Trust) -> ReleaseContents:
    contents = ReleaseContents(plaintext, trust.open_envelope)
    contents.verify_end()
    return contents


def pin_release(statement: ReleaseStatement, *, version: str | None) -> dict[ImageRef, Digest]:
    """Return the pins that a believed statement gives.

    Args:
        statement: the release's.
        version: which it must be; None: any.

    Raises:
        ImageMismatchError: it is another version.
    """
    if version is not None and statement.version != version:
        raise ImageMismatchError(
            f"the archive is version {statement.version} of {statement.product}, not {version}",
            hint="Check --version, or take the archive of that version.",
        )
    return {image.ref: image.config for image in statement.images}


def read_beside(archive: Path, version: str | None, trust: Trust) -> SignedRelease | None:
    """Return what a signed ``NAME.release.json`` beside a ``cbc`` archive states; None without one.

    Only a trusted signature counts here, whatever else is allowed: whoever carries the archive could have
    written the file. The archive's size is compared; its images are proven when they are read.

    Raises:
        ArchiveFormatError: the file is malformed.
        SignatureMissingError: nobody signed it.
        SignatureUntrustedError: no trusted key signed it.
        ImageMismatchError: it is another version's, or another archive's.
    """
    path = archive.with_name(f"{archive.name}.release.json")
    if not trust.keys or not path.exists():
        return None
    with FileSource(path) as source:
        envelope = source.read(LIMITS.envelope_bytes + 1)
    statement = ReleaseStatement.parse(verify_envelope(envelope, trust.keys))
    pin_release(statement, version=version)
    if statement.archive is None or (archive.exists() and statement.archive.size != archive.stat().st_size):
        raise ImageMismatchError(f"{path.name} is not about this archive")
    return SignedRelease(statement, envelope)


@contextmanager
def one_kind_of_damage() -> Iterator[None]:
    """Say the same of every damage to a ``cbc`` archive: which check failed would be an oracle."""
    try:
        yield
    except ArchiveFormatError as error:
        raise ArchiveDamagedError from error
