"""A dishonest aggregator against the contract and its verifiers: only what follows from the submissions is paid."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from marketplace.chain.market import Market
from marketplace.domain import RoundProof, Settlement, State
from marketplace.errors import Reverted
from marketplace.services.audit import audit_job
from tests.chain_fixtures import NO_PROOF, ONE_FAULTY
from tests.jobs import Play, World, new_play
from zk.transcript import P

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

Lie = Callable[[Settlement, RoundProof], tuple[Settlement, RoundProof]]


def swapped(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """The first two points exchanged."""
    return (*numbers[2:4], *numbers[:2], *numbers[4:])


def bumped(numbers: tuple[int, ...], at: int) -> tuple[int, ...]:
    return (*numbers[:at], (numbers[at] + 1) % P, *numbers[at + 1 :])


LIES: dict[str, tuple[str, Lie]] = {
    "one more to a friend": (
        "DecisionProofRefused",
        lambda s, p: (replace(s, scores=bumped(s.scores, 0)), p),
    ),
    "a rival's score to a friend": (
        "DecisionProofRefused",
        lambda s, p: (replace(s, scores=(s.scores[0] + s.scores[1], 0, *s.scores[2:])), p),
    ),
    "a rival left out": (
        "GramProofRefused",
        lambda s, p: (
            replace(s, selected=s.selected & ~1, scores=s.scores[1:], coefficients=s.coefficients[1:]),
            p,
        ),
    ),
    "a rival called unopened": (
        "PointCount",
        lambda s, p: (
            replace(s, unopened=1, selected=s.selected & ~1, scores=s.scores[1:], coefficients=s.coefficients[1:]),
            p,
        ),
    ),
    "two rivals called unopened": (
        "TooManyUnopened",
        lambda s, p: (
            replace(s, unopened=3, selected=s.selected & ~3, scores=s.scores[2:], coefficients=s.coefficients[2:]),
            p,
        ),
    ),
    "a rival left out and struck": (
        "GramProofRefused",
        lambda s, p: (
            replace(s, selected=s.selected & ~1, struck=1, scores=s.scores[1:], coefficients=s.coefficients[1:]),
            p,
        ),
    ),
    "a rival selected and struck": ("WrongStrikes", lambda s, p: (replace(s, struck=1), p)),
    "a coefficient of a friend": (
        "GramProofRefused",
        lambda s, p: (replace(s, coefficients=(s.coefficients[0] - 1, *s.coefficients[1:])), p),
    ),
    "two trainers' rows exchanged": (
        "NotItsCommitment",
        lambda s, p: (s, replace(p, commitments=swapped(p.commitments))),
    ),
    "another sum": ("WrongPoints", lambda s, p: (s, replace(p, sums=p.commitments[:2]))),
    "another sum, named so": (
        "GramProofRefused",
        lambda s, p: (replace(s, sum_commitment=_hash(p.commitments[:2])), replace(p, sums=p.commitments[:2])),
    ),
    "another reference row": (
        "WrongPoints",
        lambda s, p: (s, replace(p, commitments=(*p.commitments[:-2], *p.commitments[:2]))),
    ),
    "another Gram matrix": ("GramProofRefused", lambda s, p: (s, replace(p, gram_hash=(p.gram_hash + 1) % P))),
    "another y": ("GramProofRefused", lambda s, p: (s, replace(p, gram=bumped(p.gram, 10)))),
    "no proof at all": ("PointCount", lambda s, p: (s, NO_PROOF)),
}


def _hash(numbers: tuple[int, ...]) -> bytes:
    from marketplace.services.rounds import bytes_of
    from zk.encoding import commitment_hash

    return commitment_hash(bytes_of(numbers))


def test_the_contract_refuses_every_lie_and_pays_the_truth(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    play = new_play(world, rounds=2, **ONE_FAULTY)
    honest, met, refused = Market.settle_round, list[int](), dict[str, str]()

    def settle(self: Market, signer: Any, job_id: int, round: int, said: Settlement, proof: RoundProof) -> Any:
        if round not in met:
            met.append(round)
            for name, (_, lie) in LIES.items():
                try:
                    honest(self, signer, job_id, round, *lie(said, proof))
                except Reverted as error:
                    refused[name] = error.name
                else:
                    pytest.fail(f"the contract settled {name}")
        return honest(self, signer, job_id, round, said, proof)

    monkeypatch.setattr(Market, "settle_round", settle)
    assert play.finish() is State.COMPLETED
    assert met == [1, 2]
    assert refused == {name: error for name, (error, _) in LIES.items()}
    assert audit_job(world.watcher("auditor"), play.job_id).ok


def test_a_proof_is_worth_nothing_in_another_round(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    play = new_play(world, rounds=2)
    honest, first, refused = Market.settle_round, list[Any](), list[str]()

    def settle(self: Market, signer: Any, job_id: int, round: int, said: Settlement, proof: RoundProof) -> Any:
        if round == 2:
            for replay in (first[0], (first[0][0], proof), (said, first[0][1]), (said, _mixed(proof, first[0][1]))):
                with pytest.raises(Reverted) as caught:
                    honest(self, signer, job_id, round, *replay)
                refused.append(caught.value.name)
        first.append((said, proof))
        return honest(self, signer, job_id, round, said, proof)

    monkeypatch.setattr(Market, "settle_round", settle)
    assert play.finish() is State.COMPLETED
    assert refused == ["NotItsCommitment", "WrongPoints", "NotItsCommitment", "GramProofRefused"]


def _mixed(proof: RoundProof, other: RoundProof) -> RoundProof:
    """This round's points with the other's proofs."""
    return replace(proof, gram_hash=other.gram_hash, gram=other.gram, decision=other.decision)


def test_a_judgement_that_does_not_follow_cannot_be_proved(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    from marketplace.services import aggregator

    honest = aggregator.judge

    def generous(*args: Any, **options: Any) -> Any:
        judged = honest(*args, **options)
        scores = (judged.decision.scores[0] + 1, *judged.decision.scores[1:])
        return replace(judged, decision=replace(judged.decision, scores=scores))

    monkeypatch.setattr(aggregator, "judge", generous)
    with pytest.raises(ValueError, match="does not give these selected slots"):
        play.finish()
