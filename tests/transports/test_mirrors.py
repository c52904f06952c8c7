"""A mirror is asked first, and whatever it does, what is read is the archive; nobody is told who we are."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bed.certs import Identity, make_leaf
from bed.fault_server import FaultServer, answer
from bed.nginx import PrivateNginx
from bed.private import free_port
from bed.registry import PASSWORD, USER, PrivateRegistry
from bed.unavailable import Unavailable
from binary_split.archive.age import FragmentIdentity, open_age
from binary_split.config import LIMITS, MIB
from binary_split.errors import (
    ArchiveDamagedError,
    ArchiveUnreachableError,
    ArchiveUnreadableError,
    ConfigError,
)
from binary_split.model import Fragment
from binary_split.transports import open_source, parse_location
from binary_split.transports.mirrors import find_mirrors, parse_mirrors
from binary_split.transports.options import CacheOptions, HttpOptions, Mirror
from binary_split.transports.web import places, ranges
from tests.archives import FRAGMENT
from tests.commandline import CommandLine
from tests.lending import lent
from tests.releases import KEY, make_age_release, seal_plain

PLAIN = random.Random(8).randbytes(12 * MIB)
SEALED = seal_plain(PLAIN)
NAME = "mirrored.age"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a place soon, and give up soon."""
    limits = replace(
        LIMITS, backoff_first_s=0.02, http_backoff_cap_s=0.1, http_patience_s=0.6, mirror_patience_s=0.1
    )
    for module in (places, ranges):
        monkeypatch.setattr(module, "LIMITS", limits)


@pytest.fixture(scope="module")
def mirror_root(root: Path) -> Path:
    folder = root / "mirror"
    folder.mkdir()
    folder.chmod(0o755)
    return folder


@pytest.fixture
def origin(nginx: PrivateNginx, root: Path) -> Iterator[PrivateNginx]:
    """A server with the archive."""
    put(root / NAME, SEALED)
    yield nginx
    (root / NAME).unlink()


@pytest.fixture
def mirror(
    nginx: PrivateNginx, mirror_root: Path, authority: Identity, could_not_run: Callable[[Unavailable], None]
) -> Iterator[PrivateNginx]:
    """A server of its own with the same archive."""
    put(mirror_root / NAME, SEALED)
    with lent(lambda: PrivateNginx(mirror_root, make_leaf(authority)), could_not_run) as server:
        yield server


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o644)


class Reader:
    """Reads the archive at a place that has mirrors."""

    def __init__(self, location: str, *mirrors: str, **options: object) -> None:
        self.notes: list[str] = []
        row = Mirror(location, mirrors)
        self.options = replace(HttpOptions(mirrors=(row,), note=self.notes.append), **options)  # type: ignore[arg-type]

    def read(self, place: str, *, pause: Callable[[], None] = lambda: None) -> bytes:
        """Read all of it; do something after the first chunk."""
        with (
            open_source(parse_location(place, self.options)) as source,
            open_age(source, [FragmentIdentity(Fragment(FRAGMENT))], threads=1) as payload,
        ):
            first = payload.read(65536)
            pause()
            return first + payload.readall()


# Web servers


def test_a_mirror_is_asked_and_the_origin_is_not(origin: PrivateNginx, mirror: PrivateNginx) -> None:
    before = origin.requests(f"/{NAME}")
    reader = Reader(origin.url, mirror.url)
    assert reader.read(f"{origin.url}/{NAME}") == PLAIN
    assert origin.requests(f"/{NAME}") == before
    assert mirror.sent_bytes(f"/{NAME}") == len(SEALED)
    assert reader.notes == []


def test_a_mirror_that_does_not_have_it_is_passed_by_with_a_note(
    origin: PrivateNginx, mirror: PrivateNginx
) -> None:
    reader = Reader(origin.url, f"{mirror.url}/elsewhere", f"{mirror.url}/whole", mirror.url)
    assert reader.read(f"{origin.url}/{NAME}") == PLAIN
    assert [words in note for words, note in zip(("404", "no parts"), reader.notes, strict=True)] == [
        True,
        True,
    ]
    assert all("going on with" in note for note in reader.notes)


def test_a_mirror_that_is_away_is_passed_by_with_a_note(origin: PrivateNginx) -> None:
    reader = Reader(origin.url, f"http://127.0.0.1:{free_port()}")
    assert reader.read(f"{origin.url}/{NAME}") == PLAIN
    assert len(reader.notes) == 1


