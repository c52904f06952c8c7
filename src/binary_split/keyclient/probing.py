"""Looking at the key service without asking for anything: its name, its port, its certificate, its readiness.

Nothing here sends a token but `verify_token`, which can release nothing.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from binary_split.errors import FragmentNotFoundError, KeyServiceAnswerError, KeyServiceError
from binary_split.keyclient.address import READY_PATH, Address, release_path
from binary_split.keyclient.answer import Answer, read_document
from binary_split.keyclient.asking import Service
from binary_split.keyclient.exchange import Request, ask, trust
from binary_split.keyclient.failure import explain_failure
from binary_split.keyclient.token import BearerToken
from binary_split.keyclient.waiting import Deadline
from binary_split.sealedfragment import generate_nonce
from binary_split.sealedfragment.encoding import encode_base64url

_T = TypeVar("_T")
_NO_KEY = "-"  # names no key, and never will: a key-id begins with a letter or a digit
_ANSWER_BYTES = 8 * 1024


def find_addresses(service: Service, address: Address) -> tuple[str, ...]:
    """Return the IP addresses of the service's host.

    Raises:
        KeyServiceUnreachableError: its name cannot be resolved.
    """
    rows = _mapped(
        service, address, lambda: socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    )
    return tuple(dict.fromkeys(str(row[4][0]) for row in rows))


def connect(service: Service, address: Address) -> float:
    """Open a connection and close it; return the seconds that it took.

    Raises:
        KeyServiceUnreachableError: nothing listens there, or there is no way.
        KeyServiceTimeoutError: nothing comes back.
    """
    begin = time.monotonic()
    _mapped(service, address, lambda: _dial(service, address).close())
    return time.monotonic() - begin


def fetch_certificate(service: Service, address: Address, *, is_trusted: bool) -> bytes:
    """Return the service's certificate, in DER; nothing is sent but TLS's own greeting.

    Args:
        service: how it is asked.
        address: where it is.
        is_trusted: whether the certificate must prove who the service is; else it is only to be shown.

    Raises:
        KeyServiceTlsError: it does not prove that, or there is no TLS.
        ConfigError: the CA file cannot be used.
    """
    if is_trusted:
        context = trust(service.ca_file)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE

    def shake_hands() -> bytes:
        with (
            _dial(service, address) as sock,
            context.wrap_socket(sock, server_hostname=address.host) as secured,
        ):
            return secured.getpeercert(binary_form=True) or b""

    return _mapped(service, address, shake_hands)


def fetch_readiness(service: Service) -> Answer:
    """Ask whether the service is ready, without a token, once.

    Raises:
        KeyServiceError: no whole answer came.
        ConfigError: the CA file cannot be used.
    """
    return _ask_once(service, Request(service.address(READY_PATH), None, _ANSWER_BYTES, is_json_wanted=True))


def verify_token(service: Service, token: BearerToken) -> None:
    """Prove that the service takes a token, by asking it for a key that cannot exist.

    No fragment is released and no use spent; the service counts a refusal. The token is sent only where the
    same request without one is answered by asking for one: a service of another kind never sees it here.

    Raises:
        KeyServiceAnswerError: the service does not say, or says something else.
        TokenRejectedError: it does not know the token, or it has expired.
        FragmentForbiddenError: it was revoked, or its device disabled.
        KeyServiceError: one of its other subclasses, by cause.
    """
    body = json.dumps({"nonce": encode_base64url(generate_nonce())}).encode()
    request = Request(service.address(release_path(_NO_KEY)), None, _ANSWER_BYTES, body)
    challenge = _ask_once(service, request)
    asks_for_token = challenge.header("WWW-Authenticate").lower().startswith("bearer")
    if challenge.status != 401 or not asks_for_token:
        raise KeyServiceAnswerError("this key service does not say what a token is worth without a release")
    try:
        read_document(_ask_once(service, replace(request, token=token)), token, max_bytes=_ANSWER_BYTES)
    except FragmentNotFoundError:
        return
    raise KeyServiceAnswerError("the key service answered as if there were a key that cannot be")


def _ask_once(service: Service, request: Request) -> Answer:
    deadline = Deadline(service.limits.fetch_deadline_s, service.clock)
    context = trust(service.ca_file) if request.address.is_https else None
    return ask(request, context=context, deadline=deadline, limits=service.limits)


def _dial(service: Service, address: Address) -> socket.socket:
    return socket.create_connection((address.host, address.port), service.limits.connect_timeout_s)


def _mapped(service: Service, address: Address, call: Callable[[], _T]) -> _T:
    deadline = Deadline(service.limits.connect_timeout_s, service.clock)
    failure: KeyServiceError
    try:
        return call()
    except (OSError, ValueError) as error:
        failure = explain_failure(error, host=address.host, answered=False, deadline=deadline)
    raise failure
