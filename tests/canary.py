"""What must be found nowhere: an image's plaintext, a fragment, a token; one way to look for it."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote_from_bytes

from binary_split.model import ImageRef

_STRETCH = 1 << 20
_SKIPPED = (0, 2, 3)  # characters of base64 that what stands before has a part in, by its length modulo 3


def canary_of(ref: ImageRef) -> bytes:
    """Return what stands in a layer of this image of the bed (see `bed.release`), and of no other."""
    return f'announce "{ref.name} {ref.tag}"'.encode()


def shapes_of(secret: bytes) -> tuple[bytes, ...]:
    """Return the forms in which a secret is told: as it is, in hex, in base64, as Python or a URL has it."""
    encoded = [
        b64encode(bytes(before) + secret)[skipped : 8 * (before + len(secret)) // 6]
        for before, skipped in enumerate(_SKIPPED)
    ]
    told = [secret.hex(), repr(secret)[2:-1], quote_from_bytes(secret)]
    return tuple(dict.fromkeys([secret, *encoded, *map(str.encode, told)]))


def files_with(words: Iterable[bytes], *places: Path) -> list[Path]:
    """Return the files at or below these places that hold any of the words, whatever goes away meanwhile."""
    words = tuple(words)
    return [path for place in places for path in _files(place) if _holds(path, words)]


def assert_in_no_file(words: Iterable[bytes], *places: Path, but: Collection[Path] = ()) -> None:
    """Check that no file below these places, but those that may, holds any of the words."""
    assert [path for path in files_with(words, *places) if path not in but] == []


def assert_in_no_text(words: Iterable[bytes], *texts: bytes | str) -> None:
    """Check that nothing that was said holds any of the words."""
    said = b"\n".join(text.encode() if isinstance(text, str) else text for text in texts)
    for word in words:
        assert word not in said


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    for folder, _folders, names in os.walk(place):
        for path in (Path(folder) / name for name in names):
            with suppress(OSError):
                if path.is_file() and not path.is_symlink():
                    yield path


def _holds(path: Path, words: tuple[bytes, ...]) -> bool:
    longest = max(map(len, words))
    seen = b""
    with suppress(FileNotFoundError), path.open("rb", buffering=0) as file:
        while stretch := file.read(_STRETCH):
            seen = seen[-longest:] + stretch
            if any(word in seen for word in words):
                return True
    return False
