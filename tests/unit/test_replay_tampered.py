"""An event log that was tampered with: the replay names what is wrong, and nothing else where it can."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.domain import (
    AggregationAccepted,
    ConfirmationOpened,
    Credited,
    Disputed,
    Ejected,
    Ended,
    Event,
    HandedOver,
    JobCreated,
    Joined,
    KeyPublished,
    Left,
    OpeningShown,
    Reason,
    RoundOpened,
    RoundSettled,
    RoundSkipped,
    Rule,
    Settlement,
    Started,
    State,
    TakenOver,
    UpdateSubmitted,
    ValidationRevealed,
    Withdrawn,
)
from marketplace.errors import AuditFailed
from marketplace.replay import Finding, conservation, replay
from tests.chain_fixtures import AGGREGATOR, KEY, OWNER, PEOPLE, Chain, commitment, settlement, terms, untouched

pytest_plugins = ["tests.chain_fixtures"]

Log = list[Event]
TRAINERS = PEOPLE[3:7]
OTHER = PEOPLE[7]
STRANGER = PEOPLE[9].address


def submit(chain: Chain, job: int, round_: int, *slots: int) -> None:
    for slot in slots:
        chain.market.submit_update(TRAINERS[slot], job, round_, commitment(round_, slot), f"bafy{round_}{slot}")


def opened(chain: Chain, count: int, **changes: Any) -> int:
    job, _ = chain.market.create_job(OWNER, terms(chain, max_trainers=count, **changes), KEY, "bafyspec")
    chain.market.accept_aggregation(AGGREGATOR, job, AGGREGATOR.address, KEY)
    for trainer in TRAINERS[:count]:
        chain.market.join(trainer, job, trainer.address, KEY)
    return job


def started(chain: Chain, count: int, **changes: Any) -> int:
    job = opened(chain, count, **changes)
    chain.market.start(OWNER, job)
    chain.market.publish_key(AGGREGATOR, job, "bafykey")
    return job


@pytest.fixture(scope="module")
def logs(_anvil_chain: Chain) -> Iterator[dict[str, Log]]:
    """Jobs: completed after ejections, a skip and a carried pot; aborted; empty; left by all; cancelled; unopened.

    And one that another aggregator took over, whose trainers confirmed the last sum, and one with a disputed sum.
    """
    with untouched(_anvil_chain) as chain:
        market = chain.market
        job = started(chain, 4, rounds=4)
        for round_ in (1, 2):
            submit(chain, job, round_, 0, 1, 2)
            chain.forward(601)
            market.settle_round(AGGREGATOR, job, round_, *settlement(0b011, (5, 2), submitted=0b111, round_=round_))
        chain.forward(601)
        market.skip_round(OWNER, job)
        submit(chain, job, 4, 0, 1)
        market.settle_round(AGGREGATOR, job, 4, *settlement(0b011, (1, 2), submitted=0b011, round_=4))
        chain.forward(601)
        market.complete(OWNER, job)
        market.reveal_validation(OWNER, job, "bafydata")

        aborted = started(chain, 4, max_missed=1)
        market.leave(TRAINERS[3], aborted)
        submit(chain, aborted, 1, 0, 2)
        chain.forward(601)
        market.settle_round(AGGREGATOR, aborted, 1, *settlement(0b101, (1, 1), submitted=0b101))
        submit(chain, aborted, 2, 0, 2)
        chain.forward(1201)
        market.abort(OWNER, aborted)

        empty = started(chain, 2, rounds=4, max_missed=9)
        for _ in range(2):
            chain.forward(601)
            market.skip_round(OWNER, empty)

        deserted = started(chain, 2)
        for trainer in TRAINERS[:2]:
            market.leave(trainer, deserted)

        cancelled = opened(chain, 2)
        market.cancel(OWNER, cancelled)
        unopened = started(chain, 2, rule=Rule.REFERENCE)
        submit(chain, unopened, 1, 0)
        chain.forward(601)
        market.settle_round(AGGREGATOR, unopened, 1, *settlement(0, (), 0b01, submitted=0b01))
        submit(chain, unopened, 2, 0, 1)
        judged = settlement(0b11, (1, 3), submitted=0b11, round_=2, rule=Rule.REFERENCE)
        market.settle_round(AGGREGATOR, unopened, 2, *judged)
        for trainer in TRAINERS[:2]:
            market.leave(trainer, unopened)
        market.show_opening(TRAINERS[0], unopened, 1, "bafyshown")

        taken = started(chain, 3, takeover_window=900)
        submit(chain, taken, 1, 0, 1, 2)
        market.settle_round(AGGREGATOR, taken, 1, *settlement(0b111, (1, 1, 1), submitted=0b111))
        submit(chain, taken, 2, 0, 1)
        chain.forward(1201)
        market.take_over(OTHER, taken, OTHER.address, KEY)
        market.hand_over(TRAINERS[1], taken, "bafyhanded")
        market.publish_key(OTHER, taken, "bafyother")
        submit(chain, taken, 2, 0, 2)
        chain.forward(601)
        market.settle_round(OTHER, taken, 2, *settlement(0b101, (1, 3), submitted=0b101, round_=2))
        for trainer in TRAINERS[:3]:
            market.leave(trainer, taken)

        disputed = started(chain, 3)
        submit(chain, disputed, 1, 0, 1, 2)
        market.settle_round(AGGREGATOR, disputed, 1, *settlement(0b111, (1, 1, 1), submitted=0b111))
        for trainer in TRAINERS[:2]:
            market.dispute(trainer, disputed)

        jobs = {"completed": job, "aborted": aborted, "empty": empty, "deserted": deserted, "cancelled": cancelled}
        jobs |= {"unopened": unopened, "taken": taken, "disputed": disputed}
        yield {name: chain.events(job_id) for name, job_id in jobs.items()}


def place(log: Log, kind: type[Event], number: int = 0, **having: object) -> int:
    """Where the number-th event of a type, with these values, stands in the log."""
    return [i for i, e in enumerate(log) if isinstance(e, kind) and all(getattr(e, k) == v for k, v in having.items())][
        number
    ]


def change(kind: type[Event], number: int = 0, having: Mapping[str, object] | None = None, **values: Any) -> Any:
    """A tampering: other values in one event."""

    def tampered(log: Log) -> Log:
        i = place(log, kind, number, **having or {})
        return [*log[:i], replace(log[i], **values), *log[i + 1 :]]

    return tampered


def drop(kind: type[Event], number: int = 0, **having: object) -> Any:
    def tampered(log: Log) -> Log:
        i = place(log, kind, number, **having)
        return [*log[:i], *log[i + 1 :]]

    return tampered


def resettle(number: int, **values: Any) -> Any:
    """A tampering with the aggregator's judgement of a round."""

    def tampered(log: Log) -> Log:
        i = place(log, RoundSettled, number)
        event = log[i]
        assert isinstance(event, RoundSettled)
        return [*log[:i], replace(event, settlement=replace(event.settlement, **values)), *log[i + 1 :]]

    return tampered


