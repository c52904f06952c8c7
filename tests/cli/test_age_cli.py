"""The commands that make, show, prove and open ``age`` archives, as a person and a script see them."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bed.dockerd import PrivateDockerd
from bed.images import build_release
from bed.layers import Filler
from binary_split.archive.age import generate_identity_text, parse_identity, serialise_recipient
from binary_split.archive.age.x25519 import X25519Identity
from binary_split.model import ImageRef
from binary_split.sealing import export_docker_archive, seal_age
from tests.archives import FRAGMENT, encrypt, flip_bit, parse_pins
from tests.commandline import CommandLine, Ran
from tests.releases import (
    KEY,
    KEY_ID,
    NAMES,
    OTHER_KEY,
    layer_names,
    make_order,
    open_archive,
    read_statement,
    unpack,
)

pytestmark = pytest.mark.slow  # each test runs the program

OTHER_FRAGMENT = b"another fragment of the tests"
PASSPHRASE = "correct horse battery staple"


@dataclass(frozen=True)
class Vendor:
    """A vendor's folder: a saved release, fragments, keys, a recovery identity, and where results go."""

    cli: CommandLine
    folder: Path
    ids: dict[str, str]

    @classmethod
    def of(cls, cli: CommandLine, folder: Path, *, compressible: bool = False) -> Vendor:
        kind: Filler = "zeros" if compressible else "random"
        ids = build_release(folder / "save.tar", "1.0.0", names=NAMES, filler_bytes=200_000, filler_kind=kind)
        files = {
            "fragment": FRAGMENT,
            "fragment-2": OTHER_FRAGMENT,
            "wrong": FRAGMENT + b"\n",
            "vendor.key": KEY.serialise(),
            "locked.key": KEY.serialise(PASSPHRASE.encode()),
            "vendor.pub": KEY.public_key.serialise(),
            "other.pub": OTHER_KEY.public_key.serialise(),
            "passphrase": f"{PASSPHRASE}\n".encode(),
        }
        for name, content in files.items():
            (folder / name).write_bytes(content)
        (folder / "out").mkdir()
        return cls(cli, folder, ids)

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    @property
    def archive(self) -> Path:
        return self / "out/x.age"

    @property
    def left(self) -> list[str]:
        return sorted(path.name for path in (self / "out").iterdir())

    @property
    def opener(self) -> list[object]:
        return ["--fragment-file", self / "fragment"]

    @property
    def trusted(self) -> list[object]:
        return [*self.opener, "--trusted-key", self / "vendor.pub"]

    def release(self, *more: object, output: object = None) -> list[object]:
        images = [part for name in NAMES for part in ("--image", name)]
        origin = ["--version", "1.0.0", *images, "--from", f"docker-archive:{self / 'save.tar'}"]
        return ["seal", *origin, "-o", output or self.archive, *more]

    def seal(self, *more: object, output: object = None, stdin: bytes = b"") -> Ran:
        who = ["--key-id", KEY_ID, *self.opener, "--product", "drone", "--sequence", "7"]
        return self.cli.run(*self.release(*who, *more, output=output), stdin=stdin)

    def sealed(self, *more: object) -> Path:
        """Seal and sign; without options of its own at once, in this process."""
        if more:
            ran = self.seal("--sign", self / "vendor.key", *more)
            assert ran.status == 0, ran
            return self.archive
        export, _size = export_docker_archive(self / "save.tar")
        with self.archive.open("wb") as sink:
            seal_age(make_order(map(ImageRef.parse, self.ids)), export, sink, spool_folder=self.folder)
        return self.archive

    def run(self, command: str, *more: object) -> Ran:
        return self.cli.run(command, self.archive, *more)


@pytest.fixture
def vendor(cli: CommandLine, tmp_path: Path) -> Vendor:
    return Vendor.of(cli, tmp_path)


