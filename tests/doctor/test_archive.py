"""Archives that are sound, damaged, unsigned or somebody else's; and the keys that tell."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from bed.dockerd import PrivateDockerd
from binary_split.archive.age import X25519Identity, seal_age
from binary_split.doctor import Verdict
from binary_split.engines import open_engine
from binary_split.model import ImageRef
from binary_split.sealedfragment import Kem
from binary_split.unlock.device_key import make_device_key
from binary_split.unlock.journal import Journal
from binary_split.unlock.order import UnlockOrder
from binary_split.unlock.pipeline import unlock
from tests.archives import Fragments
from tests.commandline import CommandLine
from tests.doctor.conftest import check
from tests.releases import KEY_ID, OTHER_KEY, TRUST, AgeRelease, make_age_release

NAMES = ("azaion/flights", "azaion/autopilot")


@pytest.fixture
def other_publisher(tmp_path: Path) -> Path:
    path = tmp_path / "other.pub"
    path.write_bytes(OTHER_KEY.public_key.serialise())
    return path


@pytest.fixture(scope="module")
def folder(release: AgeRelease, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed `cbc` archive and the key that signed it."""
    folder = tmp_path_factory.mktemp("cbc")
    cli = CommandLine(folder)
    assert cli.run("keygen", "-o", folder / "publisher").status == 0
    (folder / "fragment").write_bytes(bytes(range(32)))
    images = [part for name in NAMES for part in ("--image", name)]
    origin = ("--from", f"docker-archive:{release.tar}", "--fragment-file", folder / "fragment")
    sign = ("--sign", folder / "publisher", "-o", folder / "x.cbc")
    ran = cli.run("seal", "--format", "cbc", "--version", "1.0.0", *images, *origin, *sign)
    assert ran.status == 0, ran
    return folder


class TestArchive:
    def test_an_age_archive_says_which_fragment_opens_it(self, release: AgeRelease) -> None:
        found = check("archive", release.path)
        assert found.verdict is Verdict.OK
        assert found.detail.startswith("age, ")
        assert found.detail.endswith(f"opened by the fragment {KEY_ID}")

    @pytest.mark.parametrize("name", ["archive", "signature", "disk", "token"])
    def test_without_an_archive_only_the_machine_is_looked_at(self, name: str, tmp_path: Path) -> None:
        found = check(name, engine=f"oci:{tmp_path}")
        assert found.verdict is not Verdict.FAILED

    def test_one_that_is_missing_fails(self, tmp_path: Path) -> None:
        found = check("archive", tmp_path / "no.age")
        assert found.verdict is Verdict.FAILED
        assert "No such file" in found.detail
        assert "medium" in found.cure
        assert check("signature", tmp_path / "no.age").verdict is Verdict.SKIPPED

    def test_a_folder_is_none(self, tmp_path: Path) -> None:
        assert check("archive", tmp_path).verdict is Verdict.FAILED

    @pytest.mark.parametrize(
        "damage",
        [lambda raw: raw[:80], lambda raw: raw.replace(b"-> binary", b"~> binary", 1), lambda _raw: b""],
        ids=["cut off", "header", "empty"],
    )
    def test_a_damaged_header_fails(self, release: AgeRelease, tmp_path: Path, damage: Any) -> None:
        path = tmp_path / "damaged.age"
        path.write_bytes(damage(release.path.read_bytes()))
        found = check("archive", path)
        assert found.verdict is Verdict.FAILED
        assert found.cure

    def test_one_that_no_fragment_opens_is_a_warning(self, tmp_path: Path) -> None:
        sink = io.BytesIO()
        seal_age(sink, [X25519Identity(bytes(range(32))).recipient]).finish()
        (tmp_path / "x.age").write_bytes(sink.getvalue())
        found = check("archive", tmp_path / "x.age")
        assert found.verdict is Verdict.WARNING
        assert "opened by no fragment, but by X25519" in found.detail


