"""Whole jobs through the page: created in a wallet, joined from nodes of their own, watched, withdrawn, audited."""

import json
from contextlib import ExitStack
from pathlib import Path

from eth_account import Account
from playwright.sync_api import Page, expect
from safetensors.numpy import load_file

from marketplace.chain.anvil import dev_accounts
from marketplace.chain.connection import Connection
from marketplace.chain.market import Market
from marketplace.domain import ZERO_ADDRESS
from tests.chain_fixtures import Token, new_contract
from tests.e2e.page_kit import (
    JOB_MS,
    MARKS,
    SLOW_MS,
    Up,
    Visit,
    button,
    check_axe,
    check_data,
    connect,
    create_job,
    created,
    deposit,
    fill_job,
    join_by_node,
    join_by_wallet,
    press_create,
    settled,
    state,
    trainer_node,
    until,
    up,
)
from tests.e2e.page_wallet import ETHER, Wallet, account

pytest_plugins = ["tests.e2e.page_kit"]
pytestmark = MARKS

ONE = {"Trainers_to_start": "1", "Seats": "1", "Faulty_trainers": "0"}
TWO = {"Trainers_to_start": "2", "Seats": "2", "Faulty_trainers": "0", "Rounds": "2"}
PASSER_BY = dev_accounts(8)[7]
SOME_KEY = b"\x09" * 32


def test_three_trainers_join_from_their_own_nodes_and_the_job_runs_to_an_audited_end(
    visit: Visit, market: Up, wallet: Wallet, tmp_path: Path
) -> None:
    owner = visit(market, wallet)
    seats = {"Trainers_to_start": "3", "Seats": "3", "Faulty_trainers": "0"}
    job = create_job(owner, Name="Digits by page", Rounds="2", Confirm_window="40 s", **seats)
    expect(owner.get_by_role("heading", name="Digits by page", exact=True)).to_be_visible()
    assert int(wallet.sent[-1]["value"], 16) == 2 * (600 + 30) * ETHER // 1000
    with ExitStack() as stack:
        payees = [Wallet(market.rpc, account(900 + number)).hold(10 * ETHER) for number in range(3)]
        nodes = [stack.enter_context(trainer_node(tmp_path / f"trainer-{n}", market)) for n in range(3)]
        pages = [visit(node, payee) for node, payee in zip(nodes, payees, strict=True)]
        for page, node in zip(pages, nodes, strict=True):
            join_by_wallet(page, node, job)
        expect(settled(owner)).to_have_count(2, timeout=JOB_MS)
        curves = owner.get_by_role("figure", name="by trainer").get_by_role("row")
        expect(curves).to_have_count(3)
        expect(pages[0].get_by_text("If the job ended now")).to_be_visible()
        brought = pages[0].get_by_role("region", name="What each round brought").get_by_role("row")
        expect(brought).to_have_count(3)
        expect(state(owner)).to_have_text("completed", timeout=JOB_MS)
        check_axe(owner)
        expect(pages[0].get_by_text("were claimed")).to_be_visible(timeout=SLOW_MS)
        check_axe(pages[0])
        withdraw(pages[0], payees[0])
    audit(visit(market, path=f"/audit/{job}", token=False))


def withdraw(page: Page, payee: Wallet) -> None:
    page.get_by_role("navigation").get_by_role("link", name="My pay", exact=True).click()
    # The node of this page may not have read the last credit yet: what is withdrawn is at least a part.
    expect(button(page, "Withdraw")).to_be_enabled()
    before = payee.balance()
    button(page, "Withdraw").click()
    expect(page.get_by_text("Withdrawn.")).to_be_visible()
    assert payee.balance() > before
    button(page, "Why this pay?").click()
    why = page.get_by_role("article", name="Why this pay")
    expect(why.locator(".why strong")).to_contain_text("pay is")
    expect(why.locator(".why")).to_contain_text("of all points")
    expect(page.get_by_text("something is wrong")).to_have_count(0)
    check_axe(page)


def audit(page: Page) -> None:
    button(page, "Start the audit").click()
    expect(page.get_by_text("Everything that could be checked is right")).to_be_visible(timeout=JOB_MS)
    expect(page.get_by_label("RPC address", exact=True)).not_to_have_value("")
    button(page, "Read the chain").click()
    by_browser = page.locator("section").filter(has=page.get_by_role("heading", name="By this browser"))
    expect(by_browser.get_by_role("listitem")).to_have_count(8)
    expect(button(page, "Read the chain")).to_be_enabled()
    expect(by_browser.get_by_text("divided by points among 3 members, to the unit")).to_be_visible()
    expect(page.locator(".mark.bad")).to_have_count(0)
    with page.expect_download() as download:
        button(page, "Save as JSON").click()
    document = json.loads(Path(download.value.path()).read_text())
    assert document["node"]["ok"] is True
    assert [check["ok"] for check in document["browser"]["checks"]] == [True] * 8
    check_axe(page)


