"""Who opens an archive: the fragments and identities that a file or an option names."""

from __future__ import annotations

from pathlib import Path

from binary_split.archive.age import Identity, parse_identity
from binary_split.archive.age.plugin_identity import (
    FragmentFile,
    FragmentLocation,
    LocatedIdentity,
    is_plugin_identity,
    parse_plugin_identity,
)
from binary_split.cli.options import read_fragment
from binary_split.config import LIMITS, Settings, load_settings
from binary_split.errors import SecretFileError
from binary_split.files import read_secret
from binary_split.model import Fragment
from binary_split.unlock.key_source import KeyService


def fetch_located(location: FragmentLocation) -> Fragment:
    """Read the fragment from its file, or fetch it from its key service, sealed where the device has a key.

    Raises:
        SecretFileError: the file of the fragment, the token or the device's key cannot be read.
        KeyServiceError: the key service gave no fragment.
        ConfigError: the CA file or the configuration cannot be used, or no key-id says which sealed fragment.
    """
    if isinstance(location, FragmentFile):
        return read_fragment(Path(location.fragment_file))
    # No setting but the device's key: the identity itself says everything else.
    settings = load_settings()
    service = KeyService(
        Settings(
            device_key_file=settings.device_key_file,
            device_id=settings.device_id,
            credentials_folder=settings.credentials_folder,
        ),
        location.key_service,
        token_file=Path(location.token_file),
        key_id=location.key_id,
        ca_file=Path(location.ca_file) if location.ca_file is not None else None,
    )
    service.authenticate()
    return service.fetch()


def read_identity_file(path: Path) -> tuple[Identity, ...]:
    """Read an identity file: one identity a line, of age's own sorts or of ours; comments behind ``#``.

    A fragment that one of them names is fetched when a stanza asks for it.

    Raises:
        SecretFileError: it cannot be read, a line is no identity that we know, or there is none.
        ConfigError: a line is a malformed identity of ours.
    """
    raw = read_secret(path, what="identity", max_bytes=LIMITS.age_identity_file_bytes)
    lines = [line.strip() for line in raw.decode(errors="replace").splitlines()]
    identities = tuple(_parse_line(line) for line in lines if line and not line.startswith("#"))
    if not identities:
        raise SecretFileError(f"the identity file {path} holds no identity")
    return identities


def _parse_line(line: str) -> Identity:
    if is_plugin_identity(line):
        return LocatedIdentity(parse_plugin_identity(line), fetch_located)
    return parse_identity(line)
