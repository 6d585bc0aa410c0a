"""What goes wrong around the page: wallets that decline or are elsewhere, a chain that is gone, parties that vanish."""

import time
from contextlib import ExitStack
from pathlib import Path

from eth_utils.address import to_checksum_address
from playwright.sync_api import expect

from marketplace.chain import abi
from marketplace.chain.anvil import Anvil, dev_accounts
from marketplace.chain.clock import skip_to
from marketplace.chain.connection import Connection
from marketplace.chain.deploy import deploy
from marketplace.chain.market import Market
from marketplace.domain import ZERO_ADDRESS, State
from tests.chain_fixtures import OWNER, commitment, settlement, terms, with_stubs
from tests.e2e.page_kit import (
    MARKS,
    SLOW_MS,
    Up,
    Visit,
    button,
    check_axe,
    connect,
    create_job,
    created,
    fill_job,
    new_key,
    press_create,
    settled,
    state,
    until,
    up,
)
from tests.e2e.page_wallet import ETHER, Wallet, account

pytest_plugins = ["tests.e2e.page_kit"]
pytestmark = MARKS

RESCUER, *COUPLE, AGGREGATOR, TRAINER = dev_accounts(9)[4:]
KEY = b"\x07" * 32
OTHERS = {
    "Aggregator": AGGREGATOR.address,
    "Its_public_key": f"0x{KEY.hex()}",
    "Trainers_to_start": "1",
    "Seats": "1",
    "Faulty_trainers": "0",
}
DECLINED = "You declined the request in your wallet"


def test_an_owner_without_a_wallet_creates_a_job_with_the_node_s_key(visit: Visit, market: Up) -> None:
    page = visit(market)
    fill_job(page, Rounds="1", Name="No wallet")
    expect(page.get_by_text("No wallet was found in this browser")).to_be_visible()
    expect(page.get_by_role("button", name="Create and escrow")).to_be_disabled()
    button(page, "Create with this node's key").click()
    created(page)
    expect(page.get_by_role("heading", name="No wallet", exact=True)).to_be_visible()


def test_a_wallet_that_declines_sends_nothing_and_can_try_again(visit: Visit, market: Up, wallet: Wallet) -> None:
    page = visit(market, wallet)
    wallet.refuse = True
    fill_job(page, Rounds="1")
    connect(page)
    press_create(page)
    expect(page.get_by_text(DECLINED)).to_be_visible(timeout=SLOW_MS)
    assert wallet.sent == []
    wallet.refuse = False
    press_create(page)
    created(page)


def test_a_wallet_on_the_wrong_chain_is_told_and_switched_before_anything_is_sent(
    visit: Visit, market: Up, wallet: Wallet
) -> None:
    wallet.chain = 1
    page = visit(market, wallet)
    fill_job(page, Rounds="1")
    connect(page)
    elsewhere = page.get_by_text("Your wallet is on Ethereum")
    expect(elsewhere).to_be_visible()
    wallet.refuse = True
    press_create(page)
    expect(page.get_by_text(DECLINED)).to_be_visible(timeout=SLOW_MS)
    assert (wallet.chain, wallet.sent) == (1, [])
    wallet.refuse = False
    button(page, "Switch the wallet to chain 31337").click()
    expect(elsewhere).to_be_hidden()
    assert wallet.chain == 31337
    press_create(page)
    created(page)


def test_an_owner_without_enough_coin_is_told_both_amounts(visit: Visit, market: Up, wallet: Wallet) -> None:
    wallet.hold(ETHER)
    page = visit(market, wallet)
    fill_job(page, Rounds="5")
    connect(page)
    press_create(page)
    expect(page.get_by_text("This takes 3.15 ether")).to_contain_text("holds 1 ether", timeout=SLOW_MS)
    assert wallet.sent == []


def test_a_transaction_survives_a_wallet_that_loses_its_chain(visit: Visit, market: Up, wallet: Wallet) -> None:
    page = visit(market, wallet)
    wallet.before_send = lambda: wallet.ask("evm_setAutomine", False)
    fill_job(page, Rounds="1")
    connect(page)
    try:
        press_create(page)
        expect(page.get_by_text("Waits for a block")).to_be_visible(timeout=SLOW_MS)
        wallet.away = True
        expect(page.get_by_text("The chain cannot be reached at the moment")).to_be_visible()
        wallet.away = False
    finally:
        wallet.ask("evm_setAutomine", True)
        wallet.ask("evm_mine")
    created(page)


