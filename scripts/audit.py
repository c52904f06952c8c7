"""Ask for known vulnerabilities of every locked library: `make audit`. It needs a network.

Exits with 0 if each was asked for and has none, 1 if one has, 3 if not all could be asked for: that is no
clean bill, though pip-audit by itself calls it one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.locks import ROOT

LOCKS = ("agent", "keyservice", "dev", "build", "release")
NONE, FOUND, NOT_ASKED = 0, 1, 3
_TIMEOUT_S = 600


def ask(lock: str) -> Mapping[str, Any] | None:
    """Return what pip-audit says of a lock; None where it could not ask."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [
            str(ROOT / "scripts" / "release-tool"),
            "pip-audit",
            "--progress-spinner=off",
            "--format=json",
        ]
        command += ["--disable-pip", "--require-hashes", f"--output={answer}"]
        command += [f"--requirement={ROOT / 'requirements' / lock}.txt"]
        subprocess.run(command, check=False, timeout=_TIMEOUT_S, stderr=subprocess.DEVNULL)
        document: Mapping[str, Any] | None = json.loads(answer.read_text()) if answer.exists() else None
        return document


def judge(lock: str, answer: Mapping[str, Any] | None) -> tuple[int, list[str]]:
    """Return the exit code for an answer, and what there is to say."""
    if answer is None:
        return NOT_ASKED, [f"{lock}: could not ask"]
    libraries = answer["dependencies"]
    bad = [
        f"{lock}: {library['name']} {library['version']}: {problem['id']}, "
        f"fixed in {', '.join(problem['fix_versions']) or 'no version'}"
        for library in libraries
        for problem in library.get("vulns", [])
    ]
    skipped = [library["name"] for library in libraries if "skip_reason" in library]
    if skipped:
        bad.append(f"{lock}: could not ask for {len(skipped)} of {len(libraries)} libraries")
    if any("vulns" in library and library["vulns"] for library in libraries):
        return FOUND, bad
    if skipped or not libraries:
        return NOT_ASKED, bad
    return NONE, [f"{lock}: {len(libraries)} libraries, none with a known vulnerability"]


def main() -> int:
    """Ask for every lock."""
    codes = []
    for lock in LOCKS:
        code, lines = judge(lock, ask(lock))
        codes.append(code)
        print("\n".join(lines), file=sys.stderr if code else sys.stdout)
    return FOUND if FOUND in codes else max(codes)


if __name__ == "__main__":
    sys.exit(main())
