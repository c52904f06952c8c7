from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bed.certs import Identity, make_authority, make_leaf
from bed.nginx import PrivateNginx
from bed.unavailable import Unavailable


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
    server = PrivateNginx(root, make_leaf(authority))
    try:
        server.start()
    except Unavailable as missing:
        could_not_run(missing)
    yield server
    server.stop()


@pytest.fixture
def ca_file(authority: Identity, tmp_path: Path) -> Path:
    return authority.write_certificate(tmp_path / "ca.pem")
