"""Exporting images through an engine's API: one tar, as it comes."""

from __future__ import annotations

from collections.abc import Iterator

from binary_split.config import LIMITS
from binary_split.engines.connection import errors_mapped, message_of
from binary_split.engines.wire import Wire
from binary_split.errors import EngineLoadError

_WHAT = "export the images"


def receive_tar(wire: Wire, names: list[str]) -> Iterator[bytes]:
    """Give the tar that the engine makes of some images.

    Raises:
        EngineLoadError: the engine refuses, or stops in the middle.
    """
    with wire.stream() as connection:
        with errors_mapped(connection, _WHAT, EngineLoadError):
            connection.request("GET", wire.target("/images/get", {"names": names}))
            response = connection.getresponse()
            if response.status != 200:
                words = message_of(response.read(LIMITS.engine_error_bytes))
                raise EngineLoadError(f"the engine could not {_WHAT}: {words}")
        while True:
            with errors_mapped(connection, _WHAT, EngineLoadError):
                chunk = response.read(LIMITS.chunk_bytes)
            if not chunk:
                break
            yield chunk
        if response.length:
            raise EngineLoadError(f"could not {_WHAT}: the engine stopped in the middle")
