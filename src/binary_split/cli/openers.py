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
from binary_split.config import LIMITS
from binary_split.errors import SecretFileError
from binary_split.files import read_secret
from binary_split.model import Fragment


def fetch_located(location: FragmentLocation) -> Fragment:
    """Read the fragment from its file, or fetch it from its key service.

    Raises:
        SecretFileError: the fragment's or the token's file cannot be read.
        KeyServiceError: the key service gave no fragment.
        ConfigError: the CA file cannot be used.
    """
    if isinstance(location, FragmentFile):
        return read_fragment(Path(location.fragment_file))
    from binary_split.keyclient import fetch_fragment

    return fetch_fragment(
        location.key_service,
        read_token(Path(location.token_file)),
        key_id=location.key_id,
        ca_file=Path(location.ca_file) if location.ca_file is not None else None,
    )


def read_token(path: Path) -> str:
    """Read a token's file; white space around the token is dropped.

    Raises:
        SecretFileError: it cannot be read.
    """
    content = read_secret(path, what="token", max_bytes=LIMITS.token_bytes)
    return content.decode(errors="replace").strip()


def read_identities(path: Path) -> tuple[Identity, ...]:
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
