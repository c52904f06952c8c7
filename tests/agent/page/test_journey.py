"""The page in a real browser, against a real agent, key service and Docker engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page
from starlette.responses import HTMLResponse

from bed.dockerd import PrivateDockerd
from binary_split.service.listener import listener_url, open_listener
from binary_split.unlock.states import State
from tests.agent.asking import Door, listening
from tests.agent.page.conftest import Shoot
from tests.agent.page.serving import DEVICE, press, serving, sign_in, until, wait_for_title
from tests.agent.places import AGENT_TOKEN, Place
from tests.archives import flip_bit
from tests.browsing import assert_is_accessible, focused, tab_to, visiting, watch
from tests.releases import AgeRelease

pytestmark = pytest.mark.slow

WRONG = "bsk_wrong-token-0123456789"


def images_of(release: AgeRelease) -> set[str]:
    return {str(ref) for ref in release.images}


def test_from_empty_to_ready_without_loading_the_page_again(
    browser: Browser, docked: Place, large: AgeRelease, fresh_device: PrivateDockerd, shoot: Shoot
) -> None:
    with serving(docked) as site, visiting(browser, site.url) as (page, trouble):
        sign_in(page, site)
        assert wait_for_title(page, "Not unlocked yet")
        assert page.get_by_text(DEVICE, exact=True).is_visible()
        assert page.get_by_text("No release was installed here yet.").is_visible()
        shoot(page, "journey-1-empty")
        press(page, "Unlock")
        wait_for_title(page, "Unlocking")
        page.evaluate("window.isSamePage = true")
        page.locator(".image progress").first.wait_for()
        shoot(page, "journey-2-unlocking")
        seen = watch_progress(page)
        wait_for_title(page, "Ready")
        assert page.evaluate("window.isSamePage") is True
        assert seen == sorted(seen)
        assert_is_accessible(page)
        page.locator(".releases li").first.wait_for()
        assert page.locator(".image-verified").count() == len(large.images)
        shoot(page, "journey-3-ready")
        press(page, "Check again")
        wait_for_title(page, "Ready")
    assert not trouble
    assert images_of(large) <= set(fresh_device.image_ids())


def watch_progress(page: Page) -> list[int]:
    """Return the percents that the page shows until the images are loaded."""
    seen = []
    shows = "() => (document.querySelector('.step')?.innerText ?? '') + '|' + "
    shows += "(document.querySelector('.percent')?.innerText ?? '')"
    while True:
        step, _, percent = str(page.evaluate(shows)).partition("|")
        if step == "Loading the images" and percent:
            seen.append(int(percent.split()[0]))
        elif seen:
            return seen
        page.wait_for_timeout(50)


def test_a_wrong_token_is_explained_and_the_right_one_typed_in_unlocks(
    browser: Browser, docked: Place, shoot: Shoot
) -> None:
    wrong = docked.with_(token=WRONG)
    with serving(wrong) as site, visiting(browser, site.url) as (page, trouble):
        sign_in(page, site)
        press(page, "Unlock")
        wait_for_title(page, "This did not work")
        assert page.locator(".do").inner_text() == "Ask the vendor for a new token and enter it here."
        assert_is_accessible(page)
        shoot(page, "journey-wrong-token")
        field = page.get_by_label("Token from the vendor")
        assert field.is_visible()
        assert field.get_attribute("type") == "password"
        field.fill(docked.token)
        press(page, "Try again")
        wait_for_title(page, "Unlocking", "Ready")
        assert docked.token not in page.content()
        assert AGENT_TOKEN not in page.content()
        wait_for_title(page, "Ready")
    assert not trouble


def test_a_stopped_engine_is_explained_and_trying_again_after_its_start_works(
    browser: Browser, docked: Place, fresh_device: PrivateDockerd, shoot: Shoot
) -> None:
    with serving(docked) as site, visiting(browser, site.url) as (page, trouble):
        sign_in(page, site)
        wait_for_title(page, "Not unlocked yet")
        with crashed(fresh_device):
            press(page, "Unlock")
            wait_for_title(page, "This did not work")
            assert page.locator(".says").inner_text() == "The container engine is not running."
            page.get_by_text("Technical details").click()
            assert page.get_by_text("engine-unreachable", exact=True).is_visible()
            assert_is_accessible(page)
            shoot(page, "journey-engine-stopped")
        press(page, "Try again")
        wait_for_title(page, "Ready")
    assert not trouble


@contextmanager
def crashed(engine: PrivateDockerd) -> Iterator[None]:
    """Have an engine not running until the block is left."""
    engine.crash()
    try:
        yield
    finally:
        engine.start()


def test_a_damaged_archive_is_explained_and_a_good_copy_then_unlocks(
    browser: Browser, docked: Place, large: AgeRelease, tmp_path: Path, shoot: Shoot
) -> None:
    copy = tmp_path / "copy.age"
    content = large.path.read_bytes()
    copy.write_bytes(flip_bit(content, len(content) * 2 // 3))
    damaged = docked.with_(archives={"stick": copy})
    with serving(damaged) as site, visiting(browser, site.url) as (page, trouble):
        sign_in(page, site)
        press(page, "Unlock")
        wait_for_title(page, "This did not work")
        assert page.get_by_text("Copy the archive to the device again.").is_visible()
        assert_is_accessible(page)
        shoot(page, "journey-damaged")
        copy.write_bytes(content)
        press(page, "Try again")
        wait_for_title(page, "Ready")
    assert not trouble


def test_loading_the_page_again_in_the_middle_loses_nothing(browser: Browser, docked: Place) -> None:
    with serving(docked) as site, visiting(browser, site.url) as (page, trouble):
        sign_in(page, site)
        press(page, "Unlock")
        until(lambda: site.unlocker.status().state is State.LOADING_IMAGES, page)
        before = site.unlocker.status()
        page.reload()
        assert wait_for_title(page, "Unlocking", "Ready")
        after = site.unlocker.status()
        assert after.started_at == before.started_at
        assert after.number >= before.number
        wait_for_title(page, "Ready")
    assert not trouble


def test_two_tabs_show_one_unlock_and_a_cancel_in_one_is_seen_in_the_other(
    browser: Browser, docked: Place, fresh_device: PrivateDockerd, shoot: Shoot
) -> None:
    with serving(docked) as site, visiting(browser, site.url) as (page, trouble):
        sign_in(page, site)
        other = watch(page.context.new_page(), site.url, trouble)
        other.goto(site.url)
        wait_for_title(other, "Not unlocked yet")
        press(page, "Unlock")
        wait_for_title(other, "Unlocking")
        until(lambda: site.unlocker.status().state is State.LOADING_IMAGES, other)
        press(other, "Cancel")
        titles = ("Not unlocked yet", "Cancelled")
        assert wait_for_title(page, *titles) == wait_for_title(other, *titles)
        shoot(page, "journey-cancelled")
        assert fresh_device.image_ids() == {}
        press(other, "Unlock")
        wait_for_title(page, "Ready")
        wait_for_title(other, "Ready")
    assert not trouble


def test_without_a_script_forms_and_refreshing_do_it_all(
    browser: Browser, docked: Place, shoot: Shoot
) -> None:
    with (
        serving(docked) as site,
        visiting(browser, site.url, java_script_enabled=False) as (page, trouble),
    ):
        sign_in(page, site)
        press(page, "Unlock")
        assert page.locator("#title").inner_text() == "Unlocking"
        page.locator("noscript p").wait_for()
        assert "loads itself again every 5 seconds" in page.locator("noscript p").inner_text()
        shoot(page, "journey-without-script")
        until(lambda: page.locator("#title").inner_text() == "Ready", page)
        page.get_by_role("link", name="Deutsch").click()
        assert page.locator("#title").inner_text() == "Bereit"
        press(page, "Abmelden")
        assert page.get_by_label("Token des Agenten").is_visible()
    assert not trouble


def test_refreshing_can_be_stopped(browser: Browser, docked: Place) -> None:
    with serving(docked) as site, visiting(browser, site.url, java_script_enabled=False) as (page, _):
        sign_in(page, site)
        press(page, "Unlock")
        page.get_by_role("link", name="Stop that").click()
        assert page.locator("meta[http-equiv=refresh]").count() == 0
        assert page.get_by_role("link", name="Load again").is_visible()


def test_all_of_it_works_by_keyboard(browser: Browser, docked: Place) -> None:
    with serving(docked) as site, visiting(browser, site.url) as (page, trouble):
        sign_in(page, site)
        wait_for_title(page, "Not unlocked yet")
        page.keyboard.press("Tab")
        assert focused(page) == "Skip to the content"
        tab_to(page, "Unlock")
        page.keyboard.press("Enter")
        wait_for_title(page, "Unlocking")
        tab_to(page, "Cancel")
        wait_for_title(page, "Ready")
        assert page.evaluate("document.activeElement.id") == "title"  # its button is no more
        tab_to(page, "Check again")
    assert not trouble


@pytest.mark.fault(49)
def test_another_sites_form_changes_nothing_though_somebody_is_signed_in(
    browser: Browser, docked: Place
) -> None:
    evil = FastAPI()
    with serving(docked) as site, visiting(browser, "http://") as (page, _trouble):
        sign_in(page, site)
        wait_for_title(page, "Not unlocked yet")
        for path, kind in (("/page/unlock", "application/x-www-form-urlencoded"), ("/unlock", "text/plain")):

            async def trap(path: str = path, kind: str = kind) -> HTMLResponse:
                return HTMLResponse(
                    f'<form method="post" action="{site.url}{path}" enctype="{kind}">'
                    '<input name="archive" value="stick"><button>Win a prize</button></form>'
                )

            evil.add_api_route(f"/{kind}", trap)
            listener = open_listener("127.0.0.1", 0, plain=True)
            with listening(evil, listener, None):
                page.goto(f"{listener_url(listener, plain=True)}/{kind}")
                with page.expect_response(f"{site.url}{path}") as answered:
                    press(page, "Win a prize")
                assert answered.value.status == 403
        assert site.unlocker.status().state is State.IDLE


@pytest.mark.fault(49)
def test_a_foreign_host_sees_nothing_of_the_page(docked: Place) -> None:
    with serving(docked) as site:
        door = Door(int(site.url.rpartition(":")[2]))
        for path in ("/", "/sign-in", "/page/static/page.css", "/unlock/status", "/healthz"):
            assert door.ask("GET", path, Host="evil.example").status == 421
        assert door.ask("GET", "/sign-in", Host="localhost").status == 200


def test_a_session_ends_and_the_page_says_so(browser: Browser, docked: Place) -> None:
    with serving(docked) as site, visiting(browser, site.url) as (page, _trouble):
        sign_in(page, site)
        wait_for_title(page, "Not unlocked yet")
        other = page.context.new_page()
        other.goto(site.url)
        press(other, "Sign out")
        assert other.get_by_label("The agent's token").is_visible()
        page.goto(site.url)
        page.get_by_label("The agent's token").wait_for()  # it may go there by itself at the same time
        assert page.url == f"{site.url}/sign-in"


def test_an_agent_that_went_away_is_said_and_found_again(browser: Browser, docked: Place) -> None:
    with serving(docked) as site, visiting(browser, site.url) as (page, _trouble):
        sign_in(page, site)
        wait_for_title(page, "Not unlocked yet")
        page.context.set_offline(True)
        page.wait_for_timeout(100)
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.locator("#lost").wait_for(state="visible")
        page.context.set_offline(False)
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.locator("#lost").wait_for(state="hidden")


def test_the_check_up_finds_all_in_order_and_says_what_is_not(
    browser: Browser, docked: Place, fresh_device: PrivateDockerd, shoot: Shoot
) -> None:
    with serving(docked) as site, visiting(browser, site.url) as (page, trouble):
        sign_in(page, site)
        page.get_by_role("link", name="Check-up").click()
        press(page, "Start the check-up")
        page.locator(".findings").wait_for()
        assert page.locator(".finding-failed").count() == 0
        assert docked.token not in page.content()
        shoot(page, "journey-check-up")
        with crashed(fresh_device):
            press(page, "Check again")
            page.locator(".finding-failed").first.wait_for()
            assert page.locator(".finding-failed .name").first.inner_text() == "Container engine"
            assert_is_accessible(page)
            shoot(page, "journey-check-up-engine-stopped")
    assert not trouble
