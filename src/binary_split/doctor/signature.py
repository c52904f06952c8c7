"""Whether a publisher whom this machine trusts signed the release."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from binary_split.archive.detect import ArchiveFormat
from binary_split.doctor.facts import Facts
from binary_split.doctor.finding import Judgement, SkippedError, doubtful, good, needed
from binary_split.engines.platforms import verify_native
from binary_split.errors import (
    ArchiveUnauthenticatedError,
    ConfigError,
    EngineError,
    JournalError,
    SignatureUntrustedError,
)
from binary_split.files import is_visible
from binary_split.transports import locate_beside
from binary_split.unlock.installed import verify_not_older
from binary_split.unlock.opening import SignedRelease, pin_release, read_beside


def check_signature(facts: Facts) -> Judgement:
    """Judge the statement in an `age` archive, if a fragment opens it, or the one beside a `cbc` archive."""
    with needed("the archive cannot be read"):
        archive_format = facts.archive_format()
    with needed("the trusted keys cannot be read"):
        trust = facts.trust()
    if archive_format is ArchiveFormat.CBC:
        return _judge_beside(facts)
    trust.verify_possible()
    if not facts.subject.is_release_wanted:
        raise SkippedError("the signature is sealed in the archive: with --release a fragment opens it")
    with needed("there is no fragment to open the archive with"):
        facts.fragment()
    return good(_describe(facts, facts.release()))


def _judge_beside(facts: Facts) -> Judgement:
    archive, version = facts.archive(), facts.subject.version
    pins = [ref for ref in facts.settings.image_ids if version is None or ref.tag == version]
    if pins:
        return good(f"a cbc archive: the configuration pins {len(pins)} images")
    name = locate_beside(archive, ".release.json")
    if isinstance(name, Path) and is_visible(name) and not facts.trust().keys:
        raise SignatureUntrustedError(f"{name} may be signed, but no trusted key is configured")
    beside = read_beside(archive, version, facts.trust())
    if beside is None:
        return doubtful(
            f"a cbc archive proves nothing of its own, and there is no {name} beside it",
            ArchiveUnauthenticatedError.hint,
        )
    return good(
        f"{_describe(facts, beside)}; that the archive is what it states is proven when it is unlocked"
    )


def _describe(facts: Facts, release: SignedRelease) -> str:
    """Return what was signed.

    Raises:
        ImageMismatchError: it is another version than the one that is wanted.
        DowngradeError: it is older than what is installed.
        PlatformError: it is for another kind of machine than the engine's.
    """
    statement = release.statement
    pin_release(statement, version=facts.subject.version)
    with suppress(EngineError, ConfigError, JournalError, SkippedError):  # other checks tell of these
        verify_not_older(statement, facts.journal().read_releases())
        for image in statement.images:
            verify_native(image.ref, image.platform, facts.description().platform)
    return (
        f"{statement.product} {statement.version}, sequence {statement.sequence}, "
        f"of {statement.created:%Y-%m-%d}: signed by a trusted key"
    )
