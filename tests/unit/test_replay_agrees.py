"""The replay against the contract: whatever is done to jobs on a real chain, their events alone give the same."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount

from aggregator.points import MOST, divide
from marketplace.domain import (
    ZERO_ADDRESS,
    Claimed,
    Credited,
    Ejected,
    FeesClaimed,
    Job,
    Left,
    Reason,
    RoundSkipped,
    Rule,
    Settlement,
    State,
    Withdrawn,
    mask_of,
    slots,
)
from marketplace.errors import Reverted
from marketplace.replay import JobHistory, conservation, replay, tokens
from tests.chain_fixtures import KEY, PEOPLE, Chain, Token, commitment, new_token, settlement, terms

pytestmark = pytest.mark.slow

pytest_plugins = ["tests.chain_fixtures"]

OWNER, AGGREGATOR, *TRAINERS = PEOPLE[1:8]
OTHER = PEOPLE[0]  # takes jobs over
STEPS = 60
PLAYS = 72
LOOK = 0.03  # how often a job is looked at in the middle of it


@contextmanager
def suppress_into(refused: Counter[str]) -> Iterator[None]:
    try:
        yield
    except Reverted as refusal:
        refused[refusal.name] += 1


class Play:
    """Random calls on one job, mostly such as the contract may take, some that it must refuse."""

    def __init__(self, chain: Chain, token: Token, seed: int, **changes: Any) -> None:
        self.chain, self.market, self.random = chain, chain.market, random.Random(seed)
        self.refused: Counter[str] = Counter()
        self.failing = seed % 2 == 1  # those in which aggregators are replaced and sums disputed
        pick = self.random
        most, rounds = pick.choice([1, 2, 3, 3, 4, 5, 5]), pick.randint(1, 5)
        faulty = int(most == 5 and pick.random() < 0.7)
        rule = changes.get("rule") or pick.choice(list(Rule))
        usual: dict[str, Any] = dict(
            token=pick.choice([ZERO_ADDRESS, token.address]),
            reward=pick.choice([0, 1, 1000, 999_983, 10**20 + 39]),
            fee=pick.choice([0, 77, 77]),
            stake=pick.choice([0, 10_007, 10_007]),
            bond=pick.choice([0, 5003]),
            rule=rule,
            start_delay=pick.choice([0, 0, 0, 400]),
            reveal_window=pick.choice([0, 250, 250]) if rule is Rule.REFERENCE else 0,
            rounds=rounds,
            min_rounds=pick.randint(1, rounds),
            min_trainers=5 if faulty else pick.randint(1, most),
            max_trainers=most,
            takeover_window=900 if self.failing else 0,
            max_faulty=faulty,
            max_missed=pick.randint(1, 2),
            max_strikes=pick.choice([1, 1, 2]),
            max_empty_rounds=pick.randint(1, 3),
            max_voids=pick.choice([0, 1, 3]),
            **self._points(),
            slash_bps=pick.choice([0, 3333, 3333, 10_000]),
        )
        self.terms = terms(chain, **usual | changes)
        self.job_id, _ = self.market.create_job(OWNER, self.terms, KEY, "bafyspec")

    def _points(self) -> dict[str, Any]:
        """What balances follow from, the bounds of the terms among it."""
        pick = self.random
        return {
            "rate": pick.choice([1, 2**40, 2**40, 2**40 * 3 // 7, 100 << 40]),
            "rate_decay": pick.choice([2**32, 2**32, 2**31, 4_209_067_950, 1]),
            "scale_exponent": pick.choice([-40, -15, -15, 0]),
        }

    def run(self) -> None:
        """Up to where it is over, or to STEPS; looks at it on the way."""
        for _ in range(STEPS):
            job = self.market.job(self.job_id)
            if job.state.over:
                break
            weights = self._weights(job)
            action = self.random.choices(list(weights), list(weights.values()))[0]
            with suppress_into(self.refused):
                action(job)
            if self.random.random() < LOOK:
                self.look()

    def finish(self) -> None:
        """Claims what there is, in any order, by anybody, some of it twice; then a job has nothing left but credits."""
        if not self.market.job(self.job_id).state.over:
            with suppress_into(self.refused):
                self.market.claim(PEOPLE[9], self.job_id, 0)
            return
        aggregators = [AGGREGATOR.address, PEOPLE[8].address]
        seats = [*range(self.terms.max_trainers)]
        asked: list[int | str] = [*seats, self.random.choice(seats), self.random.randrange(32), *aggregators]
        self.random.shuffle(asked)
        for number, who in enumerate(asked):
            with suppress_into(self.refused):
                if isinstance(who, int):
                    self.market.claim(self.random.choice(PEOPLE), self.job_id, who)
                else:
                    self.market.claim_fees(self.random.choice(PEOPLE), self.job_id, who)
            if number == len(asked) // 2:
                self.look()
        job = self.market.job(self.job_id)
        assert (job.claimed, job.owed, job.escrow) == (job.members, 0 if job.members else job.owed, 0)
        assert replay(self.chain.events(self.job_id)).held == 0

    def look(self) -> JobHistory:
        """Holds what the events make against what the contract says."""
        history = replay(self.chain.events(self.job_id))
        assert history.findings == []
        assert history.job() == self.market.job(self.job_id)
        for slot in range(self.terms.max_trainers):
            assert history.trainer(slot) == self.market.trainer(self.job_id, slot)
        assert history.paid_in == history.held + history.credits.total()
        return history

    def _weights(self, job: Job) -> dict[Callable[[Job], object], float]:
        match job.state:
            case State.OPEN:
                return self._opened()
            case State.CONFIRMING:
                rest = {self.complete: 1, self.wait: 0.5, self.show: 0.2, self.leave: 0.1, self.ask_end: 0.1}
                due = 1 if self.terms.reveal_window else 0.1
                shown: dict[Callable[[Job], object], float] = {self.reveal: due, self.dispute_rows: 2 * due}
                return rest | shown | ({self.dispute: 0.2} if job.active else {})
        return self._running(job)

    def _opened(self) -> dict[Callable[[Job], object], float]:
        return {self.join: 8, self.accept: 4, self.start: 3, self.leave: 1, self.cancel: 0.2, self.wait: 0.5}

    def _running(self, job: Job) -> dict[Callable[[Job], object], float]:
        if not job.key_published:
            return {
                **{self.publish: 5, self.wait: 0.3, self.abort: 0.5, self.leave: 0.3, self.take_over: 1},
                **({self.hand_over: 1} if job.taken_over_in else {}),
            }
        return {
            **{self.submit: 8, self.settle: 4, self.skip: 1, self.abort: 0.4, self.wait: 1.5, self.leave: 0.4},
            **{self.announce: 0.5, self.ask_end: 0.4, self.void: 1, self.redeliver: 6 if job.delivering else 0.1},
            **({self.take_over: 2, self.dispute: 0.4, self.show: 0.1} if self.failing else {}),
        }

    def join(self, job: Job) -> None:
        who = self.random.choice(TRAINERS)
        payee = self.random.choice([who, PEOPLE[8]]).address
        self.market.join(who, self.job_id, payee, KEY)

    def accept(self, job: Job) -> None:
        self.market.accept_aggregation(AGGREGATOR, self.job_id, AGGREGATOR.address, KEY)

    def start(self, job: Job) -> None:
        self.market.start(self.random.choice([OWNER, PEOPLE[9]]), self.job_id)

    def leave(self, job: Job) -> None:
        self.market.leave(self.random.choice(TRAINERS), self.job_id)

    def cancel(self, job: Job) -> None:
        self.market.cancel(self.random.choice([OWNER, PEOPLE[9]]), self.job_id)

    def publish(self, job: Job) -> None:
        self.market.publish_key(self.judge(job), self.job_id, "bafykey")

    def announce(self, job: Job) -> None:
        self.market.announce_sum(self.judge(job), self.job_id, job.round, 1, KEY, "bafysum")

    def judge(self, job: Job) -> LocalAccount:
        return OTHER if job.aggregator == OTHER.address else AGGREGATOR

    def take_over(self, job: Job) -> None:
        self.market.take_over(self.random.choice([OTHER, AGGREGATOR]), self.job_id, PEOPLE[8].address, KEY)

    def hand_over(self, job: Job) -> None:
        self.market.hand_over(self.random.choice([OWNER, *TRAINERS]), self.job_id, "bafyhanded")

    def dispute(self, job: Job) -> None:
        self.market.dispute(self.member(job)[1], self.job_id)

    def reveal(self, job: Job) -> None:
        who = self.random.choice([OWNER, self.judge(job), PEOPLE[9]])
        self.market.reveal(who, self.job_id, self.random.choice(["bafydata", "bafydata", ""]))

    def dispute_rows(self, job: Job) -> None:
        self.market.dispute_rows(self.random.choice(TRAINERS), self.job_id, self.random.randrange(job.round + 2))

    def ask_end(self, job: Job) -> None:
        self.market.ask_end(self.random.choice([OWNER, OWNER, OWNER, PEOPLE[9]]), self.job_id)

    def complete(self, job: Job) -> None:
        self.market.complete(PEOPLE[9], self.job_id)

    def show(self, job: Job) -> None:
        self.market.show_opening(self.random.choice(TRAINERS), self.job_id, job.round, "bafyshown")

    def submit(self, job: Job) -> None:
        slot, signer = self.member(job)
        self.market.submit_update(signer, self.job_id, job.round, commitment(job.round, slot, by=signer), f"bafy{slot}")

    def member(self, job: Job, among: int = 0) -> tuple[int, LocalAccount]:
        """Any, or one of those in a mask."""
        slot = self.random.choice([*slots(among or job.active)])
        who = self.market.trainer(self.job_id, slot)
        assert who
        return slot, next(person for person in TRAINERS if person.address == who.operator)

    def settle(self, job: Job) -> None:
        submitted = [*slots(job.delivered)]
        most = min(len(submitted), job.most_unopened(self.terms.max_faulty) + (self.random.random() < 0.1))
        unopened = set(self.random.sample(submitted, self.random.randint(0, most)))
        selected = {slot for slot in submitted if slot not in unopened and self.random.random() < 0.7}
        left_out = [slot for slot in submitted if slot not in unopened | selected]
        struck = {slot for slot in left_out if self.random.random() < 0.5}
        coefficients = tuple(self.random.choice([0, 1, 4095, 4096]) for _ in selected)
        referenced = self.terms.rule is Rule.REFERENCE
        judged, proof = settlement(
            mask_of(selected),
            self._scores(len(selected)),
            mask_of(unopened),
            struck=mask_of(struck),
            row_exponent=self.random.choice([0, -14, -40, -45, -60, -163, -(2**15), 36, 36, 114, 2**15 - 1])
            * referenced,
            submitted=job.delivered,
            round_=job.round,
            rule=self.terms.rule,
            coefficients=coefficients if referenced else (),
        )
        for _ in range(self.random.choice([1, 1, 6])):
            with suppress_into(self.refused):
                self.market.settle_round(self.judge(job), self.job_id, job.round, self._unsound(judged), proof)
                return
        self.market.settle_round(self.judge(job), self.job_id, job.round, judged, proof)

    def _scores(self, count: int) -> tuple[int, ...]:
        """Negative only where the rule has them; in a round now and then all of them of one kind."""
        kinds = [[0], [1, 2, 3, 10**9 + 7], [2**95 - 1], [0, 1, 7, 10**12, 2**69 + 1, 2**95 - 1]]
        sizes = self.random.choice(kinds)
        signs = [1] if self.terms.rule is Rule.KRUM_COSINE else self.random.choice([[1], [1], [-1], [1, 1, -1]])
        return tuple(self.random.choice(signs) * self.random.choice(sizes) for _ in range(count))

    def _unsound(self, judged: Settlement) -> Settlement:
        """What the contract must refuse, unless it is the same or else sound."""
        changes: dict[str, Any] = self.random.choice(
            [
                {"coefficients": (*judged.coefficients, 1)},
                {"coefficients": tuple(4097 for _ in judged.coefficients)},
                {"scores": (*judged.scores, 1)},
                {"struck": judged.struck | judged.selected},
                {"struck": judged.struck | judged.unopened},
                {"struck": judged.struck | 1 << 31},
                {"row_exponent": judged.row_exponent ^ 1},
                {"sum_commitment": bytes(32)},
                {"sum_commitment": b"\x05" * 32},
                {"reference_cid": "bafyrows", "reference_commitment": b"\x05" * 32},
                {"reference_cid": "", "reference_commitment": bytes(32)},
                {"sum_cid": "" if judged.sum_cid else "bafysum"},
            ]
        )
        return replace(judged, **changes)

    def void(self, job: Job) -> None:
        unopened = {slot for slot in slots(job.delivered) if self.random.random() < 0.6}
        self.market.void_round(self.judge(job), self.job_id, job.round, mask_of(unopened))

    def redeliver(self, job: Job) -> None:
        slot, signer = self.member(job, job.undelivered if job.delivering and self.random.random() < 0.9 else 0)
        self.market.redeliver(signer, self.job_id, job.round, f"bafyagain{slot}")

    def skip(self, job: Job) -> None:
        self.market.skip_round(PEOPLE[9], self.job_id)

    def abort(self, job: Job) -> None:
        self.market.abort(PEOPLE[9], self.job_id)

    def wait(self, job: Job) -> None:
        self.chain.forward(
            self.random.choice([300, 601, 1201, 2401] if self.failing else [300, 601, 1201])
            if job.state in (State.RUNNING, State.CONFIRMING)
            else 3601
        )


class Scripted(Play):
    """A life whose steps are given, for corners that chance seldom finds."""

    def begin(self, trainers: int) -> None:
        for who in TRAINERS[:trainers]:
            self.market.join(who, self.job_id, who.address, KEY)
        self.accept(self.market.job(self.job_id))
        self.market.start(OWNER, self.job_id)
        self.publish(self.market.job(self.job_id))

    def round(self, senders: int, *, settled: bool = True) -> None:
        """So many trainers submit, or deliver again what they have submitted; the others are waited for."""
        job = self.market.job(self.job_id)
        for slot in range(senders):
            cid, signer = f"bafy{slot}", TRAINERS[slot]
            if job.delivering:
                self.market.redeliver(signer, self.job_id, job.round, f"{cid}again")
            else:
                made = commitment(job.round, slot, by=signer)
                self.market.submit_update(signer, self.job_id, job.round, made, cid)
        job = self.market.job(self.job_id)
        if not job.complete:
            self.chain.forward(job.submit_by - self.chain.connection.now() + 1)
        if settled:
            ruled: dict[str, Any] = {"rule": self.terms.rule}
            if self.terms.rule is Rule.REFERENCE:
                ruled |= {"coefficients": (4096,) * senders}
            judged, proof = settlement(
                job.submitted, (1,) * senders, submitted=job.submitted, round_=job.round, **ruled
            )
            self.market.settle_round(self.judge(job), self.job_id, job.round, judged, proof)

    def confirm(self) -> None:
        self.chain.forward(self.terms.confirm_window + 1)
        self.market.complete(OWNER, self.job_id)


def ended_early_after_a_takeover(chain: Chain, token: Token) -> Scripted:
    """One misses a round, and leaves with its points; the aggregator loses the job, and its fees wait."""
    changes = {"rounds": 4, "min_rounds": 1, "max_trainers": 3, "max_missed": 3, "fee": 77, "takeover_window": 900}
    play = Scripted(chain, token, 1, rule=Rule.KRUM_COSINE, reward=1000, **changes)
    play.begin(3)
    play.round(3)
    play.round(2)
    play.market.leave(TRAINERS[2], play.job_id)
    play.round(2, settled=False)
    chain.forward(play.market.job(play.job_id).settle_by - chain.connection.now() + 1)
    play.market.take_over(OTHER, play.job_id, PEOPLE[8].address, KEY)
    play.publish(play.market.job(play.job_id))
    play.market.ask_end(OWNER, play.job_id)
    play.round(2)
    play.confirm()
    return play


def nothing_ever_opened(chain: Chain, token: Token) -> Scripted:
    """It ends in the middle of a void, without a settled round."""
    changes = {"rounds": 2, "min_rounds": 1, "min_trainers": 2, "max_trainers": 2, "max_faulty": 0, "max_voids": 1}
    play = Scripted(chain, token, 2, rule=Rule.KRUM_COSINE, reward=1000, max_missed=1, **changes)
    play.begin(2)
    play.round(2, settled=False)
    play.market.void_round(AGGREGATOR, play.job_id, 1, 0b11)
    play.look()
    play.market.redeliver(TRAINERS[1], play.job_id, 1, "bafyagain")
    chain.forward(play.terms.settle_window + 1)
    with suppress_into(play.refused):
        play.market.redeliver(TRAINERS[0], play.job_id, 1, "bafylate")
    play.market.void_round(AGGREGATOR, play.job_id, 1, 0b10)
    return play


def late_in_two_voids_of_a_round(chain: Chain, token: Token) -> Scripted:
    """Who did not deliver after the first is asked again, and has not missed the round; who never submitted has."""
    changes = {"rounds": 2, "min_rounds": 2, "min_trainers": 4, "max_trainers": 4, "max_faulty": 0, "max_voids": 2}
    play = Scripted(chain, token, 8, rule=Rule.KRUM_COSINE, reward=1000, max_missed=1, **changes)
    play.begin(4)
    play.round(3, settled=False)
    play.market.void_round(AGGREGATOR, play.job_id, 1, 0b111)
    play.market.redeliver(TRAINERS[1], play.job_id, 1, "bafyagain")
    chain.forward(play.terms.settle_window + 1)
    play.market.void_round(AGGREGATOR, play.job_id, 1, 0b010)
    play.look()
    for slot in (0, 1):
        play.market.redeliver(TRAINERS[slot], play.job_id, 1, "bafyagain")
    chain.forward(play.terms.settle_window + 1)
    judged = settlement(0b011, (1, 2), submitted=0b011)
    play.market.settle_round(AGGREGATOR, play.job_id, 1, *judged)
    assert play.look().active == 0b0111
    play.round(3)
    play.confirm()
    return play


def nobody_delivers_again(chain: Chain, token: Token) -> Scripted:
    """The round is skipped: it is no failure of the aggregator's, and nobody's miss."""
    changes = {"rounds": 2, "min_rounds": 2, "min_trainers": 2, "max_trainers": 2, "max_faulty": 0, "max_voids": 3}
    windows = {"takeover_window": 900, "max_empty_rounds": 2}
    play = Scripted(chain, token, 9, rule=Rule.KRUM_COSINE, reward=1000, max_missed=1, **changes, **windows)
    play.begin(2)
    play.round(2, settled=False)
    play.market.void_round(AGGREGATOR, play.job_id, 1, 0b01)
    chain.forward(play.terms.settle_window + 1)
    play.market.void_round(AGGREGATOR, play.job_id, 1, 0b10)
    chain.forward(2 * play.terms.settle_window + 1)
    for call in (play.abort, play.take_over):
        with suppress_into(play.refused):
            call(play.market.job(play.job_id))
    play.market.skip_round(PEOPLE[9], play.job_id)
    assert play.look().active == 0b11
    play.round(2)
    play.confirm()
    return play


def taken_over_while_delivering(chain: Chain, token: Token) -> Scripted:
    """What was delivered is to be paid by the bond; all is delivered to the newcomer, and can be void again."""
    changes = {"rounds": 1, "min_rounds": 1, "min_trainers": 3, "max_trainers": 3, "max_faulty": 0, "max_voids": 1}
    windows = {"takeover_window": 900}
    play = Scripted(chain, token, 10, rule=Rule.KRUM_COSINE, reward=1000, bond=5003, **changes, **windows)
    play.begin(3)
    play.round(3, settled=False)
    play.market.void_round(AGGREGATOR, play.job_id, 1, 0b110)
    play.market.redeliver(TRAINERS[1], play.job_id, 1, "bafyagain")
    chain.forward(2 * play.terms.settle_window + 1)
    play.market.take_over(OTHER, play.job_id, PEOPLE[8].address, KEY)
    assert play.look().rounds[0].undelivered == {0, 1, 2}
    with suppress_into(play.refused):
        play.market.redeliver(TRAINERS[0], play.job_id, 1, "bafyearly")
    play.publish(play.market.job(play.job_id))
    play.round(3, settled=False)
    play.market.void_round(OTHER, play.job_id, 1, 0b001)
    assert play.look().state is State.ABORTED
    return play


def one_left_out_and_rows_disputed(chain: Chain, token: Token) -> Scripted:
    """Most of the points are one's, one's are just below nothing, and who opened nothing has no say."""
    changes = {"rounds": 1, "min_rounds": 1, "min_trainers": 5, "max_trainers": 5, "max_faulty": 1, "max_missed": 2}
    points = {"rate": 2**40, "rate_decay": 2**32, "scale_exponent": -15, "reveal_window": 250}
    play = Scripted(chain, token, 11, rule=Rule.REFERENCE, reward=1000, fee=77, bond=5003, **changes, **points)
    play.begin(5)
    play.round(4, settled=False)
    whole = {"coefficients": (4096,) * 3, "rule": Rule.REFERENCE, "row_exponent": -45}
    judged = settlement(0b0111, (2**95 - 1, 2**90, -1), 0b1000, submitted=0b1111, **whole)
    play.market.settle_round(AGGREGATOR, play.job_id, 1, *judged)
    play.market.reveal(AGGREGATOR, play.job_id, "bafydata")
    for slot in (3, 4, 1, 2):
        with suppress_into(play.refused):
            play.market.dispute_rows(TRAINERS[slot], play.job_id, 1)
    play.confirm()
    return play


def left_before_the_start(chain: Chain, token: Token) -> Scripted:
    """Its seat stays free, and nobody has held it."""
    changes = {"rounds": 1, "min_rounds": 1, "min_trainers": 1, "max_trainers": 2, "max_missed": 2}
    play = Scripted(chain, token, 4, rule=Rule.KRUM_COSINE, reward=1000, **changes)
    for who in TRAINERS[:2]:
        play.market.join(who, play.job_id, who.address, KEY)
    play.market.leave(TRAINERS[1], play.job_id)
    play.accept(play.market.job(play.job_id))
    chain.forward(play.terms.enrol_by - chain.connection.now() + 1)
    play.market.start(OWNER, play.job_id)
    play.publish(play.market.job(play.job_id))
    play.look()
    play.round(1)
    play.confirm()
    return play


def absent_with_points(chain: Chain, token: Token) -> Scripted:
    changes = {"rounds": 2, "min_rounds": 2, "min_trainers": 2, "max_trainers": 2, "max_missed": 2}
    play = Scripted(chain, token, 3, rule=Rule.KRUM_COSINE, reward=1000, **changes)
    play.begin(2)
    play.round(2)
    play.round(1)
    play.confirm()
    return play


def rows_of_before_a_takeover(chain: Chain, token: Token) -> Scripted:
    """The newcomer's bond is not burnt for them."""
    changes = {"rounds": 2, "min_rounds": 2, "min_trainers": 5, "max_trainers": 5, "max_missed": 2, "max_faulty": 1}
    windows = {"takeover_window": 900, "reveal_window": 250}
    play = Scripted(chain, token, 5, rule=Rule.REFERENCE, reward=1000, fee=77, bond=5003, **changes, **windows)
    play.begin(5)
    play.round(5)
    play.round(5, settled=False)
    chain.forward(play.market.job(play.job_id).settle_by - chain.connection.now() + 1)
    play.market.take_over(OTHER, play.job_id, PEOPLE[8].address, KEY)
    play.publish(play.market.job(play.job_id))
    play.round(5)
    play.market.reveal(OTHER, play.job_id, "bafydata")
    for trainer in TRAINERS[:2]:
        play.market.dispute_rows(trainer, play.job_id, 1)
    assert play.look().bonded
    play.confirm()
    return play


