"""Ship proprietary container images to machines you do not own.

The five functions and names of the original module are importable from here, and stay so with exactly their
signatures and behaviour: ``API_SERVICES``, ``check_images_loaded``, ``decrypt_archive``, ``docker_load`` and
``download_key_fragment``. So do the errors that they raise. Everything else may change between versions.
"""

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
