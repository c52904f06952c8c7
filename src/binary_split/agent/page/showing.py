"""The page of the status, for one visitor."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from binary_split.agent.access import Caller
from binary_split.agent.page.catalogue import choose_catalogue
from binary_split.agent.page.installed import list_installed
from binary_split.agent.page.picture import Shape, Trouble, draw
from binary_split.agent.page.subject import Subject
from binary_split.agent.page.visitors import render_for
from binary_split.agent.status import Status

REFRESH_S = 5


def show_status(
    request: Request,
    visitor: Caller,
    status: Status,
    *,
    trouble: Trouble | None = None,
    is_stale: bool = False,
) -> Response:
    """Return the page.

    Args:
        request: whose language and cookies it is for.
        visitor: who looks at it.
        status: of the unlock.
        trouble: why what a form wished was not done.
        is_stale: a form came that this visitor was not given.
    """
    subject: Subject = request.app.state.page_subject
    say = choose_catalogue(request)
    picture = draw(status, say, has_archive=bool(subject.agent.archives))
    is_still = "still" in request.query_params
    return render_for(
        visitor,
        request,
        "status.html",
        here="/",
        status=_answer_code(is_refused=trouble is not None, is_stale=is_stale),
        picture=picture,
        trouble=trouble or picture.trouble,
        is_stale=is_stale,
        archives=tuple(subject.agent.archives),
        chosen=picture.archive or subject.agent.default,
        device=subject.name,
        has_device_id=subject.device_id is not None,
        releases=list_installed(subject.read_releases()),
        refresh_s=REFRESH_S if picture.shape is Shape.RUNNING and not is_still else 0,
        is_still=is_still,
    )


def _answer_code(*, is_refused: bool, is_stale: bool) -> HTTPStatus:
    if is_stale:
        return HTTPStatus.FORBIDDEN
    return HTTPStatus.CONFLICT if is_refused else HTTPStatus.OK