def sum_and_rows_disputed(chain: Chain, token: Token) -> Scripted:
    """What the one has burnt the other does not burn again."""
    changes = {"rounds": 1, "min_rounds": 1, "min_trainers": 2, "max_trainers": 2, "max_faulty": 0, "max_missed": 2}
    play = Scripted(chain, token, 6, rule=Rule.REFERENCE, reward=1000, fee=77, bond=5003, reveal_window=250, **changes)
    play.begin(2)
    play.round(2)
    play.market.dispute(TRAINERS[0], play.job_id)
    play.look()
    play.market.dispute_rows(TRAINERS[1], play.job_id, 1)
    play.confirm()
    return play


def aborted_without_a_key(chain: Chain, token: Token) -> Scripted:
    changes = {"min_trainers": 1, "max_trainers": 1, "takeover_window": 900}
    play = Scripted(chain, token, 7, rule=Rule.KRUM_COSINE, **changes)
    play.market.join(TRAINERS[0], play.job_id, TRAINERS[0].address, KEY)
    play.accept(play.market.job(play.job_id))
    play.market.start(OWNER, play.job_id)
    chain.forward(play.terms.submit_window + play.terms.takeover_window + 1)
    play.market.abort(OWNER, play.job_id)
    return play


def struck_and_slashed_at_the_claim(chain: Chain, token: Token) -> Scripted:
    changes = {"rounds": 1, "min_rounds": 1, "min_trainers": 2, "max_trainers": 2, "max_faulty": 0, "max_strikes": 1}
    play = Scripted(chain, token, 12, rule=Rule.KRUM_COSINE, reward=1000, stake=10_007, slash_bps=3333, **changes)
    play.begin(2)
    play.round(2, settled=False)
    judged = settlement(0b01, (1,), struck=0b10, submitted=0b11)
    play.market.settle_round(AGGREGATOR, play.job_id, 1, *judged)
    play.confirm()
    return play


