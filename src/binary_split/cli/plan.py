"""What ``binary-split unlock --plan`` prints."""

from __future__ import annotations

from binary_split.cli.output import emit_json, say
from binary_split.engines import Engine
from binary_split.sizes import format_count, format_size
from binary_split.unlock.load_plan import LoadPlan, free_bytes, verify_room


def show_plan(plan: LoadPlan, engine: Engine, *, as_json: bool) -> None:
    """Print what an unlock would do.

    Raises:
        DiskSpaceError: it would be refused, as the engine's disk has no room.
    """
    description = engine.describe()
    free = free_bytes(description.data_root)
    if as_json:
        emit_json(_describe(plan) | {"engine": str(description), "disk_free_bytes": free})
    else:
        say(_summarise(plan, free))
    verify_room(plan, description)


def _describe(plan: LoadPlan) -> dict[str, object]:
    return {
        "read_bytes": plan.read_bytes,
        "decrypt_bytes": plan.decrypt_bytes,
        "send_bytes": plan.send_bytes,
        "disk_bytes": plan.disk_bytes,
        "lacking": [str(ref) for ref in sorted(plan.lacking)],
        "parts": [
            {
                "images": [str(plan.images[index].layout.refs[0]) for index in part.images],
                "layers": [str(layer.diff_id) for layer in part.layers],
                "send_bytes": part.size,
                "parents": list(part.parents),
            }
            for part in plan.parts
        ],
    }


def _summarise(plan: LoadPlan, free: int | None) -> str:
    if not plan.lacking:
        return "nothing to do: every image of the release is there"
    room = "" if free is None else f" ({format_size(free)} free)"
    return "\n".join(
        [
            f"to load: {', '.join(str(ref) for ref in sorted(plan.lacking))}",
            f"read     {format_size(plan.read_bytes)} of the archive",
            f"decrypt  {format_size(plan.decrypt_bytes)}",
            f"send     {format_size(plan.send_bytes)} in {format_count(len(plan.parts), 'part')}",
            f"disk     {format_size(plan.disk_bytes)} on the engine's side{room}",
        ]
    )
