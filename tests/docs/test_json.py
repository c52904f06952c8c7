"""The page on JSON names every key that the commands print, with its type, and no others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bed.fault_server import FaultServer, answer
from bed.images import build_release
from binary_split.cli.progress import show_progress
from binary_split.keyservice.state import open_state
from binary_split.model import ItemProgress, Progress
from tests.commandline import CommandLine, Ran

pytestmark = pytest.mark.slow  # each command is a process of its own
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
TYPES: Mapping[str, Callable[[object], bool]] = {
    "text": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in {int, float},
    "boolean": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
    "null": lambda value: value is None,
}
NAMES = ("azaion/flights", "azaion/autopilot")


def documented(*tables: str) -> dict[str, str]:
    """Return the type of each key that these tables of the page name."""
    keys: dict[str, str] = {}
    for table in tables:
        found = re.search(rf"<!-- keys: {table} -->\n((?:\|.*\n)+)", PAGE)
        assert found, table
        keys |= dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", found[1], re.MULTILINE))
    return keys


def flatten(document: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for key, value in document.items():
        yield key, value
        for item in value if isinstance(value, list) else ():
            if isinstance(item, dict):
                yield from ((f"{key}[].{inner}", each) for inner, each in flatten(item))


def assert_is_as_documented(document: Mapping[str, Any], *tables: str) -> None:
    keys = documented(*tables)
    values = list(flatten(document))
    assert {key for key, _ in values} == set(keys)
    for key, value in values:
        assert any(TYPES[name](value) for name in keys[key].split(" or ")), (key, value)


def assert_is_a_documented_event(event: Mapping[str, Any]) -> None:
    """Check an event's keys; those of an image are there where an image is."""
    assert_is_as_documented(event, "progress", *(["progress images"] if event["images"] else []))