SCRIPTED = (
    struck_and_slashed_at_the_claim,
    sum_and_rows_disputed,
    aborted_without_a_key,
    rows_of_before_a_takeover,
    ended_early_after_a_takeover,
    nothing_ever_opened,
    late_in_two_voids_of_a_round,
    nobody_delivers_again,
    taken_over_while_delivering,
    one_left_out_and_rows_disputed,
    left_before_the_start,
    absent_with_points,
)

CORNERS = {
    *("COMPLETED", "CANCELLED", "ABORTED", "ejected", "left running", "gone with points", "skipped", "absent"),
    *("by points", "by rounds opened", "a slash in the pot"),
    *("a negative balance", "cut off above", "cut off below", "rounded down to minus one"),
    *("the rate fell", "ended early", "aborted without a key", "taken over", "confirmed", "shown"),
    *("disputed", "completed though disputed"),
    *("revealed", "rows disputed", "rows of before a takeover", "not revealed", "less than by points", "sum and rows"),
    *("nothing selected", "unopened", "scaled down", "reference rows"),
    *("void", "void twice in a round", "delivered again", "not delivered", "ended by a void", "and nothing settled"),
}
REFUSALS = {
    *("CoefficientCount", "InvalidCoefficient", "WrongPoints", "ReferenceRows", "InvalidCid"),
    *("NotVoidable", "NothingToDeliver", "SubmittingClosed", "SubmittingOpen", "NothingSubmitted"),
    "KeyNotPublished",
    *("TooManyUnopened", "WrongStrikes", "ScoreCount", "EndAlreadyAsked", "NotOver", "NotMember", "AlreadyClaimed"),
    *("NothingToClaim", "NotCompletable", "StartDelayed"),
    *("NothingToReveal", "RevealingClosed", "RevealingOpen", "NotRevealer", "OpenedNothing"),
}


