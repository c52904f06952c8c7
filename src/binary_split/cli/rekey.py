"""``binary-split rekey``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import click

from binary_split.archive.age import FragmentIdentity, Identity, read_header
from binary_split.archive.age.rekey import add_recipients, replace_recipients
from binary_split.archive.detect import ArchiveFormat, detect_format
from binary_split.cli.device_keys import device_key_option
from binary_split.cli.fragments import FragmentOrigin, choose_fragment, sealed_fragment_option
from binary_split.cli.openers import read_identity_file
from binary_split.cli.options import FILE, fragment_file_option, json_option
from binary_split.cli.output import emit_json, say, warn
from binary_split.cli.progress import Mode, progress_option, show_progress
from binary_split.cli.rekey_plan import RekeyPlan, parse_who, plan_rekey
from binary_split.errors import ArchiveFormatError, ConfigError, OutputError
from binary_split.files import write_atomically
from binary_split.model import ProgressSink
from binary_split.sizes import format_size
from binary_split.transports.file import FileSource


@click.command()
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--identity", "identity_file", type=FILE, metavar="FILE", help="Identity file that opens it.")
@fragment_file_option
@sealed_fragment_option
@device_key_option
@click.option("--add", "added", multiple=True, metavar="WHO", help="Let WHO open it besides.")
@click.option("--remove", "removed", multiple=True, metavar="WHO", help="Shut WHO out: seal it anew.")
@click.option("--keep", "kept", multiple=True, metavar="WHO", help="With --remove: who stays.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="OUT", help="The new archive."
)
@progress_option
@json_option
def rekey(
    archive: Path,
    identity_file: Path | None,
    fragment_file: Path | None,
    sealed_file: Path | None,
    device_key: Path | None,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    kept: tuple[str, ...],
    output: Path,
    progress: Mode,
    as_json: bool,
) -> None:
    """Change who may open an `age` archive, in a new archive; the old one stays as it is.

    WHO is an age1… recipient or KEY-ID=FRAGMENT-FILE; for --remove a bare KEY-ID will do. With --add alone
    the payload stays byte for byte and gets a new header. With --remove everything is encrypted anew, as
    whoever could open it may know the old file key; everybody who stays is then named by --keep. Whoever
    has the old archive can still open that one.
    """
    origin = choose_fragment(fragment_file, sealed_file, device_key)
    identities = _read_openers(identity_file, origin)
    add = [parse_who("--add", text) for text in added]
    remove = [parse_who("--remove", text) for text in removed]
    keep = [parse_who("--keep", text) for text in kept]
    named = [Path(path) for _, _, path in (text.partition("=") for text in (*added, *removed, *kept)) if path]
    secrets = [*filter(None, (identity_file, fragment_file, sealed_file, device_key)), *named]
    with FileSource(archive) as source:
        _check_output(output, source, secrets)
        _check_format(source)
        plan = plan_rekey(read_header(source), add=add, remove=remove, keep=keep)
        with show_progress(progress) as report, write_atomically(output) as sink:
            source.seek(0)
            _write(source, sink, identities, plan, report)
    if plan.dropped:
        unnamed = f", {plan.unexplained} of them named by no --remove" if plan.unexplained else ""
        warn(f"{plan.dropped} age recipients of the old archive cannot open the new one{unnamed}")
    if as_json or progress == "json":
        emit_json(_describe(plan, output))
    else:
        say(_summarise(plan, output))


def _read_openers(identity_file: Path | None, origin: FragmentOrigin | None) -> Sequence[Identity]:
    if identity_file is not None and origin is None:
        return read_identity_file(identity_file)
    if origin is not None and identity_file is None:
        return (FragmentIdentity(origin.fetch()),)
    raise ConfigError(
        "give one of --identity, --fragment-file and --sealed-fragment: what opens the archive now"
    )


def _check_output(output: Path, source: FileSource, secrets: Iterable[Path]) -> None:
    """Refuse to write over what is read, and to where nothing can be taken back."""
    if str(output) == "-":
        raise ConfigError("the new archive goes into a file: what came out of a pipe cannot be taken back")
    try:
        there = output.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror or error}") from error
    hint = "Name another file with -o."
    if os.path.samestat(os.fstat(source.fileno()), there):
        raise ConfigError("the output is the archive itself, which is never changed in place", hint=hint)
    if any(path.exists() and path.samefile(output) for path in secrets):
        raise ConfigError("the output is a file that holds a fragment or an identity", hint=hint)
    if not output.is_file() and not output.is_dir():
        raise ConfigError(
            f"{output} is no file: an archive that turns out damaged could not be taken back", hint=hint
        )


def _check_format(source: FileSource) -> None:
    """Refuse a `cbc` archive by its name; the header's parser refuses all else that is no `age` archive."""
    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    head = source.read(64)
    source.seek(0)
    if detect_format(head.lstrip(), size) is ArchiveFormat.CBC:
        raise ArchiveFormatError(
            "only `age` archives can be rekeyed, and this is none",
            hint="A `cbc` archive has one fragment, from which its key comes: seal the release again.",
        )


def _write(
    source: FileSource, sink: BinaryIO, identities: Sequence[Identity], plan: RekeyPlan, report: ProgressSink
) -> None:
    if plan.shares_payload:
        add_recipients(source, sink, identities, plan.recipients, report=report)
    else:
        replace_recipients(source, sink, identities, plan.recipients, report=report)


def _summarise(plan: RekeyPlan, output: Path) -> str:
    how = "the same payload under a new header" if plan.shares_payload else "encrypted anew"
    who = [*plan.key_ids, *([f"{plan.anonymous} age recipients"] if plan.anonymous else [])]
    return f"wrote {output} ({format_size(output.stat().st_size)}, {how}); it opens for {', '.join(who)}"


def _describe(plan: RekeyPlan, output: Path) -> dict[str, object]:
    return {
        "archive": str(output),
        "archive_bytes": output.stat().st_size,
        "payload": "shared" if plan.shares_payload else "new",
        "key_ids": list(plan.key_ids),
        "age_recipients": plan.anonymous,
        "dropped_age_recipients": plan.dropped,
    }