def test_what_no_place_has_is_the_origins_error(origin: PrivateNginx, mirror: PrivateNginx) -> None:
    reader = Reader(origin.url, mirror.url)
    with pytest.raises(ArchiveUnreadableError, match=f"{origin.url}/none.age answers 404"):
        reader.read(f"{origin.url}/none.age")


def test_the_origin_takes_over_in_the_middle(origin: PrivateNginx, mirror: PrivateNginx) -> None:
    reader = Reader(origin.url, mirror.url)
    assert reader.read(f"{origin.url}/{NAME}", pause=mirror.end) == PLAIN
    assert len(reader.notes) == 1
    assert mirror.folder.joinpath("access").stat().st_size > 0


def test_a_mirror_takes_over_from_another_where_the_origin_is_away(
    origin: PrivateNginx, mirror: PrivateNginx
) -> None:
    location = f"http://127.0.0.1:{free_port()}"
    reader = Reader(location, mirror.url, origin.url)
    assert reader.read(f"{location}/{NAME}", pause=mirror.end) == PLAIN
    assert len(reader.notes) == 1


@pytest.mark.slow
def test_a_place_with_another_archive_does_not_take_over(
    origin: PrivateNginx, mirror: PrivateNginx, root: Path
) -> None:
    put(root / NAME, seal_plain(PLAIN[:-1]))
    reader = Reader(origin.url, mirror.url)
    with pytest.raises(ArchiveUnreachableError):
        reader.read(f"{origin.url}/{NAME}", pause=mirror.end)
    assert len(reader.notes) == 2
    assert "has another archive" in reader.notes[1]


def test_a_mirror_that_changes_in_the_middle_is_left(
    origin: PrivateNginx, mirror: PrivateNginx, mirror_root: Path
) -> None:
    reader = Reader(origin.url, mirror.url)
    other = seal_plain(bytes(4 * MIB))
    assert reader.read(f"{origin.url}/{NAME}", pause=lambda: put(mirror_root / NAME, other)) == PLAIN
    assert "is another file" in reader.notes[0]


def test_a_mirror_whose_bytes_are_not_authentic_is_left(
    origin: PrivateNginx, mirror: PrivateNginx, mirror_root: Path, tmp_path: Path
) -> None:
    spoilt = bytearray(SEALED)
    spoilt[3 * MIB + 17] ^= 1
    put(mirror_root / NAME, bytes(spoilt))
    reader = Reader(origin.url, mirror.url, cache=CacheOptions(tmp_path, 64 * MIB))
    assert reader.read(f"{origin.url}/{NAME}") == PLAIN
    assert "not authentic" in reader.notes[0]
    put(mirror_root / NAME, SEALED)
    assert reader.read(f"{origin.url}/{NAME}") == PLAIN  # nothing that was wrong was kept


def test_an_archive_that_is_damaged_everywhere_is_damaged(
    origin: PrivateNginx, mirror: PrivateNginx, root: Path, mirror_root: Path
) -> None:
    spoilt = bytearray(SEALED)
    spoilt[3 * MIB + 17] ^= 1
    put(mirror_root / NAME, bytes(spoilt))
    put(root / NAME, bytes(spoilt))
    with pytest.raises(ArchiveDamagedError):
        Reader(origin.url, mirror.url).read(f"{origin.url}/{NAME}")


def test_a_client_certificate_is_not_shown_to_a_mirror(
    origin: PrivateNginx,
    mirror_root: Path,
    authority: Identity,
    ca_file: Path,
    tmp_path: Path,
) -> None:
    client = make_leaf(authority)
    pair = tmp_path / "client.pem"
    pair.write_bytes(client.certificate_pem + client.key_pem)
    put(mirror_root / NAME, SEALED)
    with PrivateNginx(mirror_root, make_leaf(authority), authority) as strict:  # wants one
        reader = Reader(origin.tls_url, strict.tls_url, ca_file=ca_file, client_certificate=pair)
        assert reader.read(f"{origin.tls_url}/{NAME}") == PLAIN
        assert "400" in reader.notes[0]
        own = Reader(strict.tls_url, origin.tls_url + "/none", ca_file=ca_file, client_certificate=pair)
        assert own.read(f"{strict.tls_url}/{NAME}") == PLAIN  # to the archive's own server it is shown


# Registries


