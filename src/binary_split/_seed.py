"""The five public names of the original module, thin over the parts below.

Imports inside the functions are on purpose: ``import binary_split`` stays cheap.
"""

from __future__ import annotations

from binary_split.config import API_SERVICES, load_settings

__all__ = ["API_SERVICES", "check_images_loaded", "decrypt_archive", "docker_load", "download_key_fragment"]


def download_key_fragment(resource_api_url: str, token: str) -> bytes:
    """Fetch the key fragment from ``{resource_api_url}/binary-split/key-fragment``, unchanged.

    ``BINARY_SPLIT_CA_FILE`` names a CA of the key service's own; ``BINARY_SPLIT_INSECURE_HTTP=1`` allows
    plain http beyond loopback.

    Args:
        resource_api_url: the key service, with or without a trailing slash; https, or http on loopback.
        token: the bearer token; it goes to that origin only.

    Raises:
        KeyServiceError: of the kind of the cause (see ``binary_split.errors``).
        SecretFileError: the text is no bearer token.
    """
    from binary_split.keyclient import fetch_fragment

    settings = load_settings()
    fragment = fetch_fragment(
        resource_api_url, token, ca_file=settings.ca_file, insecure_http=settings.insecure_http
    )
    return fragment.reveal()


def decrypt_archive(encrypted_path: str, key_fragment: bytes, output_path: str) -> None:
    """Decrypt a ``cbc`` archive to a plain image tar, as a stream, in constant memory.

    The output appears when it is complete, with one rename; on any failure an older file stays as it was.

    ``cbc`` has no authentication. Detected are a length that is no multiple of 16 or under 32 bytes, and a
    padding that is impossible. NOT detected: an altered stretch, a cut that happens to leave a possible
    padding, and a wrong fragment in about 1 of 250 cases; the output is then garbage. Verify it by digest
    before you trust it, or use ``binary-split unlock``, which does.

    Args:
        encrypted_path: ``IV(16) || AES-256-CBC(PKCS#7(tar))``, key = SHA-256(key_fragment).
        key_fragment: the fragment's bytes.
        output_path: where the tar goes.

    Raises:
        ArchiveDamagedError: wrong fragment or damaged archive.
        ArchiveUnreadableError: the archive cannot be read.
        OutputError: the output cannot be written.
    """
    from pathlib import Path

    from binary_split.archive.cbc import CbcReader
    from binary_split.files import write_atomically
    from binary_split.model import Fragment
    from binary_split.transports.file import FileSource

    with FileSource(Path(encrypted_path)) as source:
        plaintext = CbcReader(source, Fragment(key_fragment))
        with write_atomically(Path(output_path)) as output:
            for chunk in plaintext.chunks():
                output.write(chunk)


def docker_load(tar_path: str) -> None:
    """Load an image tar with ``docker load -i tar_path``.

    Raises:
        EngineError: the program is missing, its engine does not answer, or the load failed.
    """
    from binary_split.engines.docker_program import load_tar

    load_tar(tar_path)


def check_images_loaded(version: str) -> bool:
    """Ask ``docker image inspect`` for each of ``API_SERVICES`` at a version; False at the first missing one.

    Raises:
        EngineError: the engine cannot be asked: that is not "missing".
        ImageReferenceError: the version is no image tag.
    """
    from binary_split.engines.docker_program import has_image
    from binary_split.model import ImageRef

    return all(has_image(str(ImageRef.parse(f"{name}:{version}"))) for name in API_SERVICES)
