"""Running the checks side by side, each for as long as it may take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from binary_split.config import LIMITS
from binary_split.doctor.finding import Finding, Judgement, SkippedError, Verdict, bad, bad_by
from binary_split.doctor.subject import Subject
from binary_split.errors import BinarySplitError

if TYPE_CHECKING:
    from binary_split.doctor.facts import Facts

Check = Callable[["Facts"], Judgement]
"""Looks at facts and judges; whatever it raises is a judgement too."""

CHECKS: Mapping[str, tuple[str, str]] = {
    "software": ("software", "check_software"),
    "self-test": ("selftest", "check_primitives"),
    "settings": ("settings", "check_settings"),
    "archive": ("archive", "check_archive"),
    "trusted-keys": ("keys", "check_trusted_keys"),
    "signature": ("signature", "check_signature"),
    "device-key": ("keys", "check_device_key"),
    "engine": ("engine", "check_engine"),
    "disk": ("disk", "check_disk"),
    "journal": ("journal", "check_journal"),
    "key-service-name": ("network", "check_name"),
    "key-service-connection": ("network", "check_connection"),
    "key-service-certificate": ("network", "check_certificate"),
    "key-service": ("network", "check_service"),
    "clock": ("clock", "check_clock"),
    "token": ("token", "check_token"),
}
"""Each check by its name, in the order in which they are told: where it is, imported when checks are run."""

_IMPORTED_LATE = (
    "cryptography.hazmat.primitives.asymmetric.mlkem",
    "cryptography.hazmat.primitives.hpke",
    "securesystemslib.dsse",
)
"""What is imported below only when it is needed: threads that did so side by side might see halves of it."""

_LATE = Judgement(
    Verdict.FAILED,
    "there is no answer yet",
    "Look at what it is about: a disk, a network or an engine hangs. Then ask again.",
)


class _Run:
    """One check under way, in a thread that nobody has to wait for."""

    def __init__(self, name: str, check: Check, facts: Facts) -> None:
        self._name = name
        self._check = check
        self._facts = facts
        self._judgement = _LATE
        self._thread = threading.Thread(target=self._work, name=f"doctor-{name}", daemon=True)
        self._thread.start()

    def wait(self, until: float) -> Finding:
        """Return the finding, or that there is none by then (monotonic seconds)."""
        self._thread.join(max(0.0, until - time.monotonic()))
        judgement = self._judgement
        return Finding(self._name, judgement.verdict, judgement.detail, judgement.cure)

    def _work(self) -> None:
        self._judgement = judge(self._check, self._facts)


def run_checks(subject: Subject, *, check_s: float = LIMITS.doctor_check_s) -> Iterator[Finding]:
    """Make every check, whatever the others find, and give each finding in turn.

    They run side by side, so all of them together take no longer than one may.

    Args:
        subject: what to look at.
        check_s: how long a check may take, in seconds; what takes longer has failed.
    """
    from binary_split.doctor.facts import Facts

    checks = {name: find_check(name) for name in CHECKS}
    for module in _IMPORTED_LATE:
        with suppress(ImportError):  # a library that is too old: the checks tell
            import_module(module)
    facts = Facts(subject, wait_s=0.9 * check_s)  # who only waits for another says so in time
    until = time.monotonic() + check_s
    runs = [_Run(name, check, facts) for name, check in checks.items()]
    return (run.wait(until) for run in runs)


def find_check(name: str) -> Check:
    """Import a check."""
    module, function = CHECKS[name]
    found: Any = getattr(import_module(f"binary_split.doctor.{module}"), function)
    return found  # type: ignore[no-any-return]


def judge(check: Check, facts: Facts) -> Judgement:
    """Make a check; what it raises is a judgement too."""
    try:
        return check(facts)
    except SkippedError as skipped:
        return Judgement(Verdict.SKIPPED, str(skipped))
    except BinarySplitError as error:
        return bad_by(error)
    except Exception as error:
        # The others go on. Without its message: whatever raised it may quote a request.
        return bad(f"the check itself broke: {type(error).__name__}", "Report this as a fault of the doctor.")
