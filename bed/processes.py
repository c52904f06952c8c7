"""End processes that the bed started, and only those; unmount what they mounted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

_GONE_TIMEOUT_S = 10
_PROC = Path("/proc")


def ending_with_parent() -> list[str]:
    """Return a command prefix that ends a child when we die, so that a killed test run leaves no engine."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def end(process: subprocess.Popen[bytes], *, timeout_s: float) -> None:
    """Ask a child to end, and make it end when it does not in time."""
    process.terminate()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_below(folder: Path) -> None:
    """Kill what still runs on behalf of ``folder``: containerd, its shims and their containers.

    They are known by the folder's unique path in their command line, or as children of one that has it.
    """
    deadline = time.monotonic() + _GONE_TIMEOUT_S
    while pids := _started_for(folder):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes of {folder} do not end: {sorted(pids)}")
        time.sleep(0.05)


def unmount_below(folder: Path) -> None:
    """Unmount every mount point below ``folder``, the deepest first."""
    mounts = [line.split()[4] for line in (_PROC / "self/mountinfo").read_text().splitlines()]
    below = {_unescape(mount) for mount in mounts if _unescape(mount).startswith(f"{folder}/")}
    for mount in sorted(below, key=len, reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)


def _unescape(mount: str) -> str:
    return mount.replace("\\040", " ")


def _started_for(folder: Path) -> set[int]:
    marker = f"{folder}/".encode()
    parents: dict[int, int] = {}
    found: set[int] = set()
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            if after_name[0] in "ZX":
                continue
            parents[int(entry.name)] = int(after_name[1])
            if _is_engine_process(entry, marker):
                found.add(int(entry.name))
    while children := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= children
    return found


def _is_engine_process(entry: Path, marker: bytes) -> bool:
    """Tell whether this is an engine's program: a shell or editor that names the folder is not."""
    name = (entry / "comm").read_text().strip()
    return (
        name.startswith(("dockerd", "containerd", "runc", "docker-", "podman", "conmon"))
        and marker in (entry / "cmdline").read_bytes()
    )
