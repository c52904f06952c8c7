"""Fragments sealed to a device's key: pure bytes, for the key service that seals and the device that opens.

docs/key-service.md says enough to write another implementation.
"""

from binary_split.hpke import Kem, PrivateKey
from binary_split.sealedfragment.device_key import PublicKey, parse_device_key, serialise_device_key
from binary_split.sealedfragment.document import (
    MEDIA_TYPE,
    Binding,
    SealedFragment,
    generate_nonce,
    open_fragment,
    parse_nonce,
    seal_fragment,
)

__all__ = [
    "MEDIA_TYPE",
    "Binding",
    "Kem",
    "PrivateKey",
    "PublicKey",
    "SealedFragment",
    "generate_nonce",
    "open_fragment",
    "parse_device_key",
    "parse_nonce",
    "seal_fragment",
    "serialise_device_key",
]
