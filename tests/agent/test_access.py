"""Who may use the agent, on real sockets."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI

from bed.certs import Identity, make_authority, make_leaf
from binary_split.agent.access import SESSION_COOKIE, Access, CallerKind, CallerOf
from binary_split.agent.origins import OwnOrigin, parse_authority
from binary_split.agent.sessions import LIFETIME_S, Sessions
from binary_split.errors import ConfigError
from binary_split.service.listener import open_listener
from binary_split.service.problems import ProblemError, answer_problem
from binary_split.service.tls import TlsFiles, tls_context
from tests.agent.asking import Door, listening

TOKEN = "bsa_" + "t" * 43
BEARER = f"Bearer {TOKEN}"


def build_app(access: Access) -> FastAPI:
    """Return an application that answers who asked."""
    app = FastAPI()
    app.state.access = access
    app.add_exception_handler(ProblemError, answer_problem)

    @app.api_route("/who", methods=["GET", "POST"])
    async def _who(caller: CallerOf) -> dict[str, str]:
        return {"kind": caller.kind, "name": caller.name}

    app.add_middleware(OwnOrigin, names=["Device.Example", "[fd00::7]"])
    return app


@pytest.fixture
def access() -> Access:
    return Access(TOKEN)


@pytest.fixture
def loopback(access: Access) -> Iterator[Door]:
    """Plain http on 127.0.0.1."""
    listener = open_listener("127.0.0.1", 0, plain=True)
    with listening(build_app(access), listener, None):
        yield Door(listener.getsockname()[1])


@pytest.fixture
def unix(access: Access, tmp_path: Path) -> Iterator[Door]:
    """A unix socket."""
    path = tmp_path / "agent.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    with listening(build_app(access), listener, None):
        yield Door(path=path)


def test_whoever_may_open_the_unix_socket_needs_nothing_more(unix: Door) -> None:
    answer = unix.ask()
    assert (answer.status, answer.text) == (200, '{"kind":"local","name":""}')
    assert unix.ask("POST").status == 200
    assert unix.ask("POST", body="{}", Content_Type="application/json; charset=utf-8").status == 200


def test_being_on_the_same_machine_is_no_credential(loopback: Door) -> None:
    answer = loopback.ask()
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert loopback.ask(X_Forwarded_For="nonsense").status == 401


def test_the_agents_own_token_opens_and_no_other_does(loopback: Door) -> None:
    assert loopback.ask(Authorization=BEARER).text == '{"kind":"bearer","name":""}'
    assert loopback.ask("POST", Authorization=BEARER).status == 200
    for wrong in (f"{BEARER}x", BEARER[:-1], f"Bearer {SESSION_COOKIE}"):
        assert loopback.ask(Authorization=wrong).status == 401
    assert loopback.ask(Authorization="Bearer two words").status == 400


def test_without_a_configured_token_no_token_opens() -> None:
    access = Access("")
    assert not access.has_token
    assert not access.is_token("")


def test_a_session_opens_until_its_hour_is_over_or_it_is_ended() -> None:
    now = [0.0]
    sessions = Sessions(clock=lambda: now[0])
    first, second = sessions.begin(), sessions.begin()
    assert first != second
    assert sessions.is_live(first)
    sessions.end(first)
    assert not sessions.is_live(first)
    now[0] = LIFETIME_S - 1.0
    assert sessions.is_live(second)
    now[0] = float(LIFETIME_S)
    assert not sessions.is_live(second)
    assert not sessions.is_live("")


def test_sessions_are_bounded_and_only_hashes_are_kept() -> None:
    sessions = Sessions(most=2)
    secrets = [sessions.begin() for _ in range(3)]
    assert [sessions.is_live(secret) for secret in secrets] == [False, True, True]
    kept = repr(vars(sessions))
    assert not [secret for secret in secrets if secret in kept]


def test_a_cookie_changes_something_with_json_from_our_own_page_alone(loopback: Door, access: Access) -> None:
    cookie = f"{SESSION_COOKIE}={access.sessions.begin()}"
    own, json = f"http://127.0.0.1:{loopback.port}", "application/json"
    assert loopback.ask(Cookie=cookie).text == '{"kind":"session","name":""}'
    ask = {"Cookie": cookie, "Origin": own}
    assert loopback.ask("POST", body="{}", Content_Type=json, **ask).status == 200
    assert loopback.ask("POST", body="{}", Content_Type=json, Cookie=cookie).status == 403
    assert loopback.ask("POST", **ask).status == 403
    assert loopback.ask("POST", body="a=b", Content_Type="text/plain", **ask).status == 415
    assert loopback.ask(Cookie=f"{SESSION_COOKIE}=made-up").status == 401


FORMS = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain")


@pytest.mark.fault(49)
@pytest.mark.parametrize("kind", FORMS)
def test_the_api_takes_nothing_that_a_form_can_send(unix: Door, kind: str) -> None:
    assert unix.ask("POST", body='{"a":"="}', Content_Type=kind).status == 415


FOREIGN = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:1"},  # another server on this machine
    {"Origin": "https://localhost"},  # another scheme
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
    {"Origin": "http://localhost", "Sec_Fetch_Site": "cross-site"},
)


@pytest.mark.fault(49)
@pytest.mark.parametrize("headers", FOREIGN)
def test_another_sites_page_changes_nothing_though_the_socket_would_let_it_in(
    unix: Door, headers: dict[str, str]
) -> None:
    answer = unix.ask("POST", **headers)
    assert answer.status == 403
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert unix.ask("OPTIONS", **headers).status == 403


def test_our_own_page_may_even_through_a_tunnel_with_another_port(unix: Door) -> None:
    own = {"Host": "localhost:9000", "Origin": "http://localhost:9000", "Sec_Fetch_Site": "same-origin"}
    assert unix.ask("POST", **own).status == 200
    assert unix.ask("POST", Host="device.example", Origin="http://device.example").status == 200


def test_another_sites_page_may_link_to_us_but_embed_nothing(unix: Door) -> None:
    assert unix.ask(Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="document").status == 200
    for destination in ("iframe", "image", "empty", "script"):
        assert unix.ask(Sec_Fetch_Site="cross-site", Sec_Fetch_Dest=destination).status == 403


@pytest.mark.fault(49)
@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.2", "device.example.evil", "", "a b", "[::2]", "x:y"],
)
def test_a_foreign_host_is_refused_before_anything_else(unix: Door, loopback: Door, host: str) -> None:
    for door in (unix, loopback):
        assert door.ask(Host=host, Authorization=BEARER).status in {400, 421}


def test_our_own_names_are_answered(unix: Door, loopback: Door) -> None:
    for host in ("localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]", "device.example.", "[FD00:0::7]:443"):
        assert unix.ask(Host=host).status == 200
        assert loopback.ask(Host=host, Authorization=BEARER).status == 200


def test_authorities_are_read_strictly() -> None:
    assert parse_authority("a.example:8443") == ("a.example", 8443)
    assert parse_authority("[0:0::1]:1") == ("::1", 1)
    for wrong in (
        "",
        ":1",
        "a:0",
        "a:65536",
        "a:1x",
        "[::1",
        "[::1]1",
        "[1.2.3.4]",
        "[fe80::1%eth0]",
        "a/b",
        "u@a",
    ):
        assert parse_authority(wrong) is None, wrong


@contextmanager
def tls_door(access: Access, folder: Path, authority: Identity) -> Iterator[tuple[int, TlsFiles]]:
    """TLS with an authority for clients; give the port and the server's files."""
    server = make_leaf(None)
    files = TlsFiles(folder / "server.pem", folder / "server.key")
    server.write_certificate(files.certificate)
    files.key.write_bytes(server.key_pem)
    authority.write_certificate(folder / "clients.pem")
    listener = open_listener("127.0.0.1", 0, plain=False)
    context = tls_context(files, client_ca=folder / "clients.pem", is_certificate_optional=access.has_token)
    with listening(build_app(access), listener, context):
        yield listener.getsockname()[1], files


