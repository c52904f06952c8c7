"""What ``seal`` was asked for, and how it is done in each format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from binary_split.archive.age import FragmentRecipient, Recipient, parse_recipient
from binary_split.archive.cbc import Sink
from binary_split.cli.options import read_fragment
from binary_split.cli.output import StdoutSink
from binary_split.errors import ConfigError
from binary_split.files import write_atomically
from binary_split.model import ProgressSink, Release
from binary_split.oci.compression import Compression
from binary_split.oci.publisher_key import PrivateKey
from binary_split.oci.release_tar import order_layers, state_blobs, state_images
from binary_split.oci.signature import sign_statement, unsigned_envelope
from binary_split.oci.stated import ArchiveDigest
from binary_split.oci.statement import ReleaseStatement
from binary_split.sealing import AgeOrder, Export, HashingSink, SealedArchive, seal_age, seal_cbc


@dataclass(frozen=True, slots=True)
class SealJob:
    """What the options say, read and checked."""

    archive_format: str
    release: Release
    product: str
    sequence: int
    created: datetime
    key: PrivateKey | None
    output: Path

    def sign(self, statement: bytes) -> bytes:
        """Return a statement's envelope, signed if there is a key."""
        return unsigned_envelope(statement) if self.key is None else sign_statement(statement, self.key)

    @property
    def is_stdout(self) -> bool:
        """Whether the archive goes to stdout."""
        return str(self.output) == "-"

    @property
    def statement_file(self) -> Path | None:
        """Where the statement of a signed `cbc` archive goes: beside it."""
        return self.output.with_name(f"{self.output.name}.release.json") if self.key else None


Sealer = Callable[[SealJob, Export, Sink, int | None, ProgressSink], SealedArchive]
"""Seals what an export gives into a sink; the integer is the export's length in bytes, where it is known."""


def choose_sealer(
    job: SealJob,
    key_ids: tuple[str, ...],
    fragment_files: tuple[Path, ...],
    recipients: tuple[str, ...],
    compression: Compression,
    platform: str | None,
) -> Sealer:
    """Return what seals in the format that was asked for, once it is known for whom."""
    fragments = [read_fragment(path) for path in fragment_files]
    if job.archive_format == "cbc":
        if len(fragments) != 1 or key_ids or recipients:
            raise ConfigError(
                "a cbc archive is sealed for one --fragment-file, without --key-id or --recipient"
            )
        return lambda job, export, sink, total, report: seal_cbc(
            job.release, export, fragments[0], sink, report=report, total=total
        )
    if len(key_ids) != len(fragments):
        raise ConfigError(f"{len(key_ids)} --key-id for {len(fragments)} --fragment-file: each names one")
    people: list[Recipient] = [
        FragmentRecipient(key_id, fragment) for key_id, fragment in zip(key_ids, fragments, strict=True)
    ]
    people += [parse_recipient(text) for text in recipients]
    if not people:
        raise ConfigError(
            "nobody could open the archive", hint="Give --key-id ID --fragment-file F, or --recipient age1…"
        )
    spool_folder = Path.cwd() if job.is_stdout else job.output.resolve().parent

    def seal_for_people(
        job: SealJob, export: Export, sink: Sink, total: int | None, report: ProgressSink
    ) -> SealedArchive:
        order = AgeOrder(
            job.release, job.product, job.sequence, job.created, people, job.sign, compression, platform
        )
        return seal_age(order, export, sink, spool_folder=spool_folder, report=report, total=total)

    return seal_for_people


def write_archive(
    job: SealJob, sealer: Sealer, export: Export, total: int | None, report: ProgressSink
) -> SealedArchive:
    """Write the archive, and the signed statement of a `cbc` one beside it.

    Raises:
        ConfigError: there is no "beside" on stdout.
        OutputError: one of the two cannot be written; older files were not touched.
    """
    with StdoutSink() if job.is_stdout else write_atomically(job.output) as sink:
        if job.archive_format == "age" or job.key is None or job.statement_file is None:
            return sealer(job, export, sink, total, report)
        if job.is_stdout:
            raise ConfigError("a cbc archive on stdout has nothing for its signature to lie beside")
        hashing = HashingSink(sink)
        sealed = sealer(job, export, hashing, total, report)
        with write_atomically(job.statement_file) as beside:
            beside.write(job.sign(_state_cbc(job, sealed, hashing.digest()).serialise()))
        return sealed


def _state_cbc(job: SealJob, sealed: SealedArchive, archive: ArchiveDigest) -> ReleaseStatement:
    return ReleaseStatement(
        product=job.product,
        version=job.release.version,
        sequence=job.sequence,
        created=job.created,
        images=state_images(sealed.layout),
        blobs=state_blobs(sealed.layout, order_layers(sealed.layout)),
        archive=archive,
    )
