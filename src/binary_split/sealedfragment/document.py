"""A sealed fragment: HPKE (RFC 9180, base mode) to a device's public key, as a small JSON document.

    {"device":ID,"kem":KEM,"key_id":ID,"nonce":BASE64URL,"sealed":BASE64URL,"v":1}

ASCII, keys sorted, no spaces. ``sealed`` is the encapsulated key, then the ciphertext with its tag. What the
other members say is authenticated as HPKE's ``info``: whoever changes one gets nothing opened.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from binary_split import hpke
from binary_split.config import LIMITS
from binary_split.errors import ConfigError, SealedFragmentError
from binary_split.hpke import Kem, PrivateKey
from binary_split.model import Fragment, is_device_id, is_key_id
from binary_split.sealedfragment.device_key import PublicKey
from binary_split.sealedfragment.encoding import decode_base64url, encode_base64url

MEDIA_TYPE = "application/json"
NONCE_BYTES = 16
_NONCE_BYTES_MAX = 64
_VERSION = 1
_LABEL = b"binary-split/v1 sealed fragment"


@dataclass(frozen=True, slots=True)
class Binding:
    """What a sealed fragment is for; it opens for nothing else.

    Attributes:
        device: id of the device.
        key_id: name of the fragment.
        nonce: 16 to 64 bytes, chosen at random by who asked; offline by who sealed.
    """

    device: str
    key_id: str
    nonce: bytes

    def is_well_formed(self) -> bool:
        """Whether each part is what it may be."""
        is_nonce = NONCE_BYTES <= len(self.nonce) <= _NONCE_BYTES_MAX
        return is_nonce and is_device_id(self.device) and is_key_id(self.key_id)

    def info(self) -> bytes:
        """Return HPKE's ``info``: the label, then each part behind its length as 2 bytes, big-endian."""
        parts = (self.device.encode(), self.key_id.encode(), self.nonce)
        return _LABEL + b"".join(len(part).to_bytes(2, "big") + part for part in parts)


@dataclass(frozen=True, slots=True)
class SealedFragment:
    """A fragment that one device can open, and nobody else; it is no secret itself."""

    binding: Binding
    kem: Kem
    sealed: bytes

    @classmethod
    def parse(cls, document: bytes) -> SealedFragment:
        """Parse what ``serialise`` writes, and nothing else.

        Raises:
            SealedFragmentError: it is anything else.
        """
        parsed = _parse(document) if len(document) <= LIMITS.sealed_fragment_bytes else None
        is_canonical = parsed is not None and parsed.serialise() == document
        del document  # it may be a fragment, given by mistake: a report that shows variables shows none
        if parsed is None or not is_canonical:
            raise SealedFragmentError("this is no sealed fragment, or it was damaged")
        return parsed

    def serialise(self) -> bytes:
        """Return the document, without a line end."""
        document = {
            "device": self.binding.device,
            "kem": self.kem,
            "key_id": self.binding.key_id,
            "nonce": encode_base64url(self.binding.nonce),
            "sealed": encode_base64url(self.sealed),
            "v": _VERSION,
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def generate_nonce() -> bytes:
    """Return a new nonce from the system's CSPRNG."""
    return os.urandom(NONCE_BYTES)


def parse_nonce(text: str) -> bytes:
    """Parse a nonce as a request carries it: canonical base64url of 16 to 64 bytes.

    Raises:
        ValueError: it is anything else.
    """
    nonce = decode_base64url(text)
    if not NONCE_BYTES <= len(nonce) <= _NONCE_BYTES_MAX:
        raise ValueError("a nonce is 16 to 64 bytes long")
    return nonce


def seal_fragment(fragment: Fragment, public_key: PublicKey, binding: Binding) -> SealedFragment:
    """Seal a fragment to a device's public key, which must be the one that the device enrolled.

    Raises:
        ConfigError: the public key or the binding is none, or this build of cryptography lacks ML-KEM.
    """
    if not binding.is_well_formed():
        raise ConfigError("a sealed fragment needs a device id, a key-id and a nonce of 16 to 64 bytes")
    sealed = hpke.seal(public_key.kem, public_key.raw, fragment.reveal(), info=binding.info())
    return SealedFragment(binding, public_key.kem, sealed)


def open_fragment(
    sealed: SealedFragment,
    key: PrivateKey,
    *,
    device: str | None = None,
    key_id: str | None = None,
    nonce: bytes | None = None,
) -> Fragment:
    """Open a sealed fragment with the key of its device.

    Args:
        sealed: the parsed document.
        key: the device's private key.
        device: who this device is; None takes the document's word, which the sealing authenticates.
        key_id: which fragment was asked for; None: any.
        nonce: what was sent with the request; None where nothing was sent: offline.

    Raises:
        SealedFragmentError: it is for another device, key or request, or damaged: always in the same words.
        ConfigError: this build of cryptography lacks ML-KEM.
    """
    binding = sealed.binding
    expected = Binding(
        binding.device if device is None else device,
        binding.key_id if key_id is None else key_id,
        binding.nonce if nonce is None else nonce,
    )
    is_for_us = key.kem is sealed.kem and expected == binding
    plain = key.open(sealed.sealed, info=expected.info()) if is_for_us else None
    if not plain:
        raise SealedFragmentError
    return Fragment(plain)


def _parse(document: bytes) -> SealedFragment | None:
    """Return what can be read; that it is canonical is the caller's to check."""
    try:
        members = json.loads(document)
        binding = Binding(members["device"], members["key_id"], decode_base64url(members["nonce"]))
        if members["v"] != _VERSION or not binding.is_well_formed():
            return None
        return SealedFragment(binding, Kem(members["kem"]), decode_base64url(members["sealed"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
