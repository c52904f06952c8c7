"""An agent with its page, on loopback, and people in front of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from playwright.sync_api import Page

from binary_split.agent.access import Access
from binary_split.agent.app import AgentLimits, Surroundings, create_app
from binary_split.agent.figures import AgentMetrics
from binary_split.agent.page.subject import Subject
from binary_split.agent.settings import parse_agent_settings
from binary_split.agent.unlocker import Unlocker
from binary_split.service.listener import listener_url, open_listener
from binary_split.service.server import build_server, run_server
from tests.agent.places import AGENT_TOKEN, UNLIMITED, Place

DEVICE = "drone-0117"


@dataclass
class Site:
    """Where the page is, and who works behind it."""

    url: str
    unlocker: Unlocker


@contextmanager
def serving(place: Place, limits: AgentLimits = UNLIMITED) -> Iterator[Site]:
    """Run an agent that its token opens, until the block ends."""
    settings = place.settings()
    agent = parse_agent_settings(settings.agent)
    with place.unlocker() as unlocker, open_listener("127.0.0.1", 0, plain=True) as listener:
        around = Surroundings(
            unlocker=unlocker,
            access=Access(AGENT_TOKEN),
            metrics=AgentMetrics(),
            limits=limits,
            page=Subject.of(replace(settings, device_id=DEVICE), agent),
            is_ending=lambda: server.should_exit,
        )
        server = build_server(create_app(around), None, head_s=5)
        thread = threading.Thread(target=run_server, args=(server, listener))
        thread.start()
        try:
            yield Site(listener_url(listener, plain=True), unlocker)
        finally:
            server.should_exit = True
            thread.join(timeout=20)
        assert not thread.is_alive()


def sign_in(page: Page, site: Site) -> None:
    """Sign in, as a person does."""
    page.goto(site.url)
    page.locator("#token:focus").wait_for()
    page.keyboard.type(AGENT_TOKEN)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def wait_for_title(page: Page, *titles: str, timeout_ms: float = 90_000) -> str:
    """Wait until the page says one of these, and return which."""
    page.wait_for_function(
        "titles => titles.includes(document.getElementById('title')?.innerText)",
        arg=list(titles),
        timeout=timeout_ms,
    )
    return page.locator("#title").inner_text()


def until(is_so: Callable[[], bool], page: Page, *, tries: int = 900) -> None:
    """Wait until something is so, while the browser goes on."""
    for _ in range(tries):
        if is_so():
            return
        page.wait_for_timeout(100)
    raise AssertionError(is_so)
