"""An archive on a web server is the same bytes as the file, whatever server and line do; or an error."""

from __future__ import annotations

import hashlib
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from bed.certs import Identity, make_authority, make_leaf
from bed.fault_server import FaultServer, Peer
from bed.nginx import PrivateNginx
from binary_split.config import MIB
from binary_split.errors import (
    ArchiveChangedError,
    ArchiveUnreachableError,
    ArchiveUnreadableError,
    ConfigError,
)
from binary_split.transports import open_source, parse_location
from binary_split.transports.options import HttpOptions, Mirror
from binary_split.transports.web.block import Block
from binary_split.transports.web.source import HttpSource, open_http
from tests.transports.conftest import SOON, set_limits

SIZE = 5 * MIB + 4321
CONTENT = random.Random(7).randbytes(SIZE)
pytestmark = pytest.mark.usefixtures("soon")


@pytest.fixture(autouse=True, scope="module")
def _archive(root: Path) -> None:
    (root / "bundle.age").write_bytes(CONTENT)
    (root / "bundle.age").chmod(0o644)


def read_all(source: HttpSource) -> bytes:
    target = bytearray(SIZE)
    done = 0
    while done < SIZE:
        count = source.read_at(done, memoryview(target)[done : done + 300_000])
        assert count
        done += count
    return bytes(target)


# A server that does what it should


def test_only_the_blocks_that_are_needed_are_moved(nginx: PrivateNginx, root: Path) -> None:
    (root / "sparse.age").write_bytes(CONTENT)
    (root / "sparse.age").chmod(0o644)
    with open_http(f"{nginx.url}/sparse.age") as source:
        source.read_at(4 * MIB + 10, memoryview(bytearray(1000)))
    assert nginx.sent_bytes("/sparse.age") <= 2 * MIB  # with the first, which says what it is


@pytest.mark.fault(29)
def test_a_redirect_leads_to_the_archive(nginx: PrivateNginx, ca_file: Path) -> None:
    with open_http(f"{nginx.tls_url}/moved/bundle.age", HttpOptions(ca_file=ca_file)) as source:
        assert hashlib.sha256(read_all(source)).digest() == hashlib.sha256(CONTENT).digest()


def test_a_client_certificate_opens_a_server_that_asks_for_one(
    root: Path, authority: Identity, ca_file: Path, tmp_path: Path, nginx: PrivateNginx
) -> None:
    assert nginx.port
    client = make_leaf(authority)
    pair = tmp_path / "client.pem"
    pair.write_bytes(client.certificate_pem + client.key_pem)
    with PrivateNginx(root, make_leaf(authority), authority) as strict:
        url = f"{strict.tls_url}/bundle.age"
        with open_http(url, HttpOptions(ca_file=ca_file, client_certificate=pair)) as source:
            assert source.read(10) == CONTENT[:10]
        with pytest.raises(ArchiveUnreadableError, match="400"):
            open_http(url, HttpOptions(ca_file=ca_file))


def test_a_rate_is_kept(nginx: PrivateNginx) -> None:
    started = time.monotonic()
    with open_http(f"{nginx.url}/bundle.age", HttpOptions(bytes_per_s=10 * MIB)) as source:
        assert read_all(source) == CONTENT
    assert time.monotonic() - started > 0.8 * SIZE / (10 * MIB)


# A server that does not


def test_a_server_without_ranges_is_refused_with_a_way_out(nginx: PrivateNginx) -> None:
    with pytest.raises(ArchiveUnreadableError, match="gives no parts") as caught:
        open_http(f"{nginx.url}/whole/bundle.age")
    assert "Copy the archive" in (caught.value.hint or "")


@pytest.mark.fault(29)
@pytest.mark.parametrize(("path", "words"), [("/nothing.age", "404"), ("/round/x", "without an end")])
def test_what_is_not_there_is_told_at_once(nginx: PrivateNginx, path: str, words: str) -> None:
    with pytest.raises(ArchiveUnreadableError, match=words):
        open_http(f"{nginx.url}{path}")


@pytest.mark.fault(29)
def test_https_is_never_left_for_http(nginx: PrivateNginx, ca_file: Path) -> None:
    with pytest.raises(ArchiveUnreadableError, match="not safe"):
        open_http(f"{nginx.tls_url}/down/bundle.age", HttpOptions(ca_file=ca_file))


