"""What a form sends, as the members of an act."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request

from binary_split.errors import RecordError
from binary_split.service import forms
from binary_split.service.forms import Form, only


async def read_form(request: Request) -> Form:
    """Return the fields of a form.

    Raises:
        RecordError: it is none.
        ProblemError: it is too long or too slow.
    """
    try:
        return await forms.read_form(request)
    except forms.MalformedFormError:
        raise RecordError("The form could not be read.", hint="") from None


def verify_confirmed(form: Form, name: str) -> None:
    """Prove that a person typed a name once more.

    Raises:
        RecordError: it is another.
    """
    if only(form, "confirm").strip() != only(form, name):
        raise RecordError("The name that you typed is another.", hint="")


def to_members(form: Form, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of these names as JSON would say them; what is empty is left out.

    Raises:
        RecordError: a field is there twice.
    """
    members: dict[str, Any] = {}
    for name in names:
        values = [value.strip() for value in form.get(name, []) if value.strip()]
        if name in _LISTS:
            members[name] = [word for value in values for word in value.replace(",", " ").split()]
        elif len(values) > 1:
            raise RecordError(f"{name} is there twice", hint="")
        elif values:
            members[name] = _READ.get(name, str)(values[0])
    return members


def _number(text: str) -> int | str:
    """Return a number; what is none is left for the act to refuse."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else text


def _time(text: str) -> str:
    """Return the text of a `datetime-local` field, which has no time zone, as UTC."""
    return text + "Z"


_LISTS = frozenset({"groups", "scopes"})
_READ: Mapping[str, Callable[[str], Any]] = {"uses": _number, "not_before": _time, "not_after": _time}
