"""What is imported when: a device waits for nothing that it does not use."""

from __future__ import annotations

import json

import pytest

from tests.running import CLI, run_python

HEAVY = {
    "backports",
    "cryptography",
    "docker",
    "fastapi",
    "http",
    "pydantic",
    "requests",
    "rich",
    "socket",
    "sqlalchemy",
    "ssl",
    "starlette",
    "subprocess",
    "tomllib",
    "urllib3",
    "uvicorn",
}
REPORT = """
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules} - before)))
"""
BEFORE = 'import json, sys; before = {name.partition(".")[0] for name in sys.modules}\n'


def imported_by(code: str, *arguments: str) -> set[str]:
    """Return the top-level modules that some code imports; it may end by sys.exit(0)."""
    wrapped = "".join(f"    {line}\n" for line in code.splitlines())
    done = run_python(
        f"{BEFORE}try:\n{wrapped}except SystemExit as e: assert not e.code\n{REPORT}", *arguments
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_imports_nothing_heavy() -> None:
    found = imported_by("import binary_split")
    assert "binary_split" in found
    assert found & (HEAVY | {"click"}) == set()


@pytest.mark.parametrize("arguments", [("--help",), ("--version",)], ids=" ".join)
def test_help_and_version_import_nothing_heavy(arguments: tuple[str, ...]) -> None:
    found = imported_by(CLI.replace("; ", "\n"), *arguments)
    assert {"binary_split", "click"} <= found
    assert found & HEAVY == set()


@pytest.mark.parametrize("command", ["seal", "unlock", "check", "decrypt", "inspect", "doctor"])
def test_the_help_of_a_command_imports_no_engine_and_no_network(command: str) -> None:
    found = imported_by(CLI.replace("; ", "\n"), command, "--help")
    assert found & (HEAVY - {"backports", "cryptography", "subprocess"}) == set()


def test_decrypting_imports_no_engine_no_network_and_no_server() -> None:
    found = imported_by("import binary_split.archive.cbc, binary_split.files, binary_split.transports.file")
    assert "cryptography" in found
    assert found & (HEAVY - {"cryptography"}) == set()
