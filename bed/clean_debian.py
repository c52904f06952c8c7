"""A Debian with nothing in it but what is named, made for one run and gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bed.unavailable import Unavailable

_SCRIPT = Path(__file__).parent.parent / "scripts" / "clean-debian"
_TIMEOUT_S = 600


def verify_possible() -> None:
    """Check that a Debian can be made here.

    Raises:
        Unavailable: it cannot.
    """
    if shutil.which("mmdebstrap") is None:
        raise Unavailable("mmdebstrap", "is not installed")
    if os.geteuid() != 0:
        raise Unavailable("mmdebstrap", "only root can start a Debian with it")


class CleanDebian:
    """The smallest Debian of a release and some packages.

    Args:
        packages: what it has beside what each Debian has.
        suite: which Debian.
    """

    def __init__(self, packages: Sequence[str], suite: str = "bookworm") -> None:
        self._packages = packages
        self._suite = suite

    def run(self, folder: Path, command: str) -> str:
        """Copy a folder to its top, run a command in there, and return what that printed.

        Raises:
            Unavailable: it cannot be made here.
            AssertionError: the command failed; with the end of what it printed.
        """
        return self._make("/dev/null", [f"copy-in {folder} /", f'chroot "$1" {command}'])

    def write_tar(self, path: Path, *hooks: str) -> None:
        """Write it as a tar, after hooks as mmdebstrap(1) has them.

        Raises:
            Unavailable: it cannot be made here.
            AssertionError: a hook failed; with the end of what it printed.
        """
        self._make(str(path), hooks)

    def _make(self, target: str, hooks: Sequence[str]) -> str:
        verify_possible()
        command = [str(_SCRIPT), self._suite, target, f"--include={','.join(self._packages)}"]
        command += [f"--customize-hook={hook}" for hook in hooks]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        if done.returncode:
            raise AssertionError(f"{command[-1]} failed:\n{done.stderr[-4000:]}")
        return done.stderr  # where mmdebstrap lets hooks print
