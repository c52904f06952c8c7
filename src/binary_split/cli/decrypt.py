"""``binary-split decrypt``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from binary_split.archive.age import open_age, open_age_stream
from binary_split.archive.cbc import CbcReader, iter_plaintext
from binary_split.archive.detect import ArchiveFormat, is_age, read_format
from binary_split.cli.access import identity_option, read_identities
from binary_split.cli.archive_place import archive_place
from binary_split.cli.fragments import FragmentOrigin, fragment_files_option
from binary_split.cli.options import FILE
from binary_split.cli.output import StdoutSink, say, warn
from binary_split.cli.progress import Mode, progress_option, show_progress
from binary_split.errors import ArchiveUnreadableError, ConfigError
from binary_split.files import write_atomically
from binary_split.model import Fragment, Progress
from binary_split.sizes import format_size
from binary_split.transports import ArchiveLocation, open_source

_HEAD_BYTES = 64

_Secrets = tuple[tuple[FragmentOrigin, ...], tuple[Path, ...]]
_Plaintext = tuple[Iterator[memoryview], int | None, ArchiveFormat]


@click.command()
@archive_place()
@fragment_files_option
@identity_option
@click.option(
    "-o", "--output", type=FILE, required=True, metavar="FILE", help="The plain image tar; - for stdout."
)
@progress_option
def decrypt(
    archive: ArchiveLocation,
    fragment_files: tuple[FragmentOrigin, ...],
    identity_files: tuple[Path, ...],
    output: Path,
    progress: Mode,
) -> None:
    """Decrypt an archive to a plain image tar.

    ARCHIVE is a file, NAME.001 of one in parts, https://…, oci://HOST/REPOSITORY:TAG, or - for stdin. Who
    sealed it is not checked: `verify` and `unlock` do that.
    """
    fragment_paths = (origin.path for origin in fragment_files)
    if [str(path) for path in (archive, *fragment_paths, *identity_files)].count("-") > 1:
        raise ConfigError("stdin cannot be two things")
    is_stdout = str(output) == "-"
    if is_stdout and progress == "json":
        raise ConfigError("stdout cannot take both the tar and JSON", hint="Write the tar to a file.")
    done = 0
    with (
        show_progress(progress) as report,
        _open_plaintext(archive, (fragment_files, identity_files)) as (chunks, total, archive_format),
        StdoutSink() if is_stdout else write_atomically(output) as sink,
    ):
        for chunk in chunks:
            sink.write(chunk)
            done += len(chunk)
            report(Progress("decrypting", done, total))
    say(f"decrypted {format_size(done)} to {output}")
    if archive_format is ArchiveFormat.CBC:
        warn("a cbc archive does not prove that this is what was sealed; compare the image ids")


@contextmanager
def _open_plaintext(archive: ArchiveLocation, secrets: _Secrets) -> Iterator[_Plaintext]:
    """Give an archive's plaintext, its length in bytes where that can be known, and its format."""
    fragment_files, identity_files = secrets
    if str(archive) == "-":
        yield _open_stdin(secrets)
        return
    with open_source(archive) as source:
        if read_format(source) is ArchiveFormat.AGE:
            with closing(open_age(source, read_identities(identity_files, fragment_files))) as payload:
                yield payload.pieces(), payload.size, ArchiveFormat.AGE
        else:
            reader = CbcReader(source, _only_fragment(secrets))
            yield reader.chunks(), reader.size, ArchiveFormat.CBC


def _open_stdin(secrets: _Secrets) -> _Plaintext:
    fragment_files, identity_files = secrets
    if sys.stdin is None:
        raise ArchiveUnreadableError("there is no stdin to read the archive from")
    stdin = _Pipe(sys.stdin.buffer)
    if is_age(stdin.head):
        stream = open_age_stream(stdin, read_identities(identity_files, fragment_files))
        return stream.pieces(), None, ArchiveFormat.AGE
    chunks = iter_plaintext(stdin, _only_fragment(secrets))
    return _errors_mapped(chunks), None, ArchiveFormat.CBC


class _Pipe:
    """A pipe whose first bytes are known before it is read; a pipe may give them one by one.

    Raises:
        ArchiveUnreadableError: it fails.
    """

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        try:
            self.head = self._unread = pipe.read(_HEAD_BYTES)
        except OSError as error:
            raise _unreadable(error) from error

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes; none at the end."""
        if not self._unread:
            return self._pipe.read(size)
        count = size if size >= 0 else len(self._unread)
        part, self._unread = self._unread[:count], self._unread[count:]
        return part


def _only_fragment(secrets: _Secrets) -> Fragment:
    fragment_files, identity_files = secrets
    if len(fragment_files) != 1 or identity_files:
        raise ConfigError("a cbc archive is opened by one fragment")
    return fragment_files[0].fetch()


def _errors_mapped(chunks: Iterator[memoryview]) -> Iterator[memoryview]:
    try:
        yield from chunks
    except OSError as error:
        raise _unreadable(error) from error


def _unreadable(error: OSError) -> ArchiveUnreadableError:
    return ArchiveUnreadableError(f"cannot read the archive from stdin: {error.strerror}")
