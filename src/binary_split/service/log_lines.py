"""The service's log: one JSON object a line on standard error, without secrets whoever writes it."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET = re.compile(r"\b(bs[a-z]_)[A-Za-z0-9_-]{8,}|(?i:\b(bearer) +)\S+")
_FIELDS = ("request_id", "client", "method", "path", "status", "ms", "problem")

Event = MutableMapping[str, Any]


def log_json_lines() -> None:
    """Write what every logger of this process says, from INFO on, to standard error."""
    structlog_times = structlog.processors.TimeStamper(fmt="iso", utc=True)
    lines = logging.StreamHandler()
    lines.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(allow=_FIELDS),
                structlog_times,
            ],
            processors=[
                _frames_only,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _masked,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [lines]
    root.setLevel(logging.INFO)
    for name in ("uvicorn", "sqlalchemy", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)  # uvicorn's start-up lines would repeat ours


def frames(trace: Any) -> str:
    """Return where something happened, without the exception's message: it may quote a request."""
    return "".join(traceback.format_list(traceback.extract_tb(trace)))


def _frames_only(_logger: Any, _method: str, event: Event) -> Event:
    record: logging.LogRecord | None = event.get("_record")
    if record is not None and record.exc_info:
        kind, _error, trace = record.exc_info
        event["exception"] = kind.__name__ if kind else ""
        event["frames"] = frames(trace)
        record.exc_info = record.exc_text = None
    event.pop("exc_info", None)
    return event


def _masked(_logger: Any, _method: str, event: Event) -> Event:
    """Mask what looks like a token or a code, the last of several guards."""
    for name, value in event.items():
        if isinstance(value, str) and _SECRET.search(value):
            event[name] = _SECRET.sub(lambda found: f"{found[1] or found[2]}…", value)
    return event
