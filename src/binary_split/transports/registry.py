"""An archive in an OCI registry: pushed as an artifact, and read there like any file on a web server.

OCI Distribution specification 1.1; the artifact is an image manifest with ``artifactType`` and one layer, the
archive as it is (OCI image-spec 1.1, "Guidelines for Artifact Usage").
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import urllib3.exceptions

from binary_split.config import LIMITS
from binary_split.errors import (
    ArchiveUnreachableError,
    ArchiveUnreadableError,
    ConfigError,
    RegistryError,
)
from binary_split.oci.blob import hash_bytes
from binary_split.transports.credentials import find_login
from binary_split.transports.http_pool import PassingError, explain, make_pool, send, verify_url
from binary_split.transports.options import HttpOptions
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
        self._pool = make_pool(options)
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
        headers = headers or {}
        try:
            response = send(self._pool, method, url, headers | self.access.headers(), body)
            if response.status == 401 and self.access.renew(response):
                response.close()
                response = send(self._pool, method, url, headers | self.access.headers(), body)
            with _released(response):
                yield response
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            meaning = explain(error)
            if isinstance(meaning, PassingError):
                raise ArchiveUnreachableError(f"cannot reach {self.reference.host}: {meaning}") from error
            raise meaning from error

    def find_archive(self) -> str:
        """Return the digest of the archive that the reference means.

        Raises:
            ArchiveUnreadableError: there is no such artifact.
            RegistryError: the registry refuses, or what is there holds no archive.
            ArchiveUnreachableError: it does not answer.
        """
        with self.asked(
            "GET", f"{self.address}/manifests/{self.reference.name}", {"Accept": MANIFEST}
        ) as response:
            content = response.read(LIMITS.manifest_bytes + 1)
            if response.status == 404:
                raise ArchiveUnreadableError(f"there is no {self.reference}", hint="Check the reference.")
            if response.status != 200:
                raise RegistryError(f"{self.reference.host} answers {response.status}")
        name = self.reference.name
        if name.startswith("sha256:") and str(hash_bytes(content)) != name:
            raise RegistryError(f"the manifest at {self.reference} is another one")
        return _parse_manifest(content, self.reference)

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
        raise RegistryError(
            f"{reference} holds no archive", hint="Push it with `binary-split push`."
        ) from error
    if not is_archive or not isinstance(digest, str) or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise _no_archive(reference)
    return digest


def _no_archive(reference: RegistryReference) -> RegistryError:
    return RegistryError(f"{reference} holds no archive", hint="Push it with `binary-split push`.")


def _scheme(reference: RegistryReference, options: HttpOptions) -> str:
    """Plain http is what loopback registries speak, unless a CA says otherwise."""
    is_plain = options.insecure_http or (_LOOPBACK.fullmatch(reference.host) and options.ca_file is None)
    return "http" if is_plain else "https"


@contextmanager
def _released(response: BaseHTTPResponse) -> Iterator[None]:
    """Use the connection again where the body was read to its end."""
    try:
        yield
    finally:
        if response.length_remaining in {0, None}:
            response.drain_conn()
            response.release_conn()
        else:
            response.close()
