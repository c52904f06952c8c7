"""The faults 25-37 of the list, met by each transport; `FAULTS` below says which test shows which.

The key service's client meets them in tests/keyclient. A remote archive is asked for at a web server by https
and by http, and in a registry by both; its blobs are read by the code that reads a web server's files.
"""

from __future__ import annotations

import gzip
import importlib
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bed.certs import Identity, make_leaf
from bed.fault_server import (
    FaultServer,
    Peer,
    Script,
    answer,
    drip_after_request,
    head,
    packets_dropped,
    pour_endlessly,
)
from binary_split.archive.positioned import Positioned
from binary_split.config import MIB
from binary_split.errors import (
    ArchiveError,
    ArchiveUnreachableError,
    ArchiveUnreadableError,
    ConfigError,
    RegistryError,
)
from binary_split.oci.blob import hash_bytes
from binary_split.transports import ArchiveLocation, open_source, parse_location
from binary_split.transports.options import HttpOptions
from binary_split.transports.registry.artifact import serialise_manifest
from binary_split.transports.registry.client import Registry
from binary_split.transports.registry.reference import RegistryReference
from binary_split.transports.web.ranges import RangeClient
from tests.transports.conftest import SOON, set_limits

_SAME = "as a web server's files: the same code reads them"
_LOCAL = "no network"
_CONTRACT = "test_contract.test_an_archive_that_becomes_shorter_is_an_error"
_CHANGED = "test_contract.test_another_archive_in_its_place_is_noticed_or_not_read"

