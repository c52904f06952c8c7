from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from bed.unavailable import Unavailable
from tests.browsing import chromium

ARTEFACTS = Path(__file__).parents[3] / "test-artefacts" / "agent-page"

Shoot = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def browser(could_not_run: Callable[[Unavailable], None]) -> Iterator[Browser]:
    """A headless Chromium."""
    with chromium(could_not_run) as started:
        yield started


@pytest.fixture(scope="session")
def shoot() -> Shoot:
    """Keep a picture of a page, for people to look at."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)

    def keep(page: Page, name: str) -> None:
        page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)

    return keep
