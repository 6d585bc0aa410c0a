"""A browser wallet for tests: it announces itself (EIP-6963), answers as EIP-1193 says, and signs through Anvil."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.request import Request, urlopen

from eth_account import Account

from tests.patience import PATIENCE

ETHER = 10**18
LOCAL_CHAIN = 31337

SCRIPT = """
(() => {
  const listeners = {};
  const provider = {
    async request({ method, params }) {
      const answer = JSON.parse(await window.__wallet(method, JSON.stringify(params ?? [])));
      if (answer.error) throw Object.assign(new Error(answer.error.message), answer.error);
      if (method === 'wallet_switchEthereumChain')
        for (const listener of listeners.chainChanged ?? []) listener(params[0].chainId);
      return answer.result;
    },
    on(event, listener) { (listeners[event] ??= []).push(listener); },
    removeListener(event, listener) { listeners[event] = (listeners[event] ?? []).filter((l) => l !== listener); },
  };
  const info = { uuid: 'c0ffee00-0000-4000-8000-000000000001', name: 'Test Wallet', icon: '', rdns: 'test.wallet' };
  const announce = () =>
    dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail: Object.freeze({ info, provider }) }));
  addEventListener('eip6963:requestProvider', announce);
  announce();
})();
"""


@dataclass
class WalletError(Exception):
    code: int
    message: str
    data: Any = None


@dataclass
class Wallet:
    """An account whose transactions Anvil signs. refuse, away, chain: as wallets behave; before_send: called first.

    mobile: it knows no chain but its first, and says so in layers, as wallets on phones do. contract: it is a contract,
    and gives the name of a proposal in place of a transaction's hash. key: of the account, to sign typed data with.
    """

    rpc: str
    account: str
    chain: int = LOCAL_CHAIN
    refuse: bool = False
    away: bool = False
    mobile: bool = False
    contract: bool = False
    key: str = ""
    before_send: Callable[[], object] = lambda: None
    sent: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        try:
            with urlopen(Request(self.rpc, body, {"Content-Type": "application/json"}), timeout=PATIENCE) as response:
                answer = json.load(response)
        except OSError as error:
            raise WalletError(-32603, "Failed to fetch") from error
        if "error" in answer:
            raise WalletError(answer["error"]["code"], answer["error"]["message"], answer["error"].get("data"))
        return answer["result"]

    def hold(self, wei: int) -> "Wallet":
        self.ask("anvil_impersonateAccount", self.account)
        self.ask("anvil_setBalance", self.account, hex(wei))
        return self

    def balance(self) -> int:
        return int(self.ask("eth_getBalance", self.account, "latest"), 16)

    def answer(self, method: str, params: str) -> str:
        try:
            return json.dumps({"result": self._handle(method, json.loads(params))})
        except WalletError as error:
            return json.dumps({"error": {"code": error.code, "message": error.message, "data": error.data}})

    def _handle(self, method: str, params: list[Any]) -> Any:
        if self.away:
            raise WalletError(-32603, "Failed to fetch")
        match method:
            case "eth_requestAccounts" | "eth_accounts":
                return [self.account]
            case "eth_chainId":
                return hex(self.chain).upper().replace("X", "x") if self.mobile else hex(self.chain)
            case "wallet_addEthereumChain" if self.mobile:
                self._consent()
                self.mobile = False
                return None
            case "wallet_switchEthereumChain" if self.mobile:
                raise WalletError(-32603, "Unrecognized chain ID", {"originalError": {"code": 4902}})
            case "eth_getCode" if self.contract:
                return "0x6080"
            case "wallet_switchEthereumChain":
                self._consent()
                self.chain = int(params[0]["chainId"], 16)
                return None
            case "eth_signTypedData_v4" if self.key:
                self._consent()
                assert params[0] == self.account
                return Account.sign_typed_data(self.key, full_message=json.loads(params[1])).signature.to_0x_hex()
            case "eth_sendTransaction":
                self._consent()
                self.before_send()
                self.sent.append(params[0])
                if self.contract:
                    self.ask(method, *params)
                    return "0x" + "5a" * 32
        return self.ask(method, *params)

    def _consent(self) -> None:
        if self.refuse:
            raise WalletError(4001, "User rejected the request.")


def account(number: int) -> str:
    return "0x" + f"{0xA11CE000 + number:040x}"
