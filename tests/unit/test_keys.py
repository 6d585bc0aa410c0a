"""Key files are the whole backup of an operator, are never overwritten, and give nothing away."""

import hashlib
import hmac
import json
import os
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from eth_account import Account

from marketplace.errors import InputError, NotFound
from marketplace.keys.identity import Identity
from marketplace.keys.keystore import MAX_FILE, SCRYPT_N, Keystore
from marketplace.keys.sealing import Purpose, SealContext, open_sealed_bytes, seal_bytes_to

# The first account of Anvil and Hardhat.
SECRET = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
MARKET = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
CONTEXT = SealContext(31337, MARKET, 7, 0, ADDRESS, Purpose.JOB_KEY)
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def hkdf(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, no salt, 32 bytes: written out, so that a changed derivation cannot go unseen."""
    extracted = hmac.digest(bytes(32), secret, hashlib.sha256)
    return hmac.digest(extracted, info + b"\x01", hashlib.sha256)


@pytest.fixture
def keys(tmp_path: Path) -> Keystore:
    return Keystore(tmp_path / "keys", scrypt_n=2)


# ---------------------------------------------------------------- identity


def test_identity_has_the_address_of_its_secret() -> None:
    assert Identity(SECRET).address == ADDRESS


def test_encryption_key_is_derived_from_the_secret() -> None:
    private = X25519PrivateKey.from_private_bytes(hkdf(SECRET, b"merit/x25519/v1"))
    assert Identity(SECRET).encryption_key == private.public_key().public_bytes_raw()


def test_what_is_sealed_to_an_identity_opens_after_it_was_restored() -> None:
    sealed = seal_bytes_to(Identity(SECRET).encryption_key, b"update", CONTEXT)
    assert open_sealed_bytes(Identity(SECRET).decryption_key, sealed, CONTEXT, 100) == b"update"


def test_job_key_is_derived_from_secret_and_job() -> None:
    info = b"merit/job-key/v1" + (31337).to_bytes(32) + bytes.fromhex(MARKET[2:]) + (7).to_bytes(32)
    assert Identity(SECRET).job_key(CONTEXT) == hkdf(SECRET, info)


def test_job_key_is_one_for_a_job_and_another_for_every_other() -> None:
    identity = Identity(SECRET)
    same = SealContext(31337, MARKET.lower(), 7, 9, MARKET, Purpose.SUM)
    others = [
        SealContext(1, MARKET, 7, 0, ADDRESS, Purpose.JOB_KEY),
        SealContext(31337, ADDRESS, 7, 0, ADDRESS, Purpose.JOB_KEY),
        SealContext(31337, MARKET, 8, 0, ADDRESS, Purpose.JOB_KEY),
    ]
    assert identity.job_key(same) == identity.job_key(CONTEXT)
    keys = {identity.job_key(CONTEXT), *map(identity.job_key, others), Identity(b"\x01" * 32).job_key(CONTEXT)}
    assert len(keys) == 5


def test_identity_shows_no_secret() -> None:
    identity = Identity(SECRET)
    private = identity.decryption_key.private_bytes_raw()
    shown = f"{identity} {identity!r} {identity.account!r} {identity.decryption_key!r}"
    assert ADDRESS in shown
    assert not hasattr(identity, "__dict__")
    for secret in (SECRET, private):
        assert secret.hex() not in shown
        assert repr(secret) not in shown


@pytest.mark.parametrize("secret", [b"", SECRET[:31], SECRET + b"\0", bytes(32), N.to_bytes(32), b"\xff" * 32])
def test_secret_out_of_range_is_refused_and_not_shown(secret: bytes) -> None:
    with pytest.raises(InputError, match="private key") as caught:
        Identity(secret)
    assert caught.value.__cause__ is None
    assert len(secret) < 31 or secret.hex() not in str(caught.value)


# ---------------------------------------------------------------- keystore


def test_created_key_loads_by_name_and_by_address(keys: Keystore) -> None:
    created = keys.create("alice", "correct horse")
    for name in ("alice", created.address, created.address.lower()):
        loaded = keys.load(name, "correct horse")
        assert (loaded.address, loaded.encryption_key) == (created.address, created.encryption_key)


def test_created_keys_differ(keys: Keystore) -> None:
    assert keys.create("one", "pw").address != keys.create("two", "pw").address


@pytest.mark.parametrize(
    "text", [SECRET.hex().encode(), b"0x" + SECRET.hex().encode(), b" " + SECRET.hex().upper().encode() + b"\n"]
)
def test_imported_key_is_the_one_given(keys: Keystore, text: bytes) -> None:
    assert keys.import_key("anvil", text, "pw").address == ADDRESS
    assert bytes(keys.load("anvil", "pw").account.key) == SECRET


@pytest.mark.parametrize("text", [b"", b"0x", b"zz" * 32, b"00" * 32, b"ff" * 32, b"ab" * 31, b"ab" * 33, b"\xff" * 64])
def test_what_is_no_private_key_is_not_imported(keys: Keystore, tmp_path: Path, text: bytes) -> None:
    with pytest.raises(InputError, match="private key"):
        keys.import_key("bad", text, "pw")
    assert not (tmp_path / "keys").exists()


def test_key_files_are_listed_by_name(keys: Keystore, tmp_path: Path) -> None:
    assert keys.entries() == []
    bob, alice = keys.create("bob", "pw"), keys.create("alice", "pw")
    listed = [(entry.name, entry.address, entry.path) for entry in keys.entries()]
    folder = tmp_path / "keys"
    assert listed == [("alice", alice.address, folder / "alice.json"), ("bob", bob.address, folder / "bob.json")]


def test_only_the_owner_may_read_key_files(keys: Keystore, tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        keys.create("alice", "pw")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "keys" / "alice.json").stat().st_mode) == 0o600
    assert os.listdir(tmp_path / "keys") == ["alice.json"]


def test_key_files_are_eth_accounts_format(keys: Keystore, tmp_path: Path) -> None:
    keys.import_key("anvil", SECRET.hex().encode(), "pw")
    text = (tmp_path / "keys" / "anvil.json").read_text()
    assert bytes(Account.decrypt(text, "pw")) == SECRET
    assert SECRET.hex() not in text.lower()


def test_file_of_another_program_is_read(keys: Keystore, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    document = Account.encrypt(SECRET, "pw", kdf="scrypt", iterations=2)
    document["address"] = document["address"].lower()  # as geth writes it
    (tmp_path / "keys" / "geth.json").write_text(json.dumps(document))
    assert keys.load("geth", "pw").address == ADDRESS


def test_cost_of_guessing_is_the_safe_default(tmp_path: Path) -> None:
    keys = Keystore(tmp_path)
    start = time.monotonic()
    keys.import_key("anvil", SECRET.hex().encode(), "pw")
    assert json.loads((tmp_path / "anvil.json").read_text())["crypto"]["kdfparams"]["n"] == SCRYPT_N == 1 << 18
    assert keys.load("anvil", "pw").address == ADDRESS
    assert time.monotonic() - start < 60


def test_key_is_never_overwritten(keys: Keystore) -> None:
    alice = keys.create("alice", "pw")
    with pytest.raises(InputError, match="already a key 'alice'"):
        keys.create("alice", "pw")
    with pytest.raises(InputError, match="already a key 'alice'"):
        keys.import_key("alice", SECRET.hex().encode(), "pw")
    assert keys.load("alice", "pw").address == alice.address


def test_of_those_who_create_a_name_at_once_one_succeeds(keys: Keystore) -> None:
    def create(_: int) -> str | None:
        try:
            return keys.create("alice", "pw").address
        except InputError:
            return None

    with ThreadPoolExecutor(8) as pool:
        (winner,) = [address for address in pool.map(create, range(8)) if address]
    assert keys.load("alice", "pw").address == winner


def test_same_key_is_not_stored_twice(keys: Keystore) -> None:
    keys.import_key("one", SECRET.hex().encode(), "pw")
    with pytest.raises(InputError, match="already stored as 'one'"):
        keys.import_key("two", SECRET.hex().encode(), "pw")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/etc/x", "A", "a.json", "-a", "a b", "é", "0xabc", "a" * 64, "a\0"]
)
def test_bad_names_are_refused(keys: Keystore, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is not a name for a key"):
        keys.create(name, "pw")
    assert list(tmp_path.iterdir()) == []


def test_empty_password_is_refused(keys: Keystore) -> None:
    with pytest.raises(InputError, match="password"):
        keys.create("alice", "")


@pytest.mark.parametrize("password", ["", "PW", "pw ", "0x7077"])
def test_wrong_password_is_told_in_a_sentence(keys: Keystore, password: str) -> None:
    keys.create("alice", "pw")
    with pytest.raises(InputError, match=r"The password does not open .*alice\.json"):
        keys.load("alice", password)


@pytest.mark.parametrize("name", ["bob", ADDRESS, "0x12"])
def test_missing_key_is_told_in_a_sentence(keys: Keystore, name: str) -> None:
    keys.create("alice", "pw")
    with pytest.raises(NotFound, match=f"There is no key '{name}'"):
        keys.load(name, "pw")


Change = Callable[[dict], object]

MALFORMED: dict[str, Change] = {
    "not an object": lambda document: [document],
    "version 4": lambda document: {**document, "version": 4},
    "no crypto": lambda document: {name: value for name, value in document.items() if name != "crypto"},
    "no address": lambda document: {name: value for name, value in document.items() if name != "address"},
    "short address": lambda document: {**document, "address": "12"},
    "unknown field": lambda document: {**document, "other": 1},
    "pbkdf2": lambda document: {**document, "crypto": {**document["crypto"], "kdf": "pbkdf2"}},
    "short ciphertext": lambda document: {**document, "crypto": {**document["crypto"], "ciphertext": "00"}},
    "no hex": lambda document: {**document, "crypto": {**document["crypto"], "mac": "zz" * 32}},
    "scrypt that fills the memory": lambda document: with_scrypt(document, n=1 << 40),
    "scrypt of no power of two": lambda document: with_scrypt(document, n=3),
    "scrypt of negative cost": lambda document: with_scrypt(document, n=-2),
    "scrypt with wide blocks": lambda document: with_scrypt(document, r=1 << 20),
    "scrypt without end": lambda document: with_scrypt(document, p=1 << 30),
    "scrypt with text for a number": lambda document: with_scrypt(document, n="2"),
}


def with_scrypt(document: dict, **changes: object) -> dict:
    crypto = document["crypto"]
    return {**document, "crypto": {**crypto, "kdfparams": {**crypto["kdfparams"], **changes}}}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_file_is_named(keys: Keystore, tmp_path: Path, change: Change) -> None:
    keys.create("alice", "pw")
    path = tmp_path / "keys" / "alice.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    for call in (lambda: keys.load("alice", "pw"), keys.entries):
        with pytest.raises(InputError, match=r"alice\.json is not an encrypted key file"):
            call()


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"null", b" " * (MAX_FILE + 1)], ids=repr)
def test_file_without_a_document_is_named(keys: Keystore, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "alice.json").write_bytes(data)
    with pytest.raises(InputError, match="is not an encrypted key file"):
        keys.load("alice", "pw")


def test_second_spelling_of_a_field_is_not_what_gets_decrypted(keys: Keystore, tmp_path: Path) -> None:
    """A document that names a field twice must mean one thing to the check and to the decryption."""
    keys.create("alice", "pw")
    path = tmp_path / "keys" / "alice.json"
    path.write_text(path.read_text().replace('"n": 2,', '"n": 2, "N": 1099511627776,'))
    with pytest.raises(InputError, match="is not an encrypted key file"):
        keys.load("alice", "pw")


def test_file_that_names_anothers_address_is_refused(keys: Keystore, tmp_path: Path) -> None:
    keys.create("alice", "pw")
    path = tmp_path / "keys" / "alice.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "address": ADDRESS[2:]}))
    with pytest.raises(InputError, match=f"not of {ADDRESS} as it says"):
        keys.load(ADDRESS, "pw")


def test_unusable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be used"):
        Keystore(tmp_path / "file" / "keys", scrypt_n=2).create("alice", "pw")
