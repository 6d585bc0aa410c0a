"""An event log that was tampered with: the replay names what is wrong, and nothing else where it can."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.domain import (
    ZERO_ADDRESS,
    AggregationAccepted,
    Claimed,
    ConfirmationOpened,
    Credited,
    Disputed,
    Ejected,
    EndAsked,
    Ended,
    Event,
    FeesClaimed,
    HandedOver,
    JobCreated,
    Joined,
    KeyPublished,
    Left,
    OpeningShown,
    Reason,
    Redelivered,
    RoundOpened,
    RoundSettled,
    RoundSkipped,
    RoundVoided,
    Rule,
    Settlement,
    Started,
    State,
    SumAnnounced,
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
TRAINERS = PEOPLE[3:8]
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


def over(chain: Chain, job: int, *claiming: int) -> None:
    """Completes a job that is Confirming, unless it is over; members claim in this order."""
    if not chain.market.job(job).state.over:
        chain.forward(601)
        chain.market.complete(OWNER, job)
    for slot in claiming:
        chain.market.claim(PEOPLE[8], job, slot)


@pytest.fixture(scope="module")
def logs(_anvil_chain: Chain) -> Iterator[dict[str, Log]]:
    """Jobs: ended early by its owner, after an ejection, a skip and strikes; aborted; empty; left by all; cancelled.

    And with unopened submissions; taken over by another aggregator; with a sum disputed in a round; with one that is
    disputed in the end, by members of whom one has left with strikes; and with void rounds, the last of which ends it.
    """
    with untouched(_anvil_chain) as chain:
        market = chain.market
        job = started(chain, 4, rounds=5, min_rounds=4)
        for round_ in (1, 2):
            submit(chain, job, round_, 0, 1, 2)
            chain.forward(601)
            judged = settlement(0b011, (5, 2), struck=0b100, submitted=0b111, round_=round_)
            market.settle_round(AGGREGATOR, job, round_, *judged)
        market.ask_end(OWNER, job)
        chain.forward(601)
        market.skip_round(OWNER, job)
        submit(chain, job, 4, 0, 1, 2)
        market.settle_round(AGGREGATOR, job, 4, *settlement(0b011, (1, 2), submitted=0b111, round_=4))
        over(chain, job, 2, 0, 3, 1)
        market.reveal_validation(OWNER, job, "bafydata")

        aborted = started(chain, 4, max_missed=1)
        market.leave(TRAINERS[3], aborted)
        submit(chain, aborted, 1, 0, 2)
        chain.forward(601)
        market.settle_round(AGGREGATOR, aborted, 1, *settlement(0b101, (1, 1), submitted=0b101))
        submit(chain, aborted, 2, 0, 2)
        chain.forward(1201)
        market.abort(OWNER, aborted)
        over(chain, aborted, 0, 1, 2, 3)

        empty = started(chain, 2, rounds=4, max_missed=9)
        for _ in range(2):
            chain.forward(601)
            market.skip_round(OWNER, empty)
        over(chain, empty, 1)

        deserted = started(chain, 2)
        for trainer in TRAINERS[:2]:
            market.leave(trainer, deserted)
        over(chain, deserted, 0, 1)

        cancelled = opened(chain, 2)
        market.cancel(OWNER, cancelled)
        over(chain, cancelled, 1, 0)

        ruled: dict[str, Any] = {"rule": Rule.REFERENCE, "rate": 3 << 38, "rate_decay": 1 << 31}
        one_faulty = {"min_trainers": 5, "max_faulty": 1}
        unopened = started(chain, 5, **ruled, **one_faulty, max_missed=1)
        submit(chain, unopened, 1, 0, 2, 3, 4)
        market.dispute(TRAINERS[1], unopened)
        chain.forward(601)
        judged = settlement(0, (), 0b00001, submitted=0b11101, rule=Rule.REFERENCE)
        market.settle_round(AGGREGATOR, unopened, 1, *judged)
        submit(chain, unopened, 2, 0, 1, 2, 3, 4)
        scores, struck = (10**15, 3 * 10**14), 0b00100
        judged = settlement(
            0b011, scores, submitted=0b11111, round_=2, rule=Rule.REFERENCE, struck=struck, row_exponent=-22
        )
        market.settle_round(AGGREGATOR, unopened, 2, *judged)
        over(chain, unopened, 1, 2, 3, 4, 0)
        market.show_opening(TRAINERS[0], unopened, 1, "bafyshown")

        taken = started(chain, 3, takeover_window=900)
        submit(chain, taken, 1, 0, 1, 2)
        market.announce_sum(AGGREGATOR, taken, 1, 0b111, KEY, "bafysum")
        market.settle_round(AGGREGATOR, taken, 1, *settlement(0b111, (1, 1, 1), submitted=0b111))
        submit(chain, taken, 2, 0, 1, 2)
        chain.forward(1201)
        market.take_over(OTHER, taken, OTHER.address, KEY)
        market.hand_over(TRAINERS[1], taken, "bafyhanded")
        market.publish_key(OTHER, taken, "bafyother")
        for slot in (0, 2):
            market.redeliver(TRAINERS[slot], taken, 2, "bafyagain")
        chain.forward(601)
        market.settle_round(OTHER, taken, 2, *settlement(0b101, (1, 3), submitted=0b101, round_=2))
        over(chain, taken, 0, 1)
        market.claim_fees(PEOPLE[8], taken, AGGREGATOR.address)
        over(chain, taken, 2)

        voided = started(chain, 3, rounds=3, max_voids=2)
        submit(chain, voided, 1, 0, 1, 2)
        market.void_round(AGGREGATOR, voided, 1, 0b110)
        market.redeliver(TRAINERS[1], voided, 1, "bafyagain")
        chain.forward(601)
        market.settle_round(AGGREGATOR, voided, 1, *settlement(0b011, (1, 2), submitted=0b011))
        submit(chain, voided, 2, 0, 1, 2)
        market.void_round(AGGREGATOR, voided, 2, 0b001)
        market.redeliver(TRAINERS[0], voided, 2, "bafyrubbish")
        market.void_round(AGGREGATOR, voided, 2, 0b001)
        over(chain, voided, 2, 0, 1)

        disputed = started(chain, 5, **one_faulty)
        submit(chain, disputed, 1, 0, 1, 2, 3, 4)
        market.settle_round(AGGREGATOR, disputed, 1, *settlement(0b11111, (1,) * 5, submitted=0b11111))
        for trainer in TRAINERS[:2]:
            market.dispute(trainer, disputed)
        over(chain, disputed, 0, 2, 1, 3, 4)

        confirmed = started(chain, 5, **one_faulty, max_strikes=1)
        submit(chain, confirmed, 1, 0, 1, 2, 3, 4)
        market.settle_round(AGGREGATOR, confirmed, 1, *settlement(0b001, (1,), struck=0b100, submitted=0b11111))
        market.leave(TRAINERS[2], confirmed)
        submit(chain, confirmed, 2, 0, 1, 3, 4)
        market.settle_round(AGGREGATOR, confirmed, 2, *settlement(0, (), submitted=0b11011, round_=2))
        for trainer in TRAINERS[:2]:
            market.dispute(trainer, confirmed)
        over(chain, confirmed, 2, 1, 3, 4, 0)

        jobs = {"completed": job, "aborted": aborted, "empty": empty, "deserted": deserted, "cancelled": cancelled}
        jobs |= {"unopened": unopened, "taken": taken, "disputed": disputed, "confirmed": confirmed, "voided": voided}
        found = {name: chain.events(job_id) for name, job_id in jobs.items()}
        yield found | {f"{name}, unclaimed": log[: place(log, Claimed)] for name, log in found.items()}


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


def insert(kind: type[Event], number: int = 0, place_of: Mapping[str, object] | None = None, **values: Any) -> Any:
    """A tampering: an event twice, the second time with these values, in the gap of a log index that is made for it."""

    def tampered(log: Log) -> Log:
        i = place(log, kind, number, **place_of or {})
        wide = [replace(e, log_index=e.log_index * 2) for e in log]
        return [*wide[: i + 1], replace(wide[i], log_index=wide[i].log_index + 1, **values), *wide[i + 1 :]]

    return tampered


def where(event: Event) -> dict[str, Any]:
    """The place after an event."""
    return {
        "block": event.block,
        "log_index": event.log_index + 1,
        "transaction": event.transaction,
        "timestamp": event.timestamp,
        "job_id": event.job_id,
    }


def revealed_at(event: Event) -> Event:
    return ValidationRevealed(**where(event), cid="bafydata")


def without_call(kind: type[Event], number: int = 0, **having: object) -> Any:
    """A tampering: a call left out, and all that followed from it."""

    def tampered(log: Log) -> Log:
        call = log[place(log, kind, number, **having)].transaction
        return [event for event in log if event.transaction != call]

    return tampered


def again(kind: type[Event], number: int = 0) -> Any:
    """A tampering: a call a second time, at the end, with all that followed from it."""

    def tampered(log: Log) -> Log:
        call = log[place(log, kind, number)].transaction
        copies = [e for e in log if e.transaction == call]
        return [*log, *(replace(e, block=log[-1].block + 1, transaction=call[::-1]) for e in copies)]

    return tampered


SAID = (ValidationRevealed, HandedOver, OpeningShown, SumAnnounced)
TOO_MANY = "unopened submissions"
ALL = ["completed", "aborted", "empty", "deserted", "cancelled", "unopened", "taken", "disputed", "confirmed", "voided"]
PAY, FEE, STAKE = {"reason": Reason.PAY}, {"reason": Reason.FEE}, {"reason": Reason.STAKE}
REFUND, COMPENSATION, BOND = {"reason": Reason.REFUND}, {"reason": Reason.COMPENSATION}, {"reason": Reason.BOND}
BURNT = {"reason": Reason.BURNT}
PAYS = ["pay of seat 0", "pay of seat 0, amount", "pay of seat 1", "pay of seat 1, amount"]
BURNT_1, BURNT_150000 = (f"credit of {amount} to {ZERO_ADDRESS} (burnt)" for amount in (1, 150_000))
FEES_70000 = f"credit of 70000 to {AGGREGATOR.address} (fee)"

CASES: dict[str, tuple[str, Any, list[str]]] = {
    # ------------------------------------------------------------ claims
    "one unit more pay": ("completed", change(Credited, 0, PAY, amount=1_850_001), ["pay of seat 0, amount"]),
    "one unit more claimed": ("completed", change(Claimed, 0, {"slot": 0}, pay=1_850_001), ["pay of seat 0"]),
    "pay to a stranger": ("completed", change(Credited, 1, PAY, payee=STRANGER), ["pay of seat 1, payee"]),
    "pay in another token": ("completed", change(Credited, 0, PAY, token=STRANGER), ["pay of seat 0, token"]),
    "pay called a fee": ("completed", change(Credited, 0, PAY, reason=Reason.FEE), ["pay of seat 0, reason"]),
    "a pay missing": ("completed", drop(Credited, 1, **PAY), ["pay of seat 1"]),
    "a credit twice": (
        "completed",
        insert(Credited, place_of=PAY),
        [f"credit of 1850000 to {TRAINERS[0].address} (pay)"],
    ),
    "pay for who has no points": (
        "completed",
        change(Claimed, 0, {"slot": 3}, pay=1),
        ["pay of seat 3"],
    ),
    "the stake of who was ejected claimed again": (
        "completed",
        change(Claimed, 0, {"slot": 3}, stake=350_000),
        ["stake of seat 3"],
    ),
    "a stake kept back at the claim": (
        "completed",
        change(Claimed, 0, {"slot": 0}, stake=499_999),
        ["stake of seat 0"],
    ),
    "strikes forgiven": (
        "completed",
        change(Claimed, 0, {"slot": 2}, stake=500_000, slashed=0),
        ["stake of seat 2", "slash of seat 2"],
    ),
    "the slash for strikes to its sender": (
        "completed",
        change(Credited, 0, BURNT, payee=TRAINERS[2].address),
        ["what is burnt, payee"],
    ),
    "a slash without strikes": ("completed", change(Claimed, 0, {"slot": 1}, slashed=1), ["slash of seat 1"]),
    "a claim twice": (
        "completed",
        again(Claimed),
        ["Claimed of seat 2", f"credit of 350000 to {TRAINERS[2].address} (stake)", BURNT_150000],
    ),
    "claimed for nobody": ("completed", change(Claimed, 0, {"slot": 3}, slot=9), ["member in seat 9", BURNT_1]),
    "claimed before the end": (
        "cancelled",
        lambda log: [log[0], Claimed(**where(log[0]), slot=0, pay=0, stake=0, slashed=0), *log[1:]],
        ["state at Claimed of seat 0", "member in seat 0"],
    ),
    "a stake that has left claimed": (
        "aborted",
        change(Claimed, 0, {"slot": 3}, stake=500_000),
        ["stake of seat 3"],
    ),
    "what is left of the pot not burnt": ("taken", drop(Credited, 0, **BURNT), ["what is burnt"]),
    "the stake of who left with strikes in full": (
        "confirmed",
        change(Credited, 0, STAKE, amount=500_000),
        ["stake of seat 2, amount"],
    ),
    # ------------------------------------------------------------ balances
    "another score": (
        "completed",
        resettle(0, scores=(2, 5)),
        [*PAYS, BURNT_1],
    ),
    "another score in a round that was not the first": (
        "completed",
        resettle(2, scores=(1, 1)),
        PAYS,
    ),
    "another scale": (
        "unopened",
        resettle(1, row_exponent=-200),
        [
            *("pay of seat 1", "pay of seat 1, amount"),
            *(f"pay of seat {slot}" for slot in (2, 2, 3, 3, 4, 4)),
            *("pay of seat 0", "pay of seat 0, amount", BURNT_1),
        ],
    ),
    "a score that hurt": (
        "unopened",
        resettle(1, scores=(10**15, -3 * 10**14)),
        [
            *("pay of seat 1", f"credit of 461538 to {TRAINERS[1].address} (pay)"),
            *("pay of seat 0", "pay of seat 0, amount", BURNT_1),
        ],
    ),
    "a score missing": (
        "completed",
        resettle(2, scores=(1,)),
        ["number of scores", "pay of seat 0", "pay of seat 0, amount", "pay of seat 1", "pay of seat 1, amount"],
    ),
    "a strike missing": (
        "completed",
        resettle(1, struck=0),
        ["stake of seat 2", "slash of seat 2", "stake of seat 2, amount", BURNT_150000],
    ),
    "a strike more": (
        "unopened",
        resettle(1, struck=0b101),
        ["struck seats that are selected or did not open"],
    ),
    "a strike for who was selected": (
        "completed",
        resettle(2, struck=0b001),
        ["struck seats that are selected or did not open"],
    ),
    "a strike for who did not submit": (
        "completed",
        resettle(0, struck=0b1100),
        ["struck seats that are selected or did not open"],
    ),
    # ------------------------------------------------------------ rounds
    "submitted slots left out": ("completed, unclaimed", change(RoundSettled, 0, submitted=0b011), ["submitted seats"]),
    "a submission missing": (
        "completed, unclaimed",
        drop(UpdateSubmitted, 1),
        ["submitted seats", "seats judged without a submission"],
    ),
    "both selected and unopened": (
        "completed, unclaimed",
        resettle(0, unopened=0b010),
        ["seats both selected and unopened", TOO_MANY],
    ),
    "unopened without submission": (
        "completed",
        resettle(2, unopened=0b1000),
        ["seats judged without a submission", TOO_MANY],
    ),
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
    "nothing opened": ("unopened, unclaimed", resettle(0, unopened=0b11101), [TOO_MANY]),
    "rows without a commitment": (
        "unopened, unclaimed",
        resettle(0, reference_commitment=bytes(32)),
        ["reference rows"],
    ),
    "a commitment without rows": ("unopened, unclaimed", resettle(0, reference_cid=""), ["reference rows"]),
    "a scale under krum-cosine": ("completed", resettle(0, row_exponent=1), ["reference rows"]),
    "an opened submission called unopened": (
        "unopened, unclaimed",
        resettle(1, unopened=0b01),
        ["seats both selected and unopened"],
    ),
    "the unopened called opened": (
        "unopened",
        resettle(0, unopened=0),
        ["pay of seat 1", "pay of seat 1, amount", "pay of seat 0", "pay of seat 0, amount"],
    ),
    "a third called unopened": ("unopened, unclaimed", resettle(0, unopened=0b00101), [TOO_MANY]),
    "announced for another round": ("taken", change(SumAnnounced, round=2), ["round of SumAnnounced of round 2"]),
    # ------------------------------------------------------------ voids
    "void, and it could be settled": (
        "voided, unclaimed",
        change(RoundVoided, 2, unopened=0),
        ["unopened submissions of a void round"],
    ),
    "void for who has not submitted": (
        "voided, unclaimed",
        change(RoundVoided, 2, unopened=0b1001),
        ["seats called unopened without a submission"],
    ),
    "another round void": ("voided, unclaimed", change(RoundVoided, 2, round=1), ["round of RoundVoided of round 1"]),
    "more time to deliver": (
        "voided, unclaimed",
        lambda log: change(RoundVoided, 0, deliver_by=log[place(log, RoundVoided)].timestamp + 601)(log),
        ["time to deliver again"],
    ),
    "more time to settle then": ("voided, unclaimed", change(RoundVoided, 1, settle_by=5), ["time to settle then"]),
    "a void that does not end the job": (
        "voided, unclaimed",
        lambda log: [replace(log[0], terms=replace(log[0].terms, max_voids=3)), *log[1:]],
        [
            *("time to deliver again", "time to settle then"),
            *(f"credit of 1000000 to {ZERO_ADDRESS} (burnt)", "ConfirmationOpened", "refund of the owner, amount"),
        ],
    ),
    "delivered late": ("voided", later(Redelivered, 601, 0), ["time of Redelivered of seat 1"]),
    "delivered unasked": (
        "voided, unclaimed",
        change(Redelivered, 1, slot=2),
        [
            "Redelivered of seat 2",
            "time of RoundVoided of round 2",
            "seats called unopened without a submission",
        ],
    ),
    "delivered in another round": ("voided", change(Redelivered, 0, round=2), ["round of Redelivered of seat 1"]),
    "delivered twice": ("voided", insert(Redelivered, 0), ["Redelivered of seat 1"]),
    "what was not delivered judged": (
        "voided, unclaimed",
        change(RoundSettled, 0, submitted=0b111),
        ["submitted seats"],
    ),
    "settled before all was delivered": (
        "voided, unclaimed",
        later(RoundSettled, -300),
        ["time of RoundSettled of round 1", "opening of round 2, submit_by", "opening of round 2, settle_by"],
    ),
    "the reward of a void round not burnt": ("voided", drop(Credited, 0, **BURNT), ["what is burnt"]),
    "another round settled": ("completed", change(RoundSettled, 0, round=2), ["round of RoundSettled of round 2"]),
    "a smaller slash": ("completed", change(Ejected, 0, slashed=149_999), ["ejection of seat 3, slashed"]),
    "another slot ejected": ("completed", change(Ejected, 0, slot=1), ["ejection of seat 3, slot"]),
    "an ejection missing": ("completed", drop(Ejected, 0), ["ejection of seat 3"]),
    "a stake kept back": ("completed", change(Credited, 0, STAKE, amount=1), ["rest of the stake of seat 3, amount"]),
    "another round skipped": ("completed", change(RoundSkipped, 0, round=2), ["skipped round"]),
    "a later deadline": ("completed", change(RoundOpened, 1, submit_by=5), ["opening of round 2, submit_by"]),
    "an opening missing": ("completed", drop(RoundOpened, 2), ["opening of round 3"]),
    # ------------------------------------------------------------ ends
    "a higher fee": ("completed", change(Credited, 0, FEE, amount=210_001), ["fees of the aggregator, amount"]),
    "the fees missing": ("completed", drop(Credited, 0, **FEE), ["fees of the aggregator"]),
    "the bond kept": ("completed", change(Credited, 0, BOND, amount=899_999), ["bond, amount"]),
    "a smaller refund at the end": (
        "completed",
        change(Credited, 0, REFUND, amount=1),
        ["refund of the owner, amount"],
    ),
    "the refund missing": ("completed", drop(Credited, 0, **REFUND), ["refund of the owner"]),
    "a smaller pot": ("completed", change(Ended, 0, pot=3_149_999), ["end of the job, pot"]),
    "the end missing": ("completed", drop(Ended), ["end of the job"]),
    "another end": ("completed", change(Ended, 0, state=State.ABORTED), ["end of the job, state"]),
    "the end of an abort missing": ("aborted", drop(Ended), ["end of the job"]),
    "the end of a cancelled job missing": ("cancelled", drop(Ended), ["end of the job"]),
    "another outcome": (
        "aborted",
        change(ConfirmationOpened, 0, outcome=State.COMPLETED),
        ["opening of the confirmation, outcome"],
    ),
    "the end not asked for": (
        "completed",
        drop(EndAsked),
        [
            "opening of round 5",
            f"credit of 210000 to {AGGREGATOR.address} (fee)",
            f"credit of 900000 to {AGGREGATOR.address} (bond)",
            f"credit of 2140000 to {OWNER.address} (refund)",
            "Ended",
        ],
    ),
    "the end asked for twice": ("completed", insert(EndAsked), ["EndAsked"]),
    "an end before its time": (
        "completed",
        lambda log: [replace(log[0], terms=replace(log[0].terms, min_rounds=5)), *log[1:]],
        [
            "opening of round 5",
            f"credit of 210000 to {AGGREGATOR.address} (fee)",
            f"credit of 900000 to {AGGREGATOR.address} (bond)",
            f"credit of 2140000 to {OWNER.address} (refund)",
            "Ended",
        ],
    ),
    "a smaller compensation": (
        "aborted",
        change(Credited, 1, COMPENSATION, amount=449_999),
        ["compensation of seat 2, amount"],
    ),
    "a compensation to a stranger": (
        "aborted",
        change(Credited, 0, COMPENSATION, payee=STRANGER),
        ["compensation of seat 0, payee"],
    ),
    "a stake missing in an abort": ("aborted", drop(Credited, 2, **STAKE), ["stake of seat 0"]),
    "a stake missing when leaving": ("aborted", drop(Credited, 0, **STAKE), ["stake of seat 3"]),
    "the owner's refund cut": ("cancelled", change(Credited, 0, REFUND, amount=7), ["refund of the owner, amount"]),
    "joined late": ("cancelled", later(Joined, 3601, 1), ["time of Joined of seat 1"]),
    "accepted late": ("cancelled", later(AggregationAccepted, 3601), ["time of AggregationAccepted"]),
    "another slot": (
        "cancelled, unclaimed",
        change(Joined, 1, slot=2),
        [f"seat of {TRAINERS[1].address}"],
    ),
    "a trainer twice": (
        "cancelled",
        change(Joined, 1, operator=TRAINERS[0].address),
        [f"places of {TRAINERS[0].address}"],
    ),
    "a second aggregator": ("cancelled", insert(AggregationAccepted, 0, aggregator=STRANGER), ["aggregator"]),
    "submitted late": ("completed", later(UpdateSubmitted, 700, 1), ["time of UpdateSubmitted of seat 1"]),
    "submitted in another round": (
        "completed",
        change(UpdateSubmitted, 0, round=3),
        ["round of UpdateSubmitted of seat 0"],
    ),
    "submitted twice": (
        "completed",
        insert(UpdateSubmitted, 0, commitment=commitment(99)),
        ["UpdateSubmitted of seat 0"],
    ),
    "no commitment": (
        "completed",
        change(UpdateSubmitted, 1, commitment=bytes(32)),
        ["commitment of UpdateSubmitted of seat 1"],
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
    "aborted early": (
        "aborted",
        later(Credited, -1000, 0, **COMPENSATION),
        ["time of the abort", "opening of the confirmation, confirm_by"],
    ),
    "left late": ("aborted", later(Left, 700), ["time of Left of seat 3"]),
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
        change(Credited, 0, {"payee": AGGREGATOR.address, **FEE}, payee=OTHER.address),
        ["fees of an aggregator before a takeover, payee"],
    ),
    "more fees of before the takeover": (
        "taken",
        change(FeesClaimed, 0, fees=70_001),
        [f"fees of {AGGREGATOR.address}"],
    ),
    "fees claimed twice": (
        "taken",
        again(FeesClaimed),
        [f"fees of {AGGREGATOR.address}", FEES_70000],
    ),
    "the new aggregator's fees claimed": (
        "taken",
        change(FeesClaimed, 0, payee=OTHER.address),
        [f"fees of {OTHER.address}", FEES_70000],
    ),
    "fees that were burnt": (
        "disputed",
        lambda log: [*log, FeesClaimed(**where(log[-1]), payee=AGGREGATOR.address, fees=70_000)],
        [f"fees of {AGGREGATOR.address}"],
    ),
    "a compensation kept at a takeover": (
        "taken",
        drop(Credited, 1, **COMPENSATION),
        ["compensation of seat 1"],
    ),
    "handed over by a stranger": ("taken", change(HandedOver, sender=STRANGER), ["who hands over"]),
    "handed over to nobody": (
        "taken",
        lambda log: (at := place(log, HandedOver)) and [*log[:at], log[at + 1], log[at], *log[at + 2 :]],
        ["place in the log", "aggregator that waits for what is handed over"],
    ),
    "a submission that was not delivered to the new one counted": (
        "taken",
        change(RoundSettled, 1, submitted=0b111),
        ["submitted seats"],
    ),
    "a later confirmation": (
        "taken",
        change(ConfirmationOpened, confirm_by=5),
        ["opening of the confirmation, confirm_by"],
    ),
    "no confirmation": ("taken", drop(ConfirmationOpened), ["opening of the confirmation"]),
    "less burnt": ("disputed", change(Credited, 0, BURNT, amount=1), ["what is burnt, amount"]),
    "burnt to somebody": ("disputed", change(Credited, 0, BURNT, payee=STRANGER), ["what is burnt, payee"]),
    "disputed late": (
        "disputed",
        later(Disputed, 700, 1),
        [
            "time of Disputed of seat 1",
            "opening of the confirmation, confirm_by",
            "time of the completion",
        ],
    ),
    "disputed in another round": ("disputed", change(Disputed, 1, round=1), ["round of Disputed of seat 1"]),
    "disputed twice": ("disputed", insert(Disputed, 0), ["Disputed of seat 0"]),
    "bond and fees burnt twice": (
        "confirmed",
        insert(Disputed, 1, slot=0),
        [
            "what is burnt",
            *("Disputed of seat 0", "Disputed of seat 0"),
            f"credit of 1040000 to {ZERO_ADDRESS} (burnt)",
        ],
    ),
    "the fees burnt, and paid": (
        "confirmed",
        without_call(Disputed, 1),
        ["Ended"],
    ),
    "completed early": ("completed", later(Credited, -60, 0, **FEE), ["time of the completion"]),
    "shown by nobody": ("unopened", change(OpeningShown, slot=7), ["holder of seat 7"]),
    "an event of another job": ("completed", insert(Ejected, 0, job_id=99), ["job of Ejected of seat 3"]),
    "an end twice": ("aborted", insert(Ended), ["Ended"]),
    "revealed before the end": (
        "cancelled",
        lambda log: [log[0], revealed_at(log[0]), *log[1:]],
        ["state at ValidationRevealed"],
    ),
}


def test_logs_as_the_contract_wrote_them_are_clean(logs: dict[str, Log]) -> None:
    histories = {name: replay(logs[name]) for name in ALL}
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
        State.COMPLETED,
        State.ABORTED,
    ]
    compensations = [e.amount for e in logs["aborted"] if isinstance(e, Credited) and e.reason is Reason.COMPENSATION]
    assert compensations == [450_000] * 2
    assert [history.pot for history in histories.values()] == [
        3_000_000 + 150_000,
        1_000_000 + 150_000,
        *(0, 0, 0),
        *(2_000_000, 2_000_000),
        *(1_000_000, 2_000_000, 1_000_000),
    ]
    assert {history.held for name, history in histories.items() if name != "empty"} == {0}
    assert histories["empty"].held == 500_000  # of who has not claimed its stake
    assert histories["empty"].rounds[-1].number == 2


@pytest.mark.parametrize("name", CASES)
def test_what_was_tampered_with_is_named_and_nothing_else(logs: dict[str, Log], name: str) -> None:
    which, tampered, expected = CASES[name]
    findings = replay(tampered(logs[which])).findings
    assert [finding.what for finding in findings] == expected, [str(f) for f in findings]


def test_a_finding_says_where_and_both_values(logs: dict[str, Log]) -> None:
    log = CASES["one unit more pay"][1](logs["completed"])
    claimed = log[place(log, Claimed, slot=0)]
    where = f"job {claimed.job_id}, round 4, block {claimed.block}"
    assert replay(log).findings == [Finding(where, "pay of seat 0, amount", 1_850_000, 1_850_001)]
    assert str(replay(log).findings[0]) == f"{where}: pay of seat 0, amount should be 1850000, but is 1850001"


@pytest.mark.parametrize("which", ALL)
def test_no_event_can_be_left_out_unnoticed(logs: dict[str, Log], which: str) -> None:
    """Noticed: by a finding, or as state or credits differ. A CID, or an announcement, changes neither."""
    true, log = replay(logs[which]), logs[which]
    for i, left_out in enumerate(log[1:], start=1):
        history = replay([*log[:i], *log[i + 1 :]])
        differs = (history.job(), history.credits) != (true.job(), true.credits)
        assert history.findings or differs or isinstance(left_out, SAID), left_out


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
    numbers = {"slot": 255, "round": 2**16 - 1, "amount": 2**256 - 1} | dict.fromkeys(
        ("pot", "pay", "stake", "slashed", "fees"), 2**128 - 1
    )  # as their types allow
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
                data.draw(masks),
                data.draw(st.sampled_from([(1, 2), (-(2**95), 2**95 - 1)])),
                data.draw(st.integers(-(2**15), 2**15 - 1)),
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
    for changes in (
        {"reward": 999_999},
        {"slash_bps": 2999},
        {"max_missed": 3},
        {"submit_window": 599},
        {"stake": 1},
        {"fee": 1},
        {"bond": 1},
        {"max_strikes": 3},
        {"confirm_window": 599},
        {"min_rounds": 5},
        {"rounds": 6},
    ):
        assert replay([replace(created, terms=replace(created.terms, **changes)), *log[1:]]).findings  # type: ignore[arg-type]


ROWS: dict[str, Any] = {"reference_cid": "bafyrows", "reference_commitment": b"\x02" * 32}


def by_reference(log: Log) -> Log:
    """The completed job's log, had its rule been `reference`."""
    created = log[0]
    assert isinstance(created, JobCreated)
    ruled = [replace(created, terms=replace(created.terms, rule=Rule.REFERENCE)), *log[1:]]
    for number in range(3):
        ruled = resettle(number, coefficients=(4096, 0), **ROWS)(ruled)
    return ruled[: place(ruled, Claimed)]  # pays are others


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
    assert [f.what for f in replay(ruled).findings] == [*["number of coefficients", "reference rows"] * 3, *PAYS]


