"""What each call costs, held to gas.json to one part in a hundred; run with -s to see the table.

A change that costs more, or less, is to be seen in a diff. To take over what is measured:

    MERIT_RENEW=1 SOLCX_BINARY_PATH=scripts/solc .venv-brownie/bin/python -m pytest -c tests/contracts/pytest.ini tests/contracts/test_gas.py

Jobs are in the chain's coin. Stubs verify: what proofs cost beside this is in tests/unit/test_settlement_gas.py, where
their random blinders make each figure a little different.
"""  # noqa: E501

import json
import os
from pathlib import Path

from brownie import history
from world import CID, GATE, commitment, mask, move_to, now

TABLE = Path(__file__).with_name("gas.json")
TOLERATED = 100  # a difference of one part in so many
EIGHT = 8
MOST = 32
OF_EIGHT = {"minTrainers": 5, "maxTrainers": EIGHT, "maxFaulty": 1}
OF_MOST = {"minTrainers": 5, "maxTrainers": MOST, "maxFaulty": 1}


class Meter:
    """The gas of the last transaction, by name."""

    def __init__(self):
        self.measured = {}

    def note(self, call):
        assert call not in self.measured
        self.measured[call] = history[-1].gas_used

    def compare(self):
        """Each figure against its row of the table; other tests' rows are left alone."""
        table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
        print("\n" + "\n".join(f"{call:34}{gas:>10,}" for call, gas in self.measured.items()))
        if os.environ.get("MERIT_RENEW"):
            TABLE.write_text(json.dumps(table | self.measured, indent=1, sort_keys=True) + "\n")
            return
        wrong = {
            call: f"{gas:,}, was {table.get(call, 0):,}"
            for call, gas in self.measured.items()
            if abs(gas - table.get(call, 0)) * TOLERATED > gas
        }
        assert wrong == {}, f"gas changed; if that is meant, renew {TABLE.name} as this file's first lines say"


def judged(world, job, trainers):
    """Everybody is selected, each with another score."""
    world.settle(job, mask(*trainers), scores=[2**60 + i for i in trainers])


def test_every_call_costs_what_the_table_says(coin_world):
    world, market, meter = coin_world, coin_world.market, Meter()
    trainers = range(EIGHT)
    job = world.create(**OF_EIGHT, rounds=5, reward=10**18, stake=10**17)
    meter.note("createJob")
    world.accept(job)
    meter.note("acceptAggregation")
    for i in trainers:
        world.join(job, i)
    meter.note("join")
    gated = world.create(gate=GATE.address)
    world.join(gated, 0)
    world.join(gated, 1)
    meter.note("join, by a ticket")
    market.start(job, {"from": world.stranger})
    meter.note("start")
    market.publishKey(job, CID, {"from": world.aggregator})
    meter.note("publishKey")
    world.submit(job, *trainers)
    meter.note("submitUpdate")
    market.announceSum(job, 1, mask(*trainers), commitment(3), CID, {"from": world.aggregator})
    meter.note("announceSum")
    judged(world, job, trainers)
    meter.note("settleRound, the first")
    world.submit(job, *trainers)
    judged(world, job, trainers)
    meter.note("settleRound")
    world.submit(job, *trainers[:-1])
    world.past_submitting(job)
    judged(world, job, trainers[:-1])
    meter.note("settleRound, one missing")
    world.past_submitting(job)
    market.skipRound(job, {"from": world.stranger})
    meter.note("skipRound, one ejected")
    market.leave(job, {"from": world.operator(6)})
    meter.note("leave")
    market.askEnd(job, {"from": world.owner})
    meter.note("askEnd")
    world.submit(job, *trainers[:-2])
    judged(world, job, trainers[:-2])
    meter.note("settleRound, last, six left")
    market.showOpening(job, 5, CID, {"from": world.operator(7)})
    meter.note("showOpening")
    world.complete(job)
    meter.note("complete")
    world.claim(job, 0)
    meter.note("claim")
    world.claim_all(job, trainers[1:])
    meter.note("claim, the last, without a stake")
    market.revealValidation(job, CID, {"from": world.owner})
    meter.note("revealValidation")
    market.withdraw(world.currency, {"from": world.payee(0)})
    meter.note("withdraw")
    late = world.running(EIGHT, **OF_EIGHT)
    world.submit(late, *trainers)
    world.past_settling(late)
    market.abort(late, {"from": world.stranger})
    meter.note("abort")
    failed = world.running(EIGHT, **OF_EIGHT, takeoverWindow=30)
    world.submit(failed, *trainers)
    world.past_settling(failed)
    world.take_over(failed)
    meter.note("takeOver")
    market.handOver(failed, CID, {"from": world.owner})
    meter.note("handOver")
    disputed = world.running(EIGHT, **OF_EIGHT)
    world.dispute(disputed, 0)
    meter.note("dispute")
    world.dispute(disputed, 1)
    meter.note("dispute, the last, nothing settled")
    lost = world.running(EIGHT, **OF_EIGHT, takeoverWindow=30, rounds=2)
    world.settled(lost)
    world.submit(lost, *trainers)
    world.past_settling(lost)
    world.take_over(lost)
    world.past_submitting(lost)
    market.abort(lost, {"from": world.stranger})
    meter.note("abort, after a settlement")
    world.complete(lost)
    world.claim_fees(lost, world.fees)
    meter.note("claimFees")
    confirming = world.confirming(EIGHT, **OF_EIGHT)
    world.dispute(confirming, 0, 1)
    meter.note("dispute, the last, confirming")
    gone = world.enrolled(EIGHT, **OF_EIGHT)
    market.cancel(gone, {"from": world.owner})
    meter.note("cancel")
    meter.compare()


