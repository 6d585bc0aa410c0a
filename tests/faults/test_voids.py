"""What does not open: more of it than may be left out is asked for again, and nobody gains by it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from marketplace.chain.clock import skip_to
from marketplace.chain.market import Market
from marketplace.domain import ZERO_ADDRESS, State, slots
from marketplace.errors import InputError, NotFound, StorageError
from marketplace.services.agent import Agent, Step
from marketplace.services.audit import AuditReport, audit_job
from marketplace.services.node import JobFeed
from marketplace.services.openings import read_submission, show_opening
from marketplace.services.proofs import CommittedRow
from marketplace.services.submissions import Submissions, Submitted
from marketplace.storage import put_bytes
from tests.chain_fixtures import ONE_FAULTY
from tests.jobs import Play, World, new_play, step_until
from tests.patience import PATIENCE

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

POINTS = {"validation": False, "rule": "krum-cosine"}
RUBBISH = b"bytes that are no update"


def audited(play: Play) -> AuditReport:
    return audit_job(play.world.watcher("auditor"), play.job_id)


def said(report: AuditReport, name: str) -> str:
    return next((check.detail for check in report.checks if check.name == name), "")


def slots_of(play: Play, *numbers: int) -> set[int]:
    """The seats of trainers, by their numbers."""
    history = play.history()
    found = {history.slot_of(play.trainers[number].me.address) for number in numbers}
    return {slot for slot in found if slot is not None}


class Rubbish:
    """A trainer that submits what opens for nobody, and does no more. again: whether it delivers, when it is asked."""

    def __init__(self, play: Play, number: int, *, again: bool = False) -> None:
        self.play, self.node, self.again = play, play.trainers[number], again

    def step(self) -> Step:
        market, account, job_id = self.play.world.chain.market, self.node.me.account, self.play.job_id
        history, job = self.play.history(), market.job(job_id)
        slot = history.slot_of(account.address)
        if slot is None:
            market.join(account, job_id, account.address, self.node.me.encryption_key)
            return Step.WORKED
        if job.state is not State.RUNNING or not job.key_published or market.connection.now() > job.submit_by:
            return Step.WAITING
        cid = put_bytes(self.node.storage, RUBBISH + bytes([slot]))
        if job.delivering:
            if not self.again or not job.undelivered >> slot & 1:
                return Step.WAITING
            market.redeliver(account, job_id, job.round, cid)
        elif job.submitted >> slot & 1:
            return Step.WAITING
        else:
            market.submit_update(account, job_id, job.round, b"\x07" * 32, cid)
        return Step.WORKED


def cast(play: Play, *senders: Rubbish) -> list[Agent]:
    """The aggregator, these senders, and honest trainers in the other seats."""
    bad = {sender.node.me.address for sender in senders}
    honest = [play.trainer(n) for n, node in enumerate(play.trainers) if node.me.address not in bad]
    return [play.judge(), *honest, *senders]


def until_delivered(play: Play, agents: list[Agent]) -> None:
    """Plays until all three have submitted and delivered; the aggregator, who comes first, has opened nothing."""
    step_until(agents, lambda: play.world.chain.market.job(play.job_id).submitted == 0b111)
    named = [event.cid for event in play.history().rounds[0].submissions.values()]
    step_until(agents[1:], lambda: all(play.world.storage.has(cid) for cid in named))


def lose(play: Play, cid: str) -> bytes:
    """Makes storage lose a file; its bytes."""
    path = play.world.folder / "storage" / cid[-3:-1] / cid
    data = path.read_bytes()
    path.unlink()
    return data


def voided_for_lost(world: World, *lost: int, **terms: Any) -> tuple[Play, list[Any]]:
    """A job of three whose first round is void, since storage has lost what these seats submitted; its agents."""
    play = new_play(world, rounds=1, **POINTS, **terms)
    agents, market = play.agents(), world.chain.market
    until_delivered(play, agents)
    for slot in lost:
        lose(play, play.history().rounds[0].submissions[slot].cid)
    play.pass_half_of_settling()
    step_until([play.judge()], lambda: market.job(play.job_id).delivering)
    return play, agents


@pytest.mark.parametrize("rule", ["reference", "krum-cosine"])
def test_rubbish_from_more_than_f_trainers_takes_no_bond_and_the_round_is_settled_without_them(
    world: World, rule: str
) -> None:
    """They deliver nothing again; before voids they took the aggregator's bond with it."""
    play = new_play(world, validation=rule == "reference", rounds=1, **ONE_FAULTY)
    senders = Rubbish(play, 3), Rubbish(play, 4)
    assert play.finish(cast(play, *senders)) is State.COMPLETED
    history, bad = play.history(), slots_of(play, 3, 4)
    ((event, _),) = history.rounds[0].voids
    assert set(slots(event.unopened)) == bad == history.rounds[0].undelivered
    assert set(slots(history.settled[1].submitted)) == slots_of(play, 0, 1, 2)
    terms = history.terms
    assert history.credits[play.aggregator.me.address] == terms.bond + terms.fee, "the bond stays"
    parts = history.divided(history.pot)
    assert all(parts[slot] == 0 for slot in bad)
    assert sum(parts[slot] for slot in slots_of(play, 0, 1, 2)) > history.pot - 5
    assert world.kinds("aggregator").count("void") == 1
    report = audited(play)
    assert report.ok
    seats = ", ".join(map(str, sorted(bad)))
    assert f"round 1: the updates of seats {seats} were said not to open" in said(report, "voids")
    assert f"seats {seats} did not deliver again" in said(report, "voids")


