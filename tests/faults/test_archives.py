"""What each bad archive does to a device at work: nothing. Good ones still unlock afterwards."""

from __future__ import annotations

import os
import time

import pytest

from binary_split.archive.age.bech32 import encode_bech32
from tests.archive.age.kit import SEALED, chunks_of, header_size
from tests.archives import (
    BLOCK,
    encrypt,
    find_lucky_fragment,
    flip_bit,
    forge_config,
    retag,
    rewrite_tar,
)
from tests.faults.device import NAMES, OTHERS, Device
from tests.forgeries import AT_OPENING, AT_READING
from tests.releases import KEY, make_age_release, pack, replaced, seal_plain, unpack
from tests.unlock.test_pipeline import become_root, regions

pytestmark = pytest.mark.slow  # each test runs the program

SAME_WORDS = "wrong fragment or damaged archive"
DAMAGED, FORMAT, UNREADABLE = 12, 13, 11


@pytest.mark.fault(1)
def test_an_empty_file(device: Device) -> None:
    device.refuses_cbc(b"", DAMAGED, SAME_WORDS)


@pytest.mark.fault(2)
@pytest.mark.parametrize("size", [1, 16, 31])
def test_less_than_two_blocks(device: Device, size: int) -> None:
    device.refuses_cbc(device.cbc.path.read_bytes()[:size], DAMAGED, SAME_WORDS)


@pytest.mark.fault(3)
def test_no_multiple_of_a_block(device: Device) -> None:
    device.refuses_cbc(device.cbc.path.read_bytes()[:-1], DAMAGED, SAME_WORDS)


@pytest.mark.fault(4)
def test_a_cut_at_a_block_and_one_with_a_possible_padding(device: Device) -> None:
    tar = device.cbc.tar.read_bytes()
    middle = len(tar) // 2 // BLOCK * BLOCK
    device.refuses_cbc(device.cbc.path.read_bytes()[:middle], DAMAGED, SAME_WORDS)
    device.refuses_cbc(encrypt(tar[:middle] + b"\1" * BLOCK)[:-BLOCK], DAMAGED, SAME_WORDS)


@pytest.mark.fault(5)
@pytest.mark.parametrize(
    "region",
    [
        "iv",
        "first tar header",
        "config, in the middle",
        "layer, in the middle",
        "layer, its last block",
        "padding",
    ],
)
def test_a_flipped_bit(device: Device, region: str) -> None:
    device.refuses_cbc(flip_bit(device.cbc.path.read_bytes(), regions(device.cbc)[region], 6), DAMAGED)


@pytest.mark.fault(6)
def test_a_forged_config(device: Device) -> None:
    ref = device.cbc.images[0]
    tar = forge_config(device.cbc.tar, device.file("forged.tar"), str(ref), become_root)
    device.refuses_cbc(encrypt(tar.read_bytes()), 53, ref.name)


@pytest.mark.fault(7)
def test_a_wrong_fragment_whose_padding_is_possible_or_not(device: Device) -> None:
    sealed = device.cbc.path.read_bytes()
    said = set()
    for fragment in (b"plainly wrong", find_lucky_fragment(sealed)):
        device.file("wrong").write_bytes(fragment)
        ran = device.unlock_cbc(device.cbc.path, "--fragment-file", device.file("wrong"))
        said.add(device.assert_refused(ran, DAMAGED, SAME_WORDS).stderr)
    device.refuses_age(seal_plain(device.age.plain, b"another fragment!"), DAMAGED, SAME_WORDS)
    assert len(said) == 1


@pytest.mark.fault(8)
def test_a_cbc_archive_in_the_place_of_an_age_one(device: Device) -> None:
    device.file("bad.age").write_bytes(encrypt(device.age.tar.read_bytes()))
    images = [part for ref in device.age.images for part in ("--image", ref.name)]
    ran = device.unlock_age(device.file("bad.age"), "--version", "1.1.0", *images)
    device.assert_refused(ran, 14, "--image-id")


