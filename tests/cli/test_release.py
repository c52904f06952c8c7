"""``binary-split release``: a file, or a picture of it, that opens on its device and nowhere else."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from binary_split.archive.age import FragmentRecipient, seal_age
from binary_split.keyservice.state import create_state, open_state
from binary_split.keyservice.store import Store
from binary_split.model import Fragment
from binary_split.sealedfragment import SealedFragment
from tests.commandline import CommandLine, Ran

pytestmark = pytest.mark.slow  # each command is a process of its own

SECRET = bytes(range(32))
PLAIN = b"what was sealed" * 100


@dataclass
class Desk:
    """A vendor's state folder with one enrolled device, and that device's key, in one folder."""

    folder: Path
    cli: CommandLine

    @property
    def sealed(self) -> Path:
        return self.folder / "sealed"

    def store(self) -> Store:
        return open_state(self.folder / "state")

    def enrol(self, *options: object, device: str = "drone-7") -> None:
        public = self.cli.run("device", "init", "-o", self.folder / f"{device}.key", *options).stdout.strip()
        with closing(self.store()) as store:
            store.devices.add(device)
            code = store.enrolment.issue(device, lifetime=timedelta(hours=1)).text
            store.enrolment.redeem(code, public.encode(), token_lifetime=timedelta(days=1))

    def grant(self, *, uses: int | None = None) -> None:
        with closing(self.store()) as store:
            store.grants.add("acme-2026", device_id="drone-7", uses=uses)

    def release(self, *more: object, device: str = "drone-7", key: str = "acme-2026") -> Ran:
        state = ("--state", self.folder / "state", "-o", self.sealed)
        return self.cli.run("release", "--device", device, "--key", key, *state, *more)

    def open(self, sealed: Path | None = None, *, device: str = "drone-7") -> Ran:
        files = ("--sealed-fragment", sealed or self.sealed, "--device-key", self.folder / f"{device}.key")
        return self.cli.run("decrypt", self.folder / "x.age", *files, "-o", self.folder / "plain")

    def assert_opens(self, sealed: Path | None = None) -> None:
        (self.folder / "plain").unlink(missing_ok=True)
        assert self.open(sealed).status == 0
        assert (self.folder / "plain").read_bytes() == PLAIN


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    create_state(tmp_path / "state")
    with closing(open_state(tmp_path / "state")) as store:
        store.keys.add("acme-2026", Fragment(SECRET))
    with (tmp_path / "x.age").open("wb") as file:
        writer = seal_age(file, [FragmentRecipient("acme-2026", Fragment(SECRET))])
        writer.write(PLAIN)
        writer.finish()
    desk = Desk(tmp_path, CommandLine(tmp_path))
    desk.enrol()
    return desk


def read_qr(program: Path, picture: Path) -> bytes:
    command: list[str | Path] = [program, "-q", "--raw", "-Sdisable", "-Sqrcode.enable", picture]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


def test_the_file_opens_on_its_device(desk: Desk) -> None:
    desk.grant()
    ran = desk.release()
    assert (ran.status, ran.stdout) == (0, ""), ran
    desk.assert_opens()
    desk.assert_opens()  # as often as it likes
    assert SECRET.hex() not in desk.sealed.read_bytes().hex()


def test_another_device_cannot_open_it(desk: Desk) -> None:
    desk.grant()
    desk.enrol(device="other")
    desk.release()
    desk.open(device="other").assert_failed(36, "for another device")
    assert not (desk.folder / "plain").exists()


def test_each_file_has_a_nonce_of_its_own_and_is_in_the_audit(desk: Desk) -> None:
    desk.grant()
    nonces = set()
    for _ in range(2):
        desk.sealed.unlink(missing_ok=True)
        document = desk.release("--json").document
        nonces.add(SealedFragment.parse(desk.sealed.read_bytes().rstrip(b"\n")).binding.nonce)
    assert len(nonces) == 2
    with closing(desk.store()) as store:
        rows = store.audit.page(kind="release-offline").rows
        store.audit.verify()
    assert [(row.key_id, row.device_id) for row in rows] == [("acme-2026", "drone-7")] * 2
    assert rows[-1].seq == document["audit_record"]


def test_it_costs_a_use_and_a_refusal_leaves_no_file(desk: Desk) -> None:
    desk.grant(uses=1)
    assert desk.release().status == 0
    desk.sealed.unlink()
    desk.release().assert_failed(68, "every use is spent")
    assert not desk.sealed.exists()


@pytest.mark.parametrize(
    ("device", "key", "words", "status"),
    [
        ("drone-7", "acme-2026", "no grant gives it now", 68),
        ("drone-7", "k", "no such key", 67),
        ("nobody", "acme-2026", "nobody", 67),
    ],
)
def test_what_may_not_be_released_is_told_and_leaves_no_file(
    desk: Desk, device: str, key: str, words: str, status: int
) -> None:
    refused = desk.release("--qr", desk.folder / "code.png", device=device, key=key)
    assert refused.status == status, refused
    assert words in refused.stderr
    assert not desk.sealed.exists()
    assert not (desk.folder / "code.png").exists()


def test_an_older_file_is_not_touched_and_no_use_is_spent(desk: Desk) -> None:
    desk.grant(uses=1)
    desk.sealed.write_bytes(b"older")
    desk.release().assert_failed(5, "exists already")
    assert desk.sealed.read_bytes() == b"older"
    desk.sealed.unlink()
    assert desk.release().status == 0


def test_a_picture_is_read_back_and_opens(desk: Desk, program: Callable[[str], Path]) -> None:
    zbarimg = program("zbarimg")
    desk.grant()
    assert desk.release("--qr", desk.folder / "code.png").status == 0
    read = read_qr(zbarimg, desk.folder / "code.png")
    assert read == desk.sealed.read_bytes()
    (desk.folder / "from-qr").write_bytes(read)
    desk.assert_opens(desk.folder / "from-qr")


def test_a_picture_of_a_hybrid_sealing_is_read_back_too(desk: Desk, program: Callable[[str], Path]) -> None:
    zbarimg = program("zbarimg")
    desk.enrol("--hybrid", device="quantum")
    with closing(desk.store()) as store:
        store.grants.add("acme-2026", device_id="quantum")
    assert desk.release("--qr", desk.folder / "code.png", device="quantum").status == 0
    assert read_qr(zbarimg, desk.folder / "code.png") == desk.sealed.read_bytes()
    assert desk.open(device="quantum").status == 0


def test_the_other_forms_of_the_picture(desk: Desk) -> None:
    desk.grant()
    assert desk.release("--qr", desk.folder / "code.svg").status == 0
    assert b"<svg" in (desk.folder / "code.svg").read_bytes()
    desk.sealed.unlink()
    blocks = desk.release("--qr", "-").stdout
    assert len(blocks.splitlines()) > 20
    assert set(blocks) <= set(" ▀▄█\n")


def test_what_cannot_be_drawn_is_told_before_a_use_is_spent(desk: Desk) -> None:
    desk.grant(uses=1)
    desk.release("--qr", desk.folder / "code.gif").assert_failed(3, ".png or .svg")
    desk.release("--qr", "-", "--json").assert_failed(3, "stdout")
    assert not desk.sealed.exists()
    assert desk.release().status == 0


def test_a_fragment_too_long_for_a_picture_is_still_in_its_file(desk: Desk) -> None:
    with closing(desk.store()) as store:
        store.keys.add("long", Fragment(bytes(4000)))
        store.grants.add("long", device_id="drone-7")
    desk.release("--qr", desk.folder / "code.png", key="long").assert_failed(3, "do not fit into a QR code")
    assert SealedFragment.parse(desk.sealed.read_bytes().rstrip(b"\n")).binding.key_id == "long"
    assert not (desk.folder / "code.png").exists()
