"""Podman's own ways: its names, and the whole job with it on both ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from bed.podman import PrivatePodman
from binary_split.engines import Engine, open_engine
from binary_split.errors import EngineAnswerError
from binary_split.model import ImageRef
from tests.archives import Sealed, read_images
from tests.commandline import CommandLine
from tests.engines.conftest import make_container
from tests.engines.tars import take_apart, write_tar

pytestmark = pytest.mark.engine


@pytest.fixture
def engine(
    fresh_podman: PrivatePodman, clean_docker_environment: None, monkeypatch: pytest.MonkeyPatch
) -> Engine:
    monkeypatch.setenv("CONTAINER_HOST", fresh_podman.host)
    return open_engine("podman")


def names(podman: PrivatePodman) -> set[str]:
    return set(podman.image_ids())


def retag(podman: PrivatePodman, name: str, repository: str) -> None:
    podman.ask("POST", f"/v1.41/images/{name}/tag?repo={repository}&tag=2.0.0")


def test_an_image_of_a_docker_archive_is_found_and_saved_as_docker_names_it(
    engine: Engine, fresh_podman: PrivatePodman, release: Sealed, tmp_path: Path
) -> None:
    engine.load(iter([release.tar.read_bytes()]))  # two images: Podman reads it as a docker archive
    before = {"localhost/contract/one:2.0.0", "localhost/contract/two:2.0.0"}
    assert names(fresh_podman) == before
    saved = tmp_path / "saved.tar"
    saved.write_bytes(b"".join(engine.save(release.images)))
    assert read_images(saved) == read_images(release.tar)
    assert names(fresh_podman) == before


def test_an_image_of_an_oci_layout_is_dockers(
    engine: Engine, fresh_podman: PrivatePodman, release: Sealed
) -> None:
    image = next(iter(take_apart(release.tar).values()))
    engine.load(iter([write_tar([image], has_docker_manifest=False)]))
    assert names(fresh_podman) == {"docker.io/contract/one:2.0.0"}
    assert engine.find_image(image.ref) == read_images(release.tar)[image.ref]
    assert engine.list_images()[0].refs == (image.ref,)


def test_a_moved_reference_is_what_podman_would_run(
    engine: Engine, fresh_podman: PrivatePodman, release: Sealed
) -> None:
    engine.load(iter([release.tar.read_bytes()]))
    one, two = release.images
    engine.tag(two, one)
    other = {"localhost/contract/one:2.0.0", "localhost/contract/two:2.0.0"}
    assert names(fresh_podman) == {"docker.io/contract/one:2.0.0", *other}
    run = fresh_podman.ask("GET", "/v1.41/images/contract/one:2.0.0/json")
    assert run["Id"] == str(read_images(release.tar)[two].id)
    assert sum(map(len, engine.save([one]))) > 1_000_000
    engine.untag(one)
    assert names(fresh_podman) == {"localhost/contract/two:2.0.0"}


def test_a_reference_moves_away_from_an_image_that_a_container_uses(
    engine: Engine, fresh_podman: PrivatePodman, release: Sealed
) -> None:
    engine.load(iter([release.tar.read_bytes()]))
    one, two = release.images
    make_container(fresh_podman, one)
    engine.tag(two, one)
    assert engine.find_image(one) == engine.find_image(two)
    assert read_images(release.tar)[one].id in {image.id for image in engine.list_images()}


def test_of_two_images_of_one_reference_the_one_that_podman_would_run_is_found_and_none_is_saved(
    engine: Engine, fresh_podman: PrivatePodman, release: Sealed
) -> None:
    engine.load(iter([release.tar.read_bytes()]))
    one = release.images[0]
    retag(fresh_podman, "localhost/contract/two:2.0.0", "docker.io/contract/one")
    assert engine.find_image(one) == read_images(release.tar)[one]
    before = names(fresh_podman)
    with pytest.raises(EngineAnswerError, match="two images contract/one"):
        list(engine.save([one]))
    assert names(fresh_podman) == before
    engine.untag(one)
    assert engine.find_image(one) is None


def test_a_reference_with_a_registry_is_one_name(
    engine: Engine, fresh_podman: PrivatePodman, release: Sealed
) -> None:
    engine.load(iter([release.tar.read_bytes()]))
    far = ImageRef.parse("registry.example.com:5000/x:1")
    engine.tag(release.images[0], far)
    assert "registry.example.com:5000/x:1" in names(fresh_podman)
    assert engine.find_image(far) == read_images(release.tar)[release.images[0]]
    engine.untag(far)
    assert engine.find_image(far) is None


@pytest.mark.slow
def test_a_release_is_sealed_from_podman_and_unlocked_into_it(
    engine: Engine, fresh_podman: PrivatePodman, release: Sealed, cli: CommandLine, tmp_path: Path
) -> None:
    engine.load(iter([release.tar.read_bytes()]))
    fragment, archive = tmp_path / "fragment", tmp_path / "release.cbc"
    fragment.write_bytes(b"a fragment that opens this release")
    program = cli.with_environment(CONTAINER_HOST=fresh_podman.host)
    images = [option for ref in release.images for option in ("--image", ref)]
    sealed = program.run(
        *("seal", "--format", "cbc", "--version", "2.0.0", "--from", "podman", *images),
        *("--fragment-file", fragment, "-o", archive, "--json"),
    )
    assert sealed.status == 0, sealed
    fresh_podman.empty()
    pins = [f"--image-id={ref}={image.id}" for ref, image in read_images(release.tar).items()]
    unlock = ["unlock", archive, "--version", "2.0.0", "--fragment-file", fragment, "--engine", "podman"]
    unlocked = program.run(*unlock, *images, *pins)
    assert unlocked.status == 0, unlocked
    assert {ref: engine.find_image(ref) for ref in release.images} == read_images(release.tar)
    again = program.run(*unlock, *images, *pins)
    assert "nothing was loaded" in again.stderr, again
    assert program.run("check", "--version", "2.0.0", "--engine", "podman", *images, *pins).status == 0