def test_a_chain_that_is_gone_for_ten_seconds_is_told_of_and_nothing_is_lost(visit: Visit, tmp_path: Path) -> None:
    kept, home = tmp_path / "chain.json", tmp_path / "node"
    new_key(home)
    with ExitStack() as stack:
        with Anvil(state=kept) as anvil:
            rpc = anvil.url
            place = deploy(Connection(rpc), dev_accounts(1)[0])
            shared = ("--rpc", rpc, "--market", place.market, "--storage", f"folder:{tmp_path / 'storage'}")
            node = stack.enter_context(up(home, *shared, password="test"))
            Wallet(rpc, node.ask("/api/node")["acts_as"]["address"]).hold(10 * ETHER)
            wallet = Wallet(rpc, account(78)).hold(100 * ETHER)
            page = visit(node, wallet)
            fill_job(page, **OTHERS)
            connect(page)
        gone = time.monotonic()
        behind = page.get_by_text("The node does not follow the chain at the moment")
        expect(behind).to_be_visible()
        expect(page.locator("footer")).to_contain_text("Not live")
        press_create(page)
        expect(page.get_by_role("alert").filter(has_text="does not answer")).to_be_visible(timeout=SLOW_MS)
        assert wallet.sent == []
        check_axe(page)
        page.wait_for_timeout(max(0.0, 10 - (time.monotonic() - gone)) * 1000)
        stack.enter_context(Anvil(state=kept, port=int(rpc.rsplit(":", 1)[1])))
        expect(behind).to_be_hidden(timeout=SLOW_MS)  # the node's pauses between tries have grown
        expect(page.locator("footer .lamp-live")).to_have_count(1)
        wallet.hold(100 * ETHER)  # Anvil forgets for whom it signs
        press_create(page)
        created(page)
        expect(state(page)).to_have_text("open")


# ---------------------------------------------------------------- exits: parties that vanish


def forward(node: Up, seconds: int) -> None:
    """Moves the chain's clock, and waits until the node knows."""
    connection = Connection(node.rpc)
    moment = connection.now() + seconds
    skip_to(connection, moment)
    until(lambda: node.ask("/api/node")["now"] >= moment, "the node has the chain's time")


def press_exit(page_of: Visit, node: Up, job: int, name: str) -> None:
    """A stranger, who has nothing but a wallet, opens the job and presses the button."""
    stranger = Wallet(node.rpc, account(500 + job)).hold(ETHER)
    page = page_of(node, stranger, path=f"/job/{job}", token=False)
    button(page, f"{name} with a wallet").click()
    check_axe(page)
    button(page, "Connect Test Wallet").click()
    button(page, f"{name} with your wallet").click()
    expect(button(page, f"{name} with your wallet")).to_have_count(0, timeout=SLOW_MS)


def test_a_stranger_may_cancel_a_job_that_nobody_joined_and_the_owner_gets_its_money_back(
    visit: Visit, market: Up, wallet: Wallet
) -> None:
    page = visit(market, wallet)
    job = create_job(page, **OTHERS, Rounds="3")
    expect(page.get_by_text("As the owner you can cancel while the job is open")).to_be_visible()
    expect(page.get_by_text("Nobody has joined yet.")).to_be_visible()
    forward(market, 86_400 + 60)
    press_exit(visit, market, job, "Cancel the job")
    expect(state(page)).to_have_text("cancelled")
    assert Market(Connection(market.rpc), market.market).credit(wallet.account, ZERO_ADDRESS) == 3 * 66 * ETHER // 100


def test_strangers_may_skip_an_empty_round_and_abort_one_that_nobody_settles(
    visit: Visit, market: Up, wallet: Wallet
) -> None:
    chain = Market(Connection(market.rpc), market.market)
    page = visit(market, wallet)
    job = create_job(page, **OTHERS, Rounds="3", Stake="0.25", Bond="0.75")
    chain.accept_aggregation(AGGREGATOR, job, AGGREGATOR.address, KEY)
    chain.join(TRAINER, job, TRAINER.address, KEY)
    chain.start(AGGREGATOR, job)
    chain.publish_key(AGGREGATOR, job, "bafykey")
    expect(state(page)).to_have_text("running")
    expect(page.get_by_text("Nobody has submitted yet.")).to_be_visible()
    expect(page.get_by_text("are drawn here once a round is settled")).to_be_visible()
    expect(page.get_by_text("If nobody submits, anyone may skip this round in")).to_be_visible()
    check_axe(page)
    forward(market, 601)
    press_exit(visit, market, job, "Skip this round")
    expect(page.get_by_role("button", name="1 skipped")).to_be_visible()
    chain.submit_update(TRAINER, job, 2, b"\x01" * 32, "bafyupdate")
    expect(page.get_by_text("The aggregator judges 1 submission;")).to_be_visible()
    forward(market, 1202)
    press_exit(visit, market, job, "Abort the job")
    expect(state(page)).to_have_text("aborted")
    expect(settled(page)).to_have_count(0)
    assert chain.job(job).state is State.ABORTED
    assert chain.credit(TRAINER.address, ZERO_ADDRESS) == 75 * ETHER // 100  # the bond of who let it down
    press_exit(visit, market, job, "Claim for seat 0")
    assert chain.credit(TRAINER.address, ZERO_ADDRESS) == ETHER  # and its stake
    assert chain.credit(wallet.account, ZERO_ADDRESS) == 3 * 66 * ETHER // 100
    check_axe(page)


