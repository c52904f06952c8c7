"""Whether the container engine answers, and which one it is."""

from __future__ import annotations

from pathlib import Path

from binary_split.doctor.facts import Facts
from binary_split.doctor.finding import Judgement, bad, good
from binary_split.doctor.folders import is_writable


def check_engine(facts: Facts) -> Judgement:
    """Judge the engine by its own description, and by whether it tells of its images."""
    engine = facts.engine()
    description = facts.description()
    if description.kind == "oci":
        return _judge_folder(facts)
    count = len(engine.list_images())
    return good(f"{description}; {count} {'image' if count == 1 else 'images'}")


def _judge_folder(facts: Facts) -> Judgement:
    folder = Path(facts.description().address)
    if not is_writable(folder):
        return bad(f"the folder {folder} cannot be written", "Name a folder that this user may write.")
    return good(f"{facts.description()}; it runs nothing, and holds plaintext")
