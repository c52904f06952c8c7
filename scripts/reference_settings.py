"""The page on the settings: the configuration file, the environment, and the bounds that cannot be set."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields

from binary_split import config, environment
from binary_split.agent.settings import AgentSettings
from binary_split.config import _KNOWN_SETTINGS, _TEXT_SETTINGS, Limits, Settings
from binary_split.transports.configured import ArchiveServers
from scripts.commands import read_commands
from scripts.reference_page import attributes, code, head, table

_FILE = """
`BINARY_SPLIT_CONFIG` names a TOML file. Nothing is read where it is not set. A variable comes before the
file, and an option before both. A setting that does not exist is an error (exit code 3).

```toml
key_service = "https://keys.example.com:8443"
token_file = "/etc/binary-split/token"
trusted_keys_folder = "/etc/binary-split/trusted-keys.d"
engine = "docker"

[image_ids]                               # for `cbc` archives
"azaion/flights:1.0.0" = "sha256:…"
```

"""
_ARCHIVE = """
## The table `[archive]`

How web servers and registries are reached that have archives ([where an archive may be](../transports.md)).

"""
_AGENT = """
## The table `[agent]`

For `binary-split agent serve` ([the agent](../agent.md)).

"""
_ENVIRONMENT = """
## The environment

Beside the settings above, these variables are read:

"""
_LIMITS = """
## Bounds

Every bound on foreign bytes and on waiting. They cannot be set. Bytes and seconds are as the name ends.

"""
_SPECIAL = {"token": "`BINARY_SPLIT_TOKEN`", "insecure_http": "`BINARY_SPLIT_INSECURE_HTTP=1`"}
_LIMIT = re.compile(
    r"^    (\w+): (?:int|float) = ([^#\n(]+|\(\n.*\n    \))(?:  # (.*))?$|^    # (.*)$", re.MULTILINE
)


def serialise() -> str:
    """Return the page."""
    archive = attributes(inspect.getdoc(ArchiveServers) or "")
    agent = attributes(inspect.getdoc(AgentSettings) or "")
    return "".join(
        [
            head("Settings", "`binary_split.config`, `binary_split.agent.settings` and the commands"),
            _FILE,
            table(("setting", "variable", "what it says"), _settings()),
            _ARCHIVE,
            table(("setting", "what it says"), ((code(name), text) for name, text in archive.items())),
            _AGENT,
            table(("setting", "what it says"), ((code(name), text) for name, text in agent.items())),
            _ENVIRONMENT,
            table(("variable", "for"), _variables()),
            _LIMITS,
            table(("bound", "value", ""), _limits()),
        ]
    )


def _settings() -> list[tuple[str, str, str]]:
    said = attributes(inspect.getdoc(Settings) or "")
    rows = []
    for field in fields(Settings):
        names = [name for name in (field.name, field.name.removesuffix("s")) if name in _KNOWN_SETTINGS]
        is_text = field.name in _TEXT_SETTINGS
        variable = code(f"BINARY_SPLIT_{field.name.upper()}") if is_text else _SPECIAL.get(field.name, "")
        if names or variable:
            rows.append((code(*names[:1]), variable, said[field.name]))
    return rows


def _variables() -> list[tuple[str, str]]:
    source = inspect.getsource(config) + inspect.getsource(environment)
    of_settings = {f"BINARY_SPLIT_{field.name.upper()}" for field in fields(Settings)}
    read = dict.fromkeys(re.findall(r'"([A-Z][A-Z0-9]*_[A-Z_0-9]+)"', source), "")
    read |= _of_options()
    rows = {name: _PURPOSES.get(name, text) for name, text in read.items() if name not in of_settings}
    return [(code(name), rows[name]) for name in sorted(rows)]


_PURPOSES = {
    "BINARY_SPLIT_CONFIG": "the configuration file",
    "BINARY_SPLIT_KEYSERVICE_STATE": "the key service's state folder",
    "CONTAINER_HOST": "where Podman is",
    "CREDENTIALS_DIRECTORY": "where systemd put credentials: `device-key`, `kek`, `audit-key`, `vault-token`",
    "DOCKER_CERT_PATH": "where Docker is, as for its own client",
    "DOCKER_CLI_PLUGIN_SOCKET": "set by `docker` for `docker unlock`",
    "DOCKER_CONFIG": "the Docker client's folder: contexts, and logins of registries",
    "DOCKER_CONTEXT": "where Docker is, as for its own client",
    "DOCKER_HOST": "where Docker is, as for its own client",
    "DOCKER_TLS_VERIFY": "where Docker is, as for its own client",
    "NO_COLOR": "anything: no colours on a terminal",
    "REGISTRY_AUTH_FILE": "logins of registries, as for Podman",
    "SOURCE_DATE_EPOCH": "the time that a reproducible seal pretends to be at",
    "TERM": "`dumb`: no colours on a terminal",
    "XDG_CONFIG_HOME": "logins of registries, as for Podman",
    "XDG_RUNTIME_DIR": "where Podman is, and logins of registries",
    "XDG_STATE_HOME": "where the journal is, for a user other than root",
}


def _of_options() -> dict[str, str]:
    options = [option for command in read_commands().walk() for option in command.options]
    return {option.environment: option.help for option in options if option.environment}


def _limits() -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    for name, value, note, heading in _LIMIT.findall(inspect.getsource(Limits)):
        if heading:
            continue
        shown = getattr(config.LIMITS, name)
        rows.append(
            (code(name), f"{shown:,}" if isinstance(shown, int) else str(shown), note or _note(value))
        )
    return rows


def _note(value: str) -> str:
    """Return the comment within a value that takes several lines."""
    found = re.search(r"# (.*)", value)
    return found[1] if found else ""
