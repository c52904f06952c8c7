"""The Docker Engine, through its API (v1.24 and newer) over its socket.

The engine is found as Docker's own client finds it: ``DOCKER_HOST``, ``DOCKER_CONTEXT``, the current context.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, cast

from binary_split.config import LIMITS, docker_environment
from binary_split.engines import EngineDescription, EngineImage, IdKind
from binary_split.errors import (
    BinarySplitError,
    ConfigError,
    EngineAnswerError,
    EngineError,
    EngineLoadError,
    EnginePermissionError,
    EngineTimeoutError,
    EngineUnreachableError,
    ImageMissingError,
    ImageReferenceError,
)
from binary_split.model import Digest, ImageRef

if TYPE_CHECKING:
    from docker import APIClient
    from requests import Response

_CONTAINERD_STORE = "io.containerd.snapshotter.v1"
# Said in the text of a successful answer, after which the image is there but broken (containerd image store).
_FAILURE_TEXT = "error unpacking"


class DockerEngine:
    """A Docker Engine that answered."""

    def __init__(self, client: APIClient, address: str) -> None:
        self._client = client
        self._address = address

    @classmethod
    def connect(cls) -> DockerEngine:
        """Connect to the engine that the environment names.

        Raises:
            ConfigError: the environment names a context that does not exist.
            EngineUnreachableError: nothing answers there.
            EnginePermissionError: this user may not speak to it.
            EngineTimeoutError: it is there but does not answer.
        """
        with _errors_mapped("connect to the engine"):
            from docker import APIClient

            arguments = _find_endpoint()
            client = APIClient(
                version="auto",
                timeout=int(LIMITS.engine_connect_timeout_s),
                use_ssh_client=True,
                **arguments,
            )
            client.timeout = int(LIMITS.engine_ask_timeout_s)
        return cls(client, arguments.get("base_url", "unix:///var/run/docker.sock"))

    def describe(self) -> EngineDescription:
        """Ask the engine for its version and its image store."""
        with _errors_mapped("ask the engine what it is"):
            facts: dict[str, Any] = self._client.info()
            try:
                status = dict(row[:2] for row in facts.get("DriverStatus") or [])
            except (TypeError, ValueError, AttributeError) as error:
                raise EngineAnswerError("the engine described itself in a way that makes no sense") from error
        has_containerd_store = status.get("driver-type") == _CONTAINERD_STORE
        return EngineDescription(
            kind="docker",
            version=str(facts.get("ServerVersion", "?")),
            store="containerd" if has_containerd_store else str(facts.get("Driver", "?")),
            address=self._address,
            id_kind=IdKind.MANIFEST if has_containerd_store else IdKind.CONFIG,
        )

    def find_image(self, ref: ImageRef) -> EngineImage | None:
        """Inspect an image."""
        from docker.errors import ImageNotFound

        with _errors_mapped(f"ask the engine for {ref}"):
            try:
                facts: dict[str, Any] = self._client.inspect_image(str(ref))  # type: ignore[no-untyped-call]
            except ImageNotFound:
                return None
            try:
                layers = facts["RootFS"].get("Layers") or ()
                return EngineImage(Digest.parse(facts["Id"]), tuple(Digest.parse(text) for text in layers))
            except (KeyError, TypeError, AttributeError, ImageReferenceError) as error:
                raise EngineAnswerError(f"the engine described {ref} in a way that makes no sense") from error

    def load(self, chunks: Iterable[bytes | memoryview]) -> None:
        """Post a tar to the engine and read its answer to the end: failures come inside a 200."""
        with (
            _errors_mapped("load the images", EngineLoadError),
            closing(
                self._client.post(
                    self._url("/images/load"),
                    params={"quiet": "0"},
                    data=_non_empty(chunks),
                    headers={"Content-Type": "application/x-tar"},
                    stream=True,
                    timeout=None,
                )
            ) as response,
        ):
            _check_status(response, "load the images")
            for line in _iter_lines(response):
                _check_progress_line(line)

    def save(self, refs: Iterable[ImageRef]) -> Iterator[bytes | memoryview]:
        """Export images as `docker save` does."""
        refs = tuple(refs)
        names = [str(ref) for ref in refs]
        missing = [str(ref) for ref in refs if self.find_image(ref) is None]
        if missing:
            raise ImageMissingError(f"the engine does not have {', '.join(missing)}")
        with (
            _errors_mapped("export the images", EngineLoadError),
            closing(
                self._client.get(self._url("/images/get"), params={"names": names}, stream=True, timeout=None)
            ) as response,
        ):
            _check_status(response, "export the images")
            yield from response.iter_content(LIMITS.chunk_bytes)

    def _url(self, path: str) -> str:
        return f"{self._client.base_url}/v{self._client.api_version}{path}"


def _find_endpoint() -> dict[str, Any]:
    from docker import ContextAPI
    from docker.utils import kwargs_from_env
    from docker.utils.config import find_config_file

    environment = docker_environment()
    if "DOCKER_HOST" in environment:
        return dict(kwargs_from_env(environment))
    name = environment.get("DOCKER_CONTEXT")
    if name and name != "default" and find_config_file() is None:
        # The library would look for it in the working folder, where anybody may have put one.
        raise ConfigError(
            f"there is no Docker context {name!r}",
            hint="Contexts are found beside Docker's config.json; make one that holds {} or set DOCKER_HOST.",
        )
    try:
        arguments = ContextAPI.kwargs_from_context(name, environment)
    except Exception as error:  # the library raises just that, KeyError and more
        raise ConfigError(f"the Docker context {name or 'in use'!r} is malformed: {error}") from error
    if not arguments:
        raise ConfigError(f"there is no Docker context {name or 'of the configured name'!r}")
    return dict(arguments)


def _non_empty(chunks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Leave out empty chunks: in HTTP's chunked coding one would end the body."""
    return (cast("bytes", chunk) for chunk in chunks if len(chunk))


