"""Fragments that were brought by hand: in a file as they are, or in one that is sealed to this device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from binary_split.cli.device_keys import device_key_option
from binary_split.cli.options import FILE, read_fragment
from binary_split.config import LIMITS, load_settings
from binary_split.errors import ConfigError
from binary_split.files import read_secret
from binary_split.model import Fragment
from binary_split.unlock.device_key import locate_device_key, read_device_key

_LINE_END_BYTES = 2
_SEALED_HELP = "File that holds a fragment sealed to this device's key; - for stdin."


@dataclass(frozen=True, slots=True)
class FragmentFile:
    """A fragment in a file."""

    path: Path

    def authenticate(self) -> None:
        """Whoever has the file is entitled."""

    def fetch(self) -> Fragment:
        """Read the file.

        Raises:
            SecretFileError: it cannot be read.
        """
        return read_fragment(self.path)


@dataclass(frozen=True, slots=True)
class SealedFragmentFile:
    """A fragment in a file, sealed to this device's key.

    Attributes:
        device_key: file of that key; None takes the settings'.
    """

    path: Path
    device_key: Path | None = None

    def authenticate(self) -> None:
        """Whoever has the device's key is entitled."""

    def fetch(self) -> Fragment:
        """Read and open the file; a line end that an editor or a QR reader added is dropped.

        Raises:
            SecretFileError: it or the device's key cannot be read.
            SealedFragmentError: it is no sealed fragment, or not this device's.
            ConfigError: no device key is given.
        """
        from binary_split.sealedfragment import SealedFragment, open_fragment

        settings = load_settings()
        max_bytes = LIMITS.sealed_fragment_bytes + _LINE_END_BYTES
        sealed = SealedFragment.parse(
            read_secret(self.path, what="sealed fragment", max_bytes=max_bytes)
            .removesuffix(b"\n")
            .removesuffix(b"\r")
        )
        key = read_device_key(locate_device_key(self.device_key, settings), settings)
        return open_fragment(sealed, key, device=settings.device_id)


FragmentOrigin = FragmentFile | SealedFragmentFile

sealed_fragment_option = click.option(
    "--sealed-fragment", "sealed_file", type=FILE, metavar="F", help=_SEALED_HELP
)


def choose_fragment(
    fragment_file: Path | None, sealed_file: Path | None, device_key: Path | None
) -> FragmentOrigin | None:
    """Return where the one fragment is, None where no file is named.

    Raises:
        ConfigError: two are named.
    """
    if fragment_file is not None and sealed_file is not None:
        raise ConfigError("--fragment-file and --sealed-fragment are two ways to name one fragment")
    if sealed_file is not None:
        return SealedFragmentFile(sealed_file, device_key)
    return None if fragment_file is None else FragmentFile(fragment_file)


def fragment_files_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name any number of fragments; they come as ``fragment_files``."""

    @wraps(command)
    def gathered(
        *args: Any,
        fragment_files: tuple[Path, ...],
        sealed_files: tuple[Path, ...],
        device_key: Path | None,
        **options: Any,
    ) -> Any:
        sealed = (SealedFragmentFile(path, device_key) for path in sealed_files)
        return command(*args, fragment_files=(*map(FragmentFile, fragment_files), *sealed), **options)

    plain_option = click.option(
        "--fragment-file",
        "fragment_files",
        type=FILE,
        multiple=True,
        metavar="F",
        help="File that holds a fragment, byte-exact; - for stdin.",
    )
    sealed_option = click.option(
        "--sealed-fragment", "sealed_files", type=FILE, multiple=True, metavar="F", help=_SEALED_HELP
    )
    return plain_option(sealed_option(device_key_option(gathered)))
