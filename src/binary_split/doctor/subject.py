"""What the doctor is to look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from binary_split.config import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from binary_split.errors import BinarySplitError
    from binary_split.transports import ArchiveLocation


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """This machine as an unlock would find it.

    Attributes:
        archive: which archive is to be unlocked; None looks at the machine alone.
        version: which it must be; a ``cbc`` archive does not say it itself.
        settings: everything else, what a command's options say included.
        settings_fault: why the settings could not be read, where they could not.
        trusted_keys: public keys of publishers, besides those in the settings' folder.
        is_release_wanted: ask the key service for the fragment, which may spend a use of a grant, and look
            into the archive with it.
    """

    archive: ArchiveLocation | None = None
    version: str | None = None
    settings: Settings = field(default_factory=Settings)
    settings_fault: BinarySplitError | None = None
    trusted_keys: tuple[Path, ...] = ()
    is_release_wanted: bool = False
