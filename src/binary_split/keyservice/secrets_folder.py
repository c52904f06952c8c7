"""The service's own secrets outside the database: key-encryption keys, and the key of the audit.

They are read from the folder of the service manager's credentials where they are there, else from the state
folder. The audit's file holds one seed; the HMAC key of the chain and the Ed25519 key of its checkpoints are
derived from it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from binary_split.errors import KeyEncryptionKeyError
from binary_split.files import write_secret
from binary_split.keyservice.chain import AuditChain
from binary_split.keyservice.kek_files import KEK_NAME, kek_paths, read_keks, read_private
from binary_split.keyservice.transit import TransitUnwrapper

AUDIT_KEY_NAME = "audit-key"
VAULT_TOKEN_NAME = "vault-token"  # noqa: S105 - the name of a file
_SEED_BYTES = 32
_VAULT_TOKEN_BYTES = 8192


@dataclass(frozen=True, slots=True)
class AuditKeys:
    """What makes and what proves records; no repr shows a key."""

    chain: AuditChain
    signing_key: Ed25519PrivateKey


class SecretsFolder:
    """Where the secrets are; they are read anew each time."""

    def __init__(self, state: Path, credentials: Path | None) -> None:
        self._state = state
        self._credentials = credentials

    @property
    def is_managed(self) -> bool:
        """Whether the key-encryption keys come from the service manager."""
        return self._credentials is not None and self._has_keks(self._credentials)

    @property
    def kek_folder(self) -> Path:
        """The folder of the key-encryption keys."""
        return self._credentials if self._credentials is not None and self.is_managed else self._state

    def read_keks(self) -> list[bytes]:
        """Read every key-encryption key.

        Raises:
            KeyEncryptionKeyError: there is none, or one cannot be used.
        """
        folder = self.kek_folder
        return read_keks(
            folder, unwrap=TransitUnwrapper(self.read_vault_token), is_private=folder != self._credentials
        )

    def read_audit_keys(self) -> AuditKeys:
        """Read the audit's key.

        Raises:
            KeyEncryptionKeyError: it is missing, open to others, or no key.
        """
        path, is_private = self._place(AUDIT_KEY_NAME)
        seed = read_private(path, what="audit key", max_bytes=_SEED_BYTES, is_private=is_private)
        if len(seed) != _SEED_BYTES:
            raise KeyEncryptionKeyError(f"the audit key {path} is not exactly {_SEED_BYTES} bytes long")
        return AuditKeys(
            AuditChain(_derive(seed, b"chain")),
            Ed25519PrivateKey.from_private_bytes(_derive(seed, b"checkpoints")),
        )

    def has_audit_key(self) -> bool:
        """Tell whether there is a file for it."""
        return os.path.lexists(self._place(AUDIT_KEY_NAME)[0])

    def create_audit_key(self) -> None:
        """Make the audit's key in the state folder.

        Raises:
            OutputError: there is one already, or it cannot be written.
        """
        write_secret(self._state / AUDIT_KEY_NAME, os.urandom(_SEED_BYTES))

    def read_vault_token(self) -> str:
        """Read the token for a transit engine.

        Raises:
            KeyEncryptionKeyError: it is missing or open to others.
        """
        path, is_private = self._place(VAULT_TOKEN_NAME)
        token = read_private(path, what="vault token", max_bytes=_VAULT_TOKEN_BYTES, is_private=is_private)
        return token.decode("ascii", "replace").strip()

    def _place(self, name: str) -> tuple[Path, bool]:
        if self._credentials is not None and (self._credentials / name).exists():
            return self._credentials / name, False
        return self._state / name, True

    @staticmethod
    def _has_keks(folder: Path) -> bool:
        try:
            return bool(kek_paths(folder))
        except OSError as error:
            raise KeyEncryptionKeyError(f"cannot read {KEK_NAME} in {folder}: {error.strerror}") from error


def _derive(seed: bytes, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"binary-split/v1 audit " + purpose).derive(seed)
