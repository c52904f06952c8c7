"""Whether the token can be read, and what the key service says of it."""

from __future__ import annotations

import stat
from pathlib import Path

from binary_split.config import LIMITS
from binary_split.doctor.facts import Facts
from binary_split.doctor.finding import (
    Judgement,
    SkippedError,
    Verdict,
    bad_by,
    doubtful,
    good,
    needed,
)
from binary_split.errors import (
    FragmentForbiddenError,
    KeyServiceAnswerError,
    KeyServiceError,
    SecretFileError,
    TokenRejectedError,
)
from binary_split.keyclient.probing import verify_token
from binary_split.keyclient.token import BearerToken
from binary_split.unlock.key_source import read_token

_READABLE = "it can be read and has a token's form"
_NONE_CURE = "Name its file with --token-file, or set BINARY_SPLIT_TOKEN_FILE."


def check_token(facts: Facts) -> Judgement:
    """Judge the token's form and file, then ask the key service; a use is spent only with --release."""
    token = BearerToken.parse(_read(facts), max_bytes=LIMITS.token_bytes)
    said = _release(facts) if facts.subject.is_release_wanted else _ask(facts, token)
    mode = _open_mode(facts.settings.token_file)
    if mode is None or said.verdict is Verdict.FAILED:
        return said
    return doubtful(
        f"{said.detail}; its file is open to others (mode {mode:04o})",
        f"Run `chmod 600 {facts.settings.token_file}`, and consider who may have read it.",
    )


def _read(facts: Facts) -> str:
    if facts.settings.token_file is not None:
        return read_token(facts.settings.token_file)
    if facts.settings.token:
        return facts.settings.token
    if facts.settings.key_service:
        raise SecretFileError("no token is given, and the key service asks for one", hint=_NONE_CURE)
    raise SkippedError("no token is configured")


def _ask(facts: Facts, token: BearerToken) -> Judgement:
    """Ask what the token is worth, in a way that can release nothing."""
    try:
        with needed("the key service cannot be asked what it is worth"):
            facts.way.readiness()
        verify_token(facts.way.service(), token)
    except SkippedError as skipped:
        return Judgement(Verdict.SKIPPED, f"{_READABLE}; {skipped}")
    except KeyServiceAnswerError as error:
        return Judgement(Verdict.SKIPPED, f"{_READABLE}; {error}: --release asks in earnest")
    except (TokenRejectedError, FragmentForbiddenError) as error:
        return bad_by(error)
    except KeyServiceError as error:
        return Judgement(Verdict.SKIPPED, f"{_READABLE}; what it is worth was not told: {error}")
    return good("the key service takes it; which fragments it opens, only a release tells (--release)")


def _release(facts: Facts) -> Judgement:
    """Have the fragment released: what is refused here would be refused to an unlock."""
    size = len(facts.fragment())
    return good(f"the key service released a fragment of {size} bytes, which was not kept")


def _open_mode(path: Path | None) -> int | None:
    """Return the mode of a token's file that is open to others; None where it is not."""
    if path is None:
        return None
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None
    return mode if mode & 0o077 else None
