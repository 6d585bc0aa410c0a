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
from world import CID, mask, move_to, now

TABLE = Path(__file__).with_name("gas.json")
TOLERATED = 100  # a difference of one part in so many
EIGHT = 8
MOST = 32


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
    """Everybody is selected, each with another weight."""
    world.settle(job, mask(*trainers), weights=[2**60 + i for i in trainers])


def test_every_call_costs_what_the_table_says(coin_world):
    world, market, meter = coin_world, coin_world.market, Meter()
    trainers = range(EIGHT)
    job = world.create(maxTrainers=EIGHT, rounds=5, reward=10**18, stake=10**17)
    meter.note("createJob")
    world.accept(job)
    meter.note("acceptAggregation")
    for i in trainers:
        world.join(job, i)
    meter.note("join")
    market.start(job, {"from": world.stranger})
    meter.note("start")
    market.publishKey(job, CID, {"from": world.aggregator})
    meter.note("publishKey")
    world.submit(job, *trainers)
    meter.note("submitUpdate")
    judged(world, job, trainers)
    meter.note("settleRound, first credits")
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
    world.submit(job, *trainers[:-2])
    judged(world, job, trainers[:-2])
    meter.note("settleRound, last, six left")
    market.showOpening(job, 5, CID, {"from": world.operator(7)})
    meter.note("showOpening")
    market.leave(job, {"from": world.operator(5)})
    meter.note("leave, confirming")
    world.complete(job)
    meter.note("complete, five left")
    market.revealValidation(job, CID, {"from": world.owner})
    meter.note("revealValidation")
    market.withdraw(world.currency, {"from": world.payee(0)})
    meter.note("withdraw")
    late = world.running(EIGHT, maxTrainers=EIGHT)
    world.submit(late, *trainers)
    world.past_settling(late)
    market.abort(late, {"from": world.stranger})
    meter.note("abort")
    failed = world.running(EIGHT, maxTrainers=EIGHT, takeoverWindow=30)
    world.submit(failed, *trainers)
    world.past_settling(failed)
    world.take_over(failed)
    meter.note("takeOver")
    market.handOver(failed, CID, {"from": world.owner})
    meter.note("handOver")
    market.publishKey(failed, CID, {"from": world.taker})
    world.dispute(failed, 0)
    meter.note("dispute")
    world.dispute(failed, 1)
    meter.note("dispute, the last")
    gone = world.enrolled(EIGHT, maxTrainers=EIGHT)
    market.cancel(gone, {"from": world.owner})
    meter.note("cancel")
    meter.compare()


def test_reference_rounds_and_rounds_without_opened_updates_cost_what_the_table_says(coin_world):
    world, meter = coin_world, Meter()
    trainers = range(EIGHT)
    job = world.running(EIGHT, maxTrainers=EIGHT, maxFaulty=1, rule=2)
    world.submit(job, *trainers)
    judged(world, job, trainers)
    meter.note("settleRound, rule reference, first credits")
    world.submit(job, 0)
    world.past_submitting(job)
    world.settle(job, unopened=1)
    meter.note("settleRound, nothing opened")
    meter.compare()


def test_the_most_trainers_are_paid_and_freed_within_what_the_table_says(coin_world):
    world, market, meter = coin_world, coin_world.market, Meter()
    trainers = range(MOST)
    job = world.running(MOST, maxTrainers=MOST, rounds=2)
    world.submit(job, *trainers)
    judged(world, job, trainers)
    meter.note("settleRound, 32, first credits")
    world.submit(job, *trainers)
    judged(world, job, trainers)
    world.complete(job)
    meter.note("complete, 32")
    late = world.running(MOST, maxTrainers=MOST)
    world.submit(late, *trainers)
    world.past_settling(late)
    market.abort(late, {"from": world.stranger})
    meter.note("abort, 32")
    silent = world.running(MOST, maxTrainers=MOST, maxMissed=1)
    move_to(now() + 101)
    market.skipRound(silent, {"from": world.stranger})
    meter.note("skipRound, 32 ejected")
    gone = world.enrolled(MOST, maxTrainers=MOST)
    market.cancel(gone, {"from": world.owner})
    meter.note("cancel, 32")
    meter.compare()
