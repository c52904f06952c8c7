"""Who waits for a server is told so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from binary_split.errors import ArchiveUnreachableError
from binary_split.transports import open_source, parse_location
from binary_split.transports.options import HttpOptions
from binary_split.transports.registry import source as registry_source
from binary_split.transports.web import patience, places
from tests.transports.conftest import SOON


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize("text", ["https://127.0.0.1:9/x", "oci://127.0.0.1:9/x:y"], ids=["web", "registry"])
def test_who_looks_for_an_archive_for_long_is_told_once(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(patience, "_TOLD_AFTER_S", 0.0)
    for module in (patience, places, registry_source):
        monkeypatch.setattr(module, "LIMITS", replace(SOON, fetch_deadline_s=0.3))
    told: list[str] = []
    archive = parse_location(text, HttpOptions(note=told.append))
    with pytest.raises(ArchiveUnreachableError), open_source(archive):
        pass
    (note,) = told
    assert note.startswith("cannot read ")
    assert note.endswith("; it is asked again, for 0 s in all")
