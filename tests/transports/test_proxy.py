"""Archives through a proxy: the one that is named, with its login, and its refusals told at once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bed.fault_server import FaultServer
from bed.nginx import PrivateNginx
from bed.private import free_port
from bed.proxy import PASSWORD, USER, PrivateProxy
from bed.registry import PrivateRegistry
from bed.unavailable import Unavailable
from binary_split.config import MIB
from binary_split.errors import (
    ArchiveUnreachableError,
    ArchiveUnreadableError,
    ConfigError,
    SecretFileError,
)
from binary_split.transports import open_source
from binary_split.transports.options import HttpOptions
from binary_split.transports.web.source import open_http
from tests.lending import lent
from tests.transports.carriers import RegistryCarrier

CONTENT = random.Random(3).randbytes(2 * MIB)
NAME = "proxied.age"
pytestmark = pytest.mark.usefixtures("soon")


@pytest.fixture(scope="module", params=["open", "closed"])
def proxy(
    request: pytest.FixtureRequest, could_not_run: Callable[[Unavailable], None]
) -> Iterator[PrivateProxy]:
    with lent(lambda: PrivateProxy(is_closed=request.param == "closed"), could_not_run) as server:
        yield server


@pytest.fixture(scope="module")
def closed_proxy(could_not_run: Callable[[Unavailable], None]) -> Iterator[PrivateProxy]:
    with lent(lambda: PrivateProxy(is_closed=True), could_not_run) as server:
        yield server


@pytest.fixture(params=["http", "https"])
def url(request: pytest.FixtureRequest, nginx: PrivateNginx, root: Path) -> str:
    (root / NAME).write_bytes(CONTENT)
    (root / NAME).chmod(0o644)
    return f"{nginx.tls_url if request.param == 'https' else nginx.url}/{NAME}"


@pytest.fixture
def login(tmp_path: Path) -> Path:
    path = tmp_path / "proxy-login"
    path.write_text(f"{USER}:{PASSWORD}\n")
    return path


def read(url: str, options: HttpOptions) -> bytes:
    with open_http(url, options) as source:
        target = bytearray(100)
        assert source.read_at(MIB + 5, memoryview(target)) == 100
    return bytes(target)


def test_an_archive_is_read_through_a_proxy(
    proxy: PrivateProxy, url: str, ca_file: Path, login: Path
) -> None:
    before = len(proxy.passed())
    options = HttpOptions(ca_file=ca_file, proxy=proxy.url, proxy_login_file=login)
    assert read(url, options) == CONTENT[MIB + 5 : MIB + 105]
    asked = proxy.passed()[before:]
    assert asked
    if url.startswith("https"):
        assert all(line.startswith("CONNECT localhost:") for line in asked)  # it sees no more than that


@pytest.mark.usefixtures("nobody")
def test_an_artifact_is_pushed_and_read_through_a_proxy(
    proxy: PrivateProxy, registry: PrivateRegistry, login: Path, tmp_path: Path
) -> None:
    options = HttpOptions(proxy=proxy.url, proxy_login_file=login)
    carrier = RegistryCarrier(tmp_path, registry, options)
    before = len(proxy.passed())
    carrier.put(CONTENT)
    pushed = len(proxy.passed())
    assert pushed > before
    with open_source(carrier.location) as source:
        assert source.read(100) == CONTENT[:100]
    assert len(proxy.passed()) >= pushed + 2  # the manifest and a block


@pytest.mark.parametrize("words", [None, "device:wrong"])
def test_a_proxy_that_does_not_let_us_through_is_told_at_once(
    closed_proxy: PrivateProxy, url: str, ca_file: Path, tmp_path: Path, words: str | None
) -> None:
    if words is not None:
        (tmp_path / "login").write_text(words)
    file = None if words is None else tmp_path / "login"
    started = time.monotonic()
    with pytest.raises(ArchiveUnreadableError, match=r"answers 40[17]") as caught:
        read(url, HttpOptions(ca_file=ca_file, proxy=closed_proxy.url, proxy_login_file=file))
    assert time.monotonic() - started < 1.0  # SOON.fetch_deadline_s: nothing is tried again
    if words is None or url.startswith("https"):  # a wrong login is 401 to this proxy, as of any server
        assert "--proxy-login" in (caught.value.hint or "")
    assert "wrong" not in str(caught.value)


def test_a_proxy_that_is_not_there_is_unreachable(url: str, ca_file: Path) -> None:
    proxy = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ArchiveUnreachableError, match="refused"):
        read(url, HttpOptions(ca_file=ca_file, proxy=proxy))


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("http://device:open-sesame@127.0.0.1:8888", "holds a user or a password"),
        ("socks5://127.0.0.1:1080", "not the URL of a proxy"),
        ("http://[::1", "not the URL of a proxy"),
        ("127.0.0.1:3128", "not the URL of a proxy"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_before_anything_is_asked(proxy: str, words: str) -> None:
    with FaultServer() as server, pytest.raises(ConfigError, match=words) as caught:
        read(server.url(), HttpOptions(proxy=proxy))
    assert "open-sesame" not in f"{caught.value!r} {caught.value.hint}"
    assert server.connections == 0


@pytest.mark.parametrize("content", ["no-colon", "two:lines\nof:it", "a:\x00b"])
def test_a_file_that_holds_no_login_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "login").write_text(content)
    options = HttpOptions(proxy="http://127.0.0.1:1", proxy_login_file=tmp_path / "login")
    with pytest.raises(ConfigError, match="holds no login") as caught:
        read("http://127.0.0.1:1/x", options)
    assert content not in str(caught.value)


def test_a_login_that_is_not_there_is_named(tmp_path: Path) -> None:
    options = HttpOptions(proxy="http://127.0.0.1:1", proxy_login_file=tmp_path / "none")
    with pytest.raises(SecretFileError, match="cannot read the proxy's login file"):
        read("http://127.0.0.1:1/x", options)
