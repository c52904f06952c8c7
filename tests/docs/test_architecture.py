"""The page on the architecture says what is so: the layers, the folders, and every name on the way."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import pytest

import binary_split

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(binary_split.__file__).parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRACT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
NAMES = sorted(
    set(re.findall(r"`([a-z_]+(?:\.[A-Za-z_]+)+)`", PAGE)) - {"release.json", "release.age", "pyproject.toml"}
)


def test_the_drawing_shows_the_layers_that_are_enforced() -> None:
    drawing = re.search(r"<!-- layers -->\n```\n(.*?)```", PAGE, re.DOTALL)
    assert drawing

    assert [re.split(r"\s{2,}", line.strip())[-1] for line in drawing[1].splitlines()] == CONTRACT["layers"]


def test_every_layer_is_a_folder_or_module_that_the_table_explains() -> None:
    layers = {name for line in CONTRACT["layers"] for name in line.split(" | ")}
    table = PAGE.partition("## The folders")[2].partition("\n\nBeside")[0]
    there = {
        path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }

    assert there - {"__init__", "version"} == layers
    assert {
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    } == layers


@pytest.mark.parametrize("name", NAMES)
def test_what_is_named_exists(name: str) -> None:
    assert resolve(name) is not None


def resolve(name: str) -> object:
    """Return the module of a dotted name, or what is in it."""
    parts = name.split(".")
    if (
        parts[0][0].islower()
        and not (SOURCE / parts[0]).exists()
        and not (SOURCE / f"{parts[0]}.py").exists()
    ):
        raise AssertionError(f"{name} is nowhere")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(["binary_split", *parts[:cut]]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[cut:]:
            found = getattr(found, attribute)
        return found
    raise AssertionError(f"{name} is nowhere")


def test_files_that_are_named_exist() -> None:
    named = re.findall(r"`((?:[a-z]+/)+(?:[\w*]+\.py)?)`", PAGE)

    assert [name for name in named if not [*ROOT.glob(name), *SOURCE.glob(name)]] == []
