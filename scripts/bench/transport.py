"""An unlock by URL from a web server on loopback against one from a local file; and what an upgrade moves.

The archive is not compressed, so that of its bytes as many are new as of the release. What a server sends is
read from its disk, as the file is: both are dropped from the page cache before.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bed.certs import make_authority, make_leaf
from bed.dockerd import PrivateDockerd
from bed.nginx import PrivateNginx
from binary_split.config import MIB
from scripts.bench.bundles import NEW, OLD, Bundle
from scripts.bench.figures import Figure, Results
from scripts.bench.unlocking import new_engine, run
from scripts.bench.watching import Command, Usage

FORM = "age"
CHANGED = 0.05
"""Of the bytes of a release, from one version to the next."""
_REST_S = 65.0  # as after any engine that was removed

_FILE, _HTTP, _HTTPS = "a file", "http", "https"
_FILE_DELTA, _HTTP_DELTA = "a file, upgrade", "http, upgrade"
Usages = dict[str, list[Usage]]


def bench_transport(folder: Path, *, mib: int, rounds: int) -> Results:
    """Measure the ways an archive comes, each into an engine of its own, in turn.

    Args:
        folder: of the archives and the engines, on a disk with room for ten times the bundle.
        mib: size of the bundle, in MiB.
        rounds: each runs every way once.

    Raises:
        Unavailable: there is no such engine, or no web server.
    """
    bundle = Bundle(folder, mib * MIB, (OLD, NEW), forms=(FORM,), own_share=CHANGED)
    authority = make_authority()
    ca_file = authority.write_certificate(folder / "ca.pem")
    usages: Usages = {}
    with (
        tempfile.TemporaryDirectory(prefix="bs-bench-www-", dir=folder.parent) as root,
        PrivateNginx(_publish(bundle, Path(root)), make_leaf(authority)) as nginx,
    ):
        urls = {_HTTP: nginx.url, _HTTPS: nginx.tls_url}
        for _round in range(rounds):
            os.sync()
            time.sleep(_REST_S)
            with ExitStack() as used:
                for way in (_FILE, _HTTP, _HTTPS):
                    _measure(way, urls.get(way), ca_file, bundle, used, usages)
        moved = [
            nginx.sent_bytes(f"/{version}.age") / bundle.sealed(FORM, version).stat().st_size / rounds / 2
            for version in (OLD, NEW)  # by http and by https
        ]
    title = f"{mib} MiB over loopback into an empty engine, {rounds} rounds"
    return Results(title, _figures(usages, moved))


def _publish(bundle: Bundle, root: Path) -> Path:
    """Give the archives to a server that runs as somebody else."""
    root.chmod(0o755)
    for version in (OLD, NEW):
        os.link(bundle.sealed(FORM, version), root / f"{version}.age")
        (root / f"{version}.age").chmod(0o644)
    return root


def _measure(
    way: str, url: str | None, ca_file: Path, bundle: Bundle, used: ExitStack, usages: Usages
) -> None:
    engine = new_engine(bundle, lambda parent: PrivateDockerd(parent=parent), used)
    for version, name in ((OLD, way), (NEW, f"{way}, upgrade")):
        command = bundle.unlock(FORM, version, bundle.folder / "state")
        if url is not None:
            command = _by_url(command, f"{url}/{version}.age", ca_file)
        usages.setdefault(name, []).append(run([[command]], bundle, engine))
    engine.crash()


def _by_url(command: Command, url: str, ca_file: Path) -> Command:
    program, verb, _archive, *rest = command
    return program, verb, url, "--archive-ca", ca_file, *rest


def _figures(usages: Usages, moved: Sequence[float]) -> Sequence[Figure]:
    def compare(own: str, peer: str) -> list[float]:
        return [one.seconds / other.seconds for one, other in zip(usages[own], usages[peer], strict=True)]

    percent = f"{CHANGED:.0%}".replace("%", " %")
    return [
        Figure.of("unlock from a file", _seconds(usages, _FILE), unit="s"),
        Figure.of("unlock by http, of that from a file", compare(_HTTP, _FILE), at_most=1.1),
        Figure.of("unlock by https, of that from a file", compare(_HTTPS, _FILE)),
        Figure.of("a first unlock: moved, of the archive", moved[:1]),
        Figure.of(f"{percent} of the bytes new: moved, of the archive", moved[1:], at_most=0.07),
        Figure.of(
            f"{percent} of the bytes new: time, of a first unlock", compare(_HTTP_DELTA, _HTTP), at_most=0.2
        ),
        Figure.of("the same from a file", compare(_FILE_DELTA, _FILE)),
        Figure.of("peak memory by URL", [_peak(usages)], unit="MiB", at_most=96),
    ]


def _seconds(usages: Mapping[str, Sequence[Usage]], name: str) -> list[float]:
    return [usage.seconds for usage in usages[name]]


def _peak(usages: Mapping[str, Sequence[Usage]]) -> float:
    return max(statistics.median(usage.peak_mib for usage in usages[name]) for name in (_HTTP, _HTTPS))
