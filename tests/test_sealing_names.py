"""An image with several references is one image, however its source exports it."""

from __future__ import annotations

import json
from pathlib import Path

from bed.images import write_oci_layout
from tests.commandline import CommandLine


def test_an_image_that_a_folder_names_twice_is_sealed_once_and_opens(
    cli: CommandLine, tmp_path: Path
) -> None:
    folder, archive, fragment = tmp_path / "layout", tmp_path / "x.age", tmp_path / "fragment"
    ids = write_oci_layout(folder, "1.0.0", names=("azaion/flights", "azaion/autopilot"))
    index = json.loads((folder / "index.json").read_text())
    again = index["manifests"][0] | {
        "annotations": {
            "io.containerd.image.name": "docker.io/azaion/detections:1.0.0",
            "org.opencontainers.image.ref.name": "1.0.0",
        }
    }
    index["manifests"].append(again)
    (folder / "index.json").write_text(json.dumps(index))
    fragment.write_bytes(bytes(range(32)))
    names = [option for name in (*ids, "azaion/detections:1.0.0") for option in ("--image", name)]
    who = ("--key-id", "a", "--fragment-file", fragment)
    sealed = cli.run("seal", "--version", "1.0.0", "--from", f"oci:{folder}", *names, *who, "-o", archive)
    assert sealed.status == 0, sealed
    verified = cli.run("verify", archive, "--fragment-file", fragment, "--allow-unsigned", "--json")
    assert verified.status == 0, verified
    assert sorted(verified.document["images"]) == sorted((*ids, "azaion/detections:1.0.0"))
