"""What is shipped is pinned, hashed, tested in that version and under a licence that was agreed to."""

from __future__ import annotations

import email
from email.message import Message

import pytest
from packaging.requirements import Requirement

from scripts import audit, licences, locks

HASH = "--hash=sha256:" + "a" * 64


def said(**headers: str) -> Message:
    text = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items())
    return email.message_from_string(text)


def test_the_locks_hold() -> None:
    assert list(locks.find_faults()) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (f"click>=8.2 {HASH}", "does not pin and hash"),
        ("click==8.2.0", "does not pin and hash"),
        ("click==8.2.0 --hash=md5:00", "does not pin and hash"),
        (f"click @ https://files.example/click.whl {HASH}", "names a place"),
        ("--extra-index-url https://packages.example/simple", "names a place"),
    ],
)
def test_an_open_pin_and_a_named_place_are_found(line: str, fault: str) -> None:
    assert any(fault in found for found in locks.unpinned("x", line))


def test_a_pin_with_its_hash_is_no_fault() -> None:
    assert (
        list(locks.unpinned("x", f"# a note\nclick==8.2.0 \\\n    {HASH} \\\n    {HASH}\n    # via x\n"))
        == []
    )


def test_what_is_shipped_in_another_version_than_is_tested_is_found() -> None:
    shipped, tested = {"click": Requirement("click==8.2.0")}, {"click": Requirement("click==8.2.1")}
    assert list(locks.differing("agent", shipped, tested)) == [
        "agent.txt has click==8.2.0, and the tests run with click==8.2.1"
    ]
    assert list(locks.differing("agent", tested, tested)) == []


@pytest.mark.parametrize("wanted", ["click>=8.3", "rich"])
def test_a_lock_behind_the_project_is_found(wanted: str) -> None:
    lock = {"click": Requirement("click==8.2.0")}
    assert len(list(locks.outdated("agent", lock, [Requirement(wanted)]))) == 1
    assert list(locks.outdated("agent", lock, [Requirement("click>=8.2")])) == []


@pytest.mark.parametrize(
    ("command", "is_bound"),
    [
        ("pip install ruff", False),
        ("RUN python -m pip install \\\n  --upgrade pip", False),
        (".venv/bin/python -m pip install -qq --require-hashes -r requirements/dev.txt", True),
        ("RUN pip install --no-cache-dir \\\n  --no-deps /wheel/*.whl", True),
        ("# pip install is what a person types", True),
    ],
)
def test_a_command_that_takes_whatever_is_newest_is_found(command: str, *, is_bound: bool) -> None:
    assert list(locks.unbound("run", command)) == (
        [] if is_bound else [f"run fetches without hashes: {command}"]
    )


@pytest.mark.parametrize("licence", ["", "GPL-3.0-only", "MIT AND GPL-3.0-only", "(MIT)", "LicenseRef-Own"])
def test_a_licence_that_nobody_agreed_to_is_refused(licence: str) -> None:
    with pytest.raises(licences.LicenceError):
        licences.verify_licence("somebody", licence)


@pytest.mark.parametrize("licence", ["MIT", "GPL-3.0-only OR BSD-3-Clause", "Apache-2.0 AND BSD-2-Clause"])
def test_a_licence_that_asks_only_to_be_named_needs_no_reason(licence: str) -> None:
    assert licences.verify_licence("somebody", licence) == ""


def test_what_was_agreed_to_is_agreed_to_under_that_licence_alone() -> None:
    assert licences.verify_licence("certifi", "MPL-2.0")
    with pytest.raises(licences.LicenceError):
        licences.verify_licence("certifi", "GPL-3.0-only")


def test_a_licence_is_found_however_it_is_said() -> None:
    classifier = "License :: OSI Approved :: MIT License"
    assert (
        licences.find_licence("x", said(License_Expression="BSD-2-Clause", License="MIT")) == "BSD-2-Clause"
    )
    assert licences.find_licence("x", said(Classifier=classifier)) == "MIT"
    assert licences.find_licence("x", said(License="Apache-2.0")) == "Apache-2.0"
    assert licences.find_licence("x", said(License="as you like")) == ""


def answer(*libraries: dict[str, object]) -> dict[str, object]:
    return {"dependencies": list(libraries)}


CLEAN: dict[str, object] = {"name": "click", "version": "8.2.0", "vulns": []}
SKIPPED: dict[str, object] = {"name": "rich", "skip_reason": "not found"}
BAD: dict[str, object] = {
    "name": "idna",
    "version": "3.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.7"]}],
}


def test_an_audit_that_could_not_ask_is_no_clean_bill() -> None:
    assert audit.judge("dev", None)[0] == audit.NOT_ASKED
    assert audit.judge("dev", answer())[0] == audit.NOT_ASKED
    code, lines = audit.judge("dev", answer(CLEAN, SKIPPED))
    assert (code, lines) == (audit.NOT_ASKED, ["dev: could not ask for 1 of 2 libraries"])


def test_an_audit_names_what_is_bad_and_where_it_is_mended() -> None:
    code, lines = audit.judge("dev", answer(CLEAN, SKIPPED, BAD))
    assert code == audit.FOUND
    assert lines[0] == "dev: idna 3.0: PYSEC-1, fixed in 3.7"


def test_an_audit_that_asked_for_all_says_how_many() -> None:
    assert audit.judge("dev", answer(CLEAN)) == (
        audit.NONE,
        ["dev: 1 libraries, none with a known vulnerability"],
    )
