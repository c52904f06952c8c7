"""The page on sealed fragments is enough for a stranger: another HPKE opens its example."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey

from binary_split.model import DEVICE_KEY_NEEDED
from binary_split.sealedfragment import Kem, PublicKey, SealedFragment, open_fragment, parse_device_key

PAGE = (Path(__file__).resolve().parents[2] / "docs/sealed-fragments.md").read_text(encoding="utf-8")
FRAGMENT = bytes(range(0x20, 0x40))


def example() -> tuple[str, str, str]:
    found = re.search(r"<!-- example -->\n```\n(.*)\n(.*)\n(.*)\n```", PAGE)
    assert found
    return found[1], found[2], found[3]


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_another_implementation_opens_the_example_by_the_page_alone() -> None:
    private_text, public_text, document = example()
    members = json.loads(document)
    parts = (members["device"].encode(), members["key_id"].encode(), decode(members["nonce"]))
    info = b"binary-split/v1 sealed fragment" + b"".join(
        len(part).to_bytes(2, "big") + part for part in parts
    )
    private = X25519PrivateKey.from_private_bytes(decode(private_text.split(":")[2]))
    assert private.public_key().public_bytes_raw() == decode(public_text.split(":")[1])
    suite = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.CHACHA20_POLY1305)
    sealed = decode(members["sealed"])
    key = KEMKey.from_pyca_cryptography_key(private)
    assert suite.create_recipient_context(sealed[:32], key, info=info).open(sealed[32:]) == FRAGMENT


def test_we_open_the_example() -> None:
    private_text, public_text, document = example()
    key = parse_device_key(private_text.encode() + b"\n")
    assert PublicKey.of(key).serialise() == public_text
    sealed = SealedFragment.parse(document.encode())
    assert sealed.serialise() == document.encode()
    assert open_fragment(sealed, key, device="drone-7", key_id="acme-2026").reveal() == FRAGMENT


def test_the_page_names_every_kem_and_its_sizes() -> None:
    rows = re.findall(r"^\| `(\w+)` \| 0x[^|]*\|([^|]*)\|([^|]*)\|$", PAGE, re.MULTILINE)
    assert [name for name, _, _ in rows] == [str(kem) for kem in Kem]
    for name, public, encapsulated in rows:
        assert size_of(public) == Kem(name).public_bytes
        assert size_of(encapsulated) == Kem(name).encapsulated_bytes


def size_of(cell: str) -> int:
    """Add up the sizes that a cell names: `32 bytes`, `(1184 bytes)`, `(32)`."""
    return sum(int(size) for size in re.findall(r"(?<![\w-])(\d+)(?= bytes|\))", cell))


def test_the_page_names_the_problem_that_the_service_answers_with() -> None:
    assert f'"type": "{DEVICE_KEY_NEEDED}"' in PAGE