def test_a_job_is_taken_over_from_an_aggregator_that_vanished_delivered_again_and_completed_by_a_stranger(
    visit: Visit, market: Up
) -> None:
    connection = Connection(market.rpc)
    chain = Market(connection, market.market)
    money = {"reward": 6 * ETHER // 10, "fee": 2 * ETHER // 100, "stake": ETHER // 4, "bond": 3 * ETHER // 4}
    stubs = with_stubs(connection, chain)
    asked = terms(stubs, **money, rounds=1, max_trainers=2, takeover_window=7200)
    job, _ = chain.create_job(OWNER, asked, KEY, "bafyspec")
    until(lambda: job in [each["job_id"] for each in market.ask("/api/jobs")["items"]], "the index has the job")
    page = visit(market, path=f"/job/{job}")
    chain.accept_aggregation(AGGREGATOR, job, AGGREGATOR.address, KEY)
    for trainer in COUPLE:
        chain.join(trainer, job, trainer.address, KEY)
    chain.start(AGGREGATOR, job)
    chain.publish_key(AGGREGATOR, job, "bafykey")
    chain.submit_update(COUPLE[0], job, 1, commitment(1, by=COUPLE[0]), "bafyupdate")
    later = page.get_by_text("If the aggregator misses its deadline and nobody takes over, anyone may abort the job in")
    expect(later).to_be_visible()
    forward(market, 1202)
    page.reload()  # the chain's time jumped, which this page would learn with its next block
    expect(page.get_by_text("Another aggregator may take over until")).to_be_visible()
    expect(later).to_be_visible()
    check_axe(page)
    before = chain.credit(RESCUER.address, ZERO_ADDRESS)
    chain.take_over(RESCUER, job, RESCUER.address, KEY)
    expect(page.get_by_text("Taken over in round 1")).to_be_visible()
    expect(page.get_by_text("Another aggregator may take over until")).to_have_count(0)
    expect(page.get_by_role("button", name="taken over by another aggregator")).to_be_visible()
    expect(page.get_by_text("1 update is to be delivered again, to the aggregator that took over")).to_be_visible()
    expect(page.get_by_text("Still to come: seat 0.")).to_be_visible()
    check_axe(page)
    chain.publish_key(RESCUER, job, "bafykey2")
    chain.redeliver(COUPLE[0], job, 1, "bafyupdate2")
    chain.void_round(RESCUER, job, 1, 0b01)
    expect(page.get_by_text("the update of seat 0 did not open")).to_be_visible()
    expect(page.get_by_text("Still to come: seat 0.")).to_be_visible()
    expect(page.get_by_text("If no update is delivered again, anyone may skip this round in")).to_be_visible()
    expect(page.get_by_role("button", name="void since updates did not open")).to_be_visible()
    check_axe(page)
    chain.redeliver(COUPLE[0], job, 1, "bafyagain")
    expect(page.get_by_role("region", name="Delivered again").get_by_role("row")).to_have_count(2)
    expect(page.get_by_text("The aggregator judges 1 submission;")).to_be_visible()
    check_axe(page)
    chain.settle_round(RESCUER, job, 1, *settlement(0b01, (1,), submitted=0b01))
    expect(state(page)).to_have_text("confirming")
    expect(page.get_by_text("trainers check the last sum", exact=True)).to_be_visible()
    expect(page.get_by_text("Anyone may complete the job, so that its pot is divided, in")).to_be_visible()
    expect(page.get_by_text("Then the job is completed: its pot is divided")).to_be_visible()
    check_axe(page)
    forward(market, 601)
    press_exit(visit, market, job, "Complete the job")
    expect(state(page)).to_have_text("completed")
    assert chain.credit(RESCUER.address, ZERO_ADDRESS) - before == 77 * ETHER // 100  # its bond, and the fee
    before = chain.credit(COUPLE[1].address, ZERO_ADDRESS)
    expect(button(page, "Claim for seat 0 with a wallet")).to_be_visible()
    check_axe(page)
    press_exit(visit, market, job, "Claim for seat 1")
    assert chain.credit(COUPLE[1].address, ZERO_ADDRESS) - before == ETHER // 4


def test_an_owner_starts_its_job_at_once_and_asks_for_its_end_and_nobody_else_is_offered_either(
    visit: Visit, market: Up, wallet: Wallet
) -> None:
    chain = Market(Connection(market.rpc), market.market)
    page = visit(market, wallet)
    job = create_job(page, **OTHERS, Rounds="3", Minimum_rounds="2", Stake="0.25", Start_delay="1 h")
    chain.accept_aggregation(AGGREGATOR, job, AGGREGATOR.address, KEY)
    chain.join(TRAINER, job, TRAINER.address, KEY)
    expect(page.get_by_text("its owner can start it now, anybody at")).to_be_visible()
    hurried = visit(market, path=f"/job/{job}", token=False)
    expect(hurried.get_by_text("Anyone may start the job in")).to_be_visible()
    expect(hurried.get_by_role("button", name="Start the job")).to_have_count(0)
    check_axe(page)
    button(page, "Start the job with your wallet").click()
    expect(state(page)).to_have_text("running")
    expect(page.get_by_text("As the owner you can ask that the job end with the next settlement")).to_be_visible()
    check_axe(page)
    stranger = visit(market, path=f"/job/{job}", token=False)
    expect(state(stranger)).to_have_text("running")
    expect(stranger.get_by_role("button", name="Ask for the end")).to_have_count(0)
    button(page, "Ask for the end with your wallet").click()
    for seen in (page, stranger):
        expect(seen.get_by_text("the job ends once round 2, or one after it, is settled")).to_be_visible()
    assert chain.job(job).end_asked


def test_a_trainer_disputes_with_its_wallet_after_being_asked_and_bond_and_fee_are_nobody_s(
    visit: Visit, market: Up, wallet: Wallet
) -> None:
    connection = Connection(market.rpc)
    chain = Market(connection, market.market)
    job = create_job(visit(market, wallet), **OTHERS, Rounds="3", Stake="0.1", Bond="0.75")
    chain.accept_aggregation(AGGREGATOR, job, AGGREGATOR.address, KEY)
    trainer = Wallet(market.rpc, account(700)).hold(ETHER)
    data = "0x" + abi.encode_call("join", (job, to_checksum_address(trainer.account), KEY, b"")).hex()
    stake = hex(ETHER // 10)
    joined = trainer.ask(
        "eth_sendTransaction", {"from": trainer.account, "to": market.market, "data": data, "value": stake}
    )
    until(lambda: trainer.ask("eth_getTransactionReceipt", joined), "it has joined")
    chain.start(AGGREGATOR, job)
    page = visit(market, trainer, path=f"/job/{job}", token=False)
    expect(state(page)).to_have_text("running")
    page.get_by_role("navigation").get_by_role("link", name="My pay", exact=True).click()
    connect(page)
    page.go_back()
    expect(page.get_by_text("If the aggregator misses its deadline, anyone may abort the job in")).to_be_visible()
    expect(button(page, "Dispute it")).to_have_count(0)
    chain.publish_key(AGGREGATOR, job, "bafykey")
    button(page, "Dispute it").click()
    expect(page.get_by_text("It is final. At 1 dispute the aggregator's bond is burnt")).to_be_visible()
    expect(page.get_by_text("only if you know that the job key cannot be fetched")).to_be_visible()
    check_axe(page)
    button(page, "Do not dispute").click()
    assert trainer.sent == []
    button(page, "Dispute it").click()
    button(page, "Dispute for good").click()
    expect(state(page)).to_have_text("aborted")
    expect(page.get_by_text("Bond and fees are burnt: nobody gains by lying")).to_be_visible()
    check_axe(page)
    page.get_by_role("link", name="nobody", exact=True).click()
    expect(page.get_by_role("heading", name="Burnt", exact=True)).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="burnt").filter(has_text="0.75 ether")).to_have_count(1)
    expect(page.get_by_role("button", name="Withdraw")).to_have_count(0)
    check_axe(page)
