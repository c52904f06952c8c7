"""The keys on this machine: those of publishers, which are public, and the device's own, which is not."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from binary_split.archive.detect import ArchiveFormat
from binary_split.doctor.facts import Facts
from binary_split.doctor.finding import Judgement, SkippedError, bad, doubtful, good
from binary_split.errors import ArchiveError
from binary_split.sealedfragment import PublicKey
from binary_split.trust import list_key_files
from binary_split.unlock.device_key import read_device_key

_NONE = "no trusted key is configured: no signature can be verified"
_NONE_CURE = "Name the vendor's public key with --trusted-key, or put it into a folder of trusted keys."
_SHOWN = 16


def check_trusted_keys(facts: Facts) -> Judgement:
    """Judge the public keys of publishers, and who may change their files."""
    keys = facts.trust().keys
    if not keys:
        return bad(_NONE, _NONE_CURE) if _is_age(facts) else doubtful(_NONE, _NONE_CURE)
    words = f"{len(keys)} {'key' if len(keys) == 1 else 'keys'}: "
    words += ", ".join(f"{key.key_id[:_SHOWN]}…" for key in keys)
    open_to_others = [str(path) for path in _key_files(facts) if _is_open(path)]
    if open_to_others:
        names = ", ".join(open_to_others)
        return doubtful(
            f"{words}; anybody may write to {names}",
            f"Run `chmod o-w {' '.join(open_to_others)}`, and compare the keys with the vendor's.",
        )
    return good(words)


def check_device_key(facts: Facts) -> Judgement:
    """Judge the private key to which fragments are sealed: its form, its mode, and that it can be used."""
    path = facts.settings.device_key_file
    if path is None:
        raise SkippedError("this device has no key of its own; it needs one only if the vendor says so")
    public = PublicKey.of(read_device_key(path, facts.settings))
    return good(f"{public.kem}, public key {public.fingerprint[: len('sha256:') + _SHOWN]}…")


def _is_age(facts: Facts) -> bool:
    with suppress(ArchiveError, SkippedError):
        return facts.archive_format() is ArchiveFormat.AGE
    return False


def _key_files(facts: Facts) -> Iterator[Path]:
    yield from facts.subject.trusted_keys
    folder = facts.settings.trusted_keys_folder
    if folder is not None:
        yield from (folder, *list_key_files(folder))


def _is_open(path: Path) -> bool:
    with suppress(OSError):  # it was read a moment ago
        return bool(path.stat().st_mode & stat.S_IWOTH)
    return False
