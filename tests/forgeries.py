"""What a hostile sealer makes of a release tar. Each function takes it apart and gives another tar.

``AT_OPENING`` must be refused before a layer is read, ``AT_READING`` before the release counts as whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from binary_split.oci.publisher_key import PrivateKey
from binary_split.oci.tar import serialise_header
from tests.releases import (
    KEY,
    RECORD,
    Parts,
    blob_name,
    layer_names,
    pack,
    padded,
    read_statement,
    replaced,
    with_statement,
)

Forgery = Callable[[Parts, PrivateKey | None], bytes]

FIRST_DOCUMENT = 4  # the members before it are named by the format


def _insert(place: int, name: str, content: bytes) -> Forgery:
    return lambda parts, _key: pack([*parts[:place], (name, content), *parts[place:]])


def extra_layer_behind_the_last(parts: Parts, _key: PrivateKey | None) -> bytes:
    content = b"nobody states this layer"
    return pack([*parts, (blob_name(content), content)])


def same_config_twice(parts: Parts, _key: PrivateKey | None) -> bytes:
    return pack([*parts[:FIRST_DOCUMENT], parts[FIRST_DOCUMENT], *parts[FIRST_DOCUMENT:]])


def last_layer_twice(parts: Parts, _key: PrivateKey | None) -> bytes:
    return pack([*parts, parts[-1]])


def _without(place: int) -> Forgery:
    return lambda parts, _key: pack([part for part in parts if part is not parts[place]])


def _swapped(first: int, second: int) -> Forgery:
    def forge(parts: Parts, _key: PrivateKey | None) -> bytes:
        changed = list(parts)
        changed[first], changed[second] = changed[second], changed[first]
        return pack(changed)

    return forge


def config_of_other_bytes(parts: Parts, _key: PrivateKey | None) -> bytes:
    name, content = parts[FIRST_DOCUMENT]
    return pack(replaced(parts, name, content.replace(b"1000:1000", b"0000:0000")))


def layout_version_of_the_future(parts: Parts, _key: PrivateKey | None) -> bytes:
    return pack(replaced(parts, "oci-layout", b'{"imageLayoutVersion":"2.0.0"}'))


def _stated(edit: Callable[[dict[str, Any]], object]) -> Forgery:
    """Change what the predicate says, and sign that."""

    def forge(parts: Parts, key: PrivateKey | None) -> bytes:
        statement = read_statement(parts)
        edit(statement["predicate"])
        return pack(with_statement(parts, statement, key))

    return forge


def _blob(number: int, **changes: Any) -> Forgery:
    return _stated(lambda predicate: predicate["blobs"][number].update(changes))


def _image(**changes: Any) -> Forgery:
    return _stated(lambda predicate: predicate["images"][0].update(changes))


def statement_of_a_cbc_archive(parts: Parts, key: PrivateKey | None) -> bytes:
    statement = read_statement(parts)
    digest = "0" * 64
    statement["subject"].append({"name": "archive", "digest": {"sha256": digest}})
    statement["predicate"]["archive"] = {"sha256": f"sha256:{digest}", "size": 48}
    return pack(with_statement(parts, statement, key))


def _document(name: str, edit: Callable[[Any], object]) -> Forgery:
    """Change one of the two documents by which engines find the images."""

    def forge(parts: Parts, _key: PrivateKey | None) -> bytes:
        document = json.loads(dict(parts)[name])
        edit(document)
        return pack(replaced(parts, name, json.dumps(document, separators=(",", ":")).encode()))

    return forge


def _retag_index(index: Any) -> None:
    index["manifests"][0]["annotations"]["io.containerd.image.name"] = "docker.io/library/alpine:latest"


def _retag_manifest(rows: Any) -> None:
    rows[0]["RepoTags"].append("alpine:latest")


def _raw(name_of: Callable[[Parts], str], change: Callable[[bytes, bytes, int], bytes]) -> Forgery:
    """Write one member in another way: ``change`` gets its name, its content and its size."""

    def forge(parts: Parts, _key: PrivateKey | None) -> bytes:
        chosen = name_of(parts)
        written = b""
        for name, content in parts:
            if name == chosen:
                written += change(serialise_header(name, len(content)), content, len(content))
            else:
                written += serialise_header(name, len(content)) + padded(content)
        return written + bytes(2 * RECORD)

    return forge


def first_config(parts: Parts) -> str:
    return parts[FIRST_DOCUMENT][0]


def first_layer(parts: Parts) -> str:
    return layer_names(parts)[0]


def with_field(header: bytes, place: int, content: bytes) -> bytes:
    """Change a header's bytes and make its checksum right again."""
    header = header[:place] + content + header[place + len(content) :]
    blank = header[:148] + b" " * 8 + header[156:]
    return header[:148] + b"%06o\0 " % sum(blank) + header[156:]


