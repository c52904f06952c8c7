"""Doing acts beside the database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from binary_split.errors import RecordError, RecordMissingError
from binary_split.keyservice.admin import audit, codes, devices, grants, keys, tokens
from binary_split.keyservice.admin.acts import Act
from binary_split.keyservice.admin.wishes import Desk, Performed, Wish
from binary_split.keyservice.chain import LOCAL
from binary_split.keyservice.store import Store

PERFORMED: tuple[Performed[Any], ...] = (
    *keys.PERFORMED,
    *devices.PERFORMED,
    *grants.PERFORMED,
    *tokens.PERFORMED,
    *codes.PERFORMED,
    *audit.PERFORMED,
)
_BY_ACT = {each.act: each for each in PERFORMED}


class LocalDesk:
    """Does acts on a store; the actor in the audit is ``by``."""

    def __init__(self, store: Store, *, by: str = LOCAL) -> None:
        self._desk = Desk(store, by)

    def do(self, act: Act, **members: Any) -> dict[str, Any]:
        """Do an act and return its answer, JSON-ready.

        Args:
            act: of the table in ``acts``.
            members: what OpenAPI names; None is the same as left out.

        Raises:
            RecordError: a member is wrong.
            RecordMissingError: what is named does not exist.
            RecordConflictError: a name is taken, or a state does not allow it.
            KeyStoreError: the store cannot do it.
        """
        performed = _BY_ACT[act]
        given = {name: value for name, value in members.items() if value is not None}
        return self.run(performed, parse_wish(performed, given))

    def run(self, performed: Performed[Any], wish: Wish) -> dict[str, Any]:
        """Do what ``do`` does, with a wish that was parsed."""
        document: dict[str, Any] = performed.run(self._desk, wish).model_dump(mode="json")
        return document


def parse_wish(performed: Performed[Any], members: Mapping[str, Any]) -> Wish:
    """Return the wish that these members are: texts if they come from a query, else JSON.

    Raises:
        RecordMissingError: a name in the path can be none.
        RecordError: another member is wrong; no message repeats its value.
    """
    problems: list[str] = []
    try:
        if performed.act.method == "GET":
            texts = {
                name: str(value).lower() if value in (True, False) else str(value)
                for name, value in members.items()
            }
            wish: Wish = performed.wish.model_validate_strings(texts)
        else:
            wish = performed.wish.model_validate_json(json.dumps(members))
        return wish
    except ValidationError as error:
        for each in error.errors(include_url=False, include_context=False, include_input=False):
            place = ".".join(str(part) for part in each["loc"])
            if each["loc"] and each["loc"][0] in performed.act.path_members:
                raise RecordMissingError(
                    f"there is no such {str(each['loc'][0]).removesuffix('_id')}"
                ) from None
            problems.append(f"{place}: {each['msg']}" if place else each["msg"])
    except ValueError:
        problems.append("not JSON")
    raise RecordError("; ".join(problems[:5]))
