"""A device at work that faults are let loose on: an older release runs, and a newer one is to be unlocked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from bed.dockerd import PrivateDockerd
from binary_split.oci.compression import Compression
from tests.archives import FRAGMENT, Sealed, make_sealed
from tests.canary import assert_in_no_file, assert_in_no_text, canary_of, shapes_of
from tests.cli.conftest import pin_options
from tests.commandline import CommandLine, Ran
from tests.engines.conftest import wait_for_none
from tests.releases import KEY, AgeRelease, make_age_release

NAMES = ("azaion/flights", "azaion/autopilot")
OTHERS = "alpine:latest"
TOKEN = "bst_a-token-that-nobody-may-see.0123456789"


@dataclasses.dataclass
class Device:
    """Runs the program, and checks after each fault that all is as it was.

    Attributes:
        cbc: the newer release as a ``cbc`` archive.
        age: the same references in a signed ``age`` archive, not compressed: plaintext would be seen.
    """

    cli: CommandLine
    bed: PrivateDockerd
    old: AgeRelease
    cbc: Sealed
    age: AgeRelease
    container: str = ""
    before: object = None

    @classmethod
    def of(cls, folder: Path, bed: PrivateDockerd, busybox: bytes) -> Device:
        """Make a device, and let an image of its old release run."""
        (folder / "home").mkdir()
        cli = CommandLine(folder / "home").with_environment(DOCKER_HOST=bed.host)
        old = make_age_release(folder / "old", "1.0.0", names=NAMES, program=busybox)
        cbc = make_sealed(folder / "cbc", "1.1.0", NAMES, filler_bytes=300_000, seed=1)
        age = make_age_release(
            folder / "age",
            "1.1.0",
            names=NAMES,
            filler_bytes=300_000,
            filler_kind="random",
            compression=Compression.NONE,
            sequence=8,
        )
        device = cls(cli, bed, old, cbc, age)
        for name, content in (("fragment", FRAGMENT), ("token", TOKEN.encode())):
            device.file(name).write_bytes(content)
        device.file("vendor.pub").write_bytes(KEY.public_key.serialise())
        device._begin()
        return device

    def file(self, name: str) -> Path:
        """Return a place beside the home folder: in that, no plaintext and no secret may be."""
        return self.cli.home.parent / name

    def unlock_cbc(self, archive: Path, *more: object) -> Ran:
        pins = pin_options(self.cbc)
        fragment = ["--fragment-file", self.file("fragment")]
        return self.cli.run("unlock", archive, "--version", "1.1.0", *pins, *fragment, *more)

    def unlock_age(self, archive: Path, *more: object, fragment: Sequence[object] | None = None) -> Ran:
        opener = ["--fragment-file", self.file("fragment")] if fragment is None else fragment
        return self.cli.run("unlock", archive, "--trusted-key", self.file("vendor.pub"), *opener, *more)

    def refuses_cbc(self, content: bytes, status: int, *words: str) -> Ran:
        """Unlock what must be refused."""
        self.file("bad.cbc").write_bytes(content)
        return self.assert_refused(self.unlock_cbc(self.file("bad.cbc")), status, *words)

    def refuses_age(self, content: bytes, status: int, *words: str) -> Ran:
        self.file("bad.age").write_bytes(content)
        return self.assert_refused(self.unlock_age(self.file("bad.age")), status, *words)

    def assert_refused(self, ran: Ran, status: int, *words: str) -> Ran:
        """Check what is promised of every fault, but that good input then succeeds."""
        ran.assert_failed(status, *words)
        assert wait_for_none(lambda: [str(left) for left in self.bed.leftovers()]) == []
        assert self._look() == self.before
        canaries = [canary_of(ref) for ref in self.age.images]
        secrets = [*shapes_of(FRAGMENT), *shapes_of(TOKEN.encode())]
        assert_in_no_file([*canaries, *secrets], self.cli.home, self.bed.data_root)
        assert_in_no_text(secrets, ran.stdout, ran.stderr)
        return ran

    def run(self, ref: object) -> str:
        return self.bed.docker("run", "--rm", "--network", "none", str(ref)).stdout.strip()

    def forget_new(self) -> None:
        for ref in self.age.images:
            self.bed.docker("image", "rm", "--force", str(ref))

    def _begin(self) -> None:
        assert self.unlock_age(self.old.path).status == 0
        image = str(self.old.images[0])
        self.bed.docker("tag", image, OTHERS)
        started = self.bed.docker(
            "run", "--detach", "--network", "none", image, "/bin/sh", "-c", "sleep 3600"
        )
        self.container = started.stdout.strip()
        self.before = self._look()

    def _look(self) -> object:
        """Return every image with its references, and whether the container still runs."""
        images = self.bed.ask("GET", "/images/json?all=1")
        rows = sorted((image["Id"], sorted(image["RepoTags"] or [])) for image in images)
        return rows, self.bed.ask("GET", f"/containers/{self.container}/json")["State"]["Running"]
