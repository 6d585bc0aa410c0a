"""Whole jobs through the page, in a real Chromium with an injected wallet, against nodes as users start them.

The wallet announces itself (EIP-6963), answers as EIP-1193 says and signs through Anvil. Every wait is bounded.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, Literal
from urllib.request import Request, urlopen
from zlib import crc32

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
from playwright.sync_api import Browser, Page, expect, sync_playwright  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "frontend" / "dist" / "index.html"
AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = Path(os.environ.get("MERIT_CHROMIUM", "/usr/bin/chromium"))
MERIT = [sys.executable, "-m", "marketplace.cli.main"]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_MS, STEP_MS, JOB_MS = 60_000, 30_000, 240_000
ETHER = 10**18
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no Chromium at {CHROMIUM}"),
    pytest.mark.skipif(not DIST.exists(), reason="the page is not built: npm run build in frontend/"),
]


# ---------------------------------------------------------------- nodes


@dataclass(frozen=True)
class Up:
    """A running `merit up`."""

    url: str
    market: str
    rpc: str
    home: Path

    @property
    def origin(self) -> str:
        return self.url.split("/#")[0]


@contextmanager
def up(home: Path, *options: str, port: int = 0, password: str = "") -> Iterator[Up]:
    """Starts a node; options stand before `up`. It is stopped as Ctrl-C would."""
    command = [*MERIT, "--home", str(home), "--poll", "0.2", "--json", *options, "up", "--port", str(port)]
    if "--rpc" not in options:
        command += ["--chain-port", "0"]
    env = os.environ | {"OMP_NUM_THREADS": "1", "PATH": f"{ROOT / 'node_modules/.bin'}:{os.environ['PATH']}"}
    if password:
        env["MERIT_PASSWORD"] = password
    home.mkdir(parents=True, exist_ok=True)
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=env, text=True)
        assert process.stdout is not None
        lines: list[str] = []
        reader = Thread(target=lambda: lines.append(process.stdout.readline()), daemon=True)  # type: ignore[union-attr]
        reader.start()
        reader.join(START_MS / 1000)
        try:
            assert "".join(lines), (home / "log").read_text()[-3000:]
            facts = json.loads(lines[0])
            yield Up(facts["url"], facts["market"], facts["rpc"], Path(facts["home"]))
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def trainer_node(home: Path, market: Up) -> AbstractContextManager[Up]:
    """A node beside its data, with a key of its own, on the first node's chain."""
    env = os.environ | {"MERIT_PASSWORD": "test"}
    subprocess.run([*MERIT, "--home", str(home), "key", "new"], check=True, capture_output=True, env=env, timeout=60)
    storage = f"folder:{market.home / 'storage'}"
    return up(home, "--rpc", market.rpc, "--market", market.market, "--storage", storage, password="test")


# ---------------------------------------------------------------- the wallet

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
class Wallet:
    """An account whose transactions Anvil signs. `refuse` and `chain` make it behave as wallets do."""

    rpc: str
    account: str
    chain: int = 31337
    refuse: bool = False
    away: bool = False
    sent: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        with urlopen(Request(self.rpc, body, {"Content-Type": "application/json"}), timeout=10) as response:
            answer = json.load(response)
        if "error" in answer:
            raise WalletError(answer["error"]["code"], answer["error"]["message"], answer["error"].get("data"))
        return answer["result"]

    def hold(self, wei: int) -> "Wallet":
        self.ask("anvil_impersonateAccount", self.account)
        self.ask("anvil_setBalance", self.account, hex(wei))
        return self

    def answer(self, method: str, params: str) -> str:
        try:
            return json.dumps({"result": self._handle(method, json.loads(params))})
        except WalletError as error:
            return json.dumps({"error": {"code": error.code, "message": error.message, "data": error.data}})

    def _handle(self, method: str, params: list[Any]) -> Any:
        if self.away:
            raise WalletError(-32603, "Failed to fetch", None)
        match method:
            case "eth_requestAccounts" | "eth_accounts":
                return [self.account]
            case "eth_chainId":
                return hex(self.chain)
            case "wallet_switchEthereumChain":
                if self.refuse:
                    raise WalletError(4001, "User rejected the request.", None)
                self.chain = int(params[0]["chainId"], 16)
                return None
            case "eth_sendTransaction":
                if self.refuse:
                    raise WalletError(4001, "User rejected the request.", None)
                self.sent.append(params[0])
        return self.ask(method, *params)


@dataclass
class WalletError(Exception):
    code: int
    message: str
    data: Any


def account(number: int) -> str:
    return "0x" + f"{0xA11CE000 + number:040x}"


