"""The ``docker`` program as a subprocess: what the original module used, and its facade still does."""

from __future__ import annotations

import subprocess
from typing import NoReturn

from binary_split.config import LIMITS, child_environment
from binary_split.errors import (
    EngineAnswerError,
    EngineError,
    EngineLoadError,
    EnginePermissionError,
    EngineProgramMissingError,
    EngineTimeoutError,
    EngineUnreachableError,
    ImageReferenceError,
)

_NO_SUCH_IMAGE = "no such image"
# What `docker` says, in any version since 1.13, and the error that it means. The first match counts.
_MEANINGS: tuple[tuple[str, type[EngineError] | type[ImageReferenceError]], ...] = (
    ("permission denied while trying to connect", EnginePermissionError),
    ("cannot connect to the docker daemon", EngineUnreachableError),
    ("error during connect", EngineUnreachableError),
    ("failed to connect to the docker api", EngineUnreachableError),
    ("invalid reference format", ImageReferenceError),
)


def load_tar(path: str) -> None:
    """Run ``docker load -i PATH``. It may take as long as it needs while the engine answers beside it.

    Raises:
        EngineProgramMissingError: there is no ``docker`` program.
        EngineUnreachableError: its engine does not answer.
        EngineLoadError: the load failed; the message ends with the last lines of its stderr.
    """
    status, stderr = _run("load", "-i", path)
    if status:
        _raise_failure("docker load", stderr, EngineLoadError)


def has_image(reference: str) -> bool:
    """Run ``docker image inspect REFERENCE``; False only where the engine says that there is no such image.

    Raises:
        EngineError: as above; an engine that cannot be asked is an error, not an absent image.
        ImageReferenceError: the engine says that this is no reference.
    """
    status, stderr = _run("image", "inspect", reference)
    if status and _NO_SUCH_IMAGE not in stderr.lower():
        _raise_failure("docker image inspect", stderr, EngineAnswerError)
    return status == 0


def _run(*arguments: str) -> tuple[int, str]:
    """Run ``docker`` and return its exit status and its stderr."""
    command = ["docker", *arguments]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(),
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise EngineProgramMissingError(
            f"cannot run the docker program: {error.strerror or error}"
        ) from error
    with process:
        try:
            while True:
                try:
                    _stdout, stderr = process.communicate(timeout=LIMITS.engine_ask_timeout_s)
                except subprocess.TimeoutExpired:
                    _verify_engine_answers(command)
                else:
                    return process.returncode, stderr
        except BaseException:
            process.kill()
            raise


def _verify_engine_answers(waiting: list[str]) -> None:
    """Tell a long load from an engine that hangs."""
    question = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        subprocess.run(
            question,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=LIMITS.engine_ask_timeout_s,
        )
    except subprocess.TimeoutExpired:
        raise EngineTimeoutError(
            f"`{' '.join(waiting[:2])}` waits for an engine that does not answer"
        ) from None


def _raise_failure(what: str, stderr: str, kind: type[EngineError]) -> NoReturn:
    text = stderr.lower()
    cause = next((meaning for words, meaning in _MEANINGS if words in text), kind)
    last_lines = "\n".join(
        stderr.strip()[-LIMITS.engine_error_bytes :].splitlines()[-LIMITS.engine_error_lines :]
    )
    raise cause(f"`{what}` failed: {last_lines or 'it did not say why'}")
