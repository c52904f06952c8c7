"""A push to registries that do as others do not: each habit is one that some registry has."""

from __future__ import annotations

import random
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bed.fault_server import FaultServer, Peer, Script, answer
from binary_split.config import MIB
from binary_split.errors import ArchiveUnreachableError, RegistryError
from binary_split.transports.options import HttpOptions
from binary_split.transports.registry.client import Registry
from binary_split.transports.registry.pushing import push_archive
from binary_split.transports.registry.reference import RegistryReference
from tests.transports.conftest import SOON, set_limits
from tests.transports.odd_registry import (
    UPLOADS,
    Answer,
    Asked,
    Habit,
    OddRegistry,
    push_to,
    refuse,
    serving,
)

pytestmark = pytest.mark.usefixtures("nobody")
WHOLE = ("PUT", None)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    few = replace(SOON, backoff_first_s=0.001, push_attempts=4)
    set_limits(monkeypatch, replace(few, push_chunk_bytes=1000, push_small_chunk_bytes=400))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "bundle.age"
    path.write_bytes(random.Random(3).randbytes(2500))
    return path


def usual(_odd: OddRegistry, _asked: Asked) -> None:
    """Have no habit."""


def on(method: str, answer: Answer, *, most: int = 0, times: int = 10**9) -> Habit:
    """Have the habit to answer so to what carries more than some bytes of the archive."""
    left = [times]

    def habit(_odd: OddRegistry, asked: Asked) -> Answer | None:
        is_of_it = asked.method == method and asked.path.startswith(UPLOADS)
        if not is_of_it or len(asked.body) <= most or not left[0]:
            return None
        left[0] -= 1
        return answer

    return habit


def test_the_last_bytes_go_with_the_end_of_an_upload(archive: Path) -> None:
    odd = push_to(usual, archive)
    assert odd.requests("POST", "PATCH", "PUT") == [
        ("POST", None),
        ("PATCH", 0),
        ("PATCH", 1000),
        ("PUT", 2000),
    ]


def test_an_archive_of_one_chunk_goes_whole(archive: Path) -> None:
    archive.write_bytes(bytes(1000))
    odd = push_to(on("PATCH", refuse(400, "UNSUPPORTED")), archive)
    assert odd.requests("POST", "PATCH", "PUT") == [("POST", None), WHOLE]


@pytest.mark.parametrize("status", [400, 404, 405, 411, 415, 501, 505])
def test_a_registry_that_takes_no_chunks_gets_it_whole(archive: Path, status: int) -> None:
    odd = push_to(on("PATCH", refuse(status, "UNSUPPORTED")), archive)
    assert odd.requests("POST", "PATCH", "PUT") == [("POST", None), ("PATCH", 0), ("POST", None), WHOLE]


@pytest.mark.parametrize("status", [413, 416])
def test_a_registry_that_takes_small_chunks_gets_small_ones(archive: Path, status: int) -> None:
    odd = push_to(on("PATCH", refuse(status, "TOO_LARGE"), most=400), archive)
    places = [("PATCH", 0), ("POST", None), *(("PATCH", place) for place in range(0, 2400, 400))]
    assert odd.requests("POST", "PATCH", "PUT") == [("POST", None), *places, ("PUT", 2400)]


@pytest.mark.parametrize("status", [413, 416])
def test_a_registry_that_takes_chunks_of_no_size_gets_it_whole(archive: Path, status: int) -> None:
    odd = push_to(on("PATCH", refuse(status, "TOO_LARGE")), archive)
    assert odd.requests("PATCH", "PUT") == [("PATCH", 0), ("PATCH", 0), WHOLE]


@pytest.mark.parametrize("status", [413, 416])
def test_an_archive_of_one_chunk_may_be_too_large_too(archive: Path, status: int) -> None:
    archive.write_bytes(bytes(900))
    odd = push_to(on("PUT", refuse(status, "TOO_LARGE"), most=500), archive)
    assert odd.requests("PATCH", "PUT") == [WHOLE, ("PATCH", 0), ("PATCH", 400), ("PUT", 800)]


def test_a_registry_that_takes_one_chunk_alone_gets_it_whole(archive: Path) -> None:
    def takes_one(odd: OddRegistry, asked: Asked) -> Answer | None:
        return refuse(400, "BLOB_UPLOAD_INVALID") if asked.offset else None

    odd = push_to(takes_one, archive)
    assert odd.requests("PATCH", "PUT") == [("PATCH", 0), ("PATCH", 1000), WHOLE]


