"""What can be said of a folder without writing there."""

from __future__ import annotations

import os
from pathlib import Path


def nearest_existing(folder: Path) -> Path:
    """Return a folder, or where it would be made."""
    return next((each for each in (folder, *folder.absolute().parents) if each.exists()), Path("/"))


def is_writable(folder: Path) -> bool:
    """Whether this user could make files in a folder, or the folder itself."""
    place = nearest_existing(folder)
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