def test_reference_rounds_and_rounds_without_opened_updates_cost_what_the_table_says(coin_world):
    world, meter = coin_world, Meter()
    trainers = range(EIGHT)
    job = world.running(EIGHT, **OF_EIGHT, rule=2)
    world.submit(job, *trainers)
    judged(world, job, trainers)
    meter.note("settleRound, rule reference, the first")
    world.submit(job, *trainers)
    world.settle(job, mask(*trainers[:5]), struck=mask(5, 6), scores=[2**60, -(2**60), 7, -7, 0], rowExponent=-30)
    meter.note("settleRound, rule reference, two struck")
    world.submit(job, *trainers[:4])
    world.past_submitting(job)
    world.settle(job, unopened=1)
    meter.note("settleRound, rule reference, one of four unopened")
    meter.compare()


def test_what_is_said_of_rows_costs_what_the_table_says(coin_world):
    world, meter = coin_world, Meter()
    shown = world.revealing(EIGHT, **OF_EIGHT)
    world.reveal(shown)
    meter.note("reveal, the first")
    world.reveal(shown, world.owner)
    meter.note("reveal")
    world.dispute_rows(shown, 0)
    meter.note("disputeRows")
    world.dispute_rows(shown, 1)
    meter.note("disputeRows, the last")
    world.complete(shown)
    world.claim(shown, 0)
    meter.note("claim, rows disputed")
    unrevealed = world.revealing(EIGHT, **OF_EIGHT)
    world.complete(unrevealed)
    meter.note("complete, unrevealed")
    most = world.revealing(MOST, minTrainers=31, maxTrainers=MOST, maxFaulty=14)
    world.dispute_rows(most, *range(15))
    meter.note("disputeRows, 32, the last")
    meter.compare()


def test_what_is_delivered_again_costs_what_the_table_says(coin_world):
    world, meter = coin_world, Meter()
    trainers = range(EIGHT)
    job = world.running(EIGHT, **OF_EIGHT)
    world.submit(job, *trainers)
    world.void(job, 0, 1)
    meter.note("voidRound, the first")
    world.redeliver(job, 0)
    meter.note("redeliver")
    world.redeliver(job, 1)
    meter.note("redeliver, the last")
    world.void(job, 0, 1)
    meter.note("voidRound")
    world.past_submitting(job)
    judged(world, job, trainers[2:])
    meter.note("settleRound, the first, two not delivered")
    world.submit(job, *trainers)
    world.void(job, 0, 1)
    meter.note("voidRound, more than may be")
    late = world.running(EIGHT, **OF_EIGHT)
    world.submit(late, *trainers)
    world.void(late, *trainers)
    world.past_submitting(late)
    world.market.skipRound(late, {"from": world.stranger})
    meter.note("skipRound, nothing delivered")
    meter.compare()


def test_the_most_trainers_are_judged_paid_and_freed_within_what_the_table_says(coin_world):
    world, market, meter = coin_world, coin_world.market, Meter()
    trainers = range(MOST)
    job = world.running(MOST, **OF_MOST, rounds=3)
    world.submit(job, *trainers)
    judged(world, job, trainers)
    meter.note("settleRound, 32, the first")
    world.submit(job, *trainers)
    judged(world, job, trainers)
    meter.note("settleRound, 32")
    world.submit(job, *trainers[:2])
    world.past_submitting(job)
    judged(world, job, trainers[:2])
    meter.note("settleRound, 32, thirty missing")
    world.complete(job)
    meter.note("complete, 32")
    world.claim(job, 31)
    meter.note("claim, 32")
    late = world.running(MOST, **OF_MOST)
    world.submit(late, *trainers)
    world.past_settling(late)
    market.abort(late, {"from": world.stranger})
    meter.note("abort, 32")
    silent = world.running(MOST, **OF_MOST, maxMissed=1)
    move_to(now() + 101)
    market.skipRound(silent, {"from": world.stranger})
    meter.note("skipRound, 32 ejected")
    gone = world.enrolled(MOST, **OF_MOST)
    market.cancel(gone, {"from": world.owner})
    meter.note("cancel, 32")
    meter.compare()