@pytest.fixture
def registries(
    authority: Identity, tmp_path: Path, cli: CommandLine, could_not_run: Callable[[Unavailable], None]
) -> Iterator[list[PrivateRegistry]]:
    """Two registries, the second with the archive."""
    with ExitStack() as later:
        servers = [later.enter_context(lent(PrivateRegistry, could_not_run)) for _each in range(2)]
        (tmp_path / NAME).write_bytes(SEALED)
        assert cli.run("push", tmp_path / NAME, f"oci://{servers[1].host}/drone/releases:1").status == 0
        yield servers


@pytest.mark.slow
def test_registries_stand_in_for_each_other(
    registries: list[PrivateRegistry], cli: CommandLine, tmp_path: Path
) -> None:
    mirror, origin = registries
    place = f"oci://{origin.host}/drone/releases:1"
    reader = Reader(f"oci://{origin.host}", f"oci://{mirror.host}")
    assert reader.read(place) == PLAIN
    assert "there is no oci://" in reader.notes.pop()
    assert cli.run("push", tmp_path / NAME, f"oci://{mirror.host}/drone/releases:1").status == 0
    assert reader.read(place, pause=mirror.end) == PLAIN
    assert len(reader.notes) == 1
    assert reader.read(place) == PLAIN  # the mirror is away from the start
    assert len(reader.notes) == 2


def test_a_login_is_shown_to_no_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    challenge = 'WWW-Authenticate: Basic realm="bed"'
    refuses = answer("401 Unauthorized", challenge, "Connection: close", body=b"{}")
    with FaultServer(refuses) as mirror, FaultServer(refuses) as origin:
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        document = {"auths": {f"127.0.0.1:{origin.port}": {"auth": auth}}}
        (tmp_path / "config.json").write_text(json.dumps(document))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        reader = Reader(f"oci://127.0.0.1:{origin.port}", f"oci://127.0.0.1:{mirror.port}")
        with pytest.raises(Exception, match="answers 401"):
            reader.read(f"oci://127.0.0.1:{origin.port}/drone:1")
    assert mirror.requests
    assert not any(b"Authorization" in request for request in mirror.requests)
    assert any(b"Authorization: Basic" in request for request in origin.requests)


# Which mirrors a place has


@pytest.mark.parametrize(
    ("location", "place", "expected"),
    [
        ("https://a/x", "https://a/x/b.age", "https://m/b.age"),
        ("https://a/x/", "https://a/x/b.age?v=1", "https://m/b.age?v=1"),
        ("https://a/x", "https://a/xy/b.age", None),
        ("https://a", "https://a:444/b.age", None),
        ("https://a", "http://a/b.age", None),
        ("oci://a", "oci://a/r:1", "oci://m/r:1"),
        ("oci://a", "oci://a:5000/r:1", None),
        ("oci://a/r", "oci://a/r:1", "oci://m:1"),
        ("oci://a/r", "oci://a/r/s:1", "oci://m/s:1"),
        ("oci://a/r", "oci://a/rs:1", None),
    ],
)
def test_a_mirror_is_for_what_lies_below_its_location(
    location: str, place: str, expected: str | None
) -> None:
    sort = location.partition(":")[0]
    options = HttpOptions(mirrors=parse_mirrors([{"location": location, "places": [f"{sort}://m/"]}]))
    assert [each for each, _options in find_mirrors(place, options)] == ([expected] if expected else [])


def test_the_longest_location_counts() -> None:
    rows = [{"location": f"https://a{path}", "places": [f"https://m{path}"]} for path in ("", "/x/y", "/x")]
    found = find_mirrors("https://a/x/y/b.age", HttpOptions(mirrors=parse_mirrors(rows)))
    assert [each for each, _options in found] == ["https://m/x/y/b.age"]


def test_plain_http_is_for_mirrors_that_were_said_to_speak_it() -> None:
    row = {"location": "https://a", "places": ["http://m"], "insecure_http": True}
    options = HttpOptions(mirrors=parse_mirrors([row]), client_certificate=Path("own.pem"))
    ((_place, theirs),) = find_mirrors("https://a/b.age", options)
    assert theirs.insecure_http
    assert theirs.client_certificate is None
    assert not options.insecure_http


@pytest.mark.parametrize(
    "row",
    [
        "https://a",
        {},
        {"location": "https://a"},
        {"location": "https://a", "places": []},
        {"location": "https://a", "places": "https://b"},
        {"location": "https://a", "places": ["oci://b"]},
        {"location": "/media", "places": ["https://b"]},
        {"location": "https://a", "places": ["https://b"], "ca_file": 1},
        {"location": "https://a", "places": ["https://b"], "insecure_http": "yes"},
        {"location": "https://a", "places": ["https://b"], "password": "x"},
    ],
    ids=str,
)
def test_a_mirror_that_makes_no_sense_is_refused(row: object) -> None:
    with pytest.raises(ConfigError, match="mirror"):
        parse_mirrors([row])


