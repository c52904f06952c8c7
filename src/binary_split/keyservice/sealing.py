"""What leaves the service for an enrolled device: the fragment, sealed to that device's key."""

from __future__ import annotations

from binary_split.errors import ConfigError, KeyStoreDamagedError
from binary_split.keyservice.releases import Released
from binary_split.sealedfragment import Binding, PublicKey, SealedFragment, seal_fragment


def seal_released(released: Released, nonce: bytes) -> SealedFragment:
    """Seal what was released, to the enrolled public key and to no other.

    Raises:
        KeyStoreDamagedError: what is stored as the device's public key is none.
    """
    try:
        public_key = PublicKey.parse((released.public_key or b"").decode("ascii", "replace"))
        binding = Binding(released.device_id or "", released.key_id, nonce)
        return seal_fragment(released.fragment, public_key, binding)
    except ConfigError:
        raise KeyStoreDamagedError(f"the public key of {released.device_id!r} is none") from None
