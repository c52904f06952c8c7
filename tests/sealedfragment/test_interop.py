"""Another implementation of HPKE opens what we seal, and we open what it seals.

The hybrid's suite is proven by the vectors of age's own hybrid recipients (tests/archive/age/test_cctv.py).
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey, OpenError

from binary_split.errors import SealedFragmentError
from binary_split.model import Fragment
from binary_split.sealedfragment import (
    Binding,
    Kem,
    PrivateKey,
    PublicKey,
    SealedFragment,
    open_fragment,
    seal_fragment,
)

SUITE = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.CHACHA20_POLY1305)
SECRET = bytes(range(32))
SEED = bytes([9]) * 32
KEY = PrivateKey(Kem.X25519, SEED)
BINDING = Binding("drone-7", "acme-2026", bytes(range(16)))
INFO = b"binary-split/v1 sealed fragment" + b"\0\7drone-7" + b"\0\x09acme-2026" + b"\0\x10" + bytes(range(16))


def test_pyhpke_opens_what_we_seal() -> None:
    sealed = seal_fragment(Fragment(SECRET), PublicKey.of(KEY), BINDING).sealed
    private = KEMKey.from_pyca_cryptography_key(X25519PrivateKey.from_private_bytes(SEED))
    assert SUITE.create_recipient_context(sealed[:32], private, info=INFO).open(sealed[32:]) == SECRET
    with pytest.raises(OpenError):
        SUITE.create_recipient_context(sealed[:32], private, info=INFO + b"x").open(sealed[32:])


def test_we_open_what_pyhpke_seals() -> None:
    public = KEMKey.from_pyca_cryptography_key(X25519PublicKey.from_public_bytes(PublicKey.of(KEY).raw))
    encapsulated, context = SUITE.create_sender_context(public, info=INFO)
    document = SealedFragment(BINDING, Kem.X25519, encapsulated + context.seal(SECRET))
    assert open_fragment(SealedFragment.parse(document.serialise()), KEY).reveal() == SECRET
    with pytest.raises(SealedFragmentError):
        open_fragment(document, KEY, key_id="other")
