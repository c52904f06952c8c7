"""The Debian packages, built in one clean Debian and installed, used and purged in another."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bed.clean_debian import CleanDebian, verify_possible
from bed.unavailable import Unavailable
from tests.packaging.conftest import ROOT

pytestmark = pytest.mark.packages
BUILD_TIMEOUT_S = 1200
DEPENDENCIES = ("libc6", "python3", "systemd", "procps")
PACKAGES = ("binary-split", "binary-split-agent", "binary-split-keyservice")
Seen = Mapping[str, list[str]]


@pytest.fixture(scope="session")
def debs(tmp_path_factory: pytest.TempPathFactory, could_not_run: Callable[[Unavailable], None]) -> Path:
    """A folder with the packages."""
    try:
        verify_possible()
    except Unavailable as missing:
        could_not_run(missing)
    folder = tmp_path_factory.mktemp("debs")
    done = subprocess.run(
        [ROOT / "scripts" / "deb", folder],
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def seen(debs: Path, small_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What `in-a-clean-debian` prints, by its parts."""
    folder = tmp_path_factory.mktemp("clean") / "debs"
    folder.mkdir()
    script = ROOT / "tests" / "packaging" / "in-a-clean-debian"
    for file in (*debs.glob("*.deb"), small_release, ROOT / "scripts" / "smoke-journey", script):
        shutil.copy2(file, folder)
    printed = CleanDebian(DEPENDENCIES).run(folder, "/debs/in-a-clean-debian")
    parts = re.split(r"^== (\w+)\n", printed, flags=re.MULTILINE)
    return {name: text.splitlines() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def test_lintian_finds_nothing_wrong(debs: Path) -> None:
    assert sorted(path.name.partition("_")[0] for path in debs.glob("*.deb")) == sorted(PACKAGES)
    assert re.findall(r"^[EW]: .*", (debs / "lintian.txt").read_text(), re.MULTILINE) == []


def test_the_installed_programs_do_the_main_job_with_the_key_service_as_its_own_user(seen: Seen) -> None:
    assert seen["journey"][-1] == "smoke journey: done"


def test_with_its_keys_elsewhere_the_service_goes_on_after_what_root_did(seen: Seen) -> None:
    assert seen["apart"] == ["key by-root created", "key by-service created"]


def test_each_service_has_a_user_of_its_own_that_nobody_can_be(seen: Seen) -> None:
    users = [line.split(":") for line in seen["passwd"][:2]]
    assert [user[0] for user in users] == ["binary-split-agent", "binary-split-keyservice"]
    assert all(user[6].endswith("/nologin") for user in users)
    assert seen["passwd"][2].split() == ["binary-split-agent"]


def test_secrets_places_are_closed_and_settings_can_be_read(seen: Seen) -> None:
    assert seen["modes"] == [
        "755 root:root /etc/binary-split",
        "644 root:root /etc/binary-split/agent.toml",
        "755 root:root /etc/binary-split/trusted-keys.d",
        "700 binary-split-keyservice:binary-split-keyservice /var/lib/binary-split/keyservice",
    ]
    assert [line.split()[0] for line in seen["conffiles"] if line] == ["/etc/binary-split/agent.toml"]


def test_docker_finds_its_plugin(seen: Seen) -> None:
    assert json.loads("".join(seen["plugin"]))["SchemaVersion"] == "0.1.0"


def test_the_agent_starts_as_its_user_with_the_settings_that_come_with_it(seen: Seen) -> None:
    assert seen["agent"] == ["HTTP/1.1 200 OK"]


def test_using_it_leaves_no_file_that_no_package_owns(seen: Seen) -> None:
    assert seen["strays"] == []


def test_the_units_start_the_packages_program_as_the_packages_users(seen: Seen) -> None:
    starts = [line for line in seen["units"] if line.startswith("ExecStart=")]
    assert len(starts) == 2
    assert all(line.startswith("ExecStart=/usr/bin/binary-split ") for line in starts)
    assert [line for line in seen["units"] if line.startswith(("User=", "DynamicUser="))] == [
        "User=binary-split-agent",
        "User=binary-split-keyservice",
    ]


def test_removing_keeps_keys_records_and_settings(seen: Seen) -> None:
    assert {
        "/etc/binary-split/agent.toml",
        "/etc/binary-split/kek",
        "/etc/binary-split/trusted-keys.d/vendor.pub",
        "/etc/binary-split/audit-key",
        "/var/lib/binary-split/keyservice/keyservice.sqlite3",
    } <= set(seen["kept"])


def test_purging_says_what_goes_and_leaves_nothing(seen: Seen) -> None:
    told = [line for line in seen["purged"] if line.startswith(PACKAGES) and ": removing " in line]
    assert sorted(told) == [
        "binary-split-keyservice: removing /etc/binary-split/audit-key",
        "binary-split-keyservice: removing /etc/binary-split/kek",
        "binary-split-keyservice: removing /var/lib/binary-split/keyservice",
        "binary-split: removing /etc/binary-split/trusted-keys.d",
    ]
    assert seen["left"] == []
    assert "end" in seen