def test_a_server_that_nobody_vouches_for_is_refused_at_once(nginx: PrivateNginx, tmp_path: Path) -> None:
    other = make_authority("Other CA").write_certificate(tmp_path / "other.pem")
    with pytest.raises(ArchiveUnreadableError, match="cannot prove who it is"):
        open_http(f"{nginx.tls_url}/bundle.age", HttpOptions(ca_file=other))


def test_another_file_in_its_place_is_noticed(nginx: PrivateNginx, root: Path) -> None:
    path = root / "changing.age"
    path.write_bytes(CONTENT)
    path.chmod(0o644)
    with open_http(f"{nginx.url}/changing.age") as source:
        source.read_at(0, memoryview(bytearray(10)))
        path.write_bytes(bytes(SIZE))
        os.utime(path, (1, 1))
        with pytest.raises(ArchiveChangedError):
            source.read_at(5 * MIB, memoryview(bytearray(10)))


@pytest.fixture
def own_nginx(nginx: PrivateNginx, root: Path, authority: Identity) -> Iterator[PrivateNginx]:
    """A server that a test may stop."""
    assert nginx.port  # it can run here
    with PrivateNginx(root, make_leaf(authority)) as server:
        yield server


def test_a_server_that_goes_away_for_a_while_is_waited_for(
    own_nginx: PrivateNginx, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_limits(monkeypatch, replace(SOON, http_patience_s=20))  # as long as a start takes on a busy machine
    with open_http(f"{own_nginx.url}/bundle.age") as source, ThreadPoolExecutor(1) as reader:
        assert source.read_at(0, memoryview(bytearray(10))) == 10
        own_nginx.end()
        target = bytearray(1000)
        reading = reader.submit(source.read_at, 5 * MIB, memoryview(target))
        time.sleep(0.5)
        own_nginx.launch()
        assert reading.result(timeout=20) == 1000
    assert bytes(target) == CONTENT[5 * MIB : 5 * MIB + 1000]


@pytest.mark.slow
def test_a_server_that_stays_away_is_given_up(own_nginx: PrivateNginx) -> None:
    with open_http(f"{own_nginx.url}/bundle.age") as source:
        own_nginx.end()
        with pytest.raises(ArchiveUnreachableError) as caught:
            source.read_at(4 * MIB, memoryview(bytearray(10)))
    assert caught.value.retryable


def test_a_wait_ends_when_it_is_cut_off(own_nginx: PrivateNginx) -> None:
    with open_http(f"{own_nginx.url}/bundle.age") as source:
        own_nginx.end()
        threading.Timer(0.2, source.cut).start()
        started = time.monotonic()
        with pytest.raises(ArchiveUnreachableError, match="not read any more"):
            source.read_at(4 * MIB, memoryview(bytearray(10)))
        assert time.monotonic() - started < 1.2


def part(request: bytes) -> tuple[int, int]:
    match = re.search(rb"\r\nRange: bytes=(\d+)-(\d+)\r\n", request)
    assert match
    return int(match[1]), int(match[2])


def answer(
    first: int, last: int, *, body: bytes | None = None, etag: str = '"a"', total: int = SIZE
) -> bytes:
    content = CONTENT[first : last + 1]
    head = (
        f"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{last}/{total}\r\n"
        f"Content-Length: {len(content)}\r\nETag: {etag}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (content if body is None else body)


def well(peer: Peer) -> None:
    peer.send(answer(*part(peer.read_request())))


def breaks_off(peer: Peer) -> None:
    first, last = part(peer.read_request())
    peer.send(answer(first, last, body=CONTENT[first : first + (last - first) // 3]))
    peer.reset()


def says_503(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def gives_another_part(peer: Peer) -> None:
    first, last = part(peer.read_request())
    peer.send(answer(max(0, first - 10), max(0, last - 10)))


def is_silent(peer: Peer) -> None:
    peer.read_request()
    peer.hang_up()


def bundle(server: FaultServer) -> str:
    return server.url(host="127.0.0.1") + "/bundle.age"


FAULTS = [breaks_off, says_503, gives_another_part, is_silent]


@pytest.mark.fault(35)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.__name__))
def test_what_goes_wrong_now_and_then_is_asked_for_again(fault: Callable[[Peer], None]) -> None:
    faults = FaultServer(fault, well, fault, well, fault, fault, well)
    with faults as server, open_http(bundle(server)) as source:
        assert read_all(source) == CONTENT


def has_another_etag(peer: Peer) -> None:
    peer.send(answer(*part(peer.read_request()), etag='"b"'))


def has_another_size(peer: Peer) -> None:
    peer.send(answer(*part(peer.read_request()), total=SIZE + 1))


@pytest.mark.fault(25)
@pytest.mark.parametrize("lies", [has_another_etag, has_another_size])
def test_another_file_under_the_same_name_is_noticed(lies: Callable[[Peer], None]) -> None:
    with FaultServer(well, lies) as server, open_http(bundle(server)) as source:  # noqa: SIM117
        with pytest.raises(ArchiveChangedError):
            source.read_at(4 * MIB, memoryview(bytearray(10)))


def test_more_than_was_asked_for_is_not_read() -> None:
    def floods(peer: Peer) -> None:
        first, last = part(peer.read_request())
        peer.send(answer(first, last, body=CONTENT[first : last + 1] + bytes(10_000)))

    with FaultServer(well, floods) as server, open_http(bundle(server)) as source:
        assert read_all(source) == CONTENT


@pytest.mark.fault(37)
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://host/x", "not the URL"),
        ("https://user:secret@host/x", "user or a password"),
        ("http://example.com/x", "plain http"),
        ("https://", "not the URL"),
        ("https://host:99999/x", "not a URL"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_before_anything_is_asked(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        open_http(url)
    assert "secret" not in str(caught.value)


def test_a_block_is_gone_on_with_where_its_connection_broke() -> None:
    asked: list[int] = []

    def breaks_off_later_each_time(peer: Peer) -> None:
        first, last = part(peer.read_request())
        asked.append(first)
        count = min(300_000, last - first + 1)
        peer.send(answer(first, last, body=CONTENT[first : first + count]))

    with FaultServer(breaks_off_later_each_time) as server, open_http(bundle(server)) as source:
        assert asked == [0, 300_000, 600_000, 900_000]
        source.read_at(4 * MIB, memoryview(bytearray(1)))
    assert asked[4:] == [4 * MIB + count for count in (0, 300_000, 600_000, 900_000)]


def test_a_redirect_that_has_expired_is_followed_anew() -> None:
    """Object stores sign where they lead to, for some minutes: 403 says that these are over."""
    with FaultServer(*[well] * 2, refuses, well, refuses, well) as store:
        leads = leads_to(f"{bundle(store)}?signature=secret")
        with FaultServer(leads) as server, open_http(bundle(server)) as source:
            source.expect([])  # nothing is asked for ahead
            assert source.read_at(MIB, memoryview(bytearray(10))) == 10
            assert len(server.requests) == 1
            assert source.read_at(3 * MIB, memoryview(bytearray(10))) == 10
            assert source.read_at(5 * MIB, memoryview(bytearray(10))) == 10
            assert len(server.requests) == 3


def test_a_redirect_to_a_server_that_is_gone_is_followed_anew() -> None:
    with ExitStack() as opened, FaultServer(well) as second:
        first = opened.enter_context(FaultServer(well))
        leads = (leads_to(bundle(first)), leads_to(bundle(second)))
        with FaultServer(*leads) as server, open_http(bundle(server)) as source:
            opened.close()
            assert source.read_at(3 * MIB, memoryview(bytearray(10))) == 10
    assert len(second.requests) == 1


def test_a_refusal_where_a_redirect_leads_is_told_and_not_asked_for_ever() -> None:
    with FaultServer(well, refuses) as store, FaultServer(leads_to(bundle(store))) as server:  # noqa: SIM117
        with open_http(bundle(server)) as source:
            with pytest.raises(ArchiveUnreadableError, match="answers 403"):
                source.read_at(3 * MIB, memoryview(bytearray(10)))
            assert len(server.requests) == 2


def test_a_signature_in_a_url_is_never_told(nginx: PrivateNginx, root: Path) -> None:
    notes: list[str] = []
    signed = "?X-Amz-Signature=secret"
    elsewhere = f"http://127.0.0.1:{nginx.port}/none.age{signed}"
    with FaultServer(leads_to(f"http://example.com/x{signed}")) as server:
        none = f"{nginx.url}/none.age"
        for url in (none, f"{none}.001", bundle(server), "http://example.com/x"):
            options = HttpOptions(note=notes.append, mirrors=(Mirror(url, (elsewhere,)),))
            location = parse_location(f"{url}{signed}", options)
            with pytest.raises((ArchiveUnreadableError, ConfigError)) as caught, open_source(location):
                pass
            assert "secret" not in f"{caught.value!r} {caught.value.hint} {location}"
    assert notes
    assert "secret" not in " ".join(notes)
    (root / "signed.age").write_bytes(CONTENT)
    (root / "signed.age").chmod(0o644)
    with open_source(parse_location(f"{nginx.url}/signed.age{signed}")) as source:
        assert source.read(10) == CONTENT[:10]
    assert nginx.requests(f"/signed.age{signed}") == 1


def leads_to(url: str) -> Callable[[Peer], None]:
    def leads(peer: Peer) -> None:
        peer.read_request()
        peer.send(f"HTTP/1.1 307 There\r\nLocation: {url}\r\nContent-Length: 0\r\n".encode())
        peer.send(b"Connection: close\r\n\r\n")

    return leads


def refuses(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 403 Expired\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def test_what_will_not_be_read_is_not_asked_for_ahead(nginx: PrivateNginx, root: Path) -> None:
    (root / "expected.age").write_bytes(CONTENT)
    (root / "expected.age").chmod(0o644)
    with open_http(f"{nginx.url}/expected.age") as source:
        source.expect([(MIB + 5, MIB)])  # of two blocks
        for offset in range(MIB, 3 * MIB, MIB // 2):
            assert source.read_at(offset, memoryview(bytearray(10))) == 10
    assert nginx.requests("/expected.age") == 3  # and the first one


def test_the_end_is_asked_for_once_however_much_is_read_between(
    nginx: PrivateNginx, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reader of an `age` archive proves its end before anything else."""
    (root / "ended.age").write_bytes(CONTENT)
    (root / "ended.age").chmod(0o644)
    set_limits(monkeypatch, replace(SOON, http_blocks=2))
    with open_http(f"{nginx.url}/ended.age") as source:
        source.expect([])
        for offset in (SIZE - 5, 2 * MIB, 3 * MIB, 4 * MIB, SIZE - 5):
            assert source.read_at(offset, memoryview(bytearray(5))) == 5
    assert nginx.requests("/ended.age") == 5  # with the first block


def test_a_source_that_is_closed_while_it_is_read_leaves_no_thread(
    nginx: PrivateNginx, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_http(f"{nginx.url}/bundle.age")
    before = set(threading.enumerate())
    closing = threading.Thread(target=source.close, daemon=True)

    class Asked(Block):
        """A block that is asked for in the very moment in which the source is closed."""

        def __init__(self, offset: int) -> None:
            super().__init__(offset)
            closing.start()
            closing.join(0.1)

    monkeypatch.setattr("binary_split.transports.web.source.Block", Asked)
    with suppress(ArchiveUnreachableError):
        source.read_at(4 * MIB, memoryview(bytearray(1)))
    closing.join(5)
    assert set(threading.enumerate()) <= before


def test_a_place_that_was_too_late_once_may_be_in_time_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def drips(peer: Peer) -> None:
        peer.read_request()
        peer.drip(b"HTTP/1.1 206 Partial Content\r\nX: " + b"x" * 10_000, pause_s=0.05)

    limits = replace(SOON, http_read_timeout_s=0.3, mirror_patience_s=0.1, http_beat_s=0.05)
    set_limits(monkeypatch, limits)
    with FaultServer(drips, well) as mirror, FaultServer(well, refuses) as origin:
        options = HttpOptions(mirrors=(Mirror(bundle(origin), (bundle(mirror),)),))
        with open_http(bundle(origin), options) as source:
            assert (len(mirror.requests), len(origin.requests)) == (1, 1)
            assert read_all(source) == CONTENT
        assert len(mirror.requests) > 5


@pytest.mark.parametrize("prompt", [0, 200], ids=["header", "body"])
def test_a_server_that_drips_from_the_start_is_given_up(monkeypatch: pytest.MonkeyPatch, prompt: int) -> None:
    def drips(peer: Peer) -> None:
        whole = answer(*part(peer.read_request()))
        peer.send(whole[:prompt])
        peer.drip(whole[prompt:], pause_s=0.02)

    set_limits(monkeypatch, replace(SOON, http_read_timeout_s=0.3, fetch_deadline_s=0.3, http_beat_s=0.05))
    started = time.monotonic()
    with FaultServer(drips) as server, pytest.raises(ArchiveUnreachableError, match="cannot read"):
        open_http(bundle(server))
    assert time.monotonic() - started < 4
