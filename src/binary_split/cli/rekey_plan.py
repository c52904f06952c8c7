"""Who may open an archive after `rekey`, from its header and the options; nothing is decrypted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from binary_split.archive.age import (
    FragmentIdentity,
    FragmentRecipient,
    Header,
    Recipient,
    parse_fragment_stanzas,
    parse_recipient,
)
from binary_split.archive.age.fragment import KIND as FRAGMENT
from binary_split.archive.age.header import SCRYPT
from binary_split.cli.options import read_fragment
from binary_split.errors import ConfigError
from binary_split.model import Fragment, is_key_id


@dataclass(frozen=True, slots=True)
class Who:
    """Someone whom an option names: by a fragment's key-id, or by an age recipient.

    Attributes:
        key_id: None for an age recipient.
        recipient: None where only a key-id was given.
        fragment: what the named file holds; it appears in no repr.
    """

    key_id: str | None
    recipient: Recipient | None
    fragment: Fragment | None = None


@dataclass(frozen=True, slots=True)
class RekeyPlan:
    """What is to be done.

    Attributes:
        recipients: those to seal for: the added ones, with ``shares_payload``; else all.
        shares_payload: whether the payload and its file key stay.
        key_ids: of the new header, in order.
        anonymous: how many stanzas of other sorts, whose recipients cannot be told, the new header has.
        dropped: how many of them the old header had and the new one has not.
        unexplained: how many of those no --remove names.
    """

    recipients: tuple[Recipient, ...]
    shares_payload: bool
    key_ids: tuple[str, ...]
    anonymous: int
    dropped: int
    unexplained: int


def parse_who(option: str, text: str, *, read: Callable[[Path], Fragment] = read_fragment) -> Who:
    """Parse ``age1…`` or ``KEY-ID=FRAGMENT-FILE``; for ``--remove`` a bare ``KEY-ID`` too.

    Raises:
        ConfigError: it is neither.
        SecretFileError: the fragment's file cannot be read.
    """
    key_id, equals, path = text.partition("=")
    if equals and path:
        fragment = read(Path(path))
        return Who(key_id, FragmentRecipient(key_id, fragment), fragment)
    if text.startswith("age1"):
        return Who(None, parse_recipient(text))
    if option == "--remove" and is_key_id(text):
        return Who(text, None)
    raise ConfigError(
        f"{option} {text[:80]!r} names nobody", hint="Write an age1… recipient, or KEY-ID=FRAGMENT-FILE."
    )


def plan_rekey(
    header: Header, *, add: Sequence[Who], remove: Sequence[Who], keep: Sequence[Who]
) -> RekeyPlan:
    """Say what to do, and refuse whatever would leave somebody in or out unseen.

    Raises:
        ConfigError: the options do not fit the header or each other.
    """
    if any(stanza.kind == SCRYPT for stanza in header.stanzas):
        raise ConfigError(
            "the archive is sealed with a passphrase, which stands alone",
            hint="Decrypt it with `age -d`, and seal again for fragments or recipients.",
        )
    if not (add or remove):
        raise ConfigError("nothing to do: give --add or --remove")
    if keep and not remove:
        raise ConfigError("--keep goes with --remove", hint="With --add alone everybody stays.")
    old = tuple(dict.fromkeys(each.key_id for each in parse_fragment_stanzas(header.stanzas)))
    _check_each_is_named_once([*add, *remove, *keep])
    _check_added_are_new(old, add)
    for who in (*remove, *keep):
        _check_opens(header, old, who)
    anonymous = sum(stanza.kind != FRAGMENT for stanza in header.stanzas)
    if not remove:
        count = anonymous + _count_anonymous(add)
        return RekeyPlan(_recipients(add), True, (*old, *_key_ids(add)), count, 0, 0)
    _check_nobody_is_forgotten(old, [*remove, *keep])
    dropped = anonymous - _count_anonymous(keep)
    unexplained = dropped - _count_anonymous(remove)
    if unexplained < 0:
        raise ConfigError(f"--keep and --remove name more age recipients than the {anonymous} of the archive")
    stay = [*keep, *add]
    if not stay:
        raise ConfigError("nobody could open the archive any more: give --keep or --add")
    return RekeyPlan(_recipients(stay), False, _key_ids(stay), _count_anonymous(stay), dropped, unexplained)


def _key_ids(named: Iterable[Who]) -> tuple[str, ...]:
    return tuple(who.key_id for who in named if who.key_id is not None)


def _count_anonymous(named: Iterable[Who]) -> int:
    return sum(who.key_id is None for who in named)


def _recipients(named: Iterable[Who]) -> tuple[Recipient, ...]:
    return tuple(who.recipient for who in named if who.recipient is not None)


def _check_each_is_named_once(named: Sequence[Who]) -> None:
    key_ids = _key_ids(named)
    for key_id in key_ids:
        if key_ids.count(key_id) > 1:
            raise ConfigError(
                f"the key-id {key_id} is named twice",
                hint="A key-id names one fragment for ever: a new fragment has a new one.",
            )


def _check_added_are_new(old: Sequence[str], add: Sequence[Who]) -> None:
    for key_id in _key_ids(add):
        if key_id in old:
            raise ConfigError(
                f"the archive is sealed for the key-id {key_id} already",
                hint="A key-id names one fragment for ever: a new fragment has a new one.",
            )


def _check_opens(header: Header, old: Sequence[str], who: Who) -> None:
    """Check that a key-id is in the header, and that the fragment given for it is the one."""
    if who.key_id is None:
        return
    if who.key_id not in old:
        raise ConfigError(
            f"the archive is not sealed for the key-id {who.key_id}",
            hint=f"It is sealed for: {', '.join(old) or 'no fragment'}.",
        )
    if who.fragment is None:
        return
    if FragmentIdentity(who.fragment, key_id=who.key_id).unwrap(header.stanzas) is None:
        raise ConfigError(
            f"the fragment given for {who.key_id} does not open the archive",
            hint="Check that the file holds the fragment of that key-id.",
        )


def _check_nobody_is_forgotten(old: Sequence[str], named: Sequence[Who]) -> None:
    forgotten = [key_id for key_id in old if key_id not in _key_ids(named)]
    if forgotten:
        raise ConfigError(
            f"the archive is sealed for {', '.join(forgotten)} too, and nothing says what becomes of that",
            hint="Name each with --keep KEY-ID=FRAGMENT-FILE or with --remove KEY-ID.",
        )
