"""Sealing: images → archive. No plaintext touches a disk, and no archive appears before it was checked."""

from binary_split.sealing.age import AgeOrder, seal_age
from binary_split.sealing.cbc import HashingSink, seal_cbc
from binary_split.sealing.export import Export, SealedArchive, SealedImage, export_docker_archive

__all__ = [
    "AgeOrder",
    "Export",
    "HashingSink",
    "SealedArchive",
    "SealedImage",
    "export_docker_archive",
    "seal_age",
    "seal_cbc",
]