class TestSeal:
    def test_prints_the_ids_on_stdout_and_says_the_rest_on_stderr(self, vendor: Vendor) -> None:
        ran = vendor.seal("--sign", vendor / "vendor.key")
        assert ran.status == 0
        assert ran.stdout.splitlines() == [f"--image-id {ref}={found}" for ref, found in vendor.ids.items()]
        expected = rf"sealed 2 images, .* KiB, into {vendor.archive}, signed by {KEY.key_id[:16]}…\n"
        assert re.fullmatch(expected, ran.stderr), ran.stderr
        assert vendor.left == ["x.age"]

    def test_warns_where_nobody_signs(self, vendor: Vendor) -> None:
        ran = vendor.seal()
        assert ran.status == 0
        assert ", not signed\n" in ran.stderr
        assert "warning: devices refuse a release that is not signed" in ran.stderr

    def test_json_has_a_fixed_form(self, vendor: Vendor) -> None:
        document = vendor.seal("--sign", vendor / "vendor.key", "--json").document
        plain = open_archive(vendor.archive.read_bytes())
        images = document.pop("images")
        assert document == {
            "archive": str(vendor.archive),
            "format": "age",
            "product": "drone",
            "version": "1.0.0",
            "sequence": 7,
            "signed_by": KEY.key_id,
            "plain_bytes": len(plain),
            "archive_bytes": vendor.archive.stat().st_size,
        }
        assert {row["ref"]: row["id"] for row in images} == vendor.ids
        assert all(row.keys() == {"ref", "id", "platform"} for row in images)
        assert vendor.seal("--json").document["signed_by"] is None

    def test_states_product_sequence_and_time(self, vendor: Vendor) -> None:
        assert vendor.seal().status == 0
        predicate = read_statement(unpack(open_archive(vendor.archive.read_bytes())))["predicate"]
        assert (predicate["product"], predicate["version"], predicate["sequence"]) == ("drone", "1.0.0", 7)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", predicate["created"])

    def test_to_stdout_gives_the_archive_and_nothing_else(self, vendor: Vendor) -> None:
        command = vendor.cli.command(*vendor.release("--key-id", KEY_ID, *vendor.opener, output="-"))
        done = subprocess.run(
            command, env=vendor.cli.whole_environment(), cwd=vendor.cli.home, capture_output=True, check=True
        )
        rows = read_statement(unpack(open_archive(done.stdout)))["predicate"]["images"]
        assert {row["reference"]: row["config"] for row in rows} == vendor.ids
        assert all(f"--image-id {ref}=" in done.stderr.decode() for ref in vendor.ids)
        assert vendor.left == []
        assert [path.name for path in vendor.cli.home.iterdir()] == ["tmp"]

    def test_archive_and_json_do_not_share_stdout(self, vendor: Vendor) -> None:
        vendor.seal("--json", output="-").assert_failed(3, "stdout")

    def test_takes_the_fragment_or_the_passphrase_from_stdin(self, vendor: Vendor) -> None:
        ran = vendor.cli.run(*vendor.release("--key-id", KEY_ID, "--fragment-file", "-"), stdin=FRAGMENT)
        assert ran.status == 0
        assert open_archive(vendor.archive.read_bytes())
        locked = ["--sign", vendor / "locked.key", "--passphrase-file", "-"]
        assert vendor.seal(*locked, stdin=PASSPHRASE.encode()).status == 0

    def test_signs_with_a_key_that_a_passphrase_protects(self, vendor: Vendor) -> None:
        locked = ["--sign", vendor / "locked.key"]
        assert vendor.seal(*locked, "--passphrase-file", vendor / "passphrase").status == 0
        assert vendor.run("verify", *vendor.trusted).status == 0
        vendor.archive.unlink()
        vendor.seal(*locked).assert_failed(4, "passphrase")
        vendor.seal(*locked, "--passphrase-file", vendor / "fragment").assert_failed(4, "passphrase")
        vendor.seal("--sign", vendor / "vendor.pub").assert_failed(4)
        assert vendor.left == []

    @pytest.mark.parametrize(
        ("key_ids", "fragments", "words"),
        [
            (["a"], [], "1 --key-id for 0 --fragment-file"),
            ([], ["fragment"], "0 --key-id for 1 --fragment-file"),
            (["a", "b"], ["fragment"], "2 --key-id for 1 --fragment-file"),
            ([], [], "nobody could open the archive"),
            (["Not a name"], ["fragment"], "not a key-id"),
        ],
    )
    def test_what_does_not_match_is_3(
        self, vendor: Vendor, key_ids: list[str], fragments: list[str], words: str
    ) -> None:
        options: list[object] = [part for key_id in key_ids for part in ("--key-id", key_id)]
        options += [part for name in fragments for part in ("--fragment-file", vendor / name)]
        vendor.cli.run(*vendor.release(*options)).assert_failed(3, words)
        assert vendor.left == []

    def test_refuses_a_short_fragment_and_a_recipient_that_is_none(self, vendor: Vendor) -> None:
        (vendor / "fragment").write_bytes(b"15 bytes, short")
        vendor.seal().assert_failed(3, "15 bytes")
        vendor.cli.run(*vendor.release("--recipient", "age1nobody")).assert_failed(3, "recipient")
        assert vendor.left == []

    def test_key_ids_and_recipients_are_not_for_cbc(self, vendor: Vendor) -> None:
        vendor.seal("--format", "cbc").assert_failed(3, "cbc")
        assert vendor.left == []


