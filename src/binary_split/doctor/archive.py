"""Whether the archive can be read, and what its unencrypted part says."""

from __future__ import annotations

from binary_split.archive.age import parse_fragment_stanzas, read_header
from binary_split.archive.detect import ArchiveFormat, read_format
from binary_split.doctor.facts import Facts
from binary_split.doctor.finding import Judgement, doubtful, good
from binary_split.sizes import format_size
from binary_split.transports import open_source

_SHOWN_KEY_IDS = 4


def check_archive(facts: Facts) -> Judgement:
    """Judge the file, its format and its header."""
    with open_source(facts.archive()) as source:
        size = source.seek(0, 2)
        archive_format = read_format(source)
        facts_known = f"{archive_format}, {format_size(size)}"
        if archive_format is ArchiveFormat.CBC:
            return good(f"{facts_known}, if it is one: the format has no mark of its own")
        stanzas = read_header(source).stanzas
        key_ids = [stanza.key_id for stanza in parse_fragment_stanzas(stanzas)]
    if not key_ids:
        kinds = ", ".join(sorted({stanza.kind for stanza in stanzas}))
        return doubtful(
            f"{facts_known}, opened by no fragment, but by {kinds}",
            "Ask the vendor for an archive that is sealed for a fragment, or open it with `extract`.",
        )
    shown = ", ".join(key_ids[:_SHOWN_KEY_IDS]) + (", …" if len(key_ids) > _SHOWN_KEY_IDS else "")
    return good(f"{facts_known}, opened by the fragment {shown}")
