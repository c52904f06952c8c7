"""What can be said of a folder without writing there."""

from __future__ import annotations

import os
from pathlib import Path

from binary_split.files import is_visible, is_visible_folder


def nearest_existing(folder: Path) -> Path:
    """Return a folder, or where it would be made."""
    return next((each for each in (folder, *folder.absolute().parents) if is_visible(each)), Path("/"))


def is_writable(folder: Path) -> bool:
    """Whether this user could make files in a folder, or the folder itself."""
    place = nearest_existing(folder)
    return is_visible_folder(place) and os.access(place, os.W_OK | os.X_OK)
