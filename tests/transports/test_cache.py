"""What was verified is not moved again, and no cache makes a reading fail or changes its bytes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bed.disk import SmallDisk
from bed.nginx import PrivateNginx
from bed.unavailable import Unavailable
from binary_split.archive.age import FragmentIdentity, open_age
from binary_split.config import LIMITS, MIB
from binary_split.errors import ArchiveDamagedError
from binary_split.model import Fragment
from binary_split.transports.options import CacheOptions, HttpOptions
from binary_split.transports.web import cache_folder
from binary_split.transports.web.cache_folder import CacheFolder
from binary_split.transports.web.source import open_http
from tests.archives import FRAGMENT, make_sealed
from tests.releases import seal_plain
from tests.running import started

PLAIN = random.Random(3).randbytes(5 * MIB)
OTHER = random.Random(4).randbytes(5 * MIB)
BLOCKS = 6
HEAD = MIB  # which is read each time: it says which archive this is


class Bench:
    """A server with one archive, a cache, and what was said of it."""

    def __init__(self, nginx: PrivateNginx, path: Path, folder: Path) -> None:
        self._nginx = nginx
        self.path = path
        self.folder = folder
        self.notes: list[str] = []
        self._moved = 0
        self.put(seal_plain(PLAIN))

    @property
    def url(self) -> str:
        return f"{self._nginx.url}/{self.path.name}"

    def put(self, sealed: bytes) -> None:
        self.path.write_bytes(sealed)
        self.path.chmod(0o644)
        self._moved = self._nginx.sent_bytes(f"/{self.path.name}")

    def read(self, max_bytes: int = 64 * MIB) -> bytes:
        cache = CacheOptions(self.folder, max_bytes)
        options = HttpOptions(cache=cache, note=self.notes.append)
        with (
            open_http(self.url, options) as source,
            open_age(source, [FragmentIdentity(Fragment(FRAGMENT))]) as payload,
        ):
            return payload.readall()

    def moved(self) -> int:
        """Return how many bytes were moved since this was asked last."""
        before, self._moved = self._moved, self._nginx.sent_bytes(f"/{self.path.name}")
        return self._moved - before

    @property
    def blocks(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if "-" in path.name)

    @property
    def kept_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.iterdir() if path.name != "lock")


@pytest.fixture
def bench(nginx: PrivateNginx, root: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    path = root / f"{hashlib.sha256(request.node.name.encode()).hexdigest()[:16]}.age"
    yield Bench(nginx, path, tmp_path / "cache")
    path.unlink(missing_ok=True)


def test_what_was_verified_is_not_moved_again(bench: Bench) -> None:
    assert bench.read() == PLAIN
    assert bench.moved() == bench.path.stat().st_size
    assert bench.read() == PLAIN
    assert bench.moved() == HEAD
    assert bench.notes == []


def test_only_ciphertext_lies_there_and_for_nobody_else(bench: Bench) -> None:
    assert bench.read() == PLAIN
    sealed = bench.path.read_bytes()
    assert len(bench.blocks) == BLOCKS - 1
    for number, block in enumerate(bench.blocks, 1):
        assert block.read_bytes()[32:] == sealed[number * MIB : (number + 1) * MIB]
    assert bench.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in bench.folder.iterdir()} == {0o600}


def test_what_did_not_verify_is_not_kept(bench: Bench) -> None:
    sealed = bytearray(bench.path.read_bytes())
    sealed[3 * MIB + 5] ^= 1
    bench.put(bytes(sealed))
    with pytest.raises(ArchiveDamagedError):
        bench.read()
    assert not any(block.name.endswith("3") for block in bench.blocks)


def test_what_fails_while_it_is_written_down_is_not_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = CacheFolder.write

    def fail_meanwhile(folder: CacheFolder, name: str, parts: Sequence[bytes]) -> None:
        source.doubt(MIB, memoryview(bench.path.read_bytes()[MIB : MIB + 100]))
        write(folder, name, parts)

    monkeypatch.setattr(CacheFolder, "write", fail_meanwhile)
    options = HttpOptions(cache=CacheOptions(bench.folder, 64 * MIB))
    with open_http(bench.url, options) as source:
        assert source.read_at(MIB, memoryview(bytearray(100))) == 100
        source.confirm(MIB, 100)
        assert bench.blocks == []


@pytest.mark.parametrize("at", [0, 31, 32, 500_000])
def test_a_flipped_byte_in_the_cache_is_healed(bench: Bench, at: int) -> None:
    assert bench.read() == PLAIN
    good = bench.blocks[2].read_bytes()
    spoilt = bytearray(good)
    spoilt[at] ^= 1
    bench.blocks[2].write_bytes(spoilt)
    bench.moved()
    assert bench.read() == PLAIN
    assert bench.moved() == HEAD + MIB
    assert bench.blocks[2].read_bytes() == good


def test_a_block_that_was_cut_is_healed(bench: Bench) -> None:
    assert bench.read() == PLAIN
    os.truncate(bench.blocks[1], 1000)
    bench.blocks[3].write_bytes(b"")
    assert bench.read() == PLAIN
    assert bench.read() == PLAIN
    bench.moved()
    assert bench.read() == PLAIN
    assert bench.moved() == HEAD


def test_a_block_that_only_looks_right_is_found_out_by_its_chunks_and_healed(bench: Bench) -> None:
    assert bench.read() == PLAIN
    path = bench.blocks[2]
    wrong = bytearray(path.read_bytes()[32:])
    wrong[700_000] ^= 1
    path.write_bytes(hashlib.sha256(path.name.encode() + wrong).digest() + wrong)
    assert bench.read() == PLAIN
    bench.moved()
    assert bench.read() == PLAIN
    assert bench.moved() <= HEAD + MIB  # who was doubted once is kept by the next run


def test_another_archive_under_the_same_url_is_another_one(bench: Bench) -> None:
    first = bench.path.read_bytes()
    assert bench.read() == PLAIN
    bench.put(seal_plain(OTHER))
    assert bench.path.stat().st_size == len(first)
    assert bench.read() == OTHER
    assert bench.moved() == len(first)
    bench.put(first)
    assert bench.read() == PLAIN
    assert bench.moved() == HEAD


def test_the_oldest_blocks_go_first_and_the_size_is_kept(bench: Bench) -> None:
    bound = 7 * MIB
    assert bench.read(bound) == PLAIN
    first = bench.blocks
    for age, path in enumerate(reversed(first)):
        os.utime(path, (age, age))
    bench.put(seal_plain(OTHER))
    assert bench.read(bound) == OTHER
    assert bench.kept_bytes <= bound
    left = [path for path in first if path.exists()]
    assert left == first[: len(left)]  # those that were said to be the oldest are gone
    bench.moved()
    assert bench.read(bound) == OTHER
    assert bench.moved() == HEAD


def test_an_archive_that_is_larger_than_the_cache_does_not_throw_itself_out(bench: Bench) -> None:
    assert bench.read(3 * MIB) == PLAIN
    assert 2 * MIB < bench.kept_bytes <= 3 * MIB
    assert len(bench.notes) == 1
    assert "full" in bench.notes[0]
    bench.moved()
    assert bench.read(3 * MIB) == PLAIN
    assert bench.moved() == HEAD + 2 * MIB
    assert bench.read(2 * MIB) == PLAIN  # made smaller
    assert bench.kept_bytes <= 2 * MIB


def test_what_somebody_who_was_killed_left_is_removed(bench: Bench) -> None:
    assert bench.read() == PLAIN
    (bench.folder / "part").write_bytes(bytes(MIB // 2))
    (bench.folder / "lock").write_bytes(b"00000000000000000001")
    assert bench.read() == PLAIN
    assert not (bench.folder / "part").exists()
    assert int((bench.folder / "lock").read_bytes()) == bench.kept_bytes


def test_somebody_who_has_stopped_in_the_middle_holds_up_nobody(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_folder, "LIMITS", replace(LIMITS, cache_lock_s=0.02))
    assert bench.read() == PLAIN
    bench.blocks[0].unlink()
    with (bench.folder / "lock").open("rb") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        assert bench.read() == PLAIN
    assert len(bench.blocks) == BLOCKS - 2


def test_a_folder_that_cannot_be_used_is_a_note(bench: Bench) -> None:
    bench.folder.write_text("no folder")
    assert bench.read() == PLAIN
    assert len(bench.notes) == 1
    assert "cannot be used" in bench.notes[0]


def test_a_full_disk_is_a_note(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, could_not_run: Callable[[Unavailable], None]
) -> None:
    monkeypatch.setattr(cache_folder, "LIMITS", replace(LIMITS, cache_reserve_bytes=0))
    with ExitStack() as later:
        try:
            disk = later.enter_context(SmallDisk(8 * MIB)).path
        except Unavailable as missing:
            could_not_run(missing)
        bench.folder = disk / "cache"
        empty = os.statvfs(disk)
        room = empty.f_bavail * empty.f_frsize
        (disk / "ballast").write_bytes(bytes(room - 2 * MIB - MIB // 2))
        monkeypatch.setattr(os, "statvfs", lambda _path: empty)  # so that it is not seen coming
        assert bench.read() == PLAIN
        assert len(bench.notes) == 1
        assert "No space left" in bench.notes[0]
        assert not (bench.folder / "part").exists()
        assert bench.blocks


def test_room_on_the_disk_is_left_to_others(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_folder, "LIMITS", replace(LIMITS, cache_reserve_bytes=1 << 60))
    assert bench.read() == PLAIN
    assert bench.blocks == []
    assert "almost full" in bench.notes[0]


def test_nothing_of_a_cbc_archive_is_kept_for_no_piece_of_it_proves_itself(
    nginx: PrivateNginx, root: Path, tmp_path: Path
) -> None:
    sealed = make_sealed(tmp_path / "cbc", "1.0.0", ("azaion/flights",))
    shutil.copy(sealed.path, root / "cached.cbc")
    (root / "cached.cbc").chmod(0o644)
    options = HttpOptions(cache=CacheOptions(tmp_path / "cache", MIB))
    with open_http(f"{nginx.url}/cached.cbc", options) as source:
        assert source.read(16)
    assert not (tmp_path / "cache").exists()


_WRITER = """
import sys
from pathlib import Path
from binary_split.transports.web.cache_folder import CacheFolder

