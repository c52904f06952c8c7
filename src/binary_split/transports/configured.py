"""What the settings say of how archives are read from servers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from binary_split.config import LIMITS, Settings
from binary_split.sizes import parse_size
from binary_split.transports.mirrors import parse_mirrors
from binary_split.transports.options import CacheOptions, HttpOptions


def configured(
    settings: Settings, options: HttpOptions, *, cache: Path | None = None, cache_size: str | None = None
) -> HttpOptions:
    """Return options with what the settings say beside them.

    Args:
        settings: name the cache and the mirrors.
        options: what else is known.
        cache: the cache's folder, before the settings'.
        cache_size: how large it may be, before the settings'.

    Raises:
        ConfigError: a setting makes no sense.
    """
    folder, size = cache or settings.cache, cache_size or settings.cache_size
    max_bytes = LIMITS.cache_bytes if size is None else parse_size(size)
    return replace(
        options,
        cache=CacheOptions(folder, max_bytes) if folder else None,
        mirrors=parse_mirrors(settings.mirrors),
    )
