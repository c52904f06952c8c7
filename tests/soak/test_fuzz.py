"""The parsers under a fuzzer that watches their branches: nothing but our own errors comes out."""

from __future__ import annotations

import base64
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from bed.unavailable import Unavailable
from tests.reporting.soaking import ROUNDS
from tests.soak.fuzz_targets import TARGETS

SECONDS = int(os.environ.get("FUZZ_SECONDS", "10"))  # for each target
ROOT = Path(__file__).resolve().parents[2]
_STARTUP_S = 60
_SHOWN = 6_000  # of the fuzzer's last words, in characters


@pytest.fixture(scope="module")
def fuzz(could_not_run: Callable[[Unavailable], None], seed: int) -> Callable[[str, Path], str]:
    if importlib.util.find_spec("atheris") is None:
        could_not_run(Unavailable("atheris", "has no wheel for this Python on this machine"))
    return partial(_fuzz, seed or 1)  # 0 is no seed to libFuzzer


@pytest.mark.soak(minutes=(SECONDS + 5) / 60)
@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_our_own_errors_comes_out_of(
    name: str,
    fuzz: Callable[[str, Path], str],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    words = fuzz(name, tmp_path)
    record_property(ROUNDS, words.partition("Done ")[2].split()[0])


def _fuzz(seed: int, name: str, folder: Path) -> str:
    ran = subprocess.run(
        _command(name, seed, folder),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS + 2 * _STARTUP_S,
        check=False,
    )
    words = ran.stdout.decode(errors="replace")
    found = [_describe(path) for path in sorted(folder.iterdir()) if path.is_file()]
    if ran.returncode or found:
        pytest.fail("\n".join([f"{name}, seed {seed}:", words[-_SHOWN:], *found]), pytrace=False)
    assert "Done " in words, words[-_SHOWN:]
    return words


def _command(name: str, seed: int, folder: Path) -> list[str]:
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, content in enumerate(TARGETS[name].make_seeds()):
        (corpus / f"{number:03}").write_bytes(content)
    options = [
        f"-max_total_time={SECONDS}",
        f"-seed={seed}",
        f"-artifact_prefix={folder}/",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    return [sys.executable, "-m", "tests.soak.fuzz", name, *options, str(corpus)]


def _describe(reproducer: Path) -> str:
    """Return a crashing input as what a regression test can hold."""
    return f"{reproducer.name}, in base64: {base64.b64encode(reproducer.read_bytes()).decode()}"
