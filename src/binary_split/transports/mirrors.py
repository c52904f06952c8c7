"""Mirrors: other places that have what lies below a location, and are asked before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from binary_split.config import LIMITS
from binary_split.errors import ConfigError
from binary_split.transports.options import HttpOptions, Mirror

_WEB, _REGISTRY = ("https://", "http://"), ("oci://",)
_KNOWN = {"ca_file", "insecure_http", "location", "places"}


def parse_mirrors(rows: object) -> tuple[Mirror, ...]:
    """Parse the tables ``[[mirror]]`` of the configuration file.

    Raises:
        ConfigError: one of them makes no sense.
    """
    if not isinstance(rows, list) or len(rows) > LIMITS.mirrors:
        raise ConfigError(f"[[mirror]] must be at most {LIMITS.mirrors} tables")
    return tuple(_parse_mirror(row) for row in rows)


def find_mirrors(url: str, options: HttpOptions) -> list[tuple[str, HttpOptions]]:
    """Return the mirrors of a place in their order, each with how it is reached.

    The longest location that the place lies below counts. What proves who we are goes to none of them.
    """
    below = [mirror for mirror in options.mirrors if _is_below(url, mirror.location)]
    if not below:
        return []
    mirror = max(below, key=lambda each: len(each.location))
    theirs = replace(
        options,
        client_certificate=None,
        ca_file=mirror.ca_file or options.ca_file,
        insecure_http=options.insecure_http or mirror.insecure_http,
        mirrors=(),
    )
    rest = url[len(mirror.location) :]
    return [(place + rest, theirs) for place in mirror.places]


def _is_below(url: str, location: str) -> bool:
    ends = "/?"
    if location.startswith(_REGISTRY):  # behind a host a colon is its port, behind a repository it is a tag
        ends = "/:@" if "/" in location.removeprefix("oci://") else "/"
    return url == location or any(url.startswith(location + end) for end in ends)


def _parse_mirror(row: object) -> Mirror:
    if not isinstance(row, Mapping) or not set(row) <= _KNOWN:
        raise ConfigError(f"[[mirror]] must be a table of {', '.join(sorted(_KNOWN))}")
    location, ca_file = _place(row.get("location")), row.get("ca_file")
    insecure_http = row.get("insecure_http", False)
    sort = _REGISTRY if location.startswith(_REGISTRY) else _WEB
    rows: Sequence[Any] = row.get("places") or ()
    places = tuple(map(_place, rows)) if isinstance(rows, list) else ()
    if not 0 < len(places) <= LIMITS.mirrors or not all(place.startswith(sort) for place in places):
        raise ConfigError(
            f"[[mirror]] of {location}: places must be a list of others of the same sort",
            hint='Write places = ["https://…"], or ["oci://…"] for a registry.',
        )
    if not isinstance(ca_file, str | None) or not isinstance(insecure_http, bool):
        raise ConfigError(f"[[mirror]] of {location}: ca_file is a text, insecure_http true or false")
    return Mirror(location, places, Path(ca_file) if ca_file else None, insecure_http)


def _place(text: object) -> str:
    if not isinstance(text, str) or not text.startswith((*_WEB, *_REGISTRY)):
        raise ConfigError(f"[[mirror]]: not a place: {str(text)[:200]!r}", hint="Write https://… or oci://…")
    return text.rstrip("/")
