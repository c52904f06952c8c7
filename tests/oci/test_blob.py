"""A blob is known by what it is stored as and by what it holds, whatever its chunks and its compression."""

from __future__ import annotations

import gzip
import hashlib
import random
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binary_split.config import LIMITS
from binary_split.errors import ArchiveFormatError
from binary_split.model import Digest
from binary_split.oci.blob import Blob, hash_blob, hash_bytes
from binary_split.oci.compression import Compression, detect_compression

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LAYER = random.Random(0).randbytes(5000) + bytes(3 * LIMITS.chunk_bytes) + b"the end"


def deflate(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def zstandard(content: bytes) -> bytes:
    return zstd.compress(content)


def plain(content: bytes) -> bytes:
    return content


Compress = Callable[[bytes], bytes]
KINDS: dict[Compression, Compress] = {
    Compression.NONE: plain,
    Compression.GZIP: deflate,
    Compression.ZSTD: zstandard,
}
every_kind = pytest.mark.parametrize(("kind", "compress"), KINDS.items(), ids=[kind.name for kind in KINDS])
COMPRESSED = {kind: compress for kind, compress in KINDS.items() if kind is not Compression.NONE}
every_compressed = pytest.mark.parametrize("compress", COMPRESSED.values(), ids=[k.name for k in COMPRESSED])


def expected(stored: bytes, content: bytes, kind: Compression) -> Blob:
    digest, diff_id = (Digest(hashlib.sha256(each).hexdigest()) for each in (stored, content))
    return Blob(digest, diff_id, len(stored), kind)


@every_kind
def test_digest_is_of_the_stored_bytes_and_diff_id_of_what_they_hold(
    kind: Compression, compress: Compress
) -> None:
    stored = compress(LAYER)
    assert hash_blob([stored]) == expected(stored, LAYER, kind)


@every_kind
@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_it_does_not_matter_in_which_chunks_a_blob_comes(
    kind: Compression, compress: Compress, sizes: list[int]
) -> None:
    stored = compress(b"a layer, or so" * 9)
    chunks, rest = [], memoryview(stored)
    for size in sizes:
        chunks.append(rest[:size])
        rest = rest[size:]
    assert hash_blob([*chunks, rest]) == expected(stored, b"a layer, or so" * 9, kind)


@pytest.mark.parametrize("stored", [b"", b"\x1f", b"\x28\xb5\x2f", b"\x1f\x8c" * 9, b"x"])
def test_what_only_begins_like_a_compressed_blob_is_none(stored: bytes) -> None:
    for chunks in ([stored], [stored[:1], stored[1:]]):
        assert hash_blob(chunks) == expected(stored, stored, Compression.NONE)


@every_compressed
def test_streams_may_follow_each_other(compress: Compress) -> None:
    stored = compress(b"first ") + compress(b"") + compress(b"second")
    for step in (1, 7, len(stored)):
        blob = hash_blob(stored[at : at + step] for at in range(0, len(stored), step))
        assert blob.diff_id == hash_bytes(b"first second")
        assert blob.digest == hash_bytes(stored)


@every_compressed
def test_a_compressed_blob_cut_off_anywhere_is_refused(compress: Compress) -> None:
    stored = compress(random.Random(1).randbytes(300))
    for size in range(4, len(stored)):
        with pytest.raises(ArchiveFormatError, match="cut off"):
            hash_blob([stored[:size]])
    twice = stored + stored[:-1]
    with pytest.raises(ArchiveFormatError, match="cut off"):
        hash_blob([twice])


@every_compressed
def test_damage_is_refused_or_gives_another_diff_id(compress: Compress) -> None:
    good = compress(LAYER)
    for at in range(12, len(good), 397):
        stored = bytearray(good)
        stored[at] ^= 0xFF
        try:
            assert hash_blob([bytes(stored)]).diff_id != hash_bytes(LAYER)
        except ArchiveFormatError:
            continue


@every_compressed
def test_what_follows_a_stream_is_refused(compress: Compress) -> None:
    with pytest.raises(ArchiveFormatError, match="damaged"):
        hash_blob([compress(LAYER) + b"not another stream"])


@every_compressed
@given(rest=st.binary(max_size=100))
def test_any_bytes_after_the_mark_raise_only_a_format_error(compress: Compress, rest: bytes) -> None:
    try:
        hash_blob([compress(b"x")[:4] + rest])
    except ArchiveFormatError:
        return


@pytest.mark.fault(19)
@every_compressed
def test_a_bomb_is_stopped_at_the_limit_in_little_memory(
    compress: Compress, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = replace(LIMITS, layer_bytes=3_000_000, chunk_bytes=65_536)
    monkeypatch.setattr("binary_split.oci.compression.LIMITS", limits)
    fits, bomb = compress(bytes(3_000_000)), compress(bytes(60_000_000))
    assert len(bomb) < 100_000
    assert hash_blob([fits]).diff_id == hash_bytes(bytes(3_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveFormatError, match="holds more than"):
            hash_blob([bomb])
        assert tracemalloc.get_traced_memory()[1] < 20 * limits.chunk_bytes
    finally:
        tracemalloc.stop()
    with pytest.raises(ArchiveFormatError, match="holds more than"):
        hash_blob([fits, compress(b"x")])


def test_the_compression_is_told_by_the_first_bytes() -> None:
    assert {kind: detect_compression(compress(b"x")[:4]) for kind, compress in KINDS.items()} == {
        kind: kind for kind in KINDS
    }
    assert [kind.value.rpartition(".")[2] for kind in KINDS] == ["tar", "tar+gzip", "tar+zstd"]
