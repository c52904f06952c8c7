"""The argument ARCHIVE where it may be a URL, and the options that say how its server is reached."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from binary_split.cli.options import FILE, NAMED_FILE, complete_place
from binary_split.cli.output import printable, warn
from binary_split.config import load_settings
from binary_split.transports import HttpLocation, keeping, parse_location
from binary_split.transports.configured import ArchiveServers, configured

_OPTIONS = (
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
    click.option("--proxy-login", type=NAMED_FILE, metavar="F", help="File with the proxy's USER:PASSWORD."),
    click.option("--limit-rate", metavar="RATE", help="Read a URL no faster: bytes/s, or 500k, 2M, 1G."),
    click.option(
        "--deadline",
        metavar="TIME",
        help="Give a URL up that was not read within this: 90s, 30m, 6h, 2d.",
    ),
    click.option(
        "--cache",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Keep what was read from a URL there, sealed as it is: what is broken off goes on from there "
        "[env: BINARY_SPLIT_CACHE].",
    ),
    click.option("--cache-size", metavar="SIZE", help="How large the cache may be: 700M, 2G. [default: 4G]"),
)
_INSECURE = click.option(
    "--insecure-http", is_flag=True, help="Allow plain http to the archive's server beyond loopback."
)

_Command = Callable[..., Any]


def archive_place(
    *, required: bool = True, has_insecure_http: bool = False
) -> Callable[[_Command], _Command]:
    """Add the argument, which the command gets as an `ArchiveLocation`, and the options of its server.

    Args:
        required: whether it must be given; else None may come.
        has_insecure_http: the command has the option ``--insecure-http`` itself, for more than the archive.
    """

    def add(command: _Command) -> _Command:
        result = _with_place(command, passes_insecure_http=has_insecure_http)
        options = _OPTIONS if has_insecure_http else (*_OPTIONS, _INSECURE)
        argument = click.argument(
            "archive",
            metavar="ARCHIVE" if required else "[ARCHIVE]",
            required=required,
            shell_complete=complete_place,
        )
        for option in reversed((argument, *options)):
            result = option(result)
        return result

    return add


def _with_place(command: _Command, *, passes_insecure_http: bool) -> _Command:
    @wraps(command)
    def with_place(
        *,
        archive: str | None,
        archive_ca: Path | None,
        client_cert: Path | None,
        proxy: str | None,
        proxy_login: Path | None,
        limit_rate: str | None,
        deadline: str | None,
        insecure_http: bool,
        cache: Path | None,
        cache_size: str | None,
        **rest: Any,
    ) -> Any:
        if passes_insecure_http:
            rest["insecure_http"] = insecure_http
        if archive is None:
            return command(archive=None, **rest)
        given = ArchiveServers(archive_ca, client_cert, proxy, proxy_login, limit_rate, deadline)
        location = parse_location(archive, given.parse())
        if isinstance(location, HttpLocation):  # a file is read whatever the settings say
            options = configured(
                load_settings(),
                given,
                cache=cache,
                cache_size=cache_size,
                insecure_http=insecure_http,
                note=lambda text: warn(printable(text)),
            )
            location = HttpLocation(location.url, options)
        with keeping(location) as place:
            return command(archive=place, **rest)

    return with_place
