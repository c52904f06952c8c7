"""What the journal's releases say of an archive: that it is there already, or that it is too old."""

from __future__ import annotations

from collections.abc import Sequence

from binary_split.engines import Engine
from binary_split.errors import ArchiveError, DowngradeError
from binary_split.oci.statement import ReleaseStatement
from binary_split.unlock.checking import ExpectedImage, find_lacking
from binary_split.unlock.order import UnlockOrder
from binary_split.unlock.records import InstalledRelease


def find_installed(
    order: UnlockOrder, archive: str | None, engine: Engine, releases: Sequence[InstalledRelease]
) -> tuple[ExpectedImage, ...] | None:
    """Return the images of an order if they are all there, as far as that is known without a fragment.

    Args:
        order: what is to be unlocked.
        archive: what the journal calls its archive; None where there is none.
        engine: where to.
        releases: those that the journal knows, oldest first.

    Raises:
        DowngradeError: they are of an older release than the one that was installed last.
    """
    expected = _expected_images(order, archive, releases)
    if not expected or find_lacking(engine, expected):
        return None
    return expected


def verify_not_older(statement: ReleaseStatement, releases: Sequence[InstalledRelease]) -> None:
    """Check that a release is not older than the one of its product that was installed last.

    Raises:
        DowngradeError: it is.
    """
    _verify_sequence(statement.product, statement.version, statement.sequence, releases)


def _expected_images(
    order: UnlockOrder, archive: str | None, releases: Sequence[InstalledRelease]
) -> tuple[ExpectedImage, ...] | None:
    record = _find_record(order, archive, releases)
    if record is not None:
        if record.product is not None and record.sequence is not None and not order.allow_downgrade:
            _verify_sequence(record.product, str(record.version), record.sequence, releases)
        return record.images
    pins = order.pins or {}
    return tuple(ExpectedImage(ref, pins.get(ref)) for ref in order.images)


def _find_record(
    order: UnlockOrder, archive: str | None, releases: Sequence[InstalledRelease]
) -> InstalledRelease | None:
    """Return the record of the archive, if it is believed for this order as it would be for the archive."""
    record = next((release for release in releases if release.archive == archive), None)
    if record is None or order.version not in {None, record.version}:
        return None
    if order.images:
        pins = {image.ref: image.config_digest for image in record.images}
        wanted = {ref: (order.pins or pins).get(ref) for ref in order.images}
        return record if wanted == pins else None
    try:
        order.trust.open_envelope(record.envelope or b"")
    except ArchiveError:
        return None  # signed by a key that is no longer trusted, or by none
    return record


def _verify_sequence(product: str, version: str, sequence: int, releases: Sequence[InstalledRelease]) -> None:
    installed = [release for release in releases if release.product == product]
    if not installed or installed[-1].sequence is None or sequence >= installed[-1].sequence:
        return
    raise DowngradeError(
        f"{product} {version} is older than {installed[-1].version}, which is installed: nothing was loaded"
    )
