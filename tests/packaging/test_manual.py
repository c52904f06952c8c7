"""The manual: rendered by the programs that will, and no command, option or exit code is missing."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from binary_split.cli.main import _COMMANDS
from scripts.exit_codes import collect
from scripts.roff import Page, escape
from tests.packaging.conftest import ROOT

FOLDER = ROOT / "docs" / "man"
PAGES = sorted(FOLDER.glob("man*/*"))
Find = Callable[[str], Path]

pytestmark = pytest.mark.slow  # programs of others


def complaints(*command: str | Path) -> list[str]:
    """Run a checker, and return what it has to say; no page has a date, so that it is made again the same."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = (done.stdout if command[1] == "-T" else done.stderr).splitlines()
    return [line for line in lines if "missing date" not in line]


def rendered(man: Path, page: str) -> str:
    done = subprocess.run(
        [man, "--encoding=ascii", "-l", *FOLDER.glob(f"man*/{page}")],
        env={"MANWIDTH": "400", "PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)


def test_mandoc_finds_nothing_wrong_with_any_page(program: Find) -> None:
    assert len(PAGES) == len(_COMMANDS) + 4
    assert complaints(program("mandoc"), "-T", "lint", "-W", "warning", *PAGES) == []


def test_groff_finds_nothing_wrong_with_any_page(program: Find) -> None:
    assert complaints(program("groff"), "-man", "-ww", "-z", "-Tutf8", *PAGES) == []


@pytest.mark.parametrize("command", _COMMANDS)
def test_each_command_has_a_page_that_the_programs_page_names(command: str) -> None:
    assert (FOLDER / "man1" / f"binary-split-{command}.1").is_file()
    assert escape(f"binary-split-{command}(1)") in (FOLDER / "man1" / "binary-split.1").read_text()


def test_man_shows_every_exit_code(program: Find) -> None:
    text = rendered(program("man"), "binary-split.1")
    section = text.partition("EXIT STATUS")[2]
    for row in collect():
        assert re.search(rf"^ +{row.exit_code} +\S", section, re.MULTILINE), row


def test_man_shows_the_options_of_a_command_and_of_one_below_a_group(program: Find) -> None:
    man = program("man")
    assert "--allow-downgrade" in rendered(man, "binary-split-unlock.1")
    assert re.search(r"binary-split key create \[OPTIONS\] KEY_ID", rendered(man, "binary-split-key.1"))


def test_man_shows_the_settings_of_the_file(program: Find) -> None:
    text = rendered(program("man"), "binary-split.toml.5")
    for name in ("key_service", "trusted_keys_folder", "autostart", "BINARY_SPLIT_CONFIG"):
        assert name in text


def test_what_a_page_says_is_printed_as_it_is(program: Find, tmp_path: Path) -> None:
    hard = ".Not 'a macro' -- \\backslash, ^hat~ `tick and …"
    page = Page("hard", 1, "hard to print")
    page.heading("DESCRIPTION")
    page.prose(hard)
    page.terms([("'term", hard)])
    path = tmp_path / page.file_name
    path.write_text(page.serialise())
    done = subprocess.run(
        [program("man"), "-l", path],
        env={"MANWIDTH": "400", "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.count(hard) == 2