FAULTS: dict[str, dict[str, tuple[str, ...]]] = {
    "25 swapped, truncated, FIFO, folder, EIO": {
        "file": (_CONTRACT, _CHANGED, "test_what_is_no_file_is_refused", "test_a_medium_that_fails_is_named"),
        "parts": (
            _CONTRACT,
            _CHANGED,
            "test_what_is_no_file_is_refused",
            "test_parts.test_a_short_part_is_named",
        ),
        "web": (_CONTRACT, _CHANGED, "test_http_source.test_another_file_under_the_same_name_is_noticed"),
        "registry": (_CONTRACT, _CHANGED),
    },
    "26 refused, not resolved, dropped": {
        "file": (_LOCAL,),
        "parts": (_LOCAL,),
        "web": (
            "test_a_refused_connection_is_unreachable",
            "test_a_name_that_is_not_resolved_is_unreachable",
            "test_dropped_packets_are_unreachable",
        ),
        "registry": (
            "test_a_refused_connection_is_unreachable",
            "test_a_name_that_is_not_resolved_is_unreachable",
            "test_dropped_packets_are_unreachable",
        ),
    },
    "27 loss and delay": {
        "file": (_LOCAL,),
        "parts": (_LOCAL,),
        "web": ("test_bad_network.test_lost_and_late_packets_cost_time_and_nothing_else",),
        "registry": (
            "test_bad_network.test_lost_and_late_packets_cost_time_and_nothing_else_from_a_registry",
        ),
    },
    "28 TLS": {
        "file": (_LOCAL,),
        "parts": (_LOCAL,),
        "web": (
            "test_a_server_that_cannot_prove_itself_is_refused_at_once",
            "test_old_tls_is_refused_at_once",
        ),
        "registry": (
            "test_a_server_that_cannot_prove_itself_is_refused_at_once",
            "test_old_tls_is_refused_at_once",
        ),
    },
    "29 redirects": {
        "file": (_LOCAL,),
        "parts": (_LOCAL,),
        "web": (
            "test_http_source.test_a_redirect_leads_to_the_archive",
            "test_http_source.test_what_is_not_there_is_told_at_once",
            "test_http_source.test_https_is_never_left_for_http",
        ),
        "registry": ("test_a_login_is_not_shown_where_a_blob_is_redirected_to",),
    },
    "30 401, 403, 404": {
        "file": (_LOCAL,),
        "parts": (_LOCAL,),
        "web": ("test_a_refusal_is_told_at_once",),
        "registry": ("test_a_refusal_is_told_at_once",),
    },
    "31 429": {
        "file": (_LOCAL,),
        "parts": (_LOCAL,),
        "web": ("test_retry_after_is_obeyed_and_capped",),
        "registry": ("test_retry_after_is_obeyed_and_capped",),
    },
    "32 500, 503, then 200": {
        "file": (_LOCAL,),
        "parts": (_LOCAL,),
        "web": ("test_a_server_that_fails_for_a_while_is_asked_again",),
        "registry": ("test_a_server_that_fails_for_a_while_is_asked_again",),
    },
    "33 one byte a second": {
        "file": (_LOCAL,),
        "parts": (_LOCAL,),
        "web": (
            "test_an_answer_that_drips_ends_by_the_deadline",
            "test_bytes_that_drip_are_given_up",
            "test_a_deadline_ends_what_comes_too_slowly",
        ),
        "registry": (
            "test_an_answer_that_drips_ends_by_the_deadline",
            "test_bytes_that_drip_are_given_up",
            "test_a_deadline_ends_what_comes_too_slowly",
        ),
    },
    "34 endless, a bomb": {
        "file": (_LOCAL,),
        "parts": (_LOCAL,),
        "web": ("test_an_endless_body_is_not_read", "test_a_compressed_body_is_never_decoded"),
        "registry": ("test_an_endless_body_is_not_read", "test_a_compressed_body_is_never_decoded"),
    },
    "35 captive portal, empty, short": {
        "file": (_LOCAL,),
        "parts": (_LOCAL,),
        "web": (
            "test_a_captive_portal_is_no_archive",
            "test_an_empty_answer_is_no_archive",
            "test_http_source.test_what_goes_wrong_now_and_then_is_asked_for_again",
        ),
        "registry": ("test_a_captive_portal_is_no_archive", "test_an_empty_answer_is_no_archive"),
    },
    "36 netrc, HTTPS_PROXY": {
        "file": (_LOCAL,),
        "parts": (_LOCAL,),
        "web": ("test_netrc_and_proxies_of_the_environment_are_not_used",),
        "registry": ("test_netrc_and_proxies_of_the_environment_are_not_used",),
    },
    "37 URLs": {
        "file": ("test_a_file_url_is_no_way_to_a_file",),
        "parts": ("a path is no URL",),
        "web": (
            "test_http_source.test_a_url_that_cannot_be_used_is_refused_before_anything_is_asked",
            "link-local addresses are read: no secret goes there, and a LAN without a router has no others",
        ),
        "registry": ("test_registry.test_a_reference_that_is_none_is_refused",),
    },
}
"""By transport the tests, as ``function`` of this module or ``module.function``, or why there is none."""

SIZE = 2 * MIB + 999
CONTENT = os.urandom(1024) * (SIZE // 1024 + 1)
DIGEST = str(hash_bytes(CONTENT[:SIZE]))
TLS_1_1 = pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("nobody")]
PATIENT = replace(SOON, fetch_deadline_s=5.0, http_patience_s=8.0)
"""For servers that are heard in the end, on a busy machine too."""
IMPATIENT = replace(
    SOON,
    fetch_deadline_s=0.3,
    http_patience_s=0.4,
    connect_timeout_s=0.2,
    http_read_timeout_s=0.3,
    http_beat_s=0.05,
)
"""For those that are waited for in vain."""


class Pauses(threading.Event):
    """Is set after the first wait, of which it keeps the length, and at once."""

    first_s = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.first_s = timeout or 0.0
        self.set()
        return True


