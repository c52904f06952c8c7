"""The reference is what the code says, all of it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

import binary_split
from binary_split.agent.settings import _KNOWN as AGENT_SETTINGS
from binary_split.config import _KNOWN_SETTINGS, Limits
from scripts import reference
from scripts.commands import read_commands
from scripts.openapi import SERVICES, describe
from scripts.reference_page import prose

PAGES = {name: serialise() for name, serialise in reference.PAGES.items()}


def test_the_pages_are_what_the_code_says() -> None:
    assert {name: (reference.FOLDER / f"{name}.md").read_text(encoding="utf-8") for name in PAGES} == PAGES


def test_a_page_that_is_not_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "PAGES", {"cli": lambda: "commands", "http": lambda: "routes"})
    assert reference.main([], tmp_path) == 0
    assert reference.main(["--check"], tmp_path) == 0
    (tmp_path / "http.md").write_text("older")

    assert reference.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err == "http.md is not what the code says; run `make docs`\n"


def test_every_command_has_a_section_or_is_another_ones_twin() -> None:
    sections = {line.lstrip("# ") for line in PAGES["cli"].splitlines() if line.startswith("##")}
    twins = ("binary-split admin key ", "binary-split admin token ")  # told under `key` and `token`
    left = {command.name for command in read_commands().walk() if command.path[1:]} - sections

    assert {name for name in left if not name.startswith(twins)} == set()
    assert {name for name in left if name.replace("admin ", "") not in sections} == set()


def test_every_setting_and_every_bound_is_told() -> None:
    page = PAGES["configuration"]
    names = {*_KNOWN_SETTINGS, *AGENT_SETTINGS, *(field.name for field in fields(Limits))}

    assert {name for name in names if f"| `{name}` |" not in page} == set()
    assert "|  |\n" not in page.partition("## Bounds")[0], "a variable or setting of which nothing is said"


def test_every_route_is_told() -> None:
    routes = {
        f"| `{method.upper()} {path}` |"
        for service in SERVICES
        for path, operations in describe(service)["paths"].items()
        for method in operations
    }

    assert {route for route in routes if route not in PAGES["http"]} == set()


def test_every_public_name_is_told() -> None:
    page = PAGES["library"].replace("\\", "")

    assert {name for name in binary_split.__all__ if name not in page} == set()
    assert "def check_images_loaded(version: str) -> bool: ..." in page


@pytest.mark.parametrize(
    ("text", "shown"),
    [("*.pem and *.pub", r"\*.pem and \*.pub"), ("see `*.pem`", "see `*.pem`"), ("<1>", r"\<1>")],
)
def test_what_is_no_mark_is_not_taken_for_one(text: str, shown: str) -> None:
    assert prose(text) == shown
