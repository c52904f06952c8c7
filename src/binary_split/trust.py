"""The publishers that this machine trusts: public keys, read from files that their carrier cannot write."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from binary_split.config import LIMITS
from binary_split.errors import ConfigError
from binary_split.oci.publisher_key import PublicKey

_HINT = "Correct or remove the file: a trusted key that cannot be read is never passed over."


def load_trusted_keys(files: Iterable[Path], folder: Path | None) -> tuple[PublicKey, ...]:
    """Read the trusted keys: the named files, then ``*.pem`` and ``*.pub`` of a folder, by name; each once.

    Several keys are for rotation: the old and the new one are trusted for a while.

    Args:
        files: PEM files, one public key each.
        folder: for example ``/etc/binary-split/trusted-keys.d``; an empty one holds no key.

    Raises:
        ConfigError: a file or the folder cannot be read, a file is no Ed25519 public key, or there are more
            than ``LIMITS.trusted_keys``; names the file.
    """
    paths = [*files, *(list_key_files(folder) if folder is not None else ())]
    keys = tuple(dict.fromkeys(_read_key(path) for path in paths))
    if len(keys) > LIMITS.trusted_keys:
        raise ConfigError(f"{len(keys)} trusted keys are too many: at most {LIMITS.trusted_keys}")
    return keys


def list_key_files(folder: Path) -> list[Path]:
    """Return the files of a folder that must hold trusted keys, by name.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - unlike iterdir it fails at once, and here
    except OSError as error:
        raise ConfigError(
            f"cannot read the folder of trusted keys {folder}: {error.strerror or error}"
        ) from error
    return [folder / name for name in names if name.endswith((".pem", ".pub"))]


def _read_key(path: Path) -> PublicKey:
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"cannot read the trusted key {path}: it is no regular file", hint=_HINT)
            pem = file.read(LIMITS.publisher_key_bytes + 1)
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"cannot read the trusted key {path}: {reason}", hint=_HINT) from error
    if len(pem) > LIMITS.publisher_key_bytes:
        raise ConfigError(f"the trusted key {path} is longer than any public key", hint=_HINT)
    try:
        return PublicKey.parse(pem)
    except ConfigError as error:
        raise ConfigError(f"cannot use the trusted key {path}: {error}", hint=error.hint) from error


def _open_at_once(path: str, flags: int) -> int:
    # a FIFO that nobody writes to would hang for ever
    return os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
