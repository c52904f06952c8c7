"""Limits and settings: the only reader of TOML files and, with `environment`, of what is set around us.

Every start of the program imports this: what only settings need is imported when they are read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from binary_split.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from binary_split.model import Digest, ImageRef

API_SERVICES: list[str] = [
    "azaion/annotations",
    "azaion/flights",
    "azaion/detections",
    "azaion/gps-denied-onboard",
    "azaion/gps-denied-desktop",
    "azaion/autopilot",
    "azaion/ai-training",
]
"""The images of a release when none are named."""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@dataclass(frozen=True, eq=False, repr=False)  # what is not generated is not compiled at each start
class Limits:
    """Every bound on foreign bytes and on waiting, each with its unit."""

    fragment_bytes: int = 64 * KIB
    token_bytes: int = 8 * KIB
    sealed_fragment_bytes: int = 92 * KIB  # base64 of a fragment and what sealing adds, and its names
    device_key_bytes: int = 1 * KIB
    key_ids_asked: int = 8  # of an archive, one after the other, for the one that this device may have
    admin_answer_bytes: int = 8 * MIB  # a page of 1000 audit records
    enrolment_bytes: int = 16 * KIB  # the answer to an enrolment

    # One fetch of a fragment, all its tries and waits together.
    fetch_deadline_s: float = 60.0
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 20.0
    fetch_attempts: int = 4
    backoff_first_s: float = 0.5
    retry_after_cap_s: float = 20.0

    # Streams: small enough for the cache, large enough to amortise a call.
    chunk_bytes: int = 512 * KIB

    # Image archives.
    manifest_bytes: int = 4 * MIB
    image_config_bytes: int = 4 * MIB
    documents_bytes: int = 32 * MIB  # all manifests and configs of one archive together
    tar_members: int = 100_000
    tar_name_bytes: int = 4 * KIB
    tar_pax_bytes: int = 64 * KIB
    layer_bytes: int = 256 * GIB

    # Release statements: 4 MiB hold some 20,000 blobs, and base64 makes 4 bytes of 3.
    statement_bytes: int = 4 * MIB
    envelope_bytes: int = 6 * MIB
    # Each signature is tried with each trusted key, over the whole statement.
    envelope_signatures: int = 8
    trusted_keys: int = 32
    publisher_key_bytes: int = 8 * KIB
    passphrase_bytes: int = 1023  # what OpenSSL takes

    # age archives: bounds on a foreign header, and what a passphrase may cost (memory is 1 KiB << log_n).
    age_header_bytes: int = 256 * KIB
    age_header_stanzas: int = 1024
    age_stanza_arguments: int = 16
    age_stanza_body_bytes: int = 8 * KIB
    age_armor_bytes: int = 64 * MIB  # armored ciphertext that is held in memory for random access
    age_armor_blank_bytes: int = 1 * KIB  # white space before and after the armor
    age_key_text_bytes: int = 8 * KIB  # one recipient or identity as text
    age_fragment_bytes_min: int = 16  # to seal with: HKDF adds no strength to a short secret
    age_identity_file_bytes: int = 256 * KIB  # a file of identities, one a line
    age_location_bytes: int = 4 * KIB  # what a plugin identity says of where its fragment is
    age_plugin_bytes: int = 16 * MIB  # all that a client sends to the plugin: the headers of many files
    age_scrypt_log_n: int = 18
    age_scrypt_log_n_max: int = 20

    # Unlocks.
    journal_bytes: int = 16 * MIB  # a file of the journal: an envelope in base64 and its images once more
    part_bytes: int = 256 * MIB  # layers that are sent in one load, where there are several
    low_disk_part_bytes: int = 128 * MIB  # the same with --low-disk
    blob_part_bytes: int = 16 * MIB  # the same for an engine that keeps blobs as they are sent
    side_by_side: int = 8  # loads at a time
    senders: int = (
        2  # of them, those that send layers; the others wait for what they stand on, or for the engine
    )
    stall_s: float = 30.0  # without progress, until it is said who is waited for
    beat_s: float = 1.0  # between two words of progress at most

    # Archives in parts.
    archive_parts: int = 999
    part_list_bytes: int = 256 * KIB

    # Archives in registries.
    push_chunk_bytes: int = 16 * MIB
    push_small_chunk_bytes: int = 4 * MIB  # where the registry takes none that large: GHCR's most
    push_end_bytes_per_s: float = 10 * MIB  # that a registry goes through when it has come to an end
    push_attempts: int = 8  # of one chunk or question
    login_file_bytes: int = 1 * MIB
    login_helper_s: float = 30.0
    token_answer_bytes: int = 256 * KIB

    # Archives on web servers.
    http_connections: int = 4
    http_block_bytes: int = 1 * MIB
    http_blocks: int = 12  # that are held
    http_blocks_ahead: int = 3  # of one reader
    http_patience_s: float = 300.0  # without a byte for anybody, until it is given up
    http_least_bytes: int = 1 * KIB  # at a time: fewer are none, as of a server that drips
    http_beat_s: float = 1.0  # between two looks at how it goes
    http_backoff_cap_s: float = 15.0
    http_read_timeout_s: float = (
        30.0  # what came out of order is lost with a connection: TCP tries four times
    )
    http_redirects: int = 5
    proxy_login_bytes: int = 4 * KIB
    mirrors: int = 64  # tables, and places of one
    mirror_patience_s: float = 3.0  # without a byte, where there is another place to ask

    # Blocks of archives that are kept for another run.
    cache_bytes: int = 4 * GIB  # unless it is said
    cache_reserve_bytes: int = 512 * MIB  # that are left free on the cache's disk: an engine may need them
    cache_lock_s: float = 0.5  # for one who writes, until it goes without

    # Engines.
    engine_connect_timeout_s: float = 10.0
    engine_greeting_timeout_s: float = 30.0  # its first answer; Podman runs programs for it
    engine_ask_timeout_s: float = 60.0
    engine_end_timeout_s: float = 0.5  # to throw away a load that is ended early
    engine_settle_s: float = 30.0  # for what an engine has in full when another part fails, until it is ended
    engine_answer_bytes: int = 64 * MIB  # to a question: the list of all images is the longest
    engine_error_bytes: int = 8 * KIB
    engine_line_bytes: int = 1 * MIB  # of the answer to a load
    engine_error_lines: int = 10

    # The agent.
    agent_archives: int = 64
    agent_token_characters: int = 16  # at least: it is not a password that a person remembers
    agent_body_bytes: int = 16 * KIB  # of a request: the longest token, escaped as JSON, and some
    agent_state_bytes: int = 16 * MIB  # of its state file, which names the images that were proven
    agent_answer_s: float = 2.0  # that the answer to a wish waits for what can be told at once
    agent_proof_s: float = 10.0  # until readiness is asked of the engine again
    agent_end_s: float = 8.0  # that the end waits for an unlock to leave its loads
    agent_event_s: float = 0.2  # between two events of a stream, at least
    agent_heartbeat_s: float = 15.0  # of a stream with nothing to say, at most
    agent_folder_entries: int = 1000  # that are looked at for an archive
    agent_look_s: float = 5.0  # between two looks for archives that are unlocked by themselves
    agent_retry_first_s: float = 5.0
    agent_retry_cap_s: float = 300.0
    agent_grant_s: float = 3600.0  # between two questions for a fragment that is not granted
    agent_streams: int = 32  # readers of events at a time
    agent_doctor_s: float = 20.0  # a check of the page's check-up: its answer must begin before it is cut
    agent_wishes_per_minute: int = 60  # to unlock or to cancel, of all callers together

    # The doctor.
    doctor_check_s: float = 35.0  # a check, and so all of them; longer than an engine may take to greet
    doctor_clock_s: float = 120.0  # how far this machine's clock may be from the key service's
    doctor_clock_wrong_s: float = 86_400.0  # from here on certificates seem to have expired
    doctor_certificate_days: int = 14  # left, below which a certificate should be renewed
    doctor_disk_bytes: int = 64 * MIB  # free, below which the engine's disk counts as full
    doctor_state_bytes: int = 32 * MIB  # free, for the journal: two of its largest files


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment and the configuration file say; options of a command come before both.

    Attributes:
        key_service: URL of the key service, ``https://HOST[:PORT]``.
        token: bearer token from ``BINARY_SPLIT_TOKEN``; never shown.
        token_file: holds the token for the key service.
        ca_file: the only CA to trust in the key service's TLS, PEM; without it, the system's.
        engine: where images are loaded: ``docker``, ``podman`` or ``oci:DIR``.
        image_ids: what each image of a ``cbc`` archive must be, ``"REF" = "sha256:…"``.
        insecure_http: whether plain http to the key service is allowed beyond loopback.
        trusted_keys_folder: holds the public keys of publishers that are trusted, ``*.pem`` and ``*.pub``.
        device_key_file: holds this device's private key, to which fragments are sealed.
        device_id: how the key service calls this device; None takes the service's word.
        credentials_folder: where systemd put the unit's credentials (systemd.exec(5)), for it alone to read.
        state: folder of the journal.
        cache: folder for blocks of remote archives, kept for another run; None: none are kept.
        cache_size: how large it may be, as text: ``4G``.
        mirrors: the tables ``[[mirror]]`` as they stand in the file: where else archives are, see
            ``docs/transports.md``.
        archive: the table ``[archive]`` as it stands in the file: how servers of archives are reached.
        agent: the table ``[agent]`` as it stands in the file; ``agent.settings`` says what may be in it.
    """

    key_service: str | None = None
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    ca_file: Path | None = None
    engine: str | None = None
    image_ids: Mapping[ImageRef, Digest] = field(default_factory=dict)
    insecure_http: bool = False
    trusted_keys_folder: Path | None = None
    device_key_file: Path | None = None
    device_id: str | None = None
    credentials_folder: Path | None = None
    state: Path | None = None
    cache: Path | None = None
    cache_size: str | None = None
    mirrors: object = field(default_factory=list)
    archive: Mapping[str, Any] = field(default_factory=dict)
    agent: Mapping[str, Any] = field(default_factory=dict)