@pytest.mark.slow
def test_an_unlock_from_a_mirror_that_rots_ends_well(
    cli: CommandLine,
    origin: PrivateNginx,
    mirror: PrivateNginx,
    root: Path,
    mirror_root: Path,
    tmp_path: Path,
) -> None:
    release = make_age_release(tmp_path / "release", filler_bytes=12 * MIB, filler_kind="random")
    sealed = release.path.read_bytes()
    put(root / NAME, sealed)
    spoilt = bytearray(sealed)
    for at in range(3 * MIB, len(sealed), MIB // 3):
        spoilt[at] ^= 1
    put(mirror_root / NAME, bytes(spoilt))
    (cli.home / "fragment").write_bytes(FRAGMENT)
    (cli.home / "publisher.pem").write_bytes(KEY.public_key.serialise())
    (cli.home / "config.toml").write_text(
        f'[[mirror]]\nlocation = "{origin.url}"\nplaces = ["{mirror.url}"]\n'
    )
    cli = cli.with_environment(BINARY_SPLIT_CONFIG=str(cli.home / "config.toml"))
    secret = ("--fragment-file", "fragment", "--trusted-key", "publisher.pem")
    engine = ("--engine", f"oci:{tmp_path / 'images'}", "--cache", tmp_path / "cache")
    ran = cli.run("unlock", f"{origin.url}/{NAME}", *secret, *engine)
    assert ran.status == 0, ran
    assert ran.stderr.count("not authentic; going on with") == 1
    kept = list((tmp_path / "cache").glob("*-*"))
    assert kept
    for path in kept:
        assert path.read_bytes()[32:] in sealed


@pytest.mark.slow
def test_an_unlock_takes_its_mirrors_from_the_settings_and_says_which_failed(
    cli: CommandLine, mirror: PrivateNginx, mirror_root: Path, ca_file: Path, tmp_path: Path
) -> None:
    release = make_age_release(tmp_path / "release")
    put(mirror_root / NAME, release.path.read_bytes())
    (cli.home / "fragment").write_bytes(FRAGMENT)
    (cli.home / "publisher.pem").write_bytes(KEY.public_key.serialise())
    location = f"https://localhost:{free_port()}/releases"  # nobody is there
    (cli.home / "config.toml").write_text(
        f'[[mirror]]\nlocation = "{location}"\nca_file = "{ca_file}"\n'
        f'places = ["{mirror.tls_url}/none", "{mirror.tls_url}"]\n'
    )
    cli = cli.with_environment(BINARY_SPLIT_CONFIG=str(cli.home / "config.toml"))
    secret = ("--fragment-file", "fragment", "--trusted-key", "publisher.pem")
    ran = cli.run("unlock", f"{location}/{NAME}", *secret, "--engine", f"oci:{tmp_path / 'images'}")
    assert ran.status == 0, ran
    assert f"warning: the server of {mirror.tls_url}/none/{NAME} answers 404" in ran.stderr


@pytest.mark.slow
def test_a_mirror_that_has_another_archive_is_named(
    cli: CommandLine, origin: PrivateNginx, mirror: PrivateNginx, tmp_path: Path
) -> None:
    (cli.home / "fragment").write_bytes(FRAGMENT[::-1])
    (cli.home / "publisher.pem").write_bytes(KEY.public_key.serialise())
    (cli.home / "config.toml").write_text(
        f'[[mirror]]\nlocation = "{origin.url}"\nplaces = ["{mirror.url}"]\n'
    )
    secret = ("--fragment-file", "fragment", "--trusted-key", "publisher.pem")
    from_origin = cli.run("verify", f"{origin.url}/{NAME}", *secret)
    from_origin.assert_failed(12, "wrong fragment or damaged archive")
    assert "mirror" not in from_origin.stderr
    cli = cli.with_environment(BINARY_SPLIT_CONFIG=str(cli.home / "config.toml"))
    from_mirror = cli.run("verify", f"{origin.url}/{NAME}", *secret)
    from_mirror.assert_failed(12, "wrong fragment or damaged archive")
    assert f"what was read is the archive of the mirror {mirror.url}/{NAME}" in from_mirror.stderr
