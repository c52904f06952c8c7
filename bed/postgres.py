"""A private PostgreSQL: its own data and unix socket, gone without trace when it is left."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

from bed import processes
from bed.private import PrivateServer
from bed.unavailable import Unavailable

_RUN_TIMEOUT_S = 60
_USERS = ("postgres", "nobody")


class PrivatePostgres(PrivateServer):
    """Runs one server below a folder of its own; use it as a context manager, or `start` and `stop` it.

    It listens on a unix socket only. PostgreSQL refuses to run as root: then it runs as an unprivileged user.
    """

    def __init__(self, *, settings: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._settings = settings
        self._databases = 0

    def url(self, database: str) -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://binary_split@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start the server, or start it again after `crash`, and wait until it answers.

        Raises:
            Unavailable: this machine cannot run it; nothing is left behind.
        """
        if self._folder is None:
            find_program("initdb")
            folder = self._make_folder("bed-pg-")
            user = _user()
            if user is not None:
                os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
            self._run(
                "initdb",
                "--no-sync",
                "--auth=trust",
                "--username=binary_split",
                "--encoding=UTF8",
                "--locale=C",
                "-D",
            )
        command = [*processes.ending_with_parent(), str(find_program("postgres"))]
        command += ["-D", str(self.folder / "data"), "-k", str(self.folder)]
        for setting in ("listen_addresses=", "unix_socket_permissions=0700", *self._settings):
            command += ["-c", setting]
        if not self._launch(command, self._is_up, user=_user(), cwd=self.folder):
            raise self._did_not_start("postgres")

    def end(self) -> None:
        """End the server at once: its data is removed anyway."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
        super().end()

    def crash(self) -> None:
        """Kill the server and its children as a power cut would; `start` brings back the same data."""
        if self._process is None:
            return
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        # The children have groups of their own; they end when they find the postmaster dead.
        deadline = time.monotonic() + self.stop_timeout_s
        while holders := _holders(self.folder / "data"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"processes of {self.folder} do not end: {holders}")
            time.sleep(0.02)
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def create_database(self, *, template: str = "template0") -> str:
        """Make a database, a copy of another if asked for, and return its name."""
        self._databases += 1
        name = f"d{self._databases}"
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def sql(self, statement: str, *, database: str = "postgres") -> str:
        """Run a statement with ``psql`` and return what it prints, unaligned.

        Raises:
            OSError: it failed; the error has its last words.
        """
        done = subprocess.run(
            [
                find_program("psql"),
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                statement,
                self.url(database),
            ],
            capture_output=True,
            text=True,
            timeout=_RUN_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise OSError(f"psql failed: {done.stderr.strip()}")
        return done.stdout

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [find_program(name), *arguments, self.folder / "data"],
            capture_output=True,
            text=True,
            timeout=_RUN_TIMEOUT_S,
            check=False,
            user=_user(),
            cwd=self.folder,
        )
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:]
            self.stop()
            raise Unavailable("postgres", f"{name} failed: {reason}")

    def _is_up(self) -> bool:
        try:
            return self.sql("SELECT 1").strip() == "1"
        except OSError:
            return False


def _holders(folder: Path) -> list[str]:
    """Return the processes whose working folder is the server's data."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink() == folder:
                    found.append(entry.name)
            except OSError:
                continue
    return found


def _user() -> str | None:
    """Return as whom the server must run: None is ourselves."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(user for user in _USERS if user in known)


def find_program(name: str) -> Path:
    """Find a program of PostgreSQL's: Debian keeps them off the PATH."""
    candidates = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]), reverse=True
    )
    if candidates:
        return candidates[0]
    found = shutil.which(name)
    if found is None:
        raise Unavailable("postgres", f"{name} is not installed")
    return Path(found)
