"""The one place that writes to the terminal: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import click

from binary_split.errors import BinarySplitError, OutputError

INTERRUPTED = 130
"""The exit code of what Ctrl-C ended."""
BROKEN_PIPE = 141
"""What a shell reports of a program that SIGPIPE ended; ours ends by itself, so that it can tidy up."""


def emit(text: str) -> None:
    """Write a line of data, what a pipe wants, to stdout.

    Raises:
        OutputError: it takes no more; BrokenPipeError where nobody reads it.
    """
    with _stdout_failures_mapped():
        click.echo(text)


def emit_json(document: Mapping[str, Any] | list[Any]) -> None:
    """Write one JSON document to stdout, as one line, in ASCII: a file's name may hold what no text does.

    Raises:
        OutputError: as ``emit``.
    """
    emit(json.dumps(document))


class StdoutSink:
    """Takes an archive or a tar to stdout.

    Raises:
        OutputError: it takes no more, or there is none; BrokenPipeError where nobody reads it.
    """

    def __init__(self) -> None:
        if sys.stdout is None:
            raise OutputError("there is no stdout to write to", hint="Name a file instead of -.")

    def write(self, chunk: bytes | bytearray | memoryview, /) -> int:
        """Write all of it."""
        with _stdout_failures_mapped():
            return sys.stdout.buffer.write(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        """See what is left through, if all went well."""
        if kind is None:
            flush_stdout()


def flush_stdout() -> None:
    """Write what is still held back.

    Raises:
        OutputError: as ``emit``.
    """
    if sys.stdout is not None:  # None: the program was started with it closed
        with _stdout_failures_mapped():
            sys.stdout.flush()


@contextmanager
def _stdout_failures_mapped() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write to stdout: {error.strerror or error}", hint="Check the free space where it goes."
        ) from error


def silence_stdout() -> None:
    """Let stdout go nowhere, once nobody reads it: what is buffered still is written when Python ends."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, sys.stdout.fileno())
    os.close(silent)


def coloured(text: str, **style: Any) -> str:
    """Return a text in a style of click's, where a terminal may show one; a pipe gets none of it anyway."""
    from binary_split.environment import is_colour_wanted

    return click.style(text, **style) if is_colour_wanted() else text


def say(text: str) -> None:
    """Tell the person something, on stderr."""
    click.echo(text, err=True)


def warn(text: str) -> None:
    """Tell the person something that must not be overlooked."""
    click.echo(coloured("warning: ", fg="yellow", bold=True) + text, err=True)


def describe_error(error: BinarySplitError) -> dict[str, Any]:
    """Return an error as a JSON-ready mapping: code, message, hint, exit code, retryable."""
    return {
        "code": error.code,
        "message": str(error),
        "hint": error.hint,
        "exit_code": error.exit_code,
        "retryable": error.retryable,
    }


def report_error(error: BinarySplitError) -> None:
    """Write an error and its hint to stderr."""
    click.echo(coloured("error: ", fg="red", bold=True) + printable(str(error)), err=True)
    if error.hint:
        click.echo(coloured("hint: ", fg="cyan") + error.hint, err=True)


def phrase_error(error: BinarySplitError) -> str:
    """Return an error and its hint as plain lines, for a program that shows them in our place."""
    return printable(str(error)) + (f"\nhint: {error.hint}" if error.hint else "")


def printable(text: str) -> str:
    """Escape what would steer a terminal: a message may quote an engine, a server or an archive."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )
