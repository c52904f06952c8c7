"""A private Docker engine: its own data, socket and configuration, gone without trace when it is left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bed import engineapi, processes
from bed.other_root import entering
from bed.private import PrivateServer
from bed.unavailable import Unavailable

_SOCKET_PATH_MAX = 100  # the kernel's limit for a unix socket is 108, containerd's names are longer than ours
_PROGRAM_IN_ROOT = "/usr/sbin/dockerd"


class PrivateDockerd(PrivateServer):
    """Runs one dockerd below a folder of its own; use it as a context manager, or `start` and `stop` it.

    It listens on a unix socket only, unless its ``options`` say more, and has no network, no registry and no
    firewall rules. Another dockerd on the same machine is not touched: containers need ``--network none``
    (or ``host``).

    Args:
        containerd_store: keep images in containerd's store (from Docker 24 on) and not in the classic one.
        parent: where the folder is made.
        options: more of dockerd's own.
        root: another Debian's folder to take the engine from (see `bed.newer_docker`), not the machine's own.
    """

    def __init__(
        self,
        *,
        containerd_store: bool = False,
        parent: Path | None = None,
        options: Sequence[str] = (),
        root: Path | None = None,
    ) -> None:
        super().__init__()
        self._parent = parent or Path("/tmp")  # short on purpose; mkdtemp makes it private
        self._containerd_store = containerd_store
        self._options = options
        self._root = root

    @property
    def host(self) -> str:
        """What ``DOCKER_HOST`` must be to reach this engine."""
        return f"unix://{self.folder / 'docker.sock'}"

    @property
    def data_root(self) -> Path:
        """Where this engine keeps images and its temporary files."""
        return self.folder / "data"

    @property
    def pid(self) -> int:
        """The engine's process id."""
        return int((self.folder / "pid").read_text())

    def start(self) -> None:
        """Start the engine, or start it again after `crash`, and wait until it answers.

        Raises:
            Unavailable: this machine cannot run it; nothing is left behind.
        """
        self._require_program_and_root()
        if self._folder is None:
            folder = self._make_folder("bed-", self._parent)
            if len(str(folder)) > _SOCKET_PATH_MAX:
                self.stop()
                raise Unavailable("dockerd", f"the path of {self._parent} is too long for a unix socket")
        known = self.folder / "driver"
        drivers = [known.read_text()] if known.exists() else ["overlay2", "vfs"]
        for driver in drivers:
            if self._launch_with(driver):
                known.write_text(driver)
                return
            processes.end_below(self.folder)
        raise self._did_not_start("dockerd")

    def crash(self) -> None:
        """Kill the engine as a power cut would; `start` brings it back with the same data."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None
        processes.end_below(self.folder)
        # What lives in /run is gone after a power cut; a stale containerd.pid may even stop the next start.
        processes.unmount_below(self.folder / "exec")
        shutil.rmtree(self.folder / "exec", ignore_errors=True)
        for left in ("pid", "docker.sock"):
            (self.folder / left).unlink(missing_ok=True)

    def environment(self) -> dict[str, str]:
        """Return an environment in which docker programs reach this engine and no user's settings."""
        # A DOCKER_CONTEXT of the user's would win over DOCKER_HOST, and DOCKER_TLS_VERIFY change its meaning.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        return {**inherited, "DOCKER_HOST": self.host, "DOCKER_CONFIG": str(self.folder / "client")}

    def docker(
        self, *arguments: str, timeout_s: float = 300, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run the ``docker`` program against this engine.

        Raises:
            OSError: it failed and ``check`` is on; the error has its last words.
        """
        done = subprocess.run(
            ["docker", *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode:
            raise OSError(f"docker {arguments[0]} failed ({done.returncode}): {done.stderr.strip()}")
        return done

    def ask(self, method: str, path: str, document: object = None) -> Any:
        """Call the engine's API; see `bed.engineapi.ask`."""
        return engineapi.ask(self.folder / "docker.sock", method, path, document)

    def image_ids(self) -> dict[str, str]:
        """Return each reference that the engine has and the id of its image."""
        return engineapi.image_ids(self.folder / "docker.sock")

    def empty(self) -> None:
        """Remove every container, every image and what broken loads left."""
        engineapi.remove_everything(self.folder / "docker.sock")
        for left in (*self.leftovers(), *self._orphans()):
            shutil.rmtree(left, ignore_errors=True)

    def _orphans(self) -> list[Path]:
        """Return the folders of layers that an engine was making when it was killed: no image has them."""
        if any(self.data_root.glob("image/*/layerdb/sha256/*")):
            return []
        folders = (*self.data_root.glob("overlay2/*"), *self.data_root.glob("vfs/dir/*"))
        return [folder for folder in folders if folder.name != "l" and folder.is_dir()]

    def leftovers(self) -> list[Path]:
        """Return the spool folders that loads left or are using now."""
        return sorted((self.data_root / "tmp").glob("docker-import-*"))

    def leftover_files(self) -> list[Path]:
        """Return the files in them; `os.walk` passes over what the engine removes meanwhile."""
        walks = (os.walk(folder) for folder in self.leftovers())
        return [Path(folder) / name for walk in walks for folder, _folders, names in walk for name in names]

    def _require_program_and_root(self) -> None:
        if self._root is None:
            _program()
        if os.geteuid() != 0:
            raise Unavailable("dockerd", "only root can start a private one")

    def _launch_with(self, driver: str) -> bool:
        (self.folder / "pid").unlink(missing_ok=True)
        return self._launch(
            self._command(driver),
            lambda: engineapi.is_up(self.folder / "docker.sock"),
            env={**os.environ, "TMPDIR": str(self.folder)},
        )

    def _command(self, driver: str) -> list[str]:
        folder = self.folder
        settings = {"features": {"containerd-snapshotter": self._containerd_store}}
        (folder / "daemon.json").write_text(json.dumps(settings))
        program = _program() if self._root is None else _PROGRAM_IN_ROOT
        command = [program, "--config-file", str(folder / "daemon.json")]
        command += ["--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")]
        command += ["--pidfile", str(folder / "pid"), "--host", self.host]
        command += self._options
        command += ["--iptables=false", "--ip6tables=false", "--bridge=none"]
        # Where the system's own containerd runs, dockerd uses it: then at least under names of our own.
        own = folder.name.encode().hex()  # of letters and digits: a name that ends in "_" is refused, later
        command += ["--containerd-namespace", own, "--containerd-plugins-namespace", f"{own}-plugins"]
        if not self._containerd_store:
            command += ["--storage-driver", driver]
        inside = entering(self._root, folder) if self._root else []
        return [*processes.ending_with_parent(), *inside, *command]


def _program() -> str:
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", "/usr/local/sbin"])
    found = shutil.which("dockerd", path=search)
    if found is None:
        raise Unavailable("dockerd", "no dockerd is installed")
    return found