@dataclass
class Remote:
    """One way to ask a scripted server for an archive.

    Attributes:
        kind: ``web`` or ``registry``.
        tls: of the server; None: plain http.
    """

    kind: str
    tls: ssl.SSLContext | None
    options: HttpOptions
    opened: ExitStack = field(repr=False)

    def serve(self, *scripts: Script) -> FaultServer:
        """Start a server with these scripts, and then one that does what it should."""
        return self.opened.enter_context(FaultServer(*scripts, serve_well, tls=self.tls))

    def always(self, script: Script) -> FaultServer:
        """Start a server that never does anything else."""
        return self.opened.enter_context(FaultServer(script, tls=self.tls))

    def location(self, port: int, host: str = "localhost") -> ArchiveLocation:
        if self.kind == "registry":
            return parse_location(f"oci://{host}:{port}/drone:1", self.options)
        return parse_location(f"{'https' if self.tls else 'http'}://{host}:{port}/bundle.age", self.options)

    def look(self, port: int, ended: threading.Event) -> None:
        """Look for the archive until the event is set."""
        if self.kind == "registry":
            reference = RegistryReference.parse(f"oci://localhost:{port}/drone:1")
            with closing(Registry(reference, self.options)) as registry:
                registry.find_archive(30, ended)
        else:
            url = f"{'https' if self.tls else 'http'}://localhost:{port}/x"
            with closing(RangeClient(url, self.options, ended)) as client:
                client.find(30)

    def read(self, server: FaultServer, offset: int = 0, size: int = 100) -> bytes:
        """Open the archive and read from it."""
        with open_source(self.location(server.port)) as source:
            target = bytearray(size)
            Positioned(source).read_at(offset, memoryview(target))
        return bytes(target)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    set_limits(monkeypatch, PATIENT)


