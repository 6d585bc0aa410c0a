"""What each call costs in a job of 8 trainers in the chain's coin; run with -n 0 -s to see the table."""

from brownie import history
from world import CID, mask

TRAINERS = range(8)
EIGHT = mask(*TRAINERS)
BOUNDS = {
    "createJob": 362_000,
    "acceptAggregation": 65_000,
    "join": 117_000,
    "start": 45_000,
    "publishKey": 35_000,
    "submitUpdate": 63_000,
    "settleRound, first credits": 425_000,
    "settleRound": 263_000,
    "settleRound, one missing": 251_000,
    "skipRound, one ejected": 165_000,
    "leave": 50_000,
    "settleRound, last, six left": 281_000,
    "withdraw": 35_000,
    "abort": 190_000,
    "cancel": 148_000,
}
"""Gas, some 5 % above what was measured: a change that costs more is to be noticed.

Stubs verify here: what proofs cost beside this is in tests/unit/test_settlement_gas.py.
"""


def test_no_call_costs_more_than_its_bound(coin_world):
    world, market = coin_world, coin_world.market
    measured = {}

    def note(call):
        measured[call] = history[-1].gas_used

    job = world.create(maxTrainers=8, rounds=5, reward=10**18, stake=10**17)
    note("createJob")
    world.accept(job)
    note("acceptAggregation")
    for i in TRAINERS:
        world.join(job, i)
    note("join")
    market.start(job, {"from": world.stranger})
    note("start")
    market.publishKey(job, CID, {"from": world.aggregator})
    note("publishKey")
    world.submit(job, *TRAINERS)
    note("submitUpdate")
    weights = [2**60 + i for i in TRAINERS]
    world.settle(job, EIGHT, weights=weights)
    note("settleRound, first credits")
    world.submit(job, *TRAINERS)
    world.settle(job, EIGHT, weights=weights)
    note("settleRound")
    world.submit(job, *TRAINERS[:-1])
    world.past_submitting(job)
    world.settle(job, EIGHT >> 1, weights=weights[:-1])
    note("settleRound, one missing")
    world.past_submitting(job)
    market.skipRound(job, {"from": world.stranger})
    note("skipRound, one ejected")
    market.leave(job, {"from": world.operator(6)})
    note("leave")
    world.submit(job, *TRAINERS[:-2])
    world.settle(job, EIGHT >> 2, weights=weights[:-2])
    note("settleRound, last, six left")
    market.withdraw(world.currency, {"from": world.payee(0)})
    note("withdraw")
    late = world.running(8, maxTrainers=8)
    world.submit(late, *TRAINERS)
    world.past_settling(late)
    market.abort(late, {"from": world.stranger})
    note("abort")
    gone = world.enrolled(8, maxTrainers=8)
    market.cancel(gone, {"from": world.owner})
    note("cancel")

    print("\n" + "\n".join(f"{call:28}{gas:>10,}" for call, gas in measured.items()))
    assert measured.keys() == BOUNDS.keys()
    assert {call: gas for call, gas in measured.items() if gas > BOUNDS[call]} == {}
