"""Write ``deploy/completions``: scripts that ask `binary-split` itself; with ``--check`` only compare."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from binary_split.cli.main import cli
from scripts.generated import keep

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "completions"
# Each is called what its shell looks for in its folder.
_SHELLS: dict[str, type[ShellComplete]] = {
    "bash/binary-split": BashComplete,
    "fish/binary-split.fish": FishComplete,
    "zsh/_binary-split": ZshComplete,
}


def main(arguments: Sequence[str]) -> int:
    """Write the files, or compare them with ``--check``."""
    files = {FOLDER / name: _source(shell) for name, shell in _SHELLS.items()}
    return keep(files, FOLDER.glob("*/*"), arguments)


def _source(shell: type[ShellComplete]) -> str:
    """Return what click prints for a shell; it would ask for the version of the one of this machine."""
    found = shell(cli, {}, "binary-split", "_BINARY_SPLIT_COMPLETE")
    text: str = found.source_template % found.source_vars()
    if shell is ZshComplete:
        # Found by name, the whole file is the function, and click's does nothing the second time.
        text = f'{text.partition("if [[ $zsh_eval_context")[0]}{found.func_name} "$@"'
    return text.strip() + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
