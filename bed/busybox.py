"""Find a static busybox: the one program that makes a hand-made image runnable without a registry."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from bed.unavailable import Unavailable

_INSTALLED = (Path("/bin/busybox"), Path("/usr/bin/busybox"))
_DOWNLOAD_TIMEOUT_S = 120
_ELF_MAGIC = b"\x7fELF"
_INTERPRETER_HEADER = b"/ld-"  # a dynamic program names its loader within the first page


def find_busybox(cache: Path | None = None) -> bytes:
    """Return the bytes of a static busybox: the installed one, else Debian's, unpacked into ``cache``.

    Raises:
        Unavailable: none is installed and this system cannot download one.
    """
    cache = cache or _default_cache()
    for path in (*_INSTALLED, *_unpacked(cache)):
        program = _read_static(path)
        if program is not None:
            return program
    _download(cache)
    for path in _unpacked(cache):
        program = _read_static(path)
        if program is not None:
            return program
    raise Unavailable("busybox", "the downloaded busybox-static holds no static program")


def fingerprint(program: bytes) -> str:
    """Return a short name for these bytes, to tell one busybox from another in a report."""
    return hashlib.sha256(program).hexdigest()[:12]


def _default_cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "binary-split-bed"


def _unpacked(cache: Path) -> tuple[Path, ...]:
    return cache / "busybox" / "bin" / "busybox", cache / "busybox" / "usr" / "bin" / "busybox"


def _read_static(path: Path) -> bytes | None:
    try:
        program = path.read_bytes()
    except OSError:
        return None
    if not program.startswith(_ELF_MAGIC) or _INTERPRETER_HEADER in program[:4096]:
        return None
    return program


def _download(cache: Path) -> None:
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise Unavailable("busybox", f"no static busybox is installed and there is no {tool} to get one")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=cache) as folder:
        _run("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", "busybox-static", cwd=folder)
        archives = sorted(Path(folder).glob("*.deb"))
        if not archives:
            raise Unavailable("busybox", "apt-get download busybox-static gave no file")
        unpacked = Path(folder) / "busybox"
        _run("dpkg", "-x", str(archives[0]), str(unpacked), cwd=folder)
        shutil.rmtree(cache / "busybox", ignore_errors=True)
        unpacked.rename(cache / "busybox")


def _run(*command: str, cwd: str) -> None:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable("busybox", f"{command[0]} took more than {_DOWNLOAD_TIMEOUT_S} s") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise Unavailable("busybox", f"{command[0]} failed: {last}")
