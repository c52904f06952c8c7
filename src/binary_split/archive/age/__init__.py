"""The age v1 codec (C2SP age.md): pure bytes, on pyca/cryptography alone; no network, no environment.

Any age implementation opens what `seal_age` writes, and `open_age` what they write, for the recipient types
X25519, scrypt and mlkem768x25519. Our own type ``binary-split`` wraps the file key under a key fragment.
"""

from binary_split.archive.age.file import open_age, open_age_stream, read_header, read_nonce, seal_age
from binary_split.archive.age.fragment import (
    FragmentIdentity,
    FragmentRecipient,
    FragmentStanza,
    parse_fragment_stanzas,
)
from binary_split.archive.age.header import Header, Stanza, parse_header
from binary_split.archive.age.hybrid import HybridIdentity, HybridRecipient
from binary_split.archive.age.keys import (
    generate_identity_text,
    parse_identities,
    parse_identity,
    parse_recipient,
    serialise_recipient,
)
from binary_split.archive.age.passphrase import PassphraseIdentity, PassphraseRecipient
from binary_split.archive.age.random_access import SeekableReader
from binary_split.archive.age.stanzas import Identity, Recipient
from binary_split.archive.age.stream import ForwardReader, plaintext_size
from binary_split.archive.age.writing import StreamWriter
from binary_split.archive.age.x25519 import X25519Identity, X25519Recipient

__all__ = [
    "ForwardReader",
    "FragmentIdentity",
    "FragmentRecipient",
    "FragmentStanza",
    "Header",
    "HybridIdentity",
    "HybridRecipient",
    "Identity",
    "PassphraseIdentity",
    "PassphraseRecipient",
    "Recipient",
    "SeekableReader",
    "Stanza",
    "StreamWriter",
    "X25519Identity",
    "X25519Recipient",
    "generate_identity_text",
    "open_age",
    "open_age_stream",
    "parse_fragment_stanzas",
    "parse_header",
    "parse_identities",
    "parse_identity",
    "parse_recipient",
    "plaintext_size",
    "read_header",
    "read_nonce",
    "seal_age",
    "serialise_recipient",
]
