"""What `docker login` and `podman login` have left: who we are to a registry.

Read are ``config.json`` of the Docker client, with the helper programs (docker-credential-helpers) that it
names, and ``auth.json`` of the containers tools (containers-auth.json(5)). Nothing is ever written.
"""

from __future__ import annotations

import base64
import json
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from binary_split.config import LIMITS, child_environment
from binary_split.environment import containers_auth_files, docker_config_folder
from binary_split.errors import ConfigError, RegistryError
from binary_split.transports.registry.reference import RegistryReference

_IS_TOKEN = "<token>"  # noqa: S105 - that is how a helper says that the secret is one


@dataclass(frozen=True, slots=True)
class Login:
    """A name and a password, which appears in no repr."""

    user: str
    password: str = field(repr=False)

    def basic(self) -> str:
        """Return the value of an ``Authorization`` header (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """What a token service gives tokens for, and what is shown to nobody else: ``identitytoken``."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What is shown to the registry as it is: ``registrytoken``."""

    text: str = field(repr=False)


AnyLogin = Login | RefreshToken | AccessToken


def find_login(reference: RegistryReference) -> AnyLogin | None:
    """Return who we are to a registry; None: nobody.

    Args:
        reference: names the registry; the more specific entry of ``auth.json`` counts.

    Raises:
        RegistryError: a helper program that is named for the registry fails.
    """
    hosts = reference.login_names
    for path in _login_files():
        document = _read(path)
        helpers = _table(document, "credHelpers")
        helper = next((helpers[host] for host in hosts if host in helpers), document.get("credsStore"))
        if isinstance(helper, str):
            for host in hosts:
                if (login := _ask_helper(helper, host)) is not None:
                    return login
        auths = _table(document, "auths")
        for name in _names(reference):
            entry = auths.get(name)
            if isinstance(entry, dict) and (login := _parse_entry(entry)) is not None:
                return login
    return None


def _login_files() -> tuple[Path, ...]:
    """Return where logins may be; who has no home, as a service of nobody's, has none there."""
    with suppress(ConfigError):
        return (*containers_auth_files(), docker_config_folder() / "config.json")
    return containers_auth_files()


def _names(reference: RegistryReference) -> list[str]:
    """Return the names under which an entry may stand, the most specific first."""
    parts = reference.path.split("/")
    hosts = [host for host in reference.login_names if "://" not in host]
    paths = ["/".join([host, *parts[:count]]) for count in range(len(parts), 0, -1) for host in hosts]
    urls = [f"https://{host}{end}" for host in hosts for end in ("", "/v1/", "/v2/")]
    return [*paths, *reference.login_names, *urls]


def _read(path: Path) -> dict[str, Any]:
    """Read a file of logins; one that is not there or makes no sense holds none."""
    with suppress(OSError, ValueError, RecursionError), path.open("rb") as file:
        document = json.loads(file.read(LIMITS.login_file_bytes))
        if isinstance(document, dict):
            return document
    return {}


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    table = document.get(name)
    return table if isinstance(table, dict) else {}


def _parse_entry(entry: dict[str, Any]) -> AnyLogin | None:
    if (text := _token(entry, "identitytoken")) is not None:
        return RefreshToken(text)
    if (text := _token(entry, "registrytoken")) is not None:
        return AccessToken(text)
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        user, colon, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
        if colon:
            return Login(user, password.rstrip("\0"))
    return None


def _token(entry: dict[str, Any], name: str) -> str | None:
    """Return a token that can be said in a header; None: there is none."""
    text = entry.get(name)
    return text if isinstance(text, str) and text and text.isascii() and text.isprintable() else None


def _ask_helper(helper: str, host: str) -> AnyLogin | None:
    """Ask a helper; one that knows nothing of the host says so by its exit code."""
    try:
        done = subprocess.run(
            [f"docker-credential-{helper}", "get"],
            input=host.encode(),
            capture_output=True,
            timeout=LIMITS.login_helper_s,
            env=child_environment(),
            check=False,
        )
        if done.returncode:
            return None
        document = json.loads(done.stdout)
        user, secret = document["Username"], document["Secret"]
        return RefreshToken(secret) if user == _IS_TOKEN else Login(user, secret)
    except (OSError, ValueError, LookupError, TypeError, subprocess.SubprocessError):
        # Not chained: what the helper said is a secret.
        raise RegistryError(
            f"docker-credential-{helper} gave no login for {host}", hint="Log in again with `docker login`."
        ) from None
