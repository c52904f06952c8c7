"""The way to the key service, found out once and step by step; a step that fails leaves the rest out."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from binary_split.config import LIMITS, Settings
from binary_split.doctor.finding import SkippedError, needed
from binary_split.doctor.once import Once
from binary_split.errors import BinarySplitError, KeyServiceTlsError
from binary_split.keyclient import Service
from binary_split.keyclient.address import Address
from binary_split.keyclient.answer import Answer
from binary_split.keyclient.probing import connect, fetch_certificate, fetch_readiness, find_addresses


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer, and when it came by this machine's clock."""

    answer: Answer
    at: datetime


class Way:
    """What is known of the key service; nothing is asked twice.

    Args:
        settings: name the service and its CA.
        wait_s: how long, from now on, checks wait for what another one is finding out; in seconds.

    Attributes:
        address: raises KeyServiceUrlError, or SkippedError where no service is named.
        ip_addresses: of its host; raises KeyServiceUnreachableError.
        connect_s: how long a connection takes, in seconds; raises KeyServiceError.
        certificate: in DER, once it has proven who the service is; raises KeyServiceTlsError.
        refused: the certificate that did not prove it, in DER, for its words alone; raises SkippedError where
            none was refused, and KeyServiceError where it cannot be had again.
        readiness: what the service says of itself; raises KeyServiceError.

    Each raises SkippedError where the step before it has failed.
    """

    def __init__(self, settings: Settings, wait_s: float) -> None:
        self._settings = settings
        until = time.monotonic() + wait_s
        self._ask_s = wait_s / 2  # so that who waits for the answer still hears of it
        self.address: Once[Address] = Once(self._find_address, until)
        self.ip_addresses: Once[tuple[str, ...]] = Once(self._resolve, until)
        self.connect_s: Once[float] = Once(self._connect, until)
        self.certificate: Once[bytes] = Once(self._verify_certificate, until)
        self.refused: Once[bytes] = Once(self._show_refused, until)
        self.readiness: Once[Heard] = Once(self._ask, until)

    def service(self) -> Service:
        """Return the service, asked once and no more: a doctor looks, and does not insist."""
        limits = replace(
            LIMITS,
            fetch_deadline_s=self._ask_s,
            connect_timeout_s=min(self._ask_s, LIMITS.connect_timeout_s),
            fetch_attempts=1,
        )
        settings = self._settings
        return Service(
            base_url=settings.key_service or "",
            ca_file=settings.ca_file,
            insecure_http=settings.insecure_http,
            limits=limits,
        )

    def _find_address(self) -> Address:
        if not self._settings.key_service:
            raise SkippedError("no key service is configured")
        return self.service().address("")

    def _resolve(self) -> tuple[str, ...]:
        with needed("the key service's URL cannot be used"):
            address = self.address()
        return find_addresses(self.service(), address)

    def _connect(self) -> float:
        with needed("the key service's name is not known"):
            self.ip_addresses()
        return connect(self.service(), self.address())

    def _verify_certificate(self) -> bytes:
        with needed("there is no connection to the key service"):
            self.connect_s()
        if not self.address().is_https:
            raise SkippedError("the key service is asked by plain http: there is no certificate")
        return fetch_certificate(self.service(), self.address(), is_trusted=True)

    def _show_refused(self) -> bytes:
        try:
            self.certificate()
        except KeyServiceTlsError:
            return fetch_certificate(self.service(), self.address(), is_trusted=False)
        except BinarySplitError:
            pass
        raise SkippedError("no certificate was refused")

    def _ask(self) -> Heard:
        with needed("there is no connection to the key service"):
            self.connect_s()
        if self.address().is_https:
            with needed("nothing is asked of a service that cannot prove who it is"):
                self.certificate()
        answer = fetch_readiness(self.service())
        return Heard(answer, datetime.now(UTC))
