"""Whether the configuration can be read."""

from __future__ import annotations

from binary_split.doctor.facts import Facts
from binary_split.doctor.finding import Judgement, bad_by, good


def check_settings(facts: Facts) -> Judgement:
    """Judge the environment and the configuration file."""
    if facts.subject.settings_fault is not None:
        return bad_by(facts.subject.settings_fault)
    settings = facts.settings
    named = {
        "key service": settings.key_service,
        "token": settings.token or settings.token_file,
        "device key": settings.device_key_file,
        "trusted keys": settings.trusted_keys_folder or facts.subject.trusted_keys,
        "image ids": settings.image_ids,
    }
    given = ", ".join(name for name, value in named.items() if value)
    return good(f"given: {given}" if given else "nothing is given, and nothing is wrong")
