"""The file of the audit chain's checkpoints: outside the database, and appended to under a lock."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from binary_split.errors import AuditBrokenError, KeyStoreStateError
from binary_split.keyservice.chain import AuditRecord, ChainHead
from binary_split.keyservice.checkpoint_lines import (
    LINE_BYTES,
    Checkpoint,
    parse_checkpoint,
    serialise_checkpoint,
)

_LOCK_S = 5.0
_LOCK_PAUSE_S = 0.01


class CheckpointFile:
    """The file; processes on one machine may share it.

    Whatever touches it may raise KeyStoreStateError (cannot be read or written) and AuditBrokenError (a
    line is not what this signing key wrote).
    """

    def __init__(self, path: Path, signing_key: Ed25519PrivateKey) -> None:
        self._path = path
        self._signing_key = signing_key

    @property
    def path(self) -> Path:
        """Where it is; it need not exist yet."""
        return self._path

    def read(self) -> Iterator[Checkpoint]:
        """Yield its lines, oldest first, each verified."""
        yield from read_checkpoints(self._path, self._signing_key.public_key())

    def last(self) -> Checkpoint | None:
        """Return its last line, None where there is none."""
        with _mapped(self._path):
            try:
                with self._path.open("rb") as file:
                    return self._last(file.fileno())
            except FileNotFoundError:
                return None

    @contextmanager
    def appending(self) -> Iterator[Appender]:
        """Hold the file's lock; what was appended is on the disk when the block ends."""
        with _mapped(self._path):
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o600)
            try:
                _lock(descriptor, self._path)
                appender = Appender(self._last(descriptor))
                yield appender
                lines = b"".join(serialise_checkpoint(line, self._signing_key) for line in appender.lines)
                if lines:
                    _write_whole(descriptor, lines)
            finally:
                os.close(descriptor)

    def _last(self, descriptor: int) -> Checkpoint | None:
        size = os.fstat(descriptor).st_size
        start = max(0, size - 2 * LINE_BYTES)
        # A torn last line was never acknowledged: the one before it counts.
        whole = os.pread(descriptor, size - start, start).rpartition(b"\n")[0]
        line = whole.rpartition(b"\n")[2]
        return parse_checkpoint(line, self._signing_key.public_key()) if line else None


class Appender:
    """What is known and wanted while the file is locked."""

    def __init__(self, last: Checkpoint | None) -> None:
        self.last = last
        self.lines: list[Checkpoint] = []

    def add_record(self, record: AuditRecord, at: int) -> None:
        """Append what a record did, to be done again after a restore."""
        self.lines.append(
            Checkpoint(
                record.seq,
                record.mac,
                at,
                record.kind,
                record.key_id,
                record.device_id,
                json.loads(record.detail),
            )
        )

    def add_head(self, head: ChainHead, at: int, *, kind: str = "checkpoint", **detail: int) -> None:
        """Append a place in the chain."""
        self.lines.append(Checkpoint(head.seq, head.mac, at, kind, detail=detail))


def read_checkpoints(path: Path, public_key: Ed25519PublicKey) -> Iterator[Checkpoint]:
    """Yield the lines of a checkpoint file or of a copy of it, each verified.

    Raises:
        AuditBrokenError: a line is not what the owner of ``public_key`` signed.
        KeyStoreStateError: the file cannot be read.
    """
    with _mapped(path):
        if not path.exists():
            return
        with path.open("rb") as file:
            while line := file.readline(LINE_BYTES + 1):
                if not line.endswith(b"\n"):
                    if len(line) > LINE_BYTES:
                        raise AuditBrokenError(f"{path} holds a line that is too long")
                    return  # torn by a power cut: it was never acknowledged
                yield parse_checkpoint(line[:-1], public_key)


def _lock(descriptor: int, path: Path) -> None:
    """Wait for the file's lock, and not for ever: releases wait behind whoever writes a checkpoint."""
    end = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                break
            time.sleep(_LOCK_PAUSE_S)
        else:
            return
    raise KeyStoreStateError(
        f"another process has held the checkpoints in {path} for {_LOCK_S:g} s",
        hint="Look for one that was stopped halfway, such as a command that waits in a shell.",
    )


def _write_whole(descriptor: int, lines: bytes) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":  # a torn line: never acknowledged
        kept = os.pread(descriptor, size, 0).rfind(b"\n") + 1
        os.ftruncate(descriptor, kept)
        size = kept
    try:
        view = memoryview(lines)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


@contextmanager
def _mapped(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise KeyStoreStateError(
            f"the checkpoints in {path} cannot be used: {error.strerror or error}",
            hint="Check that its disk has room, and that the service's user may read and write it.",
        ) from error
