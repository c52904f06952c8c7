"""An OCI registry: one repository of it, asked by whoever we are there (OCI distribution-spec 1.1)."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

from binary_split.config import LIMITS
from binary_split.errors import ArchiveUnreadableError, RegistryError
from binary_split.oci.blob import hash_bytes
from binary_split.transports.options import HttpOptions
from binary_split.transports.registry.access import RegistryAccess
from binary_split.transports.registry.artifact import INDEX, MANIFEST, parse_index, parse_manifest
from binary_split.transports.registry.credentials import find_login
from binary_split.transports.registry.reference import RegistryReference
from binary_split.transports.registry.refusals import refused
from binary_split.transports.web.answers import verify_answered
from binary_split.transports.web.http_pool import Body, asked, verify_url
from binary_split.transports.web.open_sockets import OpenSockets
from binary_split.transports.web.own_pools import OwnPools
from binary_split.transports.web.patience import ask_patiently
from binary_split.transports.web.ranges import RangeClient

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse


class Registry:
    """One repository of a registry.

    Args:
        reference: what is read or written there.
        options: how it is reached; plain http is for loopback, unless they allow it.
        may_push: whether something is brought there.

    Raises:
        ConfigError: an option cannot be used.
        RegistryError: a helper program gives no login.
    """

    def __init__(self, reference: RegistryReference, options: HttpOptions, *, may_push: bool = False) -> None:
        self.reference = reference
        self.options = options
        self.address = f"{_scheme(reference, options)}://{reference.server}/v2/{reference.path}"
        verify_url(self.address, insecure_http=options.insecure_http)
        self._open = OpenSockets()
        self._pools = OwnPools(self.address, options, self._open)
        self.access = RegistryAccess(
            reference.host,
            f"repository:{reference.path}:{'pull,push' if may_push else 'pull'}",
            self._pools,
            self._open,
            find_login(reference),
            insecure_http=options.insecure_http,
        )

    def close(self) -> None:
        """Close the connections."""
        self._pools.clear()

    def asked(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        body: Body | None = None,
        *,
        more_s: float = 0.0,
    ) -> AbstractContextManager[BaseHTTPResponse]:
        """Give an answer of the registry, whatever its status; it is closed when it is left.

        Args:
            method: of the request.
            url: whom it goes to.
            headers: what is said besides who asks.
            body: what is sent.
            more_s: than others the answer may take.

        Raises:
            PassingError: there is none now.
            ArchiveUnreadableError: the registry cannot prove who it is.
        """
        pool = self._pools.own
        return asked(
            pool, self._open, method, url, headers or {}, body=body, more_s=more_s, access=self.access
        )

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
        fetch = partial(self._patiently, patience_s, ended or threading.Event())
        with self._open.cut_after(patience_s + LIMITS.http_read_timeout_s):
            content = fetch(self.reference.name)
            inner = parse_index(content)
            if inner is not None:
                content = fetch(inner)
        return parse_manifest(content, self.reference)

    def _patiently(self, patience_s: float, ended: threading.Event, name: str) -> bytes:
        """Return a manifest; one that is asked for by its digest is the right one."""
        content = ask_patiently(
            partial(self._fetch_manifest, name),
            what=str(self.reference),
            patience_s=patience_s,
            ended=ended,
            note=self.options.note,
        )
        if name.startswith("sha256:") and str(hash_bytes(content)) != name:
            raise RegistryError(f"the manifest at {self.reference} is another one")
        return content

    def _fetch_manifest(self, name: str) -> bytes:
        url = f"{self.address}/manifests/{name}"
        with self.asked("GET", url, {"Accept": f"{MANIFEST}, {INDEX}"}) as response:
            verify_answered(response)
            if response.status == 404:
                raise ArchiveUnreadableError(f"there is no {self.reference}", hint="Check the reference.")
            if response.status != 200:
                raise refused(response, self.reference.host, f"give {self.reference}")
            return response.read(LIMITS.manifest_bytes + 1)

    def open_blob(self, digest: str, ended: threading.Event) -> RangeClient:
        """Return what reads a blob, until the event is set, over the connections that are open."""
        url = f"{self.address}/blobs/{digest}"
        return RangeClient(url, self.options, ended, self.access, self._open, self._pools)


def _scheme(reference: RegistryReference, options: HttpOptions) -> str:
    """Plain http is what loopback registries speak, unless a CA says otherwise."""
    is_plain = options.insecure_http or (reference.is_on_loopback and options.ca_file is None)
    return "http" if is_plain else "https"
