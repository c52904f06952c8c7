"""The key service as the source of a fragment: which one, with whose token, for which key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from binary_split.config import LIMITS, Settings
from binary_split.errors import ConfigError, FragmentNotFoundError
from binary_split.files import read_secret
from binary_split.model import Fragment
from binary_split.unlock.device_key import read_device_key

if TYPE_CHECKING:
    from binary_split.keyclient import Service
    from binary_split.sealedfragment import PrivateKey
    from binary_split.transports import ArchiveLocation


class KeyService:
    """Gives the fragment: sealed to this device's key where there is one, else as it is.

    Args:
        settings: what the options leave open.
        url: the key service's.
        token_file: holds the token; None takes the settings'.
        device_key: holds the device's private key; None takes the settings', if they name one.
        key_id: which fragment; None leaves it to the key service, or to ``find_key_ids``.
        find_key_ids: says which fragments would do, where a sealed one is asked for by no other name.
        ca_file: the service's own CA.
        insecure_http: allow plain http beyond loopback.

    Raises:
        ConfigError: no key service is named.
    """

    def __init__(
        self,
        settings: Settings,
        url: str | None,
        *,
        token_file: Path | None = None,
        device_key: Path | None = None,
        key_id: str | None = None,
        find_key_ids: Callable[[], Sequence[str]] = tuple,
        ca_file: Path | None = None,
        insecure_http: bool = False,
    ) -> None:
        self._settings = settings
        self._url = url or settings.key_service or ""
        self._token_file = token_file or settings.token_file
        self._device_key_file = device_key or settings.device_key_file
        self._key_id = key_id
        self._find_key_ids = find_key_ids
        self._ca_file = ca_file or settings.ca_file
        self._insecure_http = insecure_http or settings.insecure_http
        self._token = ""
        self._device_key: PrivateKey | None = None
        if not self._url:
            raise ConfigError("no key service is given", hint="Name one with --key-service URL.")

    def authenticate(self) -> None:
        """Read the token, and the device's key if there is one.

        Raises:
            ConfigError: no token is named.
            SecretFileError: one of them cannot be read.
        """
        if self._device_key_file is not None:
            self._device_key = read_device_key(self._device_key_file, self._settings)
        if self._token_file is not None:
            self._token = read_token(self._token_file)
        elif self._settings.token:
            self._token = self._settings.token
        else:
            raise ConfigError("no token is given", hint="Name its file with --token-file (- for stdin).")

    def fetch(self) -> Fragment:
        """Ask the key service.

        Raises:
            KeyServiceError: it gave no fragment.
            ConfigError: a sealed fragment is to be asked for, and nothing says which.
        """
        from binary_split.keyclient import Service, fetch_fragment

        if self._device_key is not None:
            service = Service(base_url=self._url, ca_file=self._ca_file, insecure_http=self._insecure_http)
            return self._fetch_sealed(service, self._device_key)
        return fetch_fragment(
            self._url,
            self._token,
            key_id=self._key_id,
            ca_file=self._ca_file,
            insecure_http=self._insecure_http,
        )

    def _fetch_sealed(self, service: Service, device_key: PrivateKey) -> Fragment:
        """Ask for one fragment after the other until this device may have one."""
        from binary_split.keyclient import fetch_sealed_fragment

        *others, last = self._candidates()
        for key_id in others:
            try:
                return fetch_sealed_fragment(
                    service, self._token, device_key, key_id=key_id, device=self._settings.device_id
                )
            except FragmentNotFoundError:
                continue
        return fetch_sealed_fragment(
            service, self._token, device_key, key_id=last, device=self._settings.device_id
        )

    def _candidates(self) -> Sequence[str]:
        if self._key_id is not None:
            return (self._key_id,)
        key_ids = tuple(dict.fromkeys(self._find_key_ids()))
        if not 0 < len(key_ids) <= LIMITS.key_ids_asked:
            raise ConfigError("nothing says which sealed fragment to ask for", hint="Name it with --key-id.")
        return key_ids


def read_token(path: Path) -> str:
    """Read a token's file; white space around the token is dropped.

    Raises:
        SecretFileError: it cannot be read.
    """
    content = read_secret(path, what="token", max_bytes=LIMITS.token_bytes)
    return content.decode(errors="replace").strip()


def read_key_ids(archive: ArchiveLocation) -> tuple[str, ...]:
    """Return the fragments that an `age` archive says would open it; a `cbc` one says nothing.

    Raises:
        ArchiveError: it cannot be read.
    """
    from binary_split.archive.age import parse_fragment_stanzas, read_header
    from binary_split.archive.detect import ArchiveFormat, read_format
    from binary_split.transports import open_source

    with open_source(archive) as source:
        if read_format(source) is not ArchiveFormat.AGE:
            return ()
        source.seek(0)
        return tuple(stanza.key_id for stanza in parse_fragment_stanzas(read_header(source).stanzas))