def later(kind: type[Event], seconds: int, number: int = 0, **having: object) -> Any:
    """A tampering: another time for one event."""

    def tampered(log: Log) -> Log:
        i = place(log, kind, number, **having)
        return [*log[:i], replace(log[i], timestamp=log[i].timestamp + seconds), *log[i + 1 :]]

    return tampered


def insert(kind: type[Event], number: int = 0, **values: Any) -> Any:
    """A tampering: an event twice, the second time with these values, in the gap of a log index that is made for it."""

    def tampered(log: Log) -> Log:
        i = place(log, kind, number)
        wide = [replace(e, log_index=e.log_index * 2) for e in log]
        return [*wide[: i + 1], replace(wide[i], log_index=wide[i].log_index + 1, **values), *wide[i + 1 :]]

    return tampered


def revealed_at(event: Event) -> Event:
    return ValidationRevealed(
        block=event.block,
        log_index=event.log_index + 1,
        transaction=event.transaction,
        timestamp=event.timestamp,
        job_id=event.job_id,
        cid="bafydata",
    )


CIDS = (ValidationRevealed, HandedOver, OpeningShown)
ALL = ["completed", "aborted", "empty", "deserted", "cancelled", "unopened", "taken", "disputed"]
PAY, FEE, STAKE = {"reason": Reason.PAY}, {"reason": Reason.FEE}, {"reason": Reason.STAKE}
REFUND, COMPENSATION, BOND = {"reason": Reason.REFUND}, {"reason": Reason.COMPENSATION}, {"reason": Reason.BOND}
BURNT = {"reason": Reason.BURNT}

