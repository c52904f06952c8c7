"""The device's private key: where it is, and how it is read and made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from binary_split.config import LIMITS, Settings
from binary_split.errors import ConfigError
from binary_split.files import read_secret, write_secret

if TYPE_CHECKING:
    from binary_split.sealedfragment import PrivateKey


def locate_device_key(option: Path | None, settings: Settings) -> Path:
    """Return where the device's key is, or is to be.

    Raises:
        ConfigError: nothing says so.
    """
    path = option or settings.device_key_file
    if path is None:
        raise ConfigError(
            "no device key is given", hint="Name its file, or set BINARY_SPLIT_DEVICE_KEY_FILE."
        )
    return path


def read_device_key(path: Path, settings: Settings) -> PrivateKey:
    """Read a device's private key.

    Raises:
        SecretFileError: it cannot be read, is open to others, or holds no device key.
    """
    from binary_split.sealedfragment import parse_device_key

    # systemd closes the folder of credentials, and lets the unit's user in by an ACL that a mode hides.
    is_private = path.parent != settings.credentials_folder
    content = read_secret(path, what="device key", max_bytes=LIMITS.device_key_bytes, is_private=is_private)
    return parse_device_key(content)


def make_device_key(path: Path, *, hybrid: bool) -> PrivateKey:
    """Make a device's key in a new file (mode 0600).

    Raises:
        OutputError: the file exists already or cannot be written.
        ConfigError: this build of cryptography lacks ML-KEM.
    """
    from binary_split.sealedfragment import Kem, PrivateKey, PublicKey, serialise_device_key

    key = PrivateKey.generate(Kem.HYBRID if hybrid else Kem.X25519)
    PublicKey.of(key)  # a build without ML-KEM says so before there is a file
    write_secret(path, serialise_device_key(key))
    return key
