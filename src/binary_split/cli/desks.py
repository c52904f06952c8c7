"""Where the administration is done: beside the database, or over the network."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from binary_split.cli.options import FILE, ca_file_option
from binary_split.cli.state_option import state_option
from binary_split.errors import ConfigError
from binary_split.keyservice.admin.acts import Act

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Desk(Protocol):
    """Does acts; ``LocalDesk`` and ``RemoteDesk`` are held to one contract by the tests."""

    def do(self, act: Act, **members: Any) -> dict[str, Any]:
        """Do an act and return its answer, JSON-ready."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where: a state folder, or a key service elsewhere, which is named by an option and by nothing else.

    How it is reached the settings may say.
    """

    state: Path
    key_service: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    insecure_http: bool = False

    @contextmanager
    def open(self) -> Iterator[Desk]:
        """Give the desk.

        Raises:
            ConfigError: the options contradict each other.
            KeyStoreError: the store cannot be opened.
            SecretFileError: the token cannot be read.
        """
        if self.key_service is None:
            for option, given in (("--token-file", self.token_file), ("--ca-file", self.ca_file)):
                if given is not None:
                    raise ConfigError(
                        f"{option} is for a key service elsewhere", hint="Add --key-service URL."
                    )
            from binary_split.keyservice.admin.desk import LocalDesk
            from binary_split.keyservice.state import open_state

            store = open_state(self.state)
            try:
                yield LocalDesk(store)
            finally:
                store.close()
        else:
            yield self._open_remote(self.key_service)

    def _open_remote(self, url: str) -> Desk:
        from binary_split.cli.remote_desk import RemoteDesk
        from binary_split.config import LIMITS, load_settings
        from binary_split.files import read_secret
        from binary_split.keyclient import Service

        if self.token_file is None:
            raise ConfigError("an administrator's token is needed", hint="Name its file with --token-file.")
        token = read_secret(self.token_file, what="token", max_bytes=LIMITS.token_bytes)
        settings = load_settings()
        service = Service(
            base_url=url,
            ca_file=self.ca_file or settings.ca_file,
            insecure_http=self.insecure_http or settings.insecure_http,
        )
        return RemoteDesk(service, token.decode("latin-1").strip())


_PLACE_OPTIONS = (
    state_option,
    click.option("--key-service", metavar="URL", help="Do it over the network, at this key service."),
    click.option("--token-file", type=FILE, metavar="T", help="With an administrator's token; - for stdin."),
    ca_file_option,
    click.option("--insecure-http", is_flag=True, help="Allow plain http beyond loopback."),
)


def place_options(command: _Command) -> _Command:
    """Give a command the argument ``place``, and the options that say where it is."""

    @functools.wraps(command)
    def with_place(
        *arguments: Any,
        state: Path,
        key_service: str | None,
        token_file: Path | None,
        ca_file: Path | None,
        insecure_http: bool,
        **options: Any,
    ) -> Any:
        context = click.get_current_context()
        if (
            key_service is not None
            and context.get_parameter_source("state") is click.core.ParameterSource.COMMANDLINE
        ):
            raise ConfigError("--state and --key-service are two places", hint="Give one of them.")
        place = Place(state, key_service, token_file, ca_file, insecure_http)
        return command(*arguments, place=place, **options)

    wrapped: Any = with_place
    for option in reversed(_PLACE_OPTIONS):
        wrapped = option(wrapped)
    result: _Command = wrapped
    return result
