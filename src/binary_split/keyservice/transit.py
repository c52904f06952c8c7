"""A key-encryption key that a transit engine of OpenBao or Vault keeps wrapped.

The file then holds no key but its wrapping, and where it is unwrapped, as JSON. The engine is asked
when the service starts, and once more after another process has rotated the key: no other release waits for
it, and it may be away meanwhile.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from binary_split.errors import ConfigError, KeyEncryptionKeyError

_TIMEOUT_S = 10
_CONTEXT = base64.b64encode(b"binary-split/v1 kek").decode()
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,200}")
_HINT = "Check that the transit engine answers, and that the token in vault-token may decrypt with its key."


@dataclass(frozen=True, slots=True)
class TransitKey:
    """A key of a transit engine.

    Attributes:
        url: of the server, https, or http on loopback.
        key: the key's name; of the type aes256-gcm96 or another that takes associated data.
        mount: where the engine is mounted.
        ca_file: whom to trust in TLS; None is the system's authorities.
    """

    url: str
    key: str
    mount: str = "transit"
    ca_file: str | None = None

    def __post_init__(self) -> None:
        try:
            url = urlsplit(self.url)
            is_good = bool(url.hostname) and not url.username and not url.password
        except ValueError:
            is_good = False
        if not is_good or (
            url.scheme != "https"
            and not (url.scheme == "http" and url.hostname in {"127.0.0.1", "::1", "localhost"})
        ):
            raise ConfigError("a transit engine has an https URL, or http on loopback", hint="")
        if not _NAME.fullmatch(self.key) or not _NAME.fullmatch(self.mount):
            raise ConfigError("not the name of a transit key or mount", hint="")


class TransitUnwrapper:
    """Unwraps what ``wrap_kek`` made.

    Args:
        read_token: reads the token for the engine; raises KeyEncryptionKeyError.
    """

    def __init__(self, read_token: Callable[[], str]) -> None:
        self._read_token = read_token

    def __call__(self, content: bytes) -> bytes:
        """Return the key that a file's content wraps.

        Raises:
            KeyEncryptionKeyError: the content is none, or the engine is away or refuses.
        """
        place, ciphertext = parse_wrapped(content)
        with _engine(place, self._read_token()) as engine:
            answer = engine.decrypt_data(
                name=place.key, ciphertext=ciphertext, associated_data=_CONTEXT, mount_point=place.mount
            )
            return _decoded(answer, "plaintext")


def parse_wrapped(content: bytes) -> tuple[TransitKey, str]:
    """Return where a file's key is unwrapped, and what is to be unwrapped.

    Raises:
        KeyEncryptionKeyError: the content is none of ``wrap_kek``.
    """
    try:
        document = json.loads(content)
        return TransitKey(**document["transit"]), str(document["ciphertext"])
    except (ValueError, TypeError, KeyError, ConfigError, RecursionError):
        raise KeyEncryptionKeyError("the key-encryption key's file names no transit engine") from None


def wrap_kek(place: TransitKey, token: str, key: bytes) -> bytes:
    """Have a key wrapped, and return what its file holds.

    Raises:
        KeyEncryptionKeyError: the engine is away or refuses.
    """
    with _engine(place, token) as engine:
        answer = engine.encrypt_data(
            name=place.key,
            plaintext=base64.b64encode(key).decode(),
            associated_data=_CONTEXT,
            mount_point=place.mount,
        )
        ciphertext = str(answer["data"]["ciphertext"])
    transit = {"url": place.url, "key": place.key, "mount": place.mount, "ca_file": place.ca_file}
    return json.dumps({"transit": transit, "ciphertext": ciphertext}, indent=1).encode()


@contextmanager
def _engine(place: TransitKey, token: str) -> Iterator[Any]:
    try:
        import hvac
    except ModuleNotFoundError:
        raise ConfigError(
            "the client of the transit engine is not installed",
            hint="pip install 'binary-split[keyservice,vault]'",
        ) from None
    import requests

    with requests.Session() as session:
        session.trust_env = False  # no netrc and no proxy gets to see the token
        session.verify = place.ca_file or True
        client = hvac.Client(
            url=place.url, token=token, timeout=_TIMEOUT_S, session=session, allow_redirects=False
        )
        try:
            yield client.secrets.transit
        # OSError: requests' own, or no CA file is there. ValueError: no header can hold the token.
        except (hvac.exceptions.VaultError, OSError, KeyError, TypeError, ValueError) as error:
            raise KeyEncryptionKeyError(
                f"the transit engine at {place.url} failed: {type(error).__name__}",
                hint=_HINT,
            ) from None


def _decoded(answer: Any, name: str) -> bytes:
    try:
        return base64.b64decode(answer["data"][name], validate=True)
    except (binascii.Error, ValueError):
        raise KeyEncryptionKeyError("the transit engine's answer is no key", hint=_HINT) from None