@dataclass(frozen=True)
class Recovery:
    """A vendor's recovery identity, of age's own kind."""

    file: Path
    recipient: str

    @classmethod
    def of(cls, folder: Path) -> Recovery:
        text = generate_identity_text()
        identity = parse_identity(text)
        assert isinstance(identity, X25519Identity)
        (folder / "recovery").write_text(f"# recovery\n{text}\n")
        return cls(folder / "recovery", serialise_recipient(identity.recipient))


@pytest.fixture
def recovery(tmp_path: Path) -> Recovery:
    return Recovery.of(tmp_path)


class TestSeveralOpeners:
    def test_each_fragment_and_the_recovery_key_open_it(self, vendor: Vendor, recovery: Recovery) -> None:
        second = ["--key-id", "release-2", "--fragment-file", vendor / "fragment-2"]
        vendor.sealed(*second, "--recipient", recovery.recipient)
        plain = open_archive(vendor.archive.read_bytes())
        openers = [vendor.opener, ["--fragment-file", vendor / "fragment-2"], ["--identity", recovery.file]]
        for opener in openers:
            assert vendor.run("decrypt", *opener, "-o", vendor / "plain.tar").status == 0
            assert (vendor / "plain.tar").read_bytes() == plain
        both = ["--fragment-file", vendor / "wrong", "--fragment-file", vendor / "fragment-2"]
        assert vendor.run("decrypt", *both, "-o", vendor / "plain.tar").status == 0
        shown = vendor.run("inspect", "--json").document
        assert shown["stanzas"] == ["binary-split", "binary-split", "X25519"]
        assert shown["key_ids"] == [KEY_ID, "release-2"]

    def test_a_recipient_alone_is_enough(self, vendor: Vendor, recovery: Recovery) -> None:
        assert vendor.cli.run(*vendor.release("--recipient", recovery.recipient)).status == 0
        assert vendor.run("decrypt", "--identity", recovery.file, "-o", vendor / "x.tar").status == 0
        vendor.run("decrypt", *vendor.opener, "-o", vendor / "y.tar").assert_failed(12)
        assert not (vendor / "y.tar").exists()


class TestInspect:
    def test_without_a_secret_shows_the_header(self, vendor: Vendor) -> None:
        vendor.sealed()
        ran = vendor.run("inspect")
        assert (ran.status, ran.stderr) == (0, "")
        size = vendor.archive.stat().st_size
        rows = [line.split(maxsplit=1) for line in ran.stdout.splitlines()]
        assert dict(rows) | {"size": ""} == {
            "format": "age",
            "size": "",
            "authenticated": "by its format",
            "opened": "by      binary-split",
            "key-ids": KEY_ID,
        }
        assert f"({size} bytes)" in ran.stdout
        assert vendor.run("inspect", "--json").document == {
            "archive": str(vendor.archive),
            "format": "age",
            "size_bytes": size,
            "authenticated": True,
            "stanzas": ["binary-split"],
            "key_ids": [KEY_ID],
        }

    def test_with_the_fragment_shows_the_release(self, vendor: Vendor) -> None:
        vendor.sealed()
        text = vendor.run("inspect", *vendor.opener).stdout
        assert "release        drone 1.0.0, sequence 7\n" in text
        assert "signature      not verified\n" in text
        assert all(ref in text and found in text for ref, found in vendor.ids.items())
        assert "signature      by a trusted key\n" in vendor.run("inspect", *vendor.trusted).stdout

    def test_json_has_a_fixed_form(self, vendor: Vendor) -> None:
        vendor.sealed()
        short = vendor.run("inspect", "--json").document
        full = vendor.run("inspect", *vendor.opener, "--json").document
        assert full.keys() - short.keys() == {
            *("signature_verified", "product", "version", "sequence", "created"),
            *("layers", "layer_bytes", "shared_bytes", "images"),
        }
        assert {key: full[key] for key in short} == short
        assert full["signature_verified"] is False
        assert (full["product"], full["version"], full["sequence"]) == ("drone", "1.0.0", 7)
        assert {ref: row["id"] for row in full["images"] for ref in row["refs"]} == vendor.ids
        counted = sum(row["layer_bytes"] for row in full["images"])
        assert full["layer_bytes"] + full["shared_bytes"] == counted
        assert vendor.run("inspect", *vendor.trusted, "--json").document["signature_verified"] is True

    def test_refuses_a_wrong_fragment_and_a_signature_that_does_not_hold(self, vendor: Vendor) -> None:
        vendor.sealed()
        vendor.run("inspect", "--fragment-file", vendor / "wrong").assert_failed(12, KEY_ID)
        vendor.run("inspect", *vendor.opener, "--trusted-key", vendor / "other.pub").assert_failed(16)


