"""Who we are to a registry: what other programs have left of it, and how it is shown to whom."""

from __future__ import annotations

import base64
import json
import os
import ssl
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qs

import pytest

from bed.certs import Identity, make_leaf
from bed.fault_server import FaultServer, Peer, Script, answer, head
from binary_split.errors import ArchiveUnreachableError, ArchiveUnreadableError, RegistryError
from binary_split.transports import open_source, parse_location
from binary_split.transports.options import HttpOptions
from binary_split.transports.registry.client import Registry
from binary_split.transports.registry.credentials import (
    AccessToken,
    AnyLogin,
    Login,
    RefreshToken,
    find_login,
)
from binary_split.transports.registry.reference import RegistryReference
from tests.transports.conftest import SOON, set_limits

pytestmark = pytest.mark.usefixtures("nobody")
HUB = "https://index.docker.io/v1/"
SECRET = "s3cr3t-refresh-token"
NOBODY = "00000000-0000-0000-0000-000000000000"
"""The user of Azure's registries where the password is a token."""


def login_for(place: str) -> AnyLogin | None:
    return find_login(RegistryReference.parse(f"oci://{place}"))


def auth(user: str, password: str = "pw") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def write_logins(folder: Path, document: dict[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps(document))


def put_helper(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Have a helper program named ``bed``."""
    helper = folder / "docker-credential-bed"
    helper.write_text(f"#!/bin/sh\n{script}\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


# What is found


def test_the_more_specific_login_of_the_containers_tools_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"auths": {"host:5000": auth("wide"), "host:5000/a": auth("narrow")}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(path))
    found = [login_for(f"host:5000/{repository}") for repository in ("a/b", "c")]
    assert [login.user for login in found if isinstance(login, Login)] == ["narrow", "wide"]
    assert "pw" not in repr(found)
    assert login_for("other/a") is None


@pytest.mark.parametrize("said", ['{"Username":"u","Secret":"s"}', "", "nonsense"])
def test_a_helper_program_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    write_logins(tmp_path / "docker", {"credHelpers": {"host": "bed"}})
    script = f"[ $(cat) = host ] || exit 2\n{f'echo {said!r}' if said else 'exit 1'}"
    put_helper(tmp_path, monkeypatch, script)
    if said == "nonsense":
        with pytest.raises(RegistryError, match="gave no login"):
            login_for("host/a")
    else:
        login = login_for("host/a")
        assert (login is not None) == bool(said)


@pytest.mark.parametrize(
    "content",
    ['{"credHelpers":"x"}', '{"auths":"x"}', '{"credsStore":{}}', "[" * 10_000, "[]"],
    ids=["helpers", "logins", "store", "deep", "list"],
)
def test_a_file_of_logins_that_makes_no_sense_holds_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "docker" / "config.json").write_text(content)
    assert login_for("host/a") is None


def test_who_has_no_home_has_no_logins(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(user: int) -> NoReturn:
        raise KeyError(user)

    for name in ("DOCKER_CONFIG", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert login_for("host/a") is None


@pytest.mark.parametrize(
    ("entry", "login"),
    [
        ({**auth(NOBODY, ""), "identitytoken": SECRET}, RefreshToken(SECRET)),
        ({"identitytoken": SECRET}, RefreshToken(SECRET)),
        ({"registrytoken": SECRET}, AccessToken(SECRET)),
        ({**auth("user"), "identitytoken": ""}, Login("user", "pw")),
        ({**auth("user"), "identitytoken": "a\nb", "registrytoken": 7}, Login("user", "pw")),
    ],
    ids=["azure", "identity", "registry", "empty", "nonsense"],
)
def test_a_token_in_the_file_of_logins_is_found(nobody: Path, entry: dict[str, Any], login: AnyLogin) -> None:
    write_logins(nobody, {"auths": {"host": entry}})
    found = login_for("host/a")
    assert found == login
    assert SECRET not in repr(found)


def test_a_helper_may_give_a_token(nobody: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_logins(nobody, {"credsStore": "bed"})
    put_helper(tmp_path, monkeypatch, f"""echo '{{"Username":"<token>","Secret":"{SECRET}"}}'""")
    assert login_for("host/a") == RefreshToken(SECRET)


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
@pytest.mark.parametrize("name", [HUB, "docker.io", "index.docker.io", "docker.io/library"])
def test_a_login_of_docker_hub_is_found_under_each_of_its_names(nobody: Path, host: str, name: str) -> None:
    write_logins(nobody, {"auths": {name: auth("me"), "other": auth("not-me")}})
    assert login_for(f"{host}/drone") == Login("me", "pw")
    assert login_for("other.docker.io/drone") is None


@pytest.mark.parametrize("key", [HUB, "docker.io", "index.docker.io"])
@pytest.mark.parametrize("asked", [HUB, "docker.io"])
def test_a_helper_is_asked_for_docker_hub(
    nobody: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, asked: str
) -> None:
    write_logins(nobody, {"credHelpers": {key: "bed"}, "credsStore": "none"})
    script = f"""[ "$(cat)" = {asked} ] || exit 1\necho '{{"Username":"me","Secret":"pw"}}'"""
    put_helper(tmp_path, monkeypatch, script)
    assert login_for("docker.io/drone") == Login("me", "pw")


# Who is spoken to


@pytest.mark.parametrize(
    ("text", "server", "path"),
    [
        ("oci://docker.io/drone:1", "registry-1.docker.io", "library/drone"),
        ("oci://docker.io/me/drone:1", "registry-1.docker.io", "me/drone"),
        ("oci://Index.docker.io/me/drone:1", "registry-1.docker.io", "me/drone"),
        ("oci://docker.io.example/drone:1", "docker.io.example", "drone"),
        ("oci://ghcr.io/drone:1", "ghcr.io", "drone"),
    ],
)
def test_docker_hub_goes_by_another_name_than_its_registry(text: str, server: str, path: str) -> None:
    reference = RegistryReference.parse(text)
    assert (reference.server, reference.path, str(reference)) == (server, path, text)


@pytest.mark.usefixtures("soon")
def test_docker_hub_is_spoken_to_at_its_registry() -> None:
    with FaultServer(answer("502 No", "Connection: close")) as proxy:
        place = RegistryReference.parse("oci://docker.io/drone:1")
        with (
            closing(Registry(place, HttpOptions(proxy=proxy.url()))) as registry,
            pytest.raises(ArchiveUnreachableError, match=r"cannot read oci://docker\.io/drone:1"),
        ):
            registry.find_archive(0.01)
        assert proxy.requests[0].startswith(b"CONNECT registry-1.docker.io:443 ")


# Who is shown what


def challenge_line(tokens: FaultServer) -> str:
    realm = f'realm="{tokens.url()}/t",service="s",scope="repository:drone:pull"'
    return f"WWW-Authenticate: Bearer {realm}"


def challenge(tokens: FaultServer) -> Script:
    return answer("401 Who", challenge_line(tokens), "Connection: close")


def test_a_refresh_token_is_exchanged_at_the_token_service(nobody: Path) -> None:
    gives = answer("200 OK", "Connection: close", body=b'{"access_token":"abc","refresh_token":"x"}')
    with FaultServer(gives) as tokens, FaultServer(challenge(tokens), answer("404 No")) as server:
        write_logins(nobody, {"auths": {f"127.0.0.1:{server.port}": {"identitytoken": SECRET}}})
        with pytest.raises(ArchiveUnreadableError, match="there is no"):
            open_source(parse_location(f"oci://127.0.0.1:{server.port}/drone:1"))
        header, _, form = tokens.requests[0].partition(b"\r\n\r\n")
        assert header.startswith(b"POST /t HTTP/1.1\r\n")
        assert b"\r\nContent-Type: application/x-www-form-urlencoded" in header
        assert b"authorization" not in header.lower()
        assert parse_qs(form.decode()) == {
            "grant_type": ["refresh_token"],
            "service": ["s"],
            "scope": ["repository:drone:pull"],
            "client_id": ["binary-split"],
            "refresh_token": [SECRET],
        }
        assert b"\r\nAuthorization: Bearer abc\r\n" in server.requests[1]
        assert not any(SECRET.encode() in request for request in server.requests)


@pytest.mark.parametrize(
    ("wanted", "may_push", "asked"),
    [
        ("repository:drone:pull", False, "repository:drone:pull"),
        ("repository:drone:pull", True, "repository:drone:pull,push"),
        ("repository:drone:pull,push", True, "repository:drone:pull,push"),
        ("repository:drone:pull,push", False, "repository:drone:pull"),
        (None, False, "repository:drone:pull"),
        (None, True, "repository:drone:pull,push"),
        ("repository:drone-2:pull", True, "repository:drone-2:pull"),
        ("aws", True, "aws"),
    ],
)
def test_a_token_is_asked_for_what_we_came_for(wanted: str | None, may_push: bool, asked: str) -> None:
    gives = answer("200 OK", "Connection: close", body=b'{"token":"abc"}')
    with FaultServer(gives) as tokens:
        scope = f',scope="{wanted}"' if wanted else ""
        line = f'WWW-Authenticate: Bearer realm="{tokens.url()}/t",service="s"{scope}'
        with FaultServer(answer("401 Who", line, "Connection: close"), answer("404 No")) as server:
            place = RegistryReference.parse(f"oci://127.0.0.1:{server.port}/drone:1")
            with (
                closing(Registry(place, HttpOptions(), may_push=may_push)) as registry,
                registry.asked("GET", f"{registry.address}/blobs/x") as response,
            ):
                assert response.status == 404
        url = tokens.requests[0].split(b" ")[1].decode()
        assert parse_qs(url.partition("?")[2]) == {"service": ["s"], "scope": [asked]}


@pytest.mark.parametrize("words", ['Basic realm="x"', 'basic realm="x"', "Negotiate", ""])
def test_a_refresh_token_is_shown_to_no_registry(nobody: Path, words: str) -> None:
    asks = answer("401 Who", f"WWW-Authenticate: {words}", "Connection: close")
    with FaultServer(asks) as server:
        host = f"127.0.0.1:{server.port}"
        write_logins(nobody, {"auths": {host: {**auth(NOBODY, ""), "identitytoken": SECRET}}})
        with pytest.raises(RegistryError, match="401") as caught:
            open_source(parse_location(f"oci://{host}/drone:1"))
        assert [b"authorization" in request.lower() for request in server.requests] == [False]
    assert f"docker login {host}" in caught.value.hint


def test_a_token_for_the_registry_is_shown_as_it_is(nobody: Path) -> None:
    with FaultServer() as tokens, FaultServer(challenge(tokens), answer("404 No")) as server:
        write_logins(nobody, {"auths": {f"127.0.0.1:{server.port}": {"registrytoken": SECRET}}})
        with pytest.raises(ArchiveUnreadableError, match="there is no"):
            open_source(parse_location(f"oci://127.0.0.1:{server.port}/drone:1"))
        assert f"\r\nAuthorization: Bearer {SECRET}\r\n".encode() in server.requests[1]
        assert tokens.connections == 0


@pytest.mark.parametrize("entry", [auth("me", SECRET), {"identitytoken": SECRET}], ids=["password", "token"])
def test_a_token_service_that_refuses_says_why_and_no_secret(nobody: Path, entry: dict[str, str]) -> None:
    body = b'{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password"}]}'
    with (
        FaultServer(answer("401 No", "Connection: close", body=body)) as tokens,
        FaultServer(challenge(tokens)) as server,
    ):
        host = f"127.0.0.1:{server.port}"
        write_logins(nobody, {"auths": {host: entry}})
        with pytest.raises(RegistryError) as caught:
            open_source(parse_location(f"oci://{host}/drone:1"))
    assert str(caught.value) == (
        f"{host} does not let us in by its token service: it answers 401 "
        "(UNAUTHORIZED: incorrect username or password)"
    )
    assert f"docker login {host}" in caught.value.hint
    assert SECRET not in f"{caught.value!r} {caught.value.hint}"


def test_a_token_service_that_has_no_time_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    set_limits(monkeypatch, replace(SOON, fetch_deadline_s=5.0))
    gives = answer("200 OK", "Connection: close", body=b'{"token":"abc"}')
    with (
        FaultServer(answer("503 Busy", "Connection: close"), gives) as tokens,
        FaultServer(challenge(tokens), challenge(tokens), answer("404 No")) as server,
        pytest.raises(ArchiveUnreadableError, match="there is no"),
    ):
        open_source(parse_location(f"oci://127.0.0.1:{server.port}/drone:1"))


@pytest.mark.parametrize("is_elsewhere", [True, False], ids=["elsewhere", "same-origin"])
def test_a_client_certificate_is_shown_to_the_registry_alone(
    authority: Identity, ca_file: Path, tmp_path: Path, is_elsewhere: bool
) -> None:
    context = make_leaf(authority).server_context(tmp_path)
    context.load_verify_locations(ca_file)
    context.verify_mode = ssl.CERT_OPTIONAL
    client = make_leaf(authority)
    pair = tmp_path / "client.pem"
    pair.write_bytes(client.certificate_pem + client.key_pem)
    shown: list[tuple[bytes, bool]] = []

    def serve(peer: Peer) -> None:
        request = peer.read_request()
        shown.append((request.split(b"?")[0].split(b" HTTP")[0], peer.has_certificate()))
        if request.startswith(b"GET /t?"):
            peer.send(head("200 OK", "Content-Length: 15", "Connection: close") + b'{"token":"abc"}')
        elif b"Authorization: Bearer abc" in request:
            peer.send(head("404 No", "Content-Length: 0", "Connection: close"))
        else:
            peer.send(head("401 Who", challenge_line(asked_at), "Content-Length: 0", "Connection: close"))

    with FaultServer(serve, tls=context) as tokens, FaultServer(serve, tls=context) as server:
        asked_at = tokens if is_elsewhere else server
        place = RegistryReference.parse(f"oci://localhost:{server.port}/drone:1")
        options = HttpOptions(ca_file=ca_file, client_certificate=pair)
        with closing(Registry(place, options)) as registry, pytest.raises(ArchiveUnreadableError):
            registry.find_archive(5)
    manifest = b"GET /v2/drone/manifests/1"
    assert shown == [(manifest, True), (b"GET /t", not is_elsewhere), (manifest, True)]
