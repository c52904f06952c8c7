from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bed.certs import Identity, make_authority, make_leaf
from bed.fault_server import FaultServer
from binary_split.config import Limits
from binary_split.keyclient import fetch_fragment

TOKEN = "bst_7Jq0-x.Zk~P+9/WvHn3TfLrB2sYdMcEa=="
FRAGMENT = b"\x00\xfffragment-bytes\x80 with \r\n line ends\r\nand a last one\n"


@dataclass
class Client:
    """fetch_fragment with a recorded sleep."""

    ca_file: Path
    limits: Limits = field(default_factory=Limits)
    sleeps: list[float] = field(default_factory=list)

    def fetch(self, url: str, *, token: str = TOKEN, key_id: str | None = None) -> bytes:
        return fetch_fragment(
            url, token, key_id=key_id, ca_file=self.ca_file, limits=self.limits, sleep=self.sleeps.append
        ).reveal()


@dataclass(frozen=True)
class Pki:
    """A CA and the folder that its files are in."""

    authority: Identity
    ca_file: Path
    folder: Path

    def context(self, leaf: Identity | None = None) -> ssl.SSLContext:
        return (leaf or make_leaf(self.authority)).server_context(self.folder)


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("pki")
    authority = make_authority()
    return Pki(authority, authority.write_certificate(folder / "ca.pem"), folder)


@pytest.fixture(scope="session")
def tls(pki: Pki) -> ssl.SSLContext:
    return pki.context()


@pytest.fixture
def client(pki: Pki) -> Client:
    return Client(pki.ca_file)


Serve = Callable[..., FaultServer]


@pytest.fixture
def serve(tls: ssl.SSLContext) -> Iterator[Serve]:
    """Start HTTPS servers (or others, with ``tls=None``) that stop with the test."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(*scripts: object, **options: object) -> FaultServer:
            options.setdefault("tls", tls)
            return stack.enter_context(FaultServer(*scripts, **options))  # type: ignore[arg-type]

        yield start
