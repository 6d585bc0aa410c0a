"""What a job waits for, said in a sentence."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from marketplace.domain import ZERO_ADDRESS, Job, Rule, State, Terms
from marketplace.errors import ChainError
from marketplace.services.agent import LOOKED_AFTER, TOLD_AFTER, Notice, Patience
from marketplace.services.standing import clock, trust, what_it_waits_for
from tests import values
from tests.values import SOMEBODY

NOON = int(datetime(2026, 11, 26, 12, 0, tzinfo=UTC).timestamp())
OWNER = "0x" + "22" * 20
AT_14_20 = NOON + 140 * 60
TERMS = replace(values.TERMS, enrol_by=AT_14_20, rule=Rule.REFERENCE, max_strikes=3)
OPEN = replace(values.JOB, aggregator=SOMEBODY, aggregator_payee=SOMEBODY, active=0b111, escrow=5)
RUNNING = replace(
    OPEN, state=State.RUNNING, round=2, key_published=True, submit_by=AT_14_20, settle_by=AT_14_20 + 600, submitted=0b10
)
FULL = replace(TERMS, max_trainers=3)
DELIVERING = replace(RUNNING, submitted=0b111, delivering=True, undelivered=0b101, voids=1)
REVEALING = replace(TERMS, reveal_window=1800)
CONFIRMING = replace(RUNNING, state=State.CONFIRMING, settled=5, revealed=True, settle_by=AT_14_20 - 600)


@pytest.mark.parametrize(
    ("terms", "job", "now", "sentence"),
    [
        (TERMS, OPEN, NOON, "3 of 8 seats taken; starts when 8 are, or with 3 at 14:20."),
        (
            FULL,
            replace(OPEN, active=1),
            NOON,
            "1 of 3 seats taken; starts when 3 are; without them it can be cancelled after 14:20.",
        ),
        (
            replace(TERMS, enrol_by=AT_14_20 + 86400),
            replace(OPEN, active=0, aggregator=ZERO_ADDRESS),
            NOON,
            "0 of 8 seats taken; starts when 8 are, or with 3 at 14:20 on 27 November. "
            "No aggregator has accepted it yet.",
        ),
        (FULL, OPEN, NOON, "3 of 3 seats taken: it can start now."),
        (
            FULL,
            replace(OPEN, aggregator=ZERO_ADDRESS),
            NOON,
            "3 of 3 seats taken; starts when an aggregator has accepted it.",
        ),
        (TERMS, OPEN, AT_14_20 + 1, "3 of 8 seats taken, and enrolment has ended: it can start now."),
        (
            TERMS,
            replace(OPEN, active=1),
            AT_14_20 + 1,
            "1 of 8 seats taken, but 3 are needed, and enrolment has ended: it can be cancelled now.",
        ),
        (TERMS, RUNNING, NOON, "Round 2 of 5: 1 of 3 updates submitted; trainers have until 14:20."),
        (
            TERMS,
            replace(RUNNING, key_published=False),
            NOON,
            "Round 2 of 5: waits for the aggregator to publish the job key, until 14:20.",
        ),
        (
            TERMS,
            replace(RUNNING, key_published=False, taken_over_in=1),
            NOON,
            "Round 2 of 5: waits to be handed the job key, until 14:20.",
        ),
        (
            TERMS,
            replace(RUNNING, submitted=0b111),
            NOON,
            "Round 2 of 5: 3 of 3 updates submitted; the aggregator has until 14:30 to settle.",
        ),
        (
            TERMS,
            replace(RUNNING, submitted=0),
            AT_14_20 + 1,
            "Round 2 of 5: nobody submitted in time: the round can be skipped now.",
        ),
        (TERMS, DELIVERING, NOON, "Round 2 of 5: 2 updates did not open, to be delivered again until 14:20."),
        (
            TERMS,
            replace(DELIVERING, undelivered=0b100),
            NOON,
            "Round 2 of 5: 1 update did not open, to be delivered again until 14:20.",
        ),
        (
            TERMS,
            replace(DELIVERING, undelivered=0),
            NOON,
            "Round 2 of 5: 3 of 3 updates submitted; the aggregator has until 14:30 to settle.",
        ),
        (
            TERMS,
            DELIVERING,
            AT_14_20 + 1,
            "Round 2 of 5: 1 of 3 updates submitted; the aggregator has until 14:30 to settle.",
        ),
        (
            TERMS,
            replace(DELIVERING, undelivered=0b111),
            AT_14_20 + 1,
            "Round 2 of 5: no update was delivered again in time: the round can be skipped now.",
        ),
        (
            TERMS,
            replace(DELIVERING, undelivered=0b111),
            AT_14_20 + 601,
            "Round 2 of 5: no update was delivered again in time: the round can be skipped now.",
        ),
        (
            TERMS,
            DELIVERING,
            AT_14_20 + 601,
            "Round 2 of 5: the aggregator did not settle it in time. The job can be aborted now.",
        ),
        (
            TERMS,
            RUNNING,
            AT_14_20 + 601,
            "Round 2 of 5: the aggregator did not settle it in time. The job can be aborted now.",
        ),
        (
            replace(TERMS, takeover_window=600),
            RUNNING,
            AT_14_20 + 601,
            "Round 2 of 5: the aggregator did not settle it in time. "
            "Another aggregator may take over until 14:40; then the job can be aborted.",
        ),
        (
            replace(TERMS, takeover_window=600),
            replace(RUNNING, key_published=False),
            AT_14_20 + 1,
            "Round 2 of 5: the aggregator did not publish the job key in time. "
            "Another aggregator may take over until 14:30; then the job can be aborted.",
        ),
        (
            replace(TERMS, takeover_window=600),
            replace(RUNNING, key_published=False, taken_over_in=1),
            AT_14_20 + 1,
            "Round 2 of 5: the aggregator did not publish the job key in time. The job can be aborted now.",
        ),
        (
            TERMS,
            replace(RUNNING, end_asked=True),
            NOON,
            "Round 2 of 5: 1 of 3 updates submitted; trainers have until 14:20. Its owner ends the job with the next "
            "settlement, of round 5 at the earliest.",
        ),
        (
            replace(TERMS, min_rounds=2),
            replace(RUNNING, end_asked=True),
            NOON,
            "Round 2 of 5: 1 of 3 updates submitted; trainers have until 14:20. Its owner ends the job with the next "
            "settlement.",
        ),
        (
            TERMS,
            replace(RUNNING, state=State.CONFIRMING, settled=1),
            NOON,
            "1 round is settled; trainers can dispute the last sum until 14:20.",
        ),
        (
            TERMS,
            replace(RUNNING, state=State.CONFIRMING, settled=5, disputed_sum=True),
            NOON,
            "5 rounds are settled, and the sum was disputed: bond and fees are burnt. It can be completed after 14:20.",
        ),
        (
            TERMS,
            replace(RUNNING, state=State.CONFIRMING, settled=5),
            AT_14_20 + 1,
            "The time to dispute is over: it can be completed now.",
        ),
        (
            REVEALING,
            replace(CONFIRMING, revealed=False),
            NOON,
            "5 rounds are settled; the aggregator has until 14:10 to show all members the validation data.",
        ),
        (
            REVEALING,
            replace(CONFIRMING, revealed=False),
            AT_14_20 - 1,
            "5 rounds are settled, and nobody showed the validation data in time: once completed, after 14:20, the "
            "rows are disputed.",
        ),
        (
            REVEALING,
            CONFIRMING,
            NOON,
            "5 rounds are settled, and the validation data are shown to all members, who can dispute sum and rows "
            "until 14:20.",
        ),
        (
            REVEALING,
            replace(CONFIRMING, disputed_rows=True, bonded=False),
            NOON,
            "5 rounds are settled, and the reference rows were disputed: fees and bond are burnt, and nobody is paid "
            "more than its part by rounds opened. It can be completed after 14:20.",
        ),
        (
            FULL,
            replace(OPEN, submit_by=AT_14_20),
            NOON,
            "3 of 3 seats taken: its owner can start it now, anybody at 14:20.",
        ),
        (TERMS, replace(RUNNING, state=State.COMPLETED), NOON, ""),
    ],
)
def test_a_job_says_what_it_waits_for(terms: Terms, job: Job, now: int, sentence: str) -> None:
    assert what_it_waits_for(terms, job, now, zone=UTC) == sentence


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"rule": Rule.KRUM_COSINE, "max_faulty": 2},
            "Points are proved to follow from the updates; of the trainers, who may be anybody, the job assumes that "
            "at most 2 are faulty.",
        ),
        (
            {"rule": Rule.REFERENCE, "reveal_window": 60, "max_faulty": 1},
            "Points rest on validation data that are revealed to all members before the pot is divided: each of them "
            "can recompute the points, and keep a copy of the data; of the trainers, who may be anybody, the job "
            "assumes that at most 1 is faulty.",
        ),
        (
            {"rule": Rule.REFERENCE, "reveal_window": 0, "max_faulty": 0},
            "Points rest on the aggregator's word alone, since the members are never shown the validation data; of the "
            "trainers, who may be anybody, the job assumes that none is faulty.",
        ),
        (
            {"rule": Rule.KRUM_COSINE, "gate": SOMEBODY},
            f"Points are proved to follow from the updates; of the trainers, whom {SOMEBODY} invites, the job "
            "assumes that none is faulty.",
        ),
        (
            {"rule": Rule.KRUM_COSINE, "gate": OWNER},
            "Points are proved to follow from the updates; of the trainers, whom its owner invites, who can "
            "invite itself, the job assumes that none is faulty.",
        ),
    ],
)
def test_a_job_says_in_one_sentence_what_its_points_rest_on(changes: dict[str, Any], sentence: str) -> None:
    assert trust(replace(TERMS, **changes), OWNER) == sentence


def test_a_moment_of_another_day_has_its_date() -> None:
    assert clock(NOON + 86400, NOON, UTC) == "12:00 on 27 November"


class Waits:
    def __init__(self) -> None:
        self.text = "1 of 3 seats taken."
        self.broken = False

    def waiting(self) -> dict[int, str]:
        if self.broken:
            raise ChainError("no chain.")
        return {7: self.text}


def test_what_is_waited_for_is_said_after_a_while_once_and_again_when_it_changes() -> None:
    told: list[Notice] = []
    now = 0.0
    patience, agent = Patience(told.append, lambda: now), Waits()

    def wait(seconds: float) -> list[str]:
        nonlocal now
        told.clear()
        end = now + seconds
        while now < end:
            now += LOOKED_AFTER / 4
            patience.look(agent)
        return [notice.text for notice in told]

    assert wait(TOLD_AFTER - LOOKED_AFTER) == []
    assert wait(3 * TOLD_AFTER) == ["1 of 3 seats taken."]
    assert [(notice.kind, notice.values) for notice in told] == [("waiting", {"job": 7})]
    agent.text = "2 of 3 seats taken."
    assert wait(TOLD_AFTER / 2) == []
    assert wait(3 * TOLD_AFTER) == ["2 of 3 seats taken."]
    agent.broken = True
    assert wait(3 * TOLD_AFTER) == []
