"""An archive in a registry as a byte source: which registry has it, and which blob it is."""

from __future__ import annotations

import threading
from collections import deque
from functools import partial

from binary_split.config import LIMITS
from binary_split.errors import ArchiveError, ConfigError
from binary_split.transports.mirrors import find_mirrors
from binary_split.transports.options import HttpOptions
from binary_split.transports.registry.client import Registry
from binary_split.transports.registry.reference import RegistryReference
from binary_split.transports.web.places import Place, Places
from binary_split.transports.web.ranges import RangeClient
from binary_split.transports.web.source import HttpSource


def open_registry(text: str, options: HttpOptions) -> HttpSource:
    """Open an archive in a registry, or in a mirror of it.

    The first that has the artifact says which blob it is; the others may go on with the same one.

    Raises:
        ConfigError: the reference or an option makes no sense.
        ArchiveError: as for `Registry.find_archive` and `HttpSource`.
    """
    RegistryReference.parse(text)
    left = deque((*find_mirrors(text, options), (text, options)))
    while True:
        each, theirs = left.popleft()
        try:
            registry = Registry(RegistryReference.parse(each), theirs)
            patience_s = LIMITS.mirror_patience_s if left else LIMITS.fetch_deadline_s
            digest = registry.find_archive(patience_s)
            break
        except (ArchiveError, ConfigError) as error:
            if not left:
                raise
            options.note(f"{error}; going on with {left[0][0]}")
    later = (Place(other, partial(_open_later, other, their, digest)) for other, their in left)
    places = [Place(each, partial(registry.open_blob, digest)), *later]
    return HttpSource(Places(places, options.note, options.deadline_s), options)


def _open_later(text: str, options: HttpOptions, digest: str, ended: threading.Event) -> RangeClient:
    return Registry(RegistryReference.parse(text), options).open_blob(digest, ended)
