from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.stock_age import Shell, install_plugin


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
