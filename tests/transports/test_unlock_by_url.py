"""``unlock https://…``: what a file would bring, and of its bytes no more than are needed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bed.dockerd import PrivateDockerd
from bed.nginx import PrivateNginx
from binary_split.config import API_SERVICES, MIB
from tests.archives import FRAGMENT, make_sealed
from tests.commandline import CommandLine, Ran
from tests.releases import KEY, AgeRelease, make_age_release

pytestmark = pytest.mark.slow
SLACK = 12 * MIB  # the first block, the last one, and those in which a stretch of layers begins or ends


@pytest.fixture(scope="module")
def releases(
    busybox: bytes, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[AgeRelease]]:
    """Two releases of seven images on the server; what they share is most of it."""
    folder = tmp_path_factory.mktemp("releases")
    made = [
        make_age_release(
            folder,
            version,
            names=tuple(API_SERVICES),
            filler_bytes=64 * MIB,
            filler_kind="random",
            program=busybox,
            sequence=sequence,
        )
        for sequence, version in enumerate(("1.0.0", "1.1.0"))
    ]
    for release in made:
        shutil.copy(release.path, root / release.path.name)
        (root / release.path.name).chmod(0o644)
    yield made
    for release in made:
        (root / release.path.name).unlink()


@pytest.fixture
def device(cli: CommandLine, ca_file: Path) -> CommandLine:
    (cli.home / "fragment").write_bytes(FRAGMENT)
    (cli.home / "publisher.pem").write_bytes(KEY.public_key.serialise())
    return cli


def unlock(device: CommandLine, ca_file: Path, url: str, *options: object) -> Ran:
    secret = ("--fragment-file", device.home / "fragment", "--trusted-key", device.home / "publisher.pem")
    return device.run("unlock", url, "--archive-ca", ca_file, *secret, *options)


def test_an_upgrade_moves_what_is_new_and_little_more(
    releases: list[AgeRelease],
    nginx: PrivateNginx,
    ca_file: Path,
    device: CommandLine,
    fresh_device: PrivateDockerd,
) -> None:
    device = device.with_environment(DOCKER_HOST=fresh_device.host)
    assert unlock(device, ca_file, f"{nginx.tls_url}/1.0.0.age").status == 0
    ran = unlock(device, ca_file, f"{nginx.tls_url}/1.1.0.age", "--json")
    assert ran.status == 0, ran
    moved = nginx.sent_bytes("/1.1.0.age")
    assert ran.document["sent_bytes"] < moved + MIB  # what was compressed is more than it was
    assert moved < ran.document["sent_bytes"] + SLACK
    assert set(map(str, releases[1].images)) <= set(fresh_device.image_ids())


def test_a_cbc_archive_is_read_by_url_with_its_pins(
    root: Path, nginx: PrivateNginx, ca_file: Path, device: CommandLine, tmp_path: Path
) -> None:
    sealed = make_sealed(tmp_path / "cbc", "1.0.0", ("azaion/flights",))
    shutil.copy(sealed.path, root / "old.cbc")
    (root / "old.cbc").chmod(0o644)
    pins = [part for ref, digest in sealed.pins.items() for part in ("--image-id", f"{ref}={digest}")]
    where = ("--version", "1.0.0", "--engine", f"oci:{tmp_path / 'images'}", *pins)
    assert unlock(device, ca_file, f"{nginx.tls_url}/old.cbc", *where).status == 0
    assert (tmp_path / "images" / "index.json").exists()


def test_a_url_that_leads_nowhere_is_an_error_with_a_hint(
    nginx: PrivateNginx, ca_file: Path, device: CommandLine, tmp_path: Path
) -> None:
    ran = unlock(device, ca_file, f"{nginx.tls_url}/none.age", "--engine", f"oci:{tmp_path / 'images'}")
    ran.assert_failed(11, "404")


def test_a_server_that_is_not_trusted_is_an_error_with_a_hint(
    releases: list[AgeRelease], nginx: PrivateNginx, device: CommandLine, tmp_path: Path
) -> None:
    assert releases
    engine = ("--engine", f"oci:{tmp_path / 'images'}", "--fragment-file", device.home / "fragment")
    device.run("unlock", f"{nginx.tls_url}/1.0.0.age", *engine).assert_failed(11, "cannot prove who it is")
