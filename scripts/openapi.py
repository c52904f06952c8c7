"""Write ``docs/openapi/*.json`` from the services themselves; with ``--check`` only compare."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from binary_split.agent.app import describe_api as describe_agent
from binary_split.keyservice.app import describe_api as describe_keyservice
from scripts.generated import keep

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "openapi"
SERVICES = {"agent": describe_agent, "keyservice": describe_keyservice}


def describe(service: str = "keyservice") -> dict[str, Any]:
    """Return a description, without the version: it would make each release a change of the API."""
    document = SERVICES[service]()
    document["info"]["version"] = "0"
    return document


def serialise(document: dict[str, Any]) -> str:
    """Return the file's text."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the files, or compare them with ``--check``."""
    files = {FOLDER / f"{service}.json": serialise(describe(service)) for service in SERVICES}
    return keep(files, FOLDER.glob("*.json"), arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
