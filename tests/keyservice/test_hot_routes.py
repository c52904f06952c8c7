"""The two hot routes answer as the described ones behind them would."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from binary_split.keyservice import app as app_module
from binary_split.keyservice.service_limits import ServiceLimits
from binary_split.keyservice.store import Store
from tests.keyservice.conftest import HOUR
from tests.keyservice.running import running

pytestmark = pytest.mark.slow  # a service runs for each


@pytest.fixture
def urls(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """A service with the hot routes, and one without them."""
    with running(store, ServiceLimits()) as (hot, _guards):
        monkeypatch.setattr(app_module, "add_hot_routes", lambda _app: None)
        with running(store, ServiceLimits()) as (described, _guards):
            yield hot, described


@pytest.mark.parametrize(
    ("method", "path", "authorization"),
    [
        ("GET", "/binary-split/key-fragment", "good"),
        ("GET", "/binary-split/key-fragment?key_id=k1", "good"),
        ("GET", "/binary-split/key-fragment?key_id=", "good"),
        ("GET", "/binary-split/key-fragment?key_id=none&key_id=k1", "good"),
        ("GET", "/binary-split/key-fragment?key_id=k1&key_id=none", "good"),
        ("GET", "/binary-split/key-fragment", "bsk_bad"),
        ("GET", "/binary-split/key-fragment", None),
        ("GET", "/binary-split/key-fragment", "a b"),
        ("HEAD", "/binary-split/key-fragment", "good"),
        ("POST", "/binary-split/key-fragment", "good"),
        ("POST", "/v1/keys/k1/release", "good"),
        ("POST", "/v1/keys/k1/release", None),
        ("GET", "/v1/keys/k1/release", "good"),
        ("POST", "/v1/keys/a%2Fb/release", "good"),
    ],
)
def test_both_answer_alike(
    urls: tuple[str, str], store: Store, method: str, path: str, authorization: str | None
) -> None:
    token = store.tokens.issue("k1", lifetime=HOUR).text if authorization == "good" else authorization
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body = {"nonce": "A" * 24} if method == "POST" else None
    hot, described = (
        requests.request(method, url + path, headers=headers, json=body, timeout=10) for url in urls
    )
    varying = {"x-request-id", "date"}
    assert (hot.status_code, hot.content) == (described.status_code, described.content)
    assert {k: v for k, v in hot.headers.items() if k not in varying} == {
        k: v for k, v in described.headers.items() if k not in varying
    }
