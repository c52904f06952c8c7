"""A newer Docker Engine than the machine's own, from Debian unstable, with either of its image stores."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from bed.dockerd import PrivateDockerd
from bed.unavailable import Unavailable

_SCRIPT = Path(__file__).parent.parent / "scripts" / "install-newer-engine"
_INSTALL_TIMEOUT_S = 900


def newer_dockerd(*, containerd_store: bool, parent: Path | None = None) -> PrivateDockerd:
    """Return a private engine, not started, with containerd's image store or else the classic one.

    The first call on a machine takes a minute: see `find_newer_root`.

    Args:
        containerd_store: as `PrivateDockerd` has it.
        parent: as `PrivateDockerd` has it.

    Raises:
        Unavailable: there is no newer engine and it cannot be installed.
    """
    return PrivateDockerd(containerd_store=containerd_store, parent=parent, root=find_newer_root())


def find_newer_root() -> Path:
    """Return the folder with the Debian that the newer engine lives in; it is made once and then kept.

    Raises:
        Unavailable: it cannot be made here.
    """
    root = cache_folder() / "newer-engine"
    if root.is_dir():
        return root
    try:
        subprocess.run(
            [_SCRIPT, root], check=True, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S
        )
    except subprocess.CalledProcessError as failed:
        raise Unavailable("newer dockerd", failed.stderr.strip().splitlines()[-1]) from failed
    except subprocess.TimeoutExpired as slow:
        raise Unavailable("newer dockerd", f"was not installed in {_INSTALL_TIMEOUT_S} s") from slow
    return root


def cache_folder() -> Path:
    """Return where the bed keeps what is slow to make: never in the repository, and kept over a reboot."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "/var/tmp") / "binary-split-tests"