class TestSignature:
    def test_that_of_an_age_archive_is_not_known_without_a_release(
        self, release: AgeRelease, publisher: Path
    ) -> None:
        found = check("signature", release.path, trusted_keys=(publisher,))
        assert found.verdict is Verdict.SKIPPED
        assert "--release" in found.detail

    def test_without_a_trusted_key_an_age_archive_fails(self, release: AgeRelease) -> None:
        for name in ("signature", "trusted-keys"):
            found = check(name, release.path)
            assert found.verdict is Verdict.FAILED
            assert "--trusted-key" in found.cure

    @pytest.mark.slow
    def test_with_a_release_it_is_looked_at(
        self, release: AgeRelease, releasing: dict[str, Any], other_publisher: Path, tmp_path: Path
    ) -> None:
        found = check("signature", release.path, **releasing)
        assert found.verdict is Verdict.OK
        assert found.detail == "drone 1.0.0, sequence 7, of 2026-01-02: signed by a trusted key"
        found = check("signature", release.path, **releasing | {"trusted_keys": (other_publisher,)})
        assert found.verdict is Verdict.FAILED
        assert "no trusted key signed" in found.detail
        assert "do not use this archive" in found.cure
        unsigned = make_age_release(tmp_path / "unsigned", key=None)
        found = check("signature", unsigned.path, **releasing)
        assert found.verdict is Verdict.FAILED
        assert "nobody signed" in found.detail
        raw = bytearray(release.path.read_bytes())
        raw[-5] ^= 1
        (tmp_path / "flipped.age").write_bytes(raw)
        found = check("signature", tmp_path / "flipped.age", **releasing)
        assert found.verdict is Verdict.FAILED
        assert "damaged archive" in found.detail

    @pytest.mark.slow
    def test_a_release_that_would_be_refused_is_found(
        self, release: AgeRelease, releasing: dict[str, Any], tmp_path: Path
    ) -> None:
        found = check("signature", release.path, **releasing, version="1.0.1")
        assert found.verdict is Verdict.FAILED
        assert "version 1.0.0 of drone, not 1.0.1" in found.detail
        newer = make_age_release(tmp_path / "newer", "2.0.0", sequence=8)
        engine = open_engine(f"oci:{tmp_path / 'engine'}")
        journal = Journal(tmp_path / "state", engine.describe())
        unlock(UnlockOrder(newer.path, (), None, trust=TRUST), engine, Fragments(), journal)
        here: dict[str, Any] = {"engine": f"oci:{tmp_path / 'engine'}", "state": tmp_path / "state"}
        found = check("signature", release.path, **releasing, **here)
        assert found.verdict is Verdict.FAILED
        assert "older than 2.0.0" in found.detail
        assert "--allow-downgrade" in found.cure

    @pytest.mark.fault(22)
    @pytest.mark.slow
    def test_a_release_for_another_machine_is_found(
        self,
        releasing: dict[str, Any],
        device_engine: PrivateDockerd,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("bed.release.platform.machine", lambda: "s390x")
        foreign = make_age_release(tmp_path / "foreign")
        monkeypatch.setenv("DOCKER_HOST", device_engine.host)
        found = check("signature", foreign.path, **releasing, engine="docker")
        assert found.verdict is Verdict.FAILED
        assert "is for linux/s390x" in found.detail
        assert "--any-platform" in found.cure

    @pytest.mark.slow
    def test_without_a_token_it_is_not_told_twice(
        self, release: AgeRelease, releasing: dict[str, Any]
    ) -> None:
        found = check("signature", release.path, **releasing | {"token_file": None})
        assert found.verdict is Verdict.SKIPPED
        assert "no fragment to open" in found.detail


@pytest.mark.slow
class TestCbc:
    def test_a_statement_beside_it_is_verified(self, folder: Path) -> None:
        found = check("signature", folder / "x.cbc", trusted_keys=(folder / "publisher.pub",))
        assert found.verdict is Verdict.OK, found
        assert "1.0.0, sequence" in found.detail
        assert "proven when it is unlocked" in found.detail
        assert check("archive", folder / "x.cbc").detail.startswith("cbc, ")

    def test_its_need_is_bounded_by_the_statement(self, folder: Path, tmp_path: Path) -> None:
        found = check(
            "disk", folder / "x.cbc", trusted_keys=(folder / "publisher.pub",), engine=f"oci:{tmp_path}"
        )
        assert found.verdict is Verdict.OK
        assert "at most" in found.detail

    def test_another_publisher_s_statement_fails(self, folder: Path, other_publisher: Path) -> None:
        found = check("signature", folder / "x.cbc", trusted_keys=(other_publisher,))
        assert found.verdict is Verdict.FAILED
        assert "no trusted key signed" in found.detail

    def test_another_version_fails(self, folder: Path) -> None:
        trust: dict[str, Any] = {"trusted_keys": (folder / "publisher.pub",), "version": "9.9.9"}
        found = check("signature", folder / "x.cbc", **trust)
        assert found.verdict is Verdict.FAILED
        assert "--version" in found.cure

    def test_without_a_key_to_check_by_it_fails(self, folder: Path) -> None:
        found = check("signature", folder / "x.cbc")
        assert found.verdict is Verdict.FAILED
        assert "no trusted key" in found.detail

    def test_with_nothing_beside_it_is_a_warning(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "bare.cbc").write_bytes((folder / "x.cbc").read_bytes())
        found = check("signature", tmp_path / "bare.cbc", trusted_keys=(folder / "publisher.pub",))
        assert found.verdict is Verdict.WARNING
        assert "--image-id" in found.cure

    def test_pins_of_the_configuration_count(self, folder: Path, release: AgeRelease) -> None:
        pins = {ImageRef.parse(str(ref)): digest for ref, digest in release.pins.items()}
        found = check("signature", folder / "x.cbc", image_ids=pins, version="1.0.0")
        assert found.verdict is Verdict.OK
        assert "pins 2 images" in found.detail


class TestTrustedKeys:
    def test_each_is_named_by_its_id(self, publisher: Path, other_publisher: Path) -> None:
        found = check("trusted-keys", trusted_keys=(publisher, other_publisher))
        assert found.verdict is Verdict.OK
        assert OTHER_KEY.public_key.key_id[:16] in found.detail
        assert found.detail.startswith("2 keys: ")

    def test_one_that_cannot_be_read_fails(self, tmp_path: Path, release: AgeRelease) -> None:
        (tmp_path / "bad.pub").write_text("no key")
        found = check("trusted-keys", trusted_keys_folder=tmp_path)
        assert found.verdict is Verdict.FAILED
        assert "bad.pub" in found.detail
        assert (
            check("signature", tmp_path / "bad.pub", trusted_keys_folder=tmp_path).verdict is Verdict.SKIPPED
        )

    def test_one_that_anybody_may_write_is_a_warning(self, other_publisher: Path) -> None:
        other_publisher.chmod(0o666)
        found = check("trusted-keys", trusted_keys=(other_publisher,))
        assert found.verdict is Verdict.WARNING
        assert f"chmod o-w {other_publisher}" in found.cure

    def test_what_else_lies_in_the_folder_is_no_key(self, publisher: Path, tmp_path: Path) -> None:
        (tmp_path / "vendor.pub").write_bytes(publisher.read_bytes())
        (tmp_path / "README").touch()
        (tmp_path / "README").chmod(0o666)
        (tmp_path / "link").symlink_to(tmp_path / "gone")
        found = check("trusted-keys", trusted_keys_folder=tmp_path)
        assert found.verdict is Verdict.OK, found


class TestDeviceKey:
    @pytest.mark.parametrize("hybrid", [False, True], ids=["x25519", "hybrid"])
    def test_one_that_works_shows_its_public_half(self, tmp_path: Path, *, hybrid: bool) -> None:
        make_device_key(tmp_path / "device.key", hybrid=hybrid)
        found = check("device-key", device_key_file=tmp_path / "device.key")
        assert found.verdict is Verdict.OK
        assert found.detail.startswith(str(Kem.HYBRID if hybrid else Kem.X25519))
        assert (tmp_path / "device.key").read_text().rpartition(":")[2].strip() not in found.detail

    def test_one_that_others_can_read_fails(self, tmp_path: Path) -> None:
        make_device_key(tmp_path / "device.key", hybrid=False)
        (tmp_path / "device.key").chmod(0o640)
        found = check("device-key", device_key_file=tmp_path / "device.key")
        assert found.verdict is Verdict.FAILED
        assert "open to others (mode 0640)" in found.detail
        assert "chmod 600" in found.cure

    def test_a_file_that_holds_none_fails(self, tmp_path: Path) -> None:
        path = tmp_path / "device.key"
        path.touch(mode=0o600)
        path.write_text("bsd1:secret")
        found = check("device-key", device_key_file=path)
        assert found.verdict is Verdict.FAILED
        assert "secret" not in found.detail
        assert "device init" in found.cure

    def test_none_is_not_needed(self) -> None:
        assert check("device-key").verdict is Verdict.SKIPPED
