from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bed.certs import Identity, make_authority, make_leaf
from bed.fault_server import FaultServer, Peer, head
from binary_split.config import LIMITS, Settings
from binary_split.doctor import Subject
from binary_split.doctor.facts import Facts
from binary_split.doctor.finding import Judgement
from binary_split.doctor.running import find_check, judge
from tests.archives import FRAGMENT
from tests.commandline import CommandLine
from tests.releases import KEY, KEY_ID, AgeRelease, make_age_release
from tests.test_end_to_end import KeyService

READY = b'{"status": "ready"}'


def check(
    name: str, archive: Path | None = None, *, wait_s: float = LIMITS.doctor_check_s, **more: Any
) -> Judgement:
    """Make one check; what is no part of the subject is a setting."""
    subject = {key: more.pop(key) for key in list(more) if key in Subject.__slots__}
    settings = replace(subject.pop("settings", Settings()), **more)
    return judge(find_check(name), Facts(Subject(archive=archive, settings=settings, **subject), wait_s))


def answering(*headers: str, status: str = "200 OK", body: bytes = READY) -> Callable[[Peer], None]:
    """Return the script of a service that gives this answer to whoever asks, and none to who only looks."""
    content = head(status, *headers, f"Content-Length: {len(body)}") + body

    def script(peer: Peer) -> None:
        if peer.read_request():
            peer.send(content)

    return script


@dataclass(frozen=True)
class Pki:
    """A CA and the folder that its files are in."""

    authority: Identity
    ca_file: Path
    folder: Path

    def context(self, leaf: Identity | None = None) -> ssl.SSLContext:
        return (leaf or make_leaf(self.authority, not_after_days=90)).server_context(self.folder)


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("doctor-pki")
    authority = make_authority()
    return Pki(authority, authority.write_certificate(folder / "ca.pem"), folder)


Serve = Callable[..., FaultServer]


@pytest.fixture
def serve(pki: Pki) -> Iterator[Serve]:
    """Start HTTPS servers (or others, with ``tls=None``) that stop with the test."""
    with ExitStack() as stack:

        def start(*scripts: object, **options: object) -> FaultServer:
            options.setdefault("tls", pki.context())
            return stack.enter_context(FaultServer(*scripts, **options))  # type: ignore[arg-type]

        yield start


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> AgeRelease:
    """A signed release as an ``age`` archive, opened by the fragment of the key service."""
    return make_age_release(tmp_path_factory.mktemp("doctor-release"))


@pytest.fixture(scope="session")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The public key of who signed the release."""
    path = tmp_path_factory.mktemp("publisher") / "publisher.pub"
    path.write_bytes(KEY.public_key.serialise())
    return path


@pytest.fixture(scope="session")
def key_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyService]:
    """A real key service in a process of its own, over HTTPS, that has the release's fragment."""
    folder = tmp_path_factory.mktemp("doctor-service")
    service = KeyService(CommandLine(folder), folder)
    service.set_up()
    (folder / "release-fragment").write_bytes(FRAGMENT)
    service.run("key", "import", KEY_ID, folder / "release-fragment")
    with service.running():
        yield service


@pytest.fixture
def token_file(key_service: KeyService, tmp_path: Path) -> Path:
    """A token that opens the release."""
    path = tmp_path / "token"
    key_service.run("token", "issue", "--key", KEY_ID, "--out", path)
    return path


@pytest.fixture
def where(key_service: KeyService) -> dict[str, Any]:
    """The settings that name the key service."""
    return {"key_service": key_service.url, "ca_file": key_service.ca_file}


@pytest.fixture
def releasing(where: dict[str, Any], token_file: Path, publisher: Path) -> dict[str, Any]:
    """What a release is asked for with, and whose signature counts."""
    return {**where, "token_file": token_file, "trusted_keys": (publisher,), "is_release_wanted": True}
