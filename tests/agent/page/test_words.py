"""The page's words: every language says everything, and every error has words."""

from __future__ import annotations

from collections.abc import Iterator
from string import Formatter

import pytest
from starlette.requests import Request

from binary_split import errors
from binary_split.agent.page.catalogue import COOKIE, LANGUAGES, choose_catalogue, read_catalogue
from binary_split.agent.page.wording import percent_of, write_bytes, write_remaining
from binary_split.agent.status import ImageState
from binary_split.doctor import Verdict
from binary_split.doctor.running import CHECKS
from binary_split.unlock.pipeline import KEY_SERVICE, OTHER_UNLOCK
from binary_split.unlock.states import State
from binary_split.unlock.tally import ENGINE

NEVER_OF_AN_UNLOCK = {
    *("plugin-protocol", "enrolment-refused", "administration-forbidden", "check-failed"),
    *("key-store", "key-store-state", "key-encryption-key", "key-store-damaged", "key-store-rolled-back"),
    *("record", "record-missing", "record-conflict", "audit-broken"),
}


def every_code(error: type[errors.BinarySplitError] = errors.BinarySplitError) -> Iterator[str]:
    yield error.code
    for each in error.__subclasses__():
        yield from every_code(each)


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_languages_have_the_same_keys_and_places_and_leave_nothing_empty(language: str) -> None:
    words, english = read_catalogue(language).words, read_catalogue("en").words
    assert words.keys() == english.keys()
    for key, text in words.items():
        assert text.strip(), key
        assert places(text) == places(english[key]), key


@pytest.mark.parametrize("language", [tag for tag in LANGUAGES if tag != "en"])
def test_other_languages_are_not_english(language: str) -> None:
    words, english = read_catalogue(language).words, read_catalogue("en").words
    long = [key for key in english if len(english[key]) > 25 and not key.startswith("progress.")]
    assert [key for key in long if words[key] == english[key]] == []


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_every_error_that_an_unlock_can_raise_has_words_and_no_other() -> None:
    catalogue = read_catalogue("en")
    worded = {key.split(".")[1] for key in catalogue.words if key.startswith("error.")}
    assert worded == set(every_code()) - NEVER_OF_AN_UNLOCK
    for code in worded:
        assert catalogue.has(f"error.{code}.says")
        assert catalogue.has(f"error.{code}.do")


def test_every_check_of_the_doctor_has_words_and_no_other() -> None:
    words = read_catalogue("en").words
    assert {key.removeprefix("check.") for key in words if key.startswith("check.")} == {*CHECKS, "other"}
    for verdict in Verdict:
        assert f"doctor.{verdict}" in words


def test_every_state_has_words() -> None:
    catalogue = read_catalogue("en")
    for state in set(State) - {State.IDLE, State.READY, State.ERROR}:
        assert catalogue(f"step.{state}")
    for image in ImageState:
        assert catalogue(f"image.{image}")


def test_whoever_is_waited_for_has_words() -> None:
    words = read_catalogue("uk").words
    for whom in (KEY_SERVICE, OTHER_UNLOCK, ENGINE, "the archive"):
        key = whom.removeprefix("the ").replace("another ", "other ").replace(" ", "-")
        assert f"waiting.{key}" in words, whom


def asked(query: str = "", cookie: str = "", accept: str = "") -> Request:
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode())] if cookie else []
    headers.append((b"accept-language", accept.encode()))
    return Request(
        {"type": "http", "scheme": "http", "path": "/", "query_string": query.encode(), "headers": headers}
    )


@pytest.mark.parametrize(
    ("query", "cookie", "accept", "language"),
    [
        ("", "", "", "en"),
        ("", "", "fr,uk;q=0.8,de;q=0.9", "de"),
        ("", "", "de-AT", "de"),
        ("", "", "uk;q=0, en;q=0.1", "en"),
        ("", "", "de;q=nonsense,uk;q=0.1", "uk"),
        ("", "uk", "de", "uk"),
        ("lang=de", "uk", "en", "de"),
        ("lang=xx", "", "uk", "uk"),
        ("lang=../../etc/passwd", "nothing", "*", "en"),
    ],
)
def test_the_language_is_asked_for_or_chosen_before_or_the_browsers(
    query: str, cookie: str, accept: str, language: str
) -> None:
    assert choose_catalogue(asked(query, cookie, accept)).language == language


def test_amounts_are_written_as_each_language_does() -> None:
    english, german, ukrainian = map(read_catalogue, ("en", "de", "uk"))
    assert write_bytes(english, 0) == "0\u00a0B"
    assert write_bytes(english, 999) == "999\u00a0B"
    assert write_bytes(english, 999_600) == "1.0\u00a0MB"
    assert write_bytes(german, 1_250_000_000) == "1,2\u00a0GB"
    assert write_bytes(ukrainian, 12_500_000) == "12\u00a0МБ"  # noqa: RUF001 - Cyrillic


def test_what_remains_is_rounded_up() -> None:
    english = read_catalogue("en")
    assert write_remaining(english, 3) == "less than a minute left"
    assert write_remaining(english, 61) == "about 2 min left"
    assert write_remaining(english, 3599) == "about 1 h 0 min left"
    assert write_remaining(english, 5400) == "about 1 h 30 min left"


def test_a_hundred_percent_means_all() -> None:
    assert percent_of(999_999, 1_000_000) == 99
    assert percent_of(5, 5) == 100
    assert percent_of(0, 0) == 0
