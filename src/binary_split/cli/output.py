"""The one place that writes to the terminal: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from binary_split.errors import BinarySplitError


def emit(text: str) -> None:
    """Write a line of data, what a pipe wants, to stdout."""
    click.echo(text)


def emit_json(document: Mapping[str, Any] | list[Any]) -> None:
    """Write one JSON document to stdout, as one line, in ASCII: a file's name may hold what no text does."""
    click.echo(json.dumps(document))


def silence_stdout() -> None:
    """Let stdout go nowhere, once nobody reads it: what is buffered still is written when Python ends."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, sys.stdout.fileno())
    os.close(silent)


def say(text: str) -> None:
    """Tell the person something, on stderr."""
    click.echo(text, err=True)


def warn(text: str) -> None:
    """Tell the person something that must not be overlooked."""
    click.echo(click.style("warning: ", fg="yellow", bold=True) + text, err=True)


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
    click.echo(click.style("error: ", fg="red", bold=True) + printable(str(error)), err=True)
    if error.hint:
        click.echo(click.style("hint: ", fg="cyan") + error.hint, err=True)


def phrase_error(error: BinarySplitError) -> str:
    """Return an error and its hint as plain lines, for a program that shows them in our place."""
    return printable(str(error)) + (f"\nhint: {error.hint}" if error.hint else "")


def printable(text: str) -> str:
    """Escape what would steer a terminal: a message may quote an engine, a server or an archive."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )
