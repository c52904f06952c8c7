"""``binary-split enroll``: a one-time code becomes this device's token."""

from __future__ import annotations

from pathlib import Path

import click

from binary_split.cli.device_keys import device_key_option, hybrid_option
from binary_split.cli.options import FILE, NAMED_FILE, ca_file_option, json_option, key_service_option
from binary_split.cli.output import emit_json, say
from binary_split.config import LIMITS, load_settings
from binary_split.errors import ConfigError
from binary_split.files import is_visible, read_secret, reserved_secret
from binary_split.unlock.device_key import locate_device_key, make_device_key, read_device_key


@click.command()
@click.argument("code", required=False)
@click.option("--code-file", type=FILE, metavar="F", help="File that holds the code; - for stdin.")
@key_service_option
@ca_file_option
@click.option("--insecure-http", is_flag=True, help="Allow plain http to the key service beyond loopback.")
@click.option(
    "--token-file",
    type=NAMED_FILE,
    metavar="T",
    help="New file for the token (mode 0600) [env: BINARY_SPLIT_TOKEN_FILE].",
)
@device_key_option
@hybrid_option
@json_option
def enroll(
    code: str | None,
    code_file: Path | None,
    key_service: str | None,
    ca_file: Path | None,
    insecure_http: bool,
    token_file: Path | None,
    device_key: Path | None,
    hybrid: bool,
    as_json: bool,
) -> None:
    """Give this device's public key to the key service, and get its token.

    CODE is from the vendor and works once; - reads it from stdin. The device's key is made where there is
    none yet. Nothing is asked before the token's file is sure to take the token; if no answer came, run the
    same command again: the same code with the same device key is the same enrolment.
    """
    from binary_split.keyclient import Service, enrol
    from binary_split.sealedfragment import PublicKey

    settings = load_settings()
    service = Service(
        base_url=key_service or settings.key_service or "",
        ca_file=ca_file or settings.ca_file,
        insecure_http=insecure_http or settings.insecure_http,
    )
    if not service.base_url:
        raise ConfigError("no key service is given", hint="Name one with --key-service URL.")
    target = token_file or settings.token_file
    if target is None:
        raise ConfigError("nothing says where the token goes", hint="Name a new file with --token-file.")
    key_path = locate_device_key(device_key, settings)
    secret = _read_code(code, code_file)
    with reserved_secret(target, max_bytes=LIMITS.token_bytes) as deliver:
        if is_visible(key_path):
            key = read_device_key(key_path, settings)
        else:
            key = make_device_key(key_path, hybrid=hybrid)
            say(f"device key: {key_path} (it stays on this device; without it no sealed fragment opens)")
        enrolment = enrol(service, secret, PublicKey.of(key))
        deliver(f"{enrolment.token}\n".encode())
    if as_json:
        emit_json(
            {"device": enrolment.device, "token_file": str(target), "device_key_file": str(key_path)}
            | {"public_key": PublicKey.of(key).serialise()}
        )
    else:
        say(f"this device is {enrolment.device}; its token is in {target}")


def _read_code(code: str | None, code_file: Path | None) -> str:
    """Return the code, from wherever it comes; white space around it is dropped.

    Raises:
        ConfigError: it comes from nowhere, or from two places.
        SecretFileError: its file cannot be read.
    """
    if (code is None) == (code_file is None):
        raise ConfigError("give the code, or its file with --code-file", hint="CODE may be - for stdin.")
    if code is not None and code != "-":
        return code
    content = read_secret(code_file or Path("-"), what="enrolment code", max_bytes=LIMITS.token_bytes)
    return content.decode(errors="replace").strip()
