"""What the page says, in each of its languages: one file of words each, all with the same keys."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from starlette.requests import Request

from binary_split.service.cookies import read_cookie

LANGUAGES = {"en": "English", "uk": "Українська", "de": "Deutsch"}
"""By the tag of BCP 47: how each calls itself."""
COOKIE = "binary-split-language"
_FOLDER = Path(__file__).parent / "words"
_ACCEPTED_AT_MOST = 20


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The words of one language, by keys such as ``button.unlock``."""

    language: str
    words: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """Return what stands under a key, with its places filled in."""
        return self.words[key].format(**values)

    def has(self, key: str) -> bool:
        """Tell whether there are words for a key."""
        return key in self.words

    def find(self, key: str, otherwise: str) -> str:
        """Return what stands under one key, or else under another."""
        return self.words[key if key in self.words else otherwise]


@cache
def read_catalogue(language: str) -> Catalogue:
    """Return the words of one of `LANGUAGES`."""
    text = (_FOLDER / f"{language}.toml").read_text(encoding="utf-8")
    return Catalogue(language, dict(_flatten(tomllib.loads(text))))


def choose_catalogue(request: Request) -> Catalogue:
    """Return the words in the language of a request: asked for, chosen before, or the browser's."""
    wanted = (
        request.query_params.get("lang", ""),
        read_cookie(request, COOKIE),
        *_accepted(request.headers.get("accept-language", "")),
    )
    return read_catalogue(next((tag for tag in wanted if tag in LANGUAGES), "en"))


def _accepted(header: str) -> list[str]:
    """Return the languages of an Accept-Language header (RFC 9110, 12.5.4), the most wanted first."""
    weighed = []
    for part in header.split(",")[:_ACCEPTED_AT_MOST]:
        tag, _, weight = part.partition(";")
        weighed.append((_weight(weight), tag.strip().lower().partition("-")[0]))
    return [tag for weight, tag in sorted(weighed, key=lambda pair: -pair[0]) if weight > 0]


def _weight(text: str) -> float:
    name, equals, value = text.strip().partition("=")
    if not equals or name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)