CASES: dict[str, tuple[str, Any, list[str]]] = {
    "one unit more pay": ("completed", change(Credited, 0, PAY, amount=714_286), ["pay of slot 0, amount"]),
    "pay to a stranger": ("completed", change(Credited, 1, PAY, payee=STRANGER), ["pay of slot 1, payee"]),
    "pay in another token": ("completed", change(Credited, 0, PAY, token=STRANGER), ["pay of slot 0, token"]),
    "pay called a fee": ("completed", change(Credited, 0, PAY, reason=Reason.FEE), ["pay of slot 0, reason"]),
    "a pay missing": ("completed", drop(Credited, 1, **PAY), ["pay of slot 1"]),
    "a pay twice": ("completed", insert(Credited, 0), [f"credit of 714285 to {TRAINERS[0].address} (pay)"]),
    "a higher fee": ("completed", change(Credited, 0, FEE, amount=70_001), ["fee of the aggregator, amount"]),
    "another pot": ("completed", change(RoundSettled, 0, pot=1_000_001), ["pot"]),
    "a carried pot kept back": ("completed", change(RoundSettled, 2, pot=1_000_000), ["pot"]),
    "another weight": ("completed", resettle(0, weights=(2, 5)), ["pay of slot 0, amount", "pay of slot 1, amount"]),
    "a weight missing": (
        "completed",
        resettle(2, weights=(1,)),
        [
            "number of weights",
            "pay of slot 0, amount",
            f"credit of 866666 to {TRAINERS[1].address} (pay)",
            "refund of the owner, amount",
        ],
    ),
    "submitted slots left out": ("completed", change(RoundSettled, 0, submitted=0b011), ["submitted slots"]),
    "a submission missing": (
        "completed",
        drop(UpdateSubmitted, 1),
        ["submitted slots", "slots judged without a submission"],
    ),
    "both selected and unopened": ("completed", resettle(0, unopened=0b010), ["slots both selected and unopened"]),
    "unopened without submission": ("completed", resettle(2, unopened=0b100), ["slots judged without a submission"]),
    "coefficients under krum-cosine": (
        "completed",
        resettle(0, coefficients=(4096, 4096)),
        ["number of coefficients"],
    ),
    "reference rows under krum-cosine": (
        "completed",
        resettle(1, reference_cid="bafyrows", reference_commitment=b"\x02" * 32),
        ["reference rows"],
    ),
    "a sum without a commitment": ("completed", resettle(2, sum_commitment=bytes(32)), ["commitment of the sum"]),
    "selected, and no sum": ("completed", resettle(0, sum_cid=""), ["CID of the sum"]),
    "a sum where nothing was opened": (
        "unopened",
        resettle(0, sum_cid="bafysum", sum_commitment=b"\x02" * 32),
        ["CID of the sum", "commitment of the sum"],
    ),
    "a commitment where nothing was opened": (
        "unopened",
        resettle(0, sum_commitment=b"\x02" * 32),
        ["commitment of the sum"],
    ),
    "rows where nothing was opened": (
        "unopened",
        resettle(0, reference_cid="bafyrows", reference_commitment=b"\x02" * 32),
        ["reference rows"],
    ),
    "a row commitment where nothing was opened": (
        "unopened",
        resettle(0, reference_commitment=b"\x02" * 32),
        ["reference rows"],
    ),
    "a weight where nothing was opened": ("unopened", resettle(0, weights=(1,)), ["number of weights"]),
    "a coefficient where nothing was opened": (
        "unopened",
        resettle(0, coefficients=(1,)),
        ["number of coefficients"],
    ),
    "an opened submission called unopened": (
        "unopened",
        resettle(1, unopened=0b01),
        ["slots both selected and unopened"],
    ),
    "the unopened called opened": (
        "unopened",
        resettle(0, unopened=0b00),
        ["commitment of the sum", "reference rows"],
    ),
    "another round settled": ("completed", change(RoundSettled, 0, round=2), ["settled round"]),
    "a smaller slash": ("completed", change(Ejected, 0, slashed=149_999), ["ejection of slot 3, slashed"]),
    "another reason to eject": ("completed", change(Ejected, 0, strikes=True), ["ejection of slot 3, strikes"]),
    "another slot ejected": ("completed", change(Ejected, 1, slot=1), ["ejection of slot 2, slot"]),
    "an ejection missing": ("completed", drop(Ejected, 1), ["ejection of slot 2"]),
    "a stake kept back": ("completed", change(Credited, 0, STAKE, amount=1), ["rest of the stake of slot 3, amount"]),
    "a refund missing": ("completed", drop(Credited, 0, **REFUND), ["refund of the skipped round"]),
    "a smaller refund at the end": (
        "completed",
        change(Credited, -1, REFUND, amount=1),
        ["refund of the owner, amount"],
    ),
    "another round skipped": ("completed", change(RoundSkipped, 0, round=2), ["skipped round"]),
    "a later deadline": ("completed", change(RoundOpened, 1, submit_by=5), ["opening of round 2, submit_by"]),
    "an opening missing": ("completed", drop(RoundOpened, 2), ["opening of round 3"]),
    "the bond kept": ("completed", change(Credited, 0, BOND, amount=899_999), ["bond, amount"]),
    "the end missing": ("completed", drop(Ended), ["end of the job"]),
    "another end": ("completed", change(Ended, 0, state=State.ABORTED), ["end of the job, state"]),
    "the end of an abort missing": ("aborted", drop(Ended), ["end of the job"]),
    "the end of a cancelled job missing": ("cancelled", drop(Ended), ["end of the job"]),
    "a smaller compensation": (
        "aborted",
        change(Credited, 1, COMPENSATION, amount=449_999),
        ["compensation of slot 2, amount"],
    ),
    "a compensation to a stranger": (
        "aborted",
        change(Credited, 0, COMPENSATION, payee=STRANGER),
        ["compensation of slot 0, payee"],
    ),
    "a stake missing in an abort": ("aborted", drop(Credited, 2, **STAKE), ["stake of slot 0"]),
    "a stake missing when leaving": ("aborted", drop(Credited, 0, **STAKE), ["stake of slot 3"]),
    "the owner's refund cut": ("cancelled", change(Credited, 0, REFUND, amount=7), ["refund of the owner, amount"]),
    "joined late": ("cancelled", later(Joined, 3601, 1), ["time of Joined of slot 1"]),
    "accepted late": ("cancelled", later(AggregationAccepted, 3601), ["time of AggregationAccepted"]),
    "another slot": (
        "cancelled",
        change(Joined, 1, slot=2),
        [f"slot of {TRAINERS[1].address}"],
    ),
    "a trainer twice": (
        "cancelled",
        change(Joined, 1, operator=TRAINERS[0].address),
        [f"places of {TRAINERS[0].address}"],
    ),
    "a second aggregator": ("cancelled", insert(AggregationAccepted, 0, aggregator=STRANGER), ["aggregator"]),
    "submitted late": ("completed", later(UpdateSubmitted, 700, 1), ["time of UpdateSubmitted of slot 1"]),
    "submitted in another round": (
        "completed",
        change(UpdateSubmitted, 0, round=3),
        ["round of UpdateSubmitted of slot 0"],
    ),
    "submitted twice": (
        "completed",
        insert(UpdateSubmitted, 0, commitment=commitment(99)),
        ["UpdateSubmitted of slot 0"],
    ),
    "no commitment": (
        "completed",
        change(UpdateSubmitted, 1, commitment=bytes(32)),
        ["commitment of UpdateSubmitted of slot 1"],
    ),
    "the key published twice": ("completed", insert(KeyPublished, 0), ["publishing of the job key"]),
    "the key published late": ("completed", later(KeyPublished, 700), ["time of KeyPublished"]),
    "settled early": (
        "completed",
        later(RoundSettled, -60, 1),
        ["time of RoundSettled of round 2", "opening of round 3, submit_by", "opening of round 3, settle_by"],
    ),
    "settled late": (
        "completed",
        later(RoundSettled, 1300, 2),
        [
            "time of RoundSettled of round 4",
            "opening of the confirmation, confirm_by",
            "time of the completion",
        ],
    ),
    "skipped early": (
        "completed",
        later(RoundSkipped, -60),
        ["time of RoundSkipped of round 3", "opening of round 4, submit_by", "opening of round 4, settle_by"],
    ),
    "aborted early": ("aborted", later(Credited, -1000, 0, **FEE), ["time of the abort"]),
    "left late": ("aborted", later(Left, 700), ["time of Left of slot 3"]),
    "taken over early": (
        "taken",
        later(TakenOver, -60),
        ["time of the takeover", "opening of round 2, submit_by", "opening of round 2, settle_by"],
    ),
    "taken over late": (
        "taken",
        later(TakenOver, 900),
        [
            "time of TakenOver of round 2",
            "opening of round 2, submit_by",
            "opening of round 2, settle_by",
            "time of RoundSettled of round 2",
        ],
    ),
    "another round taken over": ("taken", change(TakenOver, round=1), ["round taken over"]),
    "the old aggregator's fee to the new one": (
        "taken",
        change(Credited, 0, FEE, payee=OTHER.address),
        ["fee of the aggregator, payee"],
    ),
    "a compensation kept at a takeover": (
        "taken",
        drop(Credited, 1, **COMPENSATION),
        ["compensation of slot 1"],
    ),
    "handed over by a stranger": ("taken", change(HandedOver, sender=STRANGER), ["who hands over"]),
    "handed over to nobody": (
        "taken",
        lambda log: (at := place(log, HandedOver)) and [*log[:at], log[at + 1], log[at], *log[at + 2 :]],
        ["place in the log", "aggregator that waits for what is handed over"],
    ),
    "a submission of the failed attempt counted": (
        "taken",
        change(RoundSettled, 1, submitted=0b111),
        ["submitted slots"],
    ),
    "a later confirmation": (
        "taken",
        change(ConfirmationOpened, confirm_by=5),
        ["opening of the confirmation, confirm_by"],
    ),
    "no confirmation": ("taken", drop(ConfirmationOpened), ["opening of the confirmation"]),
    "less burnt": ("disputed", change(Credited, 0, BURNT, amount=1), ["what is burnt, amount"]),
    "burnt to somebody": ("disputed", change(Credited, 0, BURNT, payee=STRANGER), ["what is burnt, payee"]),
    "disputed late": ("disputed", later(Disputed, 700, 1), ["time of Disputed of slot 1"]),
    "disputed in another round": ("disputed", change(Disputed, 1, round=1), ["round of Disputed of slot 1"]),
    "disputed twice": ("disputed", insert(Disputed, 0), ["Disputed of slot 0"]),
    "completed early": (
        "completed",
        later(Credited, -60, -1, **FEE),
        ["time of the completion"],
    ),
    "shown by nobody": ("unopened", change(OpeningShown, slot=7), ["holder of slot 7"]),
    "an event of another job": ("completed", insert(Ejected, 0, job_id=99), ["job of Ejected of slot 3"]),
    "an end twice": ("aborted", insert(Ended), ["Ended"]),
    "revealed before the end": (
        "cancelled",
        lambda log: [log[0], revealed_at(log[0]), *log[1:]],
        ["state at ValidationRevealed"],
    ),
}


