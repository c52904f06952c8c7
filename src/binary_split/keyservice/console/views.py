"""What each page shows: a template and the answers of acts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from binary_split.keyservice.admin import acts
from binary_split.keyservice.admin.acts import Act
from binary_split.keyservice.admin.desk import LocalDesk
from binary_split.keyservice.console.activity import read_activity
from binary_split.keyservice.store import Store

PAGE_ROWS = 50
_FEW = 8
_SEARCHED = 500

Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Source:
    """What a page is made from."""

    store: Store
    desk: LocalDesk
    query: Query
    name: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A page: its template, and what it shows; the name is that of a key or a device."""

    template: str
    gather: Callable[[Source], dict[str, Any]]


def _listed(act: Act, *filters: str, **fixed: Any) -> Callable[[Source], dict[str, Any]]:
    def gather(source: Source) -> dict[str, Any]:
        wanted = {name: source.query[name] for name in (*filters, "cursor") if source.query.get(name)}
        page = source.desk.do(act, limit=PAGE_ROWS, **wanted, **fixed)
        wanted.pop("cursor", None)
        return {"page": page, "filters": {name: wanted.get(name, "") for name in filters}}

    return gather


def _overview(source: Source) -> dict[str, Any]:
    def newest(limit: int, **filters: str) -> Any:
        return source.desk.do(acts.LIST_AUDIT, limit=limit, newest_first=True, **filters)["items"]

    others = [record for record in newest(_SEARCHED) if record["kind"] != "release"]
    return {
        "activity": read_activity(source.store),
        "releases": newest(_FEW, kind="release"),
        "others": others[:_FEW],
    }


def _key(source: Source) -> dict[str, Any]:
    return {
        "key": source.desk.do(acts.FIND_KEY, key_id=source.name),
        "grants": source.desk.do(acts.LIST_GRANTS, key_id=source.name, limit=PAGE_ROWS),
        "records": source.desk.do(acts.LIST_AUDIT, key_id=source.name, newest_first=True, limit=_FEW)[
            "items"
        ],
    }


def _device(source: Source) -> dict[str, Any]:
    def of(act: Act, **options: Any) -> Any:
        return source.desk.do(act, device_id=source.name, **options)

    return {
        "device": of(acts.FIND_DEVICE),
        "grants": of(acts.LIST_GRANTS, limit=PAGE_ROWS),
        "tokens": of(acts.LIST_TOKENS, limit=PAGE_ROWS),
        "codes": of(acts.LIST_CODES, limit=PAGE_ROWS),
        "records": of(acts.LIST_AUDIT, newest_first=True, limit=_FEW)["items"],
    }


def _audit(source: Source) -> dict[str, Any]:
    listed = _listed(acts.LIST_AUDIT, "kind", "actor", "key_id", "device_id", newest_first=True)(source)
    verified = source.desk.do(acts.VERIFY_AUDIT) if source.query.get("verify") == "1" else None
    return {**listed, "verified": verified}


VIEWS: Mapping[str, View] = {
    "": View("overview.html", _overview),
    "keys": View("keys.html", _listed(acts.LIST_KEYS, "state")),
    "keys/": View("key.html", _key),
    "devices": View("devices.html", _listed(acts.LIST_DEVICES, "state", "group")),
    "devices/": View("device.html", _device),
    "grants": View("grants.html", _listed(acts.LIST_GRANTS, "key_id", "device_id", "group", "is_revoked")),
    "tokens": View("tokens.html", _listed(acts.LIST_TOKENS, "key_id", "device_id", "is_revoked")),
    "enrolment": View("enrolment.html", _listed(acts.LIST_CODES, "device_id")),
    "audit": View("audit.html", _audit),
}
"""By path below ``/console``; one that ends in a slash goes on with a name."""
