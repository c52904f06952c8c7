"""Whether the key service can be reached: its name, its port, its certificate, and that it is one."""

from __future__ import annotations

from contextlib import suppress

from binary_split.doctor.certificate import describe_certificate, is_of_today, judge_certificate
from binary_split.doctor.facts import Facts
from binary_split.doctor.finding import Judgement, SkippedError, bad, doubtful, good
from binary_split.errors import (
    FragmentNotBinaryError,
    KeyServiceError,
    KeyServiceTlsError,
    KeyServiceUnavailableError,
)
from binary_split.keyclient.answer import Answer, read_document

_PORTAL = (
    "A captive portal or a proxy may answer in its place: sign in to this network with a browser, or take "
    "another network; then check the URL."
)


def check_name(facts: Facts) -> Judgement:
    """Judge the URL, and whether its host's name is known."""
    host, found = facts.way.address().host, facts.way.ip_addresses()
    return good(host if found == (host,) else f"{host} is {', '.join(found)}")


def check_connection(facts: Facts) -> Judgement:
    """Judge whether the service's port takes connections."""
    seconds = facts.way.connect_s()
    address = facts.way.address()
    return good(f"{address.host} takes connections at port {address.port} ({1000 * seconds:.0f} ms)")


def check_certificate(facts: Facts) -> Judgement:
    """Judge whether the service's certificate proves who it is, and for how long it will."""
    try:
        return judge_certificate(facts.way.certificate())
    except KeyServiceTlsError as error:
        shown = b""
        with suppress(KeyServiceError, SkippedError):
            shown = facts.way.refused()
        words = describe_certificate(shown)
        cure = f"{error.hint} {_PORTAL}" if is_of_today(shown) else error.hint
        return bad(f"{error}: it is {words}" if words else str(error), cure)


def check_service(facts: Facts) -> Judgement:
    """Judge whether what answers is a key service, and says that it can release fragments."""
    answer = facts.way.readiness().answer
    if answer.status in {401, 403, 404, 405}:
        return doubtful(
            f"something answers, but not as our key service does ({answer.status})",
            "Check the URL's path. If the vendor's service is of another kind, nothing is wrong.",
        )
    try:
        read_document(answer, None, max_bytes=len(answer.body) or 1)
    except FragmentNotBinaryError:
        return bad("what answers is a web page, and no key service", _PORTAL)
    except KeyServiceUnavailableError as error:
        return bad(f"{error}: it cannot release fragments now", error.hint)
    except KeyServiceError as error:
        cure = _PORTAL if _is_redirect(answer) else error.hint
        return bad(str(error), cure)
    return good("it answers, and says that it can release fragments")


def _is_redirect(answer: Answer) -> bool:
    return 300 <= answer.status < 400
