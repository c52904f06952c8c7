"""Whatever reads an archive takes a URL, and asks its server no more often than it must."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bed.fault_server import packets_dropped
from bed.nginx import PrivateNginx
from bed.registry import PrivateRegistry
from tests.archives import FRAGMENT
from tests.commandline import CommandLine
from tests.releases import KEY, AgeRelease, make_age_release

pytestmark = pytest.mark.slow
NAME = "small.age"


@pytest.fixture(scope="module")
def release(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgeRelease]:
    """A release that is smaller than a block, on the server."""
    made = make_age_release(tmp_path_factory.mktemp("release"))
    shutil.copy(made.path, root / NAME)
    (root / NAME).chmod(0o644)
    yield made
    (root / NAME).unlink()


@pytest.fixture(params=["https", "oci"])
def place(
    request: pytest.FixtureRequest, cli: CommandLine, release: AgeRelease, ca_file: Path
) -> tuple[object, ...]:
    """The archive and how its server is reached, as arguments."""
    (cli.home / "fragment").write_bytes(FRAGMENT)
    (cli.home / "publisher.pem").write_bytes(KEY.public_key.serialise())
    if request.param == "https":
        server: PrivateNginx = request.getfixturevalue("nginx")
        return f"{server.tls_url}/{NAME}", "--archive-ca", ca_file
    registry: PrivateRegistry = request.getfixturevalue("registry")
    reference = f"oci://{registry.host}/drone/releases:1.0.0"
    assert cli.run("push", release.path, reference).status == 0
    return (reference,)


SECRET = ("--fragment-file", "fragment")
TRUST = ("--trusted-key", "publisher.pem")


def test_verify_proves_an_archive_at_a_url(cli: CommandLine, place: tuple[object, ...]) -> None:
    ran = cli.run("verify", *place, *SECRET, *TRUST, "--json")
    assert ran.status == 0, ran
    assert ran.document["verified"]
    assert ran.document["archive"] == str(place[0])


def test_inspect_shows_an_archive_at_a_url(
    cli: CommandLine, place: tuple[object, ...], release: AgeRelease
) -> None:
    ran = cli.run("inspect", *place, *SECRET, *TRUST, "--json")
    assert ran.status == 0, ran
    assert ran.document["size_bytes"] == release.path.stat().st_size
    assert ran.document["signature_verified"]


def test_extract_takes_the_images_out_of_an_archive_at_a_url(
    cli: CommandLine, place: tuple[object, ...], tmp_path: Path
) -> None:
    ran = cli.run("extract", *place, *SECRET, *TRUST, "-o", f"oci:{tmp_path / 'images'}")
    assert ran.status == 0, ran
    assert json.loads((tmp_path / "images" / "index.json").read_text())["manifests"]


def test_decrypt_gives_the_plaintext_of_an_archive_at_a_url(
    cli: CommandLine, place: tuple[object, ...], release: AgeRelease, tmp_path: Path
) -> None:
    ran = cli.run("decrypt", *place, *SECRET, "-o", tmp_path / "plain.tar")
    assert ran.status == 0, ran
    assert (tmp_path / "plain.tar").read_bytes() == release.plain


@pytest.mark.parametrize("command", ["decrypt", "extract", "inspect", "unlock", "verify"])
def test_the_help_says_that_a_url_will_do(cli: CommandLine, command: str) -> None:
    text = " ".join(cli.run(command, "--help").stdout.split())
    assert "https://" in text
    assert "oci://HOST/REPOSITORY:TAG" in text
    assert "--archive-ca" in text


def test_an_unlock_opens_an_archive_at_a_url_once(
    cli: CommandLine, release: AgeRelease, nginx: PrivateNginx, ca_file: Path, tmp_path: Path
) -> None:
    (cli.home / "fragment").write_bytes(FRAGMENT)
    (cli.home / "publisher.pem").write_bytes(KEY.public_key.serialise())
    before = nginx.requests(f"/{NAME}")
    url = (f"{nginx.tls_url}/{NAME}", "--archive-ca", ca_file)
    ran = cli.run("unlock", *url, *SECRET, *TRUST, "--engine", f"oci:{tmp_path / 'images'}")
    assert ran.status == 0, ran
    assert nginx.requests(f"/{NAME}") == before + 1  # found and read whole: it is smaller than a block


def test_the_settings_say_how_a_server_is_reached_to_the_doctor_too(
    cli: CommandLine, release: AgeRelease, nginx: PrivateNginx, ca_file: Path
) -> None:
    url = f"{nginx.tls_url}/{NAME}"
    (cli.home / "config.toml").write_text(f'[archive]\nca_file = "{ca_file}"\n')
    assert cli.run("inspect", url).status == 11  # nobody vouches for it
    cli = cli.with_environment(BINARY_SPLIT_CONFIG=str(cli.home / "config.toml"))
    ran = cli.run("inspect", url, "--json")
    assert ran.document["size_bytes"] == release.path.stat().st_size
    findings = cli.run("doctor", url, "--json").document["checks"]
    assert [each["verdict"] for each in findings if each["name"] == "archive"] == ["ok"]


def test_interrupted_while_it_only_connects_it_ends_at_once(cli: CommandLine) -> None:
    with packets_dropped() as port:
        before = connecting_to(port)
        with cli.running("inspect", f"http://127.0.0.1:{port}/x.age") as run:
            deadline = time.monotonic() + 20
            while connecting_to(port) == before:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            began = time.monotonic()
            run.send_signal(signal.SIGINT)
            run.communicate(timeout=20)
        assert run.returncode == 130
        assert time.monotonic() - began < 5  # a connection is waited for twice as long


def connecting_to(port: int) -> int:
    """Return how many have sent the first packet to a port of loopback, and had no answer (proc(5))."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2] == f"0100007F:{port:04X}" and row[3] == "02" for row in rows)
