"""withdraw, and what hostile tokens and payees try: docs/security/job-market.tree."""

import pytest
from brownie import ZERO_ADDRESS, Actor, HookedToken, OddToken, accounts
from brownie.exceptions import VirtualMachineError
from world import ABORTED, CID, KEY, NO_TICKET, World, move_to, refuses

HONEST, TAKES_FEE, ADDS_GIFT, RETURNS_FALSE, RETURNS_NOTHING, DRAINS_RECEIVER = range(6)
REENTERED = "0x3ee5aeb5"  # ReentrancyGuardReentrantCall()


def cancelled_with_one_trainer(world):
    """Credits: the owner 3300, the aggregator's payee 700, trainer 0's payee 501."""
    job = world.enrolled(1)
    world.market.cancel(job, {"from": world.owner})
    world.claim(job, 0)
    return job


# ------------------------------------------------------------------ honest withdrawals


def test_a_payee_withdraws_all_its_credit_of_all_jobs_at_once(world):
    cancelled_with_one_trainer(world)
    cancelled_with_one_trainer(world)
    payee = world.payee(0)
    before = payee.balance() if world.in_coin else world.token.balanceOf(payee)
    tx = world.market.withdraw(world.currency, {"from": payee})
    event = tx.events["Withdrawn"]
    assert (event["payee"], event["token"], event["amount"]) == (payee, world.currency, 1002)
    after = payee.balance() if world.in_coin else world.token.balanceOf(payee)
    assert after - before == 1002
    assert world.credit(payee) == 0
    assert world.balance() == 2 * 4000
    with refuses("NothingToWithdraw", payee, world.currency):
        world.market.withdraw(world.currency, {"from": payee})


def test_a_credit_in_one_token_is_none_in_another(deployed, fn_isolation):
    coin, token = World(*deployed, in_coin=True), World(*deployed, in_coin=False)
    cancelled_with_one_trainer(coin)
    token.enrolled(1)
    with refuses("NothingToWithdraw", coin.owner, token.currency):
        coin.market.withdraw(token.currency, {"from": coin.owner})
    coin.market.withdraw(ZERO_ADDRESS, {"from": coin.owner})
    assert token.balance() == 3300 + 700 + 501


def test_the_operator_cannot_withdraw_what_its_payee_was_credited(world):
    cancelled_with_one_trainer(world)
    with refuses("NothingToWithdraw", world.operator(0), world.currency):
        world.market.withdraw(world.currency, {"from": world.operator(0)})


# ------------------------------------------------------------------ hostile payees


def test_a_payee_that_refuses_the_coin_blocks_nobody_but_itself(coin_world):
    market = coin_world.market
    actor = Actor.deploy({"from": coin_world.stranger})
    job = coin_world.create()
    coin_world.accept(job)
    market.join(job, actor, KEY, NO_TICKET, {"from": coin_world.operator(0), "value": 501})
    coin_world.join(job, 1)
    actor.refuse(True, {"from": coin_world.stranger})
    market.cancel(job, {"from": coin_world.owner})
    coin_world.claim_all(job)
    with refuses("CoinTransferFailed", actor, 501):
        actor.execute(market, market.withdraw.encode_input(ZERO_ADDRESS), {"from": coin_world.stranger})
    assert market.credit(actor, ZERO_ADDRESS) == 501
    market.withdraw(ZERO_ADDRESS, {"from": coin_world.payee(1)})
    actor.refuse(False, {"from": coin_world.stranger})
    actor.execute(market, market.withdraw.encode_input(ZERO_ADDRESS), {"from": coin_world.stranger})
    assert actor.balance() == 501


def test_a_payee_that_withdraws_again_while_it_is_paid_gets_nothing_more(coin_world):
    market = coin_world.market
    actor = Actor.deploy({"from": coin_world.stranger})
    job = coin_world.enrolled(3)
    market.join(job, actor, KEY, NO_TICKET, {"from": coin_world.operator(3), "value": 501})
    market.leave(job, {"from": coin_world.operator(3)})
    again = market.withdraw.encode_input(ZERO_ADDRESS)
    actor.prepare(market, again, {"from": coin_world.stranger})
    actor.execute(market, again, {"from": coin_world.stranger})
    assert actor.reacted()
    assert not actor.succeeded()
    assert actor.answer() == REENTERED
    assert actor.balance() == 501
    assert coin_world.balance() == 3300 + 700 + 3 * 501


# ------------------------------------------------------------------ hostile tokens


@pytest.fixture
def odd(deployed, fn_isolation):
    """A world whose token can be made to misbehave; the market holds 5 of it from elsewhere."""
    token = OddToken.deploy({"from": accounts[0]})
    world = World(deployed[0], token, deployed[2], in_coin=False)
    for account in (world.owner, world.aggregator, world.operator(0), world.operator(1)):
        token.mint(account, 10**9, {"from": account})
        token.approve(world.market, 2**256 - 1, {"from": account})
    token.mint(world.market, 5, {"from": world.owner})
    return world


@pytest.mark.parametrize(("mode", "received"), [(TAKES_FEE, -1), (ADDS_GIFT, 1), (DRAINS_RECEIVER, None)])
def test_a_token_that_does_not_bring_exactly_the_amount_is_refused(odd, mode, received):
    def arrived(amount):
        return 0 if received is None else amount + received

    failed, job = odd.failed(0, trainers=2), odd.create()
    before = odd.balance()
    odd.token.set(mode, {"from": odd.stranger})
    with refuses("FeeOnTransfer", odd.token, arrived(3300), 3300):
        odd.create()
    with refuses("FeeOnTransfer", odd.token, arrived(700), 700):
        odd.accept(job)
    with refuses("FeeOnTransfer", odd.token, arrived(501), 501):
        odd.join(job, 0)
    with refuses("FeeOnTransfer", odd.token, arrived(700), 700):
        odd.take_over(failed, sender=odd.owner)
    held = odd.market.job(job)
    assert (held["aggregator"], held["active"]) == (ZERO_ADDRESS, 0)
    assert odd.market.job(failed)["aggregator"] == odd.aggregator
    assert odd.balance() == before


def test_a_token_that_returns_false_moves_nothing_and_keeps_the_credit(odd):
    cancelled_with_one_trainer(odd)
    odd.token.set(RETURNS_FALSE, {"from": odd.stranger})
    with refuses("SafeERC20FailedOperation", odd.token):
        odd.create()
    with refuses("SafeERC20FailedOperation", odd.token):
        odd.market.withdraw(odd.currency, {"from": odd.owner})
    assert odd.credit(odd.owner) == 3300


def test_a_token_that_returns_nothing_works(odd):
    odd.token.set(RETURNS_NOTHING, {"from": odd.stranger})
    cancelled_with_one_trainer(odd)
    odd.market.withdraw(odd.currency, {"from": odd.owner})
    assert odd.balance() == 5 + 700 + 501


def test_nothing_to_pay_asks_nothing_of_the_token(odd):
    odd.token.set(RETURNS_FALSE, {"from": odd.stranger})
    job = odd.enrolled(2, reward=0, fee=0, stake=0, bond=0)
    assert odd.market.job(job)["active"] == 3


def test_without_allowance_or_balance_nobody_enrols(deployed, fn_isolation):
    world = World(*deployed, in_coin=False)
    job = world.create()
    world.token.approve(world.market, 500, {"from": world.operator(0)})
    with refuses("ERC20InsufficientAllowance", world.market, 500, 501):
        world.join(job, 0)
    world.token.transfer(world.stranger, 10**30 - 500, {"from": world.operator(1)})
    with refuses("ERC20InsufficientBalance", world.operator(1), 500, 501):
        world.join(job, 1)
    assert world.market.job(job)["active"] == 0


@pytest.fixture
def hooked(deployed, fn_isolation):
    """A world whose token tells an actor of each transfer before anything moves; the actor also trains and is paid."""
    token = HookedToken.deploy({"from": accounts[0]})
    world = World(deployed[0], token, deployed[2], in_coin=False)
    world.actor = Actor.deploy({"from": accounts[0]})
    for account in (world.owner, world.aggregator, world.operator(0)):
        token.mint(account, 10**9, {"from": account})
        token.approve(world.market, 2**256 - 1, {"from": account})
    token.mint(world.actor, 501, {"from": world.owner})
    approve = token.approve.encode_input(world.market, 2**256 - 1)
    world.actor.execute(token, approve, {"from": world.owner})
    return world


def listen(world, calldata):
    world.actor.prepare(world.market, calldata, {"from": world.stranger})
    world.token.tell(world.actor, {"from": world.stranger})