def accept_all_the_same(page: Page, job: int, objection: str) -> None:
    """The operator takes up what the policy of the node's aggregator leaves open."""
    page.get_by_role("navigation").get_by_role("link", name="Node", exact=True).click()
    request = page.get_by_role("listitem").filter(has=page.get_by_role("link", name=f"{job} ")).first
    expect(request).to_contain_text("waits for you")
    expect(request).to_contain_text(objection)
    check_axe(page)
    request.get_by_role("button", name="Accept it all the same", exact=True).click()
    expect(request).to_contain_text("served: the bond is posted", timeout=SLOW_MS)


def test_a_job_in_an_erc20_is_approved_created_worked_on_and_withdrawn_in_that_token(
    visit: Visit, market: Up, wallet: Wallet
) -> None:
    connection = Connection(market.rpc)
    token = Token(connection, new_contract(connection, "PlainToken"))
    facts = market.ask("/api/node")
    for holder in (wallet.account, facts["acts_as"]["address"], facts["aggregator"]["address"]):
        token.send("mint(address,uint256)", holder, 10 * ETHER)
    page = visit(market, wallet)
    fill_job(page, **ONE, Rounds="1", **{"ERC-20_token": token.address})
    expect(page.get_by_text("The amounts above are in PLAIN, which has 18 decimals.")).to_be_visible()
    expect(page.locator(".total")).to_have_text("0.66 PLAIN")
    connect(page)
    press_create(page)
    job = created(page)
    assert [(call["to"].lower(), int(call["value"], 16)) for call in wallet.sent] == [
        (token.address.lower(), 0),
        (market.market.lower(), 0),
    ]
    expect(page.locator(".readings").get_by_text("0.6 PLAIN").first).to_be_visible()
    accept_all_the_same(page, job, "which the policy does not allow")
    join_by_wallet(page, market, job, connected=True)
    expect(state(page)).to_have_text("finished", timeout=JOB_MS)
    page.get_by_role("link", name="See your pay", exact=True).click()
    credit = page.get_by_role("region", name="Credit in PLAIN")
    # The owner is paid here for what it escrowed itself; the stake came from the node's key, the fee went away.
    expect(credit.locator(".value")).to_have_text("1.2 PLAIN")
    credit.get_by_role("button", name="Withdraw", exact=True).click()
    expect(credit.get_by_text("Withdrawn.")).to_be_visible()
    market_of = Market(connection, market.market)
    assert market_of.balance(token.address, wallet.account) == 10 * ETHER - 660 * ETHER // 1000 + 1200 * ETHER // 1000


def test_an_owner_sees_accuracy_takes_the_model_and_reveals_its_validation_data_with_a_wallet(
    visit: Visit, market: Up, wallet: Wallet
) -> None:
    page = visit(market, wallet)
    job = create_job(page, **ONE, Rounds="2", Validation_data="digits")
    join_by_node(page, market, job)
    expect(state(page)).to_have_text("finished", timeout=JOB_MS)
    page.goto(f"{market.origin}/job/{job}")
    chart = page.get_by_role("figure", name="Accuracy by round, on the owner's validation data")
    expect(chart.get_by_role("row", name="accuracy").get_by_role("cell")).to_have_count(3)
    with page.expect_download(timeout=SLOW_MS) as download:
        button(page, "Download the final model").click()
    assert download.value.suggested_filename == f"job-{job}-round-2.safetensors"
    assert sum(tensor.size for tensor in load_file(download.value.path()).values()) == 13_802
    button(page, "Reveal the validation data").click()
    button(page, "Keep them").click()
    assert len(wallet.sent) == 1
    button(page, "Reveal the validation data").click()
    check_axe(page)
    button(page, "Make them public with your wallet").click()
    expect(page.get_by_text("The owner has revealed the validation data")).to_be_visible(timeout=SLOW_MS)
    expect(button(page, "Reveal the validation data")).to_have_count(0)
    page.get_by_role("link", name="Audit this job", exact=True).click()
    button(page, "Start the audit").click()
    expect(page.get_by_text("Everything that could be checked is right")).to_be_visible(timeout=JOB_MS)
    revealed = page.get_by_role("listitem").filter(has=page.locator(".check-name", has_text="validation"))
    expect(revealed.locator(".mark.good")).to_have_count(1)


def test_a_paused_trainer_is_warned_and_goes_on_and_cannot_leave_a_round_that_it_submitted_to(
    visit: Visit, market: Up, wallet: Wallet
) -> None:
    page = visit(market, wallet)
    job = create_job(page, **TWO)
    join_by_node(page, market, job)
    until(lambda: market.ask(f"/api/jobs/{job}/trainers"), "the seat is taken", SLOW_MS)
    button(page, "Pause").click()
    expect(state(page)).to_have_text("paused")
    expect(page.get_by_text("A paused trainer misses its deadlines")).to_have_count(0)
    Market(Connection(market.rpc), market.market).join(PASSER_BY, job, PASSER_BY.address, SOME_KEY)
    expect(page.get_by_text("A paused trainer misses its deadlines")).to_be_visible(timeout=SLOW_MS)
    check_axe(page)
    button(page, "Go on").click()
    expect(page.get_by_text("Submitted the update of round 1.")).to_be_visible(timeout=SLOW_MS)
    button(page, "Leave the job").click()
    button(page, "Leave").click()
    expect(page.get_by_role("alert").filter(has_text="submitted")).to_be_visible()
    expect(page.get_by_role("heading", name="Your trainer", exact=True)).to_be_visible()


