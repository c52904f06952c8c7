"""What an unlock is asked for, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

from binary_split.model import Fragment, ImagePins, ImageRef
from binary_split.transports import ArchiveLocation
from binary_split.unlock.checking import ExpectedImage
from binary_split.unlock.opening import SignedRelease, Trust
from binary_split.unlock.records import InstalledRelease

PlanSink = Callable[[InstalledRelease, Collection[ImageRef]], None]
"""Is told, once it is known, which release it is and which of its images are lacking; must not raise."""


def ignore_plan(_release: InstalledRelease, _lacking: Collection[ImageRef]) -> None:
    """Be the sink for whoever does not want to know."""


class FragmentSource(Protocol):
    """Where the fragment comes from."""

    def authenticate(self) -> None:
        """Get ready to prove who asks: read the token."""

    def fetch(self) -> Fragment:
        """Return the fragment."""


@dataclass(frozen=True, slots=True)
class UnlockOrder:
    """What to unlock.

    Attributes:
        images: the images of the release; an ``age`` archive's statement says more, and is asked.
        pins: their config digests; None: take what a ``cbc`` archive says (``--allow-unauthenticated``).
        version: which an ``age`` archive must be; None: any.
        trust: whose ``age`` archives are believed.
        beside: what a statement beside a ``cbc`` archive says.
        allow_downgrade: install a release that is older than the one of its product that is there.
        any_platform: load images for other machines than the engine's too.
        low_disk: keep the engine's spool small, for some time more.
    """

    archive: ArchiveLocation
    images: tuple[ImageRef, ...]
    pins: ImagePins | None
    version: str | None = None
    trust: Trust = field(default_factory=Trust)
    beside: SignedRelease | None = None
    allow_downgrade: bool = False
    any_platform: bool = False
    low_disk: bool = False

    @property
    def is_unauthenticated(self) -> bool:
        """Whether the word of a ``cbc`` archive is taken, for some images at least."""
        return self.beside is None and any(ref not in (self.pins or {}) for ref in self.images)


@dataclass(frozen=True, slots=True)
class UnlockResult:
    """What an unlock did.

    Attributes:
        images: everything that is proven to be there now.
        loaded: the references that were not there before.
        sent_bytes: of layers that the engine was sent.
    """

    images: tuple[ExpectedImage, ...]
    loaded: tuple[ImageRef, ...] = ()
    sent_bytes: int = 0
