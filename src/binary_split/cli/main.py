"""The program ``binary-split``: its commands, and how an error becomes an exit code."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

import click

from binary_split.cli.lazy import LazyGroup
from binary_split.cli.output import INTERRUPTED, flush_stdout, report_error, silence_stdout
from binary_split.errors import BinarySplitError, ConfigError, OutputError
from binary_split.version import __version__

_OPTIONAL = dict.fromkeys(
    (
        "alembic",
        "fastapi",
        "jinja2",
        "prometheus_client",
        "pydantic",
        "sqlalchemy",
        "starlette",
        "structlog",
        "uvicorn",
    ),
    "keyservice",
) | {"segno": "qr"}
_COMMANDS = {
    "seal": ("binary_split.cli.seal", "seal", "Seal a release's images into one archive."),
    "unlock": ("binary_split.cli.unlock", "unlock", "Fetch the fragment, load the images, prove them."),
    "prune": ("binary_split.cli.prune", "prune", "Remove old releases that were installed."),
    "check": ("binary_split.cli.check", "check", "Say whether all images of a release are there."),
    "doctor": ("binary_split.cli.doctor", "doctor", "Look whether this machine could unlock."),
    "decrypt": ("binary_split.cli.decrypt", "decrypt", "Decrypt an archive to a plain image tar."),
    "inspect": ("binary_split.cli.inspect", "inspect", "Show what an archive is and holds."),
    "push": ("binary_split.cli.push", "push", "Push an archive into an OCI registry."),
    "split": ("binary_split.cli.split", "split", "Split an archive for media that take no large files."),
    "keygen": ("binary_split.cli.keygen", "keygen", "Make the key that signs your releases."),
    "verify": ("binary_split.cli.verify", "verify", "Prove an archive: signature, chunks, digests."),
    "extract": ("binary_split.cli.extract", "extract", "Take the images out, without an engine."),
    "rekey": ("binary_split.cli.rekey", "rekey", "Change who opens an archive, in a new archive."),
    "identity": ("binary_split.cli.identity", "identity", "Print an identity for stock `age`."),
    "docker-plugin": (
        "binary_split.cli.docker_install",
        "docker_plugin",
        "Let `docker unlock` work, or no longer.",
    ),
    "device": ("binary_split.cli.device", "device", "Make and show this device's key."),
    "enroll": ("binary_split.cli.enroll", "enroll", "Enrol this device with a one-time code."),
    "key": ("binary_split.cli.keys", "key", "Make, import, rotate and list the key service's keys."),
    "token": ("binary_split.cli.tokens", "token", "Issue, revoke and list the key service's tokens."),
    "release": ("binary_split.cli.release", "release", "Seal a fragment to a device without network."),
    "admin": ("binary_split.cli.admin", "admin", "Administrate the key service, here or over the network."),
    "agent": ("binary_split.cli.agent", "agent", "Run the agent: unlock over HTTP, with its progress."),
    "keyservice": ("binary_split.cli.keyservice", "keyservice", "Set up and run the key service."),
}


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="binary-split")
def cli() -> None:
    """Ship proprietary container images to machines you do not own.

    A vendor seals a release into one archive; a machine fetches a few secret bytes from the
    vendor's key service, unlocks the archive and proves that every image is there.
    """


def main() -> None:
    """Run the command line and exit."""
    status = run()
    gc.freeze()  # else the collector looks once more through all that was imported: 10 ms
    sys.exit(status)


def run(arguments: Sequence[str] | None = None, program: str | None = None) -> int:
    """Run the command line; return the exit code, which is the error's own (docs/exit-codes.md).

    Args:
        arguments: what to do; None: what this process was told.
        program: what the program is called in its help; None: as this process was.
    """
    try:
        status = cli.main(arguments, program, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except BinarySplitError as error:
        report_error(error)
        status = error.exit_code
    except ModuleNotFoundError as error:
        if error.name not in _OPTIONAL:
            raise
        status = _report_missing(error.name, arguments or sys.argv[1:])
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        status = INTERRUPTED
    return _flushed(status if isinstance(status, int) else 0)


def _flushed(status: int) -> int:
    """Return the exit code, once stdout has taken what was held back; Python would try at its very end."""
    try:
        flush_stdout()
    except (OutputError, BrokenPipeError) as error:
        silence_stdout()
        if status == 0 and isinstance(error, OutputError):
            report_error(error)
            status = error.exit_code
    return status


def _report_missing(module: str, arguments: Sequence[str]) -> int:
    # both services are built of the same
    extra = "agent" if arguments[:1] == ["agent"] else _OPTIONAL[module]
    on_debian = "" if extra == "agent" else ", or Debian's package binary-split-keyservice"
    hint = f"Install it: pip install 'binary-split[{extra}]'{on_debian}"
    report_error(ConfigError(f"this command needs {module}, which is not installed", hint=hint))
    return ConfigError.exit_code
