"""Unlocking ``age`` archives: what a trusted key signed is loaded, and nothing else ever is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bed.dockerd import PrivateDockerd
from bed.images import build_release
from binary_split.engines import Abort, Engine, LoadSink, ignore_steps, open_engine
from binary_split.engines.oci_folder import OciFolder
from binary_split.errors import (
    ArchiveDamagedError,
    ArchiveError,
    ArchiveFormatError,
    BinarySplitError,
    ImageMismatchError,
    SignatureMissingError,
    SignatureUntrustedError,
)
from binary_split.model import Digest, Fragment, ImageRef, Progress
from binary_split.oci.compression import Compression
from binary_split.oci.publisher_key import PrivateKey
from binary_split.unlock.journal import Journal
from binary_split.unlock.opening import Trust
from binary_split.unlock.order import FragmentSource, UnlockOrder, UnlockResult
from binary_split.unlock.pipeline import unlock
from tests.archives import FRAGMENT, Fragments, NoFragments, encrypt, flip_bit, parse_pins
from tests.canary import assert_in_no_file, canary_of
from tests.commandline import CommandLine, Ran
from tests.engines.conftest import wait_for_none
from tests.forgeries import AT_OPENING, AT_READING, resigned
from tests.releases import (
    ANYONE,
    KEY,
    KEY_ID,
    NAMES,
    OTHER_KEY,
    TRUST,
    AgeRelease,
    make_age_release,
    pack,
    seal_plain,
    unpack,
)

pytestmark = pytest.mark.slow  # each test seals and unlocks a release

SAME_WORDS = "wrong fragment or damaged archive"
FULL = ["checking", "authenticating", "downloading_key", "decrypting", "loading_images", "verifying", "ready"]
CHUNK = 65536 + 16


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> AgeRelease:
    """A signed release whose archive has several chunks, some of its layers compressed."""
    return make_age_release(tmp_path_factory.mktemp("signed"), filler_kind="random", filler_bytes=300_000)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> AgeRelease:
    """A signed release that is small, to be forged; all its layers are compressed."""
    return make_age_release(tmp_path_factory.mktemp("small"))


class WatchedEngine(OciFolder):
    """A folder engine that counts how often a load reaches it."""

    loads = 0

    def load(
        self,
        chunks: Iterable[bytes | memoryview],
        *,
        report: LoadSink = ignore_steps,
        abort: Abort | None = None,
    ) -> None:
        self.loads += 1
        super().load(chunks, report=report, abort=abort)


@dataclass
class Device:
    """A device whose engine is a folder."""

    folder: Path
    engine: WatchedEngine
    progress: list[Progress] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path) -> Device:
        return cls(folder, WatchedEngine(folder))

    def unlock(
        self,
        archive: Path,
        *,
        trust: Trust = TRUST,
        source: FragmentSource | None = None,
        version: str | None = None,
    ) -> UnlockResult:
        self.progress.clear()
        order = UnlockOrder(archive, (), None, version, trust)
        journal = Journal(self.folder.with_name("state"), self.engine.describe())
        return unlock(order, self.engine, source or Fragments(), journal, report=self.progress.append)

    def refuses(self, archive: Path, kind: type[BinarySplitError], **more: object) -> BinarySplitError:
        """Unlock what must be refused; afterwards nothing is there that was not there before."""
        before = self.files()
        with pytest.raises(kind) as caught:
            self.unlock(archive, **more)  # type: ignore[arg-type] # as the test gives them
        assert self.steps()[-1] == "error"
        assert self.files() == before
        return caught.value

    def steps(self) -> list[str]:
        return list(dict.fromkeys(progress.step for progress in self.progress))

    def files(self) -> list[str]:
        return sorted(str(path) for path in self.folder.rglob("*") if path.is_file())

    def ids(self, images: Iterable[ImageRef]) -> dict[ImageRef, Digest]:
        found = {ref: self.engine.find_image(ref) for ref in images}
        return {ref: image.id for ref, image in found.items() if image}


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device.of(tmp_path / "engine")


class TestGoodInput:
    @pytest.mark.parametrize("compression", list(Compression))
    def test_every_image_is_there_and_proven(
        self, device: Device, tmp_path: Path, compression: Compression
    ) -> None:
        release = make_age_release(tmp_path, compression=compression)
        result = device.unlock(release.path)
        assert device.ids(release.images) == release.pins
        assert set(result.loaded) == set(release.images)
        assert {image.ref: image.config_digest for image in result.images} == release.pins

    def test_the_states_come_in_order_and_progress_grows_to_all(
        self, device: Device, release: AgeRelease
    ) -> None:
        result = device.unlock(release.path)
        assert device.steps() == FULL
        counted = [step for step in device.progress if step.step == "loading_images" and step.total]
        assert [step.done for step in counted] == sorted(step.done for step in counted)
        assert counted[-1].done == counted[-1].total == 2 * result.sent_bytes

    @pytest.mark.fault(47)
    def test_a_second_time_nothing_is_loaded(self, device: Device, release: AgeRelease) -> None:
        device.unlock(release.path)
        before = device.files()
        result = device.unlock(release.path)
        assert (result.loaded, result.sent_bytes, device.engine.loads) == ((), 0, 1)
        assert {image.ref: image.config_digest for image in result.images} == release.pins
        assert device.files() == before

    def test_only_the_lacking_image_is_sent(self, device: Device, release: AgeRelease) -> None:
        whole = device.unlock(release.path).sent_bytes
        index = device.folder / "index.json"
        document = json.loads(index.read_bytes())
        del document["manifests"][0]
        index.write_bytes(json.dumps(document).encode())
        result = device.unlock(release.path)
        assert len(result.loaded) == 1
        assert 0 < result.sent_bytes < whole
        assert device.ids(release.images) == release.pins

    def test_the_version_is_a_check_and_no_need(self, device: Device, release: AgeRelease) -> None:
        refused = device.refuses(release.path, ImageMismatchError, version="2.0.0")
        assert "version 1.0.0 of drone, not 2.0.0" in str(refused)
        device.unlock(release.path, version="1.0.0")
        assert device.ids(release.images) == release.pins


class TestTrust:
    def test_without_any_trusted_key_no_fragment_is_asked_for(
        self, device: Device, release: AgeRelease
    ) -> None:
        device.refuses(release.path, SignatureUntrustedError, trust=Trust(), source=NoFragments())
        assert device.steps() == ["checking", "error"]

    def test_unsigned_is_refused_unless_that_is_allowed(self, device: Device, tmp_path: Path) -> None:
        unsigned = make_age_release(tmp_path / "unsigned", key=None)
        device.refuses(unsigned.path, SignatureMissingError)
        assert device.engine.loads == 0
        device.unlock(unsigned.path, trust=ANYONE)
        assert device.ids(unsigned.images) == unsigned.pins

    def test_another_publishers_release_is_refused(self, device: Device, tmp_path: Path) -> None:
        foreign = make_age_release(tmp_path / "foreign", key=OTHER_KEY)
        device.refuses(foreign.path, SignatureUntrustedError)
        assert device.engine.loads == 0

    @pytest.mark.parametrize("key", [KEY, OTHER_KEY], ids=["old", "new"])
    def test_during_a_rotation_either_key_counts(
        self, device: Device, tmp_path: Path, key: PrivateKey
    ) -> None:
        release = make_age_release(tmp_path / "rotated", key=key)
        device.unlock(release.path, trust=Trust((KEY.public_key, OTHER_KEY.public_key)))
        assert device.ids(release.images) == release.pins


class TestForgeries:
    @pytest.mark.fault(18, 20, 23)
    @pytest.mark.parametrize("name", AT_OPENING)
    def test_never_reach_the_engine(
        self, device: Device, small: AgeRelease, tmp_path: Path, name: str
    ) -> None:
        path = tmp_path / "forged.age"
        path.write_bytes(seal_plain(AT_OPENING[name](unpack(small.plain), KEY)))
        device.refuses(path, ArchiveError)
        assert device.engine.loads == 0
        assert device.files() == []

    @pytest.mark.fault(19, 20)
    @pytest.mark.parametrize("name", AT_READING)
    def test_of_layers_leave_nothing_in_the_engine(
        self, device: Device, small: AgeRelease, tmp_path: Path, name: str
    ) -> None:
        path = tmp_path / "forged.age"
        forged = AT_READING[name](resigned(unpack(small.plain), None), None)
        path.write_bytes(seal_plain(forged))
        device.refuses(path, BinarySplitError, trust=ANYONE)
        assert device.files() == []
        device.unlock(small.path)
        assert device.ids(small.images) == small.pins

    def test_by_a_device_that_knows_the_fragment_are_refused(
        self, device: Device, small: AgeRelease, tmp_path: Path
    ) -> None:
        """The same plaintext sealed again is as good; one that is signed by nobody is not."""
        path = tmp_path / "again.age"
        path.write_bytes(seal_plain(pack(resigned(unpack(small.plain), None))))
        device.refuses(path, SignatureMissingError)
        path.write_bytes(seal_plain(small.plain))
        device.unlock(path)
        assert device.ids(small.images) == small.pins


class TestDamage:
    @pytest.mark.fault(7)
    def test_a_wrong_fragment_is_12_in_the_same_words_as_damage(
        self, device: Device, release: AgeRelease, tmp_path: Path
    ) -> None:
        wrong = device.refuses(release.path, ArchiveDamagedError, source=Fragments(b"another fragment!!"))
        path = tmp_path / "damaged.age"
        path.write_bytes(flip_bit(release.path.read_bytes(), 100_000))
        damaged = device.refuses(path, ArchiveDamagedError)
        assert str(wrong) == str(damaged) == SAME_WORDS
        assert wrong.exit_code == damaged.exit_code == 12

    @pytest.mark.fault(9, 10)
    def test_a_flipped_byte_of_the_header_or_any_chunk_loads_nothing(
        self, device: Device, release: AgeRelease, tmp_path: Path
    ) -> None:
        sealed = release.path.read_bytes()
        head = sealed.index(b"\n--- ") + 60
        path = tmp_path / "damaged.age"
        for position in (0, 30, 60, head - 50, head, head + 8, *range(head + 100, len(sealed), CHUNK)):
            path.write_bytes(flip_bit(sealed, position))
            device.refuses(path, BinarySplitError)
            assert device.files() == []
        path.write_bytes(flip_bit(sealed, len(sealed) - 1))
        device.refuses(path, ArchiveDamagedError)
        assert device.files() == []

    @pytest.mark.fault(11)
    def test_an_archive_that_is_cut_off_loads_nothing(
        self, device: Device, release: AgeRelease, tmp_path: Path
    ) -> None:
        sealed = release.path.read_bytes()
        payload = sealed.index(b"\n--- ") + len("\n--- ") + 43 + 1 + 16
        assert (len(sealed) - payload) // CHUNK >= 4
        path = tmp_path / "cut.age"
        ends = [payload + number * CHUNK + off for number in range(1, 5) for off in (-16, -1, 0, 1, 16)]
        for end in (0, 10, 100, payload, *ends, len(sealed) - 1):
            path.write_bytes(sealed[:end])
            device.refuses(path, BinarySplitError)
            assert device.engine.loads == 0

    @pytest.mark.fault(13)
    @pytest.mark.parametrize("more", [b"\0", b"x" * 16, bytes(100_000)], ids=len)
    def test_appended_bytes_load_nothing(
        self, device: Device, release: AgeRelease, tmp_path: Path, more: bytes
    ) -> None:
        path = tmp_path / "longer.age"
        path.write_bytes(release.path.read_bytes() + more)
        device.refuses(path, BinarySplitError)
        assert device.files() == []

    @pytest.mark.fault(13)
    def test_another_archive_appended_loads_nothing(
        self, device: Device, release: AgeRelease, tmp_path: Path
    ) -> None:
        path = tmp_path / "double.age"
        path.write_bytes(release.path.read_bytes() * 2)
        device.refuses(path, BinarySplitError)
        assert device.files() == []

    @pytest.mark.fault(25)
    def test_an_archive_that_shrinks_while_it_is_read_loads_nothing(
        self, device: Device, release: AgeRelease, tmp_path: Path
    ) -> None:
        path = tmp_path / "shrinking.age"
        path.write_bytes(release.path.read_bytes())

        class Cutting(Fragments):
            def fetch(self) -> Fragment:
                with path.open("r+b") as file:
                    file.truncate(100_000)
                return super().fetch()

        device.refuses(path, BinarySplitError, source=Cutting())
        assert device.files() == []


@dataclass(frozen=True)
class Shelf:
    """What a device has beside an archive: its fragment, and the vendor's public key."""

    cli: CommandLine
    folder: Path

    @classmethod
    def of(cls, cli: CommandLine, folder: Path) -> Shelf:
        (folder / "fragment").write_bytes(FRAGMENT)
        for name, key in (("vendor", KEY), ("other", OTHER_KEY)):
            (folder / f"{name}.key").write_bytes(key.serialise())
            (folder / f"{name}.pub").write_bytes(key.public_key.serialise())
        return cls(cli, folder)

    @property
    def engine(self) -> Path:
        return self.folder / "engine"

    def files(self) -> list[Path]:
        return [path for path in self.engine.rglob("*") if path.is_file()]

    def key(self, name: str) -> list[object]:
        return ["--trusted-key", self.folder / f"{name}.pub"]

    def unlock(self, archive: Path, *more: object) -> Ran:
        options = ["--engine", f"oci:{self.engine}", "--fragment-file", self.folder / "fragment"]
        return self.cli.run("unlock", archive, *options, *more)