def test_who_owns_a_job_gains_nothing_by_rubbish_senders_of_its_own(world: World) -> None:
    """With every seat but one it can keep a job from its work; it gets back less than it escrowed, and no bond."""
    play = new_play(world, rounds=1, min_trainers=3, max_voids=1, **POINTS)
    senders = [Rubbish(play, number, again=True) for number in (1, 2)]
    assert play.finish(cast(play, *senders)) is State.ABORTED
    history, terms = play.history(), play.history().terms
    assert history.settled_rounds == 0
    assert history.voids == 1
    assert len(history.rounds[0].voids) == 2, "the second of which ended the job"
    assert history.credits[ZERO_ADDRESS] == terms.reward
    assert history.credits[play.owner.me.address] == terms.escrow - terms.reward
    assert history.credits[play.aggregator.me.address] == terms.bond
    assert audited(play).ok


def test_content_that_storage_lost_is_delivered_again_and_everybody_is_paid_as_if_nothing_was(world: World) -> None:
    play = new_play(world, rounds=2, **POINTS)
    agents, market = play.agents(), world.chain.market
    until_delivered(play, agents)
    (other,) = (node for number, node in enumerate(play.trainers) if slots_of(play, number) == {2})
    large = read_submission(other.work(play.job_id) / "round-1").content
    lost = [lose(play, cid) for cid in (play.history().rounds[0].submissions[0].cid, large)]
    agents[0] = play.judge()  # another process, which has opened none of them
    agents[0].step()
    assert market.job(play.job_id).voids == 0, "they may come yet"
    play.pass_half_of_settling()
    agents[0].step()
    job = market.job(play.job_id)
    assert (job.voids, job.delivering, job.undelivered) == (1, True, 0b101)
    assert agents[0].step() is Step.WAITING, "what is asked for is waited for"
    assert play.finish([play.judge(), *agents[1:]]) is State.COMPLETED
    history = play.history()
    assert sorted(history.settled) == [1, 2]
    assert [event.submitted for event in history.settled.values()] == [0b111] * 2
    assert not any(event.settlement.unopened for event in history.settled.values())
    assert history.voids == 1
    assert len(lost) == 2
    terms = history.terms
    assert history.credits[play.aggregator.me.address] == terms.bond + 2 * terms.fee
    assert sum(history.divided(history.pot).values()) > 2 * terms.reward - 3
    assert [who.opened(2) for who in history.holders.values()] == [2] * 3
    assert [world.kinds(f"trainer {number}").count("redelivered") for number in range(3)].count(1) == 2
    report = audited(play)
    assert report.ok
    assert said(report, "voids") == "round 1: the updates of seats 0, 2 were said not to open"


