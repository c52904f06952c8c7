"""Reading a whole release, to prove every byte of it."""

from __future__ import annotations

from binary_split.errors import ArchiveDamagedError
from binary_split.model import Progress, ProgressSink, ignore_progress
from binary_split.oci.blob import hash_blob
from binary_split.oci.layout import blob_path
from binary_split.oci.release_contents import ReleaseContents


def verify_layers(contents: ReleaseContents, *, report: ProgressSink = ignore_progress) -> None:
    """Read every layer of an opened release, through its compression, and compare it with the statement.

    With the head, which opening verifies, that is every chunk of the archive.

    Raises:
        ArchiveDamagedError: a layer is not the one that it should be.
        ArchiveFormatError: a layer's compression is damaged, or it is framed in another way than it must be.
    """
    layers = [blob for blob in contents.statement.blobs if blob.diff_id is not None]
    total = sum(blob.size for blob in layers)
    done = 0
    for stated in layers:
        chunks = contents.chunks(blob_path(stated.digest))
        found = hash_blob(chunks, max_plain_bytes=stated.plain_size)
        if (found.digest, found.diff_id, found.plain_size) != (
            stated.digest,
            stated.diff_id,
            stated.plain_size,
        ):
            raise ArchiveDamagedError(f"the layer {stated.digest} is not what the release states")
        done += stated.size
        report(Progress("verifying", done, total))
