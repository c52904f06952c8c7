"""Write ``docs/reference/*.md`` from the code; with ``--check`` only compare."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scripts import reference_cli, reference_http, reference_library, reference_settings

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "cli": reference_cli.serialise,
    "configuration": reference_settings.serialise,
    "http": reference_http.serialise,
    "library": reference_library.serialise,
}


def main(arguments: Sequence[str], folder: Path = FOLDER) -> int:
    """Write the pages, or compare them with ``--check``."""
    status = 0
    folder.mkdir(exist_ok=True)
    for name, serialise in PAGES.items():
        page, text = folder / f"{name}.md", serialise()
        if "--check" not in arguments:
            page.write_text(text, encoding="utf-8")
        elif not page.exists() or page.read_text(encoding="utf-8") != text:
            print(f"{page.name} is not what the code says; run `make docs`", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
