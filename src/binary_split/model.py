"""The nouns of binary-split: frozen values that every layer may hold.

The words are those of ``docs/terminology.md``. Nothing here does I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn, Protocol

from binary_split.errors import ImageReferenceError

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
# distribution/reference: a path of lower-case components, perhaps behind a registry host, and a tag.
_NAME_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]+)?/)?"
_NAME = re.compile(rf"{_HOST}{_NAME_PART}(?:/{_NAME_PART})*")
TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
"""The form of an image's tag, and so of a release's version."""

_TAG = re.compile(TAG)
DEVICE_KEY_NEEDED = "urn:binary-split:problem:device-key-needed"
"""The type of the problem (RFC 9457) by which whoever may have a fragment is refused it in the plain."""

_KEY_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_NAME_MAX = 255
_DOCKERS_OWN = ("docker.io", "index.docker.io")


def is_key_id(text: str) -> bool:
    """Tell whether a text can name a fragment: ``[a-z0-9][a-z0-9._-]{0,63}``."""
    return _KEY_ID.fullmatch(text) is not None


def is_device_id(text: str) -> bool:
    """Tell whether a text can name a device: the same form as a key-id."""
    return _KEY_ID.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Tell whether a text can be an image's tag, and so a release's version."""
    return _TAG.fullmatch(text) is not None


class Fragment:
    """The secret bytes that the key service releases. Its value appears in no repr, str or pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = bytes(value)

    def reveal(self) -> bytes:
        """Return the secret bytes themselves, for a key derivation and nothing else."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __repr__(self) -> str:
        return f"Fragment(<{len(self._value)} bytes>)"

    def __reduce__(self) -> NoReturn:
        msg = "a Fragment is not pickled"
        raise TypeError(msg)


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256 digest, written ``sha256:<64 lower-case hex digits>``."""

    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Parse the canonical text form.

        Raises:
            ImageReferenceError: the text is anything else.
        """
        match = _DIGEST.fullmatch(text)
        if match is None:
            raise ImageReferenceError(f"not a digest: {text[:100]!r}")
        return cls(match[1])

    def __str__(self) -> str:
        return f"sha256:{self.hex}"


@dataclass(frozen=True, slots=True, order=True)
class ImageRef:
    """An image reference ``name:tag`` in its familiar form (no ``docker.io/``, no ``library/``)."""

    name: str
    tag: str

    @classmethod
    def parse(cls, text: str, *, default_tag: str = "latest") -> ImageRef:
        """Parse ``name[:tag]`` and normalise it to the familiar form.

        Raises:
            ImageReferenceError: the text is no image reference, or one by digest.
        """
        name, colon, tag = text.rpartition(":")
        if not colon or "/" in tag:  # a colon before a slash belongs to a registry's port
            name, tag = text, default_tag
        familiar = _familiarise(name)
        if len(familiar) > _NAME_MAX or not _NAME.fullmatch(familiar) or not _TAG.fullmatch(tag):
            raise ImageReferenceError(f"not an image reference: {text[:300]!r}")
        return cls(familiar, tag)

    @property
    def canonical_name(self) -> str:
        """The name with its registry: ``docker.io/azaion/flights``."""
        if _has_registry(self.name):
            return self.name
        return f"docker.io/{self.name}" if "/" in self.name else f"docker.io/library/{self.name}"

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}"


def _has_registry(name: str) -> bool:
    """Whether a name's first part is a registry's host; upper case is in no other part."""
    first, slash, _rest = name.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost" or first != first.lower())


def _familiarise(name: str) -> str:
    """Leave out Docker's own registry and, before a single part, its library; empty if that is ambiguous."""
    registry, slash, rest = name.partition("/")
    if slash and registry in _DOCKERS_OWN:
        name = "" if _has_registry(rest) else rest
    library, _slash, rest = name.partition("/")
    return rest if library == "library" and rest and "/" not in rest else name


ImagePins = Mapping[ImageRef, Digest]
"""What a release must hold: each image's config digest by its reference."""


@dataclass(frozen=True, slots=True)
class Release:
    """A version and its set of images."""

    version: str
    images: tuple[ImageRef, ...]


@dataclass(frozen=True, slots=True)
class ItemProgress:
    """How far one image of many is: ``done`` of ``total`` bytes."""

    name: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long step is: ``done`` of ``total`` bytes (None: not known).

    Attributes:
        items: the images that the step is about, each with its own bytes.
        waiting_for: who is waited for, once nothing has moved for 30 s: ``the engine``, ``the archive``.
    """

    step: str
    done: int = 0
    total: int | None = None
    items: tuple[ItemProgress, ...] = ()
    waiting_for: str | None = None


class Readable(Protocol):
    """What bytes are read from once, forward: a file, a pipe, an HTTP body."""

    def read(self, size: int, /) -> bytes | None:
        """Return up to ``size`` bytes; none at the end."""


class ByteSource(Readable, Protocol):
    """What bytes are read from: files, readers over readers; it need not be seekable if it says so."""

    def readinto(self, buffer: bytearray | memoryview, /) -> int | None:
        """Fill the buffer as far as is convenient; 0 at the end."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move; return the position."""

    def seekable(self) -> bool:
        """Whether it can move."""


ProgressSink = Callable[[Progress], None]
"""Is called from the working thread, at least once a step; must be quick and must not raise."""


def ignore_progress(_progress: Progress) -> None:
    """Be the sink for whoever does not want to know."""