def test_logs_as_the_contract_wrote_them_are_clean(logs: dict[str, Log]) -> None:
    histories = {name: replay(log) for name, log in logs.items()}
    assert [history.findings for history in histories.values()] == [[]] * len(ALL)
    assert [history.state for history in histories.values()] == [
        State.COMPLETED,
        State.ABORTED,
        State.ABORTED,
        State.ABORTED,
        State.CANCELLED,
        State.COMPLETED,
        State.COMPLETED,
        State.ABORTED,
    ]
    compensations = [e.amount for e in logs["aborted"] if isinstance(e, Credited) and e.reason is Reason.COMPENSATION]
    assert compensations == [(900_000 + 150_000) // 2] * 2
    assert histories["empty"].rounds[-1].number == 2


@pytest.mark.parametrize("name", CASES)
def test_what_was_tampered_with_is_named_and_nothing_else(logs: dict[str, Log], name: str) -> None:
    which, tampered, expected = CASES[name]
    findings = replay(tampered(logs[which])).findings
    assert [finding.what for finding in findings] == expected, [str(f) for f in findings]


def test_a_finding_says_where_and_both_values(logs: dict[str, Log]) -> None:
    log = CASES["one unit more pay"][1](logs["completed"])
    settled = log[place(log, RoundSettled)]
    where = f"job {settled.job_id}, round 1, block {settled.block}"
    assert replay(log).findings == [Finding(where, "pay of slot 0, amount", 714_285, 714_286)]
    assert str(replay(log).findings[0]) == f"{where}: pay of slot 0, amount should be 714285, but is 714286"


@pytest.mark.parametrize("which", ALL)
def test_no_event_can_be_left_out_unnoticed(logs: dict[str, Log], which: str) -> None:
    """Noticed: by a finding, or because the contract's state and credits are others. A CID alone changes neither."""
    true, log = replay(logs[which]), logs[which]
    for i, left_out in enumerate(log[1:], start=1):
        history = replay([*log[:i], *log[i + 1 :]])
        differs = (history.job(), history.credits) != (true.job(), true.credits)
        assert history.findings or differs or isinstance(left_out, CIDS), left_out


@pytest.mark.parametrize("which", ALL)
def test_no_two_events_can_change_places_unnoticed(logs: dict[str, Log], which: str) -> None:
    log = logs[which]
    for i in range(1, len(log) - 1):
        assert replay([*log[:i], log[i + 1], log[i], *log[i + 2 :]]).findings


@pytest.mark.parametrize("which", ALL)
def test_no_event_can_be_repeated_unnoticed(logs: dict[str, Log], which: str) -> None:
    log = logs[which]
    for i in range(len(log)):
        assert replay([*log[: i + 1], log[i], *log[i + 1 :]]).findings


@settings(max_examples=300)
@given(data=st.data())
def test_a_log_of_rubbish_gives_findings_and_never_fails(logs: dict[str, Log], data: st.DataObject) -> None:
    log = logs[data.draw(st.sampled_from(ALL))]
    mixed = data.draw(st.lists(st.sampled_from(log[1:]), max_size=40))
    numbers = {"slot": 255, "round": 2**16 - 1, "amount": 2**256 - 1, "pot": 2**128 - 1}  # as their types allow
    for i, event in enumerate(mixed):
        fields: dict[str, Any] = {
            name: data.draw(st.integers(0, most)) for name, most in numbers.items() if hasattr(event, name)
        }
        if data.draw(st.booleans()):
            mixed[i] = replace(event, **fields)
        if isinstance(event, RoundSettled) and data.draw(st.booleans()):
            masks = st.integers(0, 2**32 - 1)
            words = st.sampled_from([bytes(32), b"\x01" * 32])
            judged = Settlement(
                data.draw(masks),
                data.draw(masks),
                (1, 2),
                data.draw(st.sampled_from([(), (1, 2**16 - 1)])),
                data.draw(st.sampled_from(["", "bafy"])),
                data.draw(words),
                "",
                data.draw(words),
            )
            mixed[i] = replace(event, settlement=judged)
    history = replay([log[0], *mixed])
    assert history.findings or len(mixed) < len(log)
    assert replay([log[0], *mixed]).findings == history.findings


@pytest.mark.parametrize("log", [[], slice(1, None)])
def test_without_its_creation_a_job_cannot_be_replayed(logs: dict[str, Log], log: list[Event] | slice) -> None:
    with pytest.raises(AuditFailed, match="not its creation: read them from the deployment on"):
        replay(logs["completed"][log] if isinstance(log, slice) else log)


def test_terms_that_were_tampered_with_show_in_every_amount(logs: dict[str, Log]) -> None:
    log = logs["completed"]
    created = log[0]
    assert isinstance(created, JobCreated)
    for changes in ({"reward": 999_999}, {"slash_bps": 2999}, {"max_missed": 3}, {"submit_window": 599}, {"stake": 1}):
        assert replay([replace(created, terms=replace(created.terms, **changes)), *log[1:]]).findings  # type: ignore[arg-type]


ROWS: dict[str, Any] = {"reference_cid": "bafyrows", "reference_commitment": b"\x02" * 32}


def by_reference(log: Log) -> Log:
    """The completed job's log, had its rule been `reference`."""
    created = log[0]
    assert isinstance(created, JobCreated)
    ruled = [replace(created, terms=replace(created.terms, rule=Rule.REFERENCE)), *log[1:]]
    for number in range(3):
        ruled = resettle(number, coefficients=(4096, 0), **ROWS)(ruled)
    return ruled


def test_a_log_by_the_rule_reference_is_clean(logs: dict[str, Log]) -> None:
    assert replay(by_reference(logs["completed"])).findings == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"reference_cid": ""}, ["reference rows"]),
        ({"reference_commitment": bytes(32)}, ["reference rows"]),
        ({"reference_cid": "", "reference_commitment": bytes(32)}, ["reference rows"]),
        ({"coefficients": ()}, ["number of coefficients"]),
        ({"coefficients": (1,)}, ["number of coefficients"]),
        ({"coefficients": (1, 2, 3)}, ["number of coefficients"]),
        ({"coefficients": (4097, 0)}, ["coefficients"]),
        ({"coefficients": (0, 2**16 - 1)}, ["coefficients"]),
        ({"coefficients": (1, 1, 4097)}, ["number of coefficients", "coefficients"]),
    ],
)
def test_what_the_rule_reference_needs_is_held_against_each_settlement(
    logs: dict[str, Log], values: dict[str, Any], expected: list[str]
) -> None:
    for number in range(3):
        findings = replay(resettle(number, **values)(by_reference(logs["completed"]))).findings
        assert [finding.what for finding in findings] == expected, [str(f) for f in findings]


