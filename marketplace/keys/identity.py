"""An operator: one secret, and every key that follows from it.

The secret is the operator's secp256k1 key. The X25519 key and the job keys are derived from it by HKDF-SHA256 (RFC
5869) with separate infos, so that the keystore file is the whole backup: an aggregator that lost its disk still opens
its jobs.
"""

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from eth_account import Account
from eth_account.signers.local import LocalAccount

from marketplace.errors import InputError
from marketplace.keys.sealing import KEY, SealContext


class Identity:
    """Signs as `address`, and opens what is sealed to `encryption_key`.

    account: eth-account's signer; address: EIP-55 string; encryption_key: X25519 public key, 32 bytes;
    decryption_key: its private half. Raises InputError where `secret` is not 32 bytes in 1 … n − 1 of secp256k1.
    """

    __slots__ = ("account", "address", "decryption_key", "encryption_key")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY:
            raise InputError(f"A private key has {KEY} bytes; {len(secret)} were given.")
        try:
            self.account: LocalAccount = Account.from_key(secret)
        except ValueError:
            # Not raised from the original, whose message shows the key.
            raise InputError("The private key is outside of secp256k1's range; give another.") from None
        self.address: str = self.account.address
        self.decryption_key = X25519PrivateKey.from_private_bytes(self._derive(b"merit/x25519/v1"))
        self.encryption_key = self.decryption_key.public_key().public_bytes_raw()

    def job_key(self, context: SealContext) -> bytes:
        """The 32-byte key of the job that `context` names, for its aggregator; its other fields do not matter."""
        return self._derive(b"merit/job-key/v1" + context.job())

    def _derive(self, info: bytes) -> bytes:
        return HKDF(SHA256(), KEY, salt=None, info=info).derive(bytes(self.account.key))

    def __repr__(self) -> str:
        return f"Identity({self.address})"
