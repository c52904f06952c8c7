"""``binary-split decrypt``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click

from binary_split.archive.cbc import CbcReader, iter_plaintext
from binary_split.cli.options import FILE, format_size, read_fragment
from binary_split.cli.output import say, warn
from binary_split.cli.progress import Mode, progress_option, show_progress
from binary_split.errors import ArchiveUnreadableError, ConfigError
from binary_split.files import write_atomically
from binary_split.model import Fragment, Progress
from binary_split.transports.file import FileSource


@click.command()
@click.argument("archive", type=FILE)
@click.option(
    "--fragment-file", type=FILE, required=True, metavar="F", help="The fragment, byte-exact; - for stdin."
)
@click.option(
    "-o", "--output", type=FILE, required=True, metavar="FILE", help="The plain image tar; - for stdout."
)
@progress_option
def decrypt(archive: Path, fragment_file: Path, output: Path, progress: Mode) -> None:
    """Decrypt an archive to a plain image tar.

    ARCHIVE may be - for stdin. A `cbc` archive has no authentication: what comes out is not proven to be what
    was sealed.
    """
    if str(archive) == "-" == str(fragment_file):
        raise ConfigError("stdin cannot be both the archive and the fragment")
    is_stdout = str(output) == "-"
    if is_stdout and progress == "json":
        raise ConfigError("stdout cannot take both the tar and JSON", hint="Write the tar to a file.")
    done = 0
    with (
        show_progress(progress) as report,
        _open_plaintext(archive, read_fragment(fragment_file)) as (chunks, total),
        nullcontext(sys.stdout.buffer) if is_stdout else write_atomically(output) as sink,
    ):
        for chunk in chunks:
            sink.write(chunk)
            done += len(chunk)
            report(Progress("decrypting", done, total))
    say(f"decrypted {format_size(done)} to {output}")
    warn("a cbc archive does not prove that this is what was sealed; compare the image ids")


@contextmanager
def _open_plaintext(archive: Path, fragment: Fragment) -> Iterator[tuple[Iterator[memoryview], int | None]]:
    """Give an archive's plaintext, and its length in bytes where that can be known."""
    if str(archive) == "-":
        yield _read_stdin(iter_plaintext(sys.stdin.buffer, fragment)), None
        return
    with FileSource(archive) as source:
        reader = CbcReader(source, fragment)
        yield reader.chunks(), reader.size


def _read_stdin(chunks: Iterator[memoryview]) -> Iterator[memoryview]:
    try:
        yield from chunks
    except OSError as error:
        raise ArchiveUnreadableError(f"cannot read the archive from stdin: {error.strerror}") from error
