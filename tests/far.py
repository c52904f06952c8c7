"""A device at one end of a bad link and a web server at the other: what an unlock comes to, and moves."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from bed.bad_link import BadLink, LineQuality
from bed.certs import make_authority, make_leaf
from bed.nginx import PrivateNginx
from bed.processes import ending_with_parent
from bed.registry import PrivateRegistry
from bed.unavailable import Unavailable
from binary_split.config import LIMITS
from binary_split.keyservice.state import create_state, open_state
from binary_split.model import Fragment
from tests.archives import FRAGMENT
from tests.commandline import CommandLine, Ran
from tests.lending import lent
from tests.releases import KEY, KEY_ID, AgeRelease
from tests.running import at_most_as_long, child_environment, python

MOST = 1.1
"""Bytes that may be moved, by what is needed."""
_LOOK_S = 0.01
_HALFWAY_S = 300  # some ten times what the worst line needs
_KERNEL_DOUBLES = 2  # socket(7), SO_SNDBUF


@dataclass(frozen=True)
class Unlocked:
    """What an unlock came to.

    Attributes:
        ran: the program's end.
        images: what it wrote, by path and digest.
        seconds: that it took.
        sent: bytes of the archive that the server sent, as it counts them itself; 0 where it does not.
        received: bytes of its connections that came to the device, each once; HTTP's and TLS's own too.
        stranded: the most of ``sent`` that lay in the server's sockets when their connections broke.
    """

    ran: Ran
    images: dict[str, str]
    seconds: float
    received: int
    sent: int = 0
    stranded: int = 0

    def assert_right(self, release: AgeRelease, images: dict[str, str]) -> None:
        """Check that it ended as it does from a file, and moved little more than the archive."""
        assert self.ran.status == 0, self.ran
        assert self.images == images
        needed = release.path.stat().st_size  # all blocks hold blobs, and the device had none
        assert self.sent - self.stranded <= MOST * needed, self.figures(needed)
        assert self.received <= MOST * needed, self.figures(needed)

    def figures(self, needed: int) -> str:
        sent, received, stranded = (count / needed for count in (self.sent, self.received, self.stranded))
        parts = f"{sent:.3f} sent ({stranded:.3f} stranded), {received:.3f} received"
        return f"{self.seconds:.1f} s for {needed} bytes: {parts}"


@dataclass(frozen=True)
class FarServer:
    """A web server behind a link, and the device's program at this end of it."""

    link: BadLink
    nginx: PrivateNginx
    device: CommandLine
    root: Path
    buffer: int

    def cut_at(self, count: int, seconds: float) -> Callable[[int], None]:
        """Return what cuts the link when so many bytes have come through, and joins it again later."""

        def cut(port: int) -> None:
            until = time.monotonic() + _HALFWAY_S
            while self.link.received_bytes(port) < count:
                assert time.monotonic() < until, self.link.received_bytes(port)
                time.sleep(_LOOK_S)
            self.link.cut()
            came = self.link.received_bytes(port)
            time.sleep(seconds)
            assert self.link.received_bytes(port) == came
            self.link.join()

        return cut

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
        trust = ("--archive-ca", self.root / "ca.pem") if secure else ("--insecure-http",)
        place = (f"{url}/bundle.age", *trust)
        unlocked = _unlock_over(self.link, port, self.device, place, meanwhile, timeout_s)
        stranded = self.nginx.unfinished("/bundle.age") * _KERNEL_DOUBLES * self.buffer
        return replace(unlocked, sent=self.nginx.sent_bytes("/bundle.age"), stranded=stranded)


@dataclass(frozen=True)
class FarRegistry:
    """A registry behind a link, and the device's program at this end of it."""

    link: BadLink
    registry: PrivateRegistry
    device: CommandLine

    def unlock(self, release: AgeRelease, *, timeout_s: float) -> Unlocked:
        """Push a release at the far end, and unlock it at this one.

        Args:
            release: is pushed.
            timeout_s: bounds the unlock.
        """
        place = (f"oci://{self.registry.host}/drone/releases:1.0.0", "--insecure-http")
        there = replace(self.device, within=[*ending_with_parent(), *self.link.entering_server()])
        pushed = there.run("push", release.path, *place)
        assert pushed.status == 0, pushed
        return _unlock_over(self.link, self.registry.port, self.device, place, None, timeout_s)