def test_one_deposit_cannot_be_counted_twice(hooked):
    """Without the guard the inner deposit would also raise the balance that the outer one is measured by."""
    market = hooked.market
    failed = hooked.failed(0, trainers=1, minTrainers=1)
    job = hooked.create()
    before = hooked.balance()
    outer = [hooked.accept, lambda job: hooked.create(), lambda job: hooked.create(), hooked.take_over]
    hooked.taker = hooked.owner
    inner = [
        market.createJob.encode_input(hooked.terms(), KEY, CID),
        market.acceptAggregation.encode_input(job, hooked.actor, KEY),
        market.takeOver.encode_input(failed, hooked.actor, KEY),
        market.join.encode_input(job, hooked.actor, KEY, NO_TICKET),
    ]
    for deposit, calldata in zip(outer, inner, strict=True):
        listen(hooked, calldata)
        deposit(failed if deposit == hooked.take_over else job)
        assert hooked.actor.reacted()
        assert not hooked.actor.succeeded()
        assert hooked.actor.answer() == REENTERED
    assert hooked.balance() == before + 2 * 3300 + 2 * 700


def test_a_bond_that_comes_back_from_within_its_own_deposit_is_still_paid(hooked):
    """Who takes over is the only trainer, and leaves from within: that ends the job."""
    market, actor = hooked.market, hooked.actor
    job = hooked.create(minTrainers=1, takeoverWindow=30)
    hooked.accept(job)
    sender = {"from": hooked.stranger}
    hooked.actor.execute(market, market.join.encode_input(job, actor, KEY, NO_TICKET), sender)
    move_to(hooked.term(job, "enrolBy") + 1)
    market.start(job, sender)
    hooked.past_submitting(job)  # without a key, so that the round opens anew
    listen(hooked, market.leave.encode_input(job))
    with refuses("ERC20InsufficientBalance", actor, 0, 700):
        actor.execute(market, market.takeOver.encode_input(job, actor, KEY), sender)
    hooked.token.mint(actor, 700, sender)
    listen(hooked, market.leave.encode_input(job))
    before = hooked.balance()
    actor.execute(market, market.takeOver.encode_input(job, actor, KEY), sender)
    assert actor.succeeded()
    assert market.job(job)["state"] == ABORTED
    assert hooked.balance() == before + 700 == hooked.credit(actor) + hooked.credit(hooked.owner)
    assert hooked.credit(actor) == 700 + 700 + 501


def test_a_stake_cannot_be_withdrawn_before_it_is_paid(hooked):
    market = hooked.market
    job = hooked.create()
    hooked.accept(job)
    market.cancel(hooked.create(), {"from": hooked.owner})
    listen(hooked, market.withdraw.encode_input(hooked.currency))
    hooked.actor.execute(market, market.join.encode_input(job, hooked.actor, KEY, NO_TICKET), {"from": hooked.stranger})
    assert hooked.actor.reacted()
    assert hooked.actor.answer() == REENTERED
    assert hooked.balance() == 2 * 3300 + 700 + 501


def test_leaving_from_within_ones_own_deposit_gains_nothing(hooked):
    market = hooked.market
    job = hooked.create()
    hooked.accept(job)
    listen(hooked, market.leave.encode_input(job))
    hooked.actor.execute(market, market.join.encode_input(job, hooked.actor, KEY, NO_TICKET), {"from": hooked.stranger})
    assert hooked.actor.succeeded()
    assert market.job(job)["active"] == 0
    assert hooked.credit(hooked.actor) == 501
    assert hooked.balance() == 3300 + 700 + 501


def test_a_withdrawal_cannot_be_repeated_from_within_the_token(hooked):
    market = hooked.market
    job = hooked.create()
    hooked.actor.execute(market, market.join.encode_input(job, hooked.actor, KEY, NO_TICKET), {"from": hooked.stranger})
    hooked.actor.execute(market, market.leave.encode_input(job), {"from": hooked.stranger})
    withdraw = market.withdraw.encode_input(hooked.currency)
    listen(hooked, withdraw)
    hooked.actor.execute(market, withdraw, {"from": hooked.stranger})
    assert hooked.actor.reacted()
    assert hooked.actor.answer() == REENTERED
    assert hooked.token.balanceOf(hooked.actor) == 501
    assert hooked.balance() == 3300


def test_the_market_takes_no_coin_that_nobody_owes(coin_world):
    with pytest.raises((VirtualMachineError, ValueError)):
        coin_world.stranger.transfer(coin_world.market, 1)
    assert coin_world.balance() == 0
