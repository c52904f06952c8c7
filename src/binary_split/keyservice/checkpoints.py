"""Signed checkpoints of the audit chain, in a file outside the database: one line of JSON each.

Every line says how far the chain had come: who cuts the chain's tail, or restores an older database, is found
out. Lines of the kinds in ``REPLAYED`` also say what took a right away, so that it can be done again after a
restore. The signatures are Ed25519: whoever gets a copy of the file can check it without any secret.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from binary_split.errors import AuditBrokenError, KeyStoreStateError
from binary_split.keyservice.chain import AuditRecord, ChainHead

REPLAYED = (
    "token-revoke",
    "grant-revoke",
    "device-disable",
    "device-enable",
    "device-enrol",
    "device-groups",
    "code-revoke",
    "key-policy",
    "key-retire",
    "key-destroy",
)
"""The kinds of records that a restored database must not forget."""

_LINE_BYTES = 16 * 1024
_LOCK_S = 5.0
_LOCK_PAUSE_S = 0.01
_PURPOSE = b"binary-split/v1 audit checkpoint\n"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One line: the chain's place, and what happened there.

    Attributes:
        seq: number of the record.
        mac: its mac.
        at: when the line was written, in seconds since 1970.
        kind: ``checkpoint``, ``restored`` (from here on the database continues an older one) or a record's
            own kind, of those in ``REPLAYED``.
        key_id: as in the record.
        device_id: as in the record.
        detail: as in the record.
    """

    seq: int
    mac: bytes
    at: int
    kind: str = "checkpoint"
    key_id: str | None = None
    device_id: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)


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
                lines = b"".join(self._serialise(line) for line in appender.lines)
                if lines:
                    _write_whole(descriptor, lines)
            finally:
                os.close(descriptor)

    def _last(self, descriptor: int) -> Checkpoint | None:
        size = os.fstat(descriptor).st_size
        start = max(0, size - 2 * _LINE_BYTES)
        # A torn last line was never acknowledged: the one before it counts.
        whole = os.pread(descriptor, size - start, start).rpartition(b"\n")[0]
        line = whole.rpartition(b"\n")[2]
        return _parse(line, self._signing_key.public_key()) if line else None

    def _serialise(self, line: Checkpoint) -> bytes:
        document = {
            "seq": line.seq,
            "mac": line.mac.hex(),
            "at": line.at,
            "kind": line.kind,
            "key_id": line.key_id,
            "device_id": line.device_id,
            "detail": line.detail,
        }
        signature = self._signing_key.sign(_PURPOSE + _canonical(document))
        return _canonical(document | {"signature": signature.hex()}) + b"\n"


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
            while line := file.readline(_LINE_BYTES + 1):
                if not line.endswith(b"\n"):
                    if len(line) > _LINE_BYTES:
                        raise AuditBrokenError(f"{path} holds a line that is too long")
                    return  # torn by a power cut: it was never acknowledged
                yield _parse(line[:-1], public_key)


def _parse(line: bytes, public_key: Ed25519PublicKey) -> Checkpoint:
    try:
        document = json.loads(line)
        signature = bytes.fromhex(document.pop("signature"))
        public_key.verify(signature, _PURPOSE + _canonical(document))
        document["mac"] = bytes.fromhex(document["mac"])
        return Checkpoint(**document)
    except (ValueError, TypeError, KeyError, AttributeError, InvalidSignature, RecursionError):
        raise AuditBrokenError("a checkpoint's signature does not hold") from None


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


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
