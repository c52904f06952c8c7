"""The publisher's key, which signs release statements: Ed25519 (RFC 8032). Pure bytes in and out.

On disk a private key is PKCS#8 in PEM (RFC 5958), with a passphrase or without, and a public key is
SubjectPublicKeyInfo in PEM (RFC 8410): ``openssl pkey`` reads both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from binary_split.config import LIMITS
from binary_split.errors import ConfigError, SecretFileError, SignatureUntrustedError
from binary_split.oci.blob import hash_bytes

PUBLIC_BYTES = 32
"""The length of a raw public key."""

SIGNATURE_BYTES = 64
"""The length of a signature."""

_PLAIN = b"-----BEGIN PRIVATE KEY-----"
_ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key.

    Attributes:
        raw: the 32 bytes of the point, as RFC 8032 encodes it.
    """

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != PUBLIC_BYTES:
            raise ConfigError(f"an Ed25519 public key has {PUBLIC_BYTES} bytes, not {len(self.raw)}")

    @classmethod
    def parse(cls, pem: bytes) -> PublicKey:
        """Parse a PEM file that holds one Ed25519 public key and nothing else but white space.

        Raises:
            ConfigError: it holds anything else.
        """
        hint = "A publisher's public key is what `binary-split keygen` wrote as KEY.pub."
        if b"PRIVATE KEY" in pem:
            raise ConfigError("this is a private key, and not a public one", hint=hint)
        try:
            key = load_pem_public_key(pem)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigError("this is no public key in PEM", hint=hint) from error
        if not isinstance(key, Ed25519PublicKey):
            raise ConfigError("this is a public key of another kind than Ed25519", hint=hint)
        parsed = cls(key.public_bytes(Encoding.Raw, PublicFormat.Raw))
        if parsed.serialise().split() != pem.split():  # a second key would be passed over in silence
            raise ConfigError("this is more than one public key, or other text with it", hint=hint)
        return parsed

    def serialise(self) -> bytes:
        """Return the key as SubjectPublicKeyInfo in PEM."""
        return self._key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def key_id(self) -> str:
        """The SHA-256 of the raw key: 64 hex digits."""
        return hash_bytes(self.raw).hex

    def verify_signature(self, signature: bytes, message: bytes) -> None:
        """Prove that this key's owner signed a message.

        Args:
            signature: 64 bytes.
            message: what was signed, whole.

        Raises:
            SignatureUntrustedError: they did not.
        """
        try:
            self._key().verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise SignatureUntrustedError(f"not signed by the key {self.key_id}") from error

    def _key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.raw)


class PrivateKey:
    """A private key. It appears in no repr, str or pickle."""

    __slots__ = ("_key",)

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def generate(cls) -> PrivateKey:
        """Make a new key from the system's random generator."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def parse(cls, pem: bytes, passphrase: bytes | None = None) -> PrivateKey:
        """Parse PKCS#8 in PEM.

        Args:
            pem: the file's content.
            passphrase: what it was encrypted with; None where it was not.

        Raises:
            SecretFileError: it is no Ed25519 private key, or the passphrase is missing, superfluous or wrong.
        """
        pem = pem.strip()
        if not pem.startswith((_PLAIN, _ENCRYPTED)):
            raise SecretFileError("this is no publisher key: a PKCS#8 private key in PEM is needed")
        if pem.startswith(_ENCRYPTED) != (passphrase is not None):
            _refuse_passphrase(is_given=passphrase is not None)
        try:
            key = load_pem_private_key(pem, passphrase)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            fault = "this publisher key is damaged" + (", or the passphrase is wrong" if passphrase else "")
            raise SecretFileError(fault) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SecretFileError("this is a private key of another kind than Ed25519")
        return cls(key)

    def serialise(self, passphrase: bytes | None = None) -> bytes:
        """Return the key as PKCS#8 in PEM, encrypted where a passphrase is given."""
        encryption = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return PublicKey(self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    @property
    def key_id(self) -> str:
        """The public key's: 64 hex digits."""
        return self.public_key.key_id

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message: 64 bytes, always the same ones."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"PrivateKey(<masked>, key_id={self.key_id[:16]}…)"

    def __reduce__(self) -> NoReturn:
        msg = "a PrivateKey is not pickled"
        raise TypeError(msg)


def parse_passphrase(content: bytes) -> bytes:
    """Return the passphrase that a file holds: its only line, without the end of it.

    ``openssl -passin file:`` understands such a file in the same way.

    Raises:
        SecretFileError: it is empty, has several lines or a NUL, or is longer than OpenSSL takes.
    """
    passphrase = content.removesuffix(b"\n").removesuffix(b"\r")
    if not passphrase or any(byte in passphrase for byte in b"\r\n\0"):
        raise SecretFileError("a passphrase is one line of text")
    if len(passphrase) > LIMITS.passphrase_bytes:
        raise SecretFileError(f"a passphrase has at most {LIMITS.passphrase_bytes} bytes")
    return passphrase


def _refuse_passphrase(*, is_given: bool) -> NoReturn:
    if is_given:
        hint = "Leave the passphrase out, or check which key this is."
        raise SecretFileError("this publisher key has no passphrase, but one was given", hint=hint)
    hint = "Name the file that holds the passphrase with --passphrase-file."
    raise SecretFileError("this publisher key has a passphrase, and none was given", hint=hint)
