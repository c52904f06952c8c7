"""Token and fragment are shown by nothing, whatever fails."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator

import pytest

from bed.certs import make_leaf
from bed.fault_server import Peer, Script, answer, drip_after_request, head, say
from binary_split.config import Limits
from binary_split.errors import BinarySplitError
from binary_split.keyclient import Service, enrol, fetch_fragment, fetch_sealed_fragment
from binary_split.keyclient.token import BearerToken
from binary_split.sealedfragment import Kem, PrivateKey, PublicKey
from tests.keyclient.conftest import TOKEN, Client, Pki, Serve

SECRET = b"bsf-SECRET-FRAGMENT-0123456789"


def reset(peer: Peer) -> None:
    peer.read_request()
    peer.send(head("200 OK", "Content-Length: 99") + SECRET)
    peer.reset()


ECHO = f'{{"detail": "bad token {TOKEN}"}}'.encode()

FAILURES: dict[str, Script] = {
    "401 that echoes": answer("401 No", "Content-Type: application/problem+json", body=ECHO),
    "403": answer("403 No", f"X-Echo: {TOKEN}"),
    "404": answer("404 No", body=SECRET),
    "429": answer("429 Slow"),
    "500 that echoes": answer("500 Oops", "Content-Type: application/json", body=ECHO),
    "redirect that echoes": answer("302 Found", f"Location: https://x.example/?{TOKEN}"),
    "reason that echoes": answer(f"418 {TOKEN}"),
    "odd status": answer("201 Created", body=SECRET),
    "empty": answer("200 OK"),
    "web page": answer("200 OK", body=b"<html>" + SECRET),
    "html type": answer("200 OK", "Content-Type: text/html", body=SECRET),
    "too long": answer("200 OK", body=SECRET * 4000),
    "compressed": answer("200 OK", "Content-Encoding: gzip", body=SECRET),
    "short length": answer("200 OK", body=SECRET, length=99),
    "cut chunk": say(head("200 OK", "Transfer-Encoding: chunked") + b"40\r\n" + SECRET),
    "bad chunk": say(head("200 OK", "Transfer-Encoding: chunked") + SECRET + b"\r\n" + SECRET),
    "bad length": say(head("200 OK", "Content-Length: 1, 2") + SECRET),
    "length and chunks": say(
        head("200 OK", "Content-Length: 9", "Transfer-Encoding: chunked") + SECRET + b"\r\n"
    ),
    "not HTTP": say(SECRET + b"\r\n" + TOKEN.encode()),
    "no blank line": say(b"HTTP/1.1 200 OK\r\nX: y\r\n" + SECRET + b"\r\n" + TOKEN.encode() + b"\r\n\r\n"),
    "header line too long": say(b"HTTP/1.1 200 OK\r\nX: " + SECRET * 4000 + b"\r\n\r\n"),
    "reset in the body": reset,
    "closed at once": say(b""),
    "body that stops": drip_after_request(head("200 OK", "Content-Length: 99") + SECRET, b"x" * 50),
}


class _Catcher(logging.Handler):
    """Keeps every record of every logger, rendered."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record) + repr(record.args))