def seen_in(history: JobHistory) -> set[str]:
    """The corners of the rules that a job went through, to be sure that the plays reach them all."""
    events = [r.settled or r.skipped for r in history.rounds]
    members = [history.participants[slot] for slot in slots(history.members)]
    settled, over = history.settled_rounds, history.state.over and history.settled_rounds
    seen = {history.state.name}
    seen |= {"ejected" for who in history.enrolled if who.until and not isinstance(who.until, Left)}
    seen |= {"left running" for who in history.enrolled if isinstance(who.until, Left) and history.rounds}
    seen |= {"gone with points" for who in members if who.until and who.points(settled)}
    seen |= {"skipped" for e in events if isinstance(e, RoundSkipped)}
    judged = [r.settled.settlement for r in history.rounds if r.settled]
    seen |= {"unopened" for j in judged if j.unopened}
    seen |= {"nothing selected" for j in judged if not j.selected}
    seen |= {"void" for r in history.rounds if r.voids}
    seen |= {"void twice in a round" for r in history.rounds if sum(v.deliver_by > 0 for v, _ in r.voids) > 1}
    seen |= {"delivered again" for r in history.rounds if r.settled and r.delivering and not r.undelivered}
    seen |= {"not delivered" for r in history.rounds if r.settled and r.undelivered}
    if history.rounds and any(not v.deliver_by for v, _ in history.rounds[-1].voids):
        seen |= {"ended by a void"} | ({"and nothing settled"} if not history.settled_rounds else set())
    seen |= {"scaled down" for j in judged if j.coefficients and max(j.coefficients) < 4096}
    seen |= {"reference rows" for j in judged if any(j.reference_commitment)}
    gains = [gain for of in history.gains.values() for gain in of.values()]
    seen |= {"cut off above" for gain in gains if gain == MOST}
    seen |= {"cut off below" for gain in gains if gain == -MOST}
    seen |= {"rounded down to minus one" for gain in gains if gain == -1}
    seen |= {"a negative balance" for who in members if who.balance < 0}
    seen |= {"the rate fell" for _ in events if history.rate < history.terms.rate}
    if over:
        points = [who.points(settled) for who in members]
        opened = [who.opened(settled) for who in members]
        assert any(opened), "a round that is settled has opened for somebody"
        seen.add("by points" if any(points) else "by rounds opened")
        seen |= {"absent" for who in members if who.absences and who.points(settled)}
        seen |= {"a slash in the pot" for _ in [1] if history.pot > history.terms.reward * settled}
    if history.end_asked and history.state is State.COMPLETED and len(history.rounds) < history.terms.rounds:
        seen.add("ended early")
    if history.state is State.ABORTED and not history.key_published:
        seen.add("aborted without a key")
    seen |= {"taken over" for r in history.rounds if r.attempts}
    seen |= {"confirmed" for _ in [history.confirm_by] if _}
    seen |= {"disputed" for _ in [1] if history.disputed_sum}
    seen |= {"completed though disputed" for _ in [1] if history.disputed_sum and history.state is State.COMPLETED}
    seen |= {"shown" for _ in history.shown}
    seen |= {"revealed" for _ in history.reveals}
    if history.disputed_rows:
        seen.add("rows disputed" if history.rows_disputed else "not revealed")
        seen |= {"sum and rows" for _ in [1] if history.disputed_sum}
        seen |= {"rows of before a takeover" for _ in [1] if len(history.own_rows_disputed) < history.rows_quorum}
    if over and history.disputed_rows:
        by_points = divide(history.pot, [who.balance for who in members], [who.opened(settled) for who in members])
        seen |= {"less than by points" for _ in [1] if list(history.divided(history.pot).values()) != by_points}
    return seen


