"""New key-encryption keys, made only by ``init`` and ``rotate-kek``: where and how the others are kept."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from binary_split.errors import ConfigError
from binary_split.files import write_secret
from binary_split.keyservice.envelope import KEY_BYTES
from binary_split.keyservice.kek_files import create_kek, kek_paths, next_kek_path, read_wrapped
from binary_split.keyservice.secrets_folder import VAULT_TOKEN_NAME, SecretsFolder
from binary_split.keyservice.transit import TransitKey, parse_wrapped, wrap_kek


@dataclass(frozen=True, slots=True)
class TransitAccess:
    """A transit engine's key, and a token that may use it."""

    key: TransitKey
    token: str = field(repr=False)


def create_first_kek(folder: Path, transit: TransitAccess | None) -> bytes:
    """Make a new store's key in its folder, wrapped by a transit engine if one is given, and return it.

    Raises:
        OutputError: it cannot be written.
        KeyEncryptionKeyError: the engine is away or refuses.
    """
    path = next_kek_path(folder)
    if transit is None:
        return create_kek(path)
    key = os.urandom(KEY_BYTES)
    write_secret(path, wrap_kek(transit.key, transit.token, key))
    write_secret(folder / VAULT_TOKEN_NAME, transit.token.encode())
    return key


def create_next_kek(secrets: SecretsFolder) -> bytes:
    """Make another key beside the newest one, kept in the same way, and return it.

    Raises:
        ConfigError: the keys come from the service manager, so a new one must be added there.
        OutputError: it cannot be written.
        KeyEncryptionKeyError: the transit engine is away or refuses.
    """
    if secrets.is_managed:
        raise ConfigError(
            "the key-encryption keys are the service manager's credentials",
            hint="Add 32 random bytes there under the next name, such as kek.2, and start rotate-kek again.",
        )
    folder = secrets.kek_folder
    wrapped = read_wrapped(kek_paths(folder)[-1])
    if wrapped is None:
        return create_kek(next_kek_path(folder))
    key = os.urandom(KEY_BYTES)
    place, _ = parse_wrapped(wrapped)
    write_secret(next_kek_path(folder), wrap_kek(place, secrets.read_vault_token(), key))
    return key
