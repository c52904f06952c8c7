"""What every private server of the bed is: a process below a folder of its own, gone when it is left."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from bed import processes
from bed.unavailable import Unavailable

_LOG_TAIL = 3
_LOOK_S = 0.05


class PrivateServer(ABC):
    """Runs one server; use it as a context manager, or `start` and `stop` it."""

    start_timeout_s: ClassVar[float] = 60
    stop_timeout_s: ClassVar[float] = 20

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def folder(self) -> Path:
        """The folder that holds everything of this server."""
        if self._folder is None:
            raise RuntimeError("the server was not started")
        return self._folder

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "log"

    @abstractmethod
    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            Unavailable: this machine cannot run it; nothing is left behind.
        """

    def stop(self) -> None:
        """End the server and everything that it started, unmount and remove its folder."""
        if self._folder is None:
            return
        self.end()
        processes.end_below(self._folder)
        processes.unmount_below(self._folder)
        shutil.rmtree(self._folder)
        self._folder = None

    def end(self) -> None:
        """End the server itself; its folder stays."""
        if self._process is not None:
            processes.end(self._process, timeout_s=self.stop_timeout_s)
            self._process = None

    def _make_folder(self, prefix: str, parent: Path = Path("/tmp")) -> Path:
        self._folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        return self._folder

    def _launch(self, command: Sequence[str], is_up: Callable[[], bool], **options: Any) -> bool:
        """Start the process, and say whether it answers in time; one that does not is ended."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **options
            )
        deadline = time.monotonic() + self.start_timeout_s
        while time.monotonic() < deadline and self._process.poll() is None:
            if is_up():
                return True
            time.sleep(_LOOK_S)
        self.end()
        return False

    def _did_not_start(self, name: str) -> Unavailable:
        """Leave nothing behind, and return what is to be raised."""
        reason = self._last_words()
        self.stop()
        return Unavailable(name, f"did not start: {reason}")

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return " | ".join(lines[-_LOG_TAIL:]) or "it wrote no log"


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Whether somebody listens on a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
