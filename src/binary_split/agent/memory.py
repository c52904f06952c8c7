"""What the agent must not forget over a restart: a small file, replaced whole, that holds no secret."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from binary_split.config import LIMITS, Settings, state_folder
from binary_split.errors import ConfigError, JournalError, OutputError
from binary_split.files import write_atomically
from binary_split.unlock.records import InstalledRelease

LOG = logging.getLogger("binary_split.agent")
_AT_ONCE = 1000  # numbers that are taken with one write


@dataclass(frozen=True, slots=True)
class Record:
    """What is written down.

    Attributes:
        reserved: numbers below it may have been given to a picture.
        archive: the name of the archive that was asked for last; empty: none was.
        version: that was asked for; empty: any.
        started_at: when it was; seconds since the epoch (UTC).
        is_running: whether the unlock of it was under way.
        proven: the release that was proven to be there last.
        proven_as: the name of the archive that it came from.
    """

    reserved: int = 0
    archive: str = ""
    version: str = ""
    started_at: float | None = None
    is_running: bool = False
    proven: InstalledRelease | None = None
    proven_as: str = ""

    def serialise(self) -> bytes:
        """Return the record as JSON."""
        document = {
            "reserved": self.reserved,
            "archive": self.archive,
            "version": self.version,
            "started_at": self.started_at,
            "is_running": self.is_running,
            "proven_as": self.proven_as,
            "proven": None if self.proven is None else json.loads(self.proven.serialise()),
        }
        return json.dumps(document, indent=1, ensure_ascii=False).encode()

    @classmethod
    def parse(cls, content: bytes) -> Record:
        """Parse a record.

        Raises:
            JournalError: it is none.
        """
        try:
            document = json.loads(content)
            proven, started_at = document["proven"], document["started_at"]
            return cls(
                reserved=_typed(document["reserved"], int),
                archive=_typed(document["archive"], str),
                version=_typed(document["version"], str),
                started_at=None if started_at is None else float(_typed(started_at, int, float)),
                is_running=_typed(document["is_running"], bool),
                proven_as=_typed(document["proven_as"], str),
                proven=None if proven is None else InstalledRelease.parse(json.dumps(proven).encode()),
            )
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise JournalError("the agent's state file is malformed") from error


class Memory:
    """The record on disk. Only its owner, the one agent of a state folder, writes it.

    Args:
        path: of the file; its folder is made when the file is first written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._record = _read(path)
        self._number = self._record.reserved

    @property
    def record(self) -> Record:
        """What is written down."""
        return self._record

    def note(self, **changes: Any) -> None:
        """Write down what has changed; when this returns it survives a power cut.

        Raises:
            JournalError: it cannot be written; it is remembered until the process ends.
        """
        with self._lock:
            self._write(replace(self._record, **changes))

    def next_number(self) -> int:
        """Return a number that is greater than all before, also those of earlier processes."""
        with self._lock:
            self._number += 1
            if self._number >= self._record.reserved:
                try:
                    self._write(self._record)
                except JournalError as error:  # the picture is worth more than its number
                    LOG.warning("%s", error)
            return self._number

    def _write(self, record: Record) -> None:
        self._record = replace(record, reserved=self._number + _AT_ONCE)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with write_atomically(self._path) as file:
                file.write(self._record.serialise())
        except OSError as error:
            raise JournalError(f"cannot write {self._path}: {error.strerror or error}") from error
        except OutputError as error:
            raise JournalError(str(error)) from error


def locate_memory(settings: Settings) -> Path:
    """Return where the agent's own state is: beside the engines' journals.

    Raises:
        ConfigError: there is no folder for it.
    """
    return state_folder(settings) / "agent" / "state.json"


@contextmanager
def only_agent(settings: Settings) -> Iterator[None]:
    """Be the only agent of a state folder.

    Raises:
        ConfigError: another one is.
        JournalError: the folder cannot be used.
    """
    folder = locate_memory(settings).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise JournalError(f"cannot use the folder {folder}: {error.strerror or error}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another agent uses {folder}",
                hint="Give each agent a folder of its own: BINARY_SPLIT_STATE.",
            ) from None
        except OSError as error:  # a file system without locks
            raise JournalError(f"cannot lock the folder {folder}: {error.strerror or error}") from error
        yield
    finally:
        os.close(descriptor)


def _read(path: Path) -> Record:
    """Return what was written; one that is damaged is worth no more than none: the engine is asked anyway."""
    try:
        with path.open("rb") as file:
            content = file.read(LIMITS.agent_state_bytes)
        return Record.parse(content)
    except FileNotFoundError:
        return Record()
    except OSError as error:
        LOG.warning("cannot read %s: %s", path, error.strerror or error)
    except JournalError as error:
        LOG.warning("%s: %s", path, error)
    return Record()


def _typed(value: Any, *kinds: type) -> Any:
    if type(value) not in kinds:
        raise TypeError
    return value
