"""An archive in an OCI registry: pushed in chunks, read by blocks, carried by tools that know nothing."""

from __future__ import annotations

import json
import os
import random
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import urllib3

from bed.breaking_proxy import BreakingProxy
from bed.fault_server import FaultServer, Peer
from bed.registry import PASSWORD, PrivateRegistry
from binary_split.config import MIB
from binary_split.errors import ArchiveUnreachableError, ArchiveUnreadableError, ConfigError, RegistryError
from binary_split.transports import open_source, parse_location
from binary_split.transports.options import HttpOptions
from binary_split.transports.registry.artifact import ARTIFACT, INDEX, MANIFEST, serialise_manifest
from binary_split.transports.registry.client import Registry
from binary_split.transports.registry.pushing import push_archive
from binary_split.transports.registry.reference import RegistryReference
from tests.archives import FRAGMENT
from tests.commandline import CommandLine
from tests.docs.test_json import assert_is_as_documented
from tests.releases import KEY, make_age_release
from tests.transports.carriers import log_in
from tests.transports.conftest import SOON, set_limits

CONTENT = b"age-encryption.org/v1\n" + random.Random(11).randbytes(33 * MIB)  # of three chunks


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "bundle.age"
    path.write_bytes(CONTENT)
    return path


def test_what_was_pushed_is_read_back_at_any_place(
    cli: CommandLine, registry: PrivateRegistry, bundle: Path
) -> None:
    place = f"oci://{registry.host}/drone/releases:1.0.0"
    ran = cli.run("push", bundle, place, "--json")
    assert ran.status == 0, ran
    assert_is_as_documented(ran.document, "push")
    by_digest = f"oci://{registry.host}/drone/releases@{ran.document['manifest']}"
    for each in (place, by_digest):
        with open_source(parse_location(each)) as source:
            assert source.seek(0, os.SEEK_END) == len(CONTENT)
            target = bytearray(1000)
            assert source.read_at(20 * MIB, memoryview(target)) == 1000
            assert bytes(target) == CONTENT[20 * MIB : 20 * MIB + 1000]
    assert cli.run("push", bundle, place).status == 0  # what is there is not sent again


