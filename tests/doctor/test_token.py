"""A token is judged by the key service itself, and nothing is spent for it."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bed.fault_server import Peer, head
from binary_split.doctor import Verdict
from binary_split.keyservice.state import open_state
from tests.doctor.conftest import Pki, Serve, answering, check
from tests.releases import KEY_ID, AgeRelease
from tests.test_end_to_end import KeyService

pytestmark = pytest.mark.slow
ASKED = "/v1/keys/-/release"


def write_token(folder: Path, text: str) -> Path:
    path = folder / "the-token"
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def releases(service: KeyService) -> int:
    with closing(open_state(service.folder / "state")) as store:
        return len(store.audit.page(kind="release").rows)


def asked(service: KeyService) -> list[tuple[str, int]]:
    """Return the requests that the service has logged, by path and status."""
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
    return [(line["path"], line["status"]) for line in lines if "path" in line]


def test_a_token_that_works_is_found_so_without_a_release(
    key_service: KeyService, where: dict[str, Any], token_file: Path
) -> None:
    before, requests = releases(key_service), len(asked(key_service))
    found = check("token", **where, token_file=token_file)
    assert found.verdict is Verdict.OK, found
    assert "--release" in found.detail
    assert releases(key_service) == before
    assert asked(key_service)[requests:] == [(ASKED, 401), (ASKED, 404)]  # probes are not logged
    assert token_file.read_text().strip() not in repr(found) + key_service.log.read_text()


def test_a_limited_grant_keeps_its_uses(
    key_service: KeyService, where: dict[str, Any], tmp_path: Path
) -> None:
    with closing(open_state(key_service.folder / "state")) as store:
        store.devices.add("doctored")
        store.grants.add(KEY_ID, device_id="doctored", uses=1)
        text = store.tokens.issue(lifetime=timedelta(hours=1), device_id="doctored").text
    token_file = write_token(tmp_path, text)
    for _ in range(2):
        assert check("token", **where, token_file=token_file).verdict is Verdict.OK
    with closing(open_state(key_service.folder / "state")) as store:
        assert store.grants.page(device_id="doctored").rows[0].uses_left == 1


def test_an_unknown_token_fails(where: dict[str, Any], tmp_path: Path) -> None:
    token_file = write_token(tmp_path, "bsk_" + "x" * 43)
    found = check("token", **where, token_file=token_file)
    assert found.verdict is Verdict.FAILED
    assert "401" in found.detail
    assert "new token" in found.cure


def test_a_revoked_token_fails(key_service: KeyService, where: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "revoked"
    issued = key_service.run("token", "issue", "--key", KEY_ID, "--out", path, "--json").document
    key_service.run("token", "revoke", issued["token_id"])
    found = check("token", **where, token_file=path)
    assert found.verdict is Verdict.FAILED
    assert "403" in found.detail
    assert "entitled" in found.cure


def test_a_token_is_released_for_real_only_when_asked(
    key_service: KeyService, releasing: dict[str, Any], release: AgeRelease
) -> None:
    before = releases(key_service)
    found = check("token", release.path, **releasing)
    assert found.verdict is Verdict.OK, found
    assert "which was not kept" in found.detail
    assert releases(key_service) == before + 1


def test_a_token_that_others_can_read_is_a_warning(where: dict[str, Any], token_file: Path) -> None:
    token_file.chmod(0o644)
    found = check("token", **where, token_file=token_file)
    assert found.verdict is Verdict.WARNING
    assert "open to others (mode 0644)" in found.detail
    assert f"chmod 600 {token_file}" in found.cure


def test_a_service_of_another_kind_never_sees_the_token(pki: Pki, serve: Serve, tmp_path: Path) -> None:
    server = serve(answering(status="404 Not Found", body=b""))
    token_file = write_token(tmp_path, "bsk_" + "x" * 43)
    found = check("token", key_service=server.url(), ca_file=pki.ca_file, token_file=token_file)
    assert found.verdict is Verdict.SKIPPED
    assert "does not say" in found.detail
    assert all(b"bsk_" not in request for request in server.requests)
    assert any(ASKED.encode() in request for request in server.requests)


@pytest.mark.parametrize("status", ["429 Slow down", "503 Not now"])
def test_a_service_that_does_not_get_to_it_proves_nothing(
    pki: Pki, serve: Serve, tmp_path: Path, status: str
) -> None:
    def be_busy(peer: Peer) -> None:
        request = peer.read_request()
        challenge = head("401 No", "WWW-Authenticate: Bearer", "Content-Length: 0")
        if request:
            peer.send(head(status, "Content-Length: 0") if b"Authorization" in request else challenge)

    token_file = write_token(tmp_path, "bsk_" + "x" * 43)
    found = check("token", key_service=serve(be_busy).url(), ca_file=pki.ca_file, token_file=token_file)
    assert found.verdict is Verdict.SKIPPED
    assert "was not told" in found.detail


def test_a_service_that_would_release_anything_is_not_believed(
    pki: Pki, serve: Serve, tmp_path: Path
) -> None:
    def be_generous(peer: Peer) -> None:
        request = peer.read_request()
        challenge = head("401 No", "WWW-Authenticate: Bearer", "Content-Length: 0")
        ready = head("200 OK", "Content-Type: application/json", "Content-Length: 2") + b"{}"
        if request:
            peer.send(ready if b"Authorization" in request or b"readyz" in request else challenge)

    token_file = write_token(tmp_path, "bsk_" + "x" * 43)
    found = check("token", key_service=serve(be_generous).url(), ca_file=pki.ca_file, token_file=token_file)
    assert found.verdict is Verdict.SKIPPED
    assert "cannot be" in found.detail


def test_a_token_is_not_asked_about_where_the_service_cannot_prove_itself(
    pki: Pki, serve: Serve, tmp_path: Path, key_service: KeyService
) -> None:
    server = serve(answering())
    token_file = write_token(tmp_path, "bsk_" + "x" * 43)
    found = check("token", key_service=server.url(), ca_file=key_service.ca_file, token_file=token_file)
    assert found.verdict is Verdict.SKIPPED
    assert "cannot prove who it is" in found.detail
    assert server.requests == []


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot read"), ("", "is empty"), ("two words", "characters that no bearer token has")],
    ids=["missing", "empty", "malformed"],
)
def test_a_token_file_that_holds_none_fails(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "token" if content is None else write_token(tmp_path, content)
    found = check("token", token_file=path)
    assert found.verdict is Verdict.FAILED
    assert words in found.detail
    assert found.cure
    assert "two words" not in found.detail


def test_no_token_is_a_failure_only_where_there_is_a_key_service() -> None:
    assert check("token").verdict is Verdict.SKIPPED
    found = check("token", key_service="https://keys.example.com")
    assert found.verdict is Verdict.FAILED
    assert "--token-file" in found.cure
