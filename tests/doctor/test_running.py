"""Every check is made and told, whatever becomes of the others."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from binary_split.config import Settings
from binary_split.doctor import Subject, Verdict, run_checks
from binary_split.doctor.facts import Facts
from binary_split.doctor.finding import SkippedError
from binary_split.doctor.once import Once
from binary_split.doctor.running import CHECKS
from binary_split.errors import BinarySplitError, ConfigError, KeyServiceUnreachableError
from tests.running import run_python

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")


VERDICTS = ("ok", "warning", "failed", "skipped")


@pytest.mark.parametrize("broken", CHECKS)
def test_a_check_that_breaks_leaves_the_others_as_they_were(
    monkeypatch: pytest.MonkeyPatch, broken: str, tmp_path: Path
) -> None:
    def explode(_facts: Facts) -> NoReturn:
        raise RuntimeError("bsk_secret")

    subject = Subject(settings=Settings(engine=f"oci:{tmp_path}"))
    before = list(run_checks(subject))
    module, function = CHECKS[broken]
    monkeypatch.setattr(f"binary_split.doctor.{module}.{function}", explode)
    after = list(run_checks(subject))
    assert [finding.name for finding in after] == list(CHECKS)
    (changed,) = [finding for finding in after if finding.name == broken]
    assert changed.verdict is Verdict.FAILED
    assert changed.detail == "the check itself broke: RuntimeError"
    assert changed.cure
    others = [(finding.name, finding.verdict) for finding in before if finding.name != broken]
    assert [(finding.name, finding.verdict) for finding in after if finding.name != broken] == others


@pytest.mark.slow
def test_a_library_that_is_too_old_for_us_leaves_the_checks_that_tell_of_it(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["cryptography.hazmat.primitives.hpke"] = None  # as before it had one
from binary_split.cli.main import main
main()
"""
    done = run_python(program, "doctor", "--json", "--engine", f"oci:{tmp_path}")
    assert done.returncode == 90, done.stderr
    verdicts = {row["name"]: row["verdict"] for row in json.loads(done.stdout)["checks"]}
    assert (list(verdicts), verdicts["software"]) == (list(CHECKS), "ok")


@pytest.mark.slow
def test_a_check_that_hangs_is_late_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr("binary_split.doctor.software.check_software", lambda _facts: ended.wait(20))
    begin = time.monotonic()
    findings = list(run_checks(Subject(settings=Settings(engine="oci:/nowhere")), check_s=1))
    ended.set()
    assert time.monotonic() - begin < 5
    assert (findings[0].name, findings[0].verdict) == ("software", Verdict.FAILED)
    assert findings[0].detail == "there is no answer yet"
    assert all(finding.detail != "there is no answer yet" for finding in findings[1:])


@pytest.mark.slow
def test_side_by_side_they_import_nothing_by_halves() -> None:
    code = """
from binary_split.config import Settings
from binary_split.doctor import Subject, run_checks
for finding in run_checks(Subject(settings=Settings(engine="oci:/nowhere", key_service="http://localhost:1"))):
    assert "broke" not in finding.detail, finding
"""
    for _ in range(8):  # before everything was imported first, two of twelve broke
        ran = run_python(code)
        assert ran.returncode == 0, ran


def test_settings_that_cannot_be_read_are_one_finding_among_others() -> None:
    fault = ConfigError("x.toml is not TOML", hint="Correct it.")
    findings = {f.name: f for f in run_checks(Subject(settings_fault=fault))}
    assert findings["settings"].verdict is Verdict.FAILED
    assert (findings["settings"].detail, findings["settings"].cure) == ("x.toml is not TOML", "Correct it.")
    assert findings["self-test"].verdict is Verdict.OK


def test_nothing_bad_is_told_without_a_cure() -> None:
    for finding in run_checks(Subject(archive=Path("/nowhere.age"), settings=Settings(key_service="x"))):
        assert bool(finding.cure) == (finding.verdict in {Verdict.WARNING, Verdict.FAILED}), finding


def test_the_page_names_each_check_in_its_order() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE) == [*VERDICTS, *CHECKS]


def test_the_versions_that_are_needed_are_those_of_the_program_s_own_metadata(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "binary_split.doctor.software.requires", lambda _name: ["cryptography>=9999.1", "x>=1"]
    )
    (found,) = [f for f in run_checks(Subject()) if f.name == "software"]
    assert found.verdict is Verdict.FAILED
    assert "9999.1 is needed" in found.detail
    assert "x is missing, and 1 is needed" in found.detail


class TestOnce:
    def test_a_value_is_made_once(self) -> None:
        numbers = itertools.count(1)
        once = Once(lambda: next(numbers), until=time.monotonic() + 5)
        assert (once(), once()) == (1, 1)

    @pytest.mark.parametrize("error", [KeyServiceUnreachableError("no"), SkippedError("no")])
    def test_so_is_an_error(self, error: Exception) -> None:
        calls: list[int] = []

        def fail() -> NoReturn:
            calls.append(1)
            raise error

        once = Once(fail, until=time.monotonic() + 5)
        for _ in range(2):
            with pytest.raises((BinarySplitError, SkippedError), match="no"):
                once()
        assert calls == [1]

    def test_nobody_waits_for_ever_for_what_another_makes(self) -> None:
        begun, end = threading.Event(), threading.Event()

        def make() -> int:
            begun.set()
            end.wait(20)
            return 1

        once = Once(make, until=time.monotonic() + 0.1)
        maker: Callable[[], object] = once
        thread = threading.Thread(target=maker)
        thread.start()
        begun.wait(5)
        with pytest.raises(SkippedError, match="not been answered"):
            once()
        end.set()
        thread.join(5)
        assert once() == 1
