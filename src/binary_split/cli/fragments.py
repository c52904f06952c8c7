"""Where ``unlock`` gets its fragment from: a file, or the key service."""

from __future__ import annotations

from pathlib import Path

from binary_split.cli.openers import read_token
from binary_split.cli.options import read_fragment
from binary_split.config import Settings
from binary_split.errors import ConfigError
from binary_split.model import Fragment


class FragmentFile:
    """A fragment that was brought by hand."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def authenticate(self) -> None:
        """Whoever has the file is entitled."""

    def fetch(self) -> Fragment:
        """Read the file."""
        return read_fragment(self._path)


class KeyService:
    """The key service that the options, or else the settings, name."""

    def __init__(
        self,
        settings: Settings,
        url: str | None,
        token_file: Path | None,
        key_id: str | None,
        ca_file: Path | None,
        insecure_http: bool,
    ) -> None:
        self._settings = settings
        self._url = url or settings.key_service
        self._token_file = token_file or settings.token_file
        self._key_id = key_id
        self._ca_file = ca_file or settings.ca_file
        self._insecure_http = insecure_http
        self._token = ""
        if not self._url:
            raise ConfigError("no key service is given", hint="Name one with --key-service URL.")

    def authenticate(self) -> None:
        """Read the token."""
        if self._token_file is not None:
            self._token = read_token(self._token_file)
        elif self._settings.token:
            self._token = self._settings.token
        else:
            raise ConfigError("no token is given", hint="Name its file with --token-file (- for stdin).")

    def fetch(self) -> Fragment:
        """Ask the key service."""
        from binary_split.keyclient import fetch_fragment

        return fetch_fragment(
            str(self._url),
            self._token,
            key_id=self._key_id,
            ca_file=self._ca_file,
            insecure_http=self._insecure_http,
        )
