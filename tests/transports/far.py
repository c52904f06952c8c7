"""A device at one end of a bad link and a web server at the other: what an unlock comes to, and moves."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bed.bad_link import BadLink
from bed.certs import make_authority, make_leaf
from bed.nginx import PrivateNginx
from tests.archives import FRAGMENT
from tests.commandline import CommandLine, Ran
from tests.releases import KEY, AgeRelease


@dataclass(frozen=True)
class Unlocked:
    """What an unlock came to.

    Attributes:
        ran: the program's end.
        images: what it wrote, by path and digest.
        seconds: that it took.
        sent: bytes of the archive that the server sent, as it counts them itself.
        received: bytes of its connections that came to the device, each once; HTTP's and TLS's own too.
    """

    ran: Ran
    images: dict[str, str]
    seconds: float
    sent: int
    received: int

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {self.sent} bytes sent, {self.received} received"


@dataclass(frozen=True)
class FarServer:
    """A web server behind a link, and the device's program at this end of it."""

    link: BadLink
    nginx: PrivateNginx
    device: CommandLine
    root: Path

    def unlock(
        self,
        release: AgeRelease,
        *,
        secure: bool,
        meanwhile: Callable[[int], None] | None = None,
        timeout_s: float,
    ) -> Unlocked:
        """Unlock a release that the server has.

        Args:
            release: is put on the server.
            secure: by https; else by plain http.
            meanwhile: is called with the server's port when the program was started.
            timeout_s: bounds it.
        """
        shutil.copy(release.path, self.root / "bundle.age")
        (self.root / "bundle.age").chmod(0o644)
        url, port = (self.nginx.tls_url, self.nginx.tls_port) if secure else (self.nginx.url, self.nginx.port)
        place = ("--archive-ca", self.root / "ca.pem") if secure else ("--insecure-http",)
        images = self.device.home / "images"
        started = time.monotonic()
        arguments = (
            "unlock",
            f"{url}/bundle.age",
            *place,
            *secrets(self.device),
            "--engine",
            f"oci:{images}",
        )
        with self.device.start(*arguments) as process:
            try:
                if meanwhile is not None:
                    meanwhile(port)
                out, err = process.communicate(timeout=timeout_s)
            finally:
                process.kill()
        seconds = time.monotonic() - started
        ran = Ran(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
        sent, received = self.nginx.sent_bytes("/bundle.age"), self.link.received_bytes(port)
        return Unlocked(ran, digests_below(images), seconds, sent, received)


@contextmanager
def far_server(link: BadLink, folder: Path, cli: CommandLine, *, buffer: str) -> Iterator[FarServer]:
    """Run a web server at the far end.

    Args:
        link: which must be there.
        folder: for the files of both, which another user can read.
        cli: the device's program.
        buffer: as `PrivateNginx` has it.

    Raises:
        Unavailable: there is no web server here.
    """
    authority = make_authority()
    authority.write_certificate(folder / "ca.pem")
    identity = make_leaf(authority, names=(link.SERVER,))
    (cli.home / "fragment").write_bytes(FRAGMENT)
    (cli.home / "publisher.pem").write_bytes(KEY.public_key.serialise())
    with PrivateNginx(folder, identity, far_end=link, buffer=buffer) as nginx:
        yield FarServer(link, nginx, replace(cli, within=link.entering_device()), folder)


def unlock_here(release: AgeRelease, cli: CommandLine) -> dict[str, str]:
    """Unlock it from the file; return what that writes."""
    images = cli.home / "images-from-the-file"
    ran = cli.run(
        "unlock", release.path, *secrets(cli), "--engine", f"oci:{images}", "--state", cli.home / "other"
    )
    assert ran.status == 0, ran
    return digests_below(images)


def secrets(cli: CommandLine) -> tuple[object, ...]:
    return "--fragment-file", cli.home / "fragment", "--trusted-key", cli.home / "publisher.pem"


def digests_below(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
