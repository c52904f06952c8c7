"""Every error that binary-split raises, each with its own exit code.

BinarySplitError
├── ConfigError
├── SecretFileError
├── OutputError
├── PluginProtocolError
├── ArchiveError
│   ├── ArchiveUnreadableError
│   ├── ArchiveDamagedError
│   ├── ArchiveFormatError
│   ├── ArchiveUnauthenticatedError
│   ├── ArchiveUnreachableError
│   ├── ArchiveChangedError
│   ├── RegistryError
│   ├── SignatureMissingError
│   └── SignatureUntrustedError
├── KeyServiceError
│   ├── KeyServiceUrlError
│   ├── KeyServiceUnreachableError
│   ├── KeyServiceTimeoutError
│   ├── KeyServiceTlsError
│   ├── KeyServiceRedirectError
│   ├── KeyServiceAnswerError
│   ├── TokenRejectedError
│   ├── FragmentForbiddenError
│   ├── FragmentNotFoundError
│   ├── RateLimitedError
│   ├── KeyServiceUnavailableError
│   ├── FragmentEmptyError
│   ├── FragmentNotBinaryError
│   ├── FragmentTooLongError
│   ├── FragmentTruncatedError
│   ├── DeviceKeyNeededError
│   ├── SealedFragmentError
│   ├── EnrolmentRefusedError
│   └── AdministrationForbiddenError
├── EngineError
│   ├── EngineProgramMissingError
│   ├── EngineUnreachableError
│   ├── EnginePermissionError
│   ├── EngineTimeoutError
│   ├── EngineLoadError
│   ├── EngineAnswerError
│   ├── EngineImageInUseError
│   ├── EngineAbortedError
│   └── EngineTlsError
├── ImageError
│   ├── ImageReferenceError
│   ├── ImageMissingError
│   ├── ImageMismatchError
│   └── ImageIncompleteError
├── UnlockError
│   ├── JournalError
│   ├── DowngradeError
│   ├── DiskSpaceError
│   ├── ArchiveNotConfiguredError
│   ├── UnlockBusyError
│   └── PlatformError
├── CheckFailedError
└── KeyStoreError
    ├── KeyStoreStateError
    ├── KeyEncryptionKeyError
    ├── KeyStoreDamagedError
    ├── RecordError
    │   ├── RecordMissingError
    │   └── RecordConflictError
    ├── AuditBrokenError
    └── KeyStoreRolledBackError

A class is the cause, its ``hint`` what to do about it, ``retryable`` whether the same call may succeed later.
``docs/exit-codes.md`` is generated from this tree.
"""

from __future__ import annotations

from typing import ClassVar


