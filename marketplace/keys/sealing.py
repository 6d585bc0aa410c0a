"""Files that only one reader can open, and only as what they were made for.

A sealed file is

    magic (8) ‖ [wrapped key (80)] ‖ key commitment (32) ‖ stream header (24) ‖ chunks

- wrapped key: for files sealed to a public key, a fresh 32-byte content key in an HPKE envelope (RFC 9180, base mode:
  X25519, HKDF-SHA256, ChaCha20-Poly1305) whose info is magic and context. Files sealed with a symmetric key lack it.
- stream key and key commitment: HKDF-SHA256 (RFC 5869) of the content key, info magic and context, 32 bytes each.
- chunks: libsodium's secretstream (XChaCha20-Poly1305), 256 KiB of plaintext each but the last, which bears TAG_FINAL;
  each adds 17 bytes and authenticates its place in the file, and SHA-256 of the header and the context with it.

The context names chain, contract, job, round, party and purpose: under any other a file does not open, so nobody can
hand another's sealed update in as its own. Who made a file is not said here: it is whose transaction published it.

Who sealed a file can keep its ephemeral and content key, and show with them to anybody that the file opens for the one
it was sealed to, and as what: HPKE is deterministic in them (RFC 9180, 4.1 and 5.1), so that the wrapped key can be
made again.

Poly1305 does not commit to its key: a sealer who knows two keys can make one ciphertext that opens under both, to two
plaintexts. An aggregator who had given out two job keys could show two groups two sums. Hence the key commitment.

What `open_*` writes before it returns is authentic chunk by chunk, yet may be the beginning only: nothing in the sink
may be used when it raises.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from io import BytesIO
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from eth_utils.address import is_hex_address, to_canonical_address
from nacl import bindings as sodium
from nacl.exceptions import CryptoError
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey, KEMKeyInterface, KEMKeyPair, PyHPKEError

from marketplace.errors import CorruptContent, InputError, NotFound

CHUNK = 262_144  # bytes of plaintext
KEY = 32  # bytes of every key
MAX_RECIPIENTS = 64  # of a job key: 32 trainers, the owner, and room

_SEALED_TO = b"MRTSEAL1"
_SEALED_WITH = b"MRTSYMM1"
_JOB_KEY = b"MRTJKEY1"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
# The same suite, for senders that choose the ephemeral key.
_SENDER = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.CHACHA20_POLY1305)
_WRAPPED = 32 + KEY + 16  # encapsulated key, content key, tag
_HEADER = sodium.crypto_secretstream_xchacha20poly1305_HEADERBYTES
_OVERHEAD = sodium.crypto_secretstream_xchacha20poly1305_ABYTES
_MORE = sodium.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
_FINAL = sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL
_ADDRESS = 20
MAX_JOB_KEY_BYTES = len(_JOB_KEY) + KEY + MAX_RECIPIENTS * (_ADDRESS + _WRAPPED)


class Purpose(IntEnum):
    """What sealed bytes are for."""

    UPDATE = 1  # a trainer's update, with a key of its own
    MODEL = 2  # a round's base model, with the job key
    SUM = 3  # a round's sum of updates, with the job key
    JOB_KEY = 4  # the job key, to each trainer and the owner
    REFERENCE = 5  # a round's reference rows, to the owner
    VALIDATION = 6  # validation data
    HANDOVER = 7  # what an aggregator needs that has taken over
    DELIVERY = 8  # the key to a trainer's update, to the aggregator


@dataclass(frozen=True, slots=True)
class SealContext:
    """What sealed bytes are bound to. Raises InputError for a field out of range.

    chain_id and job_id are below 2^256, round below 2^16 (0 where no round is meant); contract and party are addresses,
    the party being whose transaction publishes the bytes: the operator of an update, the aggregator of a sum.
    """

    chain_id: int
    contract: str
    job_id: int
    round: int
    party: str
    purpose: Purpose

    def __post_init__(self) -> None:
        if not (0 <= self.chain_id < 1 << 256 and 0 <= self.job_id < 1 << 256 and 0 <= self.round < 1 << 16):
            raise InputError(f"Chain {self.chain_id}, job {self.job_id}, round {self.round} are not ids of a seal.")
        _canonical(self.contract)
        _canonical(self.party)

    def job(self) -> bytes:
        """The job alone: chain id (32 bytes, big-endian) ‖ contract (20) ‖ job id (32)."""
        return self.chain_id.to_bytes(32) + _canonical(self.contract) + self.job_id.to_bytes(32)

    def __bytes__(self) -> bytes:
        """107 bytes, fixed widths: job ‖ round (2, big-endian) ‖ party (20) ‖ purpose (1)."""
        return self.job() + self.round.to_bytes(2) + _canonical(self.party) + bytes([self.purpose])


@dataclass(frozen=True, slots=True, repr=False)
class SealSecrets:
    """The ephemeral X25519 key and the content key of one sealed file, 32 bytes each: with them anybody can open it."""

    ephemeral: bytes
    content_key: bytes


def usable_public_key(public_key: bytes) -> bool:
    """Whether something can be sealed to `public_key`: 32 bytes, and no point of low order, whose secrets all know."""
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(public_key))
    except ValueError:
        return False
    return True


def sealed_size(plain: int) -> int:
    """Bytes of the largest sealed file of `plain` bytes of plaintext: the bound to fetch it with."""
    chunks = max(1, -(-plain // CHUNK))
    return len(_SEALED_TO) + _WRAPPED + KEY + _HEADER + plain + chunks * _OVERHEAD


# ---------------------------------------------------------------- to a public key


def seal_to(public_key: bytes, source: BinaryIO, sink: BinaryIO, context: SealContext) -> SealSecrets:
    """Seals what `source` gives to the X25519 key `public_key` (32 bytes). Raises InputError for an unusable key.

    Returns what shows later that it was sealed so: to be forgotten, or kept as well as the source.
    """
    ephemeral, content_key = X25519PrivateKey.generate(), secrets.token_bytes(KEY)
    wrapped = _wrap(public_key, content_key, _SEALED_TO + bytes(context), ephemeral)
    _seal(content_key, _SEALED_TO + wrapped, source, sink, context)
    return SealSecrets(ephemeral.private_bytes_raw(), content_key)


def open_shown(
    public_key: bytes, shown: SealSecrets, source: BinaryIO, sink: BinaryIO, context: SealContext, max_bytes: int
) -> int:
    """As `open_sealed`, by the secrets of its sealer instead of the key of the one it was sealed to, `public_key`.

    Raises CorruptContent unless the holder of that key would have opened the file to the same bytes.
    """
    wrapped = _expect(source, _SEALED_TO, _WRAPPED)
    try:
        ephemeral = X25519PrivateKey.from_private_bytes(shown.ephemeral)
        again = _wrap(public_key, shown.content_key, _SEALED_TO + bytes(context), ephemeral)
    except (ValueError, InputError) as error:
        raise CorruptContent("What is shown of the sealed file is not two keys of 32 bytes.") from error
    if not hmac.compare_digest(again, wrapped):
        raise CorruptContent("The file was not sealed to that key with what is shown.")
    return _open(shown.content_key, _SEALED_TO + wrapped, source, sink, context, max_bytes=max_bytes)


def open_sealed(
    secret: X25519PrivateKey, source: BinaryIO, sink: BinaryIO, context: SealContext, max_bytes: int
) -> int:
    """Writes the plaintext of a file that `seal_to` made, at most `max_bytes`, and returns its size in bytes.

    Raises CorruptContent for anything that was not sealed to this key in this context, and what is larger or damaged.
    """
    wrapped = _expect(source, _SEALED_TO, _WRAPPED)
    content_key = _unwrap(secret, wrapped, _SEALED_TO + bytes(context))
    return _open(content_key, _SEALED_TO + wrapped, source, sink, context, max_bytes=max_bytes)


def seal_bytes_to(public_key: bytes, data: bytes, context: SealContext) -> bytes:
    sink = BytesIO()
    seal_to(public_key, BytesIO(data), sink, context)
    return sink.getvalue()


def open_sealed_bytes(secret: X25519PrivateKey, data: bytes, context: SealContext, max_bytes: int) -> bytes:
    sink = BytesIO()
    open_sealed(secret, BytesIO(data), sink, context, max_bytes)
    return sink.getvalue()


# ---------------------------------------------------------------- with a symmetric key


def seal_with_key(key: bytes, source: BinaryIO, sink: BinaryIO, context: SealContext) -> None:
    """Seals what `source` gives with `key` (32 bytes)."""
    _seal(key, _SEALED_WITH, source, sink, context)


def open_with_key(key: bytes, source: BinaryIO, sink: BinaryIO, context: SealContext, max_bytes: int) -> int:
    """As `open_sealed`, for a file that `seal_with_key` made."""
    _expect(source, _SEALED_WITH, 0)
    return _open(key, _SEALED_WITH, source, sink, context, max_bytes=max_bytes)


def seal_bytes_with_key(key: bytes, data: bytes, context: SealContext) -> bytes:
    sink = BytesIO()
    seal_with_key(key, BytesIO(data), sink, context)
    return sink.getvalue()


def open_bytes_with_key(key: bytes, data: bytes, context: SealContext, max_bytes: int) -> bytes:
    sink = BytesIO()
    open_with_key(key, BytesIO(data), sink, context, max_bytes)
    return sink.getvalue()


# ---------------------------------------------------------------- the job key


def seal_job_key(job_key: bytes, recipients: Mapping[str, bytes], context: SealContext) -> bytes:
    """Seals `job_key` (32 bytes) to the public keys of the recipients, by address: at most MAX_RECIPIENTS.

    Returns magic (8) ‖ key commitment (32) ‖ one envelope for each recipient: address (20) ‖ HPKE (80), addresses
    ascending. The commitment shows every recipient that all were given one key. A recipient with an unusable key is
    left out: by publishing one, a trainer harms only itself.
    """
    if len(recipients) > MAX_RECIPIENTS:
        raise InputError(f"A job key goes to at most {MAX_RECIPIENTS} recipients; there are {len(recipients)}.")
    keys = {_canonical(address): public_key for address, public_key in recipients.items()}
    envelopes = (
        address + _wrap(keys[address], job_key, _JOB_KEY + bytes(context) + address, X25519PrivateKey.generate())
        for address in sorted(keys)
        if usable_public_key(keys[address])
    )
    return _JOB_KEY + _stream_keys(job_key, _JOB_KEY, context)[1] + b"".join(envelopes)


def open_job_key(document: bytes, address: str, secret: X25519PrivateKey, context: SealContext) -> bytes:
    """The 32-byte job key for `address` in what `seal_job_key` made in the same context.

    Raises NotFound when there is no envelope for the address, CorruptContent for everything else that is wrong.
    """
    if len(document) > MAX_JOB_KEY_BYTES:
        raise CorruptContent(f"A job key document has at most {MAX_JOB_KEY_BYTES} bytes; this one has {len(document)}.")
    source = BytesIO(document)
    commitment = _expect(source, _JOB_KEY, KEY)
    entries = []
    while entry := _read(source, _ADDRESS + _WRAPPED):
        entries.append((entry[:_ADDRESS], entry[_ADDRESS:]))
    addresses = [entry[0] for entry in entries]
    if sorted(set(addresses)) != addresses or (entries and len(entries[-1][1]) != _WRAPPED):
        raise CorruptContent("The job key document is malformed; the aggregator must publish a whole one.")
    own = _canonical(address)
    if own not in addresses:
        raise NotFound(f"The job key is not sealed to {address}; see whether that account is in the job.")
    job_key = _unwrap(secret, dict(entries)[own], _JOB_KEY + bytes(context) + own)
    if not hmac.compare_digest(_stream_keys(job_key, _JOB_KEY, context)[1], commitment):
        raise CorruptContent(f"The job key given to {address} is not the one that the aggregator committed to.")
    return job_key


def is_job_key(document: bytes, key: bytes, context: SealContext) -> bool:
    """Whether `key` is the one that a job key document, made in this context, commits to. Raises CorruptContent."""
    commitment = _expect(BytesIO(document), _JOB_KEY, KEY)
    return hmac.compare_digest(_stream_keys(key, _JOB_KEY, context)[1], commitment)


# ---------------------------------------------------------------- the format


def _canonical(address: str) -> bytes:
    if not is_hex_address(address):
        raise InputError(f"{address[:80]!r} is not an Ethereum address: 0x and 40 hexadecimal digits.")
    return to_canonical_address(address)


def _wrap(public_key: bytes, key: bytes, info: bytes, ephemeral: X25519PrivateKey) -> bytes:
    pair = KEMKeyPair(_kem_key(ephemeral), _kem_key(ephemeral.public_key()))
    try:
        recipient = _kem_key(X25519PublicKey.from_public_bytes(public_key))
        encapsulated, sender = _SENDER.create_sender_context(recipient, info, eks=pair)
        return encapsulated + sender.seal(key)
    except (ValueError, PyHPKEError) as error:
        raise InputError(
            f"{public_key.hex()} is not a usable X25519 public key; its holder must give another."
        ) from error


def _kem_key(key: X25519PrivateKey | X25519PublicKey) -> KEMKeyInterface:
    return KEMKey.from_pyca_cryptography_key(key)


def _unwrap(secret: X25519PrivateKey, wrapped: bytes, info: bytes) -> bytes:
    try:
        key = _SUITE.decrypt(wrapped, secret, info=info)
    except (InvalidTag, ValueError) as error:
        raise _not_for_us() from error
    if len(key) != KEY:
        raise _not_for_us()
    return key


def _stream_keys(key: bytes, magic: bytes, context: SealContext) -> tuple[bytes, bytes]:
    """The key of the stream and the public commitment to `key`, 32 bytes each."""
    if len(key) != KEY:
        raise InputError(f"A key for sealing has {KEY} bytes; this one has {len(key)}.")
    derived = HKDF(SHA256(), 2 * KEY, salt=None, info=b"merit/stream/v1" + magic + bytes(context)).derive(key)
    return derived[:KEY], derived[KEY:]


def _seal(key: bytes, start: bytes, source: BinaryIO, sink: BinaryIO, context: SealContext) -> None:
    stream_key, commitment = _stream_keys(key, start[:8], context)
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    header = sodium.crypto_secretstream_xchacha20poly1305_init_push(state, stream_key)
    start += commitment + header
    binding = hashlib.sha256(start + bytes(context)).digest()
    sink.write(start)
    chunk = _read(source, CHUNK)
    while True:
        following = _read(source, CHUNK)
        tag = _MORE if following else _FINAL
        sink.write(sodium.crypto_secretstream_xchacha20poly1305_push(state, chunk, binding, tag))
        if not following:
            return
        chunk = following


def _open(key: bytes, start: bytes, source: BinaryIO, sink: BinaryIO, context: SealContext, *, max_bytes: int) -> int:
    stream_key, expected = _stream_keys(key, start[:8], context)
    commitment, header = _read(source, KEY), _read(source, _HEADER)
    if not hmac.compare_digest(commitment, expected) or len(header) != _HEADER:
        raise _not_for_us()
    binding = hashlib.sha256(start + commitment + header + bytes(context)).digest()
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, header, stream_key)
    size = 0
    tag = _MORE
    while tag != _FINAL:
        sealed = _read(source, CHUNK + _OVERHEAD)
        try:
            chunk, tag = sodium.crypto_secretstream_xchacha20poly1305_pull(state, sealed, binding)
        except CryptoError as error:
            raise CorruptContent(
                f"The sealed file is damaged or cut off after {size} bytes of content; fetch it again."
            ) from error
        size += len(chunk)
        if size > max_bytes:
            raise CorruptContent(f"The sealed file holds more than the {max_bytes} bytes allowed here.")
        sink.write(chunk)
    if source.read(1):
        raise CorruptContent(f"The sealed file goes on after its end at {size} bytes of content; fetch it again.")
    return size


def _expect(source: BinaryIO, magic: bytes, size: int) -> bytes:
    """The `size` bytes after `magic`."""
    if _read(source, len(magic)) != magic:
        raise CorruptContent("This is not a sealed file of the expected kind; see that the right one was published.")
    data = _read(source, size)
    if len(data) != size:
        raise CorruptContent("The sealed file is cut off in its header; fetch it again.")
    return data


def _read(source: BinaryIO, size: int) -> bytes:
    """`size` bytes, fewer only at the end of `source`."""
    data = source.read(size)
    while 0 < len(data) < size and (more := source.read(size - len(data))):
        data += more
    return data


def _not_for_us() -> CorruptContent:
    return CorruptContent(
        "The sealed file does not open: it was sealed to another key or for another job, round, party or purpose, "
        "or it is damaged."
    )
