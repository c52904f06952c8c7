"""A private Podman service: its own store, socket and spool, gone without trace when it is left."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bed import engineapi, processes
from bed.private import PrivateServer
from bed.unavailable import Unavailable


class PrivatePodman(PrivateServer):
    """Runs one ``podman system service`` below a folder of its own; use it as a context manager."""

    start_timeout_s = 30

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
        """Start the engine and wait until it answers."""
        if shutil.which("podman") is None:
            raise Unavailable("podman", "is not installed")
        if os.geteuid() != 0:
            raise Unavailable("podman", "only root can start a private one")
        for driver in ("overlay", "vfs"):
            (self._make_folder("bed-") / "spool").mkdir()
            command = [*self._program(driver), "system", "service", "--time=0", self.host]
            if self._launch(
                [*processes.ending_with_parent(), *command],
                lambda: engineapi.is_up(self.socket),
                env=self._environment(),
            ):
                return
            reason = self._last_words()
            self.stop()
        raise Unavailable("podman", f"did not start: {reason}")

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
