"""The key pair of a device as text: ``KEM:base64url`` is the public key, ``bsd1:KEM:base64url`` the private.

KEM is ``x25519`` or ``mlkem768x25519`` (``binary_split.hpke``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from binary_split import hpke
from binary_split.errors import ConfigError, SecretFileError
from binary_split.hpke import Kem, PrivateKey
from binary_split.sealedfragment.encoding import decode_base64url, encode_base64url

_PREFIX = "bsd1"  # what secret scanners look for
_HINT = "Take it exactly as `binary-split device show` prints it."


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A device's public key, which the key service seals to.

    Attributes:
        raw: as long as its kind says.
    """

    kem: Kem
    raw: bytes

    @classmethod
    def of(cls, key: PrivateKey) -> PublicKey:
        """Return the public half of a private key.

        Raises:
            ConfigError: this build of cryptography lacks ML-KEM.
        """
        return cls(key.kem, key.public())

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Parse what ``serialise`` writes, and nothing else.

        Raises:
            ConfigError: it is anything else.
        """
        try:
            kem, raw = _split(text)
        except ValueError:
            raise ConfigError("not the public key of a device", hint=_HINT) from None
        if len(raw) != kem.public_bytes:
            raise ConfigError("not the public key of a device: its length is wrong", hint=_HINT)
        return cls(kem, raw)

    def verify_usable(self) -> None:
        """Prove that something can be sealed to it: points of low order and the like show only when used.

        Raises:
            ConfigError: nothing can, or this build of cryptography lacks ML-KEM.
        """
        hpke.seal(self.kem, self.raw, b"", info=b"")

    def serialise(self) -> str:
        """Return the text: one line of ASCII, without its end."""
        return f"{self.kem}:{encode_base64url(self.raw)}"

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the text, ``sha256:`` and 64 hex digits: for people to compare."""
        return f"sha256:{hashlib.sha256(self.serialise().encode()).hexdigest()}"


def parse_device_key(content: bytes) -> PrivateKey:
    """Parse the content of a device key's file: what `serialise_device_key` writes, and nothing else.

    Raises:
        SecretFileError: it is anything else; the message holds nothing of it.
    """
    prefix, _colon, rest = content.decode("ascii", errors="replace").partition(":")
    kem: Kem | None = None
    seed = b""
    if prefix == _PREFIX and rest.endswith("\n"):
        try:
            kem, seed = _split(rest.removesuffix("\n"))
        except ValueError:
            kem = None
    if kem is None or len(seed) != hpke.SEED_BYTES:
        raise SecretFileError(
            "the device key's file holds no device key", hint="Make one with `binary-split device init`."
        )
    return PrivateKey(kem, seed)


def serialise_device_key(key: PrivateKey) -> bytes:
    """Return the content of a device key's file: one line of ASCII."""
    return f"{_PREFIX}:{key.kem}:{encode_base64url(key.reveal())}\n".encode()


def _split(text: str) -> tuple[Kem, bytes]:
    kem, colon, encoded = text.partition(":")
    if not colon or not text.isascii():
        raise ValueError("no such text")
    return Kem(kem), decode_base64url(encoded)
