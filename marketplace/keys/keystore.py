"""Operator keys in a folder, each in an encrypted file NAME.json.

The files are Web3 Secret Storage version 3 (scrypt, AES-128-CTR) as eth-account and geth write them. They are made with
mode 0600, appear whole or not at all, and are never overwritten.
"""

import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from eth_account import Account
from eth_utils.address import to_checksum_address
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from marketplace.errors import InputError, NotFound
from marketplace.keys.identity import Identity

SCRYPT_N = 262_144  # cost of new files: 256 MiB and about a second for each guess
MAX_SCRYPT_N = 1_048_576  # cost that a file may ask for: 1 GiB
MAX_FILE = 16_384  # bytes

_NAME = re.compile(r"(?!0x)[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key file. The address is what the file says; loading proves it."""

    name: str
    address: str
    path: Path


class Keystore:
    """The keys in `folder`, which is made (mode 0700) with the first key.

    scrypt_n: cost of new files, a power of two; lower it only where keys are worthless.
    """

    def __init__(self, folder: Path, *, scrypt_n: int = SCRYPT_N) -> None:
        self._folder = folder
        self._scrypt_n = scrypt_n

    def create(self, name: str, password: str) -> Identity:
        """Makes a random key and stores it. Raises InputError for a bad or taken name, or an empty password."""
        return self._store(name, Identity(secrets.token_bytes(32)), password)

    def import_key(self, name: str, hex_key: bytes, password: str) -> Identity:
        """Stores an existing private key: 64 hexadecimal digits, with or without 0x and white space around.

        Raises InputError like `create`, for what is no key, and for a key that is already stored.
        """
        digits = hex_key.strip().removeprefix(b"0x")
        if not re.fullmatch(rb"[0-9a-fA-F]{64}", digits):
            raise InputError("A private key is 64 hexadecimal digits; what was given is not.")
        return self._store(name, Identity(bytes.fromhex(digits.decode())), password)

    def entries(self) -> list[StoredKey]:
        """All stored keys by name. Raises InputError for a malformed file."""
        try:
            paths = sorted(self._folder.glob("*.json"))
        except OSError as error:
            raise self._unusable(error) from error
        return [StoredKey(path.stem, self._read(path).checksum_address, path) for path in paths]

    def load(self, name_or_address: str, password: str) -> Identity:
        """The key of this name or address.

        Raises NotFound for an unknown one, InputError for a wrong password or a malformed file.
        """
        path = self.path_of(name_or_address)
        document = self._read(path)
        address = document.checksum_address
        try:
            identity = Identity(bytes(Account.decrypt(document.model_dump(), password)))
        except ValueError as error:  # the document's form has been checked: what is left is the password
            raise InputError(f"The password does not open {path}; try again.") from error
        if identity.address != address:
            raise InputError(f"{path} holds the key of {identity.address}, not of {address} as it says; do not use it.")
        return identity

    def path_of(self, name_or_address: str) -> Path:
        """The key's file. Raises NotFound, and InputError for a malformed file or name."""
        if name_or_address.startswith("0x"):
            for entry in self.entries():
                if entry.address.lower() == name_or_address.lower():
                    return entry.path
        else:
            path = self._path(name_or_address)
            if path.is_file():
                return path
        raise NotFound(
            f"There is no key {name_or_address!r} in {self._folder}; `merit key list` shows those there are, "
            "`merit key new` makes one."
        )

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InputError(
                f"{name[:80]!r} is not a name for a key; use up to 63 of a-z, 0-9, - and _, not beginning with 0x."
            )
        return self._folder / f"{name}.json"

    def _read(self, path: Path) -> "_Document":
        try:
            with path.open("rb") as file:
                data = file.read(MAX_FILE + 1)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            if len(data) > MAX_FILE:
                raise ValueError(f"more than {MAX_FILE} bytes")
            return _Document.model_validate_json(data)
        except ValueError as error:
            raise InputError(
                f"{path} is not an encrypted key file (version 3, scrypt); restore it from a backup."
            ) from error

    def _store(self, name: str, identity: Identity, password: str) -> Identity:
        path = self._path(name)
        if not password:
            raise InputError(f"The key {name!r} needs a password that is not empty.")
        for entry in self.entries():
            if entry.address == identity.address:
                raise InputError(
                    f"The key of {identity.address} is already stored as {entry.name!r}; use it from there."
                )
        document = Account.encrypt(identity.account.key, password, kdf="scrypt", iterations=self._scrypt_n)
        try:
            self._write(path, json.dumps(document).encode())
        except FileExistsError as error:
            raise InputError(f"There is already a key {name!r} in {self._folder}; choose another name.") from error
        except OSError as error:
            raise self._unusable(error) from error
        return identity

    def _write(self, path: Path, data: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self._folder / f".{secrets.token_hex(8)}"
        try:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(partial, path)  # unlike a rename, refuses to replace
        finally:
            partial.unlink(missing_ok=True)

    def _unusable(self, error: OSError) -> InputError:
        return InputError(
            f"The keys in {self._folder} cannot be used ({error.strerror}); check the path and its rights."
        )


_Hex = Annotated[str, StringConstraints(pattern=r"^([0-9a-fA-F]{2})*$", max_length=128)]
_Address = Annotated[str, StringConstraints(pattern=r"^(0x)?[0-9a-fA-F]{40}$")]
_Bytes16 = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{32}$")]
_Bytes32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")]


class _Strict(BaseModel):
    # Who put a bare private key there must not find it in a traceback.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class _Scrypt(_Strict):
    dklen: Literal[32]
    n: Annotated[int, Field(ge=2, le=MAX_SCRYPT_N)]
    r: Annotated[int, Field(ge=1, le=8)]
    p: Annotated[int, Field(ge=1, le=8)]
    salt: _Hex

    @field_validator("n")
    @classmethod
    def _power_of_two(cls, n: int) -> int:
        if n & (n - 1):
            raise ValueError("scrypt's n is not a power of two")
        return n


class _CipherParams(_Strict):
    iv: _Bytes16


class _Crypto(_Strict):
    cipher: Literal["aes-128-ctr"]
    cipherparams: _CipherParams
    ciphertext: _Bytes32
    kdf: Literal["scrypt"]
    kdfparams: _Scrypt
    mac: _Bytes32


class _Document(_Strict):
    """github.com/ethereum/wiki Web3 Secret Storage Definition, version 3."""

    address: _Address
    crypto: _Crypto
    id: Annotated[str, StringConstraints(max_length=64)]
    version: Literal[3]

    @property
    def checksum_address(self) -> str:
        return to_checksum_address("0x" + self.address.removeprefix("0x"))
