"""The odd registry of the tests is as the real one, where it has no habit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from urllib.parse import urljoin

import pytest
import urllib3

from bed.fault_server import FaultServer
from bed.registry import PrivateRegistry
from binary_split.transports.registry.artifact import MANIFEST, serialise_manifest
from tests.transports.odd_registry import BLOBS, UPLOADS, OddRegistry

CONTENT, WHOLE = b"of no special kind", b"whole"
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture(params=["real", "odd"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "real":
        registry: PrivateRegistry = request.getfixturevalue("registry")
        yield f"http://{registry.host}"
        return
    with FaultServer(OddRegistry(lambda _odd, _asked: None).serve) as server:
        yield server.url(host="127.0.0.1")


def ask(method: str, url: str, body: bytes = b"", **more: str) -> urllib3.BaseHTTPResponse:
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(body))}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    return urllib3.request(method, url, body=body, headers=headers, retries=False)


def place_of(answer: urllib3.BaseHTTPResponse, address: str) -> str:
    return urljoin(address, answer.headers["Location"])


def with_digest(url: str, digest: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}digest={digest}"


def reason(answer: urllib3.BaseHTTPResponse) -> tuple[int, str]:
    return answer.status, answer.json()["errors"][0]["code"]


def test_an_upload_goes_as_in_a_real_registry(address: str) -> None:
    blob = f"{address}{BLOBS}{DIGEST}"
    assert ask("HEAD", blob).status == 404
    begun = ask("POST", f"{address}{UPLOADS}")
    assert begun.status == 202
    sent = ask("PATCH", place_of(begun, address), CONTENT[:7], Content_Range="0-6")
    assert (sent.status, sent.headers["Range"]) == (202, "0-6")
    looked = ask("GET", place_of(sent, address))
    assert (looked.status, looked.headers["Range"]) == (204, "0-6")
    url = place_of(looked, address)
    rest = f"7-{len(CONTENT) - 1}"
    assert ask("PUT", with_digest(url, DIGEST), CONTENT[7:], Content_Range=rest).status == 201
    assert ask("HEAD", blob).status == 200
    assert reason(ask("GET", url)) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_a_blob_goes_whole_as_in_a_real_registry(address: str) -> None:
    for content in (WHOLE, b"{}"):
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        for sent, status in ((b"else", 400), (content, 201)):
            url = place_of(ask("POST", f"{address}{UPLOADS}"), address)
            ended = ask("PUT", with_digest(url, digest), sent)
            assert ended.status == status
            assert status == 201 or reason(ended) == (400, "DIGEST_INVALID")
    manifest = serialise_manifest(f"sha256:{hashlib.sha256(WHOLE).hexdigest()}", len(WHOLE), {})
    url = f"{address}/v2/drone/manifests/1"
    assert ask("PUT", url, manifest, Content_Type=MANIFEST).status == 201
