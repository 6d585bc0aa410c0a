"""The page in a real Chromium, against nodes as users start them, for `test_page_*.py`: nodes, and what users do.

Every wait is bounded by what a
machine several times slower than a developer's takes; nothing that is waited for depends on being looked at in time.

PYTEST_DONT_REWRITE: test modules import from here before pytest registers the plugin.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Literal, Protocol
from urllib.request import Request, urlopen
from zlib import crc32

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from marketplace.cli.forked import Forked
from tests.e2e.page_wallet import ETHER, SCRIPT, Wallet, account

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
START_MS = 180_000  # a node that loads torch and deploys a market
STEP_MS = 60_000  # an answer of the node, a transaction, a render
SLOW_MS = 180_000  # the first use of torch, a set-up, the verifiers' deployment
JOB_MS = 360_000  # all rounds of a job
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
DESKTOP, PHONE = (1280, 900), (360, 740)

expect.set_options(timeout=STEP_MS)

MARKS = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no Chromium at {CHROMIUM}"),
    pytest.mark.skipif(not DIST.exists(), reason="the page is not built: make page"),
]


# ---------------------------------------------------------------- nodes


@dataclass(frozen=True)
class Up:
    """A running `merit up`. rpc: the chain's address."""

    url: str
    market: str
    rpc: str
    home: Path

    @property
    def origin(self) -> str:
        return self.url.split("/#")[0]

    @property
    def port(self) -> int:
        return int(self.origin.rsplit(":", 1)[1])

    def ask(self, path: str, body: object | None = None) -> Any:
        """What the API answers; with a body, to a POST with the node's token."""
        headers = {"Authorization": f"Bearer {self.url.split('token=')[1]}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(self.origin + path, data, headers), timeout=SLOW_MS / 1000) as response:
            return json.load(response)


@contextmanager
def up(home: Path, *options: str, port: int = 0, password: str = "", data: Path | None = None) -> Iterator[Up]:
    """Starts a node; options stand before `up`. It is stopped as Ctrl-C would."""
    command = ["--home", str(home), "--poll", "0.2", "--json", *options, "up", "--port", str(port)]
    rpc = options[options.index("--rpc") + 1] if "--rpc" in options else ""
    command += [] if rpc else ["--chain-port", "0"]
    command += ["--data", str(data)] if data else []
    env = os.environ | {"OMP_NUM_THREADS": "1", "PATH": f"{ROOT / 'node_modules/.bin'}:{os.environ['PATH']}"}
    if password:
        env["MERIT_PASSWORD"] = password
    home.mkdir(parents=True, exist_ok=True)
    process = Forked("marketplace.cli.main", command, env, home / "log")
    lines: list[bytes] = []
    reader = Thread(target=lambda: lines.append(process.stdout.readline()), daemon=True)
    reader.start()
    reader.join(START_MS / 1000)
    try:
        assert b"".join(lines), (home / "log").read_text()[-3000:]
        facts = json.loads(lines[0])
        yield Up(facts["url"], facts["market"], facts["rpc"] or rpc, Path(facts["home"]))
    finally:
        process.terminate()
        if process.wait(120) is None:
            process.kill()
            process.wait(10)
        process.stdout.close()


def new_key(home: Path) -> None:
    env = os.environ | {"MERIT_PASSWORD": "test"}
    process = Forked("marketplace.cli.main", ["--home", str(home), "key", "new"], env)
    _, problem = process.communicate(120)
    assert process.poll() == 0, problem


def trainer_node(home: Path, market: Up, data: Path | None = None) -> AbstractContextManager[Up]:
    """A node beside its data, with a key of its own, on the first node's chain."""
    new_key(home)
    storage = f"folder:{market.home / 'storage'}"
    return up(home, "--rpc", market.rpc, "--market", market.market, "--storage", storage, password="test", data=data)


def until(holds: Callable[[], Any], what: str, within_ms: int = STEP_MS) -> Any:
    """What `holds` gives once it is true."""
    end = time.monotonic() + within_ms / 1000
    while not (found := holds()):
        assert time.monotonic() < end, f"not within {within_ms} ms: {what}"
        time.sleep(0.1)
    return found


# ---------------------------------------------------------------- fixtures


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A whole market on this machine; a file's tests share it."""
    with up(tmp_path_factory.mktemp("market")) as node:
        yield node


@pytest.fixture
def wallet(market: Up, request: pytest.FixtureRequest) -> Wallet:
    """Of an account that is this test's own."""
    return Wallet(market.rpc, account(crc32(request.node.name.encode()))).hold(100 * ETHER)


class Visit(Protocol):
    def __call__(self, node: Up, wallet: Wallet | None = None, *, path: str = "/", token: bool = True) -> Page: ...


@contextmanager
def visits(browser: Browser) -> Iterator[Visit]:
    """Opens pages, each in a browser context of its own, as another user's browser would be.

    Afterwards no page may have thrown, nor tried what its content security policy forbids.
    """
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def visit(node: Up, wallet: Wallet | None = None, *, path: str = "/", token: bool = True) -> Page:
        context = browser.new_context(viewport={"width": DESKTOP[0], "height": DESKTOP[1]})
        contexts.append(context)
        context.set_default_timeout(STEP_MS)
        if wallet is not None:
            context.expose_function("__wallet", wallet.answer)
            context.add_init_script(SCRIPT)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(node.origin + path + (f"#{node.url.split('#')[1]}" if token else ""))
        return page

    yield visit
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    with visits(browser) as opened:
        yield opened


# ---------------------------------------------------------------- what users see and do


def state(page: Page) -> Locator:
    """A job's, or one's own trainer's."""
    return page.locator(".lead .state")


def settled(page: Page) -> Locator:
    """The timeline's buttons of settled rounds."""
    return page.get_by_role("button", name="settled, ")


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def connect(page: Page) -> None:
    button(page, "Connect Test Wallet").click()
    expect(button(page, "Disconnect")).to_be_visible()


def unfold(page: Page) -> None:
    """Opens what the form has folded away."""
    closed = page.locator("form.create details:not([open]) > summary")
    while closed.count():
        closed.first.click()


def fill_job(page: Page, **fields: str) -> None:
    """Opens the form and fills it; names of fields are its labels, with _ for a space.

    A confirm window always runs its time: unless it is said, it is short. Nor is a start delayed.
    """
    page.get_by_role("navigation").get_by_role("link", name="Create", exact=True).click()
    if "Aggregator" not in fields:  # the node's own is filled in as soon as the node has answered
        expect(page.get_by_label("Aggregator", exact=True)).not_to_have_value("")
    unfold(page)
    for label, value in ({"Confirm_window": "10 s", "Start_delay": "0"} | fields).items():
        page.get_by_label(label.replace("_", " "), exact=True).fill(value)


def press_create(page: Page) -> None:
    page.get_by_role("button", name="Create and escrow").click()


def created(page: Page) -> int:
    """The number of the job that the page leads to once it is created."""
    page.wait_for_url("**/job/*", timeout=SLOW_MS)
    return int(page.url.rsplit("/", 1)[1])


def create_job(page: Page, **fields: str) -> int:
    """Creates a job with the page's defaults and these fields; returns its number."""
    fill_job(page, **fields)
    connect(page)
    press_create(page)
    return created(page)


def check_data(page: Page, data: str) -> None:
    page.get_by_label("Data source").fill(data)
    button(page, "Check the data").click()
    expect(page.get_by_text("The data fit: ")).to_be_visible(timeout=SLOW_MS)


def deposit(page: Page) -> None:
    page.get_by_role("button", name="and train").click()
    expect(page.get_by_role("heading", name="Your trainer", exact=True)).to_be_visible()


def join_by_node(page: Page, node: Up, job: int, data: str = "digits") -> None:
    """Joins with the node's own key, which is paid too."""
    page.goto(f"{node.origin}/job/{job}/join")
    page.get_by_label("The node's own key").check()
    check_data(page, data)
    deposit(page)


def join_by_wallet(page: Page, node: Up, job: int, data: str = "digits", *, connected: bool = False) -> None:
    """The three steps, paid to the wallet; the node's key gets its stake from the wallet.

    connected: the tab has used its wallet before, so that it takes it up again by itself.
    """
    page.goto(f"{node.origin}/job/{job}/join")
    page.get_by_label("My browser wallet").check()
    if not connected:
        connect(page)
    check_data(page, data)
    expect(page.get_by_text("The node's key holds")).to_be_visible()
    send = page.get_by_label("Send from your wallet")
    if send.is_visible():
        send.fill("1")
        button(page, "Send").click()
        expect(send).to_be_hidden()
    check_axe(page)
    deposit(page)
    check_axe(page)


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
