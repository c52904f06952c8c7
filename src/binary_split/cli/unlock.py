"""``binary-split unlock``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from binary_split.cli.access import load_trust, trust_options
from binary_split.cli.archive_place import archive_place
from binary_split.cli.device_keys import device_key_option
from binary_split.cli.fragments import choose_fragment, sealed_fragment_option
from binary_split.cli.journal import open_journal, state_option
from binary_split.cli.options import (
    FILE,
    ca_file_option,
    engine_option,
    fragment_file_option,
    image_id_option,
    image_option,
    json_option,
    key_service_option,
)
from binary_split.cli.output import emit_json, say, warn
from binary_split.cli.plan import show_plan
from binary_split.cli.progress import Mode, progress_option, show_progress
from binary_split.config import load_settings
from binary_split.engines import open_engine
from binary_split.sizes import format_count, format_size
from binary_split.transports import ArchiveLocation
from binary_split.unlock.key_source import KeyService, read_key_ids
from binary_split.unlock.order import FragmentSource, UnlockResult
from binary_split.unlock.ordering import make_order
from binary_split.unlock.pipeline import plan_unlock
from binary_split.unlock.pipeline import unlock as run_unlock


@click.command()
@archive_place(has_insecure_http=True)
@click.option("--version", metavar="V", help="Version that the release must be; a `cbc` archive needs it.")
@image_option
@image_id_option
@click.option(
    "--allow-unauthenticated",
    is_flag=True,
    help="Load whatever a `cbc` archive holds: anyone who had it in hands may have changed it.",
)
@trust_options
@key_service_option
@click.option(
    "--token-file", type=FILE, metavar="T", help="File that holds the token [env: BINARY_SPLIT_TOKEN_FILE]."
)
@click.option(
    "--key-id",
    metavar="ID",
    help="Which fragment to ask for; default: the token's own, or one of the archive's.",
)
@ca_file_option
@click.option("--insecure-http", is_flag=True, help="Allow plain http beyond loopback.")
@device_key_option
@fragment_file_option
@sealed_fragment_option
@engine_option
@click.option("--plan", "plan_only", is_flag=True, help="Say what there is to do, and do nothing.")
@click.option(
    "--allow-downgrade", is_flag=True, help="Install a release that is older than the one that is installed."
)
@click.option("--any-platform", is_flag=True, help="Load images for other kinds of machines too.")
@click.option(
    "--low-disk", is_flag=True, help="Keep the engine's spool at half of what is sent; takes more time."
)
@state_option
@progress_option
@json_option
def unlock(
    archive: ArchiveLocation,
    version: str | None,
    images: tuple[str, ...],
    image_ids: tuple[str, ...],
    allow_unauthenticated: bool,
    trusted_keys: tuple[Path, ...],
    trusted_folder: Path | None,
    allow_unsigned: bool,
    key_service: str | None,
    token_file: Path | None,
    key_id: str | None,
    ca_file: Path | None,
    insecure_http: bool,
    device_key: Path | None,
    fragment_file: Path | None,
    sealed_file: Path | None,
    engine: str | None,
    plan_only: bool,
    allow_downgrade: bool,
    any_platform: bool,
    low_disk: bool,
    state: Path | None,
    progress: Mode,
    as_json: bool,
) -> None:
    """Fetch the fragment, load the archive's images into the engine and prove that all are there.

    ARCHIVE is a file, NAME.001 of one in parts, or a place of which only what is needed is read:
    https://… or oci://HOST/REPOSITORY:TAG.

    An `age` archive must be signed by a trusted key; what a `cbc` archive must hold is said by --image-id, or
    by a signed NAME.release.json beside it. Nothing else is loaded, and nothing at all where everything is
    there already. The plaintext goes through memory into the engine.
    """
    settings = load_settings()
    trust = load_trust(settings, trusted_keys, trusted_folder, allow_unsigned)
    order = make_order(
        archive,
        version,
        images=images,
        image_ids=image_ids,
        settings=settings,
        trust=trust,
        allow_unauthenticated=allow_unauthenticated,
    )
    if order.is_unauthenticated:
        warn("--allow-unauthenticated: whoever had this archive in hands may have changed what it loads")
    order = replace(order, allow_downgrade=allow_downgrade, any_platform=any_platform, low_disk=low_disk)
    source: FragmentSource = choose_fragment(fragment_file, sealed_file, device_key) or KeyService(
        settings,
        key_service,
        token_file=token_file,
        device_key=device_key,
        key_id=key_id,
        find_key_ids=lambda: read_key_ids(archive),
        ca_file=ca_file,
        insecure_http=insecure_http,
    )
    with show_progress(progress) as report:
        target = open_engine(engine or settings.engine)
        journal = open_journal(target, state, settings)
        if plan_only:
            show_plan(plan_unlock(order, target, source, journal), target, as_json=as_json)
            return
        result = run_unlock(order, target, source, journal, report=report)
    if as_json:
        emit_json(_describe(result, version))
    else:
        say(_summarise(result))


def _summarise(result: UnlockResult) -> str:
    count = len(result.images)
    if not result.loaded:
        there = "the image is" if count == 1 else f"all {count} images are"
        return f"ready: {there} there already, nothing was loaded"
    size = format_size(result.sent_bytes)
    return f"ready: {len(result.loaded)} of {format_count(count, 'image')} loaded ({size}), all verified"


def _describe(result: UnlockResult, version: str | None) -> dict[str, object]:
    return {
        "version": version,
        "state": "ready",
        "loaded": [str(ref) for ref in result.loaded],
        "sent_bytes": result.sent_bytes,
        "images": [
            {"ref": str(image.ref), "id": str(image.config_digest) if image.config_digest else None}
            for image in result.images
        ],
    }
