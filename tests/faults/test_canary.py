"""The scanner that other tests lean on finds what there is to be found."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

import pytest

from bed.dockerd import PrivateDockerd
from tests.archives import FRAGMENT, Sealed, make_sealed
from tests.canary import (
    _STRETCH,
    assert_in_no_file,
    assert_in_no_text,
    canary_of,
    files_with,
    shapes_of,
)

WORDS = (b"canary-in-a-file",)


@pytest.mark.parametrize("before", [0, 1, _STRETCH - 7, _STRETCH - len(WORDS[0]), 3 * _STRETCH - 1])
def test_a_canary_is_found_wherever_it_stands_in_a_file(tmp_path: Path, before: int) -> None:
    path = tmp_path / "a" / "b" / "spool"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(before) + WORDS[0] + bytes(5))
    (tmp_path / "other").write_bytes(WORDS[0][:-1])
    assert files_with(WORDS, tmp_path) == files_with(WORDS, path) == [path]
    with pytest.raises(AssertionError):
        assert_in_no_file(WORDS, tmp_path)
    assert_in_no_file(WORDS, tmp_path, but=[path])
    assert_in_no_file(WORDS, tmp_path / "absent", tmp_path / "other")


@pytest.mark.fault(38)
@pytest.mark.parametrize("secret", [FRAGMENT, bytes(range(32)), b"bst_a-token-with-letters.and~signs"])
def test_a_secret_is_found_in_every_form_that_it_is_told_in(secret: bytes) -> None:
    told = [
        secret,
        b64encode(secret),
        b64encode(b"user:" + secret + b"@"),
        b64encode(b"xy" + secret),
        secret.hex().encode(),
        repr({"key": secret}).encode(),
        json.dumps({"key": b64encode(b"!" + secret).decode()}).encode(),
    ]
    if secret.isascii() and secret.isalnum():
        told.append(urlsafe_b64encode(secret))
    for text in told:
        with pytest.raises(AssertionError):
            assert_in_no_text(shapes_of(secret), b"before " + text + b" after")
    assert_in_no_text(shapes_of(secret), b64encode(bytes(100)), secret[:-1] + b"?", "words")


@pytest.mark.fault(48)
def test_a_layer_that_an_engine_holds_is_found_in_its_folder(
    fresh_device: PrivateDockerd, sealed_release: Sealed
) -> None:
    words = [canary_of(ref) for ref in sealed_release.images]
    assert_in_no_file(words, fresh_device.data_root)
    subprocess.run(
        ["docker", "load", "--quiet", "--input", sealed_release.tar],
        env=fresh_device.environment(),
        check=True,
        capture_output=True,
    )
    assert len(files_with(words, fresh_device.data_root)) == len(words)
    spool = fresh_device.data_root / "tmp" / "docker-import-1" / "layer.tar"
    spool.parent.mkdir()
    spool.write_bytes(sealed_release.tar.read_bytes())
    assert files_with(words, fresh_device.data_root / "tmp") == [spool]


@pytest.fixture
def sealed_release(tmp_path: Path) -> Sealed:
    return make_sealed(tmp_path, "1.1.0", ("azaion/flights", "azaion/autopilot"))