@pytest.fixture
def impatient(_patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up what does not answer at once."""
    set_limits(monkeypatch, IMPATIENT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(params=["web-http", "web-https", "registry-http", "registry-https"])
def remote(
    request: pytest.FixtureRequest, authority: Identity, ca_file: Path, folder: Path
) -> Iterator[Remote]:
    kind, scheme = request.param.split("-")
    is_secure = scheme == "https"
    with ExitStack() as opened:
        tls = make_leaf(authority).server_context(folder) if is_secure else None
        yield Remote(kind, tls, HttpOptions(ca_file=ca_file if is_secure else None), opened)


@pytest.fixture(params=["web", "registry"])
def secure(request: pytest.FixtureRequest, ca_file: Path) -> Iterator[Remote]:
    """By https, with a server that the test makes."""
    with ExitStack() as opened:
        yield Remote(
            request.param, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), HttpOptions(ca_file=ca_file), opened
        )


def serve_well(peer: Peer) -> None:
    """Be a web server with the archive, and a registry with it."""
    request = peer.read_request()
    if b"/manifests/" in request:
        body = serialise_manifest(DIGEST, SIZE, {})
        peer.send(head("200 OK", f"Content-Length: {len(body)}", "Connection: close") + body)
        return
    peer.send(part_head(request) + part(request))


def part_head(request: bytes, *headers: str) -> bytes:
    first, last = wanted(request)
    where = f"Content-Range: bytes {first}-{last}/{SIZE}"
    length = f"Content-Length: {last - first + 1}"
    return head("206 Partial Content", where, length, "Connection: close", *headers)


def part(request: bytes) -> bytes:
    first, last = wanted(request)
    return CONTENT[first : last + 1]


def wanted(request: bytes) -> tuple[int, int]:
    match = re.search(rb"\r\nRange: bytes=(\d+)-(\d+)\r\n", request)
    assert match
    return int(match[1]), min(int(match[2]), SIZE - 1)


def test_the_table_names_tests_that_exist() -> None:
    package = __name__.rpartition(".")[0]
    for transports in FAULTS.values():
        assert set(transports) == {"file", "parts", "web", "registry"}
        for name in (name for names in transports.values() for name in names if " " not in name):
            module, _, function = f".{name}".rpartition(".")
            home = importlib.import_module(f"{package}{module}" if module else __name__)
            assert callable(getattr(home, function)), name


def test_a_server_that_does_what_it_should_is_read(remote: Remote) -> None:
    assert remote.read(remote.serve(), SIZE - 100) == CONTENT[SIZE - 100 : SIZE]


# 25


@pytest.mark.fault(25)
@pytest.mark.parametrize("name", ["archive.age", "archive.age.001"], ids=["file", "parts"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["FIFO", "folder"])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    make(tmp_path / name)
    with pytest.raises(ArchiveUnreadableError, match=re.escape(name)):
        open_source(tmp_path / name)


@pytest.mark.fault(25)
def test_a_medium_that_fails_is_named() -> None:
    memory = Path("/proc/self/mem")  # a regular file, of which nobody can read the first page
    with open_source(memory) as source:
        for read in (source.read, lambda size: source.read_at(0, memoryview(bytearray(size)))):
            with pytest.raises(ArchiveUnreadableError, match=r"/proc/self/mem: Input/output error"):
                read(10)


# 26


@pytest.mark.fault(26)
@pytest.mark.usefixtures("impatient")
def test_a_refused_connection_is_unreachable(remote: Remote) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ArchiveUnreachableError, match="refused"):
        open_source(remote.location(port))


@pytest.mark.fault(26)
@pytest.mark.usefixtures("impatient")
def test_a_name_that_is_not_resolved_is_unreachable(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(ArchiveUnreachableError, match="localhost"):
        open_source(remote.location(1))


@pytest.mark.fault(26)
@pytest.mark.usefixtures("impatient")
def test_dropped_packets_are_unreachable(remote: Remote) -> None:
    with packets_dropped() as port, pytest.raises(ArchiveUnreachableError, match="timed out"):
        open_source(remote.location(port, "127.0.0.1"))


# 28


@pytest.mark.fault(28)
@pytest.mark.parametrize(
    ("days", "names", "is_signed", "words"),
    [
        ((-10, 10), ("localhost",), False, "self-signed"),
        ((-20, -1), ("localhost",), True, "expired"),
        ((3650, 3660), ("localhost",), True, "not yet valid"),
        ((-10, 10), ("other.example",), True, "Hostname mismatch"),
    ],
    ids=["self-signed", "expired", "not-yet-valid", "wrong-host"],
)
def test_a_server_that_cannot_prove_itself_is_refused_at_once(
    secure: Remote,
    authority: Identity,
    folder: Path,
    days: tuple[int, int],
    names: tuple[str, ...],
    is_signed: bool,
    words: str,
) -> None:
    leaf = make_leaf(
        authority if is_signed else None, names=names, not_before_days=days[0], not_after_days=days[1]
    )
    secure.tls = leaf.server_context(folder)
    server = secure.serve()
    with pytest.raises(ArchiveUnreadableError, match=words) as caught:
        open_source(secure.location(server.port))
    assert "clock" in (caught.value.hint or "")
    assert (server.connections, server.requests) == (1, [])


@pytest.mark.fault(28)
@TLS_1_1
def test_old_tls_is_refused_at_once(secure: Remote, authority: Identity, folder: Path) -> None:
    context = make_leaf(authority).server_context(folder)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    secure.tls = context
    server = secure.serve()
    with pytest.raises(ArchiveUnreadableError, match=r"TLS 1\.2"):
        open_source(secure.location(server.port))
    assert (server.connections, server.requests) == (1, [])


# 29


@pytest.mark.fault(29)
def test_a_login_is_not_shown_where_a_blob_is_redirected_to() -> None:
    def asks_who(peer: Peer) -> None:
        peer.read_request()
        peer.send(
            head("401 Who", 'WWW-Authenticate: Basic realm="x"', "Content-Length: 0", "Connection: close")
        )

    with FaultServer(serve_well) as store:

        def redirects(peer: Peer) -> None:
            peer.read_request()
            where = f"Location: http://127.0.0.1:{store.port}/blob"
            peer.send(head("307 There", where, "Content-Length: 0", "Connection: close"))

        with FaultServer(asks_who, serve_well, redirects) as server:
            log_in(f"127.0.0.1:{server.port}")
            with open_source(parse_location(f"oci://127.0.0.1:{server.port}/drone:1")) as source:
                assert source.read(10) == CONTENT[:10]
        assert b"\r\nAuthorization: Basic" in server.requests[-1]
        assert b"authorization" not in store.requests[0].lower()


def log_in(host: str) -> None:
    from tests.transports.carriers import log_in as write_login

    write_login(Path(os.environ["DOCKER_CONFIG"]), host)


# 30-32

NOW = "Date: Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.fault(30)
@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_told_at_once(remote: Remote, status: int) -> None:
    server = remote.always(answer(f"{status} No", "Connection: close"))
    with pytest.raises((ArchiveUnreadableError, RegistryError), match=f"{status}|there is no") as caught:
        open_source(remote.location(server.port))
    assert caught.value.hint
    assert server.connections == 1


@pytest.mark.fault(31)
@pytest.mark.parametrize(
    ("text", "asked_s"),
    [
        ("5", 5.0),
        ("1000000000", 20.0),
        ("9" * 400, 20.0),
        ("Wed, 21 Oct 2015 07:28:07 GMT", 7.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", None),
        ("soon", None),
        ("-1", None),
        ("", None),
    ],
)
def test_retry_after_is_obeyed_and_capped(remote: Remote, text: str, asked_s: float | None) -> None:
    server = remote.always(answer("429 Slow Down", f"Retry-After: {text}", NOW, "Connection: close"))
    pauses = Pauses()
    with pytest.raises(ArchiveUnreachableError):
        remote.look(server.port, pauses)
    if asked_s is None:
        assert 0 < pauses.first_s <= IMPATIENT.backoff_first_s
    else:
        assert pauses.first_s == asked_s


@pytest.mark.fault(32)
@pytest.mark.parametrize("status", ["500 Oops", "502 Bad", "503 Busy", "504 Late", "408 Slow"])
def test_a_server_that_fails_for_a_while_is_asked_again(remote: Remote, status: str) -> None:
    server = remote.serve(answer(status, "Connection: close"), answer(status, "Connection: close"))
    assert remote.read(server) == CONTENT[:100]


# 33-35


@pytest.mark.fault(33)
@pytest.mark.parametrize("prompt", [b"", b"HTTP/1.1 206 OK\r\nX-Slow: "], ids=["status", "header"])
@pytest.mark.usefixtures("impatient")
def test_an_answer_that_drips_ends_by_the_deadline(remote: Remote, prompt: bytes) -> None:
    server = remote.always(drip_after_request(prompt, b"HTTP/1.1 2" + b"0" * 2000))
    started = time.monotonic()
    with pytest.raises(ArchiveUnreachableError):
        open_source(remote.location(server.port))
    assert time.monotonic() - started < IMPATIENT.fetch_deadline_s + 2


def drips_after(prompt: Callable[[bytes], bytes]) -> Script:
    def drips(peer: Peer) -> None:
        request = peer.read_request()
        peer.send(prompt(request))
        peer.drip(part(request), pause_s=0.05)

    return drips


def serve_all_but_blocks(remote: Remote, script: Script) -> FaultServer:
    """Start a server that has the archive, of which it gives the first block alone as it should."""
    opening = (serve_well, serve_well) if remote.kind == "registry" else (serve_well,)
    return remote.opened.enter_context(FaultServer(*opening, script, tls=remote.tls))


@pytest.mark.fault(33)
@pytest.mark.parametrize("prompt", [lambda request: b"", part_head], ids=["header", "body"])
@pytest.mark.usefixtures("impatient")
def test_bytes_that_drip_are_given_up(remote: Remote, prompt: Callable[[bytes], bytes]) -> None:
    """Twenty bytes a second: none of the single waits is ever too long."""
    server = serve_all_but_blocks(remote, drips_after(prompt))
    with open_source(remote.location(server.port)) as source:
        started = time.monotonic()
        with pytest.raises(ArchiveUnreachableError, match="cannot read"):
            source.read_at(MIB, memoryview(bytearray(10)))
        assert 0.6 < time.monotonic() - started < 3


@pytest.mark.fault(33)
def test_a_deadline_ends_what_comes_too_slowly(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    set_limits(monkeypatch, replace(PATIENT, http_beat_s=0.05))
    remote.options = replace(remote.options, deadline_s=1.0)
    server = serve_all_but_blocks(remote, drips_after(part_head))
    with open_source(remote.location(server.port)) as source:
        started = time.monotonic()
        with pytest.raises(ArchiveUnreachableError, match="not read within 1 s") as caught:
            source.read_at(MIB, memoryview(bytearray(10)))
        assert time.monotonic() - started < 3
        assert "--deadline" in (caught.value.hint or "")
        with pytest.raises(ArchiveUnreachableError, match="not read within 1 s"):
            source.read_at(2 * MIB, memoryview(bytearray(10)))


@pytest.mark.fault(34)
def test_an_endless_body_is_not_read(remote: Remote) -> None:
    server = remote.always(pour_endlessly(head("200 OK"), bytes(65536)))
    with pytest.raises(ArchiveError):
        open_source(remote.location(server.port))
    assert server.sent_bytes < 16 * MIB  # what both ends of a loopback connection may hold


@pytest.mark.fault(34)
def test_a_compressed_body_is_never_decoded(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib3.response

    def refuse(*args: object, **options: object) -> None:
        pytest.fail("a body was decoded")

    monkeypatch.setattr(urllib3.response.HTTPResponse, "_decode", refuse)
    bomb = gzip.compress(bytes(10 * MIB))

    def sends_a_bomb(peer: Peer) -> None:
        request = peer.read_request()
        if b"/manifests/" in request:
            peer.send(head("200 OK", "Content-Encoding: gzip", f"Content-Length: {len(bomb)}") + bomb)
        else:
            peer.send(part_head(request, "Content-Encoding: gzip") + bomb)

    with pytest.raises(ArchiveError):
        open_source(remote.location(remote.always(sends_a_bomb).port))


@pytest.mark.fault(35)
def test_a_captive_portal_is_no_archive(remote: Remote) -> None:
    portal = b"<!DOCTYPE html><html><body>Welcome to FreeWifi, please log in</body></html>"
    server = remote.always(answer("200 OK", "Content-Type: text/html", "Connection: close", body=portal))
    with pytest.raises((ArchiveUnreadableError, RegistryError), match=r"gives no parts|holds no archive"):
        open_source(remote.location(server.port))
    assert server.connections == 1


@pytest.mark.fault(35)
@pytest.mark.parametrize("status", ["200 OK", "206 Partial Content"])
def test_an_empty_answer_is_no_archive(remote: Remote, status: str) -> None:
    server = remote.always(answer(status, "Connection: close"))
    with pytest.raises(ArchiveError):
        open_source(remote.location(server.port))


# 36-37


@pytest.mark.fault(36)
def test_netrc_and_proxies_of_the_environment_are_not_used(
    remote: Remote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login hostile password hostile\n")
    netrc.chmod(0o600)
    proxy = remote.opened.enter_context(FaultServer(serve_well))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.delenv("NO_PROXY", raising=False)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, proxy.url())
    server = remote.serve()
    assert remote.read(server) == CONTENT[:100]
    assert proxy.connections == 0
    assert not any(b"authorization" in request.lower() for request in server.requests)


@pytest.mark.fault(37)
def test_a_file_url_is_no_way_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "bundle.age").write_bytes(CONTENT)
    with pytest.raises((ArchiveUnreadableError, ConfigError)):
        open_source(parse_location(f"file://{tmp_path}/bundle.age"))
