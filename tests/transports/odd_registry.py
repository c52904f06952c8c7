"""A registry that keeps what is pushed to it, and has a habit of one that cannot be had here.

What it keeps must be right in the end: each habit is met together with the bytes that come of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bed.fault_server import FaultServer, Peer, head
from binary_split.transports.options import HttpOptions
from binary_split.transports.registry.client import Registry
from binary_split.transports.registry.pushing import push_archive
from binary_split.transports.registry.reference import RegistryReference

BLOBS, UPLOADS = "/v2/drone/blobs/", "/v2/drone/blobs/uploads/"


@dataclass
class Asked:
    """A request.

    Attributes:
        offset: where its bytes belong, if it says so.
    """

    method: str
    path: str
    body: bytes
    offset: int | None

    @classmethod
    def parse(cls, request: bytes) -> Asked:
        header, _, body = request.partition(b"\r\n\r\n")
        method, url, _ = header.decode().split(" ", 2)
        path = re.sub(r"^http://[^/]+", "", url)  # as a proxy is asked
        place = re.search(rb"\r\nContent-Range: (\d+)-", header)
        return cls(method, path, body, int(place[1]) if place else None)


@dataclass
class Answer:
    status: int
    headers: tuple[str, ...] = ()
    body: bytes = b""

    def serialise(self) -> bytes:
        length = f"Content-Length: {len(self.body)}"
        return head(f"{self.status} So", *self.headers, length, "Connection: close") + self.body


Habit = Callable[["OddRegistry", Asked], Answer | None]
"""Answers in the place of the registry; None: as it would itself."""


@dataclass
class OddRegistry:
    """Keeps blobs, as the specification has it, but for its habit.

    Attributes:
        blobs: by digest.
        upload: the bytes of the upload under way; None: there is none.
        said: the methods of all requests, and where their bytes belong.
    """

    habit: Habit
    blobs: dict[str, bytes] = field(default_factory=dict)
    upload: bytes | None = None
    said: list[tuple[str, int | None]] = field(default_factory=list)
    number: int = 0

    def serve(self, peer: Peer) -> None:
        asked = Asked.parse(peer.read_request())
        self.said.append((asked.method, asked.offset))
        peer.send((self.habit(self, asked) or self.answer(asked)).serialise())

    def answer(self, asked: Asked) -> Answer:
        """Answer as a registry should."""
        if asked.path.startswith(UPLOADS):
            return self._answer_upload(asked)
        if asked.method == "HEAD":
            return Answer(200 if asked.path.removeprefix(BLOBS) in self.blobs else 404)
        return Answer(201)

    def _answer_upload(self, asked: Asked) -> Answer:
        if asked.method == "POST":
            self.upload, self.number = b"", self.number + 1
        elif self.upload is None or not asked.path.startswith(f"{UPLOADS}{self.number}"):
            return refuse(404, "BLOB_UPLOAD_UNKNOWN")
        elif asked.offset not in {None, len(self.upload)}:
            return refuse(416, "BLOB_UPLOAD_INVALID")
        else:
            self.upload += asked.body
        place = f"Location: {UPLOADS}{self.number}"
        if asked.method == "PUT":
            return self._end(asked.path.partition("digest=")[2])
        return Answer(204 if asked.method == "GET" else 202, (place, self.range_line()))

    def range_line(self) -> str:
        return f"Range: 0-{max(len(self.upload or b'') - 1, 0)}"

    def _end(self, digest: str) -> Answer:
        content, self.upload = self.upload or b"", None
        if digest != f"sha256:{hashlib.sha256(content).hexdigest()}":
            return refuse(400, "DIGEST_INVALID")
        self.blobs[digest] = content
        return Answer(201)

    def requests(self, *methods: str) -> list[tuple[str, int | None]]:
        """Return the requests of some methods, in order; without those of the empty config, which is last."""
        return [each for each in self.said[: self._end_of_archive()] if each[0] in methods]

    def _end_of_archive(self) -> int:
        heads = [place for place, (method, _offset) in enumerate(self.said) if method == "HEAD"]
        return heads[-1]


def refuse(status: int, code: str, message: str = "so it is") -> Answer:
    return Answer(status, (), f'{{"errors":[{{"code":"{code}","message":"{message}"}}]}}'.encode())


@contextmanager
def serving(habit: Habit, host: str | None = None) -> Iterator[tuple[OddRegistry, Registry]]:
    """Run one, and give what asks it.

    Args:
        habit: that it has.
        host: by which it goes, behind a proxy; None: its own.
    """
    odd = OddRegistry(habit)
    with FaultServer(odd.serve) as server:
        reference = RegistryReference.parse(f"oci://{host or f'127.0.0.1:{server.port}'}/drone:1")
        options = HttpOptions(proxy=server.url(), insecure_http=True) if host else HttpOptions()
        with closing(Registry(reference, options)) as registry:
            yield odd, registry


def push_to(habit: Habit, archive: Path) -> OddRegistry:
    """Push an archive to a registry with a habit; check that it has arrived."""
    with serving(habit) as (odd, registry):
        push_archive(archive, registry, report=lambda _step: None)
    content = archive.read_bytes()
    assert odd.blobs[f"sha256:{hashlib.sha256(content).hexdigest()}"] == content
    return odd
