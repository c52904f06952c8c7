"""A private forward proxy on loopback: tinyproxy, as Debian has it."""

from __future__ import annotations

import shutil

from bed import processes
from bed.private import PrivateServer, free_port, is_listening
from bed.unavailable import Unavailable

USER, PASSWORD = "device", "open-sesame"  # tinyproxy takes no spaces in it

_CONFIGURATION = """\
Port {port}
Listen 127.0.0.1
Timeout 60
LogLevel Connect
Allow 127.0.0.1
"""


class PrivateProxy(PrivateServer):
    """Passes on what it is asked for, by http and by CONNECT, until it is left.

    Args:
        is_closed: only for `USER` with `PASSWORD`.
    """

    start_timeout_s = 10
    stop_timeout_s = 5

    def __init__(self, *, is_closed: bool = False) -> None:
        super().__init__()
        self._is_closed = is_closed
        self.port = 0

    @property
    def url(self) -> str:
        """Its own address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the proxy and wait until it listens.

        Raises:
            Unavailable: this machine cannot run it; nothing is left behind.
        """
        program = shutil.which("tinyproxy")
        if program is None:
            raise Unavailable("tinyproxy", "is not installed")
        folder = self._make_folder("bed-proxy-")
        self.port = free_port()
        text = _CONFIGURATION.format(port=self.port)
        if self._is_closed:
            text += f"BasicAuth {USER} {PASSWORD}\n"
        (folder / "proxy.conf").write_text(text)
        command = [program, "-d", "-c", str(folder / "proxy.conf")]
        if not self._launch([*processes.ending_with_parent(), *command], lambda: is_listening(self.port)):
            raise self._did_not_start("tinyproxy")

    def passed(self) -> list[str]:
        """Return the first lines of what it was asked for."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line.partition("): ")[2] for line in lines if "Request (file descriptor" in line]
