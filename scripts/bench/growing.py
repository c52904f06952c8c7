"""How an unlock grows: with the size of a release, and with the part of it that an upgrade changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from bed.bundle import SHARES
from bed.dockerd import PrivateDockerd
from scripts.bench.bundles import NEW, OLD
from scripts.bench.figures import Curve, Figure, Results
from scripts.bench.unlocking import new_bundle, new_engine, run
from scripts.bench.watching import Usage

FORM = "zstd"
Usages = dict[float, Usage]

_OWN_PERCENT = 4
_BY_AND_BY = ("torch", "cuda", "weights", "inference", "vision", "web", "python", "native", "base")


def bench_growth(folder: Path, *, sizes: Sequence[int]) -> Results:
    """Unlock releases of several sizes, in MiB, each once into an empty engine."""
    unlocked: Usages = {}
    loaded: Usages = {}
    for mib in sizes:
        with new_bundle(folder, mib, OLD, forms=(FORM,)) as bundle, ExitStack() as used:
            loaded[mib] = run([[bundle.load_plain(OLD)]], bundle, new_engine(bundle, _start, used))
            command = bundle.unlock(FORM, OLD, bundle.folder / "state")
            unlocked[mib] = run([[command]], bundle, new_engine(bundle, _start, used))
    peaks = [usage.peak_mib for usage in unlocked.values()]
    size = "size of the release, MiB"
    return Results(
        f"zstd archives of {', '.join(map(str, sizes))} MiB into an empty engine, once each",
        [
            Figure.of("peak memory of unlock at any size", [max(peaks)], unit="MiB", at_most=96),
            Figure.of("the most memory, of the least", [max(peaks) / min(peaks)]),
            Figure.of(
                "written by unlock itself, at most", [_most(unlocked, "written_mib")], unit="MiB", at_most=1
            ),
        ],
        [
            *_curves("Time to load a release", size, "seconds", loaded, unlocked, lambda own: own.seconds),
            *_curves("Memory of the program", size, "MiB", loaded, unlocked, lambda own: own.peak_mib),
            *_curves("Disk: the engine's spool", size, "MiB", loaded, unlocked, lambda own: own.spool_mib),
        ],
    )


def bench_delta(folder: Path, *, mib: int) -> Results:
    """Upgrade where more and more of a release is new, each once; the old release is there."""
    unlocked: Usages = {}
    loaded: Usages = {}
    for changed in _more_and_more():
        percent = _OWN_PERCENT + 100 * sum(SHARES[name] for name in changed)
        with new_bundle(folder, mib, OLD, NEW, forms=(FORM,), changed=changed) as bundle, ExitStack() as used:
            state = bundle.folder / "state"
            plain = new_engine(bundle, _start, used)
            run([[bundle.load_plain(OLD)]], bundle, plain)
            loaded[percent] = run([[bundle.load_plain(NEW)]], bundle, plain)
            own = new_engine(bundle, _start, used)
            first = run([[bundle.unlock(FORM, OLD, state)]], bundle, own)
            unlocked.setdefault(0.0, run([[bundle.unlock(FORM, OLD, state)]], bundle, own))
            loaded.setdefault(0.0, run([[bundle.load_plain(OLD)]], bundle, plain))
            unlocked[percent] = run([[bundle.unlock(FORM, NEW, state)]], bundle, own)
    share = unlocked[float(_OWN_PERCENT)].seconds / first.seconds
    across = "percent of the release that is new"
    return Results(
        f"{mib} MiB, the old release is there, once each",
        [Figure.of(f"an upgrade that changes {_OWN_PERCENT} %, of a first unlock", [share], at_most=0.2)],
        _curves("Time to upgrade", across, "seconds", loaded, unlocked, lambda own: own.seconds),
    )


def _start(parent: Path) -> PrivateDockerd:
    return PrivateDockerd(parent=parent)


def _more_and_more() -> Iterator[tuple[str, ...]]:
    for count in (0, 1, 2, 3, len(_BY_AND_BY)):
        yield _BY_AND_BY[:count]


def _curves(
    chart: str,
    across: str,
    up: str,
    loaded: Usages,
    unlocked: Usages,
    look: Callable[[Usage], float],
) -> list[Curve]:
    ways = {"docker load of the plain tar": loaded, "binary-split unlock": unlocked}
    return [
        Curve(chart, name, across, up, [(place, look(usage)) for place, usage in sorted(usages.items())])
        for name, usages in ways.items()
    ]


def _most(usages: Usages, name: str) -> float:
    return max(float(getattr(usage, name)) for usage in usages.values())
