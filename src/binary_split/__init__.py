"""Ship proprietary container images to machines you do not own.

The five functions and names of the original module are importable from here, and stay so with exactly their
signatures and behaviour: ``API_SERVICES``, ``check_images_loaded``, ``decrypt_archive``, ``docker_load`` and
``download_key_fragment``. So do the errors that they raise. Everything else may change between versions.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from binary_split import errors
    from binary_split._seed import (
        API_SERVICES,
        check_images_loaded,
        decrypt_archive,
        docker_load,
        download_key_fragment,
    )
    from binary_split.errors import BinarySplitError
    from binary_split.version import __version__

__all__ = [
    "API_SERVICES",
    "BinarySplitError",
    "__version__",
    "check_images_loaded",
    "decrypt_archive",
    "docker_load",
    "download_key_fragment",
    "errors",
]

_HOMES = {"BinarySplitError": "errors", "__version__": "version"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: the program needs none and starts sooner (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "errors":
        return import_module("binary_split.errors")
    value = getattr(import_module(f"binary_split.{_HOMES.get(name, '_seed')}"), name)
    globals()[name] = value
    return value
