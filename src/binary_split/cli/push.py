"""``binary-split push``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from binary_split.archive.detect import read_format
from binary_split.cli.options import FILE, NAMED_FILE, json_option
from binary_split.cli.output import emit_json, say
from binary_split.cli.progress import Mode, progress_option, show_progress
from binary_split.config import load_settings
from binary_split.transports import open_source
from binary_split.transports.configured import ArchiveServers, configured


@click.command()
@click.argument("archive", type=click.Path(path_type=Path))
@click.argument("place", metavar="oci://HOST/REPOSITORY:TAG")
@click.option("--archive-ca", type=FILE, metavar="F", help="The only CA to trust for the registry, in PEM.")
@click.option("--client-cert", type=FILE, metavar="F", help="Certificate and key for the registry, in PEM.")
@click.option("--proxy", metavar="URL", help="Proxy to the registry; no other is used.")
@click.option("--proxy-login", type=NAMED_FILE, metavar="F", help="File with the proxy's USER:PASSWORD.")
@click.option("--insecure-http", is_flag=True, help="Speak plain http to a registry beyond loopback.")
@progress_option
@json_option
def push(
    archive: Path,
    place: str,
    archive_ca: Path | None,
    client_cert: Path | None,
    proxy: str | None,
    proxy_login: Path | None,
    insecure_http: bool,
    progress: Mode,
    as_json: bool,
) -> None:
    """Push an archive into an OCI registry, from where `unlock oci://…` reads it.

    It goes there as it is, sealed: registries, their mirrors and caches carry it like any image. The login is
    that of `docker login` or `podman login`.
    """
    from binary_split.transports.registry.client import Registry
    from binary_split.transports.registry.pushing import push_archive
    from binary_split.transports.registry.reference import RegistryReference

    reference = RegistryReference.parse(place)
    with open_source(archive) as source:
        read_format(source)  # what is no archive is not pushed as one
    given = ArchiveServers(archive_ca, client_cert, proxy, proxy_login)
    options = configured(load_settings(), given, insecure_http=insecure_http)
    registry = Registry(reference, options, may_push=True)
    with closing(registry), show_progress(progress) as report:
        digest = push_archive(archive, registry, report=report)
    if as_json:
        emit_json({"reference": str(reference), "manifest": digest})
    else:
        say(f"pushed {archive} to {reference}, manifest {digest}")