def test_a_log_under_another_rule_than_it_was_made_by_is_named(logs: dict[str, Log]) -> None:
    log = logs["completed"]
    created = log[0]
    assert isinstance(created, JobCreated)
    ruled = [replace(created, terms=replace(created.terms, rule=Rule.REFERENCE)), *log[1:]]
    assert [f.what for f in replay(ruled).findings] == ["number of coefficients", "reference rows"] * 3


def test_an_outlier_spared_a_strike_shows_in_what_it_cost(logs: dict[str, Log]) -> None:
    """Called unopened in round 1, it would have one strike less, and could not have been ejected in round 2."""
    first = replay(resettle(0, unopened=0b100)(logs["completed"])).findings[0]
    assert (first.what, first.expected, first.found) == ("Ejected of slot 2", "absent", "present")
    assert ", round 2, " in first.where


def test_too_many_unopened_submissions_are_named(logs: dict[str, Log]) -> None:
    log = logs["completed"]
    created = log[0]
    assert isinstance(created, JobCreated)
    strict = [replace(created, terms=replace(created.terms, max_faulty=0, max_strikes=3)), *log[1:]]
    assert "unopened submissions" in [f.what for f in replay(resettle(0, unopened=0b100)(strict)).findings]


def test_calls_that_share_a_transaction_are_told_apart(logs: dict[str, Log]) -> None:
    """A contract may call the market twice in one transaction: here the last trainer joins and the owner cancels."""
    log = logs["cancelled"]
    first = place(log, Joined, 1)
    shared: dict[str, Any] = {
        "block": log[first].block,
        "transaction": log[first].transaction,
        "timestamp": log[first].timestamp,
    }
    tail = [replace(e, **shared, log_index=log[first].log_index + 1 + i) for i, e in enumerate(log[first + 1 :])]
    history = replay([*log[: first + 1], *tail])
    assert history.findings == []
    assert history.state is State.CANCELLED


