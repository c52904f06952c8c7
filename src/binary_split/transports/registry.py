"""An archive in an OCI registry: pushed as an artifact, and read there like any file on a web server.

OCI Distribution specification 1.1; the artifact is an image manifest with ``artifactType`` and one layer, the
archive as it is (OCI image-spec 1.1, "Guidelines for Artifact Usage").
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from binary_split.config import LIMITS
from binary_split.errors import (
    ArchiveUnreachableError,
    ArchiveUnreadableError,
    ConfigError,
    RegistryError,
)
from binary_split.oci.blob import hash_bytes
from binary_split.transports.answers import verify_answered
from binary_split.transports.credentials import find_login
from binary_split.transports.http_pool import PassingError, asked, make_pool, verify_url
from binary_split.transports.open_sockets import OpenSockets
from binary_split.transports.options import HttpOptions
from binary_split.transports.patience import ask_patiently
from binary_split.transports.ranges import RangeClient
from binary_split.transports.registry_access import RegistryAccess

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT = "application/vnd.binary-split.archive.v1"
_EMPTY = "application/vnd.oci.empty.v1+json"
EMPTY_CONTENT = b"{}"
_REFERENCE = re.compile(
    r"oci://(?P<host>[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9a-f:]+\](:[0-9]{1,5})?)"
    r"/(?P<repository>[a-z0-9]+([._/-]+[a-z0-9]+)*)"
    r"(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?")


@dataclass(frozen=True, slots=True)
class RegistryReference:
    """The place of an artifact: ``oci://HOST/REPOSITORY:TAG``, or ``@sha256:…``."""

    host: str
    repository: str
    name: str

    @classmethod
    def parse(cls, text: str) -> RegistryReference:
        """Parse a reference; the digest, which leaves nothing open, comes before the tag.

        Raises:
            ConfigError: it is none.
        """
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise ConfigError(
                f"not a place in a registry: {text[:200]!r}", hint="Write oci://HOST/REPOSITORY:TAG."
            )
        return cls(match["host"], match["repository"], match["digest"] or match["tag"] or "latest")

    def __str__(self) -> str:
        mark = "@" if self.name.startswith("sha256:") else ":"
        return f"oci://{self.host}/{self.repository}{mark}{self.name}"


class Registry:
    """One repository of a registry.

    Args:
        reference: what is read or written there.
        options: how it is reached; plain http is for loopback, unless they allow it.

    Raises:
        ConfigError: an option cannot be used.
        RegistryError: a helper program gives no login.
    """

    def __init__(self, reference: RegistryReference, options: HttpOptions) -> None:
        self.reference = reference
        self.options = options
        self.address = f"{_scheme(reference, options)}://{reference.host}/v2/{reference.repository}"
        verify_url(self.address, insecure_http=options.insecure_http)
        self._open = OpenSockets()
        self._pool = make_pool(options, self._open)
        login = find_login(reference.host, reference.repository)
        self.access = RegistryAccess(self._pool, login, insecure_http=options.insecure_http)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    @contextmanager
    def asked(
        self, method: str, url: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> Iterator[BaseHTTPResponse]:
        """Give an answer of the registry, whatever its status; it is closed when it is left.

        Raises:
            ArchiveUnreachableError: there is none.
            ArchiveUnreadableError: the registry cannot prove who it is.
        """
        try:
            with self._asked(method, url, headers or {}, body) as response:
                yield response
        except PassingError as error:
            raise ArchiveUnreachableError(f"cannot reach {self.reference.host}: {error}") from error

    def _asked(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> AbstractContextManager[BaseHTTPResponse]:
        return asked(self._pool, self._open, method, url, headers, body=body, access=self.access)

    def find_archive(self, patience_s: float, ended: threading.Event | None = None) -> str:
        """Return the digest of the archive that the reference means.

        Args:
            patience_s: how long the registry is waited for.
            ended: once it is set nothing is waited for any more.

        Raises:
            ArchiveUnreadableError: there is no such artifact.
            RegistryError: the registry refuses, or what is there holds no archive.
            ArchiveUnreachableError: it does not answer.
        """
        with self._open.cut_after(patience_s + LIMITS.http_read_timeout_s):
            content = ask_patiently(
                self._fetch_manifest,
                what=str(self.reference),
                patience_s=patience_s,
                ended=ended or threading.Event(),
                note=self.options.note,
            )
        name = self.reference.name
        if name.startswith("sha256:") and str(hash_bytes(content)) != name:
            raise RegistryError(f"the manifest at {self.reference} is another one")
        return _parse_manifest(content, self.reference)

    def _fetch_manifest(self) -> bytes:
        url = f"{self.address}/manifests/{self.reference.name}"
        with self._asked("GET", url, {"Accept": MANIFEST}) as response:
            verify_answered(response)
            content = response.read(LIMITS.manifest_bytes + 1)
            if response.status == 404:
                raise ArchiveUnreadableError(f"there is no {self.reference}", hint="Check the reference.")
            if response.status != 200:
                raise RegistryError(f"{self.reference.host} answers {response.status}")
        return content

    def open_blob(self, digest: str, ended: threading.Event) -> RangeClient:
        """Return what reads a blob, until the event is set."""
        return RangeClient(f"{self.address}/blobs/{digest}", self.options, ended, self.access)


def serialise_manifest(digest: str, size: int, annotations: dict[str, str]) -> bytes:
    """Return the manifest of an artifact that is an archive."""
    empty = {"mediaType": _EMPTY, "digest": str(hash_bytes(EMPTY_CONTENT)), "size": len(EMPTY_CONTENT)}
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ARTIFACT,
        "config": empty,
        "layers": [{"mediaType": ARTIFACT, "digest": digest, "size": size, "annotations": annotations}],
        "annotations": annotations,
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def _parse_manifest(content: bytes, reference: RegistryReference) -> str:
    try:
        document: Any = json.loads(content)
        (layer,) = document["layers"]
        digest = layer["digest"]
        is_archive = ARTIFACT in {document.get("artifactType"), layer["mediaType"]}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _no_archive(reference) from error
    if not is_archive or not isinstance(digest, str) or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise _no_archive(reference)
    return digest


def _no_archive(reference: RegistryReference) -> RegistryError:
    return RegistryError(f"{reference} holds no archive", hint="Push it with `binary-split push`.")


def _scheme(reference: RegistryReference, options: HttpOptions) -> str:
    """Plain http is what loopback registries speak, unless a CA says otherwise."""
    is_plain = options.insecure_http or (_LOOPBACK.fullmatch(reference.host) and options.ca_file is None)
    return "http" if is_plain else "https"
