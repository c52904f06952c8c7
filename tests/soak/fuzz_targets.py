"""What every parser promises for any bytes: our own errors or an answer. Plain functions, for any fuzzer.

A target takes bytes, passes over `BinarySplitError`, and lets every other exception out. Where a parser is
canonical, the target also checks that what was read is written again byte for byte.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bed.images import build_release
from binary_split.archive.age import (
    Identity,
    open_age,
    open_age_stream,
    parse_fragment_stanzas,
    parse_header,
    parse_identities,
    parse_recipient,
)
from binary_split.archive.age.bech32 import encode_bech32
from binary_split.archive.age.plugin_channel import Channel
from binary_split.archive.age.plugin_identity import (
    FragmentFile,
    ServedFragment,
    parse_plugin_identity,
    serialise_plugin_identity,
)
from binary_split.archive.age.plugin_protocol import refuse_recipient_v1, run_identity_v1
from binary_split.archive.age.stanzas import Recipient
from binary_split.errors import BinarySplitError
from binary_split.model import Digest, ImageRef
from binary_split.oci.image_tar import ImageTar
from binary_split.oci.images import ImageConfig
from binary_split.oci.release_contents import ReleaseContents
from binary_split.oci.signature import read_unverified_payload, unsigned_envelope, verify_envelope
from binary_split.oci.statement import ReleaseStatement
from binary_split.oci.tar import RECORD, TarReader
from binary_split.sealedfragment import (
    Binding,
    Kem,
    PrivateKey,
    PublicKey,
    SealedFragment,
    open_fragment,
    parse_device_key,
    seal_fragment,
    serialise_device_key,
)
from binary_split.unlock.verifying import verify_layers
from tests.archive.age.kit import FRAGMENT, IDENTITY, KEY_ID, VECTORS, header_size, sealed
from tests.oci.kit import Parts as DockerParts
from tests.oci.kit import pack as pack_tar
from tests.oci.kit import unpack as unpack_tar
from tests.oci.statements import BESIDE_CBC, STATEMENT
from tests.releases import KEY, TRUST, make_age_release, pack, replaced, unpack
from tests.releases import Parts as ReleaseParts

_SMALL = 8_000
_X25519 = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"


@dataclass(frozen=True)
class Target:
    """A parser under any bytes, and valid or nearly valid bytes to begin with."""

    run: Callable[[bytes], None]
    make_seeds: Callable[[], Iterable[bytes]]

    def __call__(self, raw: bytes) -> None:
        with suppress(BinarySplitError):
            self.run(raw)


def age_header(raw: bytes) -> None:
    header = parse_header(raw)
    assert header.serialise() == raw
    parse_fragment_stanzas(header.stanzas)


def age_file(raw: bytes) -> None:
    with open_age(io.BytesIO(raw), _identities(), threads=1) as reader:
        for _piece in reader.pieces():
            pass


def age_stream(raw: bytes) -> None:
    for _piece in open_age_stream(io.BytesIO(raw), _identities()).pieces():
        pass


def key_texts(raw: bytes) -> None:
    """Recipients and identity files, from the same text: each must refuse the other's."""
    text = raw.decode("latin-1")
    with suppress(BinarySplitError):
        parse_identities(text)
    recipient: Recipient = parse_recipient(text)
    recipient.wrap(bytes(16))


def plugin_identity(raw: bytes) -> None:
    text = raw.decode("latin-1")
    assert serialise_plugin_identity(parse_plugin_identity(text)) == text


def plugin_identity_document(raw: bytes) -> None:
    """The document in the identity, under a checksum that is right."""
    plugin_identity(encode_bech32("age-plugin-binary-split-", raw).upper().encode())


def plugin_client(raw: bytes) -> None:
    """A whole conversation, in either state machine; all that the client says is there at once."""
    with suppress(BinarySplitError):
        refuse_recipient_v1(Channel(io.BytesIO(raw), io.BytesIO()), str)
    run_identity_v1(Channel(io.BytesIO(raw), io.BytesIO()), lambda _location: FRAGMENT, str)


def tar(raw: bytes) -> None:
    """The records as they are, then under checksums that are right, by seeking and by reading over."""
    fixed = _with_checksums(raw)
    for source in (io.BytesIO(raw), _Unseekable(raw), io.BytesIO(fixed)):
        with suppress(BinarySplitError):
            _read_tar(source)
    _read_tar(_Unseekable(fixed))