def _unlock_over(
    link: BadLink,
    port: int,
    device: CommandLine,
    place: tuple[object, ...],
    meanwhile: Callable[[int], None] | None,
    timeout_s: float,
) -> Unlocked:
    images = device.home / "images"
    started = time.monotonic()
    with device.running("unlock", *place, *secrets(device), "--engine", f"oci:{images}") as process:
        if meanwhile is not None:
            meanwhile(port)
        out, err = process.communicate(timeout=timeout_s)
    seconds = time.monotonic() - started
    ran = Ran(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
    return Unlocked(ran, digests_below(images), seconds, link.received_bytes(port))


@contextmanager
def far_server(
    folder: Path,
    cli: CommandLine,
    could_not_run: Callable[[Unavailable], None],
    *,
    quality: LineQuality,
    buffer: int,
) -> Iterator[FarServer]:
    """Run a web server at the far end of a link.

    Args:
        folder: for the files of both, which another user can read.
        cli: the device's program.
        could_not_run: is told what there is not here.
        quality: of the line.
        buffer: as `PrivateNginx` has it.
    """
    authority = make_authority()
    authority.write_certificate(folder / "ca.pem")
    identity = make_leaf(authority, names=(BadLink.SERVER,))
    _put_secrets(cli)
    with (
        lent(lambda: BadLink(quality), could_not_run) as link,
        lent(lambda: PrivateNginx(folder, identity, far_end=link, buffer=buffer), could_not_run) as nginx,
    ):
        yield FarServer(link, nginx, replace(cli, within=link.entering_device()), folder, buffer)


@contextmanager
def far_registry(
    cli: CommandLine, could_not_run: Callable[[Unavailable], None], *, quality: LineQuality
) -> Iterator[FarRegistry]:
    """Run a registry at the far end of a link.

    Args:
        cli: the device's program.
        could_not_run: is told what there is not here.
        quality: of the line.
    """
    _put_secrets(cli)
    with (
        lent(lambda: BadLink(quality), could_not_run) as link,
        lent(lambda: PrivateRegistry(far_end=link), could_not_run) as registry,
    ):
        yield FarRegistry(link, registry, replace(cli, within=link.entering_device()))


def _put_secrets(cli: CommandLine) -> None:
    (cli.home / "fragment").write_bytes(FRAGMENT)
    (cli.home / "publisher.pem").write_bytes(KEY.public_key.serialise())


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


_FETCH = """
import sys, time
from dataclasses import replace
from pathlib import Path
import requests  # which takes a second where many processes begin at once
from binary_split.config import LIMITS
from binary_split.errors import KeyServiceError
from binary_split.keyclient import fetch_fragment

started, limits = time.monotonic(), replace(LIMITS, fetch_deadline_s=float(sys.argv[4]))
try:
    fragment = fetch_fragment(sys.argv[1], sys.argv[2], ca_file=Path(sys.argv[3]), limits=limits)
    outcome = fragment.reveal().hex()
except KeyServiceError as error:
    outcome = error.code
print(time.monotonic() - started, outcome)
"""


@dataclass(frozen=True)
class FarKeyService:
    """A key service behind a link, and who may ask it."""

    url: str
    token: str
    ca_file: Path


@dataclass(frozen=True)
class Fetched:
    """What a fetch came to: the fragment in hexadecimal, or the code of an error."""

    seconds: float
    outcome: str


def fetch_over(
    link: BadLink, service: FarKeyService, *, times: int, deadline_s: float = LIMITS.fetch_deadline_s
) -> list[Fetched]:
    """Fetch the fragment from the device's end, several at once."""
    arguments = (service.url, service.token, service.ca_file, str(deadline_s))
    command = [*link.entering_device(), *python(_FETCH, *arguments)]
    with ExitStack() as opened:
        processes = [
            opened.enter_context(
                at_most_as_long(subprocess.Popen(command, stdout=subprocess.PIPE, env=child_environment()))
            )
            for _each in range(times)
        ]
        words = [process.communicate(timeout=120)[0].split() for process in processes]
    return [Fetched(float(seconds), outcome.decode()) for seconds, outcome in words]


@contextmanager
def far_key_service(link: BadLink, cli: CommandLine, folder: Path) -> Iterator[FarKeyService]:
    """Run a key service at the far end."""
    authority = make_authority()
    identity = make_leaf(authority, names=(link.SERVER,))
    certificate, key = identity.write_certificate(folder / "certificate.pem"), folder / "key.pem"
    key.write_bytes(identity.key_pem)
    key.chmod(0o600)
    create_state(folder / "state")
    store = open_state(folder / "state")
    store.keys.add(KEY_ID, Fragment(FRAGMENT))
    token = store.tokens.issue(KEY_ID, lifetime=timedelta(days=1)).text
    store.close()
    there = replace(cli, within=[*ending_with_parent(), *link.entering_server()])
    where = ("--state", folder / "state", "--host", link.SERVER, "--port", 0)
    with there.start("keyservice", "serve", *where, "--tls-cert", certificate, "--tls-key", key) as process:
        try:
            url = process.stderr.readline().decode().split()[-1] if process.stderr else ""
            yield FarKeyService(url, token, authority.write_certificate(folder / "ca.pem"))
        finally:
            process.terminate()
            process.communicate()