@pytest.mark.fault(9)
def test_flipped_bytes_of_the_header(device: Device) -> None:
    sealed = device.age.path.read_bytes()
    at = sealed.index(b"\n--- ")
    for position, characters in ((at - 20, b"AB"), (at + 10, b"AB")):  # of the stanza's body, and of the MAC
        changed = bytearray(sealed)
        changed[position] = characters[sealed[position] == characters[0]]
        device.refuses_age(bytes(changed), DAMAGED, SAME_WORDS)


@pytest.mark.fault(10)
def test_a_flipped_nonce_and_flipped_chunks(device: Device) -> None:
    sealed = device.age.path.read_bytes()
    payload = header_size(sealed) + 16
    for position in (payload - 3, payload + 5, payload + 2 * SEALED, len(sealed) - 1):
        device.refuses_age(flip_bit(sealed, position), DAMAGED, SAME_WORDS)


@pytest.mark.fault(11)
def test_a_cut_at_a_chunk_and_beside_it(device: Device) -> None:
    sealed = device.age.path.read_bytes()
    boundary = header_size(sealed) + 16 + 3 * SEALED
    for end in (boundary - 1, boundary, boundary + 16):
        device.refuses_age(sealed[:end], DAMAGED, SAME_WORDS)


@pytest.mark.fault(12)
def test_chunks_dropped_doubled_and_swapped(device: Device) -> None:
    head, chunks = chunks_of(device.age.path.read_bytes())
    first, second, *rest = chunks
    for order in ([second, *rest], [first, first, second, *rest], [first, *rest[:1], second, *rest[1:]]):
        device.refuses_age(head + b"".join(order), DAMAGED, SAME_WORDS)
    device.refuses_age(head + b"".join([*chunks, chunks[-1]]), DAMAGED, SAME_WORDS)


@pytest.mark.fault(13)
def test_bytes_and_another_archive_appended(device: Device) -> None:
    sealed = device.age.path.read_bytes()
    device.refuses_age(sealed + b"\0", DAMAGED, SAME_WORDS)
    device.refuses_age(sealed + sealed, DAMAGED, SAME_WORDS)


@pytest.mark.fault(14)
def test_a_work_factor_of_2_to_the_40(device: Device) -> None:
    line, short = b"A" * 43, b"A" * 22
    header = b"age-encryption.org/v1\n-> scrypt %b 40\n%b\n--- %b\n" % (short, line, line)
    started = time.monotonic()
    device.refuses_age(header + bytes(100), DAMAGED, SAME_WORDS)
    assert time.monotonic() - started < 10, "something was computed"


@pytest.mark.fault(16)
def test_an_identity_that_names_a_program_elsewhere(device: Device) -> None:
    called = device.file("called")
    program = device.file("bin") / "age-plugin-.." / "x"  # what PATH and the name would lead to
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\ntouch {called}\n")
    program.chmod(0o755)
    here = device.cli.with_environment(PATH=f"{device.file('bin')}{os.pathsep}{os.environ['PATH']}")
    text = encode_bech32("age-plugin-../x-", b'{"fragment_file":"/k"}').upper()
    device.file("identity").write_text(text)
    ran = here.run(
        "decrypt", device.age.path, "--identity", device.file("identity"), "-o", device.file("plain")
    )
    device.assert_refused(ran, 4)
    assert not called.exists()
    assert not device.file("plain").exists()


@pytest.mark.fault(15)
def test_a_header_of_one_gibibyte(device: Device) -> None:
    path = device.file("long.age")
    path.write_bytes(b"age-encryption.org/v1\n-> x ")
    os.truncate(path, 1 << 30)
    device.assert_refused(device.unlock_age(path), FORMAT)
    path.unlink()


@pytest.mark.fault(18)
def test_members_of_a_cbc_archive_that_lead_out(device: Device) -> None:
    for member in ("..__up", "__etc__passwd", "x__..__..__up"):
        tar = rewrite_tar(device.cbc.tar, device.file("out.tar"), lambda _name, old: old, **{member: b"root"})
        device.refuses_cbc(encrypt(tar.read_bytes()), DAMAGED, SAME_WORDS)


