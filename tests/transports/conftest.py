from __future__ import annotations

import os
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
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose files the server's own user can read."""
    root = tmp_path_factory.mktemp("www")
    for folder in (root, *root.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    return root


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
