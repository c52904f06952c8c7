from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.archives import FRAGMENT, Sealed, make_sealed
from tests.cli.stock_age import Shell, install_plugin

NAMES = ("azaion/flights", "azaion/autopilot")


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return make_sealed(tmp_path_factory.mktemp("cli"), "1.0.0", NAMES)


@pytest.fixture(scope="session")
def fragment_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fragment") / "fragment"
    path.write_bytes(FRAGMENT)
    return path


@pytest.fixture
def shell(
    tmp_path: Path,
    program: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shell:
    """A folder with our plugin, and stock `age`."""
    install_plugin(tmp_path)
    return Shell(tmp_path, program("age"), monkeypatch, capsys)


def pin_options(sealed: Sealed) -> list[str]:
    return [part for ref, digest in sealed.pins.items() for part in ("--image-id", f"{ref}={digest}")]


def image_options(sealed: Sealed) -> list[str]:
    return [part for ref in sealed.images for part in ("--image", ref.name)]
