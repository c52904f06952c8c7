"""Engines that are reached by other ways than a socket on this machine, for real: TLS, ssh, contexts."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from bed.certs import make_authority, make_leaf
from bed.dockerd import PrivateDockerd
from bed.podman import PrivatePodman
from bed.private import free_port
from bed.sshd import PrivateSshd
from bed.unavailable import Unavailable
from binary_split.engines import Abort, IdKind, LayerReuse, open_engine
from binary_split.errors import (
    BinarySplitError,
    ConfigError,
    EngineAbortedError,
    EngineAnswerError,
    EnginePermissionError,
    EngineProgramMissingError,
    EngineTlsError,
    EngineUnreachableError,
)
from tests.archives import Sealed, read_images
from tests.engines.conftest import stopped, wait_for_none
from tests.lending import lent

pytestmark = [pytest.mark.slow]


@dataclass(frozen=True)
class TlsEngine:
    """An engine that listens on loopback and asks for a certificate, and a client's folder that has one."""

    address: str
    folder: Path
    engine: PrivateDockerd


@pytest.fixture(scope="module")
def tls_engine(
    could_not_run: Callable[[Unavailable], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TlsEngine]:
    folder = tmp_path_factory.mktemp("tls")
    authority = make_authority("Engine CA")
    server, client = make_leaf(authority, names=("127.0.0.1",)), make_leaf(authority)
    authority.write_certificate(folder / "ca.pem")
    for name, identity in (("server", server), ("", client)):
        identity.write_certificate(folder / f"{name}cert.pem")
        (folder / f"{name}key.pem").write_bytes(identity.key_pem)
    address = f"tcp://127.0.0.1:{free_port()}"
    files = {"cacert": "ca.pem", "cert": "servercert.pem", "key": "serverkey.pem"}
    options = [f"--tls{option}={folder / name}" for option, name in files.items()]
    options = ["--host", address, "--tlsverify", *options]
    with lent(lambda: PrivateDockerd(options=options), could_not_run) as engine:
        yield TlsEngine(address, folder, engine)


@pytest.fixture
def client_folder(
    tls_engine: TlsEngine, clean_docker_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Path:
    """The client's own TLS files, which a test may spoil."""
    tls_engine.engine.empty()
    folder = tmp_path / "client"
    folder.mkdir()
    for name in ("ca.pem", "cert.pem", "key.pem"):
        shutil.copy(tls_engine.folder / name, folder / name)
    monkeypatch.setenv("DOCKER_HOST", tls_engine.address)
    monkeypatch.setenv("DOCKER_CERT_PATH", str(folder))
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    return folder


@pytest.mark.engine
class TestTls:
    def test_an_engine_behind_tls_is_loaded_and_asked(
        self, client_folder: Path, tls_engine: TlsEngine, release: Sealed
    ) -> None:
        engine = open_engine(None)
        assert engine.describe().address == tls_engine.address
        assert engine.describe().data_root is None
        engine.load(iter([release.tar.read_bytes()]))
        with ThreadPoolExecutor(4) as pool:
            found = dict(zip(release.images, pool.map(engine.find_image, release.images), strict=True))
        assert found == read_images(release.tar)
        assert sum(map(len, engine.save(release.images))) > 1_000_000

    def test_the_words_of_an_engine_that_refuses_come_through(self, client_folder: Path) -> None:
        with pytest.raises(BinarySplitError, match="no such file"):
            open_engine(None).load(iter([bytes(10240)]))

    def test_an_abort_ends_a_load_within_a_second(self, client_folder: Path, tls_engine: TlsEngine) -> None:
        engine, abort, begun = open_engine(None), Abort(), threading.Event()

        def chunks() -> Iterator[bytes]:
            while True:
                yield bytes(1 << 20)
                begun.set()

        with ThreadPoolExecutor(1) as pool:
            load = pool.submit(engine.load, chunks(), abort=abort)
            assert begun.wait(10)
            with stopped(tls_engine.engine.pid):
                time.sleep(0.5)
                at = time.monotonic()
                abort.set()
                with pytest.raises(EngineAbortedError):
                    load.result(5)
                assert time.monotonic() - at < 1
        assert wait_for_none(lambda: [str(path) for path in tls_engine.engine.leftover_files()]) == []

    def test_an_engine_of_another_authority_is_refused(self, client_folder: Path) -> None:
        make_authority("Engine CA").write_certificate(client_folder / "ca.pem")
        with pytest.raises(EngineTlsError):
            open_engine(None)

    def test_an_engine_of_another_name_is_refused(
        self, client_folder: Path, tls_engine: TlsEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", tls_engine.address.replace("127.0.0.1", "localhost"))
        with pytest.raises(EngineTlsError):
            open_engine(None)

    def test_a_client_of_another_authority_is_refused(self, client_folder: Path) -> None:
        stranger = make_leaf(make_authority("Engine CA"))
        stranger.write_certificate(client_folder / "cert.pem")
        (client_folder / "key.pem").write_bytes(stranger.key_pem)
        with pytest.raises(EngineTlsError):
            open_engine(None)

    @pytest.mark.parametrize("name", ["ca.pem", "cert.pem", "key.pem"])
    def test_a_missing_or_malformed_file_is_a_wrong_setting(self, client_folder: Path, name: str) -> None:
        (client_folder / name).write_text("this is no PEM")
        with pytest.raises(ConfigError, match=str(client_folder)):
            open_engine(None)
        (client_folder / name).unlink()
        with pytest.raises(ConfigError, match=str(client_folder)):
            open_engine(None)

    def test_plain_tcp_to_an_engine_behind_tls_says_so(
        self, client_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("DOCKER_CERT_PATH")
        monkeypatch.delenv("DOCKER_TLS_VERIFY")
        with pytest.raises(EngineAnswerError, match="HTTPS"):
            open_engine(None)

    def test_a_context_brings_its_own_files(
        self, client_folder: Path, tls_engine: TlsEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add_tls_context(client_folder, tls_engine.address)
        for name in ("DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("DOCKER_CONTEXT", "far")
        assert open_engine(None).describe().address == tls_engine.address

    def test_a_context_that_does_not_verify_its_engine_is_refused(
        self, client_folder: Path, tls_engine: TlsEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add_tls_context(client_folder, tls_engine.address, skip_tls_verify=True)
        for name in ("DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("DOCKER_CONTEXT", "far")
        with pytest.raises(ConfigError, match="verify"):
            open_engine(None)


def add_tls_context(files: Path, address: str, *, skip_tls_verify: bool = False) -> None:
    """Make a context as `docker context create far --docker host=…,ca=…,cert=…,key=…` does."""
    root = Path(os.environ["DOCKER_CONFIG"])
    digest = hashlib.sha256(b"far").hexdigest()
    meta, tls = root / "contexts" / "meta" / digest, root / "contexts" / "tls" / digest / "docker"
    meta.mkdir(parents=True)
    tls.mkdir(parents=True)
    (root / "config.json").write_text("{}")
    endpoint = {"Host": address, "SkipTLSVerify": skip_tls_verify}
    document = {"Name": "far", "Metadata": {}, "Endpoints": {"docker": endpoint}}
    (meta / "meta.json").write_text(json.dumps(document))
    for name in ("ca.pem", "cert.pem", "key.pem"):
        shutil.copy(files / name, tls / name)


@pytest.fixture
def sshd(
    fresh_device: PrivateDockerd,
    clean_docker_environment: None,
    could_not_run: Callable[[Unavailable], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[PrivateSshd]:
    """A way to the device by ssh."""
    with lent(lambda: PrivateSshd({"DOCKER_HOST": fresh_device.host}), could_not_run) as server:
        monkeypatch.setenv("PATH", server.search_path)
        monkeypatch.setenv("DOCKER_HOST", server.address)
        yield server


@pytest.mark.engine
class TestSsh:
    def test_an_engine_behind_ssh_is_loaded_and_asked(self, sshd: PrivateSshd, release: Sealed) -> None:
        engine = open_engine(None)
        assert engine.describe().address == sshd.address
        assert engine.describe().data_root is None
        engine.load(iter([release.tar.read_bytes()]))
        assert {ref: engine.find_image(ref) for ref in release.images} == read_images(release.tar)
        assert sum(map(len, engine.save(release.images))) > 1_000_000

    def test_the_path_of_an_address_is_the_far_socket(
        self, sshd: PrivateSshd, vendor_engine: PrivateDockerd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", sshd.address + vendor_engine.host.removeprefix("unix://"))
        found = {str(ref) for image in open_engine(None).list_images() for ref in image.refs}
        assert found == set(vendor_engine.image_ids())

    def test_an_abort_ends_a_load_within_a_second(
        self, sshd: PrivateSshd, fresh_device: PrivateDockerd
    ) -> None:
        engine, abort, begun = open_engine(None), Abort(), threading.Event()

        def chunks() -> Iterator[bytes]:
            while True:
                yield bytes(1 << 20)
                begun.set()

        with ThreadPoolExecutor(1) as pool:
            load = pool.submit(engine.load, chunks(), abort=abort)
            assert begun.wait(10)
            with stopped(fresh_device.pid):
                time.sleep(0.5)
                at = time.monotonic()
                abort.set()
                with pytest.raises(EngineAbortedError):
                    load.result(5)
                assert time.monotonic() - at < 1
        assert wait_for_none(lambda: [str(path) for path in fresh_device.leftover_files()]) == []

    def test_an_engine_that_refuses_is_heard(self, sshd: PrivateSshd) -> None:
        with pytest.raises(BinarySplitError, match="no such file"):
            open_engine(None).load(iter([bytes(10240)]))

    def test_who_may_not_log_in_is_not_permitted(self, sshd: PrivateSshd) -> None:
        sshd.refuse_user()
        with pytest.raises(EnginePermissionError, match="publickey"):
            open_engine(None)

    def test_a_host_that_is_not_known_is_not_spoken_to(self, sshd: PrivateSshd) -> None:
        sshd.forget_host()
        with pytest.raises(EngineUnreachableError, match="Host key verification failed"):
            open_engine(None)

    def test_a_server_that_is_gone_is_unreachable(self, sshd: PrivateSshd) -> None:
        sshd.end()
        with pytest.raises(EngineUnreachableError, match="refused"):
            open_engine(None)

    def test_a_far_engine_that_is_gone_is_unreachable(
        self, sshd: PrivateSshd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", f"{sshd.address}/run/absent.sock")
        with pytest.raises(EngineUnreachableError):
            open_engine(None)

    def test_podman_is_reached_in_the_same_way(
        self, sshd: PrivateSshd, fresh_podman: PrivatePodman, monkeypatch: pytest.MonkeyPatch, release: Sealed
    ) -> None:
        monkeypatch.setenv("CONTAINER_HOST", f"{sshd.address}{fresh_podman.socket}")
        engine = open_engine("podman")
        assert engine.describe().kind == "podman"
        engine.load(iter([release.tar.read_bytes()]))
        assert {ref: engine.find_image(ref) for ref in release.images} == read_images(release.tar)


class TestAddresses:
    @pytest.mark.parametrize(
        "address",
        [
            "",
            "unix://",
            "tcp://",
            "tcp://host:port",
            "ssh://",
            "ssh://-oProxyCommand=x",
            "npipe:////./x",
            "x",
        ],
    )
    @pytest.mark.parametrize("variable", ["DOCKER_HOST", "CONTAINER_HOST"])
    def test_what_is_no_address_is_a_wrong_setting(
        self,
        clean_docker_environment: None,
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
        address: str,
    ) -> None:
        monkeypatch.setenv(variable, address or "://")
        with pytest.raises(ConfigError, match="address"):
            open_engine("docker" if variable == "DOCKER_HOST" else "podman")

    def test_an_address_with_a_password_is_refused_and_not_shown(
        self, clean_docker_environment: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", "ssh://user:hunter2@127.0.0.1")
        with pytest.raises(ConfigError) as caught:
            open_engine(None)
        assert "hunter2" not in f"{caught.value!r} {caught.value.hint}"

    def test_without_ssh_that_is_said(
        self, clean_docker_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", "ssh://user@127.0.0.1")
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(EngineProgramMissingError, match="ssh"):
            open_engine(None)


@pytest.mark.engine
class TestPodmansAddress:
    def test_by_container_host(
        self, clean_docker_environment: None, fresh_podman: PrivatePodman, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CONTAINER_HOST", fresh_podman.host)
        description = open_engine("podman").describe()
        assert (description.kind, description.address) == ("podman", fresh_podman.host)
        assert description.data_root == fresh_podman.data_root
        assert (description.id_kind, description.reuse) == (IdKind.CONFIG, LayerReuse.IMAGE)

    def test_podman_at_dockers_address_is_seen_to_be_podman(
        self, clean_docker_environment: None, fresh_podman: PrivatePodman, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", fresh_podman.host)
        assert open_engine("docker").describe().kind == "podman"

    def test_docker_at_podmans_address_is_a_wrong_setting(
        self, clean_docker_environment: None, fresh_device: PrivateDockerd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CONTAINER_HOST", fresh_device.host)
        with pytest.raises(ConfigError, match="not Podman"):
            open_engine("podman")

    def test_without_a_service_the_error_says_how_to_start_it(
        self, clean_docker_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("CONTAINER_HOST", f"unix://{tmp_path}/absent.sock")
        with pytest.raises(EngineUnreachableError) as caught:
            open_engine("podman")
        assert "podman.socket" in caught.value.hint
