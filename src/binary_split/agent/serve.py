"""Run the agent: one listening socket, until SIGTERM."""

from __future__ import annotations

import gc
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from binary_split.agent.access import Access, read_agent_token
from binary_split.agent.app import AgentLimits, Surroundings, create_app
from binary_split.agent.autostart import Autostart
from binary_split.agent.figures import AgentMetrics
from binary_split.agent.memory import only_agent
from binary_split.agent.page.subject import Subject
from binary_split.agent.settings import AgentSettings, parse_agent_settings
from binary_split.agent.status_line import StatusLine
from binary_split.agent.unlocker import Unlocker
from binary_split.config import Settings
from binary_split.errors import ConfigError
from binary_split.service import systemd
from binary_split.service.listener import listener_url, open_listener, unix_listener
from binary_split.service.log_lines import log_json_lines
from binary_split.service.metrics import metrics_listener
from binary_split.service.server import build_server, run_server, stop_on_signals
from binary_split.service.tls import TlsFiles, tls_context
from binary_split.transports.configured import configured

LOG = logging.getLogger("binary_split.agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the agent listens, and what it asks of whoever comes.

    Attributes:
        unix: a socket in the file system, instead of an address; its permissions say who may come.
        host: a name or an address of this machine, of which the first address is taken.
        port: 0 is a free one.
        tls: None is plain http, which a loopback address only may speak.
        client_ca: whoever has a certificate that this authority signed needs no token; PEM. Without a
            token nobody else gets a connection.
        token_file: holds the agent's own token; None takes the settings'.
        metrics: the address at which Prometheus is answered, None for nowhere.
    """

    unix: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8444
    tls: TlsFiles | None = None
    client_ca: Path | None = None
    token_file: Path | None = None
    metrics: tuple[str, int] | None = None


def serve_agent(
    settings: Settings,
    place: Place,
    *,
    on_listening: Callable[[str], None],
    limits: AgentLimits | None = None,
) -> None:
    """Answer requests until SIGTERM or SIGINT; then leave an unlock that is under way to the next start.

    Args:
        settings: of the device; the agent's own are among them.
        place: where to listen.
        on_listening: is told the agent's URL, once connections are taken.
        limits: bounds.

    Raises:
        ConfigError: a setting, an address or the TLS files cannot be used; plain http would leave the
            machine; nobody could come in; or another agent uses the state folder.
        SecretFileError: the agent's token cannot be read, or is open to others.
        JournalError: the state folder cannot be used.
    """
    note = partial(LOG.warning, "%s")
    agent = parse_agent_settings(settings.agent, configured(settings, note=note))
    access = _access(place, agent)
    context = _context(place, access)
    limits = limits or AgentLimits()
    metrics = AgentMetrics()
    log_json_lines()
    with (
        only_agent(settings),
        _listener(place) as (listener, url),
        metrics_listener(metrics, place.metrics),
        closing(Unlocker(settings, agent, on_end=metrics.count_unlock)) as unlocker,
        closing(StatusLine(unlocker)),
        closing(Autostart(unlocker, agent)),
    ):
        around = Surroundings(
            unlocker=unlocker,
            access=access,
            metrics=metrics,
            limits=limits,
            names=agent.names,
            page=Subject.of(settings, agent),
            is_ending=lambda: server.should_exit,
        )
        server = build_server(create_app(around), context, head_s=limits.head_s)
        stop_on_signals(server)
        gc.collect()
        gc.freeze()  # what is there by now stays, and need not be looked through for garbage again
        on_listening(url)
        systemd.notify(systemd.READY)
        run_server(server, listener, threads=limits.threads)


@contextmanager
def _listener(place: Place) -> Iterator[tuple[socket.socket, str]]:
    """Give the listening socket, and the URL at which it is reached."""
    if place.unix is not None:
        with unix_listener(place.unix) as listener:
            yield listener, f"unix:{place.unix}"
        return
    is_plain = place.tls is None
    with open_listener(place.host, place.port, plain=is_plain) as listener:
        yield listener, listener_url(listener, plain=is_plain)


def _context(place: Place, access: Access) -> ssl.SSLContext | None:
    if place.tls is None:
        return None
    # Whoever has no certificate may sign in, if anybody can.
    return tls_context(place.tls, client_ca=place.client_ca, is_certificate_optional=access.has_token)


def _access(place: Place, agent: AgentSettings) -> Access:
    if place.client_ca is not None and place.tls is None:
        raise ConfigError("--client-ca needs --tls-cert and --tls-key")
    token_file = place.token_file or agent.token_file
    if token_file is None and place.unix is None and place.client_ca is None:
        raise ConfigError(
            "nobody could come in: the agent has no token",
            hint="Name its file with --token-file, or listen with --unix.",
        )
    return Access(read_agent_token(token_file) if token_file else "")
