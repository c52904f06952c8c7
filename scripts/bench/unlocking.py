"""A bundle brought into an engine: `unlock` against `docker load` of the plain tar, and what else people do.

Every way has an engine of its own, new and empty, and what is read is dropped from the page cache before. A
time ratio under 1.00 is less time than `docker load` of the tar that is no secret takes in the same round.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bed.dockerd import PrivateDockerd
from bed.newer_docker import newer_dockerd
from binary_split.config import MIB
from scripts.bench.bundles import FORMS, NEW, OLD, Bundle
from scripts.bench.figures import Figure, Results
from scripts.bench.measuring import drop_from_cache
from scripts.bench.watching import Command, Usage, run_watched

# A virtual machine may give free memory back, and to get it again is dear: after this pause all pay alike.
_PAUSE_S = 5.0
# ext4 passes over inodes that were deleted within the last minute: 8 % of an engine's processor time, after
# another one was removed. So engines are removed at the end of a round.
_REST_S = 65.0
COLD = "into an empty engine"
UPGRADE = f"{OLD} is there, {NEW} comes (4 % of it new)"
THERE = "all is there (beside loading it plain, cold)"
PLAIN = "docker load -i plain.tar"

Tables = dict[str, dict[str, list[Usage]]]
StartEngine = Callable[[Path], PrivateDockerd]


ENGINES: dict[str, StartEngine] = {
    "docker": lambda parent: PrivateDockerd(parent=parent),
    "newer-docker": lambda parent: newer_dockerd(containerd_store=False, parent=parent),
    "containerd-store": lambda parent: newer_dockerd(containerd_store=True, parent=parent),
}
"""The engines that can be measured, by the name that ``--engine`` takes."""

_ARCHIVES = {"cbc": "cbc", "age": "age (compress none)", "zstd": "age (compress zstd)"}
_LOW_DISK = f"unlock --low-disk {_ARCHIVES['age']}"
_COLD_AGE = {"docker": 0.68, "newer-docker": 0.55, "containerd-store": 0.80}
_PROMISES: Sequence[tuple[str, str, float | dict[str, float] | None]] = (
    (COLD, "decrypt_archive to a file, docker load", None),
    (COLD, "openssl enc -d | docker load", None),
    (COLD, "age -d | docker load", None),
    (COLD, f"unlock {_ARCHIVES['cbc']}", {**_COLD_AGE, "docker": 0.65}),
    (COLD, f"unlock {_ARCHIVES['age']}", _COLD_AGE),
    (COLD, f"unlock {_ARCHIVES['zstd']}", _COLD_AGE),
    (COLD, _LOW_DISK, 0.80),
    (UPGRADE, PLAIN, None),
    (UPGRADE, f"unlock {_ARCHIVES['zstd']}", 0.12),
    (THERE, f"unlock {_ARCHIVES['zstd']}", 0.02),
)
"""What is promised: a time, of a plain `docker load` into an empty engine; it may hang on the engine."""
_STORES = dict.fromkeys(ENGINES, "classic store") | {"containerd-store": "containerd's store"}
_SHORT = {COLD: "cold", UPGRADE: "upgrade", THERE: "all there"}


@dataclass(frozen=True, slots=True)
class Way:
    """What is done with one engine, from empty.

    Attributes:
        name: in the tables.
        cold: pipelines, one after the other.
        upgrade: what then brings the next version, where that is measured.
        there: what then finds all there; it has no fragment.
    """

    name: str
    cold: Sequence[Sequence[Command]]
    upgrade: Sequence[Sequence[Command]] = ()
    there: Sequence[Sequence[Command]] = ()


def bench_unlock(folder: Path, *, mib: int, rounds: int, engine: str) -> Results:
    """Measure the ways, print their tables and return what is promised of them.

    Args:
        folder: of the archives and the engines, on a disk with room for twenty times the bundle.
        mib: size of the bundle, in MiB.
        rounds: each runs every way once.
        engine: one of `ENGINES`.

    Raises:
        Unavailable: there is no such engine here.
    """
    start = ENGINES[engine]
    with start(folder) as tried:
        server = tried.docker("version", "--format", "{{.Server.Version}}").stdout.strip()
    with new_bundle(folder, mib, OLD, NEW) as bundle:
        tables: Tables = {}
        for _round in range(rounds):
            os.sync()
            time.sleep(_REST_S)
            with ExitStack() as used:
                for way in _ways(bundle):
                    _measure(way, bundle, new_engine(bundle, start, used), tables)
    title = f"{mib} MiB in 7 images, docker {server}"
    for what, rows in tables.items():
        peers = tables[COLD if what == THERE else what][PLAIN]
        _show(f"{title}: {what}", rows, peers)
    missing = [] if shutil.which("age") else ["age is not installed"]
    title = f"{title}, {_STORES[engine]}, {rounds} rounds"
    return Results(title, _figures(tables, engine), missing=missing)


def _figures(tables: Tables, engine: str) -> list[Figure]:
    figures = []
    for what, name, promise in _PROMISES:
        peers = tables[COLD][PLAIN]
        usages = tables[what].get(name, ())
        times = [own.seconds / peer.seconds for own, peer in zip(usages, peers, strict=False)]
        if times:
            at_most = promise.get(engine) if isinstance(promise, dict) else promise
            figures.append(Figure.of(f"{_SHORT[what]}: {name}", times, at_most=at_most))
    ours = [own for form in FORMS for own in tables[COLD][_name(form)]]
    spared = [
        low.spool_mib / full.spool_mib  # a plain load spools all that is in the archive
        for low, full in zip(tables[COLD][_LOW_DISK], tables[COLD][PLAIN], strict=True)
    ]
    peak = max(own.peak_mib for own in ours)
    return [
        *figures,
        Figure.of("--low-disk: engine's spool, of the archive", spared, at_most=0.5),
        Figure.of("peak memory of unlock", [peak], unit="MiB", at_most=96),
    ]


def _ways(bundle: Bundle) -> Iterator[Way]:
    state = bundle.folder / "state"

    def unlock(form: str, *options: str) -> Way:
        cold = bundle.unlock(form, OLD, state, *options)
        new = bundle.unlock(form, NEW, state, *options)
        there = bundle.unlock(form, OLD, state, fragment=False)
        return Way(_name(form, *options), [[cold]], [[new]], [[there]])

    plain = bundle.load_plain(OLD)
    yield Way(PLAIN, [[plain]], [[bundle.load_plain(NEW)]])
    from_output = (*plain[:-1], bundle.output)
    yield Way("decrypt_archive to a file, docker load", [[bundle.decrypt_to_file()], [from_output]])
    yield Way("openssl enc -d | docker load", [[bundle.openssl(), plain[:-2]]])
    if shutil.which("age"):
        yield Way("age -d | docker load", [[bundle.age(), plain[:-2]]])
    for form in FORMS:
        yield unlock(form)
    yield unlock("age", "--low-disk")


def _name(form: str, *options: str) -> str:
    return " ".join(["unlock", *options, _ARCHIVES[form]])


def _measure(way: Way, bundle: Bundle, engine: PrivateDockerd, tables: Tables) -> None:
    steps = {COLD: way.cold, THERE: way.there, UPGRADE: way.upgrade}
    for what, pipelines in steps.items():
        if pipelines:
            tables.setdefault(what, {}).setdefault(way.name, []).append(run(pipelines, bundle, engine))
    engine.crash()


def new_engine(bundle: Bundle, start: StartEngine, used: ExitStack) -> PrivateDockerd:
    """Return a new engine, removed when ``used`` is left, and a journal that knows nothing of it."""
    shutil.rmtree(bundle.folder / "state", ignore_errors=True)
    return used.enter_context(start(bundle.folder))


def run(pipelines: Sequence[Sequence[Command]], bundle: Bundle, engine: PrivateDockerd) -> Usage:
    """Run pipelines, what they read being dropped from the page cache before, and return what they took."""
    bundle.output.unlink(missing_ok=True)
    drop_from_cache(bundle.inputs())
    time.sleep(_PAUSE_S)
    environment = engine.environment()
    first, *rest = pipelines
    usage = run_watched(first, engine, environment)
    for pipeline in rest:
        usage = usage.then(run_watched(pipeline, engine, environment))
    return usage


@contextmanager
def new_bundle(
    folder: Path,
    mib: int,
    *versions: str,
    forms: Collection[str] = tuple(FORMS),
    changed: Collection[str] = (),
) -> Iterator[Bundle]:
    """Make a bundle in a folder of its own, removed with it."""
    with tempfile.TemporaryDirectory(prefix=f"{mib}-", dir=folder) as place:
        yield Bundle(Path(place), mib * MIB, versions, forms=forms, changed=changed)


def _show(title: str, rows: dict[str, list[Usage]], peers: Sequence[Usage]) -> None:
    print(f"\n{title}")
    print(_line("", "median", "time", "", "CPU s:", "", "RSS", "disk MiB:", ""))
    print(_line("", "s", "ratio", "range", "ours", "engine", "MiB", "ours", "spool"))
    for name, usages in rows.items():
        ratios = [own.seconds / peer.seconds for own, peer in zip(usages, peers, strict=True)]
        cells = (
            f"{_median(usages, 'seconds'):.2f}",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f}-{max(ratios):.2f}",
            f"{_median(usages, 'client_s'):.1f}",
            f"{_median(usages, 'engine_s'):.1f}",
            f"{max(own.peak_mib for own in usages):.0f}",
            f"{_median(usages, 'written_mib'):.1f}",
            f"{max(own.spool_mib for own in usages):.0f}",
        )
        print(_line(name, *cells))


def _line(name: str, *cells: str) -> str:
    widths = (7, 6, 11, 7, 7, 5, 10, 7)
    return f"  {name:<42}" + " ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _median(usages: Sequence[Usage], name: str) -> float:
    return float(statistics.median(getattr(usage, name) for usage in usages))
