"""Every call × every stage of a job × every role: what is allowed, and the name of the error where it is not."""

import pytest
from brownie.exceptions import VirtualMachineError
from world import (
    ABORTED,
    CANCELLED,
    CID,
    COMPLETED,
    CONFIRMING,
    GATE,
    KEY,
    NO_TICKET,
    OPEN,
    RUNNING,
    World,
    commitment,
    move_to,
    now,
)

CALLS = [
    "accept", "join", "leave", "cancel", "start", "publish", "submit", "settle", "void", "redeliver", "skip", "abort", "takeOver",
    "handOver", "dispute", "reveal", "rows", "complete", "askEnd", "claim", "claimFees", "show", "data",
]  # fmt: skip
ROLES = ["owner", "aggregator", "submitter", "member", "stranger"]

# What a caller who may make the call gets at each stage; "-" is WrongState, the other shorts are in ERRORS.
# Trainers 0 (submitter) and 1 (member) are in every job; in `partly` only trainer 0 has submitted. Only the jobs of the
# stages failed, keylessFailed, taken, takenAllIn, takenLate and feesOwed can be taken over; who did so is the same aggregator.
# In delivering and deliverLate trainer 0 has to deliver again, in undelivered everybody.
# What is claimed is the part of slot 0, and the fees of the aggregator's payee.
TABLE = """
              accept join  leave   cancel start    publish submit  settle  void    redeliver skip  abort    takeOver handOver dispute reveal  rows   complete askEnd claim   claimFees show    data
none          NoJob  NoJob NoJob   NoJob  NoJob    NoJob   NoJob   NoJob   NoJob   NoJob     NoJob NoJob    NoJob    NoJob    NoJob   NoJob   NoJob  NoJob    NoJob  NoJob   NoJob     NoPlace NoJob
open          ok     ok    ok      ok     NotStart -       -       -       -       -         -     -        -        -        -       -       -      -        -      NotOver NotOver   ok      NotOver
gated         ok     NoPass ok      ok     NotStart -       -       -       -       -         -     -        -        -        -       -       -      -        -      NotOver NotOver   ok      NotOver
full          Taken  Full  ok      ok     ok       -       -       -       -       -         -     -        -        -        -       -       -      -        -      NotOver NotOver   ok      NotOver
delayed       Taken  Full  ok      ok     Delayed  -       -       -       -       -         -     -        -        -        -       -       -      -        -      NotOver NotOver   ok      NotOver
stale         Enrol  Enrol ok      ok     NotStart -       -       -       -       -         -     -        -        -        -       -       -      -        -      NotOver NotOver   ok      NotOver
ready         Enrol  Enrol ok      ok     ok       -       -       -       -       -         -     -        -        -        -       -       -      -        -      NotOver NotOver   ok      NotOver
keyless       -      -     ok      -      -        ok      NoKey   Nothing Nothing NoDeliv   NoKey NotAbort NotTake  NoHand   NoKey   -       -      -        ok     NotOver NotOver   ok      NotOver
keylessLate   -      -     Closed  -      -        Closed  NoKey   Nothing Nothing NoDeliv   NoKey ok       NotTake  NoHand   Closed  -       -      -        ok     NotOver NotOver   ok      NotOver
keylessFailed -      -     Closed  -      -        Closed  NoKey   Nothing Nothing NoDeliv   NoKey NotAbort ok       NoHand   Closed  -       -      -        ok     NotOver NotOver   ok      NotOver
submitting    -      -     ok      -      -        HasKey  ok      Nothing Nothing NoDeliv   Open  NotAbort NotTake  NoHand   ok      -       -      -        ok     NotOver NotOver   ok      NotOver
asked         -      -     ok      -      -        HasKey  ok      Nothing Nothing NoDeliv   Open  NotAbort NotTake  NoHand   ok      -       -      -        Asked  NotOver NotOver   ok      NotOver
partly        -      -     ok      -      -        HasKey  ok      Open    Open    NoDeliv   Some  NotAbort NotTake  NoHand   ok      -       -      -        ok     NotOver NotOver   ok      NotOver
allIn         -      -     Already -      -        HasKey  Already ok      ok      NoDeliv   Some  NotAbort NotTake  NoHand   Already -       -      -        ok     NotOver NotOver   ok      NotOver
empty         -      -     Closed  -      -        HasKey  Closed  Nothing Nothing NoDeliv   ok    NotAbort NotTake  NoHand   Closed  -       -      -        ok     NotOver NotOver   ok      NotOver
emptyLate     -      -     Closed  -      -        HasKey  Closed  Nothing Nothing NoDeliv   ok    Nothing  Nothing  NoHand   Closed  -       -      -        ok     NotOver NotOver   ok      NotOver
settling      -      -     Closed  -      -        HasKey  Closed  ok      ok      NoDeliv   Some  NotAbort NotTake  NoHand   Closed  -       -      -        ok     NotOver NotOver   ok      NotOver
late          -      -     Closed  -      -        HasKey  Closed  Late    Late    NoDeliv   Some  ok       NotTake  NoHand   Closed  -       -      -        ok     NotOver NotOver   ok      NotOver
failed        -      -     Closed  -      -        HasKey  Closed  Late    Late    NoDeliv   Some  NotAbort ok       NoHand   Closed  -       -      -        ok     NotOver NotOver   ok      NotOver
delivering    -      -     Closed  -      -        HasKey  Closed  Open    Open    ok        Some  NotAbort NotTake  NoHand   Closed  -       -      -        ok     NotOver NotOver   ok      NotOver
delivered     -      -     Closed  -      -        HasKey  Closed  ok      ok      NoDeliv   Some  NotAbort NotTake  NoHand   Closed  -       -      -        ok     NotOver NotOver   ok      NotOver
undelivered   -      -     Closed  -      -        HasKey  Closed  Nothing Nothing Closed    ok    NotAbort NotTake  NoHand   Closed  -       -      -        ok     NotOver NotOver   ok      NotOver
deliverLate   -      -     Closed  -      -        HasKey  Closed  Late    Late    Closed    Some  ok       NotTake  NoHand   Closed  -       -      -        ok     NotOver NotOver   ok      NotOver
taken         -      -     ok      -      -        ok      NoKey   Nothing Nothing NoDeliv   NoKey NotAbort NotTake  ok       NoKey   -       -      -        ok     NotOver NotOver   ok      NotOver
takenAllIn    -      -     Closed  -      -        ok      NoKey   Nothing Nothing NoKey     NoKey NotAbort NotTake  ok       Closed  -       -      -        ok     NotOver NotOver   ok      NotOver
takenLate     -      -     Closed  -      -        Closed  NoKey   Nothing Nothing NoDeliv   NoKey ok       NotTake  ok       Closed  -       -      -        ok     NotOver NotOver   ok      NotOver
confirming    -      -     -       -      -        -       -       -       -       -         -     -        -        -        ok      NoRows  NoRows NotCompl -      NotOver NotOver   ok      NotOver
burnt         -      -     -       -      -        -       -       -       -       -         -     -        -        -        Burnt   NoRows  NoRows NotCompl -      NotOver NotOver   ok      NotOver
confirmed     -      -     -       -      -        -       -       -       -       -         -     -        -        -        Closed  NoRows  NoRows ok       -      NotOver NotOver   ok      NotOver
revealing     -      -     -       -      -        -       -       -       -       -         -     -        -        -        ok      ok      ok     NotCompl -      NotOver NotOver   ok      NotOver
unrevealed    -      -     -       -      -        -       -       -       -       -         -     -        -        -        ok      RevLate ok     NotCompl -      NotOver NotOver   ok      NotOver
rowsBurnt     -      -     -       -      -        -       -       -       -       -         -     -        -        -        ok      ok      ok     NotCompl -      NotOver NotOver   ok      NotOver
rowsLate      -      -     -       -      -        -       -       -       -       -         -     -        -        -        Closed  RevLate Closed ok       -      NotOver NotOver   ok      NotOver
completed     -      -     -       -      -        -       -       -       -       -         -     -        -        -        -       -       -      -        -      ok      NoFees    ok      ok
feesOwed      -      -     -       -      -        -       -       -       -       -         -     -        -        -        -       -       -      -        -      ok      ok        ok      ok
claimed       -      -     -       -      -        -       -       -       -       -         -     -        -        -        -       -       -      -        -      Claimed NoFees    ok      ok
cancelled     -      -     -       -      -        -       -       -       -       -         -     -        -        -        -       -       -      -        -      ok      NoFees    ok      ok
aborted       -      -     -       -      -        -       -       -       -       -         -     -        -        -        -       -       -      -        -      ok      NoFees    ok      ok
"""  # noqa: E501
ERRORS = {
    "-": "WrongState", "NoJob": "NoSuchJob", "NotOver": "NotOver",
    "Taken": "AggregatorTaken", "Full": "JobFull", "Enrol": "EnrolmentClosed", "NotStart": "NotStartable",
    "NoKey": "KeyNotPublished", "HasKey": "KeyAlreadyPublished", "Open": "SubmittingOpen", "Closed": "SubmittingClosed",
    "Already": "AlreadySubmitted", "Nothing": "NothingSubmitted", "Some": "SomethingSubmitted",
    "Late": "SettlingClosed", "NotAbort": "NotAbortable", "NotTake": "NotTakeable", "NoHand": "NothingToHandOver",
    "NotCompl": "NotCompletable", "NoPlace": "NotTrainer", "Asked": "EndAlreadyAsked", "Burnt": "AlreadyBurnt",
    "Claimed": "AlreadyClaimed", "NoFees": "NothingToClaim", "Delayed": "StartDelayed", "NoRows": "NothingToReveal",
    "RevLate": "RevealingClosed", "NoPass": "TicketMissing", "NoDeliv": "NothingToDeliver",
}  # fmt: skip
STAGES = {line.split()[0]: dict(zip(CALLS, line.split()[1:], strict=True)) for line in TABLE.splitlines()[2:]}
for stage in STAGES.values():  # a sum is announced when the round can be settled, and by who can
    stage["announce"] = stage["settle"]
