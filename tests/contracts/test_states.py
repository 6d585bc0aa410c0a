"""Every call × every stage of a job × every role: what is allowed, and the name of the error where it is not."""

import pytest
from brownie.exceptions import VirtualMachineError
from world import ABORTED, CANCELLED, CID, COMPLETED, CONFIRMING, KEY, OPEN, RUNNING, World, commitment, move_to, now

CALLS = [
    "accept", "join", "leave", "cancel", "start", "publish", "submit", "settle", "skip", "abort", "takeOver",
    "handOver", "dispute", "complete", "show", "reveal",
]  # fmt: skip
ROLES = ["owner", "aggregator", "submitter", "member", "stranger"]

# What a caller who may make the call gets at each stage; "-" is WrongState, the other shorts are in ERRORS.
# Trainers 0 (submitter) and 1 (member) are in every job; in `partly` only trainer 0 has submitted. Only the jobs of the
# stages failed, keylessFailed, taken and takenLate can be taken over; who did so is the same aggregator.
TABLE = """
              accept join  leave   cancel start    publish submit  settle  skip  abort    takeOver handOver dispute complete show    reveal
none          NoJob  NoJob NoJob   NoJob  NoJob    NoJob   NoJob   NoJob   NoJob NoJob    NoJob    NoJob    NoJob   NoJob    NoPlace NoJob
open          ok     ok    ok      ok     NotStart -       -       -       -     -        -        -        -       -        ok      NotOver
full          Taken  Full  ok      ok     ok       -       -       -       -     -        -        -        -       -        ok      NotOver
stale         Enrol  Enrol ok      ok     NotStart -       -       -       -     -        -        -        -       -        ok      NotOver
ready         Enrol  Enrol ok      ok     ok       -       -       -       -     -        -        -        -       -        ok      NotOver
keyless       -      -     ok      -      -        ok      NoKey   Nothing NoKey NotAbort NotTake  NoHand   NoKey   -        ok      NotOver
keylessLate   -      -     Closed  -      -        Closed  NoKey   Nothing NoKey ok       NotTake  NoHand   NoKey   -        ok      NotOver
keylessFailed -      -     Closed  -      -        Closed  NoKey   Nothing NoKey NotAbort ok       NoHand   NoKey   -        ok      NotOver
submitting    -      -     ok      -      -        HasKey  ok      Nothing Open  NotAbort NotTake  NoHand   ok      -        ok      NotOver
partly        -      -     ok      -      -        HasKey  ok      Open    Some  NotAbort NotTake  NoHand   ok      -        ok      NotOver
allIn         -      -     Already -      -        HasKey  Already ok      Some  NotAbort NotTake  NoHand   Already -        ok      NotOver
empty         -      -     Closed  -      -        HasKey  Closed  Nothing ok    NotAbort NotTake  NoHand   Closed  -        ok      NotOver
emptyLate     -      -     Closed  -      -        HasKey  Closed  Nothing ok    Nothing  Nothing  NoHand   Closed  -        ok      NotOver
settling      -      -     Closed  -      -        HasKey  Closed  ok      Some  NotAbort NotTake  NoHand   Closed  -        ok      NotOver
late          -      -     Closed  -      -        HasKey  Closed  Late    Some  ok       NotTake  NoHand   Closed  -        ok      NotOver
failed        -      -     Closed  -      -        HasKey  Closed  Late    Some  NotAbort ok       NoHand   Closed  -        ok      NotOver
taken         -      -     ok      -      -        ok      NoKey   Nothing NoKey NotAbort NotTake  ok       NoKey   -        ok      NotOver
takenLate     -      -     Closed  -      -        Closed  NoKey   Nothing NoKey ok       NotTake  ok       NoKey   -        ok      NotOver
confirming    -      -     ok      -      -        -       -       -       -     -        -        -        ok      NotCompl ok      NotOver
confirmed     -      -     ok      -      -        -       -       -       -     -        -        -        Closed  ok       ok      NotOver
completed     -      -     -       -      -        -       -       -       -     -        -        -        -       -        ok      ok
cancelled     -      -     -       -      -        -       -       -       -     -        -        -        -       -        ok      ok
aborted       -      -     -       -      -        -       -       -       -     -        -        -        -       -        ok      ok
"""  # noqa: E501
ERRORS = {
    "-": "WrongState", "NoJob": "NoSuchJob", "NotOver": "NotOver",
    "Taken": "AggregatorTaken", "Full": "JobFull", "Enrol": "EnrolmentClosed", "NotStart": "NotStartable",
    "NoKey": "KeyNotPublished", "HasKey": "KeyAlreadyPublished", "Open": "SubmittingOpen", "Closed": "SubmittingClosed",
    "Already": "AlreadySubmitted", "Nothing": "NothingSubmitted", "Some": "SomethingSubmitted",
    "Late": "SettlingClosed", "NotAbort": "NotAbortable", "NotTake": "NotTakeable", "NoHand": "NothingToHandOver",
    "NotCompl": "NotCompletable", "NoPlace": "NotTrainer",
}  # fmt: skip
STAGES = {line.split()[0]: dict(zip(CALLS, line.split()[1:], strict=True)) for line in TABLE.splitlines()[2:]}
BEFORE_ROLES = {"-", "NoJob", "NotOver", "NoHand", "NoPlace"}
"""Answers that come before the question of who is calling."""
REQUIRED = {"accept": OPEN, "join": OPEN, "leave": OPEN, "cancel": OPEN, "start": OPEN, "complete": CONFIRMING}
"""The state that WrongState names; Running for the other calls."""


