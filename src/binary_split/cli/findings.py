"""What the doctor found, for people on a terminal, for a pipe, and as JSON."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from binary_split.cli.output import coloured, emit, printable
from binary_split.doctor import Finding, Verdict

_SIGNS: Mapping[Verdict, tuple[str, str, str]] = {
    Verdict.OK: ("✓", "+", "green"),
    Verdict.WARNING: ("!", "!", "yellow"),
    Verdict.FAILED: ("✗", "x", "red"),
    Verdict.SKIPPED: ("·", "-", "bright_black"),
}
"""Of each verdict: its sign, the same in ASCII, and its colour, which adds nothing to the two words."""

_VERDICT_COLUMNS = 7
_NAME_COLUMNS = 23
_LEAST_COLUMNS = 60


class Table:
    """A line for each finding as it comes, and what to do below it; wrapped where a person reads it."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._width = max(shutil.get_terminal_size().columns, _LEAST_COLUMNS) if self._is_terminal else 0

    def tell(self, finding: Finding) -> Finding:
        """Write a finding, and return it."""
        head = f"{finding.verdict:<{_VERDICT_COLUMNS}}  {finding.name:<{_NAME_COLUMNS}}  "
        if self._is_terminal:
            sign, plain_sign, colour = _SIGNS[finding.verdict]
            head = f"{sign if _is_encodable(sign) else plain_sign} {head}"
        indent = " " * len(head)
        lines = self._wrap(finding.detail, indent)
        lines += self._wrap(f"cure: {finding.cure}", indent) if finding.cure else []
        text = head + "\n".join(lines)[len(indent) :]
        if self._is_terminal:
            text = coloured(head, fg=colour) + text[len(head) :]
        emit(text)
        return finding

    def _wrap(self, text: str, indent: str) -> list[str]:
        text = " ".join(printable(text).split())
        if not self._is_terminal:
            return [indent + text]
        return textwrap.wrap(
            text, self._width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )


def describe_findings(findings: Iterable[Finding]) -> dict[str, Any]:
    """Return the findings as a JSON-ready mapping."""
    findings = list(findings)
    return {
        "healthy": all(finding.verdict is not Verdict.FAILED for finding in findings),
        "checks": [
            {
                "name": finding.name,
                "verdict": str(finding.verdict),
                "detail": finding.detail,
                "cure": finding.cure or None,
            }
            for finding in findings
        ],
    }


def _is_encodable(sign: str) -> bool:
    try:
        sign.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