def _check_status(response: Response, what: str) -> None:
    if response.status_code != 200:
        body = response.raw.read(LIMITS.engine_error_bytes, decode_content=True)
        raise EngineLoadError(f"the engine could not {what}: {_message_of(body)}")


def _iter_lines(response: Response) -> Iterator[bytes]:
    """Give an answer line by line, as they come; a line without end is not waited for."""
    line = b""
    for chunk in response.iter_content(LIMITS.engine_error_bytes):
        *lines, line = (line + chunk).split(b"\n")
        if len(line) > LIMITS.engine_line_bytes:
            raise EngineAnswerError("the engine answered with a line that has no end")
        yield from lines
    yield line


def _check_progress_line(line: bytes) -> None:
    """Look for the failure that the engine reports after it has answered 200."""
    if not line.strip():
        return
    try:
        event = json.loads(line)
    except ValueError:
        event = {"stream": line.decode(errors="replace")}
    if not isinstance(event, Mapping):
        return
    text = str(event.get("stream", ""))
    if "errorDetail" in event or "error" in event:
        detail = event.get("errorDetail")
        text = str(detail.get("message") if isinstance(detail, Mapping) else event.get("error"))
    elif _FAILURE_TEXT not in text.lower():
        return
    raise EngineLoadError(f"the engine could not load the images: {_shorten(text)}")


def _message_of(body: bytes) -> str:
    try:
        return _shorten(str(json.loads(body)["message"]))
    except (ValueError, KeyError, TypeError):
        return _shorten(body.decode(errors="replace"))


def _shorten(text: str) -> str:
    return text.strip()[:1000]


@contextmanager
def _errors_mapped(what: str, kind: type[EngineError] = EngineAnswerError) -> Iterator[None]:
    """Turn whatever the Docker library, requests and urllib3 raise into our errors."""
    import docker.errors
    import requests
    import urllib3

    try:
        yield
    except BinarySplitError:
        raise
    except (
        docker.errors.DockerException,
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
        ValueError,
    ) as error:
        _raise_mapped(error, what, kind)


def _raise_mapped(error: Exception, what: str, kind: type[EngineError]) -> NoReturn:
    import requests

    causes = list(_causes(error))
    if any(isinstance(cause, PermissionError) for cause in causes):
        raise EnginePermissionError(f"could not {what}: not permitted") from error
    if any(isinstance(cause, requests.Timeout | TimeoutError) for cause in causes):
        raise EngineTimeoutError(f"could not {what}: it does not answer") from error
    if any(isinstance(cause, FileNotFoundError | ConnectionRefusedError) for cause in causes):
        raise EngineUnreachableError(f"could not {what}: nothing answers there") from error
    explanation = getattr(error, "explanation", None) or error
    raise kind(f"could not {what}: {_shorten(str(explanation))}") from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error and all that it wraps; libraries keep the cause in ``args`` too."""
    seen: set[int] = set()
    rest: list[BaseException | None] = [error]
    while rest:
        cause = rest.pop()
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        rest += [cause.__cause__, cause.__context__]
        rest += [part for part in cause.args if isinstance(part, BaseException)]
