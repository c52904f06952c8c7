from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import pytest
import requests
from playwright.sync_api import Browser

from bed.unavailable import Unavailable
from tests.browsing import chromium
from tests.keyservice.conftest import Service

YEAR = timedelta(days=365)


@dataclass
class Person:
    """Somebody at a browser that runs no script: cookies, pages, forms."""

    service: Service
    token: str
    client: requests.Session

    def get(self, path: str = "") -> requests.Response:
        return self.client.get(f"{self.service.url}/console{path}", timeout=10, allow_redirects=False)

    def post(
        self, path: str, fields: Mapping[str, object] | str | bytes | None = None, **headers: str
    ) -> requests.Response:
        return self.client.post(
            f"{self.service.url}/console{path}",
            data=fields,
            headers={"Content-Type": "application/x-www-form-urlencoded", **headers},
            timeout=10,
            allow_redirects=False,
        )

    def form_token(self, path: str = "") -> str:
        found = re.search(r'name="form_token" value="([^"]+)"', self.get(path).text)
        assert found is not None
        return found[1]

    def sign_in(self, token: str | None = None) -> requests.Response:
        return self.post(
            "/sign-in", {"form_token": self.form_token("/sign-in"), "token": token or self.token}
        )

    def order(self, act: str, **fields: object) -> requests.Response:
        return self.post(f"/acts/{act}", {"form_token": self.form_token(), **fields})

    @property
    def session(self) -> str | None:
        return self.client.cookies.get("__Host-binary-split-session")


Arrive = Callable[[], Person]


@pytest.fixture
def arrive(own_service: Service) -> Iterator[Arrive]:
    """Let an administrator open a new browser."""
    clients: list[requests.Session] = []

    def come() -> Person:
        client = requests.Session()
        client.verify, client.trust_env = own_service.client.verify, False
        clients.append(client)
        issued = own_service.store.tokens.issue(None, lifetime=YEAR, scopes=("admin",), label="Anna")
        return Person(own_service, issued.text, client)

    yield come
    for client in clients:
        client.close()


@pytest.fixture
def person(arrive: Arrive) -> Person:
    """An administrator who is signed in."""
    someone = arrive()
    assert someone.sign_in().status_code == 303
    return someone


@pytest.fixture(scope="module")
def browser(could_not_run: Callable[[Unavailable], None]) -> Iterator[Browser]:
    """A headless Chromium."""
    with chromium(could_not_run) as started:
        yield started
