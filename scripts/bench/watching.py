"""What processes use while they run: memory, processor, disk; and what lies in the engine's spool."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bed.dockerd import PrivateDockerd
from binary_split.config import MIB

_LOOK_S = 0.02
_TICKS = os.sysconf("SC_CLK_TCK")

Command = Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class Usage:
    """What one way took, all its processes together.

    Attributes:
        seconds: from the start of the first process to the end of the last.
        client_s: processor time of the processes.
        engine_s: processor time of the engine meanwhile.
        peak_mib: the most memory (VmHWM) that one of the processes had.
        written_mib: what the processes brought to a disk, wherever it was and whether it was removed again.
        spool_mib: the most that lay in the engine's spool.
    """

    seconds: float
    client_s: float
    engine_s: float
    peak_mib: float
    written_mib: float
    spool_mib: float

    def then(self, other: Usage) -> Usage:
        """Return what two commands took, one after the other."""
        return Usage(
            self.seconds + other.seconds,
            self.client_s + other.client_s,
            self.engine_s + other.engine_s,
            max(self.peak_mib, other.peak_mib),
            self.written_mib + other.written_mib,
            max(self.spool_mib, other.spool_mib),
        )


def run_watched(pipeline: Sequence[Command], engine: PrivateDockerd, environment: Mapping[str, str]) -> Usage:
    """Run commands, each one's stdout the next one's stdin; all must succeed.

    Raises:
        OSError: one failed; the error has its last words.
    """
    engine_before = _engine_seconds(engine)
    started = time.perf_counter()
    processes = _start(pipeline, environment)
    with _Watch(processes, engine) as watch:
        words = [process.communicate()[1].decode(errors="replace").strip() for process in processes[::-1]]
        seconds = time.perf_counter() - started
    for process, said in zip(processes[::-1], words, strict=True):
        if process.returncode:
            raise OSError(f"{process.args!r} failed ({process.returncode}): {said}")
    engine_s = _engine_seconds(engine) - engine_before
    return Usage(seconds, watch.client_s, engine_s, watch.peak_mib, watch.written_mib, watch.spool_mib)


def _start(pipeline: Sequence[Command], environment: Mapping[str, str]) -> list[subprocess.Popen[bytes]]:
    processes: list[subprocess.Popen[bytes]] = []
    for number, command in enumerate(pipeline, start=1):
        process = subprocess.Popen(
            [str(part) for part in command],
            env=environment,
            stdin=processes[-1].stdout if processes else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if number == len(pipeline) else subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        if processes and processes[-1].stdout is not None:
            processes[-1].stdout.close()
            processes[-1].stdout = None
        processes.append(process)
    return processes


@dataclass(slots=True)
class _Seen:
    """The last that was seen of a process."""

    client_s: float = 0.0
    peak_mib: float = 0.0
    written_mib: float = 0.0


@dataclass(slots=True)
class _Watch:
    """Looks at processes and a spool until it is left."""

    processes: Sequence[subprocess.Popen[bytes]]
    engine: PrivateDockerd
    spool_mib: float = 0.0
    _seen: dict[int, _Seen] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> _Watch:
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def client_s(self) -> float:
        return sum(seen.client_s for seen in self._seen.values())

    @property
    def peak_mib(self) -> float:
        return max(seen.peak_mib for seen in self._seen.values())

    @property
    def written_mib(self) -> float:
        return sum(seen.written_mib for seen in self._seen.values())

    def _look(self) -> None:
        while True:
            for process in self.processes:
                _look_at(process.pid, self._seen.setdefault(process.pid, _Seen()))
            sizes = (_blocks(path) for path in self.engine.leftover_files())
            self.spool_mib = max(self.spool_mib, sum(sizes) / MIB)
            if self._ended.wait(_LOOK_S):
                return


def _look_at(pid: int, seen: _Seen) -> None:
    """Take down what a process has used so far; one that has ended keeps what was seen last."""
    folder = Path(f"/proc/{pid}")
    try:
        status, io, stat = ((folder / name).read_text() for name in ("status", "io", "stat"))
    except OSError:
        return
    seen.client_s = max(seen.client_s, _seconds(stat))
    seen.peak_mib = max(seen.peak_mib, _number(status, "VmHWM") / 1024)
    seen.written_mib = max(seen.written_mib, _number(io, "write_bytes") / MIB)


def _number(lines: str, name: str) -> int:
    found = dict(line.partition(":")[::2] for line in lines.splitlines())
    return int(found.get(name, "0").split()[0])


def _seconds(stat: str) -> float:
    """Return a process's own time and that of its children that have ended (``proc(5)``)."""
    after_name = stat.rpartition(")")[2].split()
    return sum(int(ticks) for ticks in after_name[11:15]) / _TICKS


def _engine_seconds(engine: PrivateDockerd) -> float:
    return _seconds(Path(f"/proc/{engine.pid}/stat").read_text())


def _blocks(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0