NOTIFICATIONS = """
window.__told = [];
window.Notification = class {
  static permission = sessionStorage.getItem("allowed") ?? "default";
  static async requestPermission() {
    sessionStorage.setItem("allowed", (Notification.permission = "granted"));
    return "granted";
  }
  constructor(title, { body }) { window.__told.push(`${title}. ${body}`); }
  close() {}
};
"""


def told(page: Page, words: str) -> bool:
    """Whether the browser was asked to notify its reader of this, on the page that is shown."""
    return any(words in each for each in page.evaluate("window.__told"))


def test_a_trainer_who_leaves_before_the_start_has_its_stake_credited_is_notified_and_may_join_again(
    visit: Visit, market: Up, wallet: Wallet
) -> None:
    page = visit(market, wallet)
    page.add_init_script(NOTIFICATIONS)
    page.goto(f"{market.origin}/work")
    assert page.evaluate("Notification.permission") == "default"
    button(page, "Notify me").click()
    expect(page.get_by_text("This browser tells you of deadlines")).to_be_visible()
    job = create_job(page, **TWO)
    me = market.ask("/api/node")["acts_as"]["address"]
    seen = Market(Connection(market.rpc), market.market)
    before = seen.credit(me, ZERO_ADDRESS)
    join_by_node(page, market, job)
    until(lambda: market.ask(f"/api/jobs/{job}/trainers"), "the seat is taken", SLOW_MS)
    button(page, "Pause").click()
    until(lambda: told(page, "Your trainer is paused"), "the pause is told")
    button(page, "Leave the job").click()
    button(page, "Stay").click()
    expect(button(page, "Stay")).to_have_count(0)
    button(page, "Leave the job").click()
    button(page, "Leave").click()
    expect(page.get_by_text("You have left; the stake was credited")).to_be_visible()
    expect(page.get_by_role("heading", name="Join as a trainer", exact=True)).to_be_visible()
    assert seen.credit(me, ZERO_ADDRESS) - before == 3 * ETHER // 10
    until(lambda: told(page, f"Credited: 0.3 ether. Job {job}: stake back."), "the credit is told")
    expect(button(page, "Check the data")).to_be_visible()


def test_whom_an_owner_invites_in_its_wallet_joins_by_the_link_and_nobody_without(visit: Visit, market: Up) -> None:
    key = "0x" + "7e" * 32
    gate = Wallet(market.rpc, Account.from_key(key).address, key=key).hold(100 * ETHER)
    page = visit(market, gate)
    me = market.ask("/api/node")["acts_as"]["address"]
    fill_job(page, **TWO)
    page.get_by_label("Who may join").select_option("owner")
    expect(page.get_by_text("You can invite yourself")).to_be_visible()
    check_axe(page)
    connect(page)
    press_create(page)
    job = created(page)
    until(lambda: job in [each["job_id"] for each in market.ask("/api/jobs")["items"]], "the index has the job")
    assert market.ask(f"/api/jobs/{job}")["terms"]["gate"] == gate.account
    expect(page.get_by_text("the owner, who can invite itself")).to_be_visible()
    page.get_by_label("The node's address").fill(me)
    gate.refuse = True
    button(page, "Sign a ticket in your wallet").click()
    expect(page.get_by_text("You declined the request in your wallet")).to_be_visible()
    gate.refuse = False
    button(page, "Sign a ticket in your wallet").click()
    link = str(button(page, "Copy the link").get_attribute("title"))
    check_axe(page)

    page.goto(f"{market.origin}/job/{job}/join")
    page.get_by_label("The node's own key").check()
    check_data(page, "digits")
    expect(page.get_by_text("First give your ticket.")).to_be_visible()
    page.get_by_label("Ticket", exact=True).fill("merit1_nothing")
    expect(page.get_by_text("This is not a ticket")).to_be_visible()
    check_axe(page)
    page.goto(link)
    page.get_by_label("The node's own key").check()
    check_data(page, "digits")
    deposit(page)
    until(lambda: market.ask(f"/api/jobs/{job}/trainers"), "the seat is taken", SLOW_MS)


def test_a_page_whose_node_restarts_mid_round_says_so_and_goes_on(visit: Visit, tmp_path: Path) -> None:
    home = tmp_path / "node"
    with up(home) as node:
        page = visit(node, Wallet(node.rpc, account(77)).hold(100 * ETHER))
        job = create_job(page, Rounds="8", **ONE)
        join_by_node(page, node, job)
        page.goto(f"{node.origin}/job/{job}")
        expect(settled(page).first).to_be_visible(timeout=JOB_MS)
        page.reload()
        expect(settled(page).first).to_be_visible()
        assert settled(page).count() < 8
    expect(page.get_by_text("Not live since")).to_be_visible()
    with up(home, port=node.port):
        expect(page.get_by_text("Not live since")).to_be_hidden()
        expect(state(page)).to_have_text("completed", timeout=JOB_MS)
        expect(settled(page)).to_have_count(8)
