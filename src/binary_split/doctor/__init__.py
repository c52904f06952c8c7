"""The doctor: looks whether this machine could unlock an archive, and says what to do where it could not.

It changes nothing, and asks for no fragment unless it is told to. Importing this costs next to nothing.
"""

from __future__ import annotations

from binary_split.doctor.finding import Finding, Verdict
from binary_split.doctor.running import run_checks
from binary_split.doctor.subject import Subject

__all__ = ["Finding", "Subject", "Verdict", "run_checks"]