class BinarySplitError(Exception):
    """Something went wrong that binary-split can name.

    Attributes:
        code: stable identifier for programs, in kebab-case.
        exit_code: what the command line exits with; each class owns one.
        retryable: whether the same call may succeed later with nothing changed.
        hint: what to do about it, one sentence.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    hint: str = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


class ConfigError(BinarySplitError):
    """A setting, an option or a configuration file is wrong."""

    code = "config"
    exit_code = 3
    hint = "Correct the setting named above."


class SecretFileError(BinarySplitError):
    """A file that holds a token, a fragment, a private key or a passphrase cannot be used."""

    code = "secret-file"
    exit_code = 4
    hint = "Check that the file exists, is readable by you and holds exactly the secret."


class OutputError(BinarySplitError):
    """A result could not be written; nothing half-done was left."""

    code = "output"
    exit_code = 5
    hint = "Check the free space and the permissions of the folder; an older file there was not touched."


class PluginProtocolError(BinarySplitError):
    """The program that started the age plugin does not speak the plugin protocol as it is specified."""

    code = "plugin-protocol"
    exit_code = 6
    hint = "Let `age` start the plugin: `age -d -i IDENTITY-FILE ARCHIVE`."


class ArchiveError(BinarySplitError):
    """The archive cannot be used."""

    code = "archive"
    exit_code = 10


class ArchiveUnreadableError(ArchiveError):
    """The archive is missing, is no regular file, or changed or failed while it was read."""

    code = "archive-unreadable"
    exit_code = 11
    hint = "Check the path and the medium that it is on."


class ArchiveDamagedError(ArchiveError):
    """Wrong fragment or damaged archive; which of the two cannot be told, and is not."""

    code = "archive-damaged"
    exit_code = 12
    hint = "Copy the archive again, and check that the fragment belongs to this release."

    def __init__(
        self, message: str = "wrong fragment or damaged archive", *, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)


class ArchiveFormatError(ArchiveError):
    """What the archive holds is not a release that we can read: refused before anything is loaded."""

    code = "archive-format"
    exit_code = 13
    hint = "Make the archive with `binary-split seal`, or from an unchanged `docker save`."


class ArchiveUnauthenticatedError(ArchiveError):
    """A `cbc` archive was to be unlocked with nothing that says what it must hold."""

    code = "archive-unauthenticated"
    exit_code = 14
    hint = (
        "Give --image-id REF=sha256:… for each image (`binary-split seal` printed them), "
        "or accept the risk with --allow-unauthenticated."
    )


class ArchiveUnreachableError(ArchiveError):
    """The server of the archive does not answer, or not any more, or has no time."""

    code = "archive-unreachable"
    exit_code = 17
    retryable = True
    hint = "Check the address and the network; what was loaded before is not loaded again."


class ArchiveChangedError(ArchiveError):
    """The archive on the server became another one while it was read."""

    code = "archive-changed"
    exit_code = 18
    retryable = True
    hint = "Begin again: the new one is read from the start."


class RegistryError(ArchiveError):
    """The registry refuses what is asked of it, or its answer makes no sense."""

    code = "registry"
    exit_code = 19
    hint = "Check the reference, and that you are logged in there: `docker login`, or `podman login`."


class SignatureMissingError(ArchiveError):
    """The release statement is missing or nobody signed it."""

    code = "signature-missing"
    exit_code = 15
    hint = "Ask the vendor for a signed release, or accept the risk with --allow-unsigned."


class SignatureUntrustedError(ArchiveError):
    """No trusted key signed the release statement."""

    code = "signature-untrusted"
    exit_code = 16
    hint = (
        "Name the vendor's public key with --trusted-key, or put it into the folder of trusted keys; "
        "if it is there, do not use this archive."
    )


class KeyServiceError(BinarySplitError):
    """The key service gave no fragment."""

    code = "key-service"
    exit_code = 20


class KeyServiceUrlError(KeyServiceError):
    """The key service's URL is one that a token is never sent to."""

    code = "key-service-url"
    exit_code = 21
    hint = "Use an https:// URL without user name; http:// is for loopback only."


class KeyServiceUnreachableError(KeyServiceError):
    """No connection to the key service: refused, no route, or its name is not known."""

    code = "key-service-unreachable"
    exit_code = 22
    retryable = True
    hint = "Check the network and the address of the key service."


class KeyServiceTimeoutError(KeyServiceError):
    """The key service did not answer in time."""

    code = "key-service-timeout"
    exit_code = 23
    retryable = True
    hint = "Check the network; a firewall may drop the packets."


class KeyServiceTlsError(KeyServiceError):
    """The key service's identity could not be proven by TLS."""

    code = "key-service-tls"
    exit_code = 24
    hint = (
        "Check the service's certificate, this machine's clock, and --ca-file if the service has its own CA."
    )


class KeyServiceRedirectError(KeyServiceError):
    """The key service answered with a redirect, which is never followed with a token."""

    code = "key-service-redirect"
    exit_code = 25
    hint = "Configure the final address of the key service."


class KeyServiceAnswerError(KeyServiceError):
    """The key service's answer is not one that a key service gives."""

    code = "key-service-answer"
    exit_code = 26
    hint = "Check that the URL is that of the key service, with nothing in between."


class TokenRejectedError(KeyServiceError):
    """401: the key service does not know the token, or it has expired."""

    code = "token-rejected"
    exit_code = 27
    hint = "Ask the vendor for a new token."


class FragmentForbiddenError(KeyServiceError):
    """403: the token was revoked, its device disabled, or it may not have a fragment."""

    code = "fragment-forbidden"
    exit_code = 28
    hint = "Ask the vendor whether this device is still entitled."


class FragmentNotFoundError(KeyServiceError):
    """404: the key service has no such fragment for this token."""

    code = "fragment-not-found"
    exit_code = 29
    hint = "Check the key service's URL and the key-id."


class RateLimitedError(KeyServiceError):
    """429: too many requests, and waiting as asked did not help.

    Attributes:
        retry_after_s: how long to wait, where it is known.
    """

    code = "rate-limited"
    exit_code = 30
    retryable = True
    retry_after_s: int = 0
    hint = "Wait a while and try again."


class KeyServiceUnavailableError(KeyServiceError):
    """5xx: the key service failed, several times in a row."""

    code = "key-service-unavailable"
    exit_code = 31
    retryable = True
    hint = "Try again later; if it lasts, tell the vendor."


