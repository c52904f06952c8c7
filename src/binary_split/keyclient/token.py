"""The bearer token: checked before use, shown by nothing."""

from __future__ import annotations

import re
from typing import NoReturn

from binary_split.errors import SecretFileError

_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_ECHO_CHARS = 8


class BearerToken:
    """A token (``b64token`` of RFC 6750, section 2.1). Its value appears in no repr, str or pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    @classmethod
    def parse(cls, text: str, *, max_bytes: int) -> BearerToken:
        """Check a token; what is not one would fail deep inside a library, in a message that shows it.

        Raises:
            SecretFileError: empty, longer than ``max_bytes``, or not made of the characters of a token.
        """
        fault = _fault(text, max_bytes)
        if fault is not None:
            raise SecretFileError(fault, hint="Give the token exactly as the vendor issued it.")
        return cls(text)

    def authorization(self) -> str:
        """Return the value of the ``Authorization`` header."""
        return f"Bearer {self._value}"

    def is_echoed_in(self, text: str) -> bool:
        """Tell whether a text repeats the token, or eight characters of it in a row."""
        token, text = self._value.casefold(), text.casefold()
        width = min(_ECHO_CHARS, len(token))
        return any(token[start : start + width] in text for start in range(len(token) - width + 1))

    def __repr__(self) -> str:
        return "BearerToken(<masked>)"

    def __reduce__(self) -> NoReturn:
        msg = "a BearerToken is not pickled"
        raise TypeError(msg)


def _fault(text: str, max_bytes: int) -> str | None:
    if not text:
        return "the token is empty"
    if len(text) > max_bytes:
        return f"the token is longer than {max_bytes} bytes"
    if not _B64TOKEN.fullmatch(text):
        return "the token holds characters that no bearer token has (spaces, line ends, quotes, non-ASCII)"
    return None
