"""A private Podman service: its own store, socket and spool, gone without trace when it is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from bed import engineapi, processes
from bed.unavailable import Unavailable

_START_TIMEOUT_S = 30
_STOP_TIMEOUT_S = 20


class PrivatePodman:
    """Runs one ``podman system service`` below a folder of its own; use it as a context manager."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def folder(self) -> Path:
        """The folder that holds everything of this engine."""
        if self._folder is None:
            raise RuntimeError("the engine was not started")
        return self._folder

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / "podman.sock"

    @property
    def host(self) -> str:
        """What ``CONTAINER_HOST`` must be to reach this engine."""
        return f"unix://{self.socket}"

    @property
    def data_root(self) -> Path:
        """Where this engine keeps images."""
        return self.folder / "data"

    @property
    def pid(self) -> int:
        """The engine's process id."""
        if self._process is None:
            raise RuntimeError("the engine was not started")
        return self._process.pid

    def start(self) -> None:
        """Start the engine and wait until it answers.

        Raises:
            Unavailable: this machine cannot run it; nothing is left behind.
        """
        if shutil.which("podman") is None:
            raise Unavailable("podman", "is not installed")
        if os.geteuid() != 0:
            raise Unavailable("podman", "only root can start a private one")
        for driver in ("overlay", "vfs"):
            self._folder = Path(tempfile.mkdtemp(prefix="bed-", dir="/tmp"))
            (self._folder / "spool").mkdir()
            if self._launch(driver):
                return
            log = (self._folder / "log").read_text(errors="replace").strip().splitlines()
            self.stop()
        raise Unavailable("podman", f"did not start: {' | '.join(log[-3:]) or 'it wrote no log'}")

    def stop(self) -> None:
        """End the engine, unmount and remove its folder."""
        if self._folder is None:
            return
        if self._process is not None:
            processes.end(self._process, timeout_s=_STOP_TIMEOUT_S)
            self._process = None
        processes.end_below(self._folder)
        processes.unmount_below(self._folder)
        shutil.rmtree(self._folder)
        self._folder = None

    def ask(self, method: str, path: str, document: object = None) -> Any:
        """Call the engine's API; see `bed.engineapi.ask`."""
        return engineapi.ask(self.socket, method, path, document)

    def image_ids(self) -> dict[str, str]:
        """Return each reference that the engine has and the id of its image."""
        return engineapi.image_ids(self.socket)

    def empty(self) -> None:
        """Remove every container and every image."""
        for container in self.ask("GET", "/v1.41/containers/json?all=1"):
            self.ask("DELETE", f"/v1.41/containers/{container['Id']}?force=1&v=1")
        while images := self.ask("GET", "/v1.41/images/json?all=1"):
            self.ask("DELETE", f"/v1.41/images/{quote(images[0]['Id'])}?force=1")

    def leftover_files(self) -> list[Path]:
        """Return what loads spooled and have not removed."""
        return [path for path in (self.folder / "spool").rglob("*") if path.is_file()]

    def layers(self) -> Iterator[str]:
        """Give the ids of the layers in the store."""
        for listed in sorted(self.data_root.glob("*-layers/*.tar-split.gz")):
            yield listed.name

    def _launch(self, driver: str) -> bool:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *processes.ending_with_parent(),
                    *self._program(driver),
                    *("system", "service", "--time=0", self.host),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self._environment(),
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if engineapi.is_up(self.socket):
                return True
            time.sleep(0.05)
        return False

    def _program(self, driver: str) -> list[str]:
        folder = self.folder
        return [
            *("podman", "--root", str(folder / "data"), "--runroot", str(folder / "run")),
            *("--tmpdir", str(folder / "tmp"), "--storage-driver", driver),
            *("--cgroup-manager", "cgroupfs", "--events-backend", "file"),
        ]

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CONTAINER")}
        return {**inherited, "TMPDIR": str(self.folder / "spool")}
