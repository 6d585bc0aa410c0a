"""The market and storage as anybody can write to them: nothing of Merit's client stands between or checks anything."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import requests
from eth_utils.crypto import keccak
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from marketplace.domain import State, Terms
from marketplace.storage.cid import cid_of
from tests.patience import PATIENCE

ARTIFACT = Path(__file__).parents[2] / "marketplace/chain/artifacts/JobMarket.json"
GAS = 4_000_000
WORD = 1 << 256
Receipt = dict[str, Any]


@dataclass(frozen=True)
class BareJob:
    """A job's changing part, as far as attackers look at it."""

    aggregator: int
    state: State
    round: int
    key_published: bool
    submit_by: int
    settle_by: int
    active: int
    submitted: int
    undelivered: int
    members: int


class Words(tuple[int, ...]):
    """A struct of static fields: one word after another."""


class BareMarket:
    """Sends calls from any account of an Anvil, made up word by word: also such as no ABI allows."""

    def __init__(self, rpc: str, market: str) -> None:
        self.rpc, self.market = rpc, market
        self._session = requests.Session()
        abi = json.loads(ARTIFACT.read_text())["abi"]
        self._functions = {entry["name"]: entry for entry in abi if entry["type"] == "function"}
        self.terms_fields = [part["name"] for part in self._functions["createJob"]["inputs"][0]["components"]]
        self._job_fields = [part["name"] for part in self._functions["job"]["outputs"][0]["components"]]
        created = next(entry for entry in abi if entry["type"] == "event" and entry["name"] == "JobCreated")
        self._created = "0x" + keccak(_signature(created).encode()).hex()
        self.ask("anvil_autoImpersonateAccount", True)

    def ask(self, method: str, *parameters: object) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        answer = self._session.post(self.rpc, json=body, timeout=PATIENCE).json()
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def endow(self, address: str, wei: int = 2**200) -> None:
        self.ask("anvil_setBalance", address, hex(wei))

    def send(self, sender: str, function: str, *arguments: object, value: int = 0) -> Receipt | None:
        """The receipt of what was mined; None where the contract, or the node, refused it."""
        call = {"to": self.market, "data": "0x" + self.encoded(function, *arguments).hex()}
        return self._mined({"from": sender, "gas": hex(GAS), "value": hex(value % WORD), **call})

    def deploy(self, sender: str, creation: bytes) -> str:
        made = self._mined({"from": sender, "gas": hex(GAS), "data": "0x" + creation.hex()})
        assert made is not None
        return str(made["contractAddress"])

    def _mined(self, transaction: dict[str, str]) -> Receipt | None:
        try:
            sent = self.ask("eth_sendTransaction", transaction)
        except RuntimeError:
            return None
        until = Retrying(
            wait=wait_fixed(0.05), stop=stop_after_delay(60), retry=retry_if_result(lambda got: got is None)
        )
        receipt: Receipt | None = until(self.ask, "eth_getTransactionReceipt", sent)
        return receipt if receipt is not None and receipt["status"] == "0x1" else None

    def create(self, sender: str, terms: dict[str, int], key: bytes, cid: bytes) -> int | None:
        """The job's number; None where the contract refused it. terms: by their Solidity names."""
        escrow = terms["rounds"] * (terms["reward"] + terms["fee"])
        coin = escrow if terms["token"] == 0 else 0
        words = Words(terms[name] for name in self.terms_fields)
        receipt = self.send(sender, "createJob", words, key, cid, value=coin)
        found = [log for log in receipt["logs"] if log["topics"][0] == self._created] if receipt else []
        return int(found[0]["topics"][1], 16) if found else None

    def job(self, job_id: int) -> BareJob:
        data = "0x" + self.encoded("job", job_id).hex()
        answer = str(self.ask("eth_call", {"to": self.market, "data": data}, "latest"))[2:]
        words = [int(answer[at : at + 64], 16) for at in range(0, len(answer), 64)]
        said = dict(zip(self._job_fields, words, strict=True))
        return BareJob(
            said["aggregator"],
            State(said["state"]),
            said["round"],
            bool(said["keyPublished"]),
            *(said[name] for name in ("submitBy", "settleBy", "active", "submitted", "undelivered", "members")),
        )

    def now(self) -> int:
        """The pending block's time."""
        return int(self.ask("eth_getBlockByNumber", "pending", False)["timestamp"], 16)

    def encoded(self, function: str, *arguments: object) -> bytes:
        if function not in self._functions:
            return b"\xde\xad\xbe\xef" * 3
        selector = keccak(_signature(self._functions[function]).encode())[:4]
        return selector + _encoded(arguments)

    def words_of(self, terms: Terms) -> dict[str, int]:
        """The job's terms by their Solidity names, as numbers."""
        own = {field.name.replace("_", ""): getattr(terms, field.name) for field in fields(terms)}
        return {name: number(own[name.lower()]) for name in self.terms_fields}


def number(value: object) -> int:
    """An address, 32 bytes or a number as the number it is."""
    if isinstance(value, bytes):
        return int.from_bytes(value)
    return int(value, 16) if isinstance(value, str) else int(value)  # type: ignore[call-overload,no-any-return]


def _signature(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(_type(part) for part in entry['inputs'])})"


def _type(part: dict[str, Any]) -> str:
    kind = str(part["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(_type(inner) for inner in part['components'])})" + kind.removeprefix("tuple")


def _encoded(arguments: tuple[object, ...]) -> bytes:
    """int: a word. bytes of 32: one, unless it is said to be a string by being shorter or longer. Words: in line."""
    size = sum(len(one) if isinstance(one, Words) else 1 for one in arguments) * 32
    head, tail = b"", b""
    for one in arguments:
        if isinstance(one, Words):
            head += b"".join((word % WORD).to_bytes(32) for word in one)
        elif isinstance(one, bytes) and len(one) == 32:
            head += one
        elif isinstance(one, bytes):
            head += (size + len(tail)).to_bytes(32)
            tail += len(one).to_bytes(32) + one + bytes(-len(one) % 32)
        else:
            head += (number(one) % WORD).to_bytes(32)
    return head + tail


class BareStorage:
    """Puts bytes where our nodes' storage is, as files in its folder or by its daemon's own RPC."""

    def __init__(self, address: str) -> None:
        self.folder = Path(address.removeprefix("folder:")) if address.startswith("folder:") else None
        self._daemon = "" if self.folder else "http://{}:{}".format(*address.split("/")[2:5:2])
        self._session = requests.Session()

    def put(self, content: bytes) -> bytes:
        """The CID that our nodes know such content by."""
        if self.folder is None:
            return self._added(content, "add?cid-version=1&raw-leaves=true&chunker=size-262144")
        cid = cid_of(content)
        path = self.path(cid)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return cid.encode()

    def path(self, cid: str) -> Path:
        assert self.folder is not None
        return self.folder / cid[-3:-1] / cid

    def put_folder(self, content: bytes) -> bytes:
        """The CID of a folder with one file: no content that a node can read as a file."""
        if self.folder is None:
            return self._added(content, "add?cid-version=1&wrap-with-directory=true")
        cid = cid_of(b"a folder in place of " + content)
        self.path(cid).mkdir(parents=True, exist_ok=True)
        return cid.encode()

    def _added(self, content: bytes, call: str) -> bytes:
        files = {"file": ("f", content)}
        answer = self._session.post(f"{self._daemon}/api/v0/{call}", files=files, timeout=PATIENCE)
        answer.raise_for_status()
        return str(json.loads(answer.text.splitlines()[-1])["Hash"]).encode()
