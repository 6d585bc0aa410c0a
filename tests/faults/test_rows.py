"""What points rest on under rule `reference`: shown while a job confirms, recomputed by who is paid, disputed."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marketplace.chain.clock import skip_to
from marketplace.domain import State
from marketplace.errors import InputError
from marketplace.services import judgement, rows
from marketplace.services.agent import Step
from marketplace.services.aggregator import AggregatorAgent
from marketplace.services.audit import audit_job
from marketplace.services.owner import Watcher, reveal_validation
from marketplace.storage import put_bytes
from tests.api_node import api_of
from tests.chain_fixtures import ONE_FAULTY
from tests.jobs import Play, World, new_play

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

BURNT = "0x" + "0" * 40


def assert_nobody_got_more_than_its_presence(play: Play) -> Any:
    """The division of disputed rows, whose rest is burnt with the aggregator's bond and fees."""
    history = play.history()
    assert history.disputed_rows
    assert history.credits[play.aggregator.me.address] == 0
    terms, pot = history.terms, history.pot
    paid = {slot: history.credits[who.payee] - terms.stake for slot, who in history.participants.items()}
    assert all(pay <= pot // len(paid) for pay in paid.values())
    rest = pot - sum(paid.values())
    assert history.credits[BURNT] == terms.bond + terms.fee * history.settled_rounds + rest
    return history


def test_honest_rows_are_shown_and_recomputed_and_everybody_is_paid_by_points(world: World) -> None:
    play = new_play(world)
    assert play.finish() is State.COMPLETED
    history = play.history()
    assert [event.sender for event in history.reveals] == [play.aggregator.me.address]
    assert not history.disputed_rows
    assert not history.rows_disputed
    assert history.credits[play.aggregator.me.address] == history.terms.bond + 2 * history.terms.fee
    for number in range(3):
        assert world.kinds(f"trainer {number}").count("recomputed") == 2
    assert audit_job(world.watcher("auditor"), play.job_id).ok


def test_rows_that_the_aggregator_chose_are_disputed_by_its_trainers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proofs hold: they are of rows that nobody had to derive from the validation data."""
    honest = judgement.second_row

    def chosen(*given: Any) -> Any:
        row, exponent = honest(*given)
        return np.roll(row, 1), exponent

    monkeypatch.setattr(judgement, "second_row", chosen)
    play = new_play(world, **ONE_FAULTY)
    assert play.finish() is State.COMPLETED
    history = assert_nobody_got_more_than_its_presence(play)
    assert set(history.rows_disputed.values()) == {2}, "the last that is wrong"
    assert len(history.rows_disputed) >= 2


@pytest.mark.parametrize("factor", [-1, 1])
def test_a_scale_that_is_off_by_two_is_disputed(world: World, monkeypatch: pytest.MonkeyPatch, factor: int) -> None:
    honest = judgement.second_row

    def scaled(*given: Any) -> Any:
        row, exponent = honest(*given)
        return row, exponent + factor

    monkeypatch.setattr(judgement, "second_row", scaled)
    play = new_play(world)
    assert play.finish() is State.COMPLETED
    assert_nobody_got_more_than_its_presence(play)


def test_where_nobody_reveals_the_contract_disputes_by_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AggregatorAgent, "_show", lambda self, history: Step.WAITING)
    play = new_play(world)
    assert play.finish() is State.COMPLETED
    history = assert_nobody_got_more_than_its_presence(play)
    assert history.rows_disputed == {}
    assert audit_job(world.watcher("auditor"), play.job_id).ok


GARBAGE = {
    "what storage lacks": lambda play: "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
    "what is no document": lambda play: put_bytes(play.world.storage, b"hello"),
    "a document of garbage": lambda play: put_bytes(
        play.world.storage,
        rows.Showing(validation_cid=put_bytes(play.world.storage, b"hello"), rows={}).model_dump_json().encode(),
    ),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_that_the_owner_announces_hides_nothing_that_is_true(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shown = AggregatorAgent._show
    play = new_play(world)

    def after_garbage(self: AggregatorAgent, history: Any) -> Any:
        for _ in range(rows.SHOWINGS + 1):
            play.owner.market.reveal(play.owner.me.account, play.job_id, GARBAGE[name](play))
        result = shown(self, history)
        play.owner.market.reveal(play.owner.me.account, play.job_id, GARBAGE[name](play))
        return result

    monkeypatch.setattr(AggregatorAgent, "_show", after_garbage)
    assert play.finish() is State.COMPLETED
    history = play.history()
    assert not history.disputed_rows
    assert history.credits[play.aggregator.me.address] == history.terms.bond + 2 * history.terms.fee


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_alone_is_disputed_as_what_was_not_committed_to(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    play = new_play(world)

    def garbage(self: AggregatorAgent, history: Any) -> Any:
        self._node.market.reveal(self._node.me.account, play.job_id, GARBAGE[name](play))
        return Step.WAITING

    monkeypatch.setattr(AggregatorAgent, "_show", garbage)
    assert play.finish() is State.COMPLETED
    history = assert_nobody_got_more_than_its_presence(play)
    assert set(history.rows_disputed.values()) == {0}


def test_a_round_whose_rows_are_kept_back_is_disputed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = AggregatorAgent._kept_rows
    monkeypatch.setattr(
        AggregatorAgent, "_kept_rows", lambda self, event: None if event.round == 1 else kept(self, event)
    )
    play = new_play(world)
    assert play.finish() is State.COMPLETED
    history = assert_nobody_got_more_than_its_presence(play)
    assert set(history.rows_disputed.values()) == {1}


def test_the_owner_can_show_what_the_aggregator_keeps_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    play = new_play(world)

    def by_owner(self: AggregatorAgent, history: Any) -> Any:
        if not history.reveals:
            with pytest.raises(InputError, match="--members"):  # which would make them public
                reveal_validation(play.owner, play.job_id)
            cid = rows.prepare_owners_showing(play.owner, play.job_id)
            play.owner.market.reveal(play.owner.me.account, play.job_id, cid)
        return Step.WAITING

    monkeypatch.setattr(AggregatorAgent, "_show", by_owner)
    assert play.finish() is State.COMPLETED
    history = play.history()
    assert [event.sender for event in history.reveals] == [play.owner.me.address]
    assert not history.disputed_rows
    reveal_validation(play.owner, play.job_id)
    assert audit_job(world.watcher("auditor"), play.job_id).ok


@pytest.mark.parametrize("by", ["merit job watch", "merit up"])
def test_the_owners_node_shows_by_itself_what_the_aggregator_has_not_in_half_its_time(
    world: World, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(AggregatorAgent, "_show", lambda self, history: Step.WAITING)
    play = new_play(world)
    agents = play.agents()
    market = world.chain.market
    with ExitStack() as stack:
        if by == "merit up":
            api = stack.enter_context(api_of(play.owner, world.chain.first_block))
        else:
            watcher = Watcher(play.owner, play.job_id, None)
        while (job := market.job(play.job_id)).state is not State.CONFIRMING:
            if Step.WORKED not in [agent.step() for agent in agents]:
                play.pass_deadline()
        if by == "merit up":
            api.caught_up()
        else:
            assert not watcher.reveal()
        assert not market.job(play.job_id).revealed, "the aggregator still has time"
        skip_to(market.connection, job.settle_by - play.history().terms.reveal_window // 2 + 1)
        if by == "merit up":
            api.until(lambda: market.job(play.job_id).revealed, "the owner's node has revealed")
        else:
            assert watcher.reveal()
            assert not watcher.reveal(), "once"
        assert play.finish(agents) is State.COMPLETED
    history = play.history()
    assert [event.sender for event in history.reveals] == [play.owner.me.address]
    assert not history.disputed_rows


def test_a_job_that_reveals_nothing_says_so_and_is_paid_by_the_aggregators_word(world: World) -> None:
    play = new_play(world, reveal_window="never")
    assert play.finish() is State.COMPLETED
    history = play.history()
    assert history.terms.reveal_window == 0
    assert history.reveals == []
    assert not history.disputed_rows
    assert history.credits[play.aggregator.me.address] == history.terms.bond + 2 * history.terms.fee


def test_one_that_disputes_falsely_is_not_believed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    play, shown = new_play(world, **ONE_FAULTY), AggregatorAgent._show

    def and_a_lie(self: AggregatorAgent, history: Any) -> Any:
        liar = play.trainers[0]
        result = shown(self, history)
        liar.market.dispute_rows(liar.me.account, play.job_id, 1)
        return result

    monkeypatch.setattr(AggregatorAgent, "_show", and_a_lie)
    assert play.finish() is State.COMPLETED
    history = play.history()
    assert len(history.rows_disputed) == 1
    assert not history.disputed_rows
    assert history.credits[play.aggregator.me.address] == history.terms.bond + 2 * history.terms.fee


def test_rows_that_were_lost_with_the_work_folder_are_said_to_be(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = AggregatorAgent._show

    def robbed(self: AggregatorAgent, history: Any) -> Any:
        for file in Path(self._folder).glob("settlement-*/rows"):
            file.unlink()
        return shown(self, history)

    monkeypatch.setattr(AggregatorAgent, "_show", robbed)
    play = new_play(world)
    assert play.finish() is State.COMPLETED
    assert_nobody_got_more_than_its_presence(play)
    assert any("may be disputed" in notice.text for _, notice in world.notices)
