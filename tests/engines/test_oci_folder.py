"""An OCI folder as an engine: what it keeps, what it removes, and what a killed load leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from binary_split.engines import open_engine
from binary_split.errors import EngineAnswerError, ImageMissingError
from binary_split.model import ImageRef
from tests.archives import Sealed, read_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "layout"


def blobs(folder: Path) -> set[str]:
    return {path.name for path in (folder / "blobs" / "sha256").iterdir()}


def rewrite_index(folder: Path, **changes: object) -> None:
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**index, **changes}))


def test_an_image_whose_last_reference_moves_away_is_removed(
    folder: Path, release: Sealed, changed_release: Sealed
) -> None:
    engine = open_engine(f"oci:{folder}")
    engine.load(iter([changed_release.tar.read_bytes()]))
    expected = blobs(folder)
    engine.load(iter([release.tar.read_bytes()]))
    engine.load(iter([changed_release.tar.read_bytes()]))
    assert blobs(folder) == expected
    one, two = release.images
    engine.tag(one, two)
    assert blobs(folder) < expected
    assert engine.find_image(two) == read_images(changed_release.tar)[one]


def test_blobs_of_images_that_cannot_be_read_are_kept(folder: Path, release: Sealed) -> None:
    engine = open_engine(f"oci:{folder}")
    engine.load(iter([release.tar.read_bytes()]))
    before = blobs(folder)
    index = json.loads((folder / "index.json").read_text())
    rewrite_index(folder, manifests=[*index["manifests"], {"digest": "sha512:0", "size": 1}])
    engine.untag(release.images[0])
    assert engine.find_image(release.images[0]) is None
    assert blobs(folder) == before


def test_what_the_index_says_besides_is_kept(folder: Path, release: Sealed) -> None:
    engine = open_engine(f"oci:{folder}")
    engine.load(iter([release.tar.read_bytes()]))
    rewrite_index(folder, annotations={"org.example": "kept"})
    engine.tag(release.images[0], ImageRef.parse("other/x:1"))
    engine.untag(release.images[0])
    assert json.loads((folder / "index.json").read_text())["annotations"] == {"org.example": "kept"}


def test_an_image_that_is_named_by_its_tag_alone_can_be_removed(folder: Path, release: Sealed) -> None:
    engine = open_engine(f"oci:{folder}")
    engine.load(iter([release.tar.read_bytes()]))
    one, two = release.images
    engine.untag(two)
    entry = json.loads((folder / "index.json").read_text())["manifests"][0]
    names = {"org.opencontainers.image.ref.name": one.tag}
    rewrite_index(folder, manifests=[{**entry, "annotations": names}])
    assert engine.find_image(one) is not None
    engine.untag(one)
    assert engine.list_images() == ()
    assert blobs(folder) == set()


def test_a_folder_that_is_not_there_has_no_images(folder: Path) -> None:
    engine = open_engine(f"oci:{folder}")
    ref = ImageRef.parse("contract/one:1")
    assert engine.list_images() == ()
    engine.untag(ref)
    with pytest.raises(ImageMissingError):
        engine.tag(ref, ref)
    assert not folder.exists()
    assert engine.describe().data_root is None


@pytest.mark.fault(21)
@pytest.mark.parametrize("content", ["{", "[]", '{"manifests": [5]}'])
def test_a_malformed_index_is_not_written_again(folder: Path, release: Sealed, content: str) -> None:
    engine = open_engine(f"oci:{folder}")
    engine.load(iter([release.tar.read_bytes()]))
    (folder / "index.json").write_text(content)
    with pytest.raises(EngineAnswerError):
        engine.untag(release.images[0])
    assert (folder / "index.json").read_text() == content


def test_what_a_killed_load_left_is_removed_by_the_next_and_a_running_one_is_not(
    folder: Path, release: Sealed
) -> None:
    code = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from binary_split.engines import open_engine
        def chunks():
            yield Path(sys.argv[2]).read_bytes()[:500_000]
            print("waiting", flush=True)
            time.sleep(60)
        open_engine("oci:" + sys.argv[1]).load(chunks())
    """)
    command = [sys.executable, "-c", code, str(folder), str(release.tar)]
    engine = open_engine(f"oci:{folder}")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
        try:
            assert load.stdout is not None
            assert load.stdout.readline() == "waiting\n"
            engine.load(iter([release.tar.read_bytes()]))
            assert len(list(folder.glob(".load-*"))) == 1
        finally:
            os.kill(load.pid, signal.SIGKILL)
    engine.load(iter([release.tar.read_bytes()]))
    assert list(folder.glob(".load-*")) == []
    assert {ref: engine.find_image(ref) for ref in release.images} == read_images(release.tar)