class Vendor:
    """Whoever seals and unlocks, in a folder of their own, by the command line alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "home").mkdir()
        self._cli = CommandLine(folder / "home")
        self._tar = folder / "save.tar"
        build_release(self._tar, "1.0.0", names=NAMES, filler_bytes=4000)
        self.fragment = folder / "fragment"
        self.fragment.write_bytes(bytes(range(32)))
        self.keygen = self("keygen", "-o", folder / "publisher", "--json").document
        self.trust = ("--trusted-key", folder / "publisher.pub")
        self.opener = ("--fragment-file", self.fragment)
        self.key = ("--key-id", "k", *self.opener)
        self.age = self.seal("x.age", *self.key, "--sign", folder / "publisher", "--json")
        self.cbc = self.seal("x.cbc", "--format", "cbc", *self.opener, "--json")

    def __call__(self, *arguments: object, status: int = 0) -> Ran:
        ran = self._cli.run(*arguments)
        assert ran.status == status, ran
        return ran

    def seal(self, name: str, *options: object) -> Ran:
        images = [part for each in NAMES for part in ("--image", each)]
        origin = ("--from", f"docker-archive:{self._tar}")
        return self("seal", "--version", "1.0.0", *images, *origin, *options, "-o", self.folder / name)

    def path(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    return Vendor(tmp_path_factory.mktemp("json"))


class TestSeal:
    def test_an_age_archive(self, vendor: Vendor) -> None:
        assert_is_as_documented(vendor.age.document, "seal", "seal stated")

    def test_an_unsigned_one_has_no_signer(self, vendor: Vendor) -> None:
        document = vendor.seal("unsigned.age", *vendor.key, "--json").document
        assert_is_as_documented(document, "seal", "seal stated")
        assert document["signed_by"] is None

    def test_a_cbc_archive_states_something_if_signed(self, vendor: Vendor) -> None:
        assert_is_as_documented(vendor.cbc.document, "seal")
        sign = ("--sign", vendor.path("publisher"))
        signed = vendor.seal("signed.cbc", "--format", "cbc", *vendor.opener, *sign, "--json")
        assert_is_as_documented(signed.document, "seal", "seal stated")


class TestInspect:
    def test_without_a_key(self, vendor: Vendor) -> None:
        assert_is_as_documented(
            vendor("inspect", vendor.path("x.age"), "--json").document, "inspect", "inspect age"
        )
        assert_is_as_documented(vendor("inspect", vendor.path("x.cbc"), "--json").document, "inspect")

    def test_an_opened_age_archive(self, vendor: Vendor) -> None:
        tables = ("inspect", "inspect age", "inspect opened", "inspect opened age")
        for trust in ((), vendor.trust):
            ran = vendor("inspect", vendor.path("x.age"), *vendor.opener, *trust, "--json")
            assert_is_as_documented(ran.document, *tables)
            assert ran.document["signature_verified"] == bool(trust)

    def test_an_opened_cbc_archive(self, vendor: Vendor) -> None:
        document = vendor("inspect", vendor.path("x.cbc"), *vendor.opener, "--json").document
        assert_is_as_documented(document, "inspect", "inspect opened", "inspect opened cbc")


def test_unlock_and_check(vendor: Vendor) -> None:
    engine = ("--engine", f"oci:{vendor.path('engine')}")
    images = ("--image", NAMES[0], "--image", "azaion/absent")
    order = ("unlock", vendor.path("x.age"), *vendor.trust, *vendor.opener, *engine, "--json")
    loaded = vendor(*order).document
    assert_is_as_documented(loaded, "unlock")
    assert len(loaded["loaded"]) == len(NAMES)
    assert loaded["version"] is None
    again = vendor(*order, "--version", "1.0.0").document
    assert (again["loaded"], again["sent_bytes"], again["version"]) == ([], 0, "1.0.0")
    document = vendor("check", "--version", "1.0.0", *images, *engine, "--json", status=52).document
    assert_is_as_documented(document, "check")
    assert [row["id"] is None for row in document["images"]] == [False, True]


def test_unlock_of_what_was_not_pinned_and_is_there_names_no_id(vendor: Vendor) -> None:
    images = [part for name in NAMES for part in ("--image", name)]
    unlock = ("unlock", vendor.path("x.cbc"), "--version", "1.0.0", *images, *vendor.opener)
    engine = ("--engine", f"oci:{vendor.path('engine-unpinned')}")
    for is_there in (False, True):
        no_journal = ("--state", vendor.path(f"state-{is_there}"))
        document = vendor(*unlock, *engine, *no_journal, "--allow-unauthenticated", "--json").document
        assert_is_as_documented(document, "unlock")
        assert {row["id"] is None for row in document["images"]} == {is_there}


def test_what_there_is_to_do_and_what_was_done(vendor: Vendor) -> None:
    engine = ("--engine", f"oci:{vendor.path('engine-planned')}")
    order = ("unlock", vendor.path("x.age"), *vendor.trust, *vendor.opener, *engine, "--json")
    plan = vendor(*order, "--plan").document
    assert_is_as_documented(plan, "unlock plan")
    assert vendor(*order).document["sent_bytes"] == plan["send_bytes"]
    assert vendor(*order, "--plan").document["lacking"] == []
    verified = vendor("verify", *engine, *vendor.trust, "--deep", "--json").document
    assert_is_as_documented(verified, "verify engine")
    newer = vendor.seal("newer.age", *vendor.key, "--sign", vendor.path("publisher"), "--json")
    vendor("unlock", vendor.path("newer.age"), *vendor.trust, *vendor.opener, *engine)
    assert newer.document["product"] == verified["product"]
    document = vendor("prune", "--keep", "1", *engine, "--dry-run", "--json").document
    assert_is_as_documented(document, "prune")
    assert [row["version"] for row in document["releases"]] == ["1.0.0"]


def test_verify_and_rekey(vendor: Vendor) -> None:
    verified = vendor("verify", vendor.path("x.age"), *vendor.trust, *vendor.opener, "--json")
    assert_is_as_documented(verified.document, "verify")
    add = ("--add", f"other={vendor.fragment}", "-o", vendor.path("rekeyed.age"))
    rekeyed = vendor("rekey", vendor.path("x.age"), *vendor.opener, *add, "--json")
    assert_is_as_documented(rekeyed.document, "rekey")


def test_keygen(vendor: Vendor) -> None:
    assert_is_as_documented(vendor.keygen, "keygen")


def test_devices_and_their_sealed_fragments(vendor: Vendor) -> None:
    key, state = vendor.path("device.key"), vendor.path("offline")
    made = vendor("device", "init", "-o", key, "--json").document
    assert_is_as_documented(made, "device")
    assert vendor("device", "show", key, "--json").document == made
    vendor("keyservice", "init", "--state", state)
    vendor("key", "create", "k", "--state", state)
    with closing(open_state(state)) as store:
        store.devices.add("d1", public_key=made["public_key"].encode())
        store.grants.add("k", device_id="d1")
    release = ("release", "--device", "d1", "--key", "k", "--state", state, "--json")
    assert_is_as_documented(vendor(*release, "-o", vendor.path("s1")).document, "release")
    drawn = vendor(*release, "-o", vendor.path("s2"), "--qr", vendor.path("s2.png")).document
    assert_is_as_documented(drawn, "release")
    assert drawn["qr_file"] is not None


def test_an_enrolment(vendor: Vendor) -> None:
    body = b'{"device": "d1", "token": "bsk_x", "expires": "2027-01-01T00:00:00+00:00"}'
    with FaultServer(answer("200 OK", "Content-Type: application/json", body=body)) as server:
        files = ("--token-file", vendor.path("t"), "--device-key", vendor.path("enrolled.key"))
        enrolled = vendor("enroll", "bse_x", "--key-service", server.url(), *files, "--json").document
    assert_is_as_documented(enrolled, "enroll")


def test_keys_and_tokens(vendor: Vendor) -> None:
    state = ("--state", vendor.path("keyservice"))
    issue = ("token", "issue", "--key", "release-1", *state, "--json")
    vendor("keyservice", "init", *state)
    vendor("key", "create", "release-1", *state)
    rotated = vendor("keyservice", "rotate-kek", *state, "--json").document
    assert_is_as_documented(rotated, "keyservice rotate-kek")
    (key,) = vendor("key", "list", *state, "--json").document
    assert_is_as_documented(key, "key list")
    issued = vendor(*issue).document
    assert_is_as_documented(issued, "token", "token issue")
    written = vendor(*issue, "--out", vendor.path("token")).document
    assert_is_as_documented(written, "token", "token issue out")
    revoked = vendor("token", "revoke", issued["token_id"], *state, "--json").document
    assert_is_as_documented(revoked, "token")
    rows = vendor("token", "list", *state, "--json").document
    for row in rows:
        assert_is_as_documented(row, "token", "token list")
        assert f"`{row['state']}`" in PAGE
    assert {row["state"] for row in rows} == {"active", "revoked"}


class TestProgress:
    def test_lines_come_before_the_document(self, vendor: Vendor) -> None:
        *steps, document = vendor.seal("again.age", *vendor.key, "--progress", "json").events
        assert_is_as_documented(document, "seal", "seal stated")
        assert list(dict.fromkeys(step["step"] for step in steps)) == ["collecting", "sealing"]
        for step in steps:
            assert_is_a_documented_event(step)

    def test_the_steps_of_an_unlock_are_those_of_the_page(self, vendor: Vendor) -> None:
        engine = ("--engine", f"oci:{vendor.path('engine-steps')}", "--progress", "json")
        steps = vendor("unlock", vendor.path("x.age"), *vendor.trust, *vendor.opener, *engine).events
        (row,) = re.findall(r"^\| `unlock` \| (.*);", PAGE, re.MULTILINE)
        assert list(dict.fromkeys(step["step"] for step in steps)) == re.findall(r"`(\w+)`", row)
        for step in steps:
            assert_is_a_documented_event(step)

    def test_an_event_about_images_names_each(self, capsys: pytest.CaptureFixture[str]) -> None:
        item = ItemProgress("azaion/flights:1.0.0", 5, 10)
        with show_progress("json") as report:
            report(Progress("loading_images", 5, 20, (item,), "the engine"))
        events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert len(events) == 2
        for event in events:
            assert_is_a_documented_event(event)
            assert f"`{event['waiting_for'] or 'the engine'}`" in PAGE
        assert events[0]["images"] == [{"name": "azaion/flights:1.0.0", "done_bytes": 5, "total_bytes": 10}]

    def test_a_failure_is_the_last_line(self, vendor: Vendor) -> None:
        wrong = vendor.path("wrong")
        wrong.write_bytes(bytes(32))
        arguments = (vendor.path("x.age"), *vendor.trust, "--fragment-file", wrong, "--progress", "json")
        error = vendor("verify", *arguments, status=12).events[-1]
        assert_is_as_documented(error, "error")
        assert (error["code"], error["exit_code"]) == ("archive-damaged", 12)