def client_context(files: TlsFiles, folder: Path, identity: Identity | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(files.certificate))
    if identity is not None:
        identity.write_certificate(folder / "client.pem")
        (folder / "client.key").write_bytes(identity.key_pem)
        context.load_cert_chain(folder / "client.pem", folder / "client.key")
    return context


def test_a_certificate_of_the_clients_authority_opens_and_no_other_does(
    access: Access, tmp_path: Path
) -> None:
    authority, other = make_authority(), make_authority()
    with tls_door(access, tmp_path, authority) as (port, files):
        known = client_context(files, tmp_path, make_leaf(authority))
        answer = Door(port, context=known).ask()
        assert answer.status == 200
        assert f'"kind":"{CallerKind.MTLS}"' in answer.text
        none = client_context(files, tmp_path, None)
        assert Door(port, context=none).ask().status == 401
        assert Door(port, context=none).ask(Authorization=BEARER).status == 200
        stranger = client_context(files, tmp_path, make_leaf(other))
        with pytest.raises((ssl.SSLError, ConnectionError)):
            Door(port, context=stranger).ask()


def test_without_a_token_nobody_gets_a_connection_but_with_a_certificate(tmp_path: Path) -> None:
    authority = make_authority()
    with tls_door(Access(), tmp_path, authority) as (port, files):
        assert Door(port, context=client_context(files, tmp_path, make_leaf(authority))).ask().status == 200
        with pytest.raises((ssl.SSLError, ConnectionError)):
            Door(port, context=client_context(files, tmp_path, None)).ask()


def test_a_file_without_certificates_is_no_clients_authority(tmp_path: Path) -> None:
    identity = make_leaf(None)
    files = TlsFiles(tmp_path / "cert.pem", tmp_path / "key.pem")
    identity.write_certificate(files.certificate)
    files.key.write_bytes(identity.key_pem)
    with pytest.raises(ConfigError, match="holds no certificates"):
        tls_context(files, client_ca=files.key)
