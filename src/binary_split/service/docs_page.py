"""The API's documentation for people: Swagger UI from our own files, nothing from another host."""

from __future__ import annotations

from pathlib import Path
from string import Template

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

_FOLDER = Path(__file__).parent / "static"
# 'unsafe-inline' for style attributes only: Swagger UI writes some; data: are the icons inside its CSS.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>$title</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="static/swagger-ui/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="static/swagger-ui/swagger-ui-bundle.js"></script>
<script src="static/start.js"></script>
</body>
</html>
""")

_router = APIRouter()


@_router.get("/docs", include_in_schema=False)
async def _docs(request: Request) -> HTMLResponse:
    headers = {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return HTMLResponse(_PAGE.substitute(title=request.app.title), headers=headers)


def add_docs_page(app: FastAPI) -> None:
    """Add the page at ``/docs`` and the files that it loads."""
    app.include_router(_router)
    app.mount("/static", StaticFiles(directory=_FOLDER))