@pytest.mark.parametrize(
    "changes",
    [{"rate": 1}, {"rate_decay": 1 << 30}, {"scale_exponent": 0}, {"reward": 1}, {"rule": Rule.KRUM_COSINE}],
    ids=str,
)
def test_what_scores_stand_for_shows_in_the_contracts_state_before_anybody_claims(
    logs: dict[str, Log], changes: dict[str, Any]
) -> None:
    """Balances are in no event: an audit holds the contract's sums against those that follow from the scores."""
    log = logs["unopened"]
    created = log[0]
    assert isinstance(created, JobCreated)
    settled = log[: place(log, Ended) + 1]
    true = replay(settled)
    other = replay([replace(created, terms=replace(created.terms, **changes)), *settled[1:]])
    assert other.job() != true.job()
    assert true.trainer(0) != replay(resettle(1, scores=(10**15 + 1, 3 * 10**14))(settled)).trainer(0)
    assert true.job() != replay(resettle(1, scores=(10**15 + 1, 3 * 10**14))(settled)).job()


def test_who_is_spared_a_strike_shows_in_what_it_claims(logs: dict[str, Log]) -> None:
    """Called unopened in round 1, it would have one strike less, and nothing of its stake could be burnt."""
    many, first = replay(resettle(0, unopened=0b100, struck=0)(logs["completed"])).findings[:2]
    assert many.what == TOO_MANY
    assert (first.what, first.expected, first.found) == ("stake of seat 2", 500_000, 350_000)


def test_too_many_unopened_submissions_are_named(logs: dict[str, Log]) -> None:
    log = logs["completed"]
    created = log[0]
    assert isinstance(created, JobCreated)
    strict = [replace(created, terms=replace(created.terms, max_faulty=0, max_strikes=3)), *log[1:]]
    assert "unopened submissions" in [f.what for f in replay(resettle(0, unopened=0b100, struck=0)(strict)).findings]


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
    log = logs["completed, unclaimed"]
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
