"""The global flags of `docker` before a plugin's name, and the engine that they mean.

Docker's client parses them itself and then passes the whole command line on; a plugin parses them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from binary_split.environment import docker_config_folder
from binary_split.errors import ConfigError
from binary_split.files import is_visible

_VALUED = {"host", "context", "config", "log-level", "tlscacert", "tlscert", "tlskey"}
_SWITCHES = {"tls", "tlsverify", "debug", "help"}
_SHORT = {"H": "host", "c": "context", "l": "log-level", "D": "debug", "h": "help"}
_FALSE = {"0", "f", "F", "FALSE", "false", "False"}
_TLS_FILES = {"tlscacert": "ca.pem", "tlscert": "cert.pem", "tlskey": "key.pem"}
_TLS_VARIABLES = ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")

Flags = Mapping[str, str]
"""Each flag that was given and its value; a switch that was given as off is not among them."""
Changes = Mapping[str, str | None]
"""Variables to set, and those to leave out (None)."""


def parse_global_flags(words: Sequence[str]) -> tuple[Flags, list[str]]:
    """Take the flags off the front of a command line; return them and the rest.

    Raises:
        click.UsageError: Docker has no such flag, or its value is missing.
    """
    flags: dict[str, str] = {}
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            _take(flags, name, value if equals else None, rest)
        else:
            _take_short(flags, word[1:], rest)
    return {
        name: value for name, value in flags.items() if name not in _SWITCHES or value not in _FALSE
    }, rest


def _take_short(flags: dict[str, str], letters: str, rest: list[str]) -> None:
    """Take ``-D``, ``-Hvalue``, ``-H=value`` or several letters in one."""
    name = _SHORT.get(letters[0], letters[0])
    more = letters[1:]
    if more.startswith("="):
        _take(flags, name, more[1:], rest)
    elif more and name in _VALUED:
        _take(flags, name, more, rest)
    else:
        _take(flags, name, None, rest)
        if more:
            _take_short(flags, more, rest)


def _take(flags: dict[str, str], name: str, value: str | None, rest: list[str]) -> None:
    if name in _SWITCHES:
        flags[name] = "true" if value is None else value
        return
    if name not in _VALUED:
        raise click.UsageError(f"docker has no global flag {name!r}")
    if value is None:
        if not rest:
            raise click.UsageError(f"the flag {name!r} needs a value")
        value = rest.pop(0)
    flags[name] = value


@contextmanager
def engine_variables(flags: Flags, environ: Mapping[str, str]) -> Iterator[Changes]:
    """Say in the Docker client's own variables which engine the flags mean.

    TLS files of any name and place are shown under their usual names, in a folder of links that is gone
    afterwards.

    Raises:
        ConfigError: they contradict each other, or name a context in a folder that has none.
    """
    changes = dict(_place(flags, environ))
    if _wants_tls(flags, {**environ, **changes}):
        changes["DOCKER_TLS_VERIFY"] = "1"  # whoever is sent plaintext has to prove who it is
        with _tls_folder(flags, {**environ, **changes}) as folder:
            changes["DOCKER_CERT_PATH"] = str(folder)
            yield changes
    else:
        yield changes


def _place(flags: Flags, environ: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Say where the engine is."""
    host, context = flags.get("host"), flags.get("context")
    if host and context:
        raise ConfigError("--host and --context exclude each other")
    if config := flags.get("config"):
        yield "DOCKER_CONFIG", str(Path(config).absolute())
        environ = {**environ, "DOCKER_CONFIG": config}
    if host:
        yield "DOCKER_HOST", host if "://" in host else f"tcp://{'localhost' * host.startswith(':')}{host}"
        yield "DOCKER_CONTEXT", None
    elif context and context != "default":
        yield "DOCKER_CONTEXT", context
        yield from ((name, None) for name in ("DOCKER_HOST", *_TLS_VARIABLES))
    elif context:
        yield "DOCKER_CONTEXT", context
    if not host and not is_visible(docker_config_folder(environ) / "config.json"):
        yield from _without_config(environ, context)


def _without_config(environ: Mapping[str, str], context: str | None) -> Iterator[tuple[str, str | None]]:
    """See to it that a folder without a config.json is not passed over for the one in the user's home."""
    if environ.get("DOCKER_HOST") and context in {None, "default"}:
        return
    context = context or environ.get("DOCKER_CONTEXT") or "default"
    if context != "default":
        raise ConfigError(
            f"there is no Docker context {context!r}",
            hint="Contexts are found beside Docker's config.json; make one that holds {} or use --host.",
        )
    yield "DOCKER_CONTEXT", context


def _wants_tls(flags: Flags, environ: Mapping[str, str | None]) -> bool:
    """Whether TLS is to be spoken; a context says so itself."""
    is_named = bool({"tls", "tlsverify"} & set(flags))
    return bool(environ.get("DOCKER_HOST")) and (is_named or bool(environ.get("DOCKER_TLS_VERIFY")))


@contextmanager
def _tls_folder(flags: Flags, environ: Mapping[str, str | None]) -> Iterator[Path]:
    from tempfile import TemporaryDirectory

    known = {name: value for name, value in environ.items() if value is not None}
    usual = Path(known.get("DOCKER_CERT_PATH") or docker_config_folder(known))
    if not set(_TLS_FILES) & set(flags):
        yield usual
        return
    with TemporaryDirectory(prefix="binary-split-tls-") as name:
        for flag, usual_name in _TLS_FILES.items():
            target = Path(flags.get(flag) or usual / usual_name).absolute()
            if flag in flags or is_visible(target):
                (Path(name) / usual_name).symlink_to(target)
        yield Path(name)