def _headed(place: int, content: bytes) -> Callable[[bytes, bytes, int], bytes]:
    return lambda header, body, _size: with_field(header, place, content) + padded(body)


def _dirty_padding(header: bytes, body: bytes, _size: int) -> bytes:
    assert len(body) % RECORD
    return header + padded(body)[:-1] + b"\1"


def _behind_pax_header(header: bytes, body: bytes, _size: int) -> bytes:
    record = b"19 path=alpine.tar\n"
    return (
        with_field(serialise_header("pax", len(record)), 156, b"x") + padded(record) + header + padded(body)
    )


def _as_link(header: bytes, _body: bytes, _size: int) -> bytes:
    linked = with_field(with_field(header, 156, b"2"), 157, b"../../etc/passwd")
    return with_field(linked, 124, b"00000000000\0")


_HEADERS = {
    "mode": _headed(100, b"0000755\0"),
    "owner": _headed(108, b"0001750\0"),
    "date": _headed(136, b"14000000000\0"),
    "base-256 size": lambda header, body, size: (
        with_field(header, 124, b"\x80" + size.to_bytes(11)) + padded(body)
    ),
    "owner's name": _headed(265, b"root"),
    "GNU magic": _headed(257, b"ustar  \0"),
    "old file type": _headed(156, b"\0"),
    "checksum": lambda header, body, _size: header[:148] + b"000000\0 " + header[156:] + padded(body),
    "link": _as_link,
    "leads out": _headed(0, b"../blobs/sha256/"),
    "pax header": _behind_pax_header,
    "dirty padding": _dirty_padding,
}

AT_OPENING: dict[str, Forgery] = {
    "extra member in front": _insert(0, "alpine.tar", b"x"),
    "extra member in the head": _insert(2, "repositories", b"{}"),
    "extra member that leads out": _insert(4, "../../etc/passwd", b"root::0:0::/:/bin/sh"),
    "extra absolute member": _insert(4, "/etc/passwd", b"root::0:0::/:/bin/sh"),
    "extra layer behind the last": extra_layer_behind_the_last,
    "config twice": same_config_twice,
    "last layer twice": last_layer_twice,
    "no oci-layout": _without(0),
    "no statement": _without(1),
    "no index": _without(2),
    "no docker manifest": _without(3),
    "config missing": _without(FIRST_DOCUMENT),
    "first layer missing": _without(-5),
    "last layer missing": _without(-1),
    "documents swapped": _swapped(FIRST_DOCUMENT, FIRST_DOCUMENT + 1),
    "index and manifest swapped": _swapped(2, 3),
    "statement second": _swapped(0, 1),
    "statement of a cbc archive": statement_of_a_cbc_archive,
    "config of other bytes": config_of_other_bytes,
    "layout version of the future": layout_version_of_the_future,
    "config stated larger": _blob(0, size=10_000),
    "layer stated larger": _blob(4, size=100_000),
    "layer stated beyond all bounds": _blob(4, size=2**52),
    "config stated with another digest": _blob(0, digest=f"sha256:{'0' * 64}"),
    "layer stated with another diff id": _blob(4, diff_id=f"sha256:{'0' * 64}"),
    "blobs stated in another order": _stated(lambda predicate: predicate["blobs"].reverse()),
    "layers stated in another order": _stated(
        lambda predicate: predicate["blobs"].append(predicate["blobs"].pop(-2))
    ),
    "layer not stated": _stated(lambda predicate: predicate["blobs"].pop()),
    "image stated with another config": _image(config=f"sha256:{'0' * 64}"),
    "image stated with another manifest": _image(manifest=f"sha256:{'0' * 64}"),
    "image stated for another platform": _image(platform="linux/s390x"),
    "image not stated": _stated(lambda predicate: predicate["images"].pop()),
    "image stated twice": _stated(lambda predicate: predicate["images"].append(predicate["images"][0])),
    "index names alpine": _document("index.json", _retag_index),
    "index names one image more": _document(
        "index.json", lambda index: index["manifests"].append(index["manifests"][0])
    ),
    "index names one image less": _document("index.json", lambda index: index["manifests"].pop()),
    "docker manifest names alpine too": _document("manifest.json", _retag_manifest),
    "docker manifest names other layers": _document(
        "manifest.json", lambda rows: rows[0]["Layers"].reverse()
    ),
    "docker manifest names one image less": _document("manifest.json", lambda rows: rows.pop()),
    "bytes behind the end": lambda parts, _key: pack(parts) + b"\0",
    "records behind the end": lambda parts, _key: pack(parts) + bytes(20 * RECORD),
    "another release behind the end": lambda parts, _key: pack(parts) * 2,
    "only one record of zeros": lambda parts, _key: pack(parts)[:-RECORD],
    **{f"config's header: {name}": _raw(first_config, change) for name, change in _HEADERS.items()},
}