def test_a_registry_that_mixes_chunks_up_gets_it_whole(archive: Path) -> None:
    def keeps_the_last(odd: OddRegistry, asked: Asked) -> None:
        if asked.method == "PATCH":
            odd.upload = bytes(asked.offset or 0)

    odd = push_to(keeps_the_last, archive)
    assert odd.requests("PATCH", "PUT") == [("PATCH", 0), ("PATCH", 1000), ("PUT", 2000), WHOLE]


def test_a_whole_upload_that_breaks_begins_anew(archive: Path) -> None:
    passing = on("PUT", refuse(503, "UNAVAILABLE"), most=2000, times=2)

    def habit(odd: OddRegistry, asked: Asked) -> Answer | None:
        return refuse(405, "UNSUPPORTED") if asked.method == "PATCH" else passing(odd, asked)

    odd = push_to(habit, archive)
    assert odd.requests("POST", "PUT").count(WHOLE) == 3
    assert odd.requests("POST", "PUT").count(("POST", None)) == 4
    assert not odd.requests("GET")


def test_a_whole_upload_is_not_tried_for_ever(archive: Path) -> None:
    def habit(_odd: OddRegistry, asked: Asked) -> Answer | None:
        status = {"PATCH": 405, "PUT": 503}.get(asked.method)
        return refuse(status, "UNSUPPORTED") if status else None

    with serving(habit) as (odd, registry), pytest.raises(ArchiveUnreachableError, match="503"):
        push_archive(archive, registry, report=lambda _step: None)
    assert [method for method, _offset in odd.said].count("PUT") == 4


def test_a_whole_upload_that_is_refused_is_an_error(archive: Path) -> None:
    def habit(_odd: OddRegistry, asked: Asked) -> Answer | None:
        return refuse(413, "SIZE_INVALID", "too big") if asked.method in {"PATCH", "PUT"} else None

    with serving(habit) as (_odd, registry), pytest.raises(RegistryError, match=r"413 .*too big") as caught:
        push_archive(archive, registry, report=lambda _step: None)
    assert "quota" in caught.value.hint


