"""Whether the configuration can be read."""

from __future__ import annotations

from binary_split.doctor.facts import Facts
from binary_split.doctor.finding import Judgement, bad_by, good


def check_settings(facts: Facts) -> Judgement:
    """Judge the environment and the configuration file."""
    if facts.subject.settings_fault is not None:
        return bad_by(facts.subject.settings_fault)
    named = [
        f"{what} {value}"
        for what, value in (
            ("key service", "is named" if facts.settings.key_service else None),
            ("token", "is named" if facts.settings.token or facts.settings.token_file else None),
            ("device key", "is named" if facts.settings.device_key_file else None),
        )
        if value
    ]
    return good(", ".join(named) or "nothing is configured, and nothing is wrong")
