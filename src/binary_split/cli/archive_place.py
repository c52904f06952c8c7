"""The argument ARCHIVE where it may be a URL, and the options that say how its server is reached."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from binary_split.cli.options import FILE, complete_place
from binary_split.errors import ConfigError
from binary_split.transports import parse_location
from binary_split.transports.options import HttpOptions

_RATE = re.compile(r"([1-9][0-9]{0,9})([kMG]?)")
_FACTORS = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3}

_OPTIONS = (
    click.argument("archive", metavar="ARCHIVE", shell_complete=complete_place),
    click.option(
        "--archive-ca", type=FILE, metavar="F", help="The only CA to trust for the archive's server, in PEM."
    ),
    click.option(
        "--client-cert",
        type=FILE,
        metavar="F",
        help="Certificate and key of this machine, in PEM, shown to the archive's server.",
    ),
    click.option("--proxy", metavar="URL", help="Proxy to the archive's server; no other is used."),
    click.option("--limit-rate", metavar="RATE", help="Read a URL no faster: bytes/s, or 500k, 2M, 1G."),
)


def archive_place(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument, which the command gets as an `ArchiveLocation`, and the options of its server."""

    @wraps(command)
    def with_place(
        *,
        archive: str,
        archive_ca: Path | None,
        client_cert: Path | None,
        proxy: str | None,
        limit_rate: str | None,
        **rest: Any,
    ) -> Any:
        options = HttpOptions(
            ca_file=archive_ca,
            client_certificate=client_cert,
            proxy=proxy,
            bytes_per_s=parse_rate(limit_rate),
            insecure_http=rest.get("insecure_http", False),
        )
        return command(archive=parse_location(archive, options), **rest)

    result: Callable[..., Any] = with_place
    for option in reversed(_OPTIONS):
        result = option(result)
    return result


def parse_rate(text: str | None) -> int | None:
    """Parse a rate in bytes a second: ``500k`` is 500,000.

    Raises:
        ConfigError: it is none.
    """
    if text is None:
        return None
    match = _RATE.fullmatch(text)
    if match is None:
        raise ConfigError(f"not a rate: {text[:40]!r}", hint="Write bytes a second, or 500k, 2M, 1G.")
    return int(match[1]) * _FACTORS[match[2]]