def test_a_registry_may_take_longer_to_answer_where_there_was_more(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_slow(_odd: OddRegistry, asked: Asked) -> None:
        if asked.method == "PUT" and len(asked.body) == 2500:
            time.sleep(0.4)

    set_limits(monkeypatch, replace(SOON, http_read_timeout_s=0.2, push_end_bytes_per_s=1000))
    assert push_to(is_slow, archive).requests("PUT") == [WHOLE]


@pytest.mark.slow
def test_a_line_may_be_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_slow(peer: Peer) -> None:
        left = 16 * MIB - len(peer.read_request().partition(b"\r\n\r\n")[2])
        due = left
        while left and (piece := peer.receive()):
            left -= len(piece)
            if due - left > MIB:
                due = left
                time.sleep(0.15)
        peer.send(Answer(201).serialise())

    def says(status: int, *headers: str) -> Script:
        return answer(f"{status} So", *headers, "Connection: close")

    path = tmp_path / "large.age"
    path.write_bytes(bytes(16 * MIB))
    set_limits(monkeypatch, replace(SOON, connect_timeout_s=0.5))
    ending = [says(200), says(201)]
    with FaultServer(says(404), says(202, "Location: /u"), is_slow, *ending) as server:
        reference = RegistryReference.parse(f"oci://127.0.0.1:{server.port}/drone:1")
        with closing(Registry(reference, HttpOptions())) as registry:
            started = time.monotonic()
            push_archive(path, registry, report=lambda _step: None)
            assert time.monotonic() - started > 1
        assert [request.split(b" ")[0] for request in server.requests] == [
            *(b"HEAD", b"POST", b"PUT"),
            *(b"HEAD", b"PUT"),
        ]


@pytest.mark.parametrize("status", [201, 204])
def test_a_chunk_is_taken_whatever_a_registry_calls_that(archive: Path, status: int) -> None:
    def habit(odd: OddRegistry, asked: Asked) -> Answer | None:
        return replace(odd.answer(asked), status=status) if asked.method == "PATCH" else None

    assert push_to(habit, archive).requests("PATCH") == [("PATCH", 0), ("PATCH", 1000)]


@pytest.mark.parametrize(
    ("least", "places"),
    [
        ("1200", [("PATCH", 0), ("PATCH", 1200), ("PUT", 2400)]),
        ("2500", [WHOLE]),
        ("9" * 18, [WHOLE]),
        ("9" * 5000, [("PATCH", 0), ("PATCH", 1000), ("PUT", 2000)]),
        ("many", [("PATCH", 0), ("PATCH", 1000), ("PUT", 2000)]),
        ("10", [("PATCH", 0), ("PATCH", 1000), ("PUT", 2000)]),
    ],
    ids=["more", "all", "huge", "endless", "none", "less"],
)
def test_chunks_are_as_large_as_the_registry_wants(
    archive: Path, least: str, places: list[tuple[str, int | None]]
) -> None:
    def habit(odd: OddRegistry, asked: Asked) -> Answer | None:
        if asked.method != "POST":
            return None
        answer = odd.answer(asked)
        return replace(answer, headers=(*answer.headers, f"OCI-Chunk-Min-Length: {least}"))

    assert push_to(habit, archive).requests("PATCH", "PUT") == places


def test_what_did_not_arrive_of_a_chunk_is_sent_again(archive: Path) -> None:
    def takes_less(odd: OddRegistry, asked: Asked) -> Answer | None:
        return odd.answer(replace(asked, body=asked.body[:700])) if asked.method == "PATCH" else None

    odd = push_to(takes_less, archive)
    assert odd.requests("PATCH", "PUT") == [("PATCH", 0), ("PATCH", 700), ("PATCH", 1400), ("PUT", 2100)]


def always_says(count: int) -> Habit:
    """As ECR does: of an upload it says the same, whatever has arrived."""

    def habit(odd: OddRegistry, asked: Asked) -> Answer | None:
        if asked.method not in {"PATCH", "GET"} or (answer := odd.answer(asked)).status >= 400:
            return None
        return replace(answer, headers=(answer.headers[0], f"Range: 0-{count - 1}"))

    return habit


@pytest.mark.parametrize("count", [1, 1000, 4000, 10**17], ids=["nothing", "a-chunk", "more", "much"])
def test_a_registry_that_always_says_the_same_of_an_upload_is_not_believed(archive: Path, count: int) -> None:
    odd = push_to(always_says(count), archive)
    assert odd.requests("PATCH", "PUT") == [("PATCH", 0), ("PATCH", 1000), ("PUT", 2000)]


def test_a_registry_that_says_too_little_of_a_chunk_gets_it_whole(archive: Path) -> None:
    odd = push_to(always_says(625), archive)
    assert odd.requests("PATCH", "PUT") == [("PATCH", 0), ("PATCH", 625), WHOLE]


def test_a_break_where_nobody_says_how_far_it_is_makes_it_go_whole(archive: Path) -> None:
    says, breaks = always_says(1000), on("PUT", refuse(503, "UNAVAILABLE"), times=1)

    def habit(odd: OddRegistry, asked: Asked) -> Answer | None:
        return says(odd, asked) or breaks(odd, asked)

    odd = push_to(habit, archive)
    assert odd.requests("PATCH", "PUT", "GET") == [
        *(("PATCH", 0), ("PATCH", 1000), ("PUT", 2000)),
        *(("GET", None), ("PATCH", 1000), ("GET", None)),
        WHOLE,
    ]


def test_a_registry_that_lost_some_of_an_upload_is_asked_how_far_it_is(archive: Path) -> None:
    lost: list[bool] = []

    def forgets_once(odd: OddRegistry, asked: Asked) -> None:
        if asked.offset == 1000 and not lost:
            lost.append(True)
            odd.upload = (odd.upload or b"")[:300]

    odd = push_to(forgets_once, archive)
    assert odd.requests("POST", "PATCH", "GET", "PUT") == [
        ("POST", None),
        ("PATCH", 0),
        ("PATCH", 1000),
        ("GET", None),
        ("PATCH", 300),
        ("PATCH", 1300),
        ("PUT", 2300),
    ]


def test_an_upload_that_is_forgotten_begins_anew(archive: Path) -> None:
    forgotten: list[bool] = []

    def forgets_once(odd: OddRegistry, asked: Asked) -> None:
        if asked.offset == 2000 and not forgotten:
            forgotten.append(True)
            odd.upload = None

    odd = push_to(forgets_once, archive)
    assert odd.requests("PATCH", "PUT") == [
        *(("PATCH", 0), ("PATCH", 1000), ("PUT", 2000)),
        *(("PATCH", 0), ("PATCH", 1000), ("PUT", 2000)),
    ]


def leads_to(place: str) -> Habit:
    def habit(odd: OddRegistry, asked: Asked) -> Answer | None:
        if asked.method != "POST":
            return None
        return Answer(202, (odd.answer(asked).headers[0].replace(": /", f": {place}/"),))

    return habit


@pytest.mark.parametrize("host", ["registry.example", "registry.example:80"])
@pytest.mark.parametrize("place", ["", "http://registry.example", "http://registry.example:80"])
def test_a_default_port_may_be_written_out(archive: Path, host: str, place: str) -> None:
    with serving(leads_to(place), host) as (odd, registry):
        push_archive(archive, registry, report=lambda _step: None)
    assert len(odd.blobs) == 2


@pytest.mark.parametrize(
    "place",
    [
        "http://store.example",
        "https://registry.example",
        "https://registry.example:80",
        "http://registry.example:8080",
        "http://registry.example.org",
        "http://registry.example@store.example",
        "http://registry.example:x",
        "http://[registry.example",
        "ftp://registry.example",
        "//store.example",
    ],
)
def test_an_upload_goes_to_no_other_server(archive: Path, place: str) -> None:
    with (
        serving(leads_to(place), "registry.example") as (odd, registry),
        pytest.raises(RegistryError, match="sends the upload elsewhere"),
    ):
        push_archive(archive, registry, report=lambda _step: None)
    assert [method for method, _offset in odd.said] == ["HEAD", "POST"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_blob_that_lies_elsewhere_is_there(archive: Path, status: int) -> None:
    def habit(_odd: OddRegistry, asked: Asked) -> Answer | None:
        elsewhere = Answer(status, ("Location: https://store.example/x",))
        return elsewhere if asked.method == "HEAD" else None

    with serving(habit) as (odd, registry):
        push_archive(archive, registry, report=lambda _step: None)
    assert odd.said == [("HEAD", None), ("HEAD", None), ("PUT", None)]


@pytest.mark.parametrize(
    ("status", "code", "method", "words", "hint"),
    [
        (
            403,
            "DENIED",
            "POST",
            "does not begin an upload: it answers 403 (DENIED: so it is)",
            "docker login 127",
        ),
        (404, "NAME_UNKNOWN", "POST", "answers 404 (NAME_UNKNOWN: so it is)", "Make the repository"),
        (403, "DENIED", "PATCH", "does not take the archive: it answers 403 (DENIED", "docker login 127"),
        (507, "", "POST", "answers 507 (so it is)", "quota"),
        (
            400,
            "MANIFEST_INVALID",
            "PUT",
            "not take the manifest: it answers 400 (MANIFEST_INVALID",
            "Check",
        ),
    ],
)
def test_a_refusal_says_why(
    archive: Path, status: int, code: str, method: str, words: str, hint: str
) -> None:
    def habit(_odd: OddRegistry, asked: Asked) -> Answer | None:
        is_it = asked.method == method and (method != "PUT" or "/manifests/" in asked.path)
        return refuse(status, code) if is_it else None

    with serving(habit) as (_odd, registry), pytest.raises(RegistryError) as caught:
        push_archive(archive, registry, report=lambda _step: None)
    assert words in str(caught.value)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"errors":[{"code":"DENIED","message":"' + b"x" * 500 + b'"}]}', "DENIED: " + "x" * 192),
        (b'{"errors":[{"code":"A\\u001b[31m\\nB","message":"\\u202ec"}]}', "A[31mB: c"),
        (b'{"errors":[{"message":{"a":1}}]}', "{'a': 1}"),
        (b'{"error":"invalid_grant","error_description":"it is over"}', "invalid_grant: it is over"),
        (b'{"details":"incorrect password"}', "incorrect password"),
        (b'{"errors":[]}', ""),
        (b"[]", ""),
        (b"[" * 100_000, ""),
        (b"<html>", ""),
    ],
    ids=["long", "control", "odd", "oauth", "hub", "none", "list", "deep", "html"],
)
def test_the_words_of_a_refusal_are_few_and_plain(archive: Path, body: bytes, said: str) -> None:
    with (
        serving(on("POST", Answer(403, (), body), most=-1)) as (_odd, registry),
        pytest.raises(RegistryError) as caught,
    ):
        push_archive(archive, registry, report=lambda _step: None)
    end = f" ({said})" if said else ""
    assert str(caught.value).endswith(f"does not begin an upload: it answers 403{end}")
