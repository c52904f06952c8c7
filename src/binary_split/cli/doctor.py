"""``binary-split doctor``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from binary_split.cli.access import trusted_keys_options
from binary_split.cli.device_keys import device_key_option
from binary_split.cli.findings import Table, describe_findings
from binary_split.cli.journal import state_option
from binary_split.cli.options import (
    FILE,
    ca_file_option,
    complete_place,
    engine_option,
    json_option,
    key_service_option,
)
from binary_split.cli.output import emit_json
from binary_split.config import Settings, load_settings
from binary_split.doctor import Finding, Subject, Verdict, run_checks
from binary_split.errors import BinarySplitError, CheckFailedError
from binary_split.transports import parse_location
from binary_split.transports.configured import configured
from binary_split.transports.options import HttpOptions


@click.command()
@click.argument("archive", required=False, shell_complete=complete_place)
@click.option("--version", metavar="V", help="Version that the release must be; a `cbc` archive needs it.")
@trusted_keys_options
@key_service_option
@click.option(
    "--token-file", type=FILE, metavar="T", help="File that holds the token [env: BINARY_SPLIT_TOKEN_FILE]."
)
@ca_file_option
@click.option("--insecure-http", is_flag=True, help="Allow plain http to the key service beyond loopback.")
@device_key_option
@engine_option
@state_option
@click.option(
    "--release",
    "is_release_wanted",
    is_flag=True,
    help="Have the fragment released, and look into the archive: the key service records it, and it may "
    "spend a use.",
)
@json_option
def doctor(
    archive: str | None,
    version: str | None,
    trusted_keys: tuple[Path, ...],
    trusted_folder: Path | None,
    key_service: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    insecure_http: bool,
    device_key: Path | None,
    engine: str | None,
    state: Path | None,
    is_release_wanted: bool,
    as_json: bool,
) -> None:
    """Look whether this machine could unlock ARCHIVE, or any, and say what to do where it could not.

    Every check is made, whatever the others find: software, cryptography, settings, archive, keys, engine,
    disk, journal, key service, clock, token. Nothing is changed, and no fragment is asked for without
    --release; the token is shown to the key service, which counts a refused request.

    The exit code is 0 if no check failed, warnings or not, and 90 if one did.
    """
    settings, options, fault = _load()
    given = {
        "key_service": key_service,
        "token_file": token_file,
        "ca_file": ca_file,
        "device_key_file": device_key,
        "engine": engine,
        "state": state,
        "trusted_keys_folder": trusted_folder,
        "insecure_http": insecure_http or None,
    }
    settings = replace(settings, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    subject = Subject(
        archive=None if archive is None else parse_location(archive, options),
        version=version,
        settings=_with_token_of_stdin(settings),
        settings_fault=fault,
        trusted_keys=trusted_keys,
        is_release_wanted=is_release_wanted,
    )
    findings = _tell(subject, as_json=as_json)
    failed = [finding.name for finding in findings if finding.verdict is Verdict.FAILED]
    if failed:
        raise CheckFailedError(f"{len(failed)} of {len(findings)} checks failed: {', '.join(failed)}")


def _load() -> tuple[Settings, HttpOptions, BinarySplitError | None]:
    """Return the settings and what they say of servers, or none and why: the other checks are made."""
    try:
        settings = load_settings()
        options = replace(configured(settings), cache=None)  # nothing is changed
    except BinarySplitError as error:
        return Settings(), HttpOptions(), error
    return settings, options, None


def _with_token_of_stdin(settings: Settings) -> Settings:
    """Read a token from stdin once, where it is to come from there: several checks need it."""
    from binary_split.unlock.key_source import read_token

    if settings.token_file is None or str(settings.token_file) != "-":
        return settings
    return replace(settings, token=read_token(settings.token_file), token_file=None)


def _tell(subject: Subject, *, as_json: bool) -> list[Finding]:
    if as_json:
        findings = list(run_checks(subject))
        emit_json(describe_findings(findings))
        return findings
    table = Table()
    return [table.tell(finding) for finding in run_checks(subject)]
