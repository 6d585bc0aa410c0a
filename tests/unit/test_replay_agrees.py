"""The replay against the contract: whatever is done to jobs on a real chain, their events alone give the same."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount

from marketplace.domain import (
    ZERO_ADDRESS,
    Credited,
    Ejected,
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

pytest_plugins = ["tests.chain_fixtures"]

OWNER, AGGREGATOR, *TRAINERS = PEOPLE[1:8]
OTHER = PEOPLE[0]  # takes jobs over
STEPS = 60


@contextmanager
def suppress_into(refused: Counter[str]) -> Iterator[None]:
    try:
        yield
    except Reverted as refusal:
        refused[refusal.name] += 1


class Play:
    """Random calls on one job, mostly such as the contract may take, some that it must refuse."""

    def __init__(self, chain: Chain, token: Token, seed: int) -> None:
        self.chain, self.market, self.random = chain, chain.market, random.Random(seed)
        self.refused: Counter[str] = Counter()
        self.failing = seed >= 26  # those in which aggregators are replaced and sums disputed
        pick = self.random
        most = pick.choice([1, 2, 3, 3, 4, 4])
        self.terms = terms(
            chain,
            token=pick.choice([ZERO_ADDRESS, token.address]),
            reward=pick.choice([0, 1, 1000, 999_983]),
            fee=pick.choice([0, 77]),
            stake=pick.choice([0, 10_007, 10_007]),
            bond=pick.choice([0, 5003]),
            rule=pick.choice(list(Rule)),
            rounds=pick.randint(1, 4),
            min_trainers=pick.randint(1, most),
            max_trainers=most,
            takeover_window=pick.choice([0, 900]) if self.failing else 0,
            max_faulty=pick.randint(0, most - 1),
            max_missed=pick.randint(1, 2),
            max_strikes=pick.randint(1, 2),
            max_empty_rounds=pick.randint(1, 3),
            slash_bps=pick.choice([0, 3333, 3333, 10_000]),
        )
        self.job_id, _ = self.market.create_job(OWNER, self.terms, KEY, "bafyspec")

    def run(self) -> None:
        for _ in range(STEPS):
            job = self.market.job(self.job_id)
            if job.state.over:
                break
            weights = self._weights(job)
            action = self.random.choices(list(weights), list(weights.values()))[0]
            with suppress_into(self.refused):
                action(job)

    def _weights(self, job: Job) -> dict[Callable[[Job], object], float]:
        match job.state:
            case State.OPEN:
                return self._opened()
            case State.CONFIRMING:
                return {self.leave: 2, self.dispute: 1, self.complete: 0.5, self.wait: 0.3, self.show: 0.2}
        return self._running(job)

    def _opened(self) -> dict[Callable[[Job], object], float]:
        return {self.join: 8, self.accept: 4, self.start: 3, self.leave: 1, self.cancel: 0.2, self.wait: 0.5}

    def _running(self, job: Job) -> dict[Callable[[Job], object], float]:
        if not job.key_published:
            return {
                **{self.publish: 5, self.wait: 0.3, self.abort: 0.5, self.leave: 0.3, self.take_over: 1},
                **({self.hand_over: 1} if job.taken_over else {}),
            }
        return {
            **{self.submit: 8, self.settle: 4, self.skip: 1, self.abort: 0.4, self.wait: 1.5, self.leave: 0.4},
            **({self.take_over: 1.5, self.dispute: 0.6, self.show: 0.1} if self.failing else {}),
        }

    def join(self, job: Job) -> None:
        who = self.random.choice(TRAINERS)
        payee = self.random.choice([who, PEOPLE[8]]).address
        self.market.join(who, self.job_id, payee, KEY)

    def accept(self, job: Job) -> None:
        self.market.accept_aggregation(AGGREGATOR, self.job_id, AGGREGATOR.address, KEY)

    def start(self, job: Job) -> None:
        self.market.start(PEOPLE[9], self.job_id)

    def leave(self, job: Job) -> None:
        self.market.leave(self.random.choice(TRAINERS), self.job_id)

    def cancel(self, job: Job) -> None:
        self.market.cancel(self.random.choice([OWNER, PEOPLE[9]]), self.job_id)

    def publish(self, job: Job) -> None:
        self.market.publish_key(self.judge(job), self.job_id, "bafykey")

    def judge(self, job: Job) -> LocalAccount:
        return OTHER if job.aggregator == OTHER.address else AGGREGATOR

    def take_over(self, job: Job) -> None:
        self.market.take_over(self.random.choice([OTHER, AGGREGATOR]), self.job_id, PEOPLE[8].address, KEY)

    def hand_over(self, job: Job) -> None:
        self.market.hand_over(self.random.choice([OWNER, *TRAINERS]), self.job_id, "bafyhanded")

    def dispute(self, job: Job) -> None:
        self.market.dispute(self.member(job)[1], self.job_id)

    def complete(self, job: Job) -> None:
        self.market.complete(PEOPLE[9], self.job_id)

    def show(self, job: Job) -> None:
        self.market.show_opening(self.random.choice(TRAINERS), self.job_id, job.round, "bafyshown")

    def submit(self, job: Job) -> None:
        slot, signer = self.member(job)
        self.market.submit_update(signer, self.job_id, job.round, commitment(job.round, slot), f"bafy{slot}")

    def member(self, job: Job) -> tuple[int, LocalAccount]:
        slot = self.random.choice([*slots(job.active)])
        who = self.market.trainer(self.job_id, slot)
        assert who
        return slot, next(person for person in TRAINERS if person.address == who.operator)

    def settle(self, job: Job) -> None:
        submitted = [*slots(job.submitted)]
        likely = self.random.choice([0.05, 1]) if len(submitted) <= self.terms.max_faulty else 0.1
        unopened = {slot for slot in submitted if self.random.random() < likely}
        selected = {slot for slot in submitted if slot not in unopened and self.random.random() < 0.7}
        weights = tuple(self.random.choice([0, 1, 2, 10**9 + 7, 2**96 - 1]) for _ in selected)
        coefficients = tuple(self.random.choice([0, 1, 4095, 4096]) for _ in selected)
        judged, proof = settlement(
            mask_of(selected),
            weights,
            mask_of(unopened),
            submitted=job.submitted,
            round_=job.round,
            rule=self.terms.rule,
            coefficients=coefficients if self.terms.rule is Rule.REFERENCE else (),
        )
        with suppress_into(self.refused):
            self.market.settle_round(self.judge(job), self.job_id, job.round, self._unsound(judged), proof)
            return
        self.market.settle_round(self.judge(job), self.job_id, job.round, judged, proof)

    def _unsound(self, judged: Settlement) -> Settlement:
        """What the contract must refuse, unless it is the same or else sound."""
        changes: dict[str, Any] = self.random.choice(
            [
                {"coefficients": (*judged.coefficients, 1)},
                {"coefficients": tuple(4097 for _ in judged.coefficients)},
                {"sum_commitment": bytes(32)},
                {"sum_commitment": b"\x05" * 32},
                {"reference_cid": "bafyrows", "reference_commitment": b"\x05" * 32},
                {"reference_cid": "", "reference_commitment": bytes(32)},
                {"sum_cid": "" if judged.sum_cid else "bafysum"},
            ]
        )
        return replace(judged, **changes)

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


def seen_in(history: JobHistory) -> set[str]:
    """The corners of the rules that a job went through, to be sure that the plays reach them all."""
    events = [r.settled or r.skipped for r in history.rounds]
    seen = {history.state.name}
    seen |= {"ejected" for who in history.enrolled if who.until and not isinstance(who.until, Left)}
    seen |= {"left running" for who in history.enrolled if isinstance(who.until, Left) and history.rounds}
    seen |= {"skipped" for e in events if isinstance(e, RoundSkipped)}
    seen |= {"carried" for r in history.rounds if r.pot > history.terms.reward}
    seen |= {"rounding" for r in history.rounds if 0 < sum(r.pays.values()) < r.pot}
    judged = [r.settled.settlement for r in history.rounds if r.settled]
    seen |= {"nothing opened" for j in judged if not any(j.sum_commitment)}
    seen |= {"nothing selected" for j in judged if any(j.sum_commitment) and not j.selected}
    seen |= {"scaled down" for j in judged if j.coefficients and max(j.coefficients) < 4096}
    seen |= {"reference rows" for j in judged if any(j.reference_commitment)}
    seen |= {"nobody paid" for r in history.rounds if r.settled and r.pot and not sum(r.pays.values())}
    if history.state is State.ABORTED and not history.key_published:
        seen.add("aborted without a key")
    seen |= {"taken over" for r in history.rounds if r.attempts}
    seen |= {"confirmed" for _ in [history.confirm_by] if _}
    seen |= {"shown" for _ in history.shown}
    return seen


@pytest.mark.timeout(120)
def test_random_jobs_replay_to_what_the_contract_holds(chain: Chain) -> None:
    token = new_token(chain)
    for person in PEOPLE:
        token.send("mint(address,uint256)", person.address, 10**12)
    seen: set[str] = set()
    refused: Counter[str] = Counter()
    reasons: set[Reason] = set()
    strikes: set[bool] = set()
    owed: defaultdict[tuple[str, str], int] = defaultdict(int)
    withdrawer = random.Random(7)
    for seed in range(40):
        play = Play(chain, token, seed)
        play.run()
        refused += play.refused
        log = chain.events(play.job_id)
        history = replay(log)
        assert history.findings == [], f"seed {seed}"
        assert history.job() == chain.market.job(play.job_id), f"seed {seed}"
        for slot in range(play.terms.max_trainers):
            assert history.trainer(slot) == chain.market.trainer(play.job_id, slot), f"seed {seed}"
        assert history.paid_in == history.held + history.credits.total(), f"seed {seed}"
        for payee, amount in history.credits.items():
            owed[payee, play.terms.token] += amount
        who = withdrawer.choice([OWNER, AGGREGATOR, PEOPLE[8]])
        if owed[who.address, play.terms.token]:
            chain.market.withdraw(who, play.terms.token)
            owed[who.address, play.terms.token] = 0
        seen |= seen_in(history)
        reasons |= {e.reason for e in log if isinstance(e, Credited)}
        strikes |= {e.strikes for e in log if isinstance(e, Ejected)}

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
    assert strikes == {True, False}
    assert seen >= {"COMPLETED", "CANCELLED", "ABORTED", "ejected", "left running", "skipped", "carried"}
    assert seen >= {"rounding", "nobody paid", "aborted without a key"}
    assert seen >= {"taken over", "confirmed", "shown"}
    assert seen >= {"nothing opened", "nothing selected", "scaled down", "reference rows"}
    assert refused.keys() >= {"CoefficientCount", "InvalidCoefficient", "WrongPoints", "ReferenceRows", "InvalidCid"}
    assert refused.keys() >= {"NothingOpened", "TooManyUnopened"}
    assert len(refused) >= 10
