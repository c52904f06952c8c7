"""What a token is never sent to, and what is never sent as a token. No test here opens a connection."""

from __future__ import annotations

import traceback

import pytest

from binary_split.errors import ConfigError, KeyServiceUrlError, SecretFileError
from binary_split.keyclient import fetch_fragment
from binary_split.keyclient.address import fragment_path, parse_address
from tests.keyclient.conftest import TOKEN, Client

REFUSED = {
    "empty": "",
    "no scheme": "keys.example",
    "file": "file:///etc/passwd",
    "ftp": "ftp://keys.example",
    "scheme-relative": "//keys.example/api",
    "one slash": "https:/keys.example",
    "no host": "https://",
    "no host but a port": "https://:443/",
    "http elsewhere": "http://keys.example",
    "http to a private address": "http://10.0.0.1",
    "http to all interfaces": "http://0.0.0.0",
    "http to a name that only starts like loopback": "http://localhost.evil.example",
    "http to a name that only looks like loopback": "http://127.0.0.1.evil.example",
    "user": "https://user@keys.example",
    "user and password": "https://user:hunter2pw@keys.example",
    "empty user": "https://@keys.example",
    "password with a slash": "https://user:hunter2pw/x@keys.example",
    "query": "https://keys.example/?token=hunter2pw",
    "empty query": "https://keys.example?",
    "fragment part": "https://keys.example/#hunter2pw",
    "port 0": "https://keys.example:0",
    "port too high": "https://keys.example:65536",
    "port no number": "https://keys.example:hunter2pw",
    "open bracket": "https://[::1",
    "bracketed name": "https://[keys.example]",
    "IPv6 zone": "https://[fe80::1%25eth0]",
    "space": "https://keys.example/a b",
    "leading space": " https://keys.example",
    "line end": "https://keys.example/\r\nX-Evil: 1",
    "tab": "https://keys\t.example",
    "NUL": "https://keys.example/\0",
    "backslash": "https://keys.example\\@evil.example",
    "non-ASCII": "https://kéys.example",
    "ideographic full stops": "https://169。254。169。254",
    "label too long": f"https://{'a' * 64}.example",
    "name too long": f"https://{'a.' * 130}example",
    "empty label": "https://keys..example",
    "leading dot": "https://.example",
    "percent in the host": "https://keys%2eexample",
    "link-local IPv4": "https://169.254.169.254",
    "link-local IPv4 over http": "http://169.254.169.254",
    "link-local IPv6": "https://[fe80::1]",
    "link-local IPv6, end of the range": "https://[febf::1]",
    "link-local mapped": "https://[::ffff:169.254.169.254]",
    "link-local mapped in hex": "https://[::ffff:a9fe:a9fe]",
    "link-local as one integer": "https://2852039166",
    "link-local as one hex number": "https://0xA9FEA9FE",
    "link-local in octal": "https://0251.0376.0251.0376",
    "link-local in hex parts": "https://0xa9.0xfe.0xa9.0xfe",
    "link-local in two parts": "https://169.16689662",
    "link-local with a final dot": "https://169.254.169.254.",
    "loopback as one integer": "http://2130706433",
    "loopback in two parts": "http://127.1",
    "out of range": "https://300.1.1.1",
}


@pytest.mark.fault(37)
@pytest.mark.parametrize("url", REFUSED.values(), ids=REFUSED.keys())
def test_url_is_refused_and_not_repeated(client: Client, url: str) -> None:
    with pytest.raises(KeyServiceUrlError) as caught:
        client.fetch(url)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caught.value.hint
    assert "hunter2pw" not in shown
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://keys.example", "keys.example", 443),
        ("https://keys.example.:8443/api", "keys.example.", 8443),
        ("HTTPS://Keys.Example", "keys.example", 443),
        ("https://xn--bcher-kva.example", "xn--bcher-kva.example", 443),
        ("https://key_service/", "key_service", 443),
        ("https://4u.example", "4u.example", 443),
        ("https://192.0.2.7", "192.0.2.7", 443),
        ("https://[2001:db8::1]:444", "2001:db8::1", 444),
        ("http://localhost:8000", "localhost", 8000),
        ("http://LOCALHOST", "localhost", 80),
        ("http://127.9.9.9", "127.9.9.9", 80),
        ("http://[::1]", "::1", 80),
        ("http://[::ffff:127.0.0.1]", "::ffff:127.0.0.1", 80),
    ],
)
def test_url_is_accepted(url: str, host: str, port: int) -> None:
    address = parse_address(url, fragment_path())
    assert (address.host, address.port) == (host, port)


@pytest.mark.fault(37)
def test_http_elsewhere_needs_to_be_asked_for() -> None:
    assert parse_address("http://keys.example", fragment_path(), insecure_http=True).port == 80
    with pytest.raises(KeyServiceUrlError, match="link-local"):
        parse_address("http://169.254.169.254", fragment_path(), insecure_http=True)


@pytest.mark.parametrize(
    "token",
    [
        "",
        " ",
        TOKEN + "\n",
        TOKEN + "\r\nX-Evil: 1",
        " " + TOKEN,
        TOKEN + " more",
        f'"{TOKEN}"',
        TOKEN + "=a",
        "===",
        TOKEN + "é",
        TOKEN + "\ud800",
        TOKEN + "\0",
        TOKEN * 300,
    ],
)
def test_bad_token_is_refused_and_never_shown(client: Client, token: str) -> None:
    with pytest.raises(SecretFileError) as caught:
        client.fetch("https://localhost:1", token=token)
    assert TOKEN not in "".join(traceback.format_exception(caught.value)) + repr(caught.value.args)
    assert caught.value.__context__ is None


def test_longest_token_is_accepted_and_one_byte_more_is_not(client: Client) -> None:
    with pytest.raises(KeyServiceUrlError):
        client.fetch("", token="a" * client.limits.token_bytes)
    with pytest.raises(SecretFileError):
        client.fetch("", token="a" * (client.limits.token_bytes + 1))


def test_ca_file_that_is_missing_or_no_certificate_is_named(client: Client) -> None:
    for path in (client.ca_file.with_name("missing.pem"), client.ca_file.with_name("empty.pem")):
        if path.name == "empty.pem":
            path.write_text("no certificate\n")
        with pytest.raises(ConfigError, match=path.name):
            fetch_fragment("https://localhost:1", TOKEN, ca_file=path)