CALLS.append("announce")
BEFORE_ROLES = {"-", "NoJob", "NotOver", "NoHand", "NoPlace"}
"""Answers that come before the question of who is calling."""
REQUIRED = dict.fromkeys(("accept", "join", "leave", "cancel", "start"), OPEN)
REQUIRED |= dict.fromkeys(("complete", "reveal", "rows"), CONFIRMING)
"""The state that WrongState names; Running for the other calls."""


def expected(stage, call, role):
    answer = STAGES[stage][call]
    trains = role in ("submitter", "member")
    if answer not in BEFORE_ROLES:
        if call in ("leave", "submit", "redeliver", "dispute", "rows", "show") and not trains:
            return "NotTrainer"
        if call == "handOver" and not trains and role != "owner":
            return "NotTrainer"
        if call in ("publish", "settle", "void", "announce") and role != "aggregator":
            return "NotAggregator"
        if call in ("data", "askEnd") and role != "owner":
            return "NotOwner"
        if call == "reveal" and role not in ("owner", "aggregator"):
            return "NotRevealer"
        if call == "start" and answer == "Delayed" and role == "owner":
            return "ok"
        if call == "cancel" and role != "owner" and stage != "stale":
            return "NotCancellable"
        if call == "join" and trains and answer != "Enrol":
            return "AlreadyJoined"
        if stage == "partly" and call in ("leave", "submit", "dispute") and role == "submitter":
            return "AlreadySubmitted"
        if stage in ("delivering", "deliverLate") and call == "redeliver" and role == "member":
            return "NothingToDeliver"
    return ERRORS.get(answer, answer)


