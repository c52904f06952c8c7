"""Every state of the page in a real browser: for everybody, on any screen, in any language."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser

from binary_split.agent.access import Access
from binary_split.agent.page.catalogue import LANGUAGES
from tests.agent.page.conftest import Shoot
from tests.agent.page.gallery import CHECK_UP, SCRIPT, STATES, Gallery, hanging
from tests.browsing import assert_is_accessible, visiting

pytestmark = pytest.mark.slow

TOKEN = "agent-token-of-the-tests-0123456789"
Scheme = Literal["light", "dark"]
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def shown() -> Iterator[Gallery]:
    with hanging(Access(TOKEN)) as gallery:
        yield gallery


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_any_state(
    browser: Browser, shown: Gallery, shoot: Shoot, scheme: Scheme
) -> None:
    with visiting(browser, shown.url, color_scheme=scheme) as (page, trouble):
        for name in STATES:
            shown.name = name
            page.goto(shown.url)
            for summary in page.query_selector_all("summary"):
                summary.click()
            assert_is_accessible(page)
            shoot(page, f"{name}-{scheme}")
        page.goto(f"{shown.url}/sign-in")
        assert_is_accessible(page)
        shoot(page, f"sign-in-{scheme}")
        page.get_by_label("The agent's token").fill(TOKEN)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{shown.url}/")
        page.goto(f"{shown.url}/doctor")
        assert_is_accessible(page)
        CHECK_UP.look()
        page.reload()
        assert_is_accessible(page)
        shoot(page, f"doctor-{scheme}")
    assert not trouble


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_small_screen_shows_all_of_it_in_every_language(
    browser: Browser, shown: Gallery, shoot: Shoot, language: str
) -> None:
    with visiting(browser, shown.url, viewport=PHONE) as (page, trouble):
        for name in STATES:
            shown.name = name
            page.goto(f"{shown.url}/?lang={language}")
            assert page.evaluate("document.documentElement.lang") == language
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], name
            shoot(page, f"{name}-phone-{language}")
    assert not trouble


def test_the_language_that_was_chosen_stays(browser: Browser, shown: Gallery) -> None:
    shown.name = "idle"
    with visiting(browser, shown.url, locale="de-DE") as (page, _trouble):
        page.goto(shown.url)
        assert page.get_by_role("button", name="Freischalten").is_visible()
        page.get_by_role("link", name="Українська").click()
        assert page.get_by_role("button", name="Розблокувати").is_visible()
        page.goto(shown.url)
        assert page.get_by_role("button", name="Розблокувати").is_visible()


@pytest.mark.fault(49)
def test_a_script_in_an_image_name_is_text(browser: Browser, shown: Gallery) -> None:
    shown.name = "hostile"
    with visiting(browser, shown.url) as (page, _trouble):
        page.goto(shown.url)
        assert page.get_by_text(SCRIPT).first.is_visible()
        shown.name = "loading"
        page.wait_for_timeout(200)
        assert page.evaluate("window.ran") is None


@pytest.mark.fault(49)
def test_a_script_that_got_into_the_page_does_not_run(browser: Browser, shown: Gallery) -> None:
    shown.name = "idle"
    with visiting(browser, shown.url) as (page, _trouble):
        page.goto(shown.url)
        page.evaluate(
            "const script = document.createElement('script'); script.textContent = 'window.ran = 1'; "
            "document.body.append(script); document.body.insertAdjacentHTML('beforeend', "
            "'<img src=x onerror=\"window.ran = 1\">')"
        )
        page.wait_for_timeout(200)
        assert page.evaluate("window.ran") is None


def test_the_device_is_called_by_its_id_and_can_be_read_from_afar(browser: Browser, shown: Gallery) -> None:
    shown.name = "wrong-token"
    with visiting(browser, shown.url) as (page, _trouble):
        page.goto(shown.url)
        name = page.get_by_text("drone-0117", exact=True)
        assert float(name.evaluate("e => parseFloat(getComputedStyle(e).fontSize)")) >= 30


def test_progress_is_named_for_who_cannot_see_it(browser: Browser, shown: Gallery) -> None:
    shown.name = "loading"
    with visiting(browser, shown.url) as (page, _trouble):
        page.goto(shown.url)
        assert page.get_by_role("progressbar", name="Overall progress").get_attribute("value") == "34"
        assert page.get_by_role("progressbar", name="Progress of azaion/flights:1.4.0").is_visible()
        # each quarter is said, and not each percent
        assert page.get_by_role("status").inner_text() == "Loading the images, 25 percent"


def test_what_has_the_focus_or_is_being_typed_stays_while_the_page_changes(
    browser: Browser, shown: Gallery
) -> None:
    again = "document.dispatchEvent(new Event('visibilitychange'))"
    shown.name = "checking"
    with visiting(browser, shown.url) as (page, trouble):
        page.goto(shown.url)
        page.get_by_role("button", name="Cancel").focus()
        for name, step in (("waiting", "Loading the images"), ("fetching", "Fetching the key fragment")):
            shown.name = name
            page.evaluate(again)
            page.get_by_text(step, exact=True).last.wait_for()
            assert page.evaluate("document.activeElement.innerText") == "Cancel"
        shown.name = "wrong-token"
        page.evaluate(again)
        page.get_by_label("Token from the vendor").fill("half a tok")
        page.get_by_text("Technical details").click()
        shown.name = "damaged"
        page.evaluate(again)
        page.get_by_text("The archive is damaged, or the key does not belong to it.").last.wait_for()
        assert page.get_by_label("Token from the vendor").input_value() == "half a tok"
        assert page.get_by_text("archive-damaged").is_visible()
    assert not trouble


def test_an_answer_that_is_no_page_leaves_the_page_and_is_asked_for_again(
    browser: Browser, shown: Gallery
) -> None:
    shown.name = "loading"
    busy = {"status": 503, "content_type": "application/problem+json", "body": "{}"}
    with visiting(browser, shown.url) as (page, _trouble):
        page.goto(shown.url)
        page.route(shown.url + "/", lambda route: route.fulfill(**busy))
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.locator("#lost").wait_for(state="visible")
        assert page.get_by_role("progressbar", name="Overall progress").is_visible()
        page.unroute(shown.url + "/")
        page.locator("#lost").wait_for(state="hidden")
