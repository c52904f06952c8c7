"""Which images run on an engine: what it says of its machine, in the words of image configs."""

from __future__ import annotations

from binary_split.errors import PlatformError
from binary_split.model import ImageRef

# What `uname -m` calls machines, as the engines repeat it, and what Go and image configs call them.
_ARCHITECTURES = {
    "aarch64": "arm64",
    "armv6l": "arm",
    "armv7l": "arm",
    "i386": "386",
    "i686": "386",
    "x86_64": "amd64",
    **{name: name for name in ("386", "amd64", "arm", "arm64", "ppc64le", "riscv64", "s390x")},
}
_RUN_TOO = {"amd64": {"386"}, "arm64": {"arm"}}


def parse_machine(system: object, architecture: object) -> str | None:
    """Return ``os/architecture`` of an engine; None where it says nothing that we know."""
    known = _ARCHITECTURES.get(str(architecture))
    return None if known is None or not system else f"{system}/{known}"


def is_native(image: str, engine: str) -> bool:
    """Whether a machine runs images of a platform without an emulator.

    Args:
        image: ``os/architecture``, and ``/variant`` where it has one, which is not looked at.
        engine: ``os/architecture``.
    """
    system, architecture, *_variant = image.split("/")
    engine_system, engine_architecture = engine.split("/")
    runs = {engine_architecture, *_RUN_TOO.get(engine_architecture, ())}
    return system == engine_system and architecture in runs


def verify_native(ref: ImageRef, image: str, engine: str | None) -> None:
    """Make sure that an engine's machine runs an image; one of which nothing is known runs all.

    Args:
        ref: the image's reference, for messages.
        image: its platform, as for `is_native`.
        engine: ``os/architecture``, or None.

    Raises:
        PlatformError: the image is for another kind of machine.
    """
    if engine is not None and not is_native(image, engine):
        raise PlatformError(f"{ref} is for {image}, and the engine's machine is {engine}: nothing was loaded")
