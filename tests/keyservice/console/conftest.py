from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, sync_playwright

from bed.unavailable import Unavailable
from tests.keyservice.conftest import Service

YEAR = timedelta(days=365)
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


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
    program = shutil.which("chromium")
    if program is None:
        could_not_run(Unavailable("chromium", "is not installed"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=Path(str(program)), args=list(_FLAGS))
        yield browser
        browser.close()
