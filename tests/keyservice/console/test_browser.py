"""The console in a real browser: for everybody, by keyboard, and with nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page

from binary_split.sealedfragment import Kem, PrivateKey, PublicKey
from tests import browsing
from tests.browsing import assert_is_accessible, focused, tab_to
from tests.keyservice.conftest import Service
from tests.keyservice.console.conftest import YEAR, Arrive

pytestmark = pytest.mark.slow

Scheme = Literal["light", "dark"]
PAGES = (
    *("", "/keys", "/keys/k1", "/devices", "/devices/d1", "/devices/d2", "/grants", "/tokens"),
    *("/enrolment", "/audit", "/audit?verify=1", "/keys/none"),
)


@pytest.fixture
def filled(own_service: Service) -> Service:
    """A service with one of everything."""
    store = own_service.store
    store.devices.add("d1", label="bench 3", groups=["fleet"])
    store.devices.add("d2")
    code = store.enrolment.issue("d1", lifetime=timedelta(hours=1)).text
    public = PublicKey.of(PrivateKey.generate(Kem.X25519)).serialise().encode()
    store.enrolment.redeem(code, public, token_lifetime=YEAR)
    store.enrolment.issue("d2", lifetime=timedelta(hours=1))
    store.devices.disable("d2")
    store.grants.add("k1", group="fleet")
    store.grants.revoke(store.grants.add("k1", device_id="d1", uses=2).grant_id)
    for _ in range(3):
        store.release(own_service.issue())
    return own_service


@contextmanager
def visiting(browser: Browser, service: Service, **options: Any) -> Iterator[tuple[Page, list[str]]]:
    with browsing.visiting(browser, service.url, **options) as visit:
        yield visit


def sign_in(page: Page, service: Service, token: str) -> None:
    page.goto(f"{service.url}/console")
    assert page.evaluate("document.activeElement.id") == "token"
    page.keyboard.type(token)
    page.keyboard.press("Enter")
    page.wait_for_url("**/console")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_on_any_page(
    browser: Browser, filled: Service, arrive: Arrive, scheme: Scheme
) -> None:
    options = {"runOnly": ["color-contrast"]} if scheme == "dark" else None  # all else is the same in both
    with visiting(browser, filled, color_scheme=scheme) as (page, trouble):
        page.goto(f"{filled.url}/console/sign-in")
        assert_is_accessible(page, options)
        sign_in(page, filled, arrive().token)
        for path in PAGES:
            page.goto(f"{filled.url}/console{path}")
            for summary in page.query_selector_all("summary"):
                summary.click()
            assert_is_accessible(page, options)
        page.goto(f"{filled.url}/console/devices/d1")
        page.get_by_role("button", name="Issue").click()
        assert_is_accessible(page, options)
        said = [text for text in trouble if "404" not in text]  # of the page that does not exist
    assert not said


def test_nothing_is_asked_of_another_host_and_the_browser_complains_of_nothing(
    browser: Browser, filled: Service, arrive: Arrive
) -> None:
    with visiting(browser, filled) as (page, trouble):
        sign_in(page, filled, arrive().token)
        for path in PAGES[:-1]:
            page.goto(f"{filled.url}/console{path}")
        assert page.evaluate("document.styleSheets.length") == 1
    assert not trouble


def test_a_script_that_got_into_a_page_does_not_run(
    browser: Browser, filled: Service, arrive: Arrive
) -> None:
    with visiting(browser, filled) as (page, _trouble):
        sign_in(page, filled, arrive().token)
        page.evaluate(
            "const script = document.createElement('script'); script.textContent = 'window.ran = 1'; "
            "document.body.append(script)"
        )
        assert page.evaluate("window.ran") is None
        assert page.evaluate("document.cookie") == ""


@pytest.mark.parametrize("is_script_on", [True, False])
def test_a_key_is_made_and_granted_by_keyboard_alone_with_and_without_script(
    browser: Browser, filled: Service, arrive: Arrive, is_script_on: bool
) -> None:
    with visiting(browser, filled, java_script_enabled=is_script_on) as (page, _trouble):
        page.goto(f"{filled.url}/console")
        page.locator("#token:focus").wait_for()
        page.keyboard.type(arrive().token)
        page.keyboard.press("Enter")
        page.wait_for_url("**/console")
        tab_to(page, "Keys")
        page.keyboard.press("Enter")
        page.wait_for_url("**/keys")
        tab_to(page, "Create a key")
        page.keyboard.press("Enter")
        tab_to(page, "Key-id")
        page.keyboard.type("by-keyboard")
        page.keyboard.press("Enter")
        page.wait_for_url("**/keys?done=createKey")
        assert page.get_by_role("status").inner_text() == "The key is created."
    assert filled.store.keys.find("by-keyboard").state == "active"


def test_the_first_stop_skips_to_the_content(browser: Browser, filled: Service, arrive: Arrive) -> None:
    with visiting(browser, filled) as (page, _trouble):
        sign_in(page, filled, arrive().token)
        page.keyboard.press("Tab")
        assert focused(page) == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
