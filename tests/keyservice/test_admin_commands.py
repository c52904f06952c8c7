"""The administration by command, beside the database and over the network: one contract for both."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from binary_split.cli.main import main
from binary_split.errors import (
    AdministrationForbiddenError,
    AuditBrokenError,
    BinarySplitError,
    ConfigError,
    KeyServiceUnavailableError,
    KeyServiceUnreachableError,
    KeyStoreStateError,
    OutputError,
    RecordConflictError,
    RecordError,
    RecordMissingError,
    SecretFileError,
    TokenRejectedError,
)
from binary_split.keyservice.database import writing
from binary_split.sealedfragment import Kem, PrivateKey, PublicKey, SealedFragment, open_fragment
from tests.docs.test_json import assert_is_as_documented
from tests.keyservice.conftest import FRAGMENT, HOUR, Service

pytestmark = pytest.mark.slow  # a service runs for each

YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Ran:
    """What a run came to."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@dataclass
class Desk:
    """The program at one place."""

    service: Service
    place: tuple[str, ...]
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def run(self, *words: str | Path) -> Ran:
        self.monkeypatch.setattr(sys, "argv", ["binary-split", *map(str, words), *self.place])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        assert isinstance(caught.value.code, int)
        ran = Ran(caught.value.code, *self.capsys.readouterr())
        assert "Traceback" not in ran.err
        return ran

    def __call__(self, *words: str | Path) -> Any:
        """Run with ``--json`` and return the document."""
        ran = self.run(*words, "--json")
        assert ran.status == 0, ran
        return ran.document

    def assert_fails(self, error: type[BinarySplitError], *words: str | Path, saying: str = "") -> None:
        ran = self.run(*words)
        assert (ran.status, ran.out) == (error.exit_code, ""), ran
        assert re.search(saying, ran.err), ran.err