class FragmentEmptyError(KeyServiceError):
    """The key service answered with an empty body."""

    code = "fragment-empty"
    exit_code = 32
    hint = "Tell the vendor: the key service released an empty fragment."


class FragmentNotBinaryError(KeyServiceError):
    """The answer is a web page or a document, not a fragment."""

    code = "fragment-not-binary"
    exit_code = 33
    hint = "A captive portal or proxy may be answering: open a browser on this network, or check the URL."


class FragmentTooLongError(KeyServiceError):
    """The answer is longer than any fragment (64 KiB)."""

    code = "fragment-too-long"
    exit_code = 34
    hint = "Check that the URL is that of the key service."


class FragmentTruncatedError(KeyServiceError):
    """The connection ended before the whole fragment had come."""

    code = "fragment-truncated"
    exit_code = 35
    retryable = True
    hint = "Check the network and try again."


class DeviceKeyNeededError(KeyServiceError):
    """403: the fragment leaves the key service only sealed to the key that this device enrolled."""

    code = "device-key-needed"
    exit_code = 38
    hint = "Name this device's key with --device-key; a device that has none yet is enrolled first."


class SealedFragmentError(KeyServiceError):
    """A sealed fragment does not open: it is for another device, key or request, or damaged."""

    code = "sealed-fragment"
    exit_code = 36
    hint = "Check the device key, or ask the vendor to seal the fragment again to this device's public key."

    def __init__(
        self,
        message: str = "the sealed fragment is damaged, or for another device, key or request",
        *,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)


class EnrolmentRefusedError(KeyServiceError):
    """An enrolment code is unknown, was used, was revoked or has expired; which of them is not told."""

    code = "enrolment-refused"
    exit_code = 37
    hint = "Ask the vendor for a new code: each works once and for a short time."


class AdministrationForbiddenError(KeyServiceError):
    """The token is good, but not one of an administrator, or was revoked."""

    code = "administration-forbidden"
    exit_code = 39
    hint = "Issue one beside the database: `binary-split token issue --scope admin`."


class EngineError(BinarySplitError):
    """The container engine could not do what was asked."""

    code = "engine"
    exit_code = 40


class EngineProgramMissingError(EngineError):
    """The `docker` program is not installed or not on PATH."""

    code = "engine-program-missing"
    exit_code = 41
    hint = "Install the Docker client, or add its folder to PATH."


class EngineUnreachableError(EngineError):
    """No container engine answers at the configured address."""

    code = "engine-unreachable"
    exit_code = 42
    retryable = True
    hint = "Start the engine (`systemctl start docker`), or point DOCKER_HOST at it."


class EnginePermissionError(EngineError):
    """This user may not speak to the container engine."""

    code = "engine-permission"
    exit_code = 43
    hint = "Run as root or as a member of the group that owns the engine's socket."


class EngineTimeoutError(EngineError):
    """The container engine is there but does not answer."""

    code = "engine-timeout"
    exit_code = 44
    retryable = True
    hint = "Look at the engine's log; restart it if it hangs."


class EngineLoadError(EngineError):
    """The container engine failed to load or to export images."""

    code = "engine-load"
    exit_code = 45
    hint = "Look at the engine's words above: often its disk is full."


class EngineAnswerError(EngineError):
    """The container engine answered with an error or in a way that makes no sense."""

    code = "engine-answer"
    exit_code = 46
    hint = "Look at the engine's log."


class EngineImageInUseError(EngineError):
    """An image cannot be removed because a container uses it."""

    code = "engine-image-in-use"
    exit_code = 47
    hint = "Remove the container that uses it first, if it is not needed."


class EngineAbortedError(EngineError):
    """A load was ended before it was complete, because that was asked for or another one failed."""

    code = "engine-aborted"
    exit_code = 48
    hint = "Try again when you want the images."


class EngineTlsError(EngineError):
    """The engine's identity, or ours to the engine, could not be proven by TLS."""

    code = "engine-tls"
    exit_code = 49
    hint = "Check the files in DOCKER_CERT_PATH, the engine's name in its certificate, and the clock."


class ImageError(BinarySplitError):
    """The images are not what they must be."""

    code = "image"
    exit_code = 50


class ImageReferenceError(ImageError):
    """A text is not an image reference or digest."""

    code = "image-reference"
    exit_code = 51
    hint = (
        "Write references as NAME:TAG, such as azaion/flights:1.0.0, and digests as sha256:<64 hex digits>."
    )


