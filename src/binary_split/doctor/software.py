"""Which Python and which libraries do the work."""

from __future__ import annotations

import platform
import re
import ssl
from importlib.metadata import PackageNotFoundError, requires, version

from binary_split.doctor.facts import Facts
from binary_split.doctor.finding import Judgement, bad, good
from binary_split.version import __version__

_NAMED = ("cryptography", "requests", "docker")
# What our own metadata asks for always, such as "cryptography>=47"; what has a condition is passed over.
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)>=([0-9.]+)")


def check_software(_facts: Facts) -> Judgement:
    """Judge the versions by what this program's own metadata asks for."""
    words = f"binary-split {__version__}, Python {platform.python_version()}, {ssl.OPENSSL_VERSION}"
    words += "".join(f", {name} {found}" for name in _NAMED if (found := _version_of(name)))
    lacking = [
        f"{name} {_version_of(name) or 'is missing'}, and {least} is needed"
        for name, least in _requirements()
        if _parse(_version_of(name)) < _parse(least)
    ]
    if lacking:
        return bad("; ".join(lacking), "Install the program again, so that its libraries are those it needs.")
    return good(words)


def _requirements() -> list[tuple[str, str]]:
    try:
        lines = requires("binary-split") or []
    except PackageNotFoundError:  # run from its source
        return []
    found = (_REQUIREMENT.fullmatch(line) for line in lines)
    return [(match[1], match[2]) for match in found if match]


def _version_of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _parse(text: str) -> tuple[int, ...]:
    """Return a version's leading numbers; none where there is no version."""
    match = re.match(r"[0-9]+(?:\.[0-9]+)*", text)
    return tuple(map(int, match[0].split("."))) if match else ()