def _read_tar(source: io.BytesIO) -> None:
    reader = TarReader(source)
    for member in reader:
        if member.size % 2:
            for _chunk in reader.chunks():
                pass
    reader.drain()


def image_tar(raw: bytes) -> None:
    contents = ImageTar(io.BytesIO(_with_checksums(raw)))
    for image in contents.images:
        for name in image.layers:
            contents.head(name, 16)


def image_manifest(raw: bytes) -> None:
    """A sound tar but for its manifest."""
    ImageTar(io.BytesIO(pack_tar(_docker_parts() | {"manifest.json": raw})))


def image_config(raw: bytes) -> None:
    ImageConfig.parse(raw)


def release_statement(raw: bytes) -> None:
    assert ReleaseStatement.parse(raw).serialise() == raw


def envelope(raw: bytes) -> None:
    with suppress(BinarySplitError):
        read_unverified_payload(raw)
    verify_envelope(raw, [KEY.public_key])


def release_tar(raw: bytes) -> None:
    """A release as whoever knows the fragment can seal it, whatever the signature says."""
    _read_release(raw)


def release_tar_statement(raw: bytes) -> None:
    """A sound release but for its statement."""
    _read_release(pack(replaced(_release_parts(), "release.json", unsigned_envelope(raw))))


def _read_release(raw: bytes) -> None:
    contents = ReleaseContents(io.BytesIO(raw), read_unverified_payload)
    contents.verify_end()
    verify_layers(contents)