@pytest.mark.fault(18)
@pytest.mark.parametrize(
    "name",
    ["extra member that leads out", "extra absolute member", "config's header: link", "last layer twice"],
)
def test_a_member_of_a_signed_archive_that_does_not_belong_there(device: Device, name: str) -> None:
    device.refuses_age(seal_plain(AT_OPENING[name](unpack(device.age.plain), KEY)), FORMAT)


@pytest.mark.fault(20)
@pytest.mark.parametrize(
    "name",
    ["last layer missing", "config missing", "index names one image less", "index and manifest swapped"],
)
def test_parts_that_are_missing_or_disagree(device: Device, name: str) -> None:
    device.refuses_age(seal_plain(AT_OPENING[name](unpack(device.age.plain), KEY)), FORMAT)


@pytest.mark.fault(20)
@pytest.mark.parametrize("name", ["layer of other bytes", "wrong diff id"])
def test_a_blob_of_another_digest(device: Device, name: str) -> None:
    device.refuses_age(seal_plain(AT_READING[name](unpack(device.age.plain), KEY)), DAMAGED)


@pytest.mark.fault(21)
@pytest.mark.parametrize("content", [b"{", b"[]", b" " * (21 << 20)], ids=["cut", "a list", "21 MiB"])
def test_an_index_that_is_none(device: Device, content: bytes) -> None:
    device.refuses_age(seal_plain(pack(replaced(unpack(device.age.plain), "index.json", content))), FORMAT)


@pytest.mark.fault(22)
def test_images_for_another_machine(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bed.release.platform.machine", lambda: "s390x")
    foreign = make_age_release(device.file("foreign"), "1.1.0", names=NAMES, sequence=8)
    device.assert_refused(device.unlock_age(foreign.path), 86, "linux/s390x", "--any-platform")
    ran = device.unlock_age(foreign.path, "--any-platform", "--json")
    assert {row["ref"] for row in ran.document["images"]} == set(map(str, foreign.images))
    device.forget_new()


@pytest.mark.fault(23)
def test_an_image_too_many_that_would_move_anothers_reference(device: Device) -> None:
    tar = retag(device.cbc.tar, device.file("extra.tar"), str(device.cbc.images[0]), more=OTHERS)
    device.refuses_cbc(encrypt(tar.read_bytes()), 53, OTHERS)
    forged = AT_OPENING["docker manifest names alpine too"](unpack(device.age.plain), KEY)
    device.refuses_age(seal_plain(forged), FORMAT)


@pytest.mark.fault(24)
def test_an_older_release_than_the_installed_one(device: Device) -> None:
    older = make_age_release(device.file("older"), "0.9.0", sequence=6)
    device.assert_refused(device.unlock_age(older.path), 82, "0.9.0", "--allow-downgrade")


@pytest.mark.fault(25)
def test_a_fifo_a_folder_and_nothing(device: Device) -> None:
    os.mkfifo(device.file("fifo"))
    for name in ("fifo", "home", "absent"):
        for ran in (device.unlock_cbc(device.file(name)), device.unlock_age(device.file(name))):
            device.assert_refused(ran, UNREADABLE, name)


@pytest.mark.fault(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 21, 22, 23, 24, 25, 47)
def test_after_all_of_them_good_archives_unlock_and_run(device: Device) -> None:
    for unlock, release in ((device.unlock_cbc, device.cbc), (device.unlock_age, device.age)):
        ran = unlock(release.path, "--json")
        assert ran.status == 0, ran
        assert len(ran.document["loaded"]) == len(release.images)
        again = unlock(release.path, "--json", "--fragment-file", "/nowhere")
        assert again.document["loaded"] == []
        device.forget_new()
        assert device.run(device.old.images[0]) == "azaion/flights 1.0.0 is running"