@pytest.fixture(scope="module")
def jobs(deployed):
    """A job at each stage, all at the same time."""
    world = World(*deployed, in_coin=True)
    short, long = 10, 1000
    stages = {"none": 999}
    stages["open"] = world.create()
    stages["gated"] = world.create(gate=GATE.address)
    stages["stale"] = world.create(enrolBy=now() + 5)
    for i in (0, 1):
        world.join(stages["open"], i)
        world.join(stages["gated"], i)
        world.join(stages["stale"], i)
    stages["ready"] = world.enrolled(2, enrolBy=now() + 5)
    stages["full"] = world.enrolled()
    stages["delayed"] = world.enrolled(startDelay=long)
    stages["keyless"] = world.started(submitWindow=long)
    stages["keylessLate"] = world.started(submitWindow=short)
    stages["submitting"] = world.running(submitWindow=long)
    stages["partly"] = world.running(submitWindow=long)
    stages["asked"] = world.running(submitWindow=long)
    world.market.askEnd(stages["asked"], {"from": world.owner})
    stages["allIn"] = world.running(submitWindow=long)
    stages["empty"] = world.running(submitWindow=short, settleWindow=long)
    stages["emptyLate"] = world.running(submitWindow=short, settleWindow=short)
    stages["settling"] = world.running(submitWindow=short, settleWindow=long)
    stages["late"] = world.running(submitWindow=short, settleWindow=short)
    stages["keylessFailed"] = world.started(submitWindow=short, takeoverWindow=long)
    windows = {"submitWindow": short, "settleWindow": short, "takeoverWindow": long}
    stages["failed"] = world.running(**windows)
    for stage in ("partly", "settling", "late", "failed"):
        world.submit(stages[stage], 0)
    world.submit(stages["allIn"], 0, 1, 2, 3)
    for stage, voided in (("delivering", 1), ("delivered", 1), ("undelivered", 4), ("deliverLate", 1)):
        wait = {"delivering": long, "delivered": long, "undelivered": 120, "deliverLate": 5}[stage]
        stages[stage] = world.running(settleWindow=wait)
        world.submit(stages[stage], 0, 1, 2, 3)
        world.void(stages[stage], *range(voided))
    world.redeliver(stages["delivered"], 0)
    stages["confirming"] = world.confirming(confirmWindow=long)
    stages["burnt"] = world.confirming(confirmWindow=long)
    world.dispute(stages["burnt"], 2)
    stages["confirmed"] = world.confirming(confirmWindow=short)
    stages["revealing"] = world.revealing(confirmWindow=long, revealWindow=long - 1)
    stages["rowsBurnt"] = world.revealing(confirmWindow=long, revealWindow=long - 1)
    world.dispute_rows(stages["rowsBurnt"], 2)
    stages["unrevealed"] = world.revealing(confirmWindow=long, revealWindow=short)
    stages["rowsLate"] = world.revealing(confirmWindow=short, revealWindow=1)
    for stage in ("completed", "claimed"):
        stages[stage] = world.confirming(confirmWindow=1)
    stages["feesOwed"] = world.running(rounds=2, **windows, confirmWindow=1)
    world.settled(stages["feesOwed"])
    world.submit(stages["feesOwed"], 0)
    world.past_settling(stages["feesOwed"])
    world.take_over(stages["feesOwed"], sender=world.aggregator, payee=world.fees)
    world.past_submitting(stages["feesOwed"])
    world.market.abort(stages["feesOwed"], {"from": world.stranger})
    world.complete(stages["feesOwed"])
    for stage in ("completed", "claimed"):
        world.market.complete(stages[stage], {"from": world.stranger})
    world.claim(stages["claimed"], 0)
    stages["cancelled"] = world.enrolled()
    world.market.cancel(stages["cancelled"], {"from": world.owner})
    stages["aborted"] = world.running(submitWindow=1, settleWindow=1)
    world.submit(stages["aborted"], 0)
    world.past_settling(stages["aborted"])
    world.market.abort(stages["aborted"], {"from": world.stranger})
    stages["taken"] = world.started(**{**windows, "submitWindow": 100})
    stages["takenLate"] = world.started(**{**windows, "submitWindow": 40})
    stages["takenAllIn"] = world.running(**{**windows, "submitWindow": 100})
    world.submit(stages["takenAllIn"], 0, 1, 2, 3)
    world.past_submitting(stages["taken"])
    world.past_settling(stages["takenAllIn"])
    for stage in ("taken", "takenLate", "takenAllIn"):
        world.take_over(stages[stage], sender=world.aggregator, payee=world.fees)
    move_to(now() + 50)
    return world, stages


