"""The headers under which a page of ours leaves: nothing from another host, no cache, in no frame."""

from __future__ import annotations

from collections.abc import Mapping

from binary_split.service.problems import NO_STORE

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_SCRIPTS = "; script-src 'self'; connect-src 'self'"


def page_headers(*, scripts: bool = False) -> Mapping[str, str]:
    """Return the headers.

    Args:
        scripts: let files of our own run as scripts; what stands in the page itself never may.
    """
    return {
        **NO_STORE,
        "Content-Security-Policy": _POLICY + (_SCRIPTS if scripts else ""),
        # not no-referrer: with it, browsers say `Origin: null` of the form that a page of ours sends
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }
