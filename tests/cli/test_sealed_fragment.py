"""A sealed fragment opens an archive on its device: brought as a file, or asked for at the key service."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from bed.certs import make_authority, make_leaf
from bed.fault_server import FaultServer, Peer, answer, head
from bed.images import build_release
from binary_split.model import Fragment
from binary_split.sealedfragment import Binding, PublicKey, parse_device_key, seal_fragment
from tests.commandline import CommandLine, Ran

pytestmark = pytest.mark.slow  # each command is a process of its own

SECRET = bytes(range(32))
TOKEN = "bsk_7Jq0-x_Zk9WvHn3TfLrB2sYdMcEa"
NAME = "azaion/flights"
PROBLEM = "Content-Type: application/problem+json"


@dataclass(frozen=True)
class Shelf:
    """A device's folder: archives of one release, its key and a token."""

    folder: Path
    cli: CommandLine

    @property
    def age(self) -> tuple[object, ...]:
        return (self.folder / "x.age", "--trusted-key", self.folder / "publisher.pub")

    @property
    def key(self) -> tuple[object, ...]:
        return ("--device-key", self.folder / "device.key")

    def run(self, *arguments: object, status: int = 0, stdin: bytes = b"") -> Ran:
        ran = self.cli.run(*arguments, stdin=stdin)
        assert ran.status == status, ran
        return ran

    def public_key(self) -> PublicKey:
        return PublicKey.of(parse_device_key((self.folder / "device.key").read_bytes()))

    def seal(self, *, key_id: str = "acme-2026", device: str = "d1", secret: bytes = SECRET) -> bytes:
        binding = Binding(device, key_id, bytes(16))
        return seal_fragment(Fragment(secret), self.public_key(), binding).serialise()

    def file(self, content: bytes, name: str = "sealed") -> tuple[object, ...]:
        (self.folder / name).write_bytes(content)
        return ("--sealed-fragment", self.folder / name)

    def engine(self) -> tuple[object, ...]:
        return ("--engine", f"oci:{self.folder / 'engine'}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seal the release in both formats, the age one for two fragments."""
    folder = tmp_path_factory.mktemp("made")
    shelf = Shelf(folder, CommandLine(folder))
    ids = build_release(folder / "save.tar", "1.0.0", names=[NAME], filler_bytes=4000)
    (folder / "ids").write_text(json.dumps(ids))
    (folder / "fragment").write_bytes(SECRET)
    (folder / "other").write_bytes(SECRET[::-1])
    shelf.run("keygen", "-o", folder / "publisher")
    fragment = ("--fragment-file", folder / "fragment")
    common = ("--version", "1.0.0", "--image", NAME, "--from", f"docker-archive:{folder / 'save.tar'}")
    others = ("--key-id", "other", "--fragment-file", folder / "other", "--key-id", "acme-2026", *fragment)
    shelf.run("seal", *common, *others, "--sign", folder / "publisher", "-o", folder / "x.age")
    shelf.run("seal", *common, *fragment, "--format", "cbc", "-o", folder / "x.cbc")
    return folder


@pytest.fixture
def shelf(made: Path, tmp_path: Path) -> Shelf:
    for name in ("x.age", "x.cbc", "publisher.pub", "ids"):
        (tmp_path / name).write_bytes((made / name).read_bytes())
    shelf = Shelf(tmp_path, CommandLine(tmp_path))
    shelf.run("device", "init", "-o", tmp_path / "device.key")
    (tmp_path / "token").write_text(TOKEN + "\n")
    return shelf


class KeyService:
    """A key service over HTTPS that seals ``acme-2026`` and knows no other key."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        authority = make_authority()
        self.ca_file = authority.write_certificate(shelf.folder / "ca.pem")
        self._tls = make_leaf(authority).server_context(shelf.folder)

    def serve(self, *scripts: object) -> FaultServer:
        return FaultServer(*(scripts or (self.release,)), tls=self._tls)  # type: ignore[arg-type]

    def release(self, peer: Peer) -> None:
        header, _, body = peer.read_request().partition(b"\r\n\r\n")
        if not header.startswith(b"POST /v1/keys/acme-2026/release HTTP"):
            peer.send(head("404 Not Found", "Content-Length: 0"))
            return
        text = json.loads(body)["nonce"]
        nonce = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        binding = Binding("d1", "acme-2026", nonce)
        sealed = seal_fragment(Fragment(SECRET), self.shelf.public_key(), binding).serialise()
        peer.send(head("200 OK", "Content-Type: application/json", f"Content-Length: {len(sealed)}") + sealed)

    def options(self, server: FaultServer) -> tuple[object, ...]:
        token = ("--token-file", self.shelf.folder / "token")
        return ("--key-service", server.url(), *token, "--ca-file", self.ca_file)


@pytest.fixture
def service(shelf: Shelf) -> KeyService:
    return KeyService(shelf)


class TestFile:
    @pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
    def test_unlock_opens_it_with_the_devices_key(self, shelf: Shelf, end: bytes) -> None:
        sealed = shelf.file(shelf.seal() + end)
        ran = shelf.run("unlock", *shelf.age, *sealed, *shelf.key, *shelf.engine())
        assert "ready: 1 of 1 image loaded" in ran.stderr

    def test_it_may_come_from_stdin_and_the_key_from_the_settings(self, shelf: Shelf) -> None:
        named = shelf.cli.with_environment(BINARY_SPLIT_DEVICE_KEY_FILE=str(shelf.folder / "device.key"))
        ran = named.run("unlock", *shelf.age, "--sealed-fragment", "-", *shelf.engine(), stdin=shelf.seal())
        assert ran.status == 0, ran

    def test_every_command_that_takes_a_fragment_takes_it(self, shelf: Shelf) -> None:
        opener = (*shelf.file(shelf.seal()), *shelf.key)
        shelf.run("verify", *shelf.age, *opener)
        assert shelf.run("inspect", *shelf.age, *opener, "--json").document["version"] == "1.0.0"
        shelf.run("extract", *shelf.age, *opener, "-o", f"oci:{shelf.folder / 'layout'}")
        for name in ("x.age", "x.cbc"):
            shelf.run("decrypt", shelf.folder / name, *opener, "-o", shelf.folder / f"{name}.tar")
            assert (shelf.folder / f"{name}.tar").stat().st_size > 4000
        (shelf.folder / "new").write_bytes(bytes(32))
        add = ("--add", f"new={shelf.folder / 'new'}", "-o", shelf.folder / "new.age")
        shelf.run("rekey", shelf.folder / "x.age", *opener, *add)

    def test_a_cbc_archive_is_unlocked_too(self, shelf: Shelf) -> None:
        ids = json.loads((shelf.folder / "ids").read_text())
        pins = [part for ref, found in ids.items() for part in ("--image-id", f"{ref}={found}")]
        opener = (*shelf.file(shelf.seal()), *shelf.key)
        shelf.run("unlock", shelf.folder / "x.cbc", "--version", "1.0.0", *pins, *opener, *shelf.engine())

    def test_another_devices_key_opens_nothing_and_leaves_nothing(self, shelf: Shelf) -> None:
        shelf.run("device", "init", "-o", shelf.folder / "other.key")
        key = ("--device-key", shelf.folder / "other.key")
        ran = shelf.run("unlock", *shelf.age, *shelf.file(shelf.seal()), *key, *shelf.engine(), status=36)
        ran.assert_failed(36, "for another device, key or request")
        assert not (shelf.folder / "engine").exists()

    def test_a_device_that_knows_its_id_refuses_anothers(self, shelf: Shelf) -> None:
        named = shelf.cli.with_environment(BINARY_SPLIT_DEVICE_ID="d2")
        sealed = shelf.file(shelf.seal(device="d1"))
        named.run("verify", *shelf.age, *sealed, *shelf.key).assert_failed(36, "for another device")
        sealed = shelf.file(shelf.seal(device="d2"))
        assert named.run("verify", *shelf.age, *sealed, *shelf.key).status == 0

    def test_a_fragment_that_is_not_sealed_is_refused(self, shelf: Shelf) -> None:
        ran = shelf.run("verify", *shelf.age, *shelf.file(SECRET), *shelf.key, status=36)
        ran.assert_failed(36, "no sealed fragment")

    def test_no_device_key_and_two_fragments_are_told(self, shelf: Shelf) -> None:
        sealed = shelf.file(shelf.seal())
        shelf.run("verify", *shelf.age, *sealed, status=3).assert_failed(3, "no device key is given")
        both = (*sealed, "--fragment-file", shelf.folder / "sealed")
        shelf.run("unlock", *shelf.age, *both, *shelf.key, *shelf.engine(), status=3).assert_failed(3)


class TestKeyService:
    def test_unlock_asks_for_the_fragments_of_the_archive_until_it_may_have_one(
        self, shelf: Shelf, service: KeyService
    ) -> None:
        with service.serve() as server:
            ran = shelf.run("unlock", *shelf.age, *service.options(server), *shelf.key, *shelf.engine())
        assert "ready: 1 of 1 image loaded" in ran.stderr
        asked = [request.split(b" ")[1] for request in server.requests]
        assert asked == [b"/v1/keys/other/release", b"/v1/keys/acme-2026/release"]
        assert TOKEN not in ran.stderr + ran.stdout

    def test_a_key_id_that_is_named_is_the_only_one_asked_for(
        self, shelf: Shelf, service: KeyService
    ) -> None:
        with service.serve() as server:
            options = (*service.options(server), *shelf.key, *shelf.engine())
            shelf.run("unlock", *shelf.age, *options, "--key-id", "other", status=29)
            shelf.run("unlock", *shelf.age, *options, "--key-id", "acme-2026")
        assert len(server.requests) == 2

    def test_a_cbc_archive_needs_the_key_id(self, shelf: Shelf, service: KeyService) -> None:
        archive = (shelf.folder / "x.cbc", "--version", "1.0.0", "--image", NAME, "--allow-unauthenticated")
        with service.serve() as server:
            options = (*service.options(server), *shelf.key, *shelf.engine())
            shelf.run("unlock", *archive, *options, status=3).assert_failed(3, "--key-id")
            shelf.run("unlock", *archive, *options, "--key-id", "acme-2026")
        assert len(server.requests) == 1

    def test_without_a_device_key_the_plain_fragment_is_asked_for(
        self, shelf: Shelf, service: KeyService
    ) -> None:
        plain = answer("200 OK", "Content-Type: application/octet-stream", body=SECRET)
        with service.serve(plain) as server:
            shelf.run("unlock", *shelf.age, *service.options(server), *shelf.engine())
        assert server.requests[0].startswith(b"GET /binary-split/key-fragment HTTP")

    def test_a_plain_request_that_is_refused_says_what_an_enrolled_device_does(
        self, shelf: Shelf, service: KeyService
    ) -> None:
        body = b'{"type":"urn:binary-split:problem:device-key-needed","title":"Forbidden","status":403}'
        with service.serve(answer("403 Forbidden", PROBLEM, body=body)) as server:
            ran = shelf.run("unlock", *shelf.age, *service.options(server), *shelf.engine(), status=38)
        ran.assert_failed(38, "--device-key")

    def test_a_device_key_that_others_can_read_is_refused_before_anything_is_asked(
        self, shelf: Shelf, service: KeyService
    ) -> None:
        (shelf.folder / "device.key").chmod(0o644)
        with service.serve() as server:
            options = (*service.options(server), *shelf.key, *shelf.engine())
            shelf.run("unlock", *shelf.age, *options, status=4).assert_failed(4, "open to others")
        assert server.connections == 0

    def test_an_identity_that_names_the_service_asks_for_a_sealed_fragment(
        self, shelf: Shelf, service: KeyService
    ) -> None:
        with service.serve() as server:
            place = ("--key-service", server.url(), "--token-file", shelf.folder / "token")
            ca = ("--ca-file", service.ca_file, "--key-id", "acme-2026")
            shelf.run("identity", *place, *ca, "-o", shelf.folder / "identity")
            named = shelf.cli.with_environment(BINARY_SPLIT_DEVICE_KEY_FILE=str(shelf.folder / "device.key"))
            ran = named.run("verify", *shelf.age, "--identity", shelf.folder / "identity")
        assert ran.status == 0, ran
        assert server.requests[0].startswith(b"POST /v1/keys/acme-2026/release HTTP")
