"""The age codec: unsealing, sealing, memory and random reads, against stock `age` and pyrage."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from functools import partial
from pathlib import Path

from binary_split.archive.age import generate_identity_text, parse_identity, serialise_recipient
from scripts.bench.figures import Figure, ratios
from scripts.bench.loading import PROGRAM
from scripts.bench.measuring import Way, bring_into_cache, call, measure, peak_mib, show

JOBS = (sys.executable, "-m", "scripts.bench.jobs")
Command = tuple[str | Path, ...]
OWN_UNSEALING, OWN_SEALING = "binary-split decrypt", "the codec alone"


class AgeBench:
    """A plain tar sealed for one X25519 recipient, which every program opens.

    Args:
        folder: where everything lies.
        plain: what is sealed.
    """

    def __init__(self, folder: Path, plain: Path) -> None:
        self.plain = plain
        self.sealed = folder / "release.age"
        self.identity = folder / "identity"
        text = generate_identity_text()
        self.identity.write_text(f"{text}\n")
        self.recipient = folder / "recipient"
        self.recipient.write_text(serialise_recipient(parse_identity(text).recipient))
        call((*JOBS, "seal", self.plain, self.recipient, self.sealed))

    def unsealing(self) -> dict[str, Command]:
        """Return what decrypts to nowhere: the peers that are there, and then our own."""
        where = ("-o", os.devnull)
        arguments = (self.sealed, self.identity, os.devnull)
        return self._with_peers(
            ("age", "-d", "-i", self.identity, *where, self.sealed),
            (*JOBS, "unseal_with_pyrage", *arguments),
            {
                OWN_UNSEALING: (
                    PROGRAM,
                    "decrypt",
                    self.sealed,
                    "--identity",
                    self.identity,
                    *where,
                ),
                OWN_SEALING: (*JOBS, "unseal", *arguments),
            },
        )

    def sealing(self) -> dict[str, Command]:
        """Return what encrypts to nowhere."""
        arguments = (self.plain, self.recipient, os.devnull)
        return self._with_peers(
            ("age", "-R", self.recipient, "-o", os.devnull, self.plain),
            (*JOBS, "seal_with_pyrage", *arguments),
            {OWN_SEALING: (*JOBS, "seal", *arguments)},
        )

    def random_reads(self) -> tuple[float, float]:
        """Return the median and the 99th percentile of a read of 64 KiB, in ms."""
        median, late = call((*JOBS, "read_at_random", self.sealed, self.identity)).split()
        return float(median), float(late)

    def _with_peers(self, age: Command, pyrage: Command, own: dict[str, Command]) -> dict[str, Command]:
        peers = {}
        if shutil.which("age"):
            peers["age"] = age
        if importlib.util.find_spec("pyrage"):
            peers["pyrage"] = pyrage
        return peers | own


def missing_peers() -> list[str]:
    """Return what is not installed, so that nothing can be compared with it."""
    there = {"age": shutil.which("age"), "pyrage": importlib.util.find_spec("pyrage")}
    return [f"{name} is not installed" for name, found in there.items() if not found]


def bench_age(bench: AgeBench, rounds: int) -> list[Figure]:
    """Measure the codec; its inputs are in memory and its outputs go nowhere, so no disk is measured."""
    bring_into_cache((bench.plain, bench.sealed))
    unsealing, sealing = bench.unsealing(), bench.sealing()
    figures = []
    for title, commands, own, promise in (
        ("unseal age", unsealing, OWN_UNSEALING, {"age": 2.5, "pyrage": 2.5}),
        ("seal age", sealing, OWN_SEALING, {"age": 1.5, "pyrage": None}),
    ):
        ways = [Way(name, partial(_run, command)) for name, command in commands.items()]
        times = measure(ways, rounds, before=lambda: None)
        show(f"{title}, from memory to /dev/null", times)
        figures += [
            Figure.of(f"{title}: speed, of {peer}'s", ratios(times, peer, own), at_least=least)
            for peer, least in promise.items()
            if peer in times
        ]
    return [*figures, *_memory(unsealing, sealing), _random_reads(bench)]


def _memory(unsealing: dict[str, Command], sealing: dict[str, Command]) -> list[Figure]:
    print(f"\n{'peak memory (VmHWM)':<44} {'unseal':>9} {'seal':>9}  MiB")
    own = 0.0
    for name, command in unsealing.items():
        peak = peak_mib(command)
        seal = peak_mib(sealing[name]) if name in sealing else None
        print(f"  {name:<42} {peak:>9.0f} " + (f"{seal:>9.0f}" if seal else f"{'':>9}"))
        if name in {OWN_UNSEALING, OWN_SEALING}:
            own = max(own, peak, seal or 0)
    return [Figure.of("age: peak memory of both", [own], unit="MiB", at_most=96)]


def _random_reads(bench: AgeBench) -> Figure:
    median, late = bench.random_reads()
    print(f"\nread 64 KiB of age anywhere, from memory: median {median:.2f} ms, 99 % within {late:.2f} ms")
    return Figure.of("age: 64 KiB anywhere, 99 % within", [late], unit="ms", at_most=5)


def _run(command: Command) -> None:
    call(command)
