"""An image config forged by bit flips alone, by one who does not know the fragment."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from binary_split.errors import ImageMismatchError
from binary_split.model import Digest, ImageRef
from tests.archives import BLOCK, FRAGMENT, Sealed, decrypt, encrypt, flip_bit, forge_config, read_images
from tests.unlock.conftest import Device

# A block of ciphertext of "xxxxxxxxxxxxxxxx". With the lowest bit of its byte 10 flipped it becomes 16 other
# printable characters, as luck has it in one of ten million tries: the JSON around it stays valid.
LUCKY_BLOCK = bytes.fromhex("933ace12e260fd8a39a3d72a86af3bc0")
FLIPPED_BYTE = 10
NOTE = "NOTE="


@dataclass(frozen=True)
class Case:
    """A release whose archive has the lucky block before the digit of a setting."""

    ref: ImageRef
    pins: dict[ImageRef, Digest]
    archive: bytes
    position: int


def with_note(length: int, config: dict[str, Any]) -> None:
    config["config"]["Env"].append(f"{NOTE}{'x' * length}1000")


def find_iv(tar: bytes, block: int) -> bytes:
    """Run the chain backwards: find the IV with which that block of the archive becomes the lucky one."""
    key = hashlib.sha256(FRAGMENT).digest()
    decryptor = Cipher(algorithms.AES256(key), modes.ECB()).decryptor()
    sealed = LUCKY_BLOCK
    for number in range(block, -1, -1):
        plain = tar[number * BLOCK : (number + 1) * BLOCK]
        opened = decryptor.update(sealed)
        sealed = bytes(a ^ b for a, b in zip(opened, plain, strict=True))
    return sealed


@pytest.fixture
def case(sealed: Sealed, tmp_path: Path) -> Case:
    ref = sealed.images[0]
    noted = tmp_path / "noted.tar"
    length = 64
    for _ in range(2):  # the second time with the digit where it is wanted in its block
        forge_config(sealed.tar, noted, str(ref), partial(with_note, length))
        tar = noted.read_bytes()
        digit = tar.index(b"x" * length + b"1000") + length
        length += (FLIPPED_BYTE - digit) % BLOCK
    block = digit // BLOCK - 1
    pins = {found: image.id for found, image in read_images(noted).items()}
    return Case(ref, pins, encrypt(tar, iv=find_iv(tar, block)), BLOCK + block * BLOCK + FLIPPED_BYTE)


@pytest.mark.fault(6)
def test_a_forged_config_that_is_valid_json_is_refused_by_its_id(
    device: Device, case: Case, tmp_path: Path
) -> None:
    path = tmp_path / "forged.cbc"
    forged = flip_bit(case.archive, case.position)
    path.write_bytes(forged)
    with pytest.raises(ImageMismatchError, match=case.ref.name):
        device.unlock(path, case.pins)
    assert device.files() == []
    path.write_bytes(case.archive)
    device.unlock(path, case.pins)
    assert device.ids(case.pins) == case.pins


@pytest.mark.fault(6)
def test_the_forgery_is_one(device: Device, case: Case, tmp_path: Path) -> None:
    honest, forged = decrypt(case.archive), decrypt(flip_bit(case.archive, case.position))
    start = honest.index(b'{"architecture"')
    end = honest.index(b"\0", start)
    assert json.loads(honest[start:end])["config"]["Env"][-1].endswith("1000")
    note = json.loads(forged[start:end])["config"]["Env"][-1]
    assert note.startswith(NOTE)
    assert note.endswith("0000")
    assert forged[:start] + forged[end:] == honest[:start] + honest[end:]
    path = tmp_path / "forged.cbc"
    path.write_bytes(flip_bit(case.archive, case.position))
    device.unlock(path, None, images=case.pins)  # all digests of the layers are right
    assert device.ids([case.ref]) != {case.ref: case.pins[case.ref]}
