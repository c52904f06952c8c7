"""The age codec: unsealing, sealing, memory and random reads, against stock `age` and pyrage."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from functools import partial
from pathlib import Path

from binary_split.archive.age import generate_identity_text, parse_identity, serialise_recipient
from scripts.bench.loading import PROGRAM
from scripts.bench.measuring import Way, bring_into_cache, call, measure, peak_mib, show

JOBS = (sys.executable, "-m", "scripts.bench.jobs")
Command = tuple[str | Path, ...]


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
                "binary-split decrypt": (
                    PROGRAM,
                    "decrypt",
                    self.sealed,
                    "--identity",
                    self.identity,
                    *where,
                ),
                "the codec alone": (*JOBS, "unseal", *arguments),
            },
        )

    def sealing(self) -> dict[str, Command]:
        """Return what encrypts to nowhere."""
        arguments = (self.plain, self.recipient, os.devnull)
        return self._with_peers(
            ("age", "-R", self.recipient, "-o", os.devnull, self.plain),
            (*JOBS, "seal_with_pyrage", *arguments),
            {"the codec alone": (*JOBS, "seal", *arguments)},
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


def bench_age(bench: AgeBench, rounds: int) -> None:
    """Measure the codec; its inputs are in memory and its outputs go nowhere, so no disk is measured."""
    for missing in sorted({"age", "pyrage"} - bench.unsealing().keys()):
        print(f"\nnot measured: {missing} is not installed, so nothing is compared with it")
    bring_into_cache((bench.plain, bench.sealed))
    unsealing, sealing = bench.unsealing(), bench.sealing()
    for title, commands in (("unseal age", unsealing), ("seal age", sealing)):
        ways = [Way(name, partial(_run, command)) for name, command in commands.items()]
        show(f"{title}, from memory to /dev/null", measure(ways, rounds, before=lambda: None))
    print(f"\n{'peak memory (VmHWM)':<44} {'unseal':>9} {'seal':>9}  MiB")
    for name, command in unsealing.items():
        seal = f"{peak_mib(sealing[name]):>9.0f}" if name in sealing else f"{'':>9}"
        print(f"  {name:<42} {peak_mib(command):>9.0f} {seal}")
    median, late = bench.random_reads()
    print(f"\nread 64 KiB of age anywhere, from memory: median {median:.2f} ms, 99 % within {late:.2f} ms")


def _run(command: Command) -> None:
    call(command)
