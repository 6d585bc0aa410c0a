"""The market's adapter against real chains: every call, every read, and what a person is told when one is refused."""

import pytest

from marketplace.chain import abi
from marketplace.chain.events import EventReader
from marketplace.chain.market import Market
from marketplace.domain import (
    ZERO_ADDRESS,
    Claimed,
    Credited,
    Joined,
    Reason,
    Redelivered,
    Revealed,
    RoundSettled,
    RoundVoided,
    RowsDisputed,
    Rule,
    State,
    UpdateSubmitted,
)
from marketplace.errors import ChainError, InputError, NotFound, Reverted
from tests.chain_fixtures import (
    AGGREGATOR,
    FIVE,
    KEY,
    ONE_FAULTY,
    OWNER,
    PEOPLE,
    TRAINERS,
    Chain,
    commitment,
    new_token,
    running_job,
    settlement,
    terms,
)
from tests.patience import PATIENCE

pytest_plugins = ["tests.chain_fixtures"]


def test_a_job_runs_from_escrow_to_withdrawal(any_chain: Chain) -> None:
    market, job_id = any_chain.market, running_job(any_chain)
    for round_ in (1, 2):
        for slot, trainer in enumerate(TRAINERS):
            market.submit_update(trainer, job_id, round_, commitment(round_, slot), f"bafy{round_}{slot}")
        (voided,) = market.void_round(AGGREGATOR, job_id, round_, 0b100).events
        assert isinstance(voided, RoundVoided)
        job = market.job(job_id)
        assert (voided.unopened, voided.deliver_by, voided.settle_by) == (0b100, job.submit_by, job.settle_by)
        assert (job.delivered, job.complete, job.voids) == (0b011, False, round_)
        (again,) = market.redeliver(TRAINERS[2], job_id, round_, f"bafyagain{round_}").events
        assert isinstance(again, Redelivered)
        assert (again.round, again.slot, again.cid) == (round_, 2, f"bafyagain{round_}")
        judged = settlement(0b011, (3, 1), submitted=0b111, round_=round_)
        receipt = market.settle_round(AGGREGATOR, job_id, round_, *judged)
        settled = receipt.events[0]
        assert isinstance(settled, RoundSettled)
        assert (settled.submitted, settled.settlement.scores) == (0b111, (3, 1))
    job = market.job(job_id)
    assert (job.state, job.outcome, job.escrow) == (State.CONFIRMING, State.COMPLETED, 2_140_000)
    assert (job.members, job.settled, job.earned) == (0b111, 2, 2 * 2**64)
    who = market.trainer(job_id, 0)
    assert who is not None
    assert (who.balance, who.staked) == (2 * 2**64 * 3 // 4, True)
    any_chain.forward(601)
    market.complete(PEOPLE[9], job_id)
    job = market.job(job_id)
    assert (job.state, job.pot, job.escrow) == (State.COMPLETED, 2_000_000, 2_000_000)
    for slot in (1, 2, 0):
        (claimed, *_) = market.claim(PEOPLE[9], job_id, slot).events
        assert isinstance(claimed, Claimed)
        assert (claimed.slot, claimed.stake, claimed.slashed) == (slot, 500_000, 0)
    assert market.job(job_id).escrow == 0
    assert market.credit(TRAINERS[0].address, ZERO_ADDRESS) == 1_500_000 + 500_000
    assert market.credit(TRAINERS[2].address, ZERO_ADDRESS) == 500_000
    assert market.credit(AGGREGATOR.address, ZERO_ADDRESS) == 2 * 70_000 + 900_000
    assert market.commitment(job_id, 1) == commitment(2, 1)
    assert market.commitment(job_id, 3) == bytes(32)

    before = market.balance(ZERO_ADDRESS, TRAINERS[0].address)
    receipt = market.withdraw(TRAINERS[0], ZERO_ADDRESS)
    after = market.balance(ZERO_ADDRESS, TRAINERS[0].address)
    assert after - before == 2_000_000 - receipt.gas_used * receipt.gas_price
    market.reveal_validation(OWNER, job_id, "bafydata")


def test_an_owner_ends_a_job_early_and_an_aggregator_that_lost_it_claims_its_fees(any_chain: Chain) -> None:
    market = any_chain.market
    job_id = running_job(any_chain, rounds=5, min_rounds=1, takeover_window=900)
    for slot, trainer in enumerate(TRAINERS):
        market.submit_update(trainer, job_id, 1, commitment(1, slot), "bafy")
    market.settle_round(AGGREGATOR, job_id, 1, *settlement(0b111, (1, 1, 1), submitted=0b111))
    for slot, trainer in enumerate(TRAINERS):
        market.submit_update(trainer, job_id, 2, commitment(2, slot), "bafy")
    any_chain.forward(1201)
    market.take_over(PEOPLE[8], job_id, PEOPLE[8].address, KEY)
    market.publish_key(PEOPLE[8], job_id, "bafykey")
    market.ask_end(OWNER, job_id)
    assert market.job(job_id).end_asked
    with pytest.raises(Reverted, match="closed at"):
        market.submit_update(TRAINERS[0], job_id, 2, commitment(2, 0), "bafy")
    for trainer in TRAINERS:
        market.redeliver(trainer, job_id, 2, "bafyagain")
    market.settle_round(PEOPLE[8], job_id, 2, *settlement(0b111, (1, 1, 1), submitted=0b111, round_=2))
    any_chain.forward(601)
    market.complete(OWNER, job_id)
    assert market.job(job_id).state is State.COMPLETED
    market.claim_fees(PEOPLE[9], job_id, AGGREGATOR.address)
    assert market.credit(AGGREGATOR.address, ZERO_ADDRESS) == 70_000
    assert market.credit(PEOPLE[8].address, ZERO_ADDRESS) == 70_000 + 900_000
    with pytest.raises(Reverted, match=f"{AGGREGATOR.address}"):
        market.claim_fees(PEOPLE[9], job_id, AGGREGATOR.address)


def test_the_rows_that_points_rest_on_are_revealed_and_disputed(any_chain: Chain) -> None:
    market = any_chain.market
    job_id = running_job(any_chain, FIVE, rule=Rule.REFERENCE, rounds=1, reveal_window=300, **ONE_FAULTY)
    for slot, trainer in enumerate(FIVE):
        market.submit_update(trainer, job_id, 1, commitment(1, slot), "bafy")
    judged = settlement(0b11111, (1,) * 5, submitted=0b11111, rule=Rule.REFERENCE)
    market.settle_round(AGGREGATOR, job_id, 1, *judged)
    (revealed,) = market.reveal(AGGREGATOR, job_id, "bafydata").events
    assert isinstance(revealed, Revealed)
    assert (revealed.sender, revealed.cid) == (AGGREGATOR.address, "bafydata")
    with pytest.raises(Reverted, match="can be revealed until"):
        market.dispute_rows(TRAINERS[0], job_id, 0)
    (disputed,) = market.dispute_rows(TRAINERS[0], job_id, 1).events
    assert isinstance(disputed, RowsDisputed)
    assert (disputed.round, disputed.slot) == (1, 0)
    any_chain.forward(301)
    with pytest.raises(Reverted, match=r"time to reveal .* ended at"):
        market.reveal(OWNER, job_id, "bafydata")
    market.dispute_rows(TRAINERS[2], job_id, 0)
    job = market.job(job_id)
    assert (job.disputed_rows, job.rows_disputed, job.own_rows_disputed, job.bonded) == (True, 0b101, 0b101, False)


def test_reads_give_the_domain_s_values(chain: Chain) -> None:
    market = chain.market
    wanted = terms(chain, aggregator=AGGREGATOR.address)
    job_id, receipt = market.create_job(OWNER, wanted, KEY, "bafyspec")
    assert market.job_count() == job_id
    assert market.terms(job_id) == wanted
    assert market.job(job_id).owner == OWNER.address
    assert market.trainer(job_id, 0) is None
    slot, joined = market.join(TRAINERS[0], job_id, PEOPLE[9].address, KEY)
    who = market.trainer(job_id, slot)
    assert who is not None
    assert (who.operator, who.payee, who.missed, who.strikes) == (TRAINERS[0].address, PEOPLE[9].address, 0, 0)
    assert isinstance(joined.events[0], Joined)
    assert joined.events[0].payee == PEOPLE[9].address
    assert receipt.block < joined.block


def test_each_refusal_is_one_sentence_with_its_values(any_chain: Chain) -> None:
    market, job_id = any_chain.market, running_job(any_chain)
    with pytest.raises(
        Reverted, match=rf"^Job {job_id} is running; this can be done only while it is open\.$"
    ) as caught:
        market.join(PEOPLE[7], job_id, PEOPLE[7].address, KEY)
    assert caught.value.name == "WrongState"
    assert caught.value.values == {"jobId": job_id, "actual": State.RUNNING, "required": State.OPEN}
    with pytest.raises(Reverted, match=f"{PEOPLE[7].address} is not the aggregator of job {job_id}"):
        market.settle_round(PEOPLE[7], job_id, 1, *settlement(1, (1,), submitted=1))
    with pytest.raises(Reverted, match=r"open until 2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d UTC"):
        market.skip_round(PEOPLE[7], job_id)
    market.submit_update(TRAINERS[0], job_id, 1, commitment(1), "bafy")
    with pytest.raises(Reverted, match=rf"Seat 0 has already submitted its update of round 1 of job {job_id}"):
        market.submit_update(TRAINERS[0], job_id, 1, commitment(2), "bafy")


def test_a_full_job_says_so(chain: Chain) -> None:
    job_id, _ = chain.market.create_job(OWNER, terms(chain, max_trainers=1, min_trainers=1, max_faulty=0), KEY, "bafy")
    chain.market.join(TRAINERS[0], job_id, TRAINERS[0].address, KEY)
    with pytest.raises(Reverted, match=rf"^Job {job_id} is full: it has all of its 1 trainers\.$"):
        chain.market.join(TRAINERS[1], job_id, TRAINERS[1].address, KEY)


def test_deadlines_are_judged_by_the_time_that_now_says(any_chain: Chain) -> None:
    """On an idle chain no block was mined since before the deadline: the simulation must not judge by the last one."""
    market, job_id = any_chain.market, running_job(any_chain)
    submit_by = market.job(job_id).submit_by
    assert any_chain.connection.now() <= submit_by
    any_chain.connection.request("evm_increaseTime", 601)
    assert submit_by < any_chain.connection.now() < submit_by + 60
    market.skip_round(PEOPLE[8], job_id)
    assert market.job(job_id).round == 2


def test_a_job_that_is_not_there_is_not_found(chain: Chain) -> None:
    for read in (chain.market.job, chain.market.terms):
        with pytest.raises(NotFound, match="There is no job 77"):
            read(77)
    with pytest.raises(Reverted, match="There is no job 77") as caught:
        chain.market.start(OWNER, 77)
    assert caught.value.name == "NoSuchJob"


def test_too_little_coin_is_said_before_anything_is_sent(chain: Chain) -> None:
    poor = PEOPLE[9]
    chain.connection.request("anvil_setBalance", poor.address, hex(10**15))
    rich_terms = terms(chain, reward=10**18, rounds=1)
    with pytest.raises(ChainError, match=r"holds 0\.001 ether, and 1\.00000000000007 ether are needed"):
        chain.market.create_job(poor, rich_terms, KEY, "bafy")
    chain.connection.request("anvil_setBalance", poor.address, hex(1_070_001))
    with pytest.raises(ChainError, match="of them for gas at most"):
        chain.market.create_job(poor, terms(chain, rounds=1), KEY, "bafy")
    assert chain.connection.ask(lambda eth: eth.get_transaction_count(poor.address)) == 0


def test_tokens_are_taken_by_an_allowance_of_just_what_is_needed(chain: Chain) -> None:
    token = new_token(chain)
    token.send("mint(address,uint256)", OWNER.address, 5_000_000)
    with pytest.raises(ChainError, match=r"holds 5000000 units of the token .* and 21400000 are needed"):
        chain.market.create_job(OWNER, terms(chain, token=token.address, rounds=20), KEY, "bafy")
    job_id, _ = chain.market.create_job(OWNER, terms(chain, token=token.address), KEY, "bafy")
    assert chain.market.balance(token.address) == 2_140_000
    assert chain.market.balance(token.address, OWNER.address) == 5_000_000 - 2_140_000
    assert (
        chain.market._token_read(token.address, "allowance(address,address)", OWNER.address, chain.market.address) == 0
    )
    chain.market.cancel(OWNER, job_id)
    chain.market.withdraw(OWNER, token.address)
    assert chain.market.balance(token.address, OWNER.address) == 5_000_000


def test_a_token_that_changes_allowances_only_from_zero_is_taken(chain: Chain) -> None:
    token = new_token(chain, "StubbornToken")
    token.send("mint(address,uint256)", OWNER.address, 5_000_000)
    token.send("approve(address,uint256)", chain.market.address, 1, signer=OWNER)
    chain.market.create_job(OWNER, terms(chain, token=token.address), KEY, "bafy")
    assert chain.market.balance(token.address) == 2_140_000


def test_an_account_that_is_no_token_is_refused(chain: Chain) -> None:
    with pytest.raises(ChainError, match="as an ERC-20 token cannot be decoded"):
        chain.market.create_job(OWNER, terms(chain, token=PEOPLE[9].address), KEY, "bafy")


def test_a_token_that_keeps_a_fee_is_refused_by_name(chain: Chain) -> None:
    token = new_token(chain, "OddToken")
    token.send("mint(address,uint256)", OWNER.address, 5_000_000)
    token.send("set(uint8)", 1)
    with pytest.raises(Reverted, match="delivered 2139999 of 2140000 units") as caught:
        chain.market.create_job(OWNER, terms(chain, token=token.address), KEY, "bafy")
    assert caught.value.name == "FeeOnTransfer"


def test_values_that_do_not_fit_are_refused_before_the_chain(chain: Chain) -> None:
    with pytest.raises(InputError, match="createJob cannot take these values"):
        chain.market.create_job(OWNER, terms(chain, reward=2**128), KEY, "bafy")
    with pytest.raises(InputError, match="encryptionKey needs 32 bytes, and got 31"):
        chain.market.create_job(OWNER, terms(chain), KEY[1:], "bafy")
    with pytest.raises(InputError, match="is not an address"):
        Market(chain.connection, "0x1234")


def test_only_the_market_s_own_code_is_taken_for_a_market(chain: Chain) -> None:
    """A contract with the same functions could keep the money: its code differs, and that is enough to refuse it."""
    with pytest.raises(ChainError, match="there is no contract"):
        Market(chain.connection, PEOPLE[9].address)
    genuine = bytearray.fromhex(abi.artifact()["deployedBytecode"][2:])
    genuine[-1] ^= 1
    chain.connection.request("anvil_setCode", PEOPLE[9].address, "0x" + genuine.hex())
    with pytest.raises(ChainError, match="another contract, or another version"):
        Market(chain.connection, PEOPLE[9].address)


def test_events_of_one_job_leave_out_the_others(any_chain: Chain) -> None:
    market = any_chain.market
    first, _ = market.create_job(OWNER, terms(any_chain), KEY, "bafy1")
    second, _ = market.create_job(OWNER, terms(any_chain), KEY, "bafy2")
    market.cancel(OWNER, first)
    market.withdraw(OWNER, ZERO_ADDRESS)
    assert {e.job_id for e in any_chain.events(first)} == {first}
    assert [type(e).__name__ for e in any_chain.events(first)] == ["JobCreated", "Credited", "Ended"]
    assert [type(e).__name__ for e in any_chain.events(second)] == ["JobCreated"]
    everything = any_chain.events()
    assert len(everything) == 5
    assert everything == sorted(everything, key=lambda e: (e.block, e.log_index))
    credited = everything[2]
    assert isinstance(credited, Credited)
    assert (credited.reason, credited.amount) == (Reason.REFUND, 2_140_000)


def test_reading_goes_on_where_it_stopped(chain: Chain) -> None:
    reader = EventReader(chain.connection, chain.market.address, chain.first_block)
    seen, following = reader.read()
    assert seen == []
    for _ in range(3):
        chain.market.create_job(OWNER, terms(chain), KEY, "bafy")
        more, following = reader.read(following)
        seen += more
    assert seen == chain.events()
    assert len(seen) == 3
    assert reader.read(following) == ([], following)


def test_a_cid_that_is_no_text_spoils_only_itself(chain: Chain) -> None:
    """Any trainer can submit bytes that are no UTF-8 as its CID; everybody must still be able to read the job."""
    job_id = running_job(chain)
    call = bytearray(abi.encode_call("submitUpdate", (job_id, 1, commitment(1), "bafyXX")))
    position = bytes(call).index(b"bafyXX")
    call[position : position + 6] = b"\xff\xfe\xc3\x28\xed\xa0"
    trainer = TRAINERS[0]
    from marketplace.chain.transactions import transact

    transact(chain.connection, trainer, chain.market.address, bytes(call), wait=PATIENCE)
    (submitted,) = (e for e in chain.events(job_id) if isinstance(e, UpdateSubmitted))
    assert submitted.cid == r"\xff\xfe\xc3(\xed\xa0"
    submitted.cid.encode("ascii")
