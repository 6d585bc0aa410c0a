"""Submissions that are called unopened though they open, and what their trainers can show."""

from io import BytesIO
from typing import Any

import pytest

from marketplace.domain import State, slots
from marketplace.errors import CorruptContent, InputError
from marketplace.keys.sealing import Purpose, open_shown, seal_to
from marketplace.services import audit, openings
from marketplace.services.audit import AuditReport, audit_job
from marketplace.services.openings import Opening, show_opening
from marketplace.services.submissions import Submissions
from marketplace.storage import put_bytes
from tests.chain_fixtures import ONE_FAULTY
from tests.jobs import Play, World, new_play

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]


def said(report: AuditReport) -> str:
    return next(check.detail for check in report.checks if check.name == "openings")


@pytest.fixture
def wronged(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[Play, int]:
    """A job of one round, whose aggregator calls one good submission unopened; with the number of its trainer."""
    play = new_play(world, validation=False, rounds=1, **ONE_FAULTY)
    honest = Submissions.open_all

    def blind(self: Submissions, *args: Any, **options: Any) -> Any:
        rows, unopened, missing = honest(self, *args, **options)
        return [None, *rows[1:]], [0, *unopened], missing

    monkeypatch.setattr(Submissions, "open_all", blind)
    assert play.finish() is State.COMPLETED
    history = play.history()
    assert list(slots(history.settled[1].settlement.unopened)) == [0]
    operator = history.participants[0].operator
    return play, [trainer.me.address for trainer in play.trainers].index(operator)


def test_a_trainer_shows_that_its_submission_opened_and_the_audit_says_so_by_name(wronged: tuple[Play, int]) -> None:
    play, number = wronged
    auditor = play.world.watcher("auditor")
    assert not any(check.name == "openings" for check in audit_job(auditor, play.job_id).checks)
    trainer = play.trainers[number]
    show_opening(trainer, play.job_id, 1)
    report = audit_job(auditor, play.job_id)
    assert report.ok, "the payouts followed the rules"
    assert said(report) == (
        f"the submission of {trainer.me.address} in round 1 opens, which {play.aggregator.me.address} called unopened"
    )


def test_who_was_not_called_unopened_has_nothing_to_show(wronged: tuple[Play, int]) -> None:
    play, number = wronged
    for other in [*play.trainers[:number], *play.trainers[number + 1 :], play.owner]:
        with pytest.raises(InputError, match="was called unopened"):
            show_opening(other, play.job_id, 1)


LIES = {
    "a key that is another": lambda record: Opening(ephemeral=record.ephemeral, content_key="07" * 32),
    "an ephemeral key that is another": lambda record: Opening(ephemeral="07" * 32, content_key=record.content_key),
}


@pytest.mark.parametrize("name", LIES)
def test_what_does_not_open_shows_nothing_and_spoils_no_audit(wronged: tuple[Play, int], name: str) -> None:
    play, number = wronged
    trainer, storage = play.trainers[number], play.world.storage
    record = openings.read_submission(trainer.work(play.job_id) / "round-1")
    cid = put_bytes(storage, LIES[name](record).model_dump_json().encode())
    market = play.world.chain.market
    market.show_opening(trainer.me.account, play.job_id, 1, cid)
    market.show_opening(trainer.me.account, play.job_id, 9, cid)
    market.show_opening(trainer.me.account, play.job_id, 1, put_bytes(storage, b"no document"))
    other = play.trainers[number - 1]
    market.show_opening(other.me.account, play.job_id, 1, cid)
    report = audit_job(play.world.watcher("auditor"), play.job_id)
    assert report.ok
    assert said(report).count("does not hold") == 1
    assert "2 showings say nothing more" in said(report), (
        "of a round there was not, and of what was not called unopened"
    )
    assert " opens, which" not in said(report)


def test_showings_without_end_are_looked_at_a_few_times_and_hide_no_true_one(
    wronged: tuple[Play, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The true one is the latest but one; hundreds before it, and those of other rounds, cost the auditor nothing."""
    play, number = wronged
    me, market = play.trainers[number].me, play.world.chain.market
    for k in range(60):
        market.show_opening(me.account, play.job_id, 1 + k % 3, f"bafynothing{k}")
    show_opening(play.trainers[number], play.job_id, 1)
    market.show_opening(me.account, play.job_id, 1, "bafynothing")
    looked: list[str] = []
    honest = audit.check_opening

    def counted(*args: Any) -> None:
        looked.append(args[-1].cid)
        honest(*args)

    monkeypatch.setattr(audit, "check_opening", counted)
    report = audit_job(play.world.watcher("auditor"), play.job_id)
    assert report.ok
    assert f"the submission of {me.address} in round 1 opens" in said(report)
    assert len(looked) == 2
    assert "60 showings say nothing more" in said(report)


def test_a_submission_that_was_sealed_to_another_key_cannot_be_shown(play: Play) -> None:
    """Sealed to itself instead of the aggregator, it could be opened by its secrets, yet not by the aggregator."""
    trainer = play.trainers[0]
    context = trainer.context(Purpose.UPDATE, job_id=play.job_id, round=1, party=trainer.me.address)
    sealed = BytesIO()
    secrets = seal_to(trainer.me.encryption_key, BytesIO(b"content"), sealed, context)
    opened = BytesIO()
    assert open_shown(trainer.me.encryption_key, secrets, BytesIO(sealed.getvalue()), opened, context, 100) == 7
    with pytest.raises(CorruptContent, match="not sealed to that key"):
        open_shown(play.aggregator.me.encryption_key, secrets, BytesIO(sealed.getvalue()), BytesIO(), context, 100)