@pytest.mark.slow
def test_a_push_over_a_line_that_breaks_ends_right(
    registry: PrivateRegistry, bundle: Path, nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_limits(monkeypatch, replace(SOON, backoff_first_s=0.001, push_attempts=50))
    steps: list[int] = []
    with BreakingProxy(registry.port, seed=5, mean_bytes=20 * MIB) as proxy:
        place = RegistryReference.parse(f"oci://127.0.0.1:{proxy.port}/broken:1")
        with closing(Registry(place, HttpOptions())) as target:
            push_archive(bundle, target, report=lambda step: steps.append(step.done))
        assert proxy.connections > 2
    pushed = steps[steps.index(len(CONTENT)) + 1 :]
    assert pushed == sorted(pushed)
    with open_source(parse_location(f"oci://{registry.host}/broken:1")) as source:
        assert b"".join(iter(lambda: source.read(MIB) or b"", b"")) == CONTENT


def test_a_blob_that_is_sent_whole_is_streamed(
    registry: PrivateRegistry, bundle: Path, nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_limits(monkeypatch, replace(SOON, push_chunk_bytes=1024 * MIB))
    steps: list[int] = []
    place = RegistryReference.parse(f"oci://{registry.host}/whole:1")
    with closing(Registry(place, HttpOptions())) as target:
        tracemalloc.start()
        try:
            push_archive(bundle, target, report=lambda step: steps.append(step.done))
            assert tracemalloc.get_traced_memory()[1] < 4 * MIB
        finally:
            tracemalloc.stop()
    pushed = steps[steps.index(len(CONTENT)) + 1 :]
    assert pushed == sorted(pushed)
    assert len(pushed) > 100
    with open_source(parse_location(str(place))) as source:
        assert b"".join(iter(lambda: source.read(MIB) or b"", b"")) == CONTENT


def test_the_parts_of_an_archive_are_pushed_as_the_archive(
    cli: CommandLine, registry: PrivateRegistry, bundle: Path
) -> None:
    (bundle.parent / "usb").mkdir()
    assert cli.run("split", bundle, "--size", "10M", "-o", bundle.parent / "usb").status == 0
    place = f"oci://{registry.host}/drone/parts:1.0.0"
    ran = cli.run("push", bundle.parent / "usb" / "bundle.age.001", place)
    assert ran.status == 0, ran
    with open_source(parse_location(place)) as source:
        assert b"".join(iter(lambda: source.read(MIB) or b"", b"")) == CONTENT
    url = f"http://{registry.host}/v2/drone/parts/manifests/1.0.0"
    manifest = urllib3.request("GET", url, headers={"Accept": MANIFEST}).json()
    assert manifest["annotations"] == {"org.opencontainers.image.title": "bundle.age"}
    (bundle.parent / "usb" / "bundle.age.002").unlink()
    cli.run("push", bundle.parent / "usb" / "bundle.age.001", place).assert_failed(11, "bundle.age.002")


def test_an_index_around_an_archive_is_looked_into(registry: PrivateRegistry, bundle: Path) -> None:
    place = f"oci://{registry.host}/drone/indexed"
    with closing(Registry(RegistryReference.parse(f"{place}:bare"), HttpOptions())) as target:
        digest = push_archive(bundle, target, report=lambda _step: None)
    size = len(serialise_manifest(digest, len(CONTENT), {"org.opencontainers.image.title": "bundle.age"}))
    row = {"mediaType": MANIFEST, "digest": digest, "size": size, "artifactType": ARTIFACT}
    other = {**row, "artifactType": "application/vnd.example"}
    put_index(registry, "drone/indexed", "one", [row, other])
    with open_source(parse_location(f"{place}:one")) as source:
        assert source.read(100) == CONTENT[:100]
    for tag, rows in (("none", [other]), ("two", [row, row])):
        put_index(registry, "drone/indexed", tag, rows)
        with pytest.raises(RegistryError, match=f":{tag} holds no archive"):
            open_source(parse_location(f"{place}:{tag}"))


def put_index(registry: PrivateRegistry, repository: str, tag: str, rows: list[dict[str, object]]) -> None:
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": rows}
    url = f"http://{registry.host}/v2/{repository}/manifests/{tag}"
    done = urllib3.request("PUT", url, body=json.dumps(index).encode(), headers={"Content-Type": INDEX})
    assert done.status == 201, done.data


def test_skopeo_carries_it_from_one_registry_to_another(
    cli: CommandLine, registry: PrivateRegistry, bundle: Path, program: Callable[[str], Path]
) -> None:
    assert cli.run("push", bundle, f"oci://{registry.host}/drone/releases:1.0.0").status == 0
    with PrivateRegistry() as mirror:
        insecure = ("--src-tls-verify=false", "--dest-tls-verify=false")
        origin, copy = (f"docker://{each.host}/drone/releases:1.0.0" for each in (registry, mirror))
        command = [str(program("skopeo")), "copy", "--preserve-digests", *insecure, origin, copy]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        with open_source(parse_location(f"oci://{mirror.host}/drone/releases:1.0.0")) as source:
            assert source.read(100) == CONTENT[:100]


@pytest.mark.slow
def test_a_release_is_unlocked_from_a_registry_that_asks_for_a_login(
    cli: CommandLine, closed_registry: PrivateRegistry, ca_file: Path, tmp_path: Path
) -> None:
    release = make_age_release(tmp_path / "release")
    place = f"oci://{closed_registry.host}/drone/releases:1.0.0"
    (cli.home / "fragment").write_bytes(FRAGMENT)
    (cli.home / "publisher.pem").write_bytes(KEY.public_key.serialise())
    cli = cli.with_environment(DOCKER_CONFIG=str(tmp_path / "docker"))
    cli.run("push", release.path, place, "--archive-ca", ca_file).assert_failed(19, "401")
    log_in(tmp_path / "docker", closed_registry.host, password="wrong")
    cli.run("push", release.path, place, "--archive-ca", ca_file).assert_failed(19, "401")
    log_in(tmp_path / "docker", closed_registry.host)
    ran = cli.run("push", release.path, place, "--archive-ca", ca_file)
    assert ran.status == 0, ran
    assert PASSWORD not in ran.stdout + ran.stderr
    secret = ("--fragment-file", cli.home / "fragment", "--trusted-key", cli.home / "publisher.pem")
    where = ("--archive-ca", ca_file, "--engine", f"oci:{tmp_path / 'images'}")
    ran = cli.run("unlock", place, *secret, *where)
    assert ran.status == 0, ran
    assert (tmp_path / "images" / "index.json").exists()


def test_what_is_not_there_and_what_is_no_archive_are_told_apart(
    registry: PrivateRegistry, bundle: Path, cli: CommandLine
) -> None:
    with pytest.raises(ArchiveUnreadableError, match="there is no"):
        open_source(parse_location(f"oci://{registry.host}/drone/none:1.0.0"))
    (bundle.parent / "text").write_bytes(b"no archive at all")
    cli.run("push", bundle.parent / "text", f"oci://{registry.host}/x/y:1").assert_failed(12)


@pytest.mark.fault(37)
@pytest.mark.parametrize(
    "text",
    [
        "oci://",
        "oci://host",
        "oci://host/UPPER:1",
        "oci://user:secret@host/repo:1",
        "oci://host/repo:",
        "oci://host/repo@sha256:12",
        "oci://host/../repo:1",
    ],
)
def test_a_reference_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a place in a registry"):
        RegistryReference.parse(text)


@pytest.mark.parametrize(
    ("text", "host", "repository", "name"),
    [
        ("oci://host/repo", "host", "repo", "latest"),
        ("oci://host:5000/a/b-c:v1.2", "host:5000", "a/b-c", "v1.2"),
        (f"oci://[::1]:5000/a:1@sha256:{'0' * 64}", "[::1]:5000", "a", f"sha256:{'0' * 64}"),
    ],
)
def test_a_reference_has_three_parts(text: str, host: str, repository: str, name: str) -> None:
    reference = RegistryReference.parse(text)
    assert (reference.host, reference.repository, reference.name) == (host, repository, name)


def says(status: int, body: bytes = b"{}", *headers: str) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(answer(status, body, *headers))

    return script


def answer(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.usefixtures("nobody")
def test_a_token_service_is_asked_for_what_the_registry_wants() -> None:
    with FaultServer(says(200, b'{"token":"abc"}')) as tokens:
        challenge = f'WWW-Authenticate: Bearer realm="{tokens.url(host="127.0.0.1")}/t",service="s",scope="x"'
        with FaultServer(says(401, b"{}", challenge), says(404)) as server:
            with pytest.raises(ArchiveUnreadableError, match="there is no"):
                open_source(parse_location(f"oci://127.0.0.1:{server.port}/drone:1"))
            assert b"GET /t?service=s&scope=x HTTP" in tokens.requests[0]
            assert b"\r\nAuthorization: Bearer abc\r\n" in server.requests[1]


def at(server: FaultServer) -> RegistryReference:
    return RegistryReference.parse(f"oci://127.0.0.1:{server.port}/drone:1")


def breaks(peer: Peer) -> None:
    peer.read_request()
    peer.reset()


@pytest.mark.usefixtures("nobody")
def test_a_push_goes_on_from_where_its_line_broke_if_the_registry_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(state: int) -> Callable[[Peer], None]:
        return says(202, b"", f"Location: /v2/drone/blobs/uploads/u?state={state}")

    arrived = says(204, b"", "Range: 0-1499", "Location: /v2/drone/blobs/uploads/u?state=3")
    ending = [says(201, b""), says(200, b""), says(201, b"")]
    busy = says(503, b"")
    script = [says(404, b""), taken(1), taken(2), breaks, busy, arrived, taken(4), *ending]
    set_limits(monkeypatch, replace(SOON, push_chunk_bytes=1000, backoff_first_s=0.001))
    archive = tmp_path / "bundle.age"
    archive.write_bytes(bytes(3000))
    with FaultServer(*script) as server:
        with closing(Registry(at(server), HttpOptions())) as registry:
            push_archive(archive, registry, report=lambda _step: None)
        sent = [request for request in server.requests if b"Content-Range: " in request]
        assert [request.split(b"Content-Range: ")[1].split(b"\r\n")[0] for request in sent] == [
            b"0-999",
            b"1000-1999",
            b"1500-2499",
            b"2500-2999",
        ]
        assert sent[-1].startswith(b"PUT /v2/drone/blobs/uploads/u?state=4&digest=sha256:")


@pytest.mark.usefixtures("nobody")
def test_a_blob_whose_end_broke_is_not_sent_again_if_it_has_arrived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = "Location: /v2/drone/blobs/uploads/u"
    ending = [breaks, says(200, b""), says(200, b""), says(201, b"")]
    set_limits(monkeypatch, replace(SOON, backoff_first_s=0.001))
    archive = tmp_path / "bundle.age"
    archive.write_bytes(bytes(3000))
    with FaultServer(says(404, b""), says(202, b"", place), *ending) as server:
        with closing(Registry(at(server), HttpOptions())) as registry:
            push_archive(archive, registry, report=lambda _step: None)
        methods = [request.split(b" ")[0].decode() for request in server.requests]
    assert methods == ["HEAD", "POST", "PUT", "HEAD", "HEAD", "PUT"]


@pytest.mark.usefixtures("nobody")
def test_a_registry_is_given_the_time_that_it_asks_for(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_limits(monkeypatch, replace(SOON, backoff_first_s=0.001, retry_after_cap_s=0.2))
    with FaultServer(says(429, b"", "Retry-After: 60"), says(403, b"")) as server:
        started = time.monotonic()
        with (
            closing(Registry(at(server), HttpOptions())) as registry,
            pytest.raises(RegistryError, match="answers 403"),
        ):
            push_archive(bundle, registry, report=lambda _step: None)
    assert time.monotonic() - started > 0.2


@pytest.mark.usefixtures("nobody")
def test_a_registry_that_never_has_time_is_given_up(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_limits(monkeypatch, replace(SOON, backoff_first_s=0.001, push_attempts=3))
    with FaultServer(says(503, b"")) as server:
        with (
            closing(Registry(at(server), HttpOptions())) as registry,
            pytest.raises(ArchiveUnreachableError, match=r"cannot reach 127.0.0.1:.*answers 503"),
        ):
            push_archive(bundle, registry, report=lambda _step: None)
        assert len(server.requests) == 3


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(
    ("script", "words"),
    [
        (says(401, b"{}", 'WWW-Authenticate: Bearer realm="http://example.com/t"'), "not safe"),
        (says(200, b"not json"), "holds no archive"),
        (says(200, b'{"layers":[]}'), "holds no archive"),
        (says(200, b'{"layers":[{"mediaType":"x","digest":"sha256:1"}]}'), "holds no archive"),
        (says(403), "answers 403"),
    ],
    ids=["foreign-realm", "no-json", "no-layer", "an-image", "forbidden"],
)
def test_a_registry_that_makes_no_sense_is_an_error(script: Callable[[Peer], None], words: str) -> None:
    with FaultServer(script) as server, pytest.raises(RegistryError, match=words):
        open_source(parse_location(f"oci://127.0.0.1:{server.port}/drone:1"))


@pytest.mark.usefixtures("nobody")
def test_a_token_service_that_makes_no_sense_is_an_error() -> None:
    with FaultServer(says(200, b"[" * 100_000)) as tokens:
        challenge = f'WWW-Authenticate: Bearer realm="{tokens.url(host="127.0.0.1")}/t"'
        refuses = FaultServer(says(401, b"{}", challenge))
        with refuses as server, pytest.raises(RegistryError, match="gives no token"):
            open_source(parse_location(f"oci://127.0.0.1:{server.port}/drone:1"))


@pytest.mark.usefixtures("nobody")
def test_a_token_service_that_never_ends_its_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def drips(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\n")
        peer.drip(b"X: " + b"x" * 10_000, pause_s=0.05)

    set_limits(monkeypatch, replace(SOON, fetch_deadline_s=0.1, http_read_timeout_s=0.4))
    manifest = serialise_manifest("sha256:" + "a" * 64, 1000, {})
    with FaultServer(drips) as tokens:
        challenge = f'WWW-Authenticate: Bearer realm="{tokens.url(host="127.0.0.1")}/t"'
        guarded = FaultServer(says(200, manifest), says(401, b"{}", challenge))
        with guarded as server, ThreadPoolExecutor(1) as pool:
            opening = pool.submit(open_source, parse_location(f"oci://127.0.0.1:{server.port}/drone:1"))
            try:
                with pytest.raises(ArchiveUnreachableError):
                    opening.result(5)
            finally:
                tokens.stopping.set()


@pytest.mark.usefixtures("nobody")
def test_threads_that_are_refused_together_take_the_same_new_token() -> None:
    both = threading.Barrier(2, timeout=5)

    def refuses_both(peer: Peer) -> None:
        peer.read_request()
        both.wait()
        peer.send(answer(401, b"{}", challenge))

    with FaultServer(says(200, b'{"token":"abc"}')) as tokens:
        challenge = f'WWW-Authenticate: Bearer realm="{tokens.url(host="127.0.0.1")}/t"'
        with (
            FaultServer(refuses_both, refuses_both, says(200)) as server,
            closing(Registry(at(server), HttpOptions())) as registry,
            ThreadPoolExecutor(2) as pool,
        ):

            def ask(_thread: int) -> int:
                with registry.asked("GET", f"{registry.address}/") as response:
                    return response.status

            assert list(pool.map(ask, range(2))) == [200, 200]
        assert len(tokens.requests) == 1
