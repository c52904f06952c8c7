"""Run a program in another Debian's folder, in a mount namespace of its own: what it mounts ends with it."""

from __future__ import annotations

import shutil
from pathlib import Path

from bed.unavailable import Unavailable

# The namespace hides every mount from the rest of the machine, and the kernel takes it back when the last
# process in it has ended, however that ended. pivot_root and not chroot: a container engine moves roots about
# itself (`docker cp`), which the kernel refuses below a chroot.
_ENTER = """
root=$1 folder=$2
shift 2
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs run
mkdir -p ".$folder"
mount --bind "$folder" ".$folder"
pivot_root . .
umount -l .
cd /
exec "$@"
"""
_NEEDED = ("unshare", "mount", "umount", "pivot_root")


def entering(root: Path, folder: Path) -> list[str]:
    """Return a command prefix that runs a program in ``root``, where ``folder`` has the same path as here.

    ``folder`` is a mount point there, which containerd needs. The program keeps the process id that it was
    started with. It needs root's rights.

    Raises:
        Unavailable: a program that this needs is not installed.
    """
    for name in _NEEDED:
        if shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            raise Unavailable(name, "is not installed")
    script = ["sh", "-ec", _ENTER, "sh", str(root), str(folder)]
    return ["unshare", "--mount", "--propagation", "private", "--", *script]
