"""Templates, and the header under which every page leaves: no script, no other host, no cache."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from binary_split.keyservice.clock import from_seconds
from binary_split.service.pages import page_headers

FOLDER = Path(__file__).parent
HEADERS = page_headers()

_TIMES = ("expires_at", "not_before", "not_after", "from")


def render(template: str, *, status: HTTPStatus = HTTPStatus.OK, **context: Any) -> HTMLResponse:
    """Return a page."""
    text = _ENVIRONMENT.get_template(template).render(**context)
    return HTMLResponse(text, status_code=status, headers=HEADERS)


def _when(text: str) -> str:
    """Write a time for people."""
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S")


def _facts(detail: dict[str, Any]) -> str:
    """Write the detail of an audit record in one line."""
    facts = {name: _fact(name, value) for name, value in detail.items()}
    return ", ".join(f"{name.replace('_', ' ')} {text}" for name, text in facts.items() if text)


def _fact(name: str, value: Any) -> str:
    if name in _TIMES and isinstance(value, int):
        return f"{from_seconds(value):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, dict):
        return " ".join(f"{word} {count}" for word, count in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_ENVIRONMENT.filters.update(when=_when, facts=_facts)
