"""Bech32 (BIP 173) as age keys use it: without its limit on length (C2SP age.md, "Conventions")."""

from __future__ import annotations

from collections.abc import Iterable

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_CHARACTERS = 6


def encode_bech32(prefix: str, raw: bytes) -> str:
    """Return ``raw`` as lower-case Bech32 under ``prefix`` (lower case)."""
    values = _regroup(raw, source_bits=8, target_bits=5)
    residue = _polymod([*_expand(prefix), *values, *[0] * _CHECKSUM_CHARACTERS]) ^ 1
    checksum = [(residue >> 5 * (5 - at)) & 31 for at in range(_CHECKSUM_CHARACTERS)]
    return prefix + "1" + "".join(_ALPHABET[value] for value in [*values, *checksum])


def decode_bech32(text: str) -> tuple[str, bytes]:
    """Decode Bech32 that is all lower or all upper case.

    Returns:
        The prefix in lower case, and the bytes.

    Raises:
        ValueError: the text is anything else; the message holds no part of it, for it may be a secret.
    """
    if text not in (text.lower(), text.upper()) or not text.isascii():
        raise ValueError("mixed case")
    prefix, separator, rest = text.lower().rpartition("1")
    if not separator or not prefix or len(rest) < _CHECKSUM_CHARACTERS:
        raise ValueError("no prefix or no checksum")
    if not set(rest) <= _VALUES.keys() or not all(33 <= ord(character) <= 126 for character in prefix):
        raise ValueError("a character that is not of the alphabet")
    values = [_VALUES[character] for character in rest]
    if _polymod([*_expand(prefix), *values]) != 1:
        raise ValueError("wrong checksum")
    raw = bytes(_regroup(values[:-_CHECKSUM_CHARACTERS], source_bits=5, target_bits=8))
    if _regroup(raw, source_bits=8, target_bits=5) != values[:-_CHECKSUM_CHARACTERS]:
        raise ValueError("stray bits behind the last byte")
    return prefix, raw


def _expand(prefix: str) -> list[int]:
    return [ord(character) >> 5 for character in prefix] + [0] + [ord(character) & 31 for character in prefix]


def _polymod(values: Iterable[int]) -> int:
    residue = 1
    for value in values:
        top = residue >> 25
        residue = (residue & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            if top >> bit & 1:
                residue ^= generator
    return residue


def _regroup(values: Iterable[int], *, source_bits: int, target_bits: int) -> list[int]:
    """Cut a stream of bits anew; bits left over are padded for 5, dropped for 8 (the caller compares)."""
    pending = bits = 0
    regrouped: list[int] = []
    for value in values:
        pending = pending << source_bits | value
        bits += source_bits
        while bits >= target_bits:
            bits -= target_bits
            regrouped.append(pending >> bits)
            pending &= (1 << bits) - 1
    if bits and target_bits < source_bits:
        regrouped.append(pending << (target_bits - bits))
    return regrouped
