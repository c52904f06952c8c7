"""Templates, and the headers under which every page leaves."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from binary_split.agent.page.catalogue import COOKIE, LANGUAGES, choose_catalogue
from binary_split.service.cookies import set_cookie
from binary_split.service.pages import page_headers

STATIC = Path(__file__).parent / "static"
HEADERS = page_headers(scripts=True)
_TEMPLATES = Path(__file__).parent / "templates"
_YEAR_S = 365 * 24 * 3600


def render(
    request: Request, template: str, *, here: str, status: HTTPStatus = HTTPStatus.OK, **context: Any
) -> HTMLResponse:
    """Return a page in the language of a request; one that was asked for by name is kept for the next.

    Args:
        request: whose language it is.
        template: of the page.
        here: the path at which the page is found, for the links to its other languages.
        status: of the answer.
        **context: what the template shows.
    """
    say = choose_catalogue(request)
    text = _ENVIRONMENT.get_template(template).render(say=say, languages=LANGUAGES, here=here, **context)
    response = HTMLResponse(text, status_code=status, headers=HEADERS)
    if request.query_params.get("lang") in LANGUAGES:
        set_cookie(request, response, COOKIE, say.language, _YEAR_S)
    return response


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