@pytest.fixture(params=["beside the database", "over the network"])
def desk(
    request: pytest.FixtureRequest,
    own_service: Service,
    state: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:
    place: tuple[str, ...] = ("--state", str(state))
    if request.param == "over the network":
        token = own_service.store.tokens.issue(None, lifetime=YEAR, scopes=("admin",)).text
        (tmp_path / "admin.token").write_text(token + "\n")
        certificate = str(own_service.client.verify)
        place = ("--key-service", own_service.url, "--token-file", str(tmp_path / "admin.token"))
        place += ("--ca-file", certificate)
    return Desk(own_service, place, monkeypatch, capsys)


class TestKeys:
    def test_a_key_lives_and_dies(self, desk: Desk) -> None:
        made = desk("key", "create", "k2")
        assert_is_as_documented(made, "key")
        assert desk("admin", "key", "show", "k2") == made
        assert desk("key", "rotate", "k2", "k3")["key_id"] == "k3"
        assert desk("key", "show", "k2")["state"] == "retired"
        assert desk("key", "policy", "k3", "refused")["plain_release"] == "refused"
        assert desk("key", "retire", "k3")["state"] == "retired"
        assert desk("key", "destroy", "k3", "--yes")["state"] == "destroyed"

    @pytest.mark.parametrize(("typed", "hint"), [("", True), ("n\n", False), ("\n", False)])
    def test_without_a_yes_nothing_is_destroyed(self, desk: Desk, typed: str, hint: bool) -> None:
        desk.monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        ran = desk.run("key", "destroy", "k1")
        assert (ran.status, ran.out) == (130, "")
        assert "nothing was erased" in ran.err
        assert ("--yes" in ran.err) is hint
        assert desk("key", "show", "k1")["state"] == "active"

    def test_a_fragment_that_is_wanted_in_a_file_is_the_one_that_is_released(
        self, desk: Desk, tmp_path: Path
    ) -> None:
        for words in (("create", "k2"), ("rotate", "k1", "k3")):
            out = tmp_path / words[-1]
            desk("key", *words, "--out", out)
            assert out.stat().st_mode & 0o777 == 0o600
            assert desk.service.ask(desk.service.issue(words[-1])).content == out.read_bytes()

    def test_an_import_is_byte_exact_and_bounded(self, desk: Desk, tmp_path: Path) -> None:
        file = tmp_path / "f"
        file.write_bytes(b"\r\n\x00\xff" * 16_384)
        desk("key", "import", "k2", file)
        assert desk.service.ask(desk.service.issue("k2")).content == file.read_bytes()
        file.write_bytes(b"x" * 65_537)
        desk.assert_fails(SecretFileError, "key", "import", "k3", file)

    def test_no_key_is_made_whose_file_cannot_be_and_no_file_stays_of_a_key_that_is_not(
        self, desk: Desk, tmp_path: Path
    ) -> None:
        taken = tmp_path / "taken"
        taken.write_text("precious")
        desk.assert_fails(OutputError, "key", "create", "k2", "--out", taken)
        assert taken.read_text() == "precious"
        desk.assert_fails(RecordMissingError, "key", "show", "k2")
        desk.assert_fails(
            RecordConflictError, "key", "create", "k1", "--out", tmp_path / "new", saying="exists"
        )
        assert not (tmp_path / "new").exists()
        assert desk.service.ask(desk.service.issue("k1")).content == FRAGMENT

    def test_destroying_is_asked_about(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        assert desk.run("key", "destroy", "k1").status == 130  # nobody answers
        assert desk("key", "show", "k1")["state"] == "active"


class TestDevicesAndGrants:
    def test_devices(self, desk: Desk) -> None:
        made = desk("admin", "device", "register", "d1", "--label", "bench 3", "--group", "b", "--group", "a")
        assert_is_as_documented(made, "admin device")
        assert made["groups"] == ["a", "b"]
        desk.assert_fails(RecordConflictError, "admin", "device", "register", "d1", saying="exists already")
        assert desk("admin", "device", "groups", "d1", "c")["groups"] == ["c"]
        assert desk("admin", "device", "disable", "d1")["state"] == "disabled"
        (row,) = desk("admin", "device", "list", "--state-is", "disabled", "--group", "c")
        assert row == desk("admin", "device", "show", "d1")
        assert desk("admin", "device", "enable", "d1")["state"] == "active"
        assert desk("admin", "device", "groups", "d1")["groups"] == []

    def test_grants(self, desk: Desk) -> None:
        desk("admin", "device", "register", "d1")
        bounds = (
            "--not-before",
            "2026-02-01T00:00:00Z",
            "--not-after",
            "2026-03-01T00:00:00Z",
            "--uses",
            "3",
        )
        made = desk("admin", "grant", "create", "--key", "k1", "--device", "d1", *bounds)
        assert_is_as_documented(made, "admin grant")
        assert (made["not_before"], made["uses_left"]) == ("2026-02-01T00:00:00+00:00", 3)
        assert desk("admin", "grant", "show", made["grant_id"])["grant_id"] == made["grant_id"]
        by_group = desk.run("admin", "grant", "create", "--key", "k1", "--group", "g").out.strip()
        rows = desk("admin", "grant", "list", "--not-revoked")
        assert {row["grant_id"] for row in rows} == {by_group, made["grant_id"]}
        assert desk("admin", "grant", "revoke", by_group)["state"] == "revoked"
        assert [row["grant_id"] for row in desk("admin", "grant", "list", "--revoked")] == [by_group]
        create = ("admin", "grant", "create", "--key")
        desk.assert_fails(RecordError, *create, "k1", saying="one device or one group")
        desk.assert_fails(
            RecordError, *create, "k1", "--group", "g", "--not-after", "soon", saying="not_after"
        )
        desk.assert_fails(RecordMissingError, *create, "none", "--group", "g", saying="there is no key")


class TestSecrets:
    def test_a_token_is_printed_once_or_goes_to_its_file(self, desk: Desk, tmp_path: Path) -> None:
        ran = desk.run("token", "issue", "--key", "k1", "--label", "bench")
        token = ran.out.strip()
        assert desk.service.ask(token).content == FRAGMENT
        assert token not in ran.err
        issued = desk("token", "issue", "--scope", "admin", "--scope", "audit:read", "--expires", "12h")
        assert_is_as_documented(issued, "token", "token issue")
        assert issued["scopes"] == ["admin", "audit:read"]
        desk("admin", "device", "register", "d1")
        filed = desk("token", "issue", "--device", "d1", "--out", tmp_path / "t")
        assert_is_as_documented(filed, "token", "token issue out")
        assert (tmp_path / "t").stat().st_mode & 0o777 == 0o600
        secret = (tmp_path / "t").read_text()
        assert desk.service.store.tokens.find(secret) is not None
        listed = desk.run("token", "list").out + desk.run("token", "list", "--json").out
        assert not any(text in listed for text in (token, issued["token"], secret))
        assert desk("token", "revoke", filed["token_id"])["state"] == "revoked"
        assert desk("token", "show", filed["token_id"])["state"] == "revoked"
        (row,) = desk("token", "list", "--device", "d1", "--revoked")
        assert_is_as_documented(row, "token")

    def test_a_secret_whose_file_exists_is_not_issued(self, desk: Desk, tmp_path: Path) -> None:
        (tmp_path / "t").write_text("precious")
        before = len(desk.service.store.tokens.page().rows)
        desk.assert_fails(OutputError, "token", "issue", "--key", "k1", "--out", tmp_path / "t")
        assert (tmp_path / "t").read_text() == "precious"
        assert len(desk.service.store.tokens.page().rows) == before

    def test_a_token_given_for_its_id_is_not_repeated(self, desk: Desk) -> None:
        desk.assert_fails(RecordMissingError, "token", "revoke", "bsk_secret")
        assert "bsk_secret" not in desk.run("token", "revoke", "bsk_secret").err

    def test_codes(self, desk: Desk, tmp_path: Path) -> None:
        desk("admin", "device", "register", "d1")
        issued = desk("admin", "enrolment", "issue", "d1")
        assert_is_as_documented(issued, "admin enrolment", "admin enrolment issue")
        filed = desk("admin", "enrolment", "issue", "d1", "--expires", "30m", "--out", tmp_path / "c")
        assert_is_as_documented(filed, "admin enrolment", "admin enrolment issue out")
        assert (tmp_path / "c").read_text().startswith("bse_")
        assert desk("admin", "enrolment", "revoke", filed["code_id"])["state"] == "revoked"
        states = {
            row["code_id"]: row["state"] for row in desk("admin", "enrolment", "list", "--device", "d1")
        }
        assert states == {issued["code_id"]: "open", filed["code_id"]: "revoked"}
        desk.assert_fails(
            RecordError, "admin", "enrolment", "issue", "d1", "--expires", "8d", saying="7 days"
        )


class TestLists:
    def test_all_of_a_list_or_a_page_of_it(self, desk: Desk) -> None:
        names = [f"p{number}" for number in range(5)]
        for name in names:
            desk("admin", "device", "register", name)
        assert [row["device_id"] for row in desk("admin", "device", "list")] == names
        first = desk("admin", "device", "list", "--limit", "3")
        assert_is_as_documented({**first, "items": []}, "page")
        second = desk("admin", "device", "list", "--limit", "3", "--cursor", first["next_cursor"])
        assert [row["device_id"] for row in first["items"] + second["items"]] == names
        assert second["next_cursor"] is None
        shown = desk.run("admin", "device", "list", "--limit", "3")
        assert first["next_cursor"] in shown.err
        assert len(shown.out.splitlines()) == 3
        desk.assert_fails(RecordError, "admin", "device", "list", "--cursor", "x", saying="cursor")

    def test_lists_for_people_are_columns(self, desk: Desk) -> None:
        desk("key", "create", "a-longer-name")
        lines = desk.run("key", "list").out.splitlines()
        assert [line.split()[0] for line in lines] == ["a-longer-name", "k1"]
        assert len({line.index("active") for line in lines}) == 1
        assert "state" in desk.run("key", "show", "k1").out


class TestAudit:
    def test_what_happened_and_who_did_it(self, desk: Desk) -> None:
        desk("key", "create", "k2")
        (record,) = desk("admin", "audit", "list", "--key", "k2")
        assert_is_as_documented(record, "admin audit list")
        assert record["actor"] == "local" or record["actor"].startswith("tok_")
        assert ("--key-service" in desk.place) == (record["actor"] != "local")
        newest = desk("admin", "audit", "list", "--newest-first", "--limit", "1")["items"]
        assert newest == [record]

    @pytest.mark.fault(54)
    def test_the_chain_is_proved_and_a_broken_one_fails(self, desk: Desk) -> None:
        found = desk("admin", "audit", "verify")
        assert_is_as_documented(found, "admin audit verify")
        assert found["is_sound"]
        with desk.service.store.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE audit SET actor = 'nobody' WHERE seq = 1")
        ran = desk.run("admin", "audit", "verify", "--json")
        assert ran.status == AuditBrokenError.exit_code
        assert_is_as_documented(ran.document, "admin audit verify")
        assert "record 1" in ran.err


class TestOverTheNetwork:
    @pytest.fixture
    def desk(
        self, own_service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> Desk:
        monkeypatch.setenv("BINARY_SPLIT_KEYSERVICE_STATE", "/nowhere")
        return Desk(own_service, ("--ca-file", str(own_service.client.verify)), monkeypatch, capsys)

    def test_tokens_that_may_not_have_their_exit_codes(self, desk: Desk, tmp_path: Path) -> None:
        file = tmp_path / "t"
        there = ("--key-service", desk.service.url, "--token-file", file)
        for text, error in (
            ("bsk_unknown", TokenRejectedError),
            (desk.service.issue(), AdministrationForbiddenError),
        ):
            file.write_text(text)
            desk.assert_fails(error, "key", "list", *there)
            assert text not in desk.run("key", "create", "k9", *there).err
        revoked = desk.service.store.tokens.issue(None, lifetime=HOUR, scopes=("admin",))
        desk.service.store.tokens.revoke(revoked.record.token_id)
        file.write_text(revoked.text)
        desk.assert_fails(AdministrationForbiddenError, "key", "list", *there)

    def test_places_that_contradict_each_other_are_refused(self, desk: Desk, tmp_path: Path) -> None:
        (tmp_path / "t").write_text("bsk_x")
        url = ("--key-service", desk.service.url)
        desk.assert_fails(ConfigError, "key", "list", *url, saying="token")
        desk.assert_fails(ConfigError, "key", "list", "--token-file", tmp_path / "t", saying="elsewhere")
        both = ("--state", tmp_path, *url, "--token-file", tmp_path / "t")
        desk.assert_fails(ConfigError, "key", "list", *both, saying="two places")

    def test_the_environment_may_name_the_authority_and_not_the_place(
        self, desk: Desk, tmp_path: Path
    ) -> None:
        desk.place = ()
        desk.monkeypatch.setenv("BINARY_SPLIT_CA_FILE", str(desk.service.client.verify))
        desk.monkeypatch.setenv("BINARY_SPLIT_KEY_SERVICE", desk.service.url)
        token = desk.service.store.tokens.issue(None, lifetime=HOUR, scopes=("admin",)).text
        (tmp_path / "t").write_text(token)
        there = ("--key-service", desk.service.url, "--token-file", tmp_path / "t")
        assert [row["key_id"] for row in desk("key", "list", *there)] == ["k1"]
        desk.assert_fails(KeyStoreStateError, "key", "list")

    def test_a_fragment_stays_in_its_file_if_nobody_knows_whether_the_key_was_made(
        self, desk: Desk, tmp_path: Path
    ) -> None:
        (tmp_path / "t").write_text("bsk_x")
        gone = ("--key-service", "http://127.0.0.1:9", "--token-file", tmp_path / "t")
        desk.assert_fails(KeyServiceUnreachableError, "key", "create", "k9", "--out", tmp_path / "f", *gone)
        assert len((tmp_path / "f").read_bytes()) == 32

    def test_it_stays_too_if_the_command_is_interrupted(self, desk: Desk, tmp_path: Path) -> None:
        def interrupted(*_arguments: object, **_members: object) -> None:
            raise KeyboardInterrupt

        desk.monkeypatch.setattr("binary_split.cli.remote_desk.RemoteDesk.do", interrupted)
        (tmp_path / "t").write_text("bsk_x")
        there = ("--key-service", desk.service.url, "--token-file", tmp_path / "t")
        ran = desk.run("key", "create", "k9", "--out", tmp_path / "f", *there)
        assert (ran.status, len((tmp_path / "f").read_bytes())) == (130, 32)
        assert "not known" in ran.err

    def test_words_of_a_key_service_do_not_steer_a_terminal(self, desk: Desk, tmp_path: Path) -> None:
        row: dict[str, Any] = {
            "device_id": "d1",
            "state": "active",
            "groups": [],
            "public_key": None,
            "label": "\x1b[2Jgone",
        }
        page = {"items": [row], "next_cursor": None}
        desk.monkeypatch.setattr("binary_split.cli.remote_desk.RemoteDesk.do", lambda *_a, **_m: page)
        (tmp_path / "t").write_text("bsk_x")
        there = ("--key-service", desk.service.url, "--token-file", tmp_path / "t")
        assert desk.run("admin", "device", "list", *there).out == "d1  active  -  -  \\x1b[2Jgone\n"

    def test_a_change_is_sent_once_though_the_answer_may_be_lost(self, desk: Desk, tmp_path: Path) -> None:
        token = desk.service.store.tokens.issue(None, lifetime=HOUR, scopes=("admin",)).text
        (tmp_path / "t").write_text(token)
        there = ("--key-service", desk.service.url, "--token-file", tmp_path / "t")
        with writing(desk.service.store.engine):  # the service waits for its lock, then says 503
            ran = desk.run("key", "create", "k9", *there)
        assert ran.status == KeyServiceUnavailableError.exit_code
        assert desk.run("key", "show", "k9", *there).status == RecordMissingError.exit_code


def test_a_sealed_fragment_is_released_offline_over_http(own_service: Service) -> None:
    store = own_service.store
    key = PrivateKey.generate(Kem.X25519)
    store.devices.add("d1", public_key=PublicKey.of(key).serialise().encode())
    token = store.tokens.issue(None, lifetime=HOUR, scopes=("admin",)).text

    def ask() -> Any:
        return own_service.client.post(
            f"{own_service.url}/v1/admin/offline-releases",
            json={"device_id": "d1", "key_id": "k1"},
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
        )

    refused = ask()
    assert refused.status_code == 409
    store.grants.add("k1", device_id="d1", uses=1)
    answer = ask().json()
    assert base64.b64encode(FRAGMENT).decode() not in json.dumps(answer)
    sealed = SealedFragment.parse(answer["sealed_fragment"].encode())
    assert open_fragment(sealed, key).reveal() == FRAGMENT
    (record,) = store.audit.page(kind="release-offline").rows
    assert (record.seq, record.actor[:4]) == (answer["audit_record"], "tok_")
    assert ask().status_code == 409


def test_an_administrator_elsewhere_needs_no_database_and_no_web_framework(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("bsk_x")
    script = (
        "import sys\n"
        "for name in ('sqlalchemy', 'alembic', 'fastapi', 'starlette', 'pydantic', 'jinja2'):\n"
        "    sys.modules[name] = None\n"
        "from binary_split.cli.main import main\n"
        "main()\n"
    )
    there = ("--key-service", "http://127.0.0.1:9", "--token-file", str(tmp_path / "t"))
    for words in (("key", "list"), ("token", "issue", "--key", "k"), ("admin", "grant", "revoke", "grt_x")):
        done = subprocess.run(
            [sys.executable, "-c", script, *words, *there],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == KeyServiceUnreachableError.exit_code, done.stderr
