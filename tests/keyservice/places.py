"""A key service's state on either database, and another process that works on the same one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from bed.postgres import PrivatePostgres
from binary_split.keyservice.clock import Clock, utc_now
from binary_split.keyservice.database import connect_database, writing
from binary_split.keyservice.state import DATABASE_NAME, connect_state, open_state
from binary_split.keyservice.store import Store

PROCESS_TIMEOUT_S = 60


@dataclass(frozen=True)
class Place:
    """A state folder, and the server of its database if it has one."""

    folder: Path
    postgres: PrivatePostgres | None = None

    def open(self, *, clock: Clock = utc_now, busy_timeout_s: float = 2.0) -> Store:
        return open_state(self.folder, clock=clock, busy_timeout_s=busy_timeout_s)

    def sql(self, *statements: str) -> None:
        """Do behind the service's back what an intruder with the database could do."""
        engine = (
            connect_state(self.folder)
            if self.postgres is not None
            else connect_database(self.folder / DATABASE_NAME)
        )
        with writing(engine) as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()

    @contextmanager
    def process(self, script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run a script in a process of its own; ``folder`` and ``arguments`` are names in it."""
        prelude = (
            "import json, sys\nfrom pathlib import Path\n"
            "folder, arguments = Path(sys.argv[1]), sys.argv[2:]\n"
            "from binary_split.keyservice.state import open_state\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", prelude + script, str(self.folder), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def result(process: subprocess.Popen[str]) -> list[float]:
    """Return the JSON list that a process prints last."""
    out, errors = process.communicate(timeout=PROCESS_TIMEOUT_S)
    assert process.returncode == 0, errors
    found = json.loads(out.splitlines()[-1])
    assert isinstance(found, list)
    return found
