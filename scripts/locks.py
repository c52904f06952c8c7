"""What `requirements/` locks, and whether that holds: pinned, hashed, from no named place, one version each.

Run as a program it is a check, without a network: see `main`.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = ("agent", "keyservice")
"""The locks of what is shipped."""
_EXTRAS = {
    "agent": ("agent",),
    "keyservice": ("keyservice", "postgres", "qr", "vault"),
    "dev": ("agent", "keyservice", "postgres", "qr", "vault", "dev"),
}
_LOCKS = ("agent", "build", "dev", "keyservice", "release")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}(?= |$)")
_PLACE = re.compile(r"://|--(?:extra-)?index-url|--find-links|--trusted-host")
_INSTALLERS = (".ci/*", "Makefile", "deploy/Containerfile*", "scripts/*")
# A command that fetches from a registry, to the end of its lines; each must say that hashes are asked for.
_FETCH = re.compile(
    r"^(?!\s*#).*\b(?:pip|pipx|npm)\b.*\b(?:install|download|wheel)\b(?:.*\\\n)*.*$", re.MULTILINE
)
_BOUND = ("--require-hashes", "--no-deps")


def read_lock(name: str) -> dict[str, Requirement]:
    """Return what a lock pins for a machine like this one, by name."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8").replace("\\\n", "").splitlines()
    rows = [
        Requirement(line.split(" --hash")[0]) for line in lines if line and not line.lstrip().startswith("#")
    ]
    return {canonicalize_name(row.name): row for row in rows if row.marker is None or row.marker.evaluate()}


def find_faults() -> Iterator[str]:
    """Say what is wrong, a line each."""
    for name in _LOCKS:
        yield from unpinned(name, (ROOT / "requirements" / f"{name}.txt").read_text("utf-8"))
    tested = read_lock("dev")
    for name in (*RUNTIME, "build"):
        yield from differing(name, read_lock(name), tested)
    for name, extras in _EXTRAS.items():
        yield from outdated(name, read_lock(name), _wanted(extras))
    for path in sorted(path for pattern in _INSTALLERS for path in ROOT.glob(pattern)):
        if path.is_file() and path != Path(__file__):
            yield from unbound(path.name, path.read_text("utf-8"))


def unpinned(name: str, text: str) -> Iterator[str]:
    """Find what a lock leaves open, and places that it names."""
    for line in text.replace("\\\n", "").splitlines():
        if _PLACE.search(line):
            yield f"{name}.txt names a place: {line.strip()[:80]}"
        if line and not line.lstrip().startswith("#") and ("==" not in line or not _HASH.search(line)):
            yield f"{name}.txt does not pin and hash {line.split()[0]}"


def differing(name: str, lock: dict[str, Requirement], tested: dict[str, Requirement]) -> Iterator[str]:
    """Find what is shipped in another version than the tests run with."""
    for library in sorted(lock.keys() & tested.keys()):
        if lock[library].specifier != tested[library].specifier:
            yield f"{name}.txt has {lock[library]}, and the tests run with {tested[library]}"


def outdated(name: str, lock: dict[str, Requirement], wanted: Sequence[Requirement]) -> Iterator[str]:
    """Find what pyproject.toml asks for and a lock does not give."""
    for requirement in wanted:
        pin = lock.get(canonicalize_name(requirement.name))
        version = next(iter(pin.specifier)).version if pin else None
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            yield f"{name}.txt does not give {requirement}: run scripts/lock"


def unbound(name: str, text: str) -> Iterator[str]:
    """Find commands that would fetch whatever a registry has today."""
    for match in _FETCH.finditer(text):
        if not any(bound in match[0] for bound in _BOUND):
            yield f"{name} fetches without hashes: {match[0].strip()[:80]}"


def main() -> int:
    """Print every fault; 1 if there is one."""
    faults = list(find_faults())
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def _wanted(extras: Sequence[str]) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    rows = [
        *project["dependencies"],
        *(row for extra in extras for row in project["optional-dependencies"][extra]),
    ]
    found = [Requirement(row) for row in rows if not row.startswith("binary-split[")]
    return [row for row in found if row.marker is None or row.marker.evaluate()]


if __name__ == "__main__":
    sys.exit(main())