def open_page(browser: Browser, node: Up, wallet: Wallet | None = None, *, token: bool = True) -> Page:
    """A browser context of its own; whatever the page logs as an error fails the test that closes it."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(STEP_MS)
    if wallet is not None:
        context.expose_function("__wallet", wallet.answer)
        context.add_init_script(SCRIPT)
    page = context.new_page()
    page.goto(node.url if token else node.origin)
    return page


def check_axe(page: Page) -> None:
    """Nothing serious for people with a screen reader or a keyboard (axe-core, run outside the page's own scripts)."""
    if not page.evaluate("typeof axe !== 'undefined'"):
        page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    serious = [
        (each["id"], [node["html"][:120] for node in each["nodes"]][:3])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("market")) as node:
        yield node


@pytest.fixture
def wallet(market: Up, request: pytest.FixtureRequest) -> Wallet:
    number = crc32(request.node.name.encode())
    return Wallet(market.rpc, account(number)).hold(100 * ETHER)


# ---------------------------------------------------------------- what users do


def connect(page: Page) -> None:
    page.get_by_role("button", name="Connect Test Wallet").click()
    expect(page.get_by_role("button", name="Disconnect")).to_be_visible()


def fill_job(page: Page, **fields: str) -> None:
    page.get_by_role("link", name="Create", exact=True).click()
    for label, value in fields.items():
        page.get_by_label(label.replace("_", " "), exact=True).fill(value)


def create_job(page: Page, **fields: str) -> int:
    """Creates a job with the page's defaults and these fields; returns its number."""
    fill_job(page, **fields)
    connect(page)
    page.get_by_role("button", name="Create and escrow").click()
    page.wait_for_url("**/job/*", timeout=JOB_MS)
    return int(page.url.rsplit("/", 1)[1])


def join_job(page: Page, job: int, data: str = "digits") -> None:
    """The three steps, paid to the wallet; the node's key gets its stake from the wallet."""
    page.goto(page.url.split("/job")[0].rstrip("/") + f"/job/{job}/join")
    page.get_by_label("My browser wallet").check()
    connect(page)
    page.get_by_label("Data source").fill(data)
    page.get_by_role("button", name="Check the data").click()
    expect(page.get_by_text("The data fit")).to_be_visible()
    send = page.get_by_label("Send from your wallet")
    expect(page.get_by_text("The node's key holds")).to_be_visible()
    if send.is_visible():
        send.fill("1")
        page.get_by_role("button", name="Send", exact=True).click()
        expect(send).to_be_hidden()
    check_axe(page)
    page.get_by_role("button", name="and train").click()
    expect(page.get_by_role("heading", name="Your trainer")).to_be_visible()
    check_axe(page)


# ---------------------------------------------------------------- tests


def test_three_trainers_join_from_their_own_nodes_and_the_job_runs_to_an_audited_end(
    browser: Browser, market: Up, wallet: Wallet, tmp_path: Path
) -> None:
    owner = open_page(browser, market, wallet)
    job = create_job(owner, Name="Digits by page", Rounds="2", Trainers_to_start="3", Seats="3", Faulty_trainers="1")
    expect(owner.get_by_role("heading", name="Digits by page")).to_be_visible()
    assert int(wallet.sent[-1]["value"], 16) == 2 * (600 + 20) * ETHER // 1000
    with ExitStack() as stack:
        payees = [Wallet(market.rpc, account(900 + number)).hold(10 * ETHER) for number in range(3)]
        nodes = [stack.enter_context(trainer_node(tmp_path / f"trainer-{n}", market)) for n in range(3)]
        pages = [open_page(browser, node, payee) for node, payee in zip(nodes, payees, strict=True)]
        for page in pages:
            join_job(page, job)
        expect(owner.locator(".lead .state")).to_have_text("completed", timeout=JOB_MS)
        expect(owner.get_by_role("button", name="settled, ")).to_have_count(2)
        check_axe(owner)
        withdraw(pages[0], payees[0])
    auditor = open_page(browser, market, token=False)
    audit(auditor, job)


def withdraw(page: Page, payee: Wallet) -> None:
    page.get_by_role("link", name="My pay").click()
    button = page.get_by_role("button", name="Withdraw", exact=True)
    expect(button).to_be_enabled()
    before = int(payee.ask("eth_getBalance", payee.account, "latest"), 16)
    button.click()
    expect(page.get_by_text("Withdrawn.")).to_be_visible()
    assert int(payee.ask("eth_getBalance", payee.account, "latest"), 16) > before
    page.get_by_role("button", name="Why this pay?").first.click()
    expect(page.get_by_text("was paid").first).to_be_visible()
    expect(page.get_by_text("something is wrong")).to_have_count(0)
    check_axe(page)


def audit(page: Page, job: int) -> None:
    page.goto(f"{page.url.rstrip('/')}/audit/{job}")
    page.get_by_role("button", name="Start the audit").click()
    expect(page.get_by_text("Everything that could be checked is right")).to_be_visible(timeout=JOB_MS)
    page.get_by_role("button", name="Read the chain").click()
    expect(page.get_by_text("recomputed to the unit")).to_be_visible()
    expect(page.locator(".mark.bad")).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as JSON").click()
    document = json.loads(Path(download.value.path()).read_text())
    assert document["node"]["ok"] is True
    assert [check["ok"] for check in document["browser"]["checks"]] == [True] * 6
    check_axe(page)


def test_a_wallet_that_declines_sends_nothing_and_can_try_again(browser: Browser, market: Up, wallet: Wallet) -> None:
    page = open_page(browser, market, wallet)
    wallet.refuse = True
    fill_job(page, Rounds="1")
    connect(page)
    page.get_by_role("button", name="Create and escrow").click()
    expect(page.get_by_text("You declined the request in your wallet")).to_be_visible(timeout=JOB_MS)
    assert wallet.sent == []
    wallet.refuse = False
    page.get_by_role("button", name="Create and escrow").click()
    page.wait_for_url("**/job/*", timeout=JOB_MS)


def test_a_wallet_on_the_wrong_chain_is_switched_before_anything_is_sent(
    browser: Browser, market: Up, wallet: Wallet
) -> None:
    wallet.chain = 1
    page = open_page(browser, market, wallet)
    fill_job(page, Rounds="1")
    connect(page)
    expect(page.get_by_text("Your wallet is on Ethereum")).to_be_visible()
    page.get_by_role("button", name="Switch the wallet to chain 31337").click()
    expect(page.get_by_text("Your wallet is on Ethereum")).to_be_hidden()
    assert wallet.chain == 31337


def test_an_owner_without_enough_coin_is_told_both_amounts(browser: Browser, market: Up, wallet: Wallet) -> None:
    wallet.hold(ETHER)
    page = open_page(browser, market, wallet)
    fill_job(page, Rounds="5")
    connect(page)
    page.get_by_role("button", name="Create and escrow").click()
    expect(page.get_by_text("This takes 3.1 ether")).to_be_visible(timeout=JOB_MS)
    assert wallet.sent == []


def test_a_transaction_survives_a_chain_that_is_gone_for_a_while(browser: Browser, market: Up, wallet: Wallet) -> None:
    page = open_page(browser, market, wallet)
    fill_job(page, Rounds="1")
    connect(page)
    wallet.ask("evm_setAutomine", False)
    try:
        page.get_by_role("button", name="Create and escrow").click()
        expect(page.get_by_text("Waits for a block")).to_be_visible(timeout=JOB_MS)
        wallet.away = True
        expect(page.get_by_text("The chain cannot be reached at the moment")).to_be_visible()
        wallet.away = False
    finally:
        wallet.ask("evm_setAutomine", True)
        wallet.ask("evm_mine")
    page.wait_for_url("**/job/*")


def test_every_page_is_without_serious_findings_of_axe_and_fits_a_phone(browser: Browser, market: Up) -> None:
    page = open_page(browser, market)
    page.set_viewport_size({"width": 360, "height": 740})
    for path in ("/", "/create", "/trainers", "/pay", "/audit", "/nowhere"):
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.goto(market.origin + path)
            expect(page.get_by_text("Live", exact=False).last).to_be_visible()
            expect(page.locator(".skeleton")).to_have_count(0)
            check_axe(page)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_the_token_leaves_the_address_bar_and_nothing_comes_from_elsewhere(browser: Browser, market: Up) -> None:
    page = open_page(browser, market)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    expect(page.get_by_role("heading", name="Market")).to_be_visible()
    expect(page.get_by_text("this tab may act through the node")).to_be_visible()
    assert "token" not in page.url
    assert [url for url in asked if not url.startswith((market.origin + "/", "data:"))] == []


def test_a_page_whose_node_restarts_mid_round_says_so_and_goes_on(browser: Browser, tmp_path: Path) -> None:
    home = tmp_path / "node"
    with up(home) as node:
        port = int(node.origin.rsplit(":", 1)[1])
        page = open_page(browser, node, Wallet(node.rpc, account(77)).hold(100 * ETHER))
        job = create_job(page, Rounds="8", Trainers_to_start="1", Seats="1", Faulty_trainers="0")
        page.get_by_role("link", name="Join as a trainer").first.click()
        page.get_by_label("The node's own key").check()
        page.get_by_label("Data source").fill("digits")
        page.get_by_role("button", name="Check the data").click()
        page.get_by_role("button", name="and train").click()
        expect(page.get_by_role("heading", name="Your trainer")).to_be_visible()
        page.goto(f"{node.origin}/job/{job}")
        expect(page.get_by_role("button", name="settled, ")).to_have_count(1, timeout=JOB_MS)
        page.reload()
        expect(page.get_by_role("button", name="settled, ").first).to_be_visible()
    expect(page.get_by_text("Not live since")).to_be_visible()
    with up(home, port=port):
        expect(page.get_by_text("Not live since")).to_be_hidden()
        expect(page.locator(".lead .state")).to_have_text("completed", timeout=JOB_MS)
        expect(page.get_by_role("button", name="settled, ")).to_have_count(8)
