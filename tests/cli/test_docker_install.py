"""``docker-plugin install`` puts a link where docker looks, and over nothing that is somebody else's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from binary_split.cli import docker_install
from tests.commandline import CommandLine, Ran

pytestmark = pytest.mark.slow  # each test runs the program

PROGRAM = Path(sys.executable).parent / "docker-unlock"


def link_of(cli: CommandLine) -> Path:
    return cli.home / ".docker" / "cli-plugins" / "docker-unlock"


def identity(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def install(cli: CommandLine, *options: str) -> Ran:
    return cli.run("docker-plugin", "install", *options)


def test_the_link_leads_to_the_program_and_goes_again(cli: CommandLine) -> None:
    for _ in range(2):
        ran = install(cli)
        assert (ran.status, ran.stdout) == (0, "")
        assert link_of(cli).readlink() == PROGRAM
    assert install(cli, "--uninstall").status == 0
    assert list(link_of(cli).parent.iterdir()) == []
    again = install(cli, "--uninstall")
    assert again.status == 0
    assert "was not there" in again.stderr


def test_dockers_own_variable_says_where_its_folder_is(cli: CommandLine, tmp_path: Path) -> None:
    ran = install(cli.with_environment(DOCKER_CONFIG=str(tmp_path / "elsewhere")))
    assert ran.status == 0
    assert (tmp_path / "elsewhere" / "cli-plugins" / "docker-unlock").samefile(PROGRAM)
    assert not link_of(cli).parent.exists()


@pytest.mark.parametrize("option", [[], ["--uninstall"]], ids=["install", "uninstall"])
@pytest.mark.parametrize("kind", ["file", "folder", "link", "broken link", "link of that name"])
def test_what_is_not_ours_is_left_alone(
    cli: CommandLine, tmp_path: Path, kind: str, option: list[str]
) -> None:
    link = link_of(cli)
    link.parent.mkdir(parents=True)
    foreign = tmp_path / ("docker-unlock" if kind == "link of that name" else "foreign")
    match kind:
        case "file":
            link.write_text("theirs")
        case "folder":
            link.mkdir()
        case "broken link":
            link.symlink_to(foreign)
        case _:
            foreign.write_text("theirs")
            link.symlink_to(foreign)
    before = identity(link)
    install(cli, *option).assert_failed(5, str(link), "not ours")
    assert identity(link) == before


def test_a_link_to_an_installation_that_is_gone_is_replaced(cli: CommandLine) -> None:
    link_of(cli).parent.mkdir(parents=True)
    link_of(cli).symlink_to("/opt/older/bin/docker-unlock")
    assert install(cli).status == 0
    assert link_of(cli).readlink() == PROGRAM


def test_a_folder_that_cannot_be_made_is_5(cli: CommandLine) -> None:
    (cli.home / ".docker").write_text("no folder")
    install(cli).assert_failed(5, str(link_of(cli)))


def test_for_every_user_it_goes_where_docker_looks_for_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Path("/usr/local/lib/docker/cli-plugins") == docker_install._SYSTEM_FOLDER
    monkeypatch.setattr(docker_install, "_SYSTEM_FOLDER", tmp_path / "system")
    docker_install.docker_plugin.main(["install", "--system"], standalone_mode=False)
    assert (tmp_path / "system" / "docker-unlock").samefile(PROGRAM)
    assert str(tmp_path / "system") in capsys.readouterr().err
