"""What an engine's machine runs, in the words of uname, of the engines and of image configs."""

from __future__ import annotations

import pytest

from binary_split.engines.platforms import is_native, parse_machine, verify_native
from binary_split.errors import PlatformError
from binary_split.model import ImageRef


@pytest.mark.parametrize(
    ("system", "architecture", "platform"),
    [
        ("linux", "x86_64", "linux/amd64"),
        ("linux", "aarch64", "linux/arm64"),
        ("linux", "armv7l", "linux/arm"),
        ("linux", "amd64", "linux/amd64"),
        ("windows", "x86_64", "windows/amd64"),
        ("linux", "loongarch64", None),
        ("linux", None, None),
        ("", "x86_64", None),
        (None, {}, None),
    ],
)
def test_a_machine_is_called_as_images_call_it_or_not_known(
    system: object, architecture: object, platform: str | None
) -> None:
    assert parse_machine(system, architecture) == platform


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    ("image", "engine", "native"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/386", "linux/amd64", True),
        ("linux/arm/v7", "linux/arm64", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm64/v8", "linux/amd64", False),
        ("linux/amd64", "linux/arm64", False),
        ("linux/amd64", "linux/386", False),
        ("windows/amd64", "linux/amd64", False),
    ],
)
def test_only_what_a_machine_runs_by_itself_is_native(image: str, engine: str, native: bool) -> None:
    assert is_native(image, engine) is native


def test_an_image_for_another_machine_is_named_with_both() -> None:
    ref = ImageRef.parse("azaion/flights:1.0.0")
    with pytest.raises(PlatformError, match=r"flights:1\.0\.0 is for linux/arm64, .* is linux/amd64"):
        verify_native(ref, "linux/arm64", "linux/amd64")
    verify_native(ref, "linux/amd64", "linux/amd64")
    verify_native(ref, "linux/arm64", None)
