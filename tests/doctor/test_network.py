"""What stands between this machine and the key service is named, with what to do about it."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from bed.certs import make_authority, make_leaf
from bed.fault_server import Peer
from binary_split.config import LIMITS
from binary_split.doctor import Verdict
from binary_split.doctor.clock import judge_difference
from tests.doctor.conftest import Pki, Serve, answering, check
from tests.test_end_to_end import KeyService

JSON = "Content-Type: application/json"
STEPS = ("key-service-name", "key-service-connection", "key-service-certificate", "key-service")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*STEPS, "clock"])
def test_a_real_key_service_is_in_order(key_service: KeyService, name: str) -> None:
    found = check(name, key_service=key_service.url, ca_file=key_service.ca_file)
    if name == "key-service-certificate":  # the bed's certificates are for ten days
        assert found.verdict is Verdict.WARNING
        assert "valid for 9 more days; for localhost, 127.0.0.1, ::1" in found.detail
        assert "renew" in found.cure
    else:
        assert found.verdict is Verdict.OK, found


@pytest.mark.parametrize("name", STEPS)
def test_without_a_key_service_nothing_is_checked(name: str) -> None:
    found = check(name)
    assert (found.verdict, found.detail) == (Verdict.SKIPPED, "no key service is configured")


def test_a_url_that_no_token_is_sent_to_fails_first_and_alone() -> None:
    found = check("key-service-name", key_service="http://keys.example.com")
    assert found.verdict is Verdict.FAILED
    assert "--insecure-http" in found.cure
    assert check("key-service", key_service="http://keys.example.com").verdict is Verdict.SKIPPED


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    url = "https://keys.example.com"
    found = check("key-service-name", key_service=url)
    assert found.verdict is Verdict.FAILED
    assert found.detail == "the name keys.example.com cannot be resolved"
    assert "network" in found.cure
    after = check("key-service-connection", key_service=url)
    assert (after.verdict, after.detail) == (Verdict.SKIPPED, "the key service's name is not known")


def test_a_port_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"https://localhost:{port}"
    found = check("key-service-connection", key_service=url)
    assert found.verdict is Verdict.FAILED
    assert "refused" in found.detail
    after = check("key-service-certificate", key_service=url)
    assert (after.verdict, after.detail) == (Verdict.SKIPPED, "there is no connection to the key service")


def test_a_certificate_that_is_valid_for_long(pki: Pki, serve: Serve) -> None:
    server = serve(answering(JSON))
    found = check("key-service-certificate", key_service=server.url(), ca_file=pki.ca_file)
    assert found.verdict is Verdict.OK
    assert "valid for 89 more days" in found.detail
    assert "issued by CN=Test CA" in found.detail


@pytest.mark.parametrize(
    ("days", "cause"), [((-20, -1), "has expired"), ((3650, 3660), "is not yet valid")], ids=["old", "future"]
)
def test_a_certificate_outside_its_days_names_the_clock(
    pki: Pki, serve: Serve, days: tuple[int, int], cause: str
) -> None:
    leaf = make_leaf(pki.authority, not_before_days=days[0], not_after_days=days[1])
    server = serve(answering(JSON), tls=pki.context(leaf))
    found = check("key-service-certificate", key_service=server.url(), ca_file=pki.ca_file)
    assert found.verdict is Verdict.FAILED
    assert cause in found.detail
    assert f"to {datetime.now(UTC) + timedelta(days=days[1]):%Y-%m-%d}" in found.detail
    assert "clock" in found.cure
    assert "captive portal" not in found.cure
    clock = check("clock", key_service=server.url(), ca_file=pki.ca_file)
    assert clock.verdict is Verdict.WARNING
    assert "the key service's certificate is for localhost" in clock.detail
    assert "timedatectl" in clock.cure
    assert server.requests == []


def test_a_certificate_of_another_ca_shows_whose_it_is(pki: Pki, serve: Serve) -> None:
    server = serve(answering(JSON), tls=pki.context(make_leaf(make_authority("Portal CA"))))
    found = check("key-service-certificate", key_service=server.url(), ca_file=pki.ca_file)
    assert found.verdict is Verdict.FAILED
    assert "issued by CN=Portal CA" in found.detail
    assert "--ca-file" in found.cure
    assert "captive portal" in found.cure
    for name in ("key-service", "clock"):
        assert check(name, key_service=server.url(), ca_file=pki.ca_file).verdict is Verdict.SKIPPED
    assert server.requests == []


def test_a_certificate_for_another_host_shows_for_which(pki: Pki, serve: Serve) -> None:
    leaf = make_leaf(pki.authority, names=("keys.example.com",))
    server = serve(answering(JSON), tls=pki.context(leaf))
    found = check("key-service-certificate", key_service=server.url(), ca_file=pki.ca_file)
    assert found.verdict is Verdict.FAILED
    assert "for another host: it is for keys.example.com" in found.detail
    assert "host name" in found.cure


def test_a_ca_file_that_is_none(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    server = serve(answering(JSON))
    found = check("key-service-certificate", key_service=server.url(), ca_file=tmp_path / "ca.pem")
    assert found.verdict is Verdict.FAILED
    assert "holds no PEM certificate" in found.detail


def test_plain_http_has_no_certificate(serve: Serve) -> None:
    server = serve(answering(JSON), tls=None)
    assert check("key-service-certificate", key_service=server.url()).verdict is Verdict.SKIPPED
    assert check("key-service", key_service=server.url()).verdict is Verdict.OK


def test_a_captive_portal_s_page_is_recognised(serve: Serve) -> None:
    page = b"<html><title>Welcome to the train's network</title></html>"
    server = serve(answering("Content-Type: text/html", body=page), tls=None)
    found = check("key-service", key_service=server.url())
    assert found.verdict is Verdict.FAILED
    assert found.detail == "what answers is a web page, and no key service"
    assert "captive portal" in found.cure


def test_a_captive_portal_s_redirect_is_recognised(serve: Serve) -> None:
    script = answering("Location: https://portal.example/login?token=x", status="302 Found", body=b"")
    found = check("key-service", key_service=serve(script, tls=None).url())
    assert found.verdict is Verdict.FAILED
    assert "redirects to https://portal.example (302)" in found.detail
    assert "captive portal" in found.cure


def test_a_service_that_is_not_ready_fails(pki: Pki, serve: Serve) -> None:
    server = serve(answering("Content-Type: application/problem+json", status="503 No", body=b"{}"))
    found = check("key-service", key_service=server.url(), ca_file=pki.ca_file)
    assert found.verdict is Verdict.FAILED
    assert "cannot release fragments now" in found.detail
    assert "later" in found.cure


def test_a_service_of_another_kind_is_a_warning(pki: Pki, serve: Serve) -> None:
    server = serve(answering(status="404 Not Found", body=b""))
    found = check("key-service", key_service=server.url(), ca_file=pki.ca_file)
    assert found.verdict is Verdict.WARNING
    assert "nothing is wrong" in found.cure


def test_nothing_is_sent_but_one_question_without_a_token(pki: Pki, serve: Serve) -> None:
    server = serve(answering(JSON))
    found = check("key-service", key_service=server.url(), ca_file=pki.ca_file, token="bsk_secret")
    assert found.verdict is Verdict.OK
    (request,) = server.requests
    assert request.startswith(b"GET /readyz HTTP/1.1\r\n")
    assert b"Authorization" not in request


class TestClock:
    @pytest.mark.parametrize(
        ("days", "verdict", "words"),
        [
            (0, Verdict.OK, "120 s are tolerated"),
            (0.1, Verdict.WARNING, "2 hours behind"),
            (-0.1, Verdict.WARNING, "2 hours ahead of"),
            (400, Verdict.FAILED, "400 days behind"),
        ],
    )
    def test_it_is_compared_with_the_service_s(
        self, pki: Pki, serve: Serve, days: float, verdict: Verdict, words: str
    ) -> None:
        date = format_datetime(datetime.now(UTC) + timedelta(days=days), usegmt=True)
        server = serve(answering(JSON, f"Date: {date}"))
        found = check("clock", key_service=server.url(), ca_file=pki.ca_file)
        assert found.verdict is verdict, found
        assert words in found.detail
        assert bool(found.cure) == (verdict is not Verdict.OK)

    def test_without_anything_to_compare_it_is_not_judged(self, pki: Pki, serve: Serve) -> None:
        assert check("clock").verdict is Verdict.SKIPPED
        undated = serve(answering(JSON, "Date: soon"))
        found = check("clock", key_service=undated.url(), ca_file=pki.ca_file)
        assert found.verdict is Verdict.SKIPPED

    @pytest.mark.parametrize("sign", [-1, 1])
    def test_the_tolerance_is_what_the_limits_say(self, sign: int) -> None:
        assert judge_difference(sign * LIMITS.doctor_clock_s).verdict is Verdict.OK
        assert judge_difference(sign * (LIMITS.doctor_clock_s + 1)).verdict is Verdict.WARNING
        assert judge_difference(sign * LIMITS.doctor_clock_wrong_s).verdict is Verdict.FAILED


def test_a_service_that_says_nothing_is_late(pki: Pki, serve: Serve) -> None:
    def be_silent(peer: Peer) -> None:
        peer.read_request()
        peer.pause(5)

    url = serve(be_silent).url()
    found = check("key-service", key_service=url, ca_file=pki.ca_file, wait_s=1)
    assert found.verdict is Verdict.FAILED
    assert "did not answer" in found.detail
    assert "firewall" in found.cure