def layer_flipped(parts: Parts, _key: PrivateKey | None) -> bytes:
    name = layer_names(parts)[-1]
    content = dict(parts)[name]
    return pack(replaced(parts, name, content[:-1] + bytes([content[-1] ^ 1])))


def bomb(parts: Parts, key: PrivateKey | None) -> bytes:
    """State that a compressed layer holds less than it does."""
    statement = read_statement(parts)
    layer = next(row for row in statement["predicate"]["blobs"] if row.get("plain_size", 0) > row["size"])
    layer["plain_size"] = RECORD
    return pack(with_statement(parts, statement, key))


def wrong_diff_id(parts: Parts, key: PrivateKey | None) -> bytes:
    """State a diff id that the layer does not have, in every document alike."""
    layer = next(row for row in read_statement(parts)["predicate"]["blobs"] if "diff_id" in row)
    return pack(rehashed(parts, {layer["diff_id"].removeprefix("sha256:"): "5" * 64}, key))


AT_READING: dict[str, Forgery] = {
    "layer of other bytes": layer_flipped,
    "layers swapped": _swapped(-1, -2),
    "compressed layer larger than stated": bomb,
    "wrong diff id": wrong_diff_id,
    **{
        f"layer's header: {name}": _raw(first_layer, change)
        for name, change in _HEADERS.items()
        if name not in {"pax header", "link"}  # they move what follows, which shows at once
    },
}
AT_OPENING |= {
    f"layer's header: {name}": _raw(first_layer, _HEADERS[name]) for name in ("pax header", "link")
}


def rehashed(parts: Parts, changes: Mapping[str, str], key: PrivateKey | None) -> Parts:
    """Replace texts of equal length in all documents, and the digests of those that change by it."""
    known = dict(changes)
    names = {name for name, _content in parts[FIRST_DOCUMENT:]} - set(layer_names(parts))
    for _round in range(2):  # configs first, then the manifests that name them
        for name, content in parts:
            if name in names:
                changed = hashlib.sha256(_substituted(content, known)).hexdigest()
                known[name.rpartition("/")[2]] = changed
    statement = json.loads(_substituted(json.dumps(read_statement(parts)).encode(), known))
    rewritten = [
        (
            _substituted(name.encode(), known).decode(),
            content if name.startswith("blobs/") and name not in names else _substituted(content, known),
        )
        for name, content in parts
    ]
    return with_statement(rewritten, statement, key)


def _substituted(content: bytes, known: Mapping[str, str]) -> bytes:
    for old, new in known.items():
        content = content.replace(old.encode(), new.encode())
    return content


def resigned(parts: Parts, key: PrivateKey | None) -> Parts:
    return parts if key is KEY else with_statement(parts, read_statement(parts), key)