@pytest.fixture
def shelf(cli: CommandLine, tmp_path: Path) -> Shelf:
    return Shelf.of(cli, tmp_path)


class TestTheProgram:
    def test_unlocks_what_a_trusted_key_signed(self, shelf: Shelf, release: AgeRelease) -> None:
        ran = shelf.unlock(release.path, *shelf.key("vendor"))
        assert (ran.status, ran.stdout) == (0, "")
        assert ran.stderr.startswith("ready: 2 of 2 images loaded (")
        again = shelf.unlock(release.path, *shelf.key("vendor"), "--json")
        assert again.document["loaded"] == []
        assert {row["ref"]: row["id"] for row in again.document["images"]} == {
            str(ref): str(digest) for ref, digest in release.pins.items()
        }

    def test_takes_the_trusted_keys_from_a_folder_too(self, shelf: Shelf, release: AgeRelease) -> None:
        folder = shelf.folder / "trusted-keys.d"
        folder.mkdir()
        (folder / "a.pem").write_bytes(OTHER_KEY.public_key.serialise())
        shelf.unlock(release.path, "--trusted-keys", folder).assert_failed(16)
        (folder / "b.pem").write_bytes(KEY.public_key.serialise())
        here = Shelf(shelf.cli.with_environment(BINARY_SPLIT_TRUSTED_KEYS_FOLDER=str(folder)), shelf.folder)
        assert here.unlock(release.path).status == 0

    def test_refuses_by_distinct_exit_codes(self, shelf: Shelf, release: AgeRelease) -> None:
        unsigned = make_age_release(shelf.folder / "unsigned", key=None).path
        (shelf.folder / "wrong").write_bytes(FRAGMENT + b"\n")
        wrong = ["--fragment-file", shelf.folder / "wrong"]
        appended = shelf.folder / "longer.age"
        appended.write_bytes(release.path.read_bytes() + b"\0")
        shelf.unlock(release.path).assert_failed(16, "no trusted key")
        shelf.unlock(release.path, *shelf.key("other")).assert_failed(16)
        shelf.unlock(unsigned, *shelf.key("vendor")).assert_failed(15, "--allow-unsigned")
        shelf.unlock(release.path, *shelf.key("vendor"), *wrong).assert_failed(12, SAME_WORDS)
        shelf.unlock(appended, *shelf.key("vendor")).assert_failed(12)
        shelf.unlock(release.path, *shelf.key("vendor"), "--version", "2.0.0").assert_failed(53, "2.0.0")
        assert shelf.files() == []

    def test_warns_of_what_is_allowed_unsigned(self, shelf: Shelf) -> None:
        unsigned = make_age_release(shelf.folder / "unsigned", key=None).path
        ran = shelf.unlock(unsigned, "--allow-unsigned")
        assert ran.status == 0
        assert "warning: --allow-unsigned" in ran.stderr

    def test_says_that_an_age_archive_names_its_images_itself(
        self, shelf: Shelf, release: AgeRelease
    ) -> None:
        shelf.unlock(release.path, *shelf.key("vendor"), "--image", "alpine").assert_failed(3, "--image")

    @pytest.mark.fault(8)
    def test_refuses_a_cbc_archive_in_the_place_of_an_age_one(
        self, shelf: Shelf, release: AgeRelease
    ) -> None:
        """The downgrade: the same name, sealed by one who knows the fragment, with nothing to prove it."""
        shelf.folder.joinpath("release.age").write_bytes(encrypt(release.tar.read_bytes()))
        names = [part for name in NAMES for part in ("--image", name)]
        options = [*shelf.key("vendor"), "--version", "1.0.0"]
        shelf.unlock(shelf.folder / "release.age", *options, *names).assert_failed(14)
        shelf.unlock(shelf.folder / "release.age", *options, *names, "--allow-unsigned").assert_failed(14)
        shelf.unlock(shelf.folder / "release.age", *shelf.key("vendor")).assert_failed(3, "--version")
        assert shelf.files() == []