folder = CacheFolder(Path(sys.argv[1]), max_bytes=int(sys.argv[2]), own=sys.argv[3], note=print)
print("ready", flush=True)
for number in range(100_000):
    folder.write(f"{sys.argv[3]}-{number % 50:08x}", (bytes([number % 50]) * 400_000,))
"""


@pytest.mark.slow
def test_no_kill_leaves_half_a_block_or_too_many(tmp_path: Path) -> None:
    bound, draw = 8_000_000, random.Random(9)
    for number in range(8):
        with ExitStack() as stack:
            writers = [
                stack.enter_context(started(_WRITER, tmp_path, str(bound), f"{number + each:032x}"))
                for each in range(2)
            ]
            for writer in writers:
                assert writer.stdout is not None
                assert writer.stdout.readline() == b"ready\n"
            for writer in writers:
                time.sleep(draw.uniform(0, 0.03))
                writer.kill()
        blocks = list(tmp_path.glob("*-*"))
        for block in blocks:
            assert block.read_bytes() == bytes([int(block.name[-8:], 16)]) * 400_000
        assert 0 < 400_000 * len(blocks) <= bound
    CacheFolder(tmp_path, max_bytes=bound, own="none", note=print).close()
    assert {path.name for path in tmp_path.iterdir() if "-" not in path.name} == {"lock"}
    assert int((tmp_path / "lock").read_bytes()) == 400_000 * len(list(tmp_path.glob("*-*")))


def test_many_who_write_at_once_keep_the_bound(tmp_path: Path) -> None:
    bound, size = 100_000, 1000
    folders = [
        CacheFolder(tmp_path, max_bytes=bound, own=f"{number:032x}", note=lambda _text: None)
        for number in range(4)
    ]
    sums: list[int] = []
    ended = threading.Event()

    def write(number: int, folder: CacheFolder) -> None:
        for block in range(80):
            folder.write(f"{number:032x}-{block:08x}", (bytes(size),))

    def look() -> None:
        while not ended.is_set():
            with os.scandir(tmp_path) as entries:
                sums.append(sum("-" in entry.name for entry in entries) * size)

    threads = [threading.Thread(target=write, args=each) for each in enumerate(folders)]
    watch = threading.Thread(target=look)
    watch.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()
    watch.join()
    for folder in folders:
        folder.close()
    assert max(sums) <= bound
    assert len(list(tmp_path.iterdir())) > 50
