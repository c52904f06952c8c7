"""The fuzz targets, without a fuzzer: they run, accept valid bytes, and hold under a few hundred changes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from binary_split.errors import BinarySplitError
from tests.soak.fuzz_targets import TARGETS

CHANGES = 250
_TOKENS = (b"\0", b"\n", b" ", b'"', b"[]", b"{}", b"null", b"-1", b"1e9", b"-> ", b"\xff\xfe", b'\\ud800"')
_DOCUMENTS = (
    "envelope",
    "image_config",
    "image_manifest",
    "plugin_identity_document",
    "release_statement",
    "release_tar_statement",
    "sealed_fragment",
)
_WRONG: tuple[Any, ...] = (
    None,
    True,
    0,
    -1.5,
    10**30,
    "",
    "x",
    "\ud800",
    "9999-12-31T23:59:59+00:00",
    [],
    [[]],
    {},
    {"a": 1},
)


def mutate(raw: bytes, chance: random.Random) -> bytes:
    """Change a few places: flip, cut out, double, or put a token in."""
    changed = bytearray(raw)
    for _change in range(chance.randint(1, 4)):
        start = chance.randint(0, len(changed))
        end = min(len(changed), start + chance.choice((1, 2, 8, 64, 512)))
        match chance.randrange(4):
            case 0:
                changed[start:end] = bytes(byte ^ 1 << chance.randrange(8) for byte in changed[start:end])
            case 1:
                del changed[start:end]
            case 2:
                changed[start:start] = changed[start:end]
            case _:
                changed[start:end] = chance.choice(_TOKENS)
    return bytes(changed)


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_our_own_errors_comes_out_of(name: str, chance: random.Random) -> None:
    seeds = list(TARGETS[name].make_seeds())
    for _number in range(CHANGES):
        try_one(name, mutate(chance.choice(seeds), chance))


@pytest.mark.parametrize("name", _DOCUMENTS)
def test_a_wrong_value_anywhere_in_a_document_is_an_error_of_ours(name: str) -> None:
    for seed in TARGETS[name].make_seeds():
        for document in with_wrong_values(json.loads(seed)):
            text = json.dumps(document, sort_keys=True, separators=(",", ":"))
            try_one(name, text.encode())


def with_wrong_values(node: Any) -> Iterator[Any]:
    """Give the document again and again, each time with another part left out or of a wrong value."""
    yield from _WRONG
    if isinstance(node, (dict, list)):
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            changed = copy.copy(node)
            for value in with_wrong_values(node[key]):
                changed[key] = value
                yield changed
            del changed[key]
            yield changed


def try_one(name: str, raw: bytes) -> None:
    try:
        TARGETS[name](raw)
    except Exception as error:
        error.add_note(f"target {name}, input {raw!r}")
        raise


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_reach_behind_the_parser_of(name: str) -> None:
    """One seed at least is valid, or the target would try nothing but the first check."""
    accepted = 0
    for seed in TARGETS[name].make_seeds():
        try:
            TARGETS[name].run(seed)
        except BinarySplitError:
            continue
        accepted += 1
    assert accepted