class ImageMissingError(ImageError):
    """Images that are needed are not there."""

    code = "image-missing"
    exit_code = 52
    hint = "Unlock the release first; when sealing, load or build the images."


class ImageMismatchError(ImageError):
    """An image is not the one that it must be, by digest."""

    code = "image-mismatch"
    exit_code = 53
    hint = "Do not run these images: ask the vendor for the release's image ids and compare."


class ImageIncompleteError(ImageError):
    """An exported image lacks a part, or a part is damaged."""

    code = "image-incomplete"
    exit_code = 54
    hint = "Export or pull the image again, then seal again."


class UnlockError(BinarySplitError):
    """The release is not unlocked on this machine."""

    code = "unlock"
    exit_code = 80


class JournalError(UnlockError):
    """The journal, in which unlocks are written down, cannot be used; nothing was loaded."""

    code = "journal"
    exit_code = 81
    hint = "Check the folder of the journal, or name another one with --state."


class DowngradeError(UnlockError):
    """The release is older than the one of the same product that was installed last."""

    code = "downgrade"
    exit_code = 82
    hint = "Take the newer release, or accept the older one with --allow-downgrade."


class DiskSpaceError(UnlockError):
    """The engine's disk has no room for what is lacking; nothing was loaded."""

    code = "disk-space"
    exit_code = 83
    hint = "Free space, remove old releases with `binary-split prune`, or try --low-disk."


class ArchiveNotConfiguredError(UnlockError):
    """The agent was asked for an archive that its configuration does not name."""

    code = "archive-not-configured"
    exit_code = 84
    hint = "Name one of `[agent.archives]` in the agent's configuration, or add it there."


class UnlockBusyError(UnlockError):
    """The agent is unlocking another release, and does one at a time."""

    code = "unlock-busy"
    exit_code = 85
    retryable = True
    hint = "Wait until the unlock that is under way has ended, or cancel it."


class PlatformError(UnlockError):
    """The release is for another kind of machine than the engine's; nothing was loaded."""

    code = "platform"
    exit_code = 86
    hint = "Ask the vendor for this machine's release, or `unlock --any-platform` if it has an emulator."


class CheckFailedError(BinarySplitError):
    """The doctor found what would make an unlock fail."""

    code = "check-failed"
    exit_code = 90
    hint = "Do what is said below each check that failed, and ask the doctor again."


class KeyStoreError(BinarySplitError):
    """The key service's own store cannot be used."""

    code = "key-store"
    exit_code = 60


class KeyStoreStateError(KeyStoreError):
    """The state folder is missing, not initialised, already initialised, or locked."""

    code = "key-store-state"
    exit_code = 61
    hint = "Make one with `binary-split keyservice init`, or name the right one with --state."


class KeyEncryptionKeyError(KeyStoreError):
    """The key-encryption key is missing, unreadable by its mode, or not the one of this store."""

    code = "key-encryption-key"
    exit_code = 62
    hint = "Restore the key-encryption key from its backup; a new one cannot open the old fragments."


class KeyStoreDamagedError(KeyStoreError):
    """A stored fragment fails authentication."""

    code = "key-store-damaged"
    exit_code = 63
    hint = "Restore the database from a backup; the row was altered or moved."


class RecordError(KeyStoreError):
    """A key, device, grant or token has a bad name, or what is wanted of it makes no sense."""

    code = "record"
    exit_code = 64


class RecordMissingError(RecordError):
    """A key, device, grant, token or enrolment code that was named does not exist."""

    code = "record-missing"
    exit_code = 67
    hint = "List what is there, such as with `binary-split key list` or `binary-split admin device list`."


class RecordConflictError(RecordError):
    """A name is taken, or the state of a key or device does not allow what is wanted."""

    code = "record-conflict"
    exit_code = 68
    hint = "Look at its state, or take another name."


class AuditBrokenError(KeyStoreError):
    """The audit chain or a checkpoint of it does not hold: a record is missing, altered, added or moved."""

    code = "audit-broken"
    exit_code = 65
    hint = (
        "Keep the database as it is, as evidence, and compare it with a backup and with shipped checkpoints."
    )


class KeyStoreRolledBackError(KeyStoreError):
    """The database is older than the checkpoints beside the audit key: a backup was restored."""

    code = "key-store-rolled-back"
    exit_code = 66
    hint = "If you restored a backup, run `binary-split keyservice accept-restore`: it revokes again."