def expected(stage, call, role):
    answer = STAGES[stage][call]
    trains = role in ("submitter", "member")
    if answer not in BEFORE_ROLES:
        if call in ("leave", "submit", "dispute", "show") and not trains:
            return "NotTrainer"
        if call == "handOver" and not trains and role != "owner":
            return "NotTrainer"
        if call in ("publish", "settle") and role != "aggregator":
            return "NotAggregator"
        if call == "reveal" and role != "owner":
            return "NotOwner"
        if call == "cancel" and role != "owner" and stage != "stale":
            return "NotCancellable"
        if call == "join" and trains and answer != "Enrol":
            return "AlreadyJoined"
        if stage == "partly" and call in ("leave", "submit", "dispute") and role == "submitter":
            return "AlreadySubmitted"
    return ERRORS.get(answer, answer)


@pytest.fixture(scope="module")
def jobs(deployed):
    """A job at each stage, all at the same time."""
    world = World(*deployed, in_coin=True)
    short, long = 10, 1000
    stages = {"none": 999}
    stages["open"] = world.create()
    stages["stale"] = world.create(enrolBy=now() + 5)
    for i in (0, 1):
        world.join(stages["open"], i)
        world.join(stages["stale"], i)
    stages["ready"] = world.enrolled(2, enrolBy=now() + 5)
    stages["full"] = world.enrolled()
    stages["keyless"] = world.started(submitWindow=long)
    stages["keylessLate"] = world.started(submitWindow=short)
    stages["submitting"] = world.running(submitWindow=long)
    stages["partly"] = world.running(submitWindow=long)
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
    stages["confirming"] = world.confirming(submitWindow=long)
    stages["confirmed"] = world.confirming(submitWindow=short)
    stages["completed"] = world.confirming(submitWindow=1)
    world.complete(stages["completed"])
    stages["cancelled"] = world.enrolled()
    world.market.cancel(stages["cancelled"], {"from": world.owner})
    stages["aborted"] = world.running(submitWindow=1, settleWindow=1)
    world.submit(stages["aborted"], 0)
    world.past_settling(stages["aborted"])
    world.market.abort(stages["aborted"], {"from": world.stranger})
    stages["taken"] = world.started(**{**windows, "submitWindow": 100})
    stages["takenLate"] = world.started(**{**windows, "submitWindow": 40})
    world.past_submitting(stages["taken"])
    for stage in ("taken", "takenLate"):
        world.take_over(stages[stage], sender=world.aggregator, payee=world.fees)
    move_to(now() + 50)
    return world, stages


def answer_to(world, job, call, role):
    market = world.market
    sender = {
        "owner": world.owner, "aggregator": world.aggregator, "submitter": world.operator(0),
        "member": world.operator(1), "stranger": world.stranger,
    }[role]  # fmt: skip
    submitted = market.job(job)["submitted"]
    call, *arguments = {
        "accept": (market.acceptAggregation, sender, KEY),
        "join": (market.join, sender, KEY),
        "leave": (market.leave,),
        "cancel": (market.cancel,),
        "start": (market.start,),
        "publish": (market.publishKey, CID),
        "submit": (market.submitUpdate, 1, commitment(10**6), CID),
        "settle": (market.settleRound, 1, *world.judged(job, submitted)),
        "skip": (market.skipRound,),
        "abort": (market.abort,),
        "takeOver": (market.takeOver, sender, KEY),
        "handOver": (market.handOver, CID),
        "dispute": (market.dispute,),
        "complete": (market.complete,),
        "show": (market.showOpening, 1, CID),
        "reveal": (market.revealValidation, CID),
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
    assert sorted(states) == [0] + 4 * [OPEN] + 13 * [RUNNING] + 2 * [CONFIRMING] + [COMPLETED, CANCELLED, ABORTED]
