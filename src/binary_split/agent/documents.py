"""The picture as JSON, and how OpenAPI describes that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from binary_split.agent.settings import ARCHIVE_NAME
from binary_split.agent.status import Failure, ImageState, Status
from binary_split.agent.unlocker import UnlockWish
from binary_split.config import LIMITS
from binary_split.model import TAG
from binary_split.unlock.states import State

PROBLEM = "urn:binary-split:problem:"
"""How the type of each problem of ours begins; the error's code follows."""

_Bytes = Annotated[int, Field(ge=0)]


class WishDocument(BaseModel):
    """What may be said of an unlock that is asked for; all of it may be left out."""

    model_config = ConfigDict(extra="forbid", title="Wish", hide_input_in_errors=True)

    archive: str | None = Field(
        None, pattern=f"^{ARCHIVE_NAME}$", description="The configured name of an archive; else the default."
    )
    version: str | None = Field(None, pattern=f"^{TAG}$", description="Which it must be.")
    token: SecretStr | None = Field(
        None,
        min_length=1,
        max_length=LIMITS.token_bytes,
        description="The key service's bearer token for this unlock alone; else the configured one.",
    )

    def read(self) -> UnlockWish:
        """Return the wish."""
        token = self.token.get_secret_value() if self.token else ""
        return UnlockWish(self.archive or "", self.version or "", token)


class ImageDocument(BaseModel):
    """One image of the release."""

    model_config = ConfigDict(title="Image")

    name: str
    state: ImageState
    done_bytes: _Bytes
    total_bytes: _Bytes


class ErrorDocument(BaseModel):
    """Why the last unlock failed: an RFC 9457 problem with three members of our own."""

    model_config = ConfigDict(title="Error")

    type: str = Field(description=f"`{PROBLEM}` and the error's code.")
    title: str
    detail: str
    code: str = Field(description="As `docs/exit-codes.md` lists it.")
    hint: str = Field(description="What to do about it; may be empty.")
    retryable: bool = Field(description="Whether trying again may help by itself.")


class StatusDocument(BaseModel):
    """The unlock as it is now."""

    model_config = ConfigDict(title="Status")

    number: int = Field(description="Grows with every change, also over restarts.")
    state: State
    is_running: bool
    archive: str = Field(description="Its configured name; empty before the first unlock.")
    version: str = Field(description="Of the release; empty while it is not known.")
    done_bytes: _Bytes = Field(description="Of the step that is under way.")
    total_bytes: _Bytes | None
    rate_bytes_per_s: _Bytes = Field(description="Mean of the step so far.")
    remaining_s: float | None = Field(description="Of the step, at that rate.")
    waiting_for: str | None = Field(description="Who is waited for, once nothing moves.")
    images: list[ImageDocument]
    error: ErrorDocument | None
    started_at: str | None = Field(description="UTC, ISO 8601.")
    changed_at: str = Field(description="UTC, ISO 8601.")


def describe_status(status: Status) -> dict[str, Any]:
    """Return a picture as a JSON-ready mapping, of the form of `StatusDocument`."""
    return {
        "number": status.number,
        "state": status.state,
        "is_running": status.is_running,
        "archive": status.archive,
        "version": status.version,
        "done_bytes": status.done_bytes,
        "total_bytes": status.total_bytes,
        "rate_bytes_per_s": round(status.rate_bytes_per_s),
        "remaining_s": None if status.remaining_s is None else round(status.remaining_s, 1),
        "waiting_for": status.waiting_for or None,
        "images": [
            {
                "name": image.name,
                "state": image.state,
                "done_bytes": image.done_bytes,
                "total_bytes": image.total_bytes,
            }
            for image in status.images
        ],
        "error": None if status.failure is None else describe_failure(status.failure),
        "started_at": None if status.started_at is None else _iso(status.started_at),
        "changed_at": _iso(status.changed_at),
    }


def describe_failure(failure: Failure) -> dict[str, Any]:
    """Return a failure as a problem (RFC 9457)."""
    return {
        "type": PROBLEM + failure.code,
        "title": failure.code.replace("-", " ").capitalize(),
        "detail": failure.detail,
        "code": failure.code,
        "hint": failure.hint,
        "retryable": failure.retryable,
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
