"""What options and settings say of the servers of archives, and which of them counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from binary_split.config import Settings, load_settings
from binary_split.errors import ConfigError
from binary_split.transports.configured import ArchiveServers, configured

TABLE = {
    "ca_file": "/etc/ca.pem",
    "client_cert": "/etc/client.pem",
    "proxy": "http://proxy:3128",
    "proxy_login": "/etc/login",
    "limit_rate": "500k",
    "deadline": "6h",
}


def test_the_table_says_how_servers_are_reached() -> None:
    options = configured(Settings(archive=TABLE))
    assert (options.ca_file, options.client_certificate) == (Path("/etc/ca.pem"), Path("/etc/client.pem"))
    assert (options.proxy, options.proxy_login_file) == ("http://proxy:3128", Path("/etc/login"))
    assert (options.bytes_per_s, options.deadline_s) == (500_000, 21_600)


def test_an_option_comes_before_the_table_and_leaves_the_rest_of_it() -> None:
    given = ArchiveServers(proxy="http://other:1", limit_rate="2M")
    options = configured(Settings(archive=TABLE), given)
    assert (options.proxy, options.bytes_per_s) == ("http://other:1", 2_000_000)
    assert (options.ca_file, options.deadline_s) == (Path("/etc/ca.pem"), 21_600)


def test_plain_http_is_allowed_for_one_place_and_never_for_all() -> None:
    assert not configured(Settings(archive=TABLE, insecure_http=True)).insecure_http
    assert configured(Settings(archive=TABLE), insecure_http=True).insecure_http


def test_a_file_of_settings_is_read(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('[archive]\nproxy = "http://proxy:3128"\n')
    settings = load_settings({"BINARY_SPLIT_CONFIG": str(tmp_path / "settings.toml")})
    assert configured(settings).proxy == "http://proxy:3128"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"proxies": "x"}, r"\[archive\]: no such setting: proxies"),
        ({"proxy": 5}, r"\[archive\] proxy must be a text"),
        ({"insecure_http": True}, r"\[archive\]: no such setting: insecure_http"),
        ({"deadline": "soon"}, "not a time: 'soon'"),
        ({"deadline": ""}, "not a time: ''"),
        ({"limit_rate": "fast"}, "not a rate: 'fast'"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        configured(Settings(archive=table))