_TOKEN_VARIABLE = "BINARY_SPLIT_TOKEN"  # noqa: S105 - the variable's name, not a token
_DEVICE_KEY_CREDENTIAL = "device-key"
_TEXT_SETTINGS = (
    "key_service",
    "engine",
    "token_file",
    "ca_file",
    "trusted_keys_folder",
    "device_key_file",
    "device_id",
    "state",
    "cache",
    "cache_size",
)
_KNOWN_SETTINGS = {*_TEXT_SETTINGS, "agent", "archive", "image_ids", "insecure_http", "mirror"}


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read ``BINARY_SPLIT_*`` variables over the TOML file that ``BINARY_SPLIT_CONFIG`` names.

    A device key that neither names may be the systemd credential ``device-key``.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or holds a setting that does not exist.
    """
    path = environ.get("BINARY_SPLIT_CONFIG")
    table = _read_toml(path) if path else {}
    for name in _TEXT_SETTINGS:
        value = environ.get(f"BINARY_SPLIT_{name.upper()}")
        if value:
            table[name] = value
    if environ.get("BINARY_SPLIT_INSECURE_HTTP"):
        table["insecure_http"] = environ["BINARY_SPLIT_INSECURE_HTTP"] == "1"
    credentials = credentials_folder(environ)
    device_key_file = path_setting(table, "device_key_file")
    if credentials is not None and device_key_file is None:
        credential = credentials / _DEVICE_KEY_CREDENTIAL
        device_key_file = credential if credential.exists() else None
    return Settings(
        token=environ.get(_TOKEN_VARIABLE) or None,
        image_ids=_parse_image_ids(table.get("image_ids", {})),
        insecure_http=table.get("insecure_http", False) is True,
        key_service=text_setting(table, "key_service"),
        engine=text_setting(table, "engine"),
        token_file=path_setting(table, "token_file"),
        ca_file=path_setting(table, "ca_file"),
        trusted_keys_folder=path_setting(table, "trusted_keys_folder"),
        device_key_file=device_key_file,
        device_id=text_setting(table, "device_id"),
        credentials_folder=credentials,
        state=path_setting(table, "state"),
        cache=path_setting(table, "cache"),
        cache_size=text_setting(table, "cache_size"),
        mirrors=table.get("mirror", []),
        archive=_table(table, "archive"),
        agent=_table(table, "agent"),
    )


def state_folder(settings: Settings) -> Path:
    """Return the folder of the journal: the one that is set, or the usual one.

    Raises:
        ConfigError: none is set, and the user has no home.
    """
    return settings.state or default_state_folder()


def default_state_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where state is kept when nothing else is said: ``/var/lib`` for root, else the user's own.

    Raises:
        ConfigError: the user has no home.
    """
    from pathlib import Path

    if os.geteuid() == 0:
        return Path("/var/lib/binary-split")
    home = environ.get("XDG_STATE_HOME") or (environ["HOME"] + "/.local/state" if environ.get("HOME") else "")
    if not home:
        raise ConfigError("there is no home for the journal", hint="Name a folder with --state.")
    return Path(home) / "binary-split"


