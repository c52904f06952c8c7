"""Write ``docs/reference/*.md`` from the code; with ``--check`` only compare."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scripts import reference_cli, reference_http, reference_library, reference_settings
from scripts.generated import keep

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "cli": reference_cli.serialise,
    "configuration": reference_settings.serialise,
    "http": reference_http.serialise,
    "library": reference_library.serialise,
}


def main(arguments: Sequence[str], folder: Path = FOLDER) -> int:
    """Write the pages, or compare them with ``--check``."""
    pages = {folder / f"{name}.md": serialise() for name, serialise in PAGES.items()}
    return keep(pages, [], arguments, origin="what the code says")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