def test_trainers_that_are_started_again_in_the_middle_deliver_once(world: World) -> None:
    play, _ = voided_for_lost(world, 0, 1, 2)
    market = world.chain.market
    for _ in range(3):
        for number in range(3):
            play.trainer(number).step()
    assert [world.kinds(f"trainer {number}").count("redelivered") for number in range(3)] == [1] * 3
    assert market.job(play.job_id).complete
    assert play.finish() is State.COMPLETED
    assert play.history().voids == 1


def test_a_trainer_without_its_bytes_says_so_and_loses_its_pay_alone(world: World) -> None:
    play = new_play(world, rounds=1, **POINTS)
    agents = play.agents()
    until_delivered(play, agents)
    (slot,) = slots_of(play, 0)
    lose(play, play.history().rounds[0].submissions[slot].cid)
    kept = play.trainers[0].work(play.job_id) / "round-1" / "sealed"
    kept.write_bytes(kept.read_bytes()[:-1])  # a disk that has spoiled it
    agents[0] = play.judge()
    play.pass_half_of_settling()
    assert play.finish(agents) is State.COMPLETED
    history = play.history()
    assert history.rounds[0].undelivered == {slot}
    assert history.participants[slot].missed == 0, "it has committed in time"
    assert history.credits[play.trainers[0].me.address] == history.terms.stake
    assert any("not kept on this machine" in notice.text for who, notice in world.notices if who == "trainer 0")
    assert audited(play).ok, "what was not delivered again may be missing"


def test_storage_that_fails_for_a_trainer_is_tried_again_before_the_time_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    play, _ = voided_for_lost(world, 0)
    market = world.chain.market
    (number,) = (n for n in range(3) if slots_of(play, n) == {0})
    trainer = play.trainer(number)

    def down(*_: Any, **__: Any) -> str:
        raise StorageError("The storage cannot be reached.")

    with monkeypatch.context() as during:
        during.setattr(type(world.storage), "put", down)
        with pytest.raises(StorageError):  # which the loop bears
            trainer.step()
    assert market.job(play.job_id).undelivered == 1
    assert trainer.step() is Step.WORKED
    assert market.job(play.job_id).undelivered == 0
    assert play.finish() is State.COMPLETED


@contextmanager
def outage(world: World, monkeypatch: pytest.MonkeyPatch, error: Exception) -> Iterator[None]:
    def down(*_: Any, **__: Any) -> int:
        raise error

    with monkeypatch.context() as during:
        during.setattr(type(world.storage), "get", down)
        yield


