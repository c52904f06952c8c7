"""The agent reads archives from servers as the command does: from mirrors, and through the cache."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from bed.certs import make_authority, make_leaf
from bed.nginx import PrivateNginx
from bed.private import free_port
from bed.unavailable import Unavailable
from binary_split.config import MIB
from tests.agent.places import Place
from tests.commandline import CommandLine
from tests.releases import make_age_release

pytestmark = pytest.mark.slow


def test_mirrors_and_the_cache_are_those_of_the_settings(
    place: Place, cli: CommandLine, tmp_path: Path, could_not_run: Callable[[Unavailable], None]
) -> None:
    release = make_age_release(tmp_path / "release", filler_bytes=4 * MIB, filler_kind="random")
    with ExitStack() as later:
        root = Path(later.enter_context(tempfile.TemporaryDirectory(prefix="bed-www-")))
        root.chmod(0o755)
        shutil.copy(release.path, root / "bundle.age")
        (root / "bundle.age").chmod(0o644)
        server = PrivateNginx(root, make_leaf(make_authority()))
        try:
            server.start()
        except Unavailable as missing:
            could_not_run(missing)
        later.callback(server.stop)
        location = f"http://127.0.0.1:{free_port()}"  # nobody is there
        device = place.with_(
            archives={"cdn": f"{location}/bundle.age"},
            rest=f'[[mirror]]\nlocation = "{location}"\nplaces = ["{server.url}/none", "{server.url}"]',
        )
        cli = cli.with_environment(BINARY_SPLIT_CACHE=str(tmp_path / "cache"))
        with device.agent_started(cli) as (process, agent):
            agent.unlock()
            assert agent.wait()["state"] == "ready"
            process.terminate()
            _out, log = process.communicate(timeout=20)
        assert b"/none/bundle.age answers 404; going on with" in log
        looked = MIB  # at its start: which archive that is, and whether it is there already
        assert server.sent_bytes("/bundle.age") == release.path.stat().st_size + looked
    assert list((tmp_path / "cache").glob("*-*"))
