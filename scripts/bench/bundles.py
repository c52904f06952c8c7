"""A bundle, plain and sealed in every form, and the commands that bring it into an engine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from bed.bundle import make_bundle, write_bundle
from binary_split.archive.age import generate_identity_text, parse_identity, serialise_recipient
from binary_split.archive.cbc import derive_key
from binary_split.config import MIB
from binary_split.model import Fragment
from scripts.bench.measuring import call
from scripts.bench.watching import Command

PROGRAM = str(Path(sys.executable).with_name("binary-split"))
JOBS = (sys.executable, "-m", "scripts.bench.jobs")
OLD, NEW = "1.0.0", "1.1.0"
FORMS = {
    "cbc": ("--format", "cbc"),
    "age": ("--compress", "none"),
    "zstd": ("--compress", "zstd"),
}


class Bundle:
    """Two versions of one release.

    Args:
        folder: where everything lies.
        size: bytes of all layers of one version.
        versions: which are made.
        forms: in which each is sealed.
        changed: shared layers that change from one version to the next, see `bed.bundle`.
    """

    def __init__(
        self,
        folder: Path,
        size: int,
        versions: Sequence[str],
        *,
        forms: Collection[str] = tuple(FORMS),
        changed: Collection[str] = (),
    ) -> None:
        self.folder = folder
        self.output = folder / "output"
        self._fragment = folder / "fragment"
        self._fragment.write_bytes(os.urandom(32))
        self._key = folder / "publisher"
        call((PROGRAM, "keygen", "-o", self._key))
        text = generate_identity_text()
        self._identity = folder / "recovery"
        self._identity.write_text(f"{text}\n")
        self._recipient = serialise_recipient(parse_identity(text).recipient)
        layers = folder / "layers"
        layers.mkdir()
        for version in versions:
            images = make_bundle(layers, version, size=size, changed=changed)
            write_bundle(self.plain(version), images)
            for form in forms:
                self._seal(form, version)
        shutil.rmtree(layers)
        if "cbc" in forms:
            self._separate_iv(versions[0])

    def _separate_iv(self, version: str) -> None:
        with self.sealed("cbc", version).open("rb") as sealed, self._ciphertext.open("wb") as rest:
            self._iv = sealed.read(16)
            shutil.copyfileobj(sealed, rest, MIB)

    @property
    def fragment(self) -> bytes:
        """The fragment for which it is sealed."""
        return self._fragment.read_bytes()

    @property
    def public_key(self) -> bytes:
        """The publisher's public key, PEM."""
        return Path(f"{self._key}.pub").read_bytes()

    def plain(self, version: str) -> Path:
        """Return the tar that ``docker load`` takes."""
        return self.folder / f"{version}.tar"

    def sealed(self, form: str, version: str) -> Path:
        """Return the archive in a form."""
        return self.folder / f"{version}.{form}"

    def inputs(self) -> list[Path]:
        """Return all that is read."""
        return [path for path in self.folder.iterdir() if path.is_file() and path != self.output]

    def load_plain(self, version: str) -> Command:
        """Load the plain tar, no secrecy at all."""
        return "docker", "load", "-q", "-i", self.plain(version)

    def decrypt_to_file(self) -> Command:
        """Decrypt to a file, as the original does, which loads that."""
        return *JOBS, "decrypt_archive", self.sealed("cbc", OLD), self._fragment, self.output

    def openssl(self) -> Command:
        """Decrypt to stdout; the key is worth nothing, so argv may hold it."""
        key = derive_key(Fragment(self._fragment.read_bytes())).hex()
        secret = ("-K", key, "-iv", self._iv.hex())
        return "openssl", "enc", "-d", "-aes-256-cbc", *secret, "-in", self._ciphertext

    def age(self) -> Command:
        """Decrypt to stdout."""
        return "age", "-d", "-i", self._identity, self.sealed("age", OLD)

    def unlock(self, form: str, version: str, state: Path, *options: str, fragment: bool = True) -> Command:
        """Unlock, all digests verified.

        Args:
            form: of the archive.
            version: of the release.
            state: folder of the journal.
            options: more of them.
            fragment: whether there is one; without it only an unlock that asks for none succeeds.
        """
        secret = self._fragment if fragment else self.folder / "no-such-file"
        where = ("--state", state, "--fragment-file", secret, "--trusted-key", f"{self._key}.pub")
        return PROGRAM, "unlock", self.sealed(form, version), "--version", version, *where, *options

    def _seal(self, form: str, version: str) -> None:
        to: tuple[str | Path, ...] = ("--fragment-file", self._fragment)
        if form != "cbc":
            to += ("--key-id", "bench", "--recipient", self._recipient)
        what = ("--version", version, "--sequence", str((OLD, NEW).index(version)), "--sign", self._key)
        origin = ("--from", f"docker-archive:{self.plain(version)}")
        call((PROGRAM, "seal", *FORMS[form], *what, *origin, *to, "-o", self.sealed(form, version)))

    @property
    def _ciphertext(self) -> Path:
        """The ``cbc`` archive without its IV, as ``openssl enc`` wants it."""
        return self.folder / "ciphertext"
