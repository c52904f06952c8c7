"""Which pages the runner follows, what stands on the machine before each, and what is taken for what."""

from __future__ import annotations

from dataclasses import dataclass

TRIAL = (
    "docs/quickstart-vendor.md",
    "docs/quickstart-device.md",
    "docs/quickstart-fleet.md",
    "docs/quickstart-security-review.md",
)
"""These are followed one after the other, in the same folders, with the same key service."""

SUBSTITUTIONS = {
    "--host 0.0.0.0 --port 8443": "--port {port}",
    "--port 8443": "--port {port}",
    "https://keys.example.com:8443": "https://localhost:{port}",
    "https://localhost:8443": "https://localhost:{port}",
    "https://127.0.0.1:8443": "https://127.0.0.1:{port}",
    "https://cdn.example.com/releases": "{archives}",
    "oci://registry.example.com": "oci://{registry}",
    "/etc/binary-split": "{folder}/etc/binary-split",
    "/var/lib/binary-split": "{folder}/var/lib/binary-split",
    "/run/binary-split": "{folder}/run/binary-split",
    "/media/stick": "{folder}/media/stick",
    "/media/usb": "{folder}/media/usb",
}
"""What stands in a page, and what is there instead."""


@dataclass(frozen=True, slots=True)
class Page:
    """What stands there before a page is followed.

    Attributes:
        setup: commands; ``$VENDOR`` is the folder of the vendor's quickstart.
        settings: whether the page's first ``toml`` block is the configuration file from then on.
    """

    setup: str = ""
    settings: bool = False


_KNOWN = (
    "cp $VENDOR/acme-1.0.0.age release.age; cp $VENDOR/publisher.pub .; cp $VENDOR/acme-1.fragment fragment\n"
)
_STATE = "export BINARY_SPLIT_KEYSERVICE_STATE=$VENDOR/keyservice\n"
_TLS = "cp $VENDOR/cert.pem $VENDOR/key.pem .\n"
_ISSUE = "binary-split token issue --state $VENDOR/keyservice --key acme-1 --out"
_TOKEN = f"mkdir -p /etc/binary-split\n{_ISSUE} /etc/binary-split/token\n"
_TRUST = "install -D -m 644 $VENDOR/publisher.pub /etc/binary-split/trusted-keys.d/publisher.pub\n"
_SEAL = (
    "binary-split seal --version 1.0.0 --image acme/vision --sign $VENDOR/publisher --fragment-file fragment "
)

PAGES = {
    "README.md": Page(_TLS),
    "docs/admin.md": Page(_STATE + "binary-split key create release-1"),
    "docs/age-plugin.md": Page(
        _KNOWN + _TOKEN + "install -D fragment /media/stick/fragment; head -c 32 /dev/urandom >fragment-8\n"
        f"{_SEAL} --key-id acme-1 --compress gzip -o bundle.age"  # Docker before 25 loads no zstd
    ),
    "docs/agent.md": Page(
        _TOKEN + _TRUST + "mkdir -p /run/binary-split /media/usb\n"
        "(umask 077; echo a-token-of-the-agent >/etc/binary-split/agent-token)",
        settings=True,
    ),
    "docs/archive-format.md": Page(_KNOWN + "binary-split identity --fragment-file fragment -o identity.txt"),
    "docs/archive-formats.md": Page(
        "cp $VENDOR/acme-1.fragment fragment; ln -s fragment fragment.bin\n"
        f"{_SEAL} --format cbc -o release.cbc"
    ),
    "docs/docker-unlock.md": Page(f"{_KNOWN}{_ISSUE} token"),
    "docs/doctor.md": Page(_TOKEN + _TRUST + "cp $VENDOR/acme-1.0.0.age release-1.4.0.age"),
    "docs/key-service.md": Page(_TLS),
    "docs/migration.md": Page(_TLS + "head -c 32 /dev/urandom >fragment"),
    "docs/release-statement.md": Page(
        _KNOWN
        + "mv publisher.pub vendor.pem; binary-split identity --fragment-file fragment -o identity.txt\n"
        "age -d -i identity.txt release.age | tar -xf - release.json"
    ),
    "docs/sealed-fragments.md": Page(
        _STATE + "cp $VENDOR/publisher.pub .; mkdir -p /etc/binary-split\n"
        "binary-split key create acme-2026 --out fragment\n"
        "binary-split admin device register drone-7\n"
        "binary-split admin grant create --key acme-2026 --device drone-7\n"
        "binary-split admin enrolment issue drone-7 --out code\n"
        f"{_SEAL} --key-id acme-2026 -o release.age"
    ),
    "docs/transports.md": Page(_KNOWN + "cp release.age 1.2.0.age"),
}
"""Every other page with commands."""

NOT_RUN = {
    ("README.md", "make demo    # the whole job on this machine, from keys to images, then clean up"): (
        "the first is run by test_demo.py; the second runs these tests"
    ),
    ("CONTRIBUTING.md", "make lint   # style, types, layers, generated pages"): "it runs these tests",
    ("docs/quickstart-vendor.md", "python3 -m venv ~/binary-split"): "takes packages from the network",
    ("docs/quickstart-device.md", "python3 -m venv ~/binary-split"): "takes packages from the network",
    (
        "docs/docker-unlock.md",
        "docker -H ssh://me@truck-17 unlock release.age --trusted-key publisher.pub --fragment-file fragment",
    ): "needs another machine",
    (
        "docs/operations.md",
        "python3 -m venv /opt/binary-split",
    ): "sets up this machine: root's folders, systemd",
    ("docs/operations.md", "cd deploy && install -d -m 0700 secrets"): "builds and pulls container images",
}
"""Blocks that no test can follow, each by its page and first line, and why."""