class TestSignedCbc:
    """A ``cbc`` archive with a signed ``NAME.release.json`` beside it."""

    @pytest.fixture
    def archive(self, shelf: Shelf) -> Path:
        build_release(shelf.folder / "save.tar", "1.0.0", names=NAMES, filler_bytes=50_000)
        return self.seal(shelf, "x.cbc", "vendor")

    def seal(self, shelf: Shelf, name: str, signer: str) -> Path:
        images = [part for each in NAMES for part in ("--image", each)]
        origin = ["--from", f"docker-archive:{shelf.folder / 'save.tar'}", "--version", "1.0.0", *images]
        secrets = ["--fragment-file", shelf.folder / "fragment", "--sign", shelf.folder / f"{signer}.key"]
        ran = shelf.cli.run("seal", "--format", "cbc", *origin, *secrets, "-o", shelf.folder / name)
        assert ran.status == 0, ran
        return shelf.folder / name

    def beside(self, archive: Path) -> Path:
        return archive.with_name(f"{archive.name}.release.json")

    def test_unlocks_by_a_trusted_key_alone(self, shelf: Shelf, archive: Path) -> None:
        ran = shelf.unlock(archive, "--version", "1.0.0", *shelf.key("vendor"), "--json")
        assert ran.status == 0, ran
        assert len(ran.document["loaded"]) == 2

    @pytest.mark.fault(8)
    def test_is_never_pinned_by_an_unsigned_statement(self, shelf: Shelf, archive: Path) -> None:
        envelope = json.loads(self.beside(archive).read_bytes())
        envelope["signatures"] = []
        content = json.dumps(envelope, sort_keys=True, separators=(",", ":")).encode()
        self.beside(archive).write_bytes(content)
        options = ["--version", "1.0.0", *shelf.key("vendor")]
        shelf.unlock(archive, *options).assert_failed(15)
        shelf.unlock(archive, *options, "--allow-unsigned").assert_failed(15)
        shelf.unlock(archive, "--version", "1.0.0", "--allow-unsigned").assert_failed(14)
        assert shelf.files() == []

    def test_is_never_pinned_by_an_altered_or_foreign_statement(self, shelf: Shelf, archive: Path) -> None:
        honest = self.beside(archive).read_bytes()
        options = ["--version", "1.0.0", *shelf.key("vendor")]
        for position in range(20, len(honest), len(honest) // 7):
            self.beside(archive).write_bytes(flip_bit(honest, position))
            ran = shelf.unlock(archive, *options)
            assert ran.status in {13, 16}, ran
        foreign = self.seal(shelf, "y.cbc", "other")
        shelf.unlock(foreign, *options).assert_failed(16)
        assert shelf.files() == []

    def test_refuses_the_statement_of_another_version_or_archive(self, shelf: Shelf, archive: Path) -> None:
        options = ["--version", "2.0.0", *shelf.key("vendor")]
        shelf.unlock(archive, *options).assert_failed(53, "2.0.0")
        longer = shelf.folder / "z.cbc"
        longer.write_bytes(archive.read_bytes() + bytes(16))
        self.beside(longer).write_bytes(self.beside(archive).read_bytes())
        shelf.unlock(longer, "--version", "1.0.0", *shelf.key("vendor")).assert_failed(53, "z.cbc")
        assert shelf.files() == []

    def test_refuses_other_images_of_the_same_size(self, shelf: Shelf, archive: Path) -> None:
        size = archive.stat().st_size
        build_release(shelf.folder / "save.tar", "1.0.0", names=NAMES, filler_bytes=50_000, seed=5)
        archive.write_bytes(encrypt((shelf.folder / "save.tar").read_bytes()))
        assert archive.stat().st_size == size
        shelf.unlock(archive, "--version", "1.0.0", *shelf.key("vendor")).assert_failed(53)
        assert shelf.files() == []

    def test_without_a_trusted_key_the_file_beside_it_counts_for_nothing(
        self, shelf: Shelf, archive: Path
    ) -> None:
        shelf.unlock(archive, "--version", "1.0.0").assert_failed(14)

    @pytest.mark.fault(8)
    def test_its_statement_is_of_no_use_for_an_age_archive(self, archive: Path, shelf: Shelf) -> None:
        parts = [("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')]
        parts.append(("release.json", self.beside(archive).read_bytes()))
        (shelf.folder / "x.age").write_bytes(seal_plain(pack(parts)))
        shelf.unlock(shelf.folder / "x.age", *shelf.key("vendor")).assert_failed(ArchiveFormatError.exit_code)


class TestWithDocker:
    @pytest.fixture
    def engine(self, fresh_device: PrivateDockerd, monkeypatch: pytest.MonkeyPatch) -> Engine:
        monkeypatch.setenv("DOCKER_HOST", fresh_device.host)
        return open_engine("docker")

    def run(self, engine: Engine, archive: Path, trust: Trust = TRUST) -> UnlockResult:
        order = UnlockOrder(archive, (), None, None, trust)
        return unlock(order, engine, Fragments(), Journal(archive.parent / "state", engine.describe()))

    @pytest.mark.parametrize("compression", list(Compression))
    def test_loads_every_compression_and_a_second_time_nothing(
        self, engine: Engine, fresh_device: PrivateDockerd, tmp_path: Path, compression: Compression
    ) -> None:
        release = make_age_release(tmp_path, compression=compression)
        assert set(self.run(engine, release.path).loaded) == set(release.images)
        assert parse_pins(fresh_device.image_ids()) == release.pins
        assert self.run(engine, release.path).loaded == ()

    def test_an_image_that_was_unlocked_runs(
        self,
        engine: Engine,
        fresh_device: PrivateDockerd,
        release_tar: Path,
        cli: CommandLine,
        tmp_path: Path,
    ) -> None:
        shelf = Shelf.of(cli.with_environment(DOCKER_HOST=fresh_device.host), tmp_path)
        opener = ["--key-id", KEY_ID, "--fragment-file", tmp_path / "fragment"]
        origin = ["--version", "1.0.0", "--from", f"docker-archive:{release_tar}"]
        signed = ["--sign", tmp_path / "vendor.key", "-o", tmp_path / "x.age"]
        assert cli.run("seal", *origin, *opener, *signed).status == 0
        fragment = ["--fragment-file", tmp_path / "fragment"]
        ran = shelf.cli.run("unlock", tmp_path / "x.age", *fragment, *shelf.key("vendor"), "--json")
        assert len(ran.document["loaded"]) == 7
        said = fresh_device.docker("run", "--rm", "--network", "none", "azaion/flights:1.0.0").stdout
        assert said == "azaion/flights 1.0.0 is running\n"

    @pytest.mark.fault(10, 11, 13, 20, 48)
    def test_damage_forgery_and_foreign_signatures_leave_no_image(
        self, engine: Engine, fresh_device: PrivateDockerd, release: AgeRelease, tmp_path: Path
    ) -> None:
        sealed = release.path.read_bytes()
        parts = unpack(release.plain)
        path = tmp_path / "bad.age"
        refusals: list[tuple[bytes, Trust]] = [
            (flip_bit(sealed, len(sealed) // 2), TRUST),
            (sealed[:-CHUNK], TRUST),
            (sealed + b"\0", TRUST),
            (sealed, Trust((OTHER_KEY.public_key,))),
            *((seal_plain(forge(parts, KEY)), TRUST) for forge in AT_READING.values()),
        ]
        for content, trust in refusals:
            path.write_bytes(content)
            with pytest.raises(BinarySplitError):
                self.run(engine, path, trust)
            assert fresh_device.ask("GET", "/images/json?all=1") == []
        assert wait_for_none(lambda: [str(left) for left in fresh_device.leftovers()]) == []
        assert_in_no_file(map(canary_of, release.images), tmp_path / "state", fresh_device.data_root)
        self.run(engine, release.path)
        assert parse_pins(fresh_device.image_ids()) == release.pins


_MEASURED = """
import sys
from binary_split.cli.main import main
try:
    main()
finally:
    with open("/proc/self/status") as status:
        sys.stderr.write("peak " + status.read().partition("VmHWM:")[2].split()[0] + "\\n")
"""
MIB = 1 << 20
GIB = 1 << 30


@pytest.fixture
def roomy(cli: CommandLine, tmp_path: Path) -> Iterator[Shelf]:
    """A shelf that is cleared afterwards: pytest would keep the gigabytes of its last three runs."""
    folder = tmp_path / "roomy"
    folder.mkdir()
    yield Shelf.of(cli, folder)
    shutil.rmtree(folder)


def seal_large(shelf: Shelf, size: int) -> Path:
    """Seal an image of that size into an archive that is larger still, in flat memory."""
    tar, archive = shelf.folder / "save.tar", shelf.folder / "x.age"
    build_release(tar, "1.0.0", names=NAMES[:1], filler_bytes=size, filler_kind="zeros")
    origin = ["--version", "1.0.0", "--image", NAMES[0], "--from", f"docker-archive:{tar}"]
    secrets = ["--fragment-file", shelf.folder / "fragment", "--sign", shelf.folder / "vendor.key"]
    options = ["--key-id", KEY_ID, *secrets, "--compress", "none", "-o", archive]
    assert peak(shelf.cli, "seal", *origin, *options) < 96 * MIB
    assert archive.stat().st_size > size
    tar.unlink()
    return archive


@pytest.mark.fault(17)
@pytest.mark.slow
def test_an_archive_of_more_than_2_gib_is_sealed_and_unlocked_in_flat_memory(roomy: Shelf) -> None:
    archive = seal_large(roomy, 2 * GIB + 1)
    options = ["--fragment-file", roomy.folder / "fragment", *roomy.key("vendor")]
    assert peak(roomy.cli, "unlock", archive, *options, "--engine", f"oci:{roomy.engine}") < 96 * MIB
    assert sum(path.stat().st_size for path in roomy.files()) > 2 * GIB


@pytest.mark.fault(17)
@pytest.mark.slow
def test_an_archive_of_more_than_4_gib_is_sealed_and_verified_in_flat_memory(roomy: Shelf) -> None:
    archive = seal_large(roomy, 4 * GIB + 1)
    options = ["--fragment-file", roomy.folder / "fragment", *roomy.key("vendor")]
    assert peak(roomy.cli, "verify", archive, *options) < 96 * MIB


def peak(cli: CommandLine, *arguments: object) -> int:
    """Run the program and return the most memory that it ever had, in bytes."""
    command = [sys.executable, "-c", _MEASURED, *map(str, arguments)]
    ran = subprocess.run(
        command, env=cli.whole_environment(), cwd=cli.home, capture_output=True, check=False, timeout=300
    )
    assert ran.returncode == 0, ran
    return int(ran.stderr.decode().rpartition("peak ")[2]) * 1024