@pytest.mark.timeout(1200)
def test_random_jobs_replay_to_what_the_contract_holds(chain: Chain) -> None:
    token = new_token(chain)
    for person in PEOPLE:
        token.send("mint(address,uint256)", person.address, 10**24)
    seen: set[str] = set()
    refused: Counter[str] = Counter()
    reasons: set[Reason] = set()
    slashed: set[str] = set()
    owed: defaultdict[tuple[str, str], int] = defaultdict(int)
    withdrawer = random.Random(7)
    for made in (*range(PLAYS), *SCRIPTED):
        play = Play(chain, token, made) if isinstance(made, int) else made(chain, token)
        play.run()
        seen |= seen_in(play.look())
        play.finish()
        history = play.look()
        seen |= seen_in(history)
        refused += play.refused
        for payee, amount in history.credits.items():
            owed[payee, play.terms.token] += amount
        who = withdrawer.choice([OWNER, AGGREGATOR, PEOPLE[8]])
        if owed[who.address, play.terms.token]:
            chain.market.withdraw(who, play.terms.token)
            owed[who.address, play.terms.token] = 0
        log = chain.events(play.job_id)
        reasons |= {e.reason for e in log if isinstance(e, Credited)}
        slashed |= {type(e).__name__ for e in log if isinstance(e, Ejected | Claimed) and e.slashed}
        slashed |= {"fees" for e in log if isinstance(e, FeesClaimed) and e.fees}

    for (payee_address, paid_in), amount in owed.items():
        assert chain.market.credit(payee_address, paid_in) == amount
    everything = chain.events()
    assert any(isinstance(e, Withdrawn) for e in everything)
    assert tokens(everything) == {ZERO_ADDRESS, token.address}
    balances = {paid_in: chain.market.balance(paid_in) for paid_in in tokens(everything)}
    assert conservation(everything, balances) == []
    for paid_in, balance in balances.items():
        short = conservation(everything, balances | {paid_in: balance - 1})
        assert [finding.what for finding in short] == [f"balance in {paid_in}"]
        assert conservation(everything, balances | {paid_in: balance + 1}) == []

    assert reasons == set(Reason)
    assert REFUSALS - refused.keys() | CORNERS - seen | {"Ejected", "Claimed", "fees"} - slashed == set()
