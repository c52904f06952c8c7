"""What the transports' contract needs of each: to bring an archive where it is read, and to spoil it."""

from __future__ import annotations

import base64
import itertools
import json
import os
from contextlib import closing
from pathlib import Path
from typing import Protocol

from bed.registry import PASSWORD, USER, PrivateRegistry
from binary_split.oci.blob import hash_bytes
from binary_split.transports import ArchiveLocation, parse_location
from binary_split.transports.options import HttpOptions
from binary_split.transports.part_list import SUFFIX, ArchivePart, part_name, serialise_part_list
from binary_split.transports.registry.client import Registry
from binary_split.transports.registry.pushing import push_archive
from binary_split.transports.registry.reference import RegistryReference

_PART_BYTES = 1_500_000
_NUMBERS = itertools.count(1)


class Carrier(Protocol):
    """One place for one archive."""

    @property
    def location(self) -> ArchiveLocation:
        """Where the archive is read, whether it is there or not."""

    @property
    def name(self) -> str:
        """What an error must call it."""

    def put(self, content: bytes) -> None:
        """Bring an archive there, in the place of another one if there is one."""

    def truncate(self, size: int) -> None:
        """Cut the archive that is there, as a medium or a server loses bytes."""


class FileCarrier:
    """A file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "carried.age"

    @property
    def location(self) -> ArchiveLocation:
        return self._path

    @property
    def name(self) -> str:
        return str(self._path)

    def put(self, content: bytes) -> None:
        _replace(self._path, content)

    def truncate(self, size: int) -> None:
        os.truncate(self._path, size)


class PartsCarrier:
    """The parts of an archive, with their list."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "usb"
        self._folder.mkdir()

    @property
    def location(self) -> ArchiveLocation:
        return self._folder / "carried.age.001"

    @property
    def name(self) -> str:
        return "carried.age.0"

    def put(self, content: bytes) -> None:
        for path in self._folder.iterdir():
            path.unlink()
        parts = []
        for number, offset in enumerate(range(0, len(content), _PART_BYTES), start=1):
            part, name = content[offset : offset + _PART_BYTES], part_name("carried.age", number)
            (self._folder / name).write_bytes(part)
            parts.append(ArchivePart(name, len(part), hash_bytes(part).hex))
        if parts:
            (self._folder / f"carried.age{SUFFIX}").write_bytes(serialise_part_list(tuple(parts)))
        else:
            (self._folder / part_name("carried.age", 1)).touch()

    def truncate(self, size: int) -> None:
        number, rest = divmod(size, _PART_BYTES)
        os.truncate(self._folder / part_name("carried.age", number + 1), rest)


class WebPartsCarrier(PartsCarrier):
    """The parts of an archive, with their list, on a web server."""

    def __init__(self, root: Path, url: str, options: HttpOptions) -> None:
        folder = root / f"parts-{next(_NUMBERS)}"
        folder.mkdir()
        super().__init__(folder)
        self._address = f"{url}/{folder.name}/usb/carried.age"
        self._options = options

    @property
    def location(self) -> ArchiveLocation:
        return parse_location(f"{self._address}.001", self._options)

    @property
    def name(self) -> str:
        return self._address

    def put(self, content: bytes) -> None:
        super().put(content)
        moment = 1_700_000_000 + next(_NUMBERS)
        for path in self._folder.iterdir():
            os.utime(path, (moment, moment))


class WebCarrier:
    """A file of a web server's folder."""

    def __init__(self, root: Path, url: str, options: HttpOptions) -> None:
        self._path = root / f"carried-{next(_NUMBERS)}.age"
        self._location = parse_location(f"{url}/{self._path.name}", options)

    @property
    def location(self) -> ArchiveLocation:
        return self._location

    @property
    def name(self) -> str:
        return str(self._location)

    def put(self, content: bytes) -> None:
        _replace(self._path, content)

    def truncate(self, size: int) -> None:
        os.truncate(self._path, size)


class RegistryCarrier:
    """An artifact of a registry."""

    def __init__(self, folder: Path, registry: PrivateRegistry, options: HttpOptions) -> None:
        self._path = folder / "carried.age"
        self._registry = registry
        self._options = options
        self._reference = f"oci://{registry.host}/drone/carried-{next(_NUMBERS)}:1.0.0"

    @property
    def location(self) -> ArchiveLocation:
        return parse_location(self._reference, self._options)

    @property
    def name(self) -> str:
        return self._reference.removeprefix("oci://").partition(":1.0.0")[0]

    def put(self, content: bytes) -> None:
        self._path.write_bytes(content)
        with closing(Registry(RegistryReference.parse(self._reference), self._options)) as registry:
            push_archive(self._path, registry, report=lambda _progress: None)

    def truncate(self, size: int) -> None:
        digest = hash_bytes(self._path.read_bytes()).hex
        blobs = self._registry.folder / "data/docker/registry/v2/blobs/sha256"
        os.truncate(blobs / digest[:2] / digest / "data", size)


def log_in(folder: Path, host: str, password: str = PASSWORD) -> None:
    """Do what `docker login` does without a helper."""
    folder.mkdir(parents=True, exist_ok=True)
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))


def _replace(path: Path, content: bytes) -> None:
    """Put a new file in the place of the old one, which whoever has it open goes on reading."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(content)
    fresh.chmod(0o644)
    moment = 1_700_000_000 + next(_NUMBERS)  # what nginx makes an ETag of, in seconds, and of the size
    os.utime(fresh, (moment, moment))
    fresh.replace(path)