def test_a_start_before_its_time_is_named(logs: dict[str, Log]) -> None:
    log = logs["completed"]
    early = [e for i, e in enumerate(log) if i != place(log, Joined, 3)]
    assert "trainers at the start" in [f.what for f in replay(early).findings]
    alone = [e for e in log if not isinstance(e, AggregationAccepted)]
    assert "aggregators at the start" in [f.what for f in replay(alone).findings]
    unstarted = [e for e in log if not isinstance(e, Started)]
    assert [f.what for f in replay(unstarted).findings] == ["RoundOpened of round 1"]


def test_a_withdrawal_of_more_than_was_credited_is_named(logs: dict[str, Log]) -> None:
    log = logs["cancelled"]
    token = log[0].terms.token  # type: ignore[attr-defined]
    last = log[-1]
    owner_credit = log[place(log, Credited, 0, **REFUND)]
    assert isinstance(owner_credit, Credited)

    def withdrawn(amount: int) -> Withdrawn:
        return Withdrawn(
            block=last.block + 1,
            log_index=0,
            transaction=last.transaction,
            timestamp=last.timestamp,
            job_id=0,
            payee=owner_credit.payee,
            token=token,
            amount=amount,
        )

    held = sum(e.amount for e in log if isinstance(e, Credited))
    rest = held - owner_credit.amount
    assert conservation(log, {token: held}) == []
    assert conservation([*log, withdrawn(owner_credit.amount)], {token: rest}) == []
    stolen = conservation([*log, withdrawn(owner_credit.amount + 5)], {token: rest - 5})
    assert [(f.expected, f.found) for f in stolen if "withdrawal" in f.what] == [
        (owner_credit.amount, owner_credit.amount + 5)
    ]
    assert [f.what for f in conservation(log, {token: held - 1})] == [f"balance in {token}"]
    assert [f.what for f in conservation(log, {})] == [f"balance in {token}"]


def test_credits_beyond_what_was_paid_in_are_named(logs: dict[str, Log]) -> None:
    log = change(Credited, 0, REFUND, amount=10**9)(logs["cancelled"])
    token = log[0].terms.token
    assert f"credits in {token}" in [f.what for f in conservation(log, {token: 10**18})]
