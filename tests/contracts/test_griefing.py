"""What each role can make the others lose, and what that costs it: the table of docs/security/griefing.md, played.

Each attack is a game of one job of eight trainers, in the chain's coin. Coin is held to the unit, gas to one part in a
hundred. MERIT_RENEW=1 writes what is measured into the table (see test_gas.py for the command).
"""

import os
import re
from decimal import Decimal
from pathlib import Path

import pytest
from brownie import Actor, history
from brownie.exceptions import VirtualMachineError
from world import ABORTED, CANCELLED, CID, COMPLETED, CONFIRMING, NO_TICKET, REFERENCE, commitment, mask, move_to

PAGE = Path(__file__).parents[2] / "docs" / "security" / "griefing.md"
ETHER = 10**18
TRAINERS = range(8)
F = 2
# The reward divides among 8, 7, 6 and 5 trainers.
JOB = {
    "maxTrainers": 8, "minTrainers": 7, "rounds": 1, "reward": 168 * ETHER // 100, "fee": ETHER // 10,
    "stake": ETHER // 10, "bond": ETHER // 2, "maxFaulty": F, "maxMissed": 2, "maxStrikes": 255, "maxEmptyRounds": 2,
    "maxVoids": 2, "slashBps": 3000,
}  # fmt: skip
ALIKE = (1,) * len(TRAINERS)
PARTIES = ["owner", "aggregator", "taker", "stranger", *TRAINERS]


