"""What a check found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from binary_split.errors import BinarySplitError


class Verdict(StrEnum):
    """How a check came out; only ``FAILED`` says that an unlock would not succeed as things are."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and its words.

    Attributes:
        detail: what is so; where nothing could be checked, why not.
        cure: what to do; empty where nothing is to be done.
    """

    verdict: Verdict
    detail: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; it holds no secret.

    Attributes:
        name: of the check, in kebab-case; the same in each version.
        detail: what is so; where nothing could be checked, why not.
        cure: what to do, for people; empty where nothing is to be done.
    """

    name: str
    verdict: Verdict
    detail: str
    cure: str = ""


class SkippedError(Exception):
    """A check cannot be made; the message says why. It stays within the doctor."""


def good(detail: str) -> Judgement:
    """Judge that all is well."""
    return Judgement(Verdict.OK, detail)


def doubtful(detail: str, cure: str) -> Judgement:
    """Judge that something should be looked after, though an unlock may succeed."""
    return Judgement(Verdict.WARNING, detail, cure)


def bad(detail: str, cure: str) -> Judgement:
    """Judge that an unlock would fail."""
    return Judgement(Verdict.FAILED, detail, cure)


def bad_by(error: BinarySplitError) -> Judgement:
    """Judge as an unlock would: by the error that it would end with."""
    return bad(str(error), error.hint or "Correct what is said here.")


@contextmanager
def needed(why: str) -> Iterator[None]:
    """Skip a check where what it needs has failed: that is another check's finding.

    Raises:
        SkippedError: it has.
    """
    try:
        yield
    except BinarySplitError:
        raise SkippedError(why) from None