class TestVerify:
    def test_says_what_was_proven(self, vendor: Vendor) -> None:
        vendor.sealed()
        ran = vendor.run("verify", *vendor.trusted)
        assert (ran.status, ran.stdout) == (0, "")
        words = r"drone 1\.0\.0: signed by a trusted key; 2 images, 9 blobs, .*, all as stated\n"
        assert re.fullmatch(words, ran.stderr), ran.stderr

    def test_json_has_a_fixed_form(self, vendor: Vendor) -> None:
        vendor.sealed()
        assert vendor.run("verify", *vendor.trusted, "--json").document == {
            "archive": str(vendor.archive),
            "verified": True,
            "signature_checked": True,
            "product": "drone",
            "version": "1.0.0",
            "sequence": 7,
            "images": list(vendor.ids),
        }
        unsigned = vendor.run("verify", *vendor.opener, "--allow-unsigned", "--json")
        assert unsigned.document["signature_checked"] is False
        assert "warning: --allow-unsigned" in unsigned.stderr

    def test_says_by_its_exit_code_which_proof_failed(self, vendor: Vendor) -> None:
        vendor.sealed()
        vendor.run("verify", *vendor.opener).assert_failed(16, "no trusted key")
        vendor.run("verify", *vendor.opener, "--trusted-key", vendor / "other.pub").assert_failed(16)
        vendor.run("verify", "--trusted-key", vendor / "vendor.pub").assert_failed(3, "--fragment-file")
        wrong = ["--fragment-file", vendor / "wrong", "--trusted-key", vendor / "vendor.pub"]
        vendor.run("verify", *wrong).assert_failed(12)
        sealed = vendor.archive.read_bytes()
        for damaged in (flip_bit(sealed, len(sealed) // 2), sealed[:-1], sealed + b"\0"):
            vendor.archive.write_bytes(damaged)
            vendor.run("verify", *vendor.trusted).assert_failed(12)
        vendor.seal()
        vendor.run("verify", *vendor.trusted).assert_failed(15)
        vendor.archive.write_bytes(encrypt((vendor / "save.tar").read_bytes()))
        vendor.run("verify", *vendor.trusted).assert_failed(14, "cbc")

    def test_reports_progress_to_its_end(self, vendor: Vendor) -> None:
        vendor.sealed()
        events = vendor.run("verify", *vendor.trusted, "--progress", "json").events
        assert {event["step"] for event in events} == {"verifying"}
        assert events[-1]["done_bytes"] == events[-1]["total_bytes"] > 200_000


class TestDecrypt:
    def test_writes_the_release_tar(self, vendor: Vendor) -> None:
        vendor.sealed()
        ran = vendor.run("decrypt", *vendor.opener, "-o", vendor / "out/plain.tar")
        assert (ran.status, ran.stdout) == (0, "")
        assert re.fullmatch(r"decrypted .* KiB to .*/plain\.tar\n", ran.stderr), ran.stderr
        assert (vendor / "out/plain.tar").read_bytes() == open_archive(vendor.archive.read_bytes())

    def test_works_in_a_pipe_however_slowly_it_comes(self, vendor: Vendor) -> None:
        sealed = vendor.sealed().read_bytes()
        command = ("decrypt", "-", *vendor.opener, "-o", vendor / "plain.tar")
        with vendor.cli.start(*command, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            for start, end in ((0, 1), (1, 30), (30, len(sealed))):
                wait_until_it_reads(process.pid)
                process.stdin.write(sealed[start:end])
                process.stdin.flush()
            process.stdin.close()
            assert process.wait(30) == 0
        assert (vendor / "plain.tar").read_bytes() == open_archive(sealed)

    @pytest.mark.parametrize("from_stdin", [False, True], ids=["file", "stdin"])
    def test_damage_leaves_nothing(self, vendor: Vendor, from_stdin: bool) -> None:
        sealed = vendor.sealed().read_bytes()
        for damaged in (flip_bit(sealed, 150_000), sealed[:-1], sealed[:100_000], sealed + b"\0"):
            vendor.archive.write_bytes(damaged)
            source = "-" if from_stdin else vendor.archive
            command = ("decrypt", source, *vendor.opener, "-o", vendor / "out/plain.tar")
            vendor.cli.run(*command, stdin=damaged if from_stdin else b"").assert_failed(12)
            assert vendor.left == ["x.age"]

    def test_only_one_thing_comes_from_stdin(self, vendor: Vendor) -> None:
        command = ("decrypt", "-", "--fragment-file", "-", "-o", vendor / "plain.tar")
        vendor.cli.run(*command).assert_failed(3, "stdin")


def wait_until_it_reads(pid: int) -> None:
    """Wait until a process asks its pipe for more."""
    deadline = time.monotonic() + 20
    while "pipe" not in Path(f"/proc/{pid}/wchan").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestStockAge:
    @pytest.mark.parametrize("compress", ["zstd", "gzip", "none"])
    def test_opens_what_seal_made(
        self, vendor: Vendor, recovery: Recovery, program: Callable[[str], Path], compress: str
    ) -> None:
        vendor.sealed("--recipient", recovery.recipient, "--compress", compress)
        done = subprocess.run(
            [program("age"), "-d", "-i", recovery.file, vendor.archive], capture_output=True, check=True
        )
        assert done.stdout == open_archive(vendor.archive.read_bytes())

    @pytest.mark.parametrize("compress", ["gzip", "none"])
    def test_piped_into_docker_load_is_an_unlock_without_us(
        self,
        cli: CommandLine,
        tmp_path: Path,
        program: Callable[[str], Path],
        fresh_device: PrivateDockerd,
        compress: str,
    ) -> None:
        vendor = Vendor.of(cli, tmp_path, compressible=True)
        recovery = Recovery.of(tmp_path)
        vendor.sealed("--recipient", recovery.recipient, "--compress", compress)
        pipe = '"$0" -d -i "$1" "$2" | docker load --quiet'
        subprocess.run(
            ["sh", "-c", pipe, program("age"), recovery.file, vendor.archive],
            env=fresh_device.environment(),
            capture_output=True,
            check=True,
        )
        assert fresh_device.image_ids() == vendor.ids


class TestExtract:
    def test_to_an_oci_folder_that_skopeo_reads(
        self, cli: CommandLine, tmp_path: Path, program: Callable[[str], Path]
    ) -> None:
        vendor = Vendor.of(cli, tmp_path, compressible=True)
        vendor.sealed()
        ran = vendor.run("extract", *vendor.trusted, "-o", f"oci:{vendor / 'layout'}")
        assert (ran.status, ran.stdout) == (0, "")
        assert re.fullmatch(r"extracted 2 images, .*, to oci:.*\n", ran.stderr), ran.stderr
        found = {}
        for entry in json.loads((vendor / "layout/index.json").read_bytes())["manifests"]:
            image = f"oci:{vendor / 'layout'}:{entry['annotations']['org.opencontainers.image.ref.name']}"
            manifest = json.loads(
                (vendor / "layout/blobs/sha256" / entry["digest"].removeprefix("sha256:")).read_bytes()
            )
            name = entry["annotations"]["io.containerd.image.name"].removeprefix("docker.io/")
            found[name] = manifest["config"]["digest"]
        assert found == vendor.ids
        assert image.endswith(":1.0.0")
        only_one(vendor / "layout")
        shown = subprocess.run(
            [program("skopeo"), "inspect", "--config", "--raw", image], capture_output=True, check=True
        )
        assert json.loads(shown.stdout)["rootfs"]["diff_ids"]

    def test_to_a_docker_archive_that_docker_loads(
        self, vendor: Vendor, fresh_device: PrivateDockerd
    ) -> None:
        vendor.sealed()
        target = vendor / "out/images.tar"
        assert vendor.run("extract", *vendor.trusted, "-o", f"docker-archive:{target}").status == 0
        fresh_device.docker("load", "--quiet", "--input", str(target))
        assert parse_pins(fresh_device.image_ids()) == parse_pins(vendor.ids)

    def test_of_what_is_not_proven_leaves_nothing(self, vendor: Vendor) -> None:
        sealed = vendor.sealed().read_bytes()
        targets = [f"oci:{vendor / 'layout'}", f"docker-archive:{vendor / 'out/images.tar'}"]
        for target in targets:
            vendor.run("extract", *vendor.opener, "-o", target).assert_failed(16)
            vendor.run(
                "extract", *vendor.opener, "--trusted-key", vendor / "other.pub", "-o", target
            ).assert_failed(16)
            vendor.archive.write_bytes(flip_bit(sealed, len(sealed) - 5_000))
            vendor.run("extract", *vendor.trusted, "-o", target).assert_failed(12)
            vendor.archive.write_bytes(sealed)
        assert vendor.left == ["x.age"]
        assert not [path for path in (vendor / "layout").rglob("*") if path.is_file()]

    def test_of_a_cbc_archive_or_to_no_target_is_refused(self, vendor: Vendor) -> None:
        vendor.sealed()
        for target in ("docker", "oci:", "docker-archive:", "layout"):
            vendor.run("extract", *vendor.trusted, "-o", target).assert_failed(3, "oci:DIR")
        vendor.archive.write_bytes(encrypt((vendor / "save.tar").read_bytes()))
        vendor.run("extract", *vendor.trusted, "-o", f"oci:{vendor / 'layout'}").assert_failed(14, "cbc")


def only_one(layout: Path) -> None:
    """Leave one image in the index: skopeo tells images of a folder apart by their tag alone."""
    index = json.loads((layout / "index.json").read_bytes())
    index["manifests"] = index["manifests"][-1:]
    (layout / "index.json").write_bytes(json.dumps(index).encode())


def test_a_key_from_keygen_signs_what_its_public_half_verifies(vendor: Vendor) -> None:
    made = vendor.cli.run(
        "keygen", "-o", vendor / "new", "--passphrase-file", vendor / "passphrase", "--json"
    )
    signer = ["--sign", vendor / "new", "--passphrase-file", vendor / "passphrase", "--json"]
    assert vendor.seal(*signer).document["signed_by"] == made.document["key_id"]
    assert vendor.run("verify", *vendor.opener, "--trusted-key", vendor / "new.pub").status == 0
    vendor.run("verify", *vendor.trusted).assert_failed(16)


def test_a_passphrase_a_fragment_or_an_identity_is_in_nothing_that_is_said(
    vendor: Vendor, recovery: Recovery
) -> None:
    locked = ["--sign", vendor / "locked.key", "--passphrase-file", vendor / "passphrase"]
    runs = [
        vendor.seal(*locked, "--recipient", recovery.recipient, "--json"),
        vendor.run("inspect", *vendor.trusted, "--json"),
        vendor.run("verify", *vendor.trusted),
        vendor.run("decrypt", "--identity", recovery.file, "-o", "/dev/full"),
        vendor.run("decrypt", "--identity", vendor / "fragment", "-o", vendor / "plain.tar"),
        vendor.seal("--sign", vendor / "locked.key", "--passphrase-file", vendor / "fragment-2"),
    ]
    secret = recovery.file.read_text().splitlines()[1]
    said = "".join(ran.stdout + ran.stderr for ran in runs)
    for word in (PASSPHRASE, secret, OTHER_FRAGMENT.decode(), "fragment of the tests"):
        assert word not in said


def test_a_compressed_archive_is_small_and_one_that_is_not_is_large(cli: CommandLine, tmp_path: Path) -> None:
    vendor = Vendor.of(cli, tmp_path, compressible=True)
    sizes = {}
    for compress in ("zstd", "gzip", "none"):
        sizes[compress] = vendor.sealed("--compress", compress).stat().st_size
        assert layer_names(unpack(open_archive(vendor.archive.read_bytes())))
    assert sizes["zstd"] < sizes["none"] / 5
    assert sizes["gzip"] < sizes["none"] / 5