class Game:
    """A job, and what its parties, owner, aggregator, taker, stranger, or a slot, spent and got since its creation."""

    def __init__(self, world, scores=ALIKE, **changes):
        """scores: what is true of each trainer in each round."""
        self.world = world
        self.scores = scores
        self.begun = len(history)
        self.before = {party: world.credit(self.accounts(party)[1]) for party in PARTIES}
        self.job = world.enrolled(len(TRAINERS), **{**JOB, **changes})
        self.rounds = changes.get("rounds", 1)

    def start(self):
        self.world.market.start(self.job, {"from": self.world.stranger})
        return self

    def run(self):
        self.start()
        self.publish(self.world.aggregator)
        return self

    def honest_round(self, trainers=TRAINERS, unopened=()):
        self.world.submit(self.job, *trainers)
        self.settle(trainers, unopened)

    def settle(self, trainers=TRAINERS, unopened=(), sender=None, **changes):
        """trainers: who is selected."""
        selected = mask(*(set(trainers) - set(unopened)))
        self.world.settle(self.job, selected, unopened=mask(*unopened), sender=sender, **changes)

    def reference_round(self, stated=None, sender=None):
        """A round whose rows give these scores, by default the true ones."""
        self.world.settled(self.job, scores=list(stated or self.scores), sender=sender)

    def publish(self, sender):
        self.world.market.publishKey(self.job, CID, {"from": sender})

    def skip(self):
        self.world.past_submitting(self.job)
        self.world.market.skipRound(self.job, {"from": self.world.stranger})

    def fail(self):
        """The aggregator does nothing until it is too late."""
        self.world.past_settling(self.job)

    def abort(self):
        """As soon as nobody can take over any more."""
        move_to(self.world.market.job(self.job)["settleBy"] + self.world.term(self.job, "takeoverWindow") + 1)
        self.world.market.abort(self.job, {"from": self.world.stranger})

    def finish(self):
        """What was settled is confirmed, and each claims what is its own."""
        market = self.world.market
        if market.job(self.job)["state"] == CONFIRMING:
            self.world.complete(self.job)
        held = market.job(self.job)
        for i in range(32):
            if held["members"] >> i & 1 and not held["claimed"] >> i & 1:
                market.claim(self.job, i, {"from": self.world.operator(i)})
        if held["owed"]:
            market.claimFees(self.job, self.world.fees, {"from": self.world.aggregator})

    def accounts(self, party):
        """Who acts for a party, and who is paid."""
        world = self.world
        named = {
            "owner": (world.owner, world.owner),
            "aggregator": (world.aggregator, world.fees),
            "taker": (world.taker, world.taker_fees),
            "stranger": (world.stranger, world.stranger),
        }
        return named[party] if party in named else (world.operator(party), world.payee(party))

    def gas(self, parties):
        senders = [self.accounts(party)[0] for party in parties]
        return sum(tx.gas_used for tx in list(history)[self.begun :] if tx.sender in senders)

    def coin(self, parties):
        """What the parties end with, less what they paid in."""
        assert self.world.market.job(self.job)["state"] in (COMPLETED, CANCELLED, ABORTED)
        total = 0
        for party in parties:
            sender, payee = self.accounts(party)
            paid = sum(tx.value for tx in list(history)[self.begun :] if tx.sender == sender and tx.status == 1)
            total += self.world.credit(payee) - self.before[party] - paid
        return total

    def honest_coin(self, parties):
        """The same, had all rounds been settled with everybody selected, as true rows have it, and these been shown."""
        fixed = {"owner": -self.rounds * (JOB["reward"] + JOB["fee"]), "aggregator": self.rounds * JOB["fee"]}
        whole, scores = self.rounds * JOB["reward"], self.scores
        shares = {slot: whole * scores[slot] // sum(scores) for slot in TRAINERS}
        return sum(0 if party in ("stranger", "taker") else (fixed | shares)[party] for party in parties)


# ---------------------------------------------------------------- attacks: each plays a game and names the sides

ATTACKS = {}  # by game: its rows
UNOPENABLE = "f + 1 trainers submit what does not open"
CALLED_BAD = "the aggregator calls f + 1 good submissions bad"
AGAIN = "an aggregator that also trains fails and takes over again and again"
STRIKING = "owner, aggregator and one trainer state reference rows that strike the others"
LITTLE = "f + 1 trainers that brought little dispute good rows"
BACK = "owner and aggregator keep the validation data back"
FOR_THEMSELVES = "trainers that bring nothing state rows for these; the others dispute them"
AT_THE_END = f"the aggregator and f + 1 {FOR_THEMSELVES}; it has failed in the last of five rounds"
UNREADY = "an aggregator fails; the owner, and who takes over and publishes no key, keep the data back"

# A job whose rows are to be shown, with a bond of f + 1 equal parts of its pot. By true rows each of the first three
# trainers brings a fifth of what each other one does: 0.06 and 0.3 a round, where equal parts are 0.21.
SHOWN = {"rule": REFERENCE, "revealWindow": 30, "bond": (F + 1) * JOB["reward"] // 8, "scores": 3 * (3,) + 5 * (15,)}


def attack(*rows):
    """rows: name in the table, attackers, victims. A game can have several rows, one for each of its victims."""

    def add(play):
        for name, attackers, victims in rows:
            ATTACKS.setdefault(play, {})[name] = (attackers, victims)
        return play

    return add


@attack(
    (f"{UNOPENABLE}, against the aggregator", range(F + 1), ["aggregator"]),
    (f"{UNOPENABLE}, against the other trainers", range(F + 1), TRAINERS[F + 1 :]),
    (f"{UNOPENABLE}, against the owner", range(F + 1), ["owner"]),
)
def unopenable(world):
    """They are asked again, and deliver nothing."""
    game = Game(world).run()
    world.submit(game.job, *TRAINERS)
    world.void(game.job, *range(F + 1))
    world.past_submitting(game.job)
    game.settle(TRAINERS[F + 1 :])
    return game


@attack(
    (f"{UNOPENABLE}, again and again, against the aggregator", range(F + 1), ["aggregator"]),
    (f"{UNOPENABLE}, again and again, against the other trainers", range(F + 1), TRAINERS[F + 1 :]),
    (f"{UNOPENABLE}, again and again, against the owner", range(F + 1), ["owner"]),
)
def unopenable_again(world):
    game = Game(world).run()
    world.submit(game.job, *TRAINERS)
    for _ in range(JOB["maxVoids"]):
        world.void(game.job, *range(F + 1))
        world.redeliver(game.job, *range(F + 1))
    world.void(game.job, *range(F + 1))
    return game


@attack((f"{CALLED_BAD} while their senders are away", ["aggregator"], range(F + 1)))
def called_bad_unheard(world):
    return unopenable(world)


@attack(
    (f"{CALLED_BAD}, again and again, against the trainers", ["aggregator"], TRAINERS),
    (f"{CALLED_BAD}, again and again, against the owner", ["aggregator"], ["owner"]),
)
def called_bad(world):
    return unopenable_again(world)


@attack(("f trainers submit what does not open", range(F), [*TRAINERS[F:], "aggregator"]))
def few_unopenable(world):
    game = Game(world).run()
    game.honest_round(unopened=range(F))
    return game


@attack(
    ("trainers take every seat and leave, against the owner", TRAINERS, ["owner"]),
    ("trainers take every seat and leave, against the aggregator", TRAINERS, ["aggregator"]),
)
def seats(world):
    game = Game(world).run()
    world.leave(game.job, *TRAINERS)
    return game


@attack(("a trainer submits another's commitment before it, in the last block", [0], [1]))
def copied(world):
    game = Game(world).run()
    world.submit(game.job, *TRAINERS[2:])
    move_to(world.market.job(game.job)["submitBy"])
    stolen = commitment("of trainer 1", world.operator(1))
    for i in (0, 1):  # it holds the address of trainer 1
        world.market.submitUpdate(game.job, 1, stolen, CID, {"from": world.operator(i)})
    game.settle(unopened=[0])
    return game


@attack(("a trainer is silent in every other round", [0], [*TRAINERS[1:], "aggregator"]))
def now_and_then(world):
    game = Game(world, rounds=2).run()
    world.submit(game.job, *TRAINERS[1:])
    world.past_submitting(game.job)
    game.settle(TRAINERS[1:])
    game.honest_round()
    return game


@attack(("a trainer leaves after the round that brought most", [0], TRAINERS[1:]))
def early(world):
    """The first of three rounds brings nine tenths of all."""
    game = Game(world, rounds=3, rule=REFERENCE).run()
    world.settled(game.job, scores=8 * [63])
    world.leave(game.job, 0)
    world.settled(game.job, scores=7 * [3])
    world.settled(game.job, scores=7 * [4])
    return game


@attack(("a trainer that is struck leaves before the end", [0], TRAINERS[1:]))
def struck_and_gone(world):
    game = Game(world, rounds=2, maxStrikes=1).run()
    world.submit(game.job, *TRAINERS)
    game.settle(TRAINERS[1:], struck=mask(0))
    world.leave(game.job, 0)
    world.settled(game.job)
    return game


@attack(
    (f"{STRIKING}, in a job that reveals nothing", ["owner", "aggregator", 0], TRAINERS[1:]),
)
def false_rows(world):
    game = Game(world, rule=REFERENCE, maxStrikes=1).run()
    world.submit(game.job, *TRAINERS)
    game.settle([0], struck=mask(*TRAINERS[1:]))
    return game


def struck_by_false_rows(world):
    game = Game(world, **{**SHOWN, "scores": ALIKE, "maxStrikes": 1}).run()
    world.submit(game.job, *TRAINERS)
    game.settle([0], struck=mask(*TRAINERS[1:]))
    return game


@attack(
    (f"{STRIKING} and show the data; these dispute", ["owner", "aggregator", 0], TRAINERS[1:]),
)
def false_rows_shown(world):
    game = struck_by_false_rows(world)
    world.reveal(game.job)
    world.dispute_rows(game.job, *range(1, F + 2))
    return game


@attack((f"{STRIKING} and keep the data back", ["owner", "aggregator", 0], TRAINERS[1:]))
def false_rows_kept_back(world):
    return struck_by_false_rows(world)


@attack(
    (f"{LITTLE}, against the other trainers", range(F + 1), TRAINERS[F + 1 :]),
    (f"{LITTLE}, against the aggregator", range(F + 1), ["aggregator"]),
    (f"{LITTLE}, against the owner", range(F + 1), ["owner"]),
)
def good_rows_disputed(world):
    game = Game(world, **SHOWN).run()
    game.reference_round()
    world.reveal(game.job)
    world.dispute_rows(game.job, *range(F + 1))
    return game


@attack(("f + 1 trainers that brought most dispute good rows, against all others", TRAINERS[-F - 1 :],
         ["owner", "aggregator", *TRAINERS[: -F - 1]]))  # fmt: skip
def good_rows_disputed_by_those_who_lead(world):
    game = Game(world, **SHOWN).run()
    game.reference_round()
    world.reveal(game.job)
    world.dispute_rows(game.job, *TRAINERS[-F - 1 :])
    return game


@attack(("f trainers dispute good rows", range(F), ["owner", "aggregator", *TRAINERS[F:]]))
def good_rows_disputed_by_few(world):
    game = Game(world, **SHOWN).run()
    game.reference_round()
    world.reveal(game.job)
    world.dispute_rows(game.job, *range(F))
    return game


@attack((f"{BACK}", ["owner", "aggregator"], TRAINERS))
def kept_back(world):
    game = Game(world, **SHOWN).run()
    game.reference_round()
    return game


@attack(("the owner reveals garbage beside the data", ["owner"], ["aggregator", *TRAINERS]))
def garbage(world):
    game = Game(world, **SHOWN).run()
    game.reference_round()
    world.reveal(game.job)
    for _ in range(3):
        world.reveal(game.job, world.owner, "garbage")
    return game


def for_themselves(world, many):
    """The first `many` trainers bring nothing, and rows say that they bring all."""
    game = Game(world, **{**SHOWN, "scores": many * (0,) + (8 - many) * (1,)}).run()
    game.reference_round(many * (1,) + (8 - many) * (0,))
    world.reveal(game.job)
    world.dispute_rows(game.job, *TRAINERS[-F - 1 :])
    return game


@attack((f"the aggregator and f + 1 {FOR_THEMSELVES}", ["aggregator", *range(F + 1)], TRAINERS[F + 1 :]))
def false_rows_for_few(world):
    return for_themselves(world, F + 1)


@attack((f"the aggregator and five {FOR_THEMSELVES}", ["aggregator", *range(5)], TRAINERS[5:]))
def false_rows_for_most(world):
    return for_themselves(world, 5)


@attack((f"{AT_THE_END}", ["aggregator", *range(F + 1)], TRAINERS[F + 1 :]))
def false_rows_and_failed(world):
    game = Game(world, **{**SHOWN, "scores": 3 * (0,) + 5 * (1,), "bond": 5 * SHOWN["bond"]}, rounds=5).run()
    for _ in range(4):
        game.reference_round(3 * (1,) + 5 * (0,))
    world.submit(game.job, *TRAINERS)
    game.abort()
    world.reveal(game.job)
    world.dispute_rows(game.job, *TRAINERS[-F - 1 :])
    return game


def taken_over_in_round_2(world):
    game = Game(world, **SHOWN, rounds=2, takeoverWindow=30).run()
    game.reference_round()
    world.submit(game.job, *TRAINERS)
    game.fail()
    world.take_over(game.job)
    return game


@attack(("f + 1 trainers dispute rows from before a takeover, against who took over", range(F + 1), ["taker"]))
def old_rows_disputed(world, honest=False):
    game = taken_over_in_round_2(world)
    game.publish(world.taker)
    game.reference_round(sender=world.taker)
    world.reveal(game.job, world.taker)
    if not honest:
        world.dispute_rows(game.job, *range(F + 1))
    return game


@attack(
    (f"{UNREADY}, against the trainers", ["owner", "taker"], TRAINERS),
    (f"{UNREADY}, against the aggregator", ["owner", "taker"], ["aggregator"]),
)
def unready(world, honest=False):
    game = taken_over_in_round_2(world)
    world.past_submitting(game.job)
    world.market.abort(game.job, {"from": world.stranger})
    if honest:
        world.reveal(game.job, world.owner)
    return game


ABOUT_ROWS = [
    false_rows_shown, false_rows_kept_back, good_rows_disputed, good_rows_disputed_by_those_who_lead,
    good_rows_disputed_by_few, kept_back, garbage, false_rows_for_few,
]  # fmt: skip


@attack(
    ("a trainer leaves and joins again and again, so that a full job does not start", [7], ["owner", *TRAINERS[:7]])
)
def again_at_the_door(world):
    game = Game(world, startDelay=60)
    for _ in range(3):
        world.leave(game.job, 7)
        world.join(game.job, 7)
    world.market.start(game.job, {"from": world.owner})
    game.publish(world.aggregator)
    game.honest_round()
    return game


@attack(("the owner ends the job early, against the trainers", ["owner"], TRAINERS))
def ended_early(world):
    game = Game(world, rounds=3, minRounds=1).run()
    world.market.askEnd(game.job, {"from": world.owner})
    game.honest_round()
    return game


@attack(("every trainer is silent", TRAINERS, ["aggregator"]))
def silence(world):
    game = Game(world, rounds=3).run()
    game.skip()
    game.skip()
    return game


@attack(("the aggregator calls f submissions unopened", ["aggregator"], range(F)))
def called_unopened(world):
    game = Game(world).run()
    game.honest_round(unopened=range(F))
    return game


@attack(("the aggregator settles in the last second", ["aggregator"], TRAINERS))
def late(world):
    game = Game(world).run()
    world.submit(game.job, *TRAINERS)
    world.past_submitting(game.job)
    game.settle()
    return game


@attack(
    ("the aggregator never settles, against the trainers", ["aggregator"], TRAINERS),
    ("the aggregator never settles, against the owner", ["aggregator"], ["owner"]),
)
def never_settled(world):
    game = Game(world).run()
    world.submit(game.job, *TRAINERS)
    game.abort()
    return game


@attack(("the aggregator publishes no job key", ["aggregator"], TRAINERS))
def no_key(world):
    game = Game(world).start()
    game.abort()
    return game


@attack(
    ("the aggregator withholds a round's sum; trainers dispute, against them", ["aggregator"], TRAINERS),
    ("the aggregator withholds a round's sum; trainers dispute, against the owner", ["aggregator"], ["owner"]),
)
def withheld(world):
    game = Game(world, rounds=3).run()
    game.honest_round()
    world.dispute(game.job, *range(F + 1))
    return game


@attack(
    ("the aggregator withholds the last sum; trainers dispute, against them", ["aggregator"], TRAINERS),
    ("the aggregator withholds the last sum; trainers dispute, against the owner", ["aggregator"], ["owner"]),
)
def withheld_last(world):
    game = Game(world).run()
    game.honest_round()
    world.dispute(game.job, *range(F + 1))
    return game


@attack(("the aggregator withholds a round's sum; trainers only leave", ["aggregator"], TRAINERS))
def withheld_undisputed(world):
    game = Game(world, rounds=3).run()
    game.honest_round()
    world.leave(game.job, *TRAINERS)
    return game


@attack(
    ("f + 1 trainers dispute a good sum, against the aggregator", range(F + 1), ["aggregator"]),
    ("f + 1 trainers dispute a good sum, against the other trainers", range(F + 1), TRAINERS[F + 1 :]),
    ("f + 1 trainers dispute a good sum, against the owner", range(F + 1), ["owner"]),
)
def disputed(world):
    return withheld(world)


@attack(
    ("f + 1 trainers dispute a good last sum, against the aggregator", range(F + 1), ["aggregator"]),
    ("f + 1 trainers dispute a good last sum, against the others", range(F + 1), ["owner", *TRAINERS[F + 1 :]]),
)
def disputed_last(world):
    return withheld_last(world)


@attack(("f trainers dispute a good sum", range(F), ["owner", "aggregator", *TRAINERS[F:]]))
def disputed_by_few(world):
    game = Game(world, rounds=2).run()
    game.honest_round()
    world.dispute(game.job, *range(F))
    game.honest_round()
    return game


def failover(world):
    """The aggregator does not settle, another takes over and publishes the key."""
    game = Game(world, takeoverWindow=30).run()
    world.submit(game.job, *TRAINERS)
    game.fail()
    world.take_over(game.job)
    world.market.handOver(game.job, CID, {"from": world.owner})
    game.publish(world.taker)
    return game


@attack(
    ("the aggregator never settles, another takes over, against the trainers", ["aggregator"], TRAINERS),
    ("the aggregator never settles, another takes over, against the owner", ["aggregator"], ["owner"]),
    ("the aggregator never settles, another takes over, against who does", ["aggregator"], ["taker"]),
)
def replaced(world):
    game = failover(world)
    world.redeliver(game.job, *TRAINERS)
    game.settle(sender=world.taker)
    return game


@attack(
    ("somebody takes over from a failed aggregator and does nothing, against the trainers", ["taker"], TRAINERS),
    ("somebody takes over from a failed aggregator and does nothing, against the owner", ["taker"], ["owner"]),
)
def idle_taker(world):
    game = Game(world, takeoverWindow=30).run()
    world.submit(game.job, *TRAINERS)
    game.fail()
    world.take_over(game.job)
    world.past_submitting(game.job)
    world.market.abort(game.job, {"from": world.stranger})
    return game


@attack(
    (f"{AGAIN}, against the owner", ["aggregator", 0], ["owner"]),
    (f"{AGAIN}, against the trainers", ["aggregator", 0], TRAINERS[1:]),
)
def again_and_again(world):
    """Each of its bonds goes to all who deliver, until somebody takes over before it."""
    game = Game(world, takeoverWindow=30).run()
    world.submit(game.job, *TRAINERS)
    game.fail()
    for _ in range(3):
        world.take_over(game.job, sender=world.aggregator, payee=world.fees)
        game.publish(world.aggregator)
        world.redeliver(game.job, *TRAINERS)
        game.fail()
    world.take_over(game.job)  # by somebody who publishes no key
    world.past_submitting(game.job)
    world.market.abort(game.job, {"from": world.stranger})
    return game


@attack(("owner and aggregator let rounds pass empty; one trainer's node is down", ["owner", "aggregator"], [7]))
def emptied(world):
    game = Game(world, rounds=3).run()
    game.honest_round()
    world.leave(game.job, *TRAINERS[:-1])
    game.skip()
    game.skip()
    return game


@attack(
    ("the owner cancels a full job before it starts, against the trainers", ["owner"], TRAINERS),
    ("the owner cancels a full job before it starts, against the aggregator", ["owner"], ["aggregator"]),
)
def cancelled(world):
    game = Game(world)
    world.market.cancel(game.job, {"from": world.owner})
    return game


@attack(("the owner names a verifier that refuses, and is all trainers", ["owner", *TRAINERS], ["aggregator"]))
def refusing_verifier(world):
    game = Game(world).run()
    world.submit(game.job, *TRAINERS)
    world.verifiers.gram.setValid(False, {"from": world.stranger})
    late = {"from": world.aggregator, "gas_limit": 2_000_000, "allow_revert": True}
    with pytest.raises(VirtualMachineError, match="GramProofRefused"):
        world.market.settleRound(game.job, 1, *world.judged(game.job, mask(*TRAINERS)), late)
    world.verifiers.gram.setValid(True, {"from": world.stranger})
    game.abort()
    return game


@attack(("a stranger makes every call that anyone may", ["stranger"], [*TRAINERS, "aggregator", "owner"]))
def stranger(world):
    game = Game(world).run()
    world.submit(game.job, *TRAINERS)
    market = world.market
    sender = {"from": world.stranger, "gas_limit": 200_000, "allow_revert": True}
    calls = [(call,) for call in (market.skipRound, market.abort, market.cancel, market.start, market.complete)]
    for call, *arguments in [*calls, (market.claim, 0), (market.claimFees, world.fees)]:
        with pytest.raises(VirtualMachineError):
            call(game.job, *arguments, sender)
    game.settle()
    return game


# ---------------------------------------------------------------- the table


def rows():
    """Each row's first cell, and its four measured ones."""
    row = r"^\| ([^|`]+?) \| ([\d ,]+) \| ([-+.\d]+) \| ([\d ,]+) \| ([-+.\d]+) \|"
    found = re.findall(row, PAGE.read_text(), re.M)
    return {name: [cell.replace(",", "").strip() for cell in cells] for name, *cells in found}


def in_ether(amount):
    text = f"{Decimal(amount) / ETHER:+f}"
    return "0" if amount == 0 else text.rstrip("0").rstrip(".") if "." in text else text


def renew(name, measured):
    cells = [f"{int(cell):,}" if cell.isdigit() and cell != "0" else cell for cell in measured]
    text, count = re.subn(
        rf"^(\| {re.escape(name)} \|)[^|]*\|[^|]*\|[^|]*\|[^|]*\|",
        lambda match: f"{match[1]} {' | '.join(cells)} |", PAGE.read_text(), flags=re.M,
    )  # fmt: skip
    assert count == 1, f"no row {name!r}"
    PAGE.write_text(text)


@pytest.mark.parametrize("play", ATTACKS, ids=lambda play: play.__name__)
def test_an_attack_costs_and_harms_what_the_table_says(coin_world, play):
    game = play(coin_world)
    game.finish()
    for name, (attackers, victims) in ATTACKS[play].items():
        spent, lost = game.gas(attackers), game.gas(victims)
        harm = game.coin(victims) - game.honest_coin(victims)
        measured = [str(spent), in_ether(game.coin(attackers)), str(lost), in_ether(harm)]
        if os.environ.get("MERIT_RENEW"):
            renew(name, measured)
        stated = rows()[name]
        assert [stated[1], stated[3]] == [measured[1], measured[3]], name
        for said, gas in ((stated[0], spent), (stated[2], lost)):
            assert abs(int(said) - gas) * 100 <= gas, f"{name}: measured {gas:,}"


@pytest.mark.parametrize("play", ABOUT_ROWS, ids=lambda play: play.__name__)
def test_nobody_gains_by_what_is_said_or_kept_back_about_rows(coin_world, play):
    game = play(coin_world)
    game.finish()
    for attackers, _ in ATTACKS[play].values():
        assert game.coin(attackers) <= game.honest_coin(attackers)


@pytest.mark.parametrize("play", [old_rows_disputed, unready], ids=lambda play: play.__name__)
def test_after_a_takeover_nobody_gains_either(coin_world, play):
    ends = []
    for honest in (False, True):
        game = play(coin_world, honest)
        game.finish()
        ends.append([game.coin(attackers) for attackers, _ in ATTACKS[play].values()])
    assert ends[0] == ends[1]


@pytest.mark.parametrize("play", [unopenable, unopenable_again, called_bad], ids=lambda play: play.__name__)
def test_nobody_gains_by_what_does_not_open_or_is_said_not_to(coin_world, play):
    game = play(coin_world)
    game.finish()
    for attackers, _ in ATTACKS[play].values():
        for friends in (attackers, ["owner", *attackers]):
            assert game.coin(friends) <= game.honest_coin(friends)


def test_every_attack_has_a_row_and_every_row_an_attack():
    assert rows().keys() == {name for of_game in ATTACKS.values() for name in of_game}


def test_a_payee_that_refuses_coin_keeps_nobody_from_being_paid(coin_world):
    world = coin_world
    contract = Actor.deploy({"from": world.stranger})
    contract.refuse(True, {"from": world.stranger})
    game = Game(world, maxTrainers=9)
    value = {"from": world.operator(8), "value": JOB["stake"]}
    world.market.join(game.job, contract, "0x" + "11" * 32, NO_TICKET, value)
    world.market.start(game.job, {"from": world.stranger})
    world.market.publishKey(game.job, CID, {"from": world.aggregator})
    world.submit(game.job, *TRAINERS, 8)
    world.settle(game.job, mask(*TRAINERS, 8), scores=[1] * 8 + [0])
    game.finish()
    for i in TRAINERS:
        before = world.credit(world.payee(i))
        held = world.payee(i).balance()
        world.market.withdraw(world.currency, {"from": world.payee(i)})
        assert world.payee(i).balance() == held + before
    assert world.market.credit(contract, world.currency) == JOB["stake"]
