"""Options that say what opens an archive and whom to believe, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from binary_split.cli.fragments import FragmentOrigin
from binary_split.cli.options import FILE
from binary_split.cli.output import warn
from binary_split.config import Settings
from binary_split.errors import ArchiveUnauthenticatedError, ConfigError

if TYPE_CHECKING:
    from binary_split.archive.age import Identity
    from binary_split.oci.release_contents import ReleaseContents
    from binary_split.transports import ArchiveLocation
    from binary_split.unlock.opening import Trust

_Command = TypeVar("_Command", bound=Callable[..., Any])

_KEY_OPTIONS = (
    click.option(
        "--trusted-key",
        "trusted_keys",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="PUB",
        help="Public key of a publisher whose signature counts; repeat for several.",
    ),
    click.option(
        "--trusted-keys",
        "trusted_folder",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Folder of such keys, *.pem and *.pub [env: BINARY_SPLIT_TRUSTED_KEYS_FOLDER].",
    ),
)
_UNSIGNED_OPTION = click.option(
    "--allow-unsigned",
    is_flag=True,
    help="Believe a release that no trusted key signed: whoever could seal may have made it.",
)

identity_option = click.option(
    "--identity",
    "identity_files",
    type=FILE,
    multiple=True,
    metavar="I",
    help="File of identities, as `age -i` takes it: AGE-SECRET-KEY-1…, or ours; - for stdin.",
)


def trusted_keys_options(command: _Command) -> _Command:
    """Add the options that name the publishers' public keys."""
    for option in reversed(_KEY_OPTIONS):
        command = option(command)
    return command


def trust_options(command: _Command) -> _Command:
    """Add the options that say whose releases are believed."""
    return trusted_keys_options(_UNSIGNED_OPTION(command))


def load_trust(
    settings: Settings, trusted_keys: tuple[Path, ...], trusted_folder: Path | None, allow_unsigned: bool
) -> Trust:
    """Read the trusted keys; say loudly where no signature is asked for.

    Raises:
        ConfigError: a key cannot be read.
    """
    from binary_split.trust import load_trusted_keys
    from binary_split.unlock.opening import Trust

    keys = load_trusted_keys(trusted_keys, trusted_folder or settings.trusted_keys_folder)
    if allow_unsigned:
        warn("--allow-unsigned: whoever was able to seal this archive may have put anything in it")
    return Trust(keys, allow_unsigned)


def read_identities(
    identity_files: tuple[Path, ...], fragment_files: tuple[FragmentOrigin, ...]
) -> list[Identity]:
    """Read everything that may open an ``age`` archive.

    Raises:
        ConfigError: nothing was named.
        SecretFileError: a file cannot be read, or holds no identity.
        SealedFragmentError: a sealed fragment is not this device's.
    """
    from binary_split.archive.age import FragmentIdentity
    from binary_split.cli.openers import read_identity_file

    identities: list[Identity] = [FragmentIdentity(origin.fetch()) for origin in fragment_files]
    for path in identity_files:
        identities += read_identity_file(path)
    if not identities:
        raise ConfigError(
            "nothing is given that could open the archive",
            hint="Use --fragment-file, --sealed-fragment or --identity.",
        )
    return identities


@contextmanager
def open_trusted(
    archive: ArchiveLocation,
    trust: Trust,
    identity_files: tuple[Path, ...],
    fragment_files: tuple[FragmentOrigin, ...],
    *,
    hint: str,
) -> Iterator[ReleaseContents]:
    """Open an ``age`` archive that is believed.

    Args:
        archive: the archive.
        trust: whose signature counts; asked for before any secret is read.
        identity_files: what may open it.
        fragment_files: what else may.
        hint: what to do with a ``cbc`` archive instead.

    Raises:
        ArchiveUnauthenticatedError: it is a ``cbc`` archive: nothing in it can be verified.
        ArchiveError: it is not what a believed publisher sealed.
    """
    from binary_split.archive.detect import ArchiveFormat, read_format
    from binary_split.transports import naming_damage, open_source
    from binary_split.unlock.opening import open_release

    with naming_damage(archive), open_source(archive) as source:
        if read_format(source) is not ArchiveFormat.AGE:
            raise ArchiveUnauthenticatedError("a cbc archive holds nothing that could be verified", hint=hint)
        trust.verify_possible()
        with open_release(source, read_identities(identity_files, fragment_files), trust) as contents:
            yield contents
