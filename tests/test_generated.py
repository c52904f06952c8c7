"""Files that are made from others: what is stale or has no source any more is found, and mended if asked."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from scripts import exit_codes, faults, licences
from scripts.generated import keep


def test_what_is_as_it_would_be_made_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.write_text("as it is")
    assert keep({page: "as it is"}, tmp_path.glob("*"), ["--check"]) == 0


def test_a_check_names_what_is_stale_missing_or_stray_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stale, stray, missing = (tmp_path / name for name in ("stale", "stray", "missing"))
    stale.write_text("old")
    stray.touch()
    assert keep({stale: "new", missing: "new"}, tmp_path.glob("*"), ["--check"]) == 1
    told = [line.split()[0] for line in capsys.readouterr().err.splitlines()]
    assert sorted(told) == ["missing", "stale", "stray"]
    assert stale.read_text() == "old"
    assert stray.exists()


def test_what_is_made_again_passes_the_check(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (tmp_path / "stray").touch()
    assert keep({folder / "page": "new"}, tmp_path.glob("*"), []) == 0
    assert keep({folder / "page": "new"}, folder.glob("*"), ["--check"]) == 0
    assert not (tmp_path / "stray").exists()


@pytest.mark.parametrize("script", [exit_codes, faults, licences], ids=lambda script: script.PAGE.stem)
def test_a_stale_page_is_found_and_not_mended_by_the_check(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("old")
    monkeypatch.setattr(script, "PAGE", page)
    assert script.main(["--check"]) == 1
    assert "make docs" in capsys.readouterr().err
    assert page.read_text() == "old"
    assert script.main([]) == 0
    assert script.main(["--check"]) == 0
