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


@dataclass(frozen=True, slots=True)
class Login:
    """A name and a password, which appears in no repr."""

    user: str
    password: str = field(repr=False)

    def basic(self) -> str:
        """Return the value of an ``Authorization`` header (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def find_login(host: str, repository: str) -> Login | None:
    """Return who we are to a registry; None: nobody.

    Args:
        host: of the registry, with its port if it names one.
        repository: the more specific entry of ``auth.json`` counts.

    Raises:
        RegistryError: a helper program that is named for the registry fails.
    """
    for path in _login_files():
        document = _read(path)
        helper = _table(document, "credHelpers").get(host) or document.get("credsStore")
        if isinstance(helper, str) and (login := _ask_helper(helper, host)) is not None:
            return login
        auths = _table(document, "auths")
        for name in _names(host, repository):
            entry = auths.get(name)
            if isinstance(entry, dict) and (login := _parse_entry(entry)) is not None:
                return login
    return None


def _login_files() -> tuple[Path, ...]:
    """Return where logins may be; who has no home, as a service of nobody's, has none there."""
    with suppress(ConfigError):
        return (*containers_auth_files(), docker_config_folder() / "config.json")
    return containers_auth_files()


def _names(host: str, repository: str) -> list[str]:
    """Return the names under which an entry may stand, the most specific first."""
    parts = repository.split("/")
    paths = ["/".join([host, *parts[:count]]) for count in range(len(parts), 0, -1)]
    return [*paths, host, f"https://{host}", f"https://{host}/v1/", f"https://{host}/v2/"]


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


def _parse_entry(entry: dict[str, Any]) -> Login | None:
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        user, colon, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
        if colon:
            return Login(user, password.rstrip("\0"))
    return None


def _ask_helper(helper: str, host: str) -> Login | None:
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
        return Login(document["Username"], document["Secret"])
    except (OSError, ValueError, LookupError, TypeError, subprocess.SubprocessError):
        # Not chained: what the helper said is a secret.
        raise RegistryError(
            f"docker-credential-{helper} gave no login for {host}", hint="Log in again with `docker login`."
        ) from None
