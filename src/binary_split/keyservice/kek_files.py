"""Where key-encryption keys come from: files, each a key itself or one that a transit engine unwraps.

They are ``kek`` and, while one is being replaced, ``kek.2`` and so on: in the state folder, or in the
folder of
the service manager's credentials. Nothing here makes a key except ``create_kek``, which only ``init`` and
``rotate-kek`` call: a new key opens nothing that is stored.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from binary_split.errors import KeyEncryptionKeyError
from binary_split.files import write_secret
from binary_split.keyservice.envelope import KEY_BYTES

KEK_NAME = "kek"
_NAME = re.compile(r"kek(?:\.([1-9][0-9]{0,5}))?")
_WRAPPED_BYTES = 16 * 1024

Unwrap = Callable[[bytes], bytes]
"""Returns the key of a file that holds a wrapped one; raises KeyEncryptionKeyError."""


def kek_paths(folder: Path) -> list[Path]:
    """Return the key files in a folder: ``kek``, then ``kek.2`` and so on."""
    found = [(int(match[1] or 1), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def next_kek_path(folder: Path) -> Path:
    """Return a name that no key file has."""
    taken = [int(match[1] or 1) for path in kek_paths(folder) if (match := _NAME.fullmatch(path.name))]
    return folder / (f"{KEK_NAME}.{max(taken) + 1}" if taken else KEK_NAME)


def create_kek(path: Path) -> bytes:
    """Make a new key, write it to a new file with mode 0600, and return it.

    Raises:
        OutputError: the file exists, or cannot be written.
    """
    key = AESGCM.generate_key(bit_length=8 * KEY_BYTES)
    write_secret(path, key)
    return key


def read_keks(folder: Path, *, unwrap: Unwrap, is_private: bool = True) -> list[bytes]:
    """Read every key in a folder.

    Args:
        folder: where they are.
        unwrap: asked for those that are wrapped.
        is_private: whether each must be closed to others by its mode; a service manager guards its own.

    Raises:
        KeyEncryptionKeyError: there is none, or one is open to others, is no key, or cannot be unwrapped.
    """
    try:
        paths = kek_paths(folder)
    except OSError as error:
        raise KeyEncryptionKeyError(f"cannot read {folder}: {error.strerror}") from error
    if not paths:
        raise KeyEncryptionKeyError(
            f"cannot read the key-encryption key {folder / KEK_NAME}: it is not there"
        )
    return [_read(path, unwrap, is_private=is_private) for path in paths]


def read_wrapped(path: Path) -> bytes | None:
    """Return the content of a file that holds a wrapped key, None where it holds a key itself.

    Raises:
        KeyEncryptionKeyError: it cannot be read.
    """
    content = read_private(path, what="key-encryption key", max_bytes=_WRAPPED_BYTES, is_private=False)
    return content if is_wrapped(content) else None


def is_wrapped(content: bytes) -> bool:
    """Tell whether a file's content is a wrapped key."""
    return len(content) > KEY_BYTES and content.startswith(b"{")


def read_private(path: Path, *, what: str, max_bytes: int, is_private: bool) -> bytes:
    """Read a secret of the service's own.

    Raises:
        KeyEncryptionKeyError: it cannot be read, or is open to others.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise KeyEncryptionKeyError(f"cannot read the {what} {path}: {error.strerror}") from error
    if is_private and stat.S_IMODE(mode) & 0o077:
        raise KeyEncryptionKeyError(
            f"the {what} {path} is open to others (mode {stat.S_IMODE(mode):04o})",
            hint=f"Run `chmod 600 {path}`, and consider who may have read it.",
        )
    return content


def _read(path: Path, unwrap: Unwrap, *, is_private: bool) -> bytes:
    content = read_private(path, what="key-encryption key", max_bytes=_WRAPPED_BYTES, is_private=is_private)
    if is_wrapped(content):
        content = unwrap(content)
    if len(content) != KEY_BYTES:
        raise KeyEncryptionKeyError(f"the key-encryption key {path} is not exactly {KEY_BYTES} bytes long")
    return content
