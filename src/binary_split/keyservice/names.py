"""Public ids of the store's rows, and the names that people give."""

from __future__ import annotations

import base64
import os
import re

from binary_split.errors import RecordError
from binary_split.model import is_key_id

_ID_BYTES = 8
ID_CHARACTERS = 12
_NAME_HINT = "A name is 1 to 64 of a-z, 0-9, '.', '_' and '-', and starts with a letter or digit."


def generate_id(prefix: str) -> str:
    """Return a new public id: the prefix and 12 characters."""
    return prefix + base64.b32encode(os.urandom(_ID_BYTES)).decode().lower()[:ID_CHARACTERS]


def is_id(prefix: str, text: str) -> bool:
    """Tell whether a text has the form of such an id."""
    return re.fullmatch(rf"{prefix}[a-z2-7]{{{ID_CHARACTERS}}}", text) is not None


def parse_name(text: str, *, what: str) -> str:
    """Return the text if it can name a key, a device or a group.

    Raises:
        RecordError: it cannot.
    """
    if not is_key_id(text):
        raise RecordError(f"not a {what}: {text[:100]!r}", hint=_NAME_HINT)
    return text