def answer_to(world, job, call, role):
    market = world.market
    sender = {
        "owner": world.owner, "aggregator": world.aggregator, "submitter": world.operator(0),
        "member": world.operator(1), "stranger": world.stranger,
    }[role]  # fmt: skip
    held = market.job(job)
    submitted = held["submitted"] & ~held["undelivered"]
    call, *arguments = {
        "accept": (market.acceptAggregation, sender, KEY),
        "join": (market.join, sender, KEY, NO_TICKET),
        "leave": (market.leave,),
        "cancel": (market.cancel,),
        "start": (market.start,),
        "publish": (market.publishKey, CID),
        "submit": (market.submitUpdate, 1, commitment(10**6), CID),
        "settle": (market.settleRound, 1, *world.judged(job, submitted)),
        "void": (market.voidRound, 1, submitted or 1),
        "announce": (market.announceSum, 1, submitted, commitment(3), CID),
        "redeliver": (market.redeliver, 1, CID),
        "skip": (market.skipRound,),
        "abort": (market.abort,),
        "takeOver": (market.takeOver, sender, KEY),
        "handOver": (market.handOver, CID),
        "dispute": (market.dispute,),
        "reveal": (market.reveal, CID),
        "rows": (market.disputeRows, 1),
        "complete": (market.complete,),
        "askEnd": (market.askEnd,),
        "claim": (market.claim, 0),
        "claimFees": (market.claimFees, world.fees),
        "show": (market.showOpening, 1, CID),
        "data": (market.revealValidation, CID),
    }[call]  # fmt: skip
    value = {market.acceptAggregation: 700, market.takeOver: 700, market.join: 501}.get(call, 0)
    try:
        call.call(job, *arguments, {"from": sender, "value": value})
    except VirtualMachineError as refused:
        return refused.revert_msg
    return "ok"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("stage", STAGES)
def test_what_each_role_may_do_at_each_stage(jobs, stage, call):
    world, stages = jobs
    answers = {role: answer_to(world, stages[stage], call, role) for role in ROLES}
    assert {role: answer.split(":")[0] for role, answer in answers.items()} == {
        role: expected(stage, call, role) for role in ROLES
    }
    if STAGES[stage][call] == "-":
        job = stages[stage]
        required = REQUIRED.get(call, RUNNING)
        assert set(answers.values()) == {f"WrongState: {job}, {world.market.job(job)['state']}, {required}"}


def test_the_stages_are_what_they_are_called(jobs):
    world, stages = jobs
    states = [int(world.market.job(job)["state"]) for job in stages.values()]
    over = 2 * [COMPLETED] + [CANCELLED] + 2 * [ABORTED]
    assert sorted(states) == [0] + 6 * [OPEN] + 19 * [RUNNING] + 7 * [CONFIRMING] + over
