"""The probes, the OpenAPI document, and a documentation page that needs no other host."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

from binary_split import __version__
from binary_split.service import docs_page
from tests.keyservice.conftest import Service

STATIC = Path(docs_page.__file__).parent / "static"


class Links(HTMLParser):
    """Collects what a page loads, and its inline scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.inline = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]
        self.inline |= tag in ("style", "base") or (tag == "script" and "src" not in dict(attrs))
        self.inline |= any(name.startswith("on") for name, _ in attrs)


def test_the_probes_answer_without_a_token(service: Service) -> None:
    assert service.ask(path="/healthz").json() == {"status": "ok"}
    assert service.ask(path="/readyz").json() == {"status": "ready"}


def test_the_docs_page_loads_only_files_of_this_service_and_no_inline_script(service: Service) -> None:
    page = service.ask(path="/docs")
    assert page.status_code == 200
    found = Links()
    found.feed(page.text)
    assert not found.inline
    assert not re.search(r"https?://", page.text)
    loaded = [link for link in found.links if link != "data:,"]
    assert len(loaded) == 3
    for link in loaded:
        assert link.startswith("static/")
        assert service.ask(path=f"/{link}").status_code == 200


def test_the_docs_page_allows_the_browser_no_other_host(service: Service) -> None:
    policy = service.ask(path="/docs").headers["Content-Security-Policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["connect-src"] == "'self'"
    allowed = {"'self'", "'none'", "data:", "'unsafe-inline'"}
    assert set(policy.replace(";", " ").split()) - set(directives) <= allowed


def test_the_vendored_files_are_the_ones_that_their_readme_names() -> None:
    folder = STATIC / "swagger-ui"
    readme = (folder / "README.md").read_text()
    for name, digest in re.findall(r"\| `([^`]+)` \| `([0-9a-f]{64})` \|", readme):
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert {"LICENSE", "NOTICE", "swagger-ui-bundle.js", "swagger-ui.css"} < {
        p.name for p in folder.iterdir()
    }


def test_no_stylesheet_loads_from_another_host() -> None:
    css = (STATIC / "swagger-ui" / "swagger-ui.css").read_text()
    assert "@import" not in css
    for url in re.findall(r"""url\(\s*["']?([^"')]{0,10})""", css):
        assert url.startswith("data:")


def test_static_files_do_not_reach_beyond_their_folder(service: Service) -> None:
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/"):
        assert service.ask(path=path).status_code == 404


def test_openapi_names_the_scheme_and_every_answer(service: Service) -> None:
    answer = service.ask(path="/openapi.json")
    document = answer.json()
    assert document["info"]["version"] == __version__
    assert document["components"]["securitySchemes"]["bearerToken"]["scheme"] == "bearer"
    operation = document["paths"]["/binary-split/key-fragment"]["get"]
    assert operation["security"] == [{"bearerToken": []}]
    expected = {"200", "400", "401", "403", "404", "429", "500", "503", "default"}
    assert set(operation["responses"]) == expected
    assert list(operation["responses"]["200"]["content"]) == ["application/octet-stream"]
    for status, response in operation["responses"].items():
        if status != "200":
            assert list(response["content"]) == ["application/problem+json"]
    assert {path for path in document["paths"] if not path.startswith("/v1/admin/")} == {
        *("/binary-split/key-fragment", "/v1/keys/{key_id}/release", "/v1/enroll", "/healthz", "/readyz")
    }
    assert set(document["paths"]["/readyz"]["get"]["responses"]) == {"200", "503"}


def test_no_part_of_the_documents_is_loaded_from_another_host(service: Service) -> None:
    start = (STATIC / "start.js").read_text()
    assert "http" not in start
    assert "validatorUrl: null" in start