def names(raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    with suppress(BinarySplitError):
        assert str(Digest.parse(text)) == text
    ref = ImageRef.parse(text)
    assert ImageRef.parse(str(ref)) == ref


class _Unseekable(io.BytesIO):
    def seekable(self) -> bool:
        return False


def _with_checksums(raw: bytes) -> bytes:
    """Make every record that looks like a header one whose checksum is right."""
    fixed = bytearray(raw)
    for start in range(0, len(raw) - RECORD + 1, RECORD):
        record = fixed[start : start + RECORD]
        if record[257:262] == b"ustar":
            record[148:156] = b" " * 8
            fixed[start + 148 : start + 156] = b"%06o\0 " % sum(record)
    return bytes(fixed)


@cache
def _identities() -> tuple[Identity, ...]:
    return (IDENTITY, *parse_identities(_X25519))


@cache
def _docker_archive() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "save.tar"
        build_release(path, "1.0.0", names=("azaion/flights",), filler_bytes=1000)
        return path.read_bytes()


@cache
def _release() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        names = ("azaion/flights", "azaion/autopilot")
        release = make_age_release(Path(folder), names=names, filler_bytes=1000)
        return release.plain


@cache
def _docker_parts() -> DockerParts:
    return unpack_tar(_docker_archive())


@cache
def _release_parts() -> ReleaseParts:
    return unpack(_release())


def _age_vectors() -> list[bytes]:
    folder = VECTORS / "cctv-age" / "testdata"
    contents = (path.read_bytes().partition(b"\n\n") for path in sorted(folder.iterdir()))
    return [raw for head, _, raw in contents if len(raw) < _SMALL and b"compressed:" not in head]


def _age_seeds() -> list[bytes]:
    return [sealed(0), sealed(1000), *_age_vectors()]


def _header_seeds() -> list[bytes]:
    whole = [raw for raw in _age_seeds() if raw.startswith(b"age-") and b"\n--- " in raw]
    return [raw[: header_size(raw)] for raw in whole]


def _key_seeds() -> list[bytes]:
    recipient = b"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    return [recipient, _X25519.encode(), (VECTORS / "archive-v1" / "identity.txt").read_bytes()]


def _plugin_identity_seeds() -> list[bytes]:
    served = ServedFragment("https://keys.example.com:8443", "/token", KEY_ID, "/ca.pem")
    places = (FragmentFile("/fragment"), FragmentFile("/fragment", KEY_ID), served)
    return [serialise_plugin_identity(place).encode() for place in places]


def _plugin_document_seeds() -> list[bytes]:
    served = {"key_service": "https://keys.example.com", "token_file": "/token"}
    documents = ({"fragment_file": "/f", "key_id": "a"}, served, {**served, "ca_file": "/ca.pem"})
    return [json.dumps(each, separators=(",", ":"), sort_keys=True).encode() for each in documents]


def _plugin_seeds() -> list[bytes]:
    identity = _plugin_identity_seeds()[1]
    stanza = sealed(0).split(b"\n", 1)[1].partition(b"\n--- ")[0].removeprefix(b"-> ")
    request = b"-> add-identity " + identity + b"\n\n-> recipient-stanza 0 " + stanza + b"\n-> done\n\n"
    return [
        request + b"-> ok\n\n" * 3,
        request + b"-> unsupported\n\n-> fail\n\n",
        b"-> add-recipient age1x\n\n-> wrap-file-key\n\n-> done\n\n-> ok\n\n",
    ]


def _config_seeds() -> list[bytes]:
    image = ImageTar(io.BytesIO(_docker_archive())).images[0]
    variant = b'{"os":"linux","architecture":"arm64","variant":"v8","rootfs":{"diff_ids":[]}}'
    return [image.config.content, variant]


def _manifest_seeds() -> list[bytes]:
    return [ImageTar(io.BytesIO(_docker_archive())).read("manifest.json")]


def _tar_seeds() -> list[bytes]:
    long_name = pack_tar({"n" * 200: b"content", "link": "n", "täg": b""})
    return [_docker_archive(), long_name]


def _envelope_seeds() -> list[bytes]:
    signed = (VECTORS / "archive-v1" / "release.cbc.release.json").read_bytes()
    return [signed, dict(_release_parts())["release.json"], unsigned_envelope(STATEMENT.serialise())]


def _statement_seeds() -> list[bytes]:
    return [STATEMENT.serialise(), BESIDE_CBC.serialise()]


def _release_statement_seeds() -> list[bytes]:
    return [TRUST.open_envelope(dict(_release_parts())["release.json"])]


def _name_seeds() -> list[bytes]:
    texts = ("azaion/flights:1.0.0", "registry.example.com:5000/a/b_c:latest", "docker.io/library/busybox")
    return [*(text.encode() for text in texts), b"sha256:" + b"0123456789abcdef" * 4]


def sealed_fragment(raw: bytes) -> None:
    parsed = SealedFragment.parse(raw)
    assert parsed.serialise() == raw
    open_fragment(parsed, PrivateKey(parsed.kem, bytes(32)))


def device_keys(raw: bytes) -> None:
    """Public keys and device keys' files, from the same bytes: each must refuse the other's."""
    with suppress(BinarySplitError):
        assert serialise_device_key(parse_device_key(raw)) == raw
    text = raw.decode("latin-1")
    public_key = PublicKey.parse(text)
    assert public_key.serialise() == text
    public_key.verify_usable()


def _sealed_fragment_seeds() -> Iterable[bytes]:
    for kem in Kem:
        public_key = PublicKey.of(PrivateKey(kem, bytes(32)))
        yield seal_fragment(FRAGMENT, public_key, Binding("d1", KEY_ID, bytes(16))).serialise()


def _device_key_seeds() -> Iterable[bytes]:
    for kem in Kem:
        key = PrivateKey(kem, bytes(32))
        yield PublicKey.of(key).serialise().encode()
        yield serialise_device_key(key)


TARGETS = {
    "age_header": Target(age_header, _header_seeds),
    "age_file": Target(age_file, _age_seeds),
    "age_stream": Target(age_stream, _age_seeds),
    "key_texts": Target(key_texts, _key_seeds),
    "plugin_identity": Target(plugin_identity, _plugin_identity_seeds),
    "plugin_identity_document": Target(plugin_identity_document, _plugin_document_seeds),
    "plugin_client": Target(plugin_client, _plugin_seeds),
    "tar": Target(tar, _tar_seeds),
    "image_tar": Target(image_tar, _tar_seeds),
    "image_manifest": Target(image_manifest, _manifest_seeds),
    "image_config": Target(image_config, _config_seeds),
    "release_statement": Target(release_statement, _statement_seeds),
    "envelope": Target(envelope, _envelope_seeds),
    "release_tar": Target(release_tar, lambda: [_release()]),
    "release_tar_statement": Target(release_tar_statement, _release_statement_seeds),
    "names": Target(names, _name_seeds),
    "sealed_fragment": Target(sealed_fragment, _sealed_fragment_seeds),
    "device_keys": Target(device_keys, _device_key_seeds),
}
