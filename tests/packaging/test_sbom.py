"""The SBOM of a release lists what is locked, under the licences that were agreed to."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from scripts.licences import AGREED, ALLOWED
from scripts.locks import RUNTIME, read_lock
from tests.packaging.conftest import ROOT

pytestmark = pytest.mark.packages
TIMEOUT_S = 600


@pytest.fixture(scope="module")
def sbom(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    copy = shutil.copy2(wheel, tmp_path_factory.mktemp("sbom"))
    done = subprocess.run(
        [ROOT / "scripts" / "sbom", copy], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(Path(done.stdout.strip()).read_text())
    return document


def test_it_lists_every_locked_library_in_its_version_and_no_other(sbom: dict[str, Any]) -> None:
    locked = {
        name: next(iter(row.specifier)).version for lock in RUNTIME for name, row in read_lock(lock).items()
    }
    listed = {canonicalize_name(found["name"]): found["version"] for found in sbom["components"]}
    assert listed == locked
    assert sbom["metadata"]["component"]["name"] == "binary-split"


def test_every_licence_that_it_names_was_agreed_to(sbom: dict[str, Any]) -> None:
    known = ALLOWED | {licence for licence, _reason in AGREED.values()}
    named = {
        licence["license"]["id"]
        for found in sbom["components"]
        for licence in found.get("licenses", [])
        if "id" in licence.get("license", {})
    }
    assert named <= known
    assert "MIT" in named


def test_it_says_what_needs_what_and_names_no_folder_of_the_machine(sbom: dict[str, Any]) -> None:
    needs = {row["ref"]: row.get("dependsOn", []) for row in sbom["dependencies"]}
    ours = next(ref for ref in needs if ref.startswith(("binary-split", "root")))
    assert any(ref.lower().startswith("cryptography==") for ref in needs[ours])
    assert "/tmp/" not in json.dumps(sbom)
