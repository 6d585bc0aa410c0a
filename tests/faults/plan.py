"""What a run's seed decides: its job, and the faults that befall it."""

from dataclasses import dataclass, replace
from random import Random

from tests.faults import rpc
from tests.faults.child import HOSTILE
from tests.faults.stage import Shelf

# What a party says when one of its phases ends: a fault at a phase's boundary comes at once after it.
PHASES = ("accepted", "joined", "start", "key", "training", "trained", "submitted", "proved", "settled", "over")
LAST_SIGNS = ("accepted", "start", "key", "submitted", "proved", "settled")  # of an aggregator that is gone then
KINDS = {  # and how often each is drawn
    "kill aggregator": 4,
    "kill trainer": 4,
    "kill node": 1,
    "kill chain": 2,
    "kill chain, tail lost": 1,
    "kill storage": 1,
    "reorg": 4,
    "rpc": 5,
    "storage": 4,
    "full disk": 2,
}


@dataclass(frozen=True)
class Fault:
    """kind: of KINDS. phase: of PHASES, at whose `nth` end it comes; "" for a moment after as many notices of any kind.
    delay: seconds after that. number: which trainer, how deep, how many requests: whatever the kind asks for.
    """

    kind: str
    phase: str
    nth: int
    delay: float
    number: int
    what: str = ""


@dataclass(frozen=True)
class Plan:
    """skew: seconds by which each process's clock is off. hostile: what trainer 0 submits in place of updates, or "".
    finality: seconds that ends are waited for. gone: the phase after which the aggregator is killed for good, or "";
    the job then has another one that takes over, and its owner watches where that takes the owner's data.
    """

    seed: int
    rule: str
    trainers: int
    faults: tuple[Fault, ...]
    skew: tuple[int, ...]
    hostile: str
    finality: int
    kubo: bool
    executed: bool
    ganache: bool = False
    gone: str = ""


def draw(seed: int, *, kubo: bool = False, executed: bool = False, ganache: bool = False) -> Plan:
    """executed: processes are started from their files, so that nothing but their end can be done to them.

    Where storage is a Kubo, it is killed wherever a folder would be spoiled. A Ganache neither reorganizes its blocks
    nor loses any.
    """
    random = Random(seed)
    rule = random.choice(["reference", "krum-cosine"])
    trainers = random.choice([2, 3, 3])
    faults = tuple(_fault(random) for _ in range(random.randint(2, 6)))
    if kubo:
        faults = (*(_instead(fault, "storage", "kill storage") for fault in faults), _kubo_dies(random))
    if ganache:
        faults = tuple(_instead(fault, "kill chain, tail lost", "kill chain") for fault in faults)
        faults = tuple(_instead(fault, "reorg", "kill node") for fault in faults)
    off = not executed and random.random() < 0.25
    skew = tuple(random.choice([-400_000_000, -3600, 3600, 400_000_000]) if off else 0 for _ in range(trainers + 1))
    hostile = random.choice(HOSTILE) if not executed and trainers == 3 and random.random() < 0.35 else ""
    if hostile:  # five bear one that is faulty
        trainers, skew = 5, (*skew, *skew[-2:])
    finality = 900 if any(fault.kind in ("reorg", "kill chain, tail lost") for fault in faults) else 0
    gone = random.choice(LAST_SIGNS) if random.random() < 0.15 else ""
    return Plan(seed, rule, trainers, faults, skew, hostile, finality, kubo, executed, ganache, gone)


def _instead(fault: Fault, kind: str, other: str) -> Fault:
    return replace(fault, kind=other) if fault.kind == kind else fault


def _kubo_dies(random: Random) -> Fault:
    return Fault("kill storage", random.choice(PHASES[3:9]), 1, 0.0, 0)


def _fault(random: Random) -> Fault:
    (kind,) = random.choices(list(KINDS), weights=list(KINDS.values()))
    boundary = random.random() < 0.6
    phase = random.choice(PHASES) if boundary else ""
    nth = random.randint(1, 2) if boundary else random.randint(1, 40)
    delay = 0.0 if boundary else random.uniform(0, 0.5)
    match kind:
        case "rpc":
            some = random.sample(rpc.FAULTS, random.randint(1, 4))
            return Fault(kind, phase, nth, delay, random.randint(5, 40), "|".join(some))
        case "storage":
            return Fault(kind, phase, nth, delay, random.randint(1, 3), random.choice(Shelf.KINDS))
        case "full disk":
            return Fault(kind, phase, nth, delay, random.choice([0, 64, 400]), random.choice(["trainer", "aggregator"]))
    return Fault(kind, phase, nth, delay, random.randint(0, 4))
