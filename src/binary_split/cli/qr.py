"""A sealed fragment as a QR code, in a picture or on the terminal. Needs segno (extra ``qr``)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from binary_split.errors import ConfigError
from binary_split.files import write_atomically

if TYPE_CHECKING:
    import segno

_KINDS = {".png", ".svg"}
_SCALE = 6  # pixels a module: phones and cheap cameras read it from a screen
_BORDER = 4  # modules, as ISO/IEC 18004 asks


def check_qr_target(target: Path) -> None:
    """Refuse early what could not be drawn: another kind of file, or no library to draw with.

    Raises:
        ConfigError: it is neither ``-`` nor a ``.png`` or ``.svg`` file.
        ModuleNotFoundError: segno is not installed.
    """
    if str(target) != "-" and target.suffix.lower() not in _KINDS:
        raise ConfigError(f"--qr {target}: a QR code goes to a .png or .svg file, or to - for the terminal")
    import segno  # noqa: F401 - only whether it is there


def draw_qr(text: bytes, target: Path) -> str | None:
    """Draw a QR code into a file, or return it as lines of blocks for the terminal where the target is ``-``.

    Raises:
        ConfigError: the text is too long for a QR code (2953 bytes).
        OutputError: the file cannot be written.
    """
    code = _encode(text)
    if str(target) == "-":
        lines = io.StringIO()
        code.terminal(out=lines, border=_BORDER, compact=True)
        return lines.getvalue().rstrip("\n")
    with write_atomically(target) as file:
        picture = io.BytesIO()
        code.save(picture, kind=target.suffix.lower().removeprefix("."), scale=_SCALE, border=_BORDER)
        file.write(picture.getvalue())
    return None


def _encode(text: bytes) -> segno.QRCode:
    import segno

    try:
        return segno.make_qr(text.decode("ascii"), error="l", boost_error=True)
    except segno.DataOverflowError:
        raise ConfigError(
            f"{len(text)} bytes do not fit into a QR code", hint="Carry the file instead of a picture."
        ) from None
