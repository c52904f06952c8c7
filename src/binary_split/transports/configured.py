"""How archives are read from servers, as options of a command and the configuration file say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from binary_split.config import LIMITS, Settings, path_setting, text_setting, verify_known
from binary_split.sizes import parse_duration, parse_rate, parse_size
from binary_split.transports.mirrors import parse_mirrors
from binary_split.transports.options import CacheOptions, HttpOptions, Note, tell_nobody

_TABLE = "[archive]"


@dataclass(frozen=True, slots=True)
class ArchiveServers:
    """What is said of the servers that have archives, in the words of a person.

    Attributes:
        ca_file: the only CA to trust for them, PEM; without it, the system's.
        client_cert: certificate and key of this machine, PEM, shown to the archive's own server.
        proxy: URL of a proxy to them; no other is used.
        proxy_login: a file with the proxy's `USER:PASSWORD`.
        limit_rate: read no faster: bytes a second, or `500k`, `2M`, `1G`.
        deadline: give an archive up that was not read within `90s`, `30m`, `6h` or `2d`.
    """

    ca_file: Path | None = None
    client_cert: Path | None = None
    proxy: str | None = None
    proxy_login: Path | None = None
    limit_rate: str | None = None
    deadline: str | None = None

    def over(self, other: ArchiveServers) -> ArchiveServers:
        """Return what this says, and where it says nothing what another one does."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(other, **{name: value for name, value in said.items() if value is not None})

    def parse(self, *, insecure_http: bool = False, note: Note = tell_nobody) -> HttpOptions:
        """Return what it means.

        Args:
            insecure_http: as `HttpOptions` has it; it is said of one place, never of all.
            note: as `HttpOptions` has it.

        Raises:
            ConfigError: a rate or a time is none.
        """
        return HttpOptions(
            ca_file=self.ca_file,
            client_certificate=self.client_cert,
            proxy=self.proxy,
            proxy_login_file=self.proxy_login,
            bytes_per_s=None if self.limit_rate is None else parse_rate(self.limit_rate),
            deadline_s=None if self.deadline is None else parse_duration(self.deadline),
            insecure_http=insecure_http,
            note=note,
        )


def configured(
    settings: Settings,
    given: ArchiveServers | None = None,
    *,
    cache: Path | None = None,
    cache_size: str | None = None,
    insecure_http: bool = False,
    note: Note = tell_nobody,
) -> HttpOptions:
    """Return how servers are reached.

    Args:
        settings: say it where nothing else does, and name the mirrors.
        given: what comes before the settings.
        cache: the cache's folder, before the settings'.
        cache_size: how large it may be, before the settings'.
        insecure_http: as `HttpOptions` has it.
        note: as `HttpOptions` has it.

    Raises:
        ConfigError: a setting makes no sense.
    """
    folder, size = cache or settings.cache, cache_size or settings.cache_size
    max_bytes = LIMITS.cache_bytes if size is None else parse_size(size)
    said = _parse_table(settings.archive)
    servers = said if given is None else given.over(said)
    return replace(
        servers.parse(insecure_http=insecure_http, note=note),
        cache=CacheOptions(folder, max_bytes) if folder else None,
        mirrors=parse_mirrors(settings.mirrors),
    )


def _parse_table(table: Mapping[str, Any]) -> ArchiveServers:
    verify_known(_TABLE, table, {field.name for field in fields(ArchiveServers)})
    return ArchiveServers(
        ca_file=path_setting(table, "ca_file", where=_TABLE),
        client_cert=path_setting(table, "client_cert", where=_TABLE),
        proxy=text_setting(table, "proxy", where=_TABLE),
        proxy_login=path_setting(table, "proxy_login", where=_TABLE),
        limit_rate=text_setting(table, "limit_rate", where=_TABLE),
        deadline=text_setting(table, "deadline", where=_TABLE),
    )