@pytest.fixture
def log() -> Iterator[_Catcher]:
    catcher, root = _Catcher(), logging.getLogger()
    level = root.level
    root.addHandler(catcher)
    root.setLevel(logging.DEBUG)
    for name in ("urllib3", "requests", "urllib3.connectionpool", "urllib3.connection", "binary_split"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield catcher
    root.removeHandler(catcher)
    root.setLevel(level)


def assert_shows_no_secret(error: BaseException, log: _Catcher) -> None:
    chain: list[BaseException] = []
    each: BaseException | None = error
    while each is not None:
        chain.append(each)
        each = each.__cause__ or each.__context__
    texts = [*log.lines]
    for link in chain:
        texts += [str(link), repr(link), repr(link.args), repr(vars(link)), getattr(link, "hint", "")]
        texts.append("".join(traceback.format_exception(link)))
        # The frames of the tests know the secrets; those of the product must not.
        for frame, _ in traceback.walk_tb(link.__traceback__):
            if "binary_split" in frame.f_code.co_filename:
                texts.append(repr(frame.f_locals))
    shown = "\n".join(texts)
    assert TOKEN not in shown
    assert SECRET.decode() not in shown
    assert SECRET.decode()[:12] not in shown
    assert chain == [error], "a library's exception is chained"


@pytest.mark.fault(38)
@pytest.mark.parametrize("secure", [True, False], ids=["https", "http"])
@pytest.mark.parametrize("script", FAILURES.values(), ids=FAILURES.keys())
def test_no_failure_shows_token_or_fragment(
    client: Client, serve: Serve, log: _Catcher, script: Script, secure: bool
) -> None:
    client.limits = Limits(fetch_attempts=2, fetch_deadline_s=5, read_timeout_s=0.3)
    if script is FAILURES["body that stops"]:
        client.limits = Limits(fetch_deadline_s=0.3)
    server = serve(script) if secure else serve(script, tls=None)
    with pytest.raises(BinarySplitError) as caught:
        client.fetch(server.url())
    assert server.requests
    assert any("urllib3" in line for line in log.lines), "the log was not watched"
    assert_shows_no_secret(caught.value, log)


DEVICE_KEY = PrivateKey(Kem.X25519, b"bsd-SECRET-SEED-0123456789abcdef"[:32])


def ask_sealed(service: Service) -> None:
    fetch_sealed_fragment(service, TOKEN, DEVICE_KEY, key_id="k1")


def ask_enrolment(service: Service) -> None:
    enrol(service, TOKEN, PublicKey.of(DEVICE_KEY))  # the code is as secret as a token, and has its form


JSON_FAILURES: dict[str, Script] = {
    "refused": answer("403 No", "Content-Type: application/problem+json", body=ECHO),
    "not JSON": answer("200 OK", "Content-Type: application/json", body=TOKEN.encode()),
    "no document": answer("200 OK", "Content-Type: application/json", body=ECHO),
    "no token": answer(
        "200 OK", "Content-Type: application/json", body=b'{"device":"d","token":"' + SECRET + b' "}'
    ),
    "too long": answer("200 OK", "Content-Type: application/json", body=SECRET * 4000),
    "cut off": answer("200 OK", "Content-Type: application/json", body=SECRET, length=99),
    "reset": reset,
}


@pytest.mark.fault(38)
@pytest.mark.parametrize("ask", [ask_sealed, ask_enrolment])
@pytest.mark.parametrize("script", [*FAILURES.values(), *JSON_FAILURES.values()])
def test_no_failure_of_a_post_shows_token_code_or_seed(
    client: Client, serve: Serve, log: _Catcher, script: Script, ask: Callable[[Service], None]
) -> None:
    limits = Limits(fetch_attempts=2, fetch_deadline_s=2, read_timeout_s=0.3)
    server = serve(script)
    with pytest.raises(BinarySplitError) as caught:
        ask(Service(base_url=server.url(), ca_file=client.ca_file, limits=limits, sleep=client.sleeps.append))
    assert server.requests
    assert_shows_no_secret(caught.value, log)
    assert "SECRET-SEED" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.fault(38)
def test_no_failure_to_connect_shows_the_token(client: Client, serve: Serve, pki: Pki, log: _Catcher) -> None:
    urls = [
        "https://localhost:1",
        "http://keys.example",
        serve(answer("200 OK"), tls=pki.context(make_leaf(None))).url(),
        f"https://localhost:{serve(Peer.hang_up, tls=None).port}",
    ]
    for url in urls:
        with pytest.raises(BinarySplitError) as caught:
            client.fetch(url)
        assert_shows_no_secret(caught.value, log)


@pytest.mark.fault(38)
def test_success_logs_neither(client: Client, serve: Serve, log: _Catcher) -> None:
    fragment = fetch_fragment(serve(answer("200 OK", body=SECRET)).url(), TOKEN, ca_file=client.ca_file)
    shown = "\n".join([*log.lines, repr(fragment), str(fragment)])
    assert TOKEN not in shown
    assert SECRET.decode() not in shown


def test_token_object_shows_nothing() -> None:
    token = BearerToken.parse(TOKEN, max_bytes=100)
    assert TOKEN not in f"{token} {token!r}"
    with pytest.raises(TypeError):
        token.__reduce__()
