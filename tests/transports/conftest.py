from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bed.breaking_proxy import BreakingProxy
from bed.certs import Identity, make_authority, make_leaf
from bed.lying_proxy import LyingProxy
from bed.nginx import PrivateNginx
from bed.registry import PrivateRegistry
from bed.unavailable import Unavailable
from binary_split.config import LIMITS, Limits
from binary_split.transports.options import HttpOptions
from tests.lending import lent
from tests.transports.carriers import (
    Carrier,
    FileCarrier,
    PartsCarrier,
    RegistryCarrier,
    WebCarrier,
    WebPartsCarrier,
    log_in,
)

SOON = replace(
    LIMITS, backoff_first_s=0.02, http_backoff_cap_s=0.1, http_patience_s=1.5, fetch_deadline_s=1.0
)


@pytest.fixture(scope="package")
def authority() -> Identity:
    return make_authority()


@pytest.fixture(scope="package")
def root() -> Iterator[Path]:
    """A folder that the server's own user can read, as it cannot read pytest's."""
    with tempfile.TemporaryDirectory(prefix="bed-www-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="package")
def nginx(
    root: Path, authority: Identity, could_not_run: Callable[[Unavailable], None]
) -> Iterator[PrivateNginx]:
    with lent(lambda: PrivateNginx(root, make_leaf(authority)), could_not_run) as server:
        yield server


@pytest.fixture(scope="package")
def registry(could_not_run: Callable[[Unavailable], None]) -> Iterator[PrivateRegistry]:
    with lent(PrivateRegistry, could_not_run) as server:
        yield server


@pytest.fixture(scope="package")
def closed_registry(
    authority: Identity, could_not_run: Callable[[Unavailable], None]
) -> Iterator[PrivateRegistry]:
    """A registry with https and a password."""
    with lent(lambda: PrivateRegistry(make_leaf(authority), is_closed=True), could_not_run) as server:
        yield server


@pytest.fixture
def ca_file(authority: Identity, tmp_path: Path) -> Path:
    return authority.write_certificate(tmp_path / "ca.pem")


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have no logins of a user's; give the folder where they would be."""
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon, and give up soon."""
    set_limits(monkeypatch, SOON)


def set_limits(monkeypatch: pytest.MonkeyPatch, limits: Limits) -> None:
    """Have all transports keep these."""

    for name, module in list(sys.modules.items()):
        if name.startswith("binary_split.transports.") and hasattr(module, "LIMITS"):
            monkeypatch.setattr(module, "LIMITS", limits)


CARRIERS = [
    "file",
    "parts",
    "http",
    "https",
    "broken-http",
    "broken-https",
    "lying-http",
    "parts-https",
    "registry",
    "closed-registry",
]


@pytest.fixture(params=CARRIERS)
def carrier(request: pytest.FixtureRequest, soon: None, tmp_path: Path) -> Iterator[Carrier]:
    """Each way an archive comes, before a real server; the broken ones lose every connection in the end."""
    with ExitStack() as opened:
        yield _make_carrier(request, str(request.param), tmp_path, opened)


def _make_carrier(request: pytest.FixtureRequest, name: str, folder: Path, opened: ExitStack) -> Carrier:
    if name == "file":
        return FileCarrier(folder)
    if name == "parts":
        return PartsCarrier(folder)
    if name.endswith("registry"):
        options = HttpOptions()
        nobody: Path = request.getfixturevalue("nobody")
        registry: PrivateRegistry = request.getfixturevalue(name.replace("-", "_"))
        if name == "closed-registry":
            log_in(nobody, registry.host)
            options = HttpOptions(ca_file=request.getfixturevalue("ca_file"))
        return RegistryCarrier(folder, registry, options)
    nginx: PrivateNginx = request.getfixturevalue("nginx")
    if name == "parts-https":
        options = HttpOptions(ca_file=request.getfixturevalue("ca_file"))
        return WebPartsCarrier(request.getfixturevalue("root"), nginx.tls_url, options)
    port = nginx.tls_port if name.endswith("https") else nginx.port
    if name.startswith("broken"):
        port = opened.enter_context(BreakingProxy(port, seed=5, mean_bytes=700_000)).port
    if name.startswith("lying"):
        port = opened.enter_context(LyingProxy(port, seed=5)).port
    root: Path = request.getfixturevalue("root")
    if name.endswith("https"):
        options = HttpOptions(ca_file=request.getfixturevalue("ca_file"))
        return WebCarrier(root, f"https://localhost:{port}", options)
    return WebCarrier(root, f"http://127.0.0.1:{port}", HttpOptions())
