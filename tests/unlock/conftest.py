from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from binary_split.engines import Engine
from binary_split.engines.oci_folder import OciFolder
from binary_split.model import Digest, ImagePins, ImageRef, Progress
from binary_split.unlock.journal import Journal
from binary_split.unlock.order import FragmentSource, UnlockOrder, UnlockResult
from binary_split.unlock.pipeline import unlock
from tests.archives import Fragments, Sealed, make_sealed

NAMES = ("azaion/flights", "azaion/autopilot", "azaion/detections")


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """A small release of three images that share layers, as Docker 25 and later save it."""
    return make_sealed(tmp_path_factory.mktemp("sealed"), "1.0.0", NAMES)


@pytest.fixture(scope="session")
def classic(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """The same as Docker 20.10 saves it."""
    return make_sealed(tmp_path_factory.mktemp("classic"), "1.0.0", NAMES, style="classic")


@dataclass
class Device:
    """A device whose engine is a folder."""

    folder: Path
    engine: Engine
    progress: list[Progress] = field(default_factory=list)

    def unlock(
        self,
        archive: Path,
        pins: ImagePins | None,
        *,
        images: Iterable[ImageRef] | None = None,
        source: FragmentSource | None = None,
    ) -> UnlockResult:
        self.progress.clear()
        order = UnlockOrder(archive, tuple(images if images is not None else pins or ()), pins)
        return unlock(order, self.engine, source or Fragments(), self.journal, report=self.progress.append)

    @property
    def journal(self) -> Journal:
        return Journal(self.folder.with_name("state"), self.engine.describe())

    def steps(self) -> list[str]:
        """Return the steps that were reported, in order, each once."""
        return list(dict.fromkeys(progress.step for progress in self.progress))

    def files(self) -> list[str]:
        return sorted(str(path) for path in self.folder.rglob("*") if path.is_file())

    def ids(self, images: Iterable[ImageRef]) -> dict[ImageRef, Digest]:
        found = {ref: self.engine.find_image(ref) for ref in images}
        return {ref: image.id for ref, image in found.items() if image}

    @classmethod
    def of(cls, folder: Path) -> Device:
        return cls(folder, OciFolder(folder))


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device.of(tmp_path / "engine")