@pytest.mark.parametrize(
    "error", [StorageError("It cannot be reached."), NotFound("It is not there.")], ids=["down", "empty"]
)
def test_an_aggregator_whose_storage_gives_nothing_makes_no_round_void(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Good submissions are not called unopened because a machine has lost its network: once it is back, they open."""
    play = new_play(world, rounds=1, **POINTS)
    agents, market = play.agents(), world.chain.market
    until_delivered(play, agents)
    agents[0] = play.judge()
    play.pass_half_of_settling()
    with outage(world, monkeypatch, error):
        for _ in range(3):
            assert agents[0].step() is Step.WAITING
    assert market.job(play.job_id).voids == 0
    assert sum("storage gives nothing" in notice.text for _, notice in world.notices) == 1
    assert play.finish(agents) is State.COMPLETED
    history = play.history()
    assert history.voids == 0
    assert history.settled[1].submitted == 0b111


def test_an_aggregator_that_calls_good_submissions_bad_again_and_again_gains_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sees every update, and can end the job with it; it has its bond back, and no fee of that round."""
    play = new_play(world, rounds=3, max_voids=2, **POINTS)
    honest = Submissions.open_all

    def blind(self: Submissions, job: Any, *args: Any, **options: Any) -> Any:
        rows, unopened, missing = honest(self, job, *args, **options)
        return (rows, unopened, missing) if job.round == 1 else ([None] * len(rows), [0, 1, 2], [])

    monkeypatch.setattr(Submissions, "open_all", blind)
    assert play.finish() is State.ABORTED
    history = play.history()
    terms = history.terms
    assert history.voids == terms.max_voids == 2
    assert [len(entry.voids) for entry in history.rounds] == [0, 3]
    assert history.settled_rounds == 1
    assert history.credits[play.aggregator.me.address] == terms.bond + terms.fee
    assert history.credits[play.owner.me.address] == terms.escrow - 2 * terms.reward - terms.fee, "one paid, one burnt"
    rest = history.pot - sum(history.divided(history.pot).values())
    assert history.credits[ZERO_ADDRESS] == terms.reward + rest
    for trainer in play.trainers:
        slot = history.slot_of(trainer.me.address)
        assert slot is not None
        assert history.credits[trainer.me.address] == terms.stake + history.divided(history.pot)[slot]
    trainer = play.trainers[0]
    show_opening(trainer, play.job_id, 2)
    report = audited(play)
    assert report.ok, "the payouts followed the rules"
    claimed = "round 2: the updates of seats 0, 1, 2 were said not to open"
    assert said(report, "voids") == "; ".join([claimed, claimed, f"{claimed}, and the job ended"])
    assert said(report, "openings") == (
        f"the submission of {trainer.me.address} in round 2 opens, which {play.aggregator.me.address} called unopened"
    )


def test_an_opening_is_not_shown_while_others_could_copy_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    play = new_play(world, rounds=1, **POINTS)
    agents, market, honest = play.agents(), world.chain.market, Submissions.open_all

    def blind(self: Submissions, *args: Any, **options: Any) -> Any:
        rows, _, missing = honest(self, *args, **options)
        return [None] * len(rows), [0, 1, 2], missing

    with monkeypatch.context() as during:
        during.setattr(Submissions, "open_all", blind)
        step_until(agents, lambda: market.job(play.job_id).delivering)
    with pytest.raises(InputError, match="is not over"):
        show_opening(play.trainers[0], play.job_id, 1)
    assert play.finish(agents) is State.COMPLETED
    show_opening(play.trainers[0], play.job_id, 1)
    assert "opens, which" in said(audited(play), "openings")


def test_rubbish_that_is_delivered_again_is_left_out_or_asked_for_until_the_job_ends(world: World) -> None:
    """One of five is left out after the void; with two that go on, no round comes to an end."""
    play = new_play(world, rounds=1, max_voids=2, **POINTS, **ONE_FAULTY)
    senders = Rubbish(play, 3, again=True), Rubbish(play, 4)
    assert play.finish(cast(play, *senders)) is State.COMPLETED
    history = play.history()
    (again,), (never,) = slots_of(play, 3), slots_of(play, 4)
    assert history.voids == 1
    assert history.settled[1].settlement.unopened == 1 << again
    assert history.rounds[0].undelivered == {never}
    assert history.credits[play.aggregator.me.address] == history.terms.bond + history.terms.fee
    assert audited(play).ok

    other = new_play(world, rounds=2, max_voids=2, **POINTS, **ONE_FAULTY)
    two = [Rubbish(other, number, again=True) for number in (3, 4)]
    assert other.finish(cast(other, *two)) is State.ABORTED
    history = other.history()
    terms = history.terms
    assert (history.voids, history.settled_rounds) == (2, 0)
    assert history.credits[other.aggregator.me.address] == terms.bond, "no fee, and no bond lost"
    for slot in {*range(5)} - history.claimed:
        world.chain.market.claim(other.owner.me.account, other.job_id, slot)
    history = other.history()
    assert [history.credits[trainer.me.address] for trainer in other.trainers] == [terms.stake] * 5, "nobody has won"
    assert history.credits[ZERO_ADDRESS] == terms.reward
    assert audited(other).ok


def test_a_void_that_was_sent_and_not_seen_is_not_sent_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends as soon as the chain has it; the one after finds the round as it is."""
    play = new_play(world, rounds=1, **POINTS)
    sent, honest = list[int](), Market.void_round

    def deadly(self: Market, signer: Any, job_id: int, round: int, unopened: int) -> Any:
        sent.append(unopened)
        honest(self, signer, job_id, round, unopened)
        raise KeyboardInterrupt

    agents = play.agents()
    until_delivered(play, agents)
    lose(play, play.history().rounds[0].submissions[1].cid)
    play.pass_half_of_settling()
    monkeypatch.setattr(Market, "void_round", deadly)
    with pytest.raises(KeyboardInterrupt):
        play.judge().step()
    judge = play.judge()
    assert judge.step() is Step.WAITING
    assert play.finish([judge, *agents[1:]]) is State.COMPLETED
    assert sent == [0b010]
    assert play.history().settled[1].submitted == 0b111


def test_a_round_that_nobody_delivers_again_is_skipped_and_ends_nobodys_part(world: World) -> None:
    play = new_play(world, rounds=2, max_missed=1, max_empty_rounds=2, takeover_window="1 h", **POINTS)
    agents = play.agents()
    until_delivered(play, agents)
    kept = []
    for number in range(3):
        (slot,) = slots_of(play, number)
        lose(play, play.history().rounds[0].submissions[slot].cid)
        kept.append(play.trainers[number].work(play.job_id) / "round-1" / "sealed")
        kept[-1].unlink()
    agents[0] = play.judge()
    play.pass_half_of_settling()
    assert play.finish(agents) is State.COMPLETED
    history = play.history()
    assert history.rounds[0].skipped
    assert not history.takeovers
    assert history.settled[2].submitted == 0b111, "nobody was ejected"
    assert history.credits[play.aggregator.me.address] == history.terms.bond + history.terms.fee
    assert audited(play).ok


def test_another_aggregator_takes_over_from_one_that_is_gone_after_a_void(world: World) -> None:
    """Those that had delivered again are paid by its bond, and all deliver to the newcomer, also who had not."""
    from marketplace.services.aggregator import AggregatorAgent

    play, agents = voided_for_lost(world, 0, 1, takeover_window="1 h")
    market = world.chain.market
    (early,) = (n for n in range(3) if slots_of(play, n) == {0})
    agents[1 + early].step()
    assert market.job(play.job_id).undelivered == 0b10
    skip_to(market.connection, market.job(play.job_id).settle_by + 1)
    node = world.node("rescuer")
    rescuer = AggregatorAgent(node, play.job_id, node.me.address, world.report("rescuer"), take_over=True)
    assert play.finish([rescuer, *agents[1:]]) is State.COMPLETED
    history = play.history()
    bond = history.terms.bond
    assert history.settled[1].submitted == 0b111
    assert not history.rounds[0].undelivered
    assert history.credits[play.aggregator.me.address] == 0
    pay = {slot: part + history.terms.stake for slot, part in history.divided(history.pot).items()}
    extra = {slot: history.credits[who.payee] - pay[slot] for slot, who in history.participants.items()}
    assert extra == {0: bond // 2, 1: 0, 2: bond // 2}
    assert history.credits[node.me.address] == bond + history.terms.fee
    assert audited(play).ok


def test_a_look_between_a_delivery_and_its_event_is_not_believed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract says that it is delivered, the log that was read just before does not say where."""
    from marketplace.services import node as nodes

    play, _ = voided_for_lost(world, 2)
    market = world.chain.market
    (number,) = (n for n in range(3) if slots_of(play, n) == {2})
    feed, honest, raced = JobFeed(play.aggregator, play.job_id), nodes.JobFeed.refresh, list[None]()

    def racing(self: JobFeed) -> Any:
        found = honest(self)
        if self is feed and not raced:
            raced.append(None)
            market.redeliver(play.trainers[number].me.account, play.job_id, 1, "bafyelsewhere")
        return found

    monkeypatch.setattr(nodes.JobFeed, "refresh", racing)
    history, job = feed.look()
    assert raced
    assert (job.undelivered, history.rounds[0].submissions[2].cid) == (0, "bafyelsewhere")


def test_a_fetch_that_failed_since_the_last_look_is_made_again() -> None:
    """Between the two looks what was missing may have been delivered."""
    submission, row = Submitted(1, "0x01", b"\1" * 32, "bafy"), CommittedRow(np.zeros(1, np.int16), b"", b"")
    ended, calls = threading.Event(), list[Submitted]()
    submissions = Submissions(None, 1, None, 1, lambda notice: None)  # type: ignore[arg-type]

    def fetch(wanted: Submitted) -> CommittedRow:
        calls.append(wanted)
        if len(calls) == 1:
            ended.wait(PATIENCE)
            raise NotFound("It is not there.")
        return row

    submissions._fetch = fetch  # type: ignore[method-assign]
    assert submissions._fetched([submission], 0.01) == {}, "it is on its way"
    ended.set()
    while not submissions._crew._done:
        time.sleep(0.01)
    assert submissions._fetched([submission], PATIENCE) == {submission: row}
    assert len(calls) == 2
