"""Every command of the documents is run, and does and prints what the page says."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bed.certs import make_leaf
from bed.dockerd import PrivateDockerd
from bed.nginx import PrivateNginx
from bed.private import free_port
from bed.registry import PrivateRegistry
from bed.unavailable import Unavailable
from tests.docs.pages import NOT_RUN, PAGES, SUBSTITUTIONS, TRIAL
from tests.docs.shell import Shell
from tests.docs.shell_blocks import Block, Step, parse_steps, pattern_of, read_blocks

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
ON_A_DEVICE = r"binary-split (agent|unlock|check|prune|verify|doctor)\b|docker (load|unlock|image)\b"
FOREIGN = ("BINARY_SPLIT_", "DOCKER_", "CONTAINER_", "PYTEST_", "PYTHON", "SSL_")


@dataclass
class World:
    """What the pages speak of: two engines, a web server, a registry, and the folders of the trial."""

    folder: Path
    vendor: PrivateDockerd
    device: PrivateDockerd
    nginx: PrivateNginx
    registry: PrivateRegistry
    port: int = field(default_factory=free_port)
    commands: dict[str, int] = field(default_factory=dict)
    _followed: list[str] = field(default_factory=list)
    _open: ExitStack = field(default_factory=ExitStack)

    @property
    def vendor_folder(self) -> Path:
        return self.folder / "trial" / "binary-split-trial" / "vendor"  # whose home is the first one

    def follow_trial(self, until: str) -> None:
        """Follow the quickstarts up to one of them, those that were not yet."""
        for page in TRIAL[: TRIAL.index(until) + 1]:
            if page not in self._followed:
                self._followed.append(page)
                shell = self._shell(self.folder / "trial", self.port)
                self._open.callback(shell.close)
                self.commands[page] = follow(page, shell)

    def follow(self, page: str) -> int:
        """Follow one of the other pages, in a folder of its own; return how many commands it has."""
        self.follow_trial(TRIAL[0])
        self.device.empty()
        blocks = read_blocks(ROOT, page)
        serves = any(
            step.is_service for block in blocks if block.language == "sh" for step in steps_of(block)
        )
        with closing(self.open_shell(Path(page).stem, free_port() if serves else self.port)) as shell:
            settings = next((block for block in blocks if block.language == "toml"), None)
            for command in PAGES[page].setup.splitlines():
                shell.run(Step(command))
            if PAGES[page].settings and settings is not None:
                (shell.folder / "etc" / "binary-split" / "config.toml").write_text(
                    shell.substitute(settings.text)
                )
            return follow(page, shell)

    def open_shell(self, name: str, port: int = 0) -> Shell:
        """Open a terminal in a folder of its own; the key service of the trial is at hand."""
        return self._shell(self.folder / name, port or self.port)

    def close(self) -> None:
        self._open.close()

    def _shell(self, folder: Path, port: int) -> Shell:
        real = {"folder": folder, "port": port, "archives": self.nginx.url, "registry": self.registry.host}
        return Shell(
            folder,
            self._environment(folder),
            {shown: there.format_map(real) for shown, there in SUBSTITUTIONS.items()},
            {ON_A_DEVICE: self.device.host},
        )

    def _environment(self, folder: Path) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return {
            **kept,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}",
            "HOME": str(folder),
            "BINARY_SPLIT_STATE": str(folder / "state"),
            "DOCKER_HOST": self.vendor.host,
            "VENDOR": str(self.vendor_folder),
            "SSL_CERT_FILE": str(self.vendor_folder / "cert.pem"),  # as if the system trusted it
            "CURL_CA_BUNDLE": str(self.vendor_folder / "cert.pem"),
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "120",
        }


@pytest.fixture(scope="module")
def world(
    vendor_engine: PrivateDockerd,
    device_engine: PrivateDockerd,
    release_images: dict[str, str],
    program: Callable[[str], Path],
    could_not_run: Callable[[Unavailable], None],
) -> Iterator[World]:
    for name in ("age", "curl", "openssl"):
        program(name)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bed-docs-")))
        www = folder / "www"
        www.mkdir()
        folder.chmod(0o755)  # nginx reads as a user of its own
        nginx, registry = PrivateNginx(www, make_leaf(None)), PrivateRegistry()
        try:
            stack.enter_context(nginx)
            stack.enter_context(registry)
        except Unavailable as missing:
            could_not_run(missing)
            raise
        device_engine.empty()
        made = World(folder, vendor_engine, device_engine, nginx, registry)
        with closing(made):
            made.follow_trial(TRIAL[0])
            (www / "1.2.0.age").write_bytes((made.vendor_folder / "acme-1.0.0.age").read_bytes())
            yield made


def steps_of(block: Block) -> tuple[Step, ...]:
    return () if (block.page, block.first_line) in NOT_RUN else parse_steps(block.text)


def follow(page: str, shell: Shell) -> int:
    """Run the page's commands, and compare what they print with what it shows; return how many there are."""
    output, count = "", 0
    for block in read_blocks(ROOT, page):
        if block.language == "sh":
            output = "".join(map(shell.run, steps_of(block)))
            count += len(steps_of(block))
        elif block.language == "text":
            shown = shell.substitute(block.text)
            assert pattern_of(shown).fullmatch(output.rstrip() + "\n"), (
                f"{block.place} shows\n{shown}\nand it printed\n{output}"
            )
    return count


@pytest.mark.parametrize("page", TRIAL)
def test_a_newcomer_follows_the_quickstarts_one_after_the_other(page: str, world: World) -> None:
    world.follow_trial(page)

    assert world.commands[page] > 10


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_it_says(page: str, world: World) -> None:
    assert world.follow(page) > 0


def test_the_program_in_the_readme_does_the_original_job(world: World) -> None:
    (block,) = [block for block in read_blocks(ROOT, "README.md") if block.language == "python"]
    with closing(world.open_shell("program")) as shell:
        sealing = "binary-split seal --format cbc --version 1.0.0 --fragment-file $VENDOR/acme-1.fragment"
        for command in (
            "binary-split token issue --state $VENDOR/keyservice --key acme-1 --out token",
            f"{sealing} -o bundle.enc",
            f"cat >program.py <<'END'\ntoken = open('token').read().strip()\n{block.text}\nEND",
            "python program.py  # and docker load",
        ):
            shell.run(Step(command))
