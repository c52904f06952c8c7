"""A real browser, and what is asked of every page of ours in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from bed.unavailable import Unavailable

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@contextmanager
def chromium(could_not_run: Callable[[Unavailable], None]) -> Iterator[Browser]:
    """Start a headless Chromium."""
    program = shutil.which("chromium")
    if program is None:
        could_not_run(Unavailable("chromium", "is not installed"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=Path(str(program)), args=list(_FLAGS))
        yield browser
        browser.close()


@contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[tuple[Page, list[str]]]:
    """Open a page; what it asks of others than ``url`` and what the browser complains of is in the list."""
    options = {"viewport": {"width": 1200, "height": 900}, **options}
    context = browser.new_context(ignore_https_errors=True, **options)
    page = context.new_page()
    trouble: list[str] = []
    try:
        yield watch(page, url, trouble), trouble
    finally:
        context.close()


def watch(page: Page, url: str, trouble: list[str]) -> Page:
    """Note what a page asks of others than ``url``, and what the browser complains of."""
    page.set_default_timeout(15_000)
    page.on("request", lambda asked: None if asked.url.startswith(url) else trouble.append(asked.url))
    page.on("console", lambda said: trouble.append(said.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    return page


def assert_is_accessible(page: Page, options: dict[str, Any] | None = None) -> None:
    """Have axe look at a page."""
    found = Axe().run(page, options=options).response["violations"]
    assert not [(each["id"], [node["html"] for node in each["nodes"]]) for each in found], page.url


def tab_to(page: Page, name: str) -> None:
    """Press the tabulator until the focus is on what has this name, as a person would."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if focused(page) == name:
            return
    pytest.fail(f"{name} cannot be reached")


def focused(page: Page) -> str:
    """Return what the focused element is called."""
    locator = page.locator(":focus")
    if not locator.count():
        return ""
    label: Callable[[str], Any] = locator.evaluate
    return str(label("e => (e.labels && e.labels[0] || e).innerText")).strip()
