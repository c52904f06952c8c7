"""The proxy before the servers of archives: the one that is named, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import urllib3
import urllib3.exceptions

from binary_split.config import LIMITS
from binary_split.errors import ArchiveUnreadableError, ConfigError
from binary_split.files import read_secret

if TYPE_CHECKING:
    from binary_split.transports.options import HttpOptions

_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (4\d\d)\b")  # as http.client words it
HINT = "Name a file with the proxy's USER:PASSWORD with --proxy-login, or another proxy."


def make_proxied_pool(proxy: str, options: HttpOptions, **kept: Any) -> urllib3.PoolManager:
    """Return connections that go through a proxy, with its login if there is one (RFC 7617).

    Args:
        proxy: its URL.
        options: name the file of its login.
        kept: what the connections are like.

    Raises:
        ConfigError: the URL makes no sense or holds a password, or the file holds no login.
        SecretFileError: the file cannot be read.
    """
    try:
        parts = urlsplit(proxy)
        if parts.username is not None or parts.password is not None:
            raise ConfigError("the proxy's URL holds a user or a password", hint=HINT)
        headers = None if options.proxy_login_file is None else _read_login(options.proxy_login_file)
        return urllib3.ProxyManager(proxy, proxy_headers=headers, **kept)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise ConfigError(f"not the URL of a proxy: {proxy[:200]!r}") from error


def explain_refusal(error: BaseException) -> ArchiveUnreadableError | None:
    """Return what it means that a proxy did not let us through; None where that is not what went wrong."""
    match = _TUNNEL_REFUSED.match(str(error)) if isinstance(error, OSError) else None
    return ArchiveUnreadableError(f"the proxy answers {match[1]}", hint=HINT) if match else None


def _read_login(path: Path) -> dict[str, str]:
    content = read_secret(path, what="proxy's login", max_bytes=LIMITS.proxy_login_bytes)
    login = content.decode(errors="replace").strip()
    if ":" not in login or not login.isprintable():
        raise ConfigError(f"{path} holds no login of a proxy", hint="Write USER:PASSWORD into it.")
    return urllib3.make_headers(proxy_basic_auth=login)