def child_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for a child process: everything but our own secrets."""
    return {name: value for name, value in environ.items() if name != _TOKEN_VARIABLE}


def credentials_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return where the service manager put this service's credentials, None where it gave none."""
    from pathlib import Path

    folder = environ.get("CREDENTIALS_DIRECTORY")
    return Path(folder) if folder else None


def _read_toml(path: str) -> dict[str, Any]:
    import tomllib

    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib is not imported for this alone
            table = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    verify_known(path, table, _KNOWN_SETTINGS)
    return table


def text_setting(table: Mapping[str, Any], name: str, *, where: str = "setting") -> str | None:
    """Return a text of a table, None where it is not there.

    Raises:
        ConfigError: it is something else; names it by ``where``.
    """
    value = table.get(name)
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{where} {name} must be a text")
    return value


def path_setting(table: Mapping[str, Any], name: str, *, where: str = "setting") -> Path | None:
    """Return a path of a table, as `text_setting`; None for an empty one too."""
    from pathlib import Path

    value = text_setting(table, name, where=where)
    return Path(value) if value else None


def flag_setting(table: Mapping[str, Any], name: str, *, default: bool, where: str = "setting") -> bool:
    """Return a yes or no of a table, the default where it is not there.

    Raises:
        ConfigError: it is something else; names it by ``where``.
    """
    value = table.get(name, default)
    if not isinstance(value, bool):
        raise ConfigError(f"{where} {name} must be true or false")
    return value


def verify_known(where: str, table: Mapping[str, Any], known: set[str]) -> None:
    """Check that all that a table says is known.

    Raises:
        ConfigError: something is not; names it by ``where``.
    """
    unknown = sorted(set(table) - known)
    if unknown:
        raise ConfigError(f"{where}: no such setting: {', '.join(unknown)}")


def _table(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = table.get(name, {})
    if not isinstance(value, dict):
        raise ConfigError(f"setting {name} must be a table")
    return value


def _parse_image_ids(table: object) -> dict[ImageRef, Digest]:
    from binary_split.model import Digest, ImageRef

    if not isinstance(table, dict):
        raise ConfigError('setting image_ids must be a table of "NAME:TAG" = "sha256:…"')
    return {ImageRef.parse(str(ref)): Digest.parse(str(digest)) for ref, digest in table.items()}
