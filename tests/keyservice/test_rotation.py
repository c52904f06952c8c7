"""Rotation of the key-encryption key: killed anywhere, every fragment is still readable and it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from binary_split.errors import KeyEncryptionKeyError
from binary_split.keyservice.database import reading
from binary_split.keyservice.kek_files import create_kek, kek_paths, next_kek_path, read_keks
from binary_split.keyservice.keyring import read_kek_rows
from binary_split.keyservice.releases import ReleaseRequest
from binary_split.keyservice.rotation import RotationReport, rotate_kek
from binary_split.keyservice.store import Store
from binary_split.model import Fragment
from tests.keyservice.conftest import HOUR
from tests.keyservice.places import Place, result

KEYS = 12
KILLS = 8

ROTATE = """
import binary_split.keyservice.rotation as rotation
rotation._BATCH = 1  # many commits, so that kills find many places
def told(name):
    step = getattr(rotation, name)
    def run(*arguments, **named):
        print(name, flush=True)
        return step(*arguments, **named)
    setattr(rotation, name, run)
for name in ("_begin", "_reseal_some", "_end"):
    told(name)
from binary_split.keyservice.database import reading
from binary_split.keyservice.kek_files import create_kek, next_kek_path, read_keks
store = open_state(folder, busy_timeout_s=20)
print("ready", flush=True)
keks = read_keks(folder, unwrap=bytes)
rotation.rotate_kek(store.ledger, store.ring, keks, lambda: create_kek(next_kek_path(folder)))
store.close()
print(json.dumps([]))
"""


def rotate(store: Store, place: Place) -> RotationReport:
    keks = read_keks(place.folder, unwrap=bytes)
    return rotate_kek(store.ledger, store.ring, keks, lambda: create_kek(next_kek_path(place.folder)))


def fill(store: Store) -> dict[str, str]:
    tokens = {}
    for number in range(KEYS):
        store.keys.add(f"k{number}", Fragment(f"fragment {number}".encode()))
        tokens[f"k{number}"] = store.tokens.issue(f"k{number}", lifetime=HOUR).text
    return tokens


def assert_readable(store: Store, tokens: dict[str, str]) -> None:
    futures = {key: store.submit_release(ReleaseRequest(token=token)) for key, token in tokens.items()}
    for key_id, future in futures.items():
        assert future.result(timeout=30).fragment.reveal() == f"fragment {key_id[1:]}".encode()


def test_every_fragment_is_sealed_anew_and_the_old_key_is_needed_no_more(place: Place) -> None:
    store = place.open()
    tokens = fill(store)
    store.keys.destroy("k0")
    del tokens["k0"]
    report = rotate(store, place)
    assert report == RotationReport("kek-2", ("kek-1",), KEYS, was_resumed=False)
    assert_readable(store, tokens)
    store.close()
    assert [path.name for path in kek_paths(place.folder)] == ["kek", "kek.2"]
    (place.folder / "kek").unlink()
    store = place.open()
    assert_readable(store, tokens)
    assert rotate(store, place).active == "kek-3"
    store.close()
    assert [path.name for path in kek_paths(place.folder)] == ["kek.2", "kek.3"]


def test_a_running_service_reads_what_another_process_rotated(place: Place) -> None:
    store = place.open()
    tokens = fill(store)
    with place.process(ROTATE) as other:
        result(other)
    assert_readable(store, tokens)
    store.keys.add("new", Fragment(b"new"))
    store.close()


def test_a_key_that_was_put_there_for_the_rotation_is_taken(place: Place) -> None:
    store = place.open()
    tokens = fill(store)
    create_kek(place.folder / "kek.7")
    assert rotate(store, place).active == "kek-2"
    assert [path.name for path in kek_paths(place.folder)] == ["kek", "kek.7"]
    assert_readable(store, tokens)
    store.close()


@pytest.mark.fault(58)
def test_while_a_rotation_is_under_way_neither_key_may_be_missing(place: Place) -> None:
    store = place.open()
    fill(store)
    rotate(store, place)
    store.close()
    place.sql("UPDATE keks SET state = 'retiring' WHERE kek_id = 'kek-1'")
    for name in ("kek", "kek.2"):
        (place.folder / name).rename(place.folder / "away")
        with pytest.raises(KeyEncryptionKeyError, match="missing"):
            place.open()
        (place.folder / "away").rename(place.folder / name)
    place.open().close()


@pytest.mark.fault(58)
@pytest.mark.slow
def test_a_rotation_that_is_killed_anywhere_loses_nothing_and_is_finished(place: Place) -> None:
    store = place.open(busy_timeout_s=20)
    tokens = fill(store)
    store.close()
    interrupted = 0
    for kill in range(KILLS):
        with place.process(ROTATE) as victim:
            assert victim.stdout is not None
            assert victim.stdout.readline() == "ready\n"
            for _ in range(kill):  # a step later each time, and then wherever in the step it is
                if not victim.stdout.readline():
                    break  # an earlier one had come that far: this one has finished it
            victim.kill()
            victim.wait()
        store = place.open(busy_timeout_s=20)
        assert_readable(store, tokens)
        with reading(store.engine) as connection:
            interrupted += any(row.state == "retiring" for row in read_kek_rows(connection))
        store.close()
    assert interrupted, "no kill found the rotation under way: nothing was tested"
    with place.process(ROTATE) as last:
        result(last)
    store = place.open(busy_timeout_s=20)
    assert_readable(store, tokens)
    store.audit.verify()
    store.close()
    _assert_one_key_is_enough(place, tokens)


def _assert_one_key_is_enough(place: Place, tokens: dict[str, str]) -> None:
    """Try the key files alone: one of them must open everything, and the others nothing."""
    paths = kek_paths(place.folder)
    away = place.folder.parent / "away"
    away.mkdir()
    moved: list[Path] = [path.rename(away / path.name) for path in paths]
    good = []
    for path in moved:
        path.rename(place.folder / path.name)
        try:
            store = place.open()
            assert_readable(store, tokens)
            store.close()
            good.append(path.name)
        except KeyEncryptionKeyError:
            pass
        (place.folder / path.name).rename(path)
    assert len(good) == 1
