"""What this node's accounts do in the market's jobs, for Prometheus: rounds, missed deadlines, stakes, time by phase.

All of it is read from the index, so it is what the chain says, of trainers and aggregators alike, wherever they run.
Counters begin at 0 with the process. Times are seconds of the chain's clock, amounts units of a token.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client import Counter as Total
from prometheus_client.core import GaugeMetricFamily, Metric

from marketplace.domain import (
    AggregationAccepted,
    Ended,
    Event,
    RoundOpened,
    RoundSettled,
    RoundSkipped,
    RoundVoided,
    State,
    TakenOver,
    UpdateSubmitted,
    mask_of,
)
from marketplace.replay import JobHistory
from marketplace.services.index import Index, JobQuery

BATCH = 2000  # events that are read for one answer
MOST_JOBS = 200  # newest jobs of this node that are looked into
_LIVE = tuple(state.name.lower() for state in State if state is not State.NONE and not state.over)
_KINDS = (RoundOpened, UpdateSubmitted, RoundSettled, RoundSkipped, RoundVoided, TakenOver, Ended)
_OUTCOMES = {RoundSettled: "settled", RoundSkipped: "skipped", RoundVoided: "voided", TakenOver: "taken-over"}
_SECONDS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600)


class OwnMetrics:
    """A collector. accounts: the node's own. now: the chain's time."""

    def __init__(
        self,
        registry: CollectorRegistry,
        index: Index,
        accounts: Callable[[], Collection[str]],
        now: Callable[[], int],
    ) -> None:
        self._index = index
        self._accounts = accounts
        self._now = now
        self._lock = threading.Lock()
        self._generation = index.generation
        self._seq = index.last_seq
        self._begun: dict[int, tuple[int, int]] = {}  # by job: when its round opened, and when it was submitted to last
        registry.register(self)  # before its counters: they are read after it has counted
        self._rounds = Total(
            "merit_rounds", "Rounds of this node's jobs by what became of them.", ("outcome",), registry=registry
        )
        self._missed = Total(
            "merit_missed_deadlines", "Deadlines that this node's accounts missed.", ("role",), registry=registry
        )
        self._ended = Total("merit_jobs_ended", "This node's jobs that ended.", ("state",), registry=registry)
        self._phases = Histogram(
            "merit_round_seconds",
            "submitting: from a round's opening to its last update; settling: from there to the settlement.",
            ("phase",),
            buckets=_SECONDS,
            registry=registry,
        )
        for outcome in _OUTCOMES.values():
            self._rounds.labels(outcome)
        for role in ("trainer", "aggregator"):
            self._missed.labels(role)
        for phase in ("submitting", "settling"):
            self._phases.labels(phase)

    def collect(self) -> Iterator[Metric]:
        accounts = set(self._accounts())
        jobs = self._index.jobs_of(accounts)
        with self._lock:
            self._count(jobs, accounts)
        newest = tuple(sorted(jobs, reverse=True)[:MOST_JOBS])
        rows, _ = self._index.jobs(JobQuery(ids=newest, limit=MOST_JOBS))
        histories = [self._index.history(row.job_id) for row in rows if row.state in _LIVE]
        risk, left = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        strikes = GaugeMetricFamily("merit_strikes", "Strikes that this node's seats have.", labels=["job"])
        for history in histories:
            job = str(history.created.job_id)
            for role, amount in _at_risk(history, accounts):
                risk[role, history.terms.token] += amount
            if (due := _due(history, accounts)) is not None:
                left[job, due[0]] = due[1] - self._now()
            held = [who.strikes for who in history.holders.values() if who.operator in accounts]
            if held:
                strikes.add_metric([job], max(held))
        at_risk = GaugeMetricFamily("merit_at_risk_units", "Stakes and bonds that are held.", labels=["role", "token"])
        for (role, token), amount in risk.items():
            at_risk.add_metric([role, token], amount)
        deadline = GaugeMetricFamily(
            "merit_deadline_seconds",
            "Until this node's next deadline in a job, by what is due; below 0 where it has passed.",
            labels=["job", "due"],
        )
        for (job, what), seconds in left.items():
            deadline.add_metric([job, what], seconds)
        yield from (at_risk, deadline, strikes)

    def _count(self, jobs: Collection[int], accounts: Collection[str]) -> None:
        generation = self._index.generation
        if generation != self._generation:  # what left the chain was counted, and what comes in its place will be
            self._generation, self._begun = generation, {}
            self._seq = min(self._seq, self._index.last_seq)
        for news in self._index.events(after=self._seq, kinds=_KINDS, limit=BATCH):
            self._seq = news.seq
            if news.event.job_id in jobs:
                self._note(news.event, accounts)

    def _note(self, event: Event, accounts: Collection[str]) -> None:
        opened, submitted = self._begun.get(event.job_id, (0, 0))
        if type(event) in _OUTCOMES:
            self._rounds.labels(_OUTCOMES[type(event)]).inc()
        match event:
            case RoundOpened():
                self._begun[event.job_id] = event.timestamp, 0
            case UpdateSubmitted() if opened:
                self._begun[event.job_id] = opened, event.timestamp
            case RoundSettled():
                if opened and submitted:
                    self._phases.labels("submitting").observe(submitted - opened)
                    self._phases.labels("settling").observe(event.timestamp - submitted)
                self._missed.labels("trainer").inc(_missing(self._index.history(event.job_id), event, accounts))
            case TakenOver():
                self._missed.labels("aggregator").inc(self._failed(event) in accounts)
            case Ended():
                self._ended.labels(event.state.name.lower()).inc()
                self._begun.pop(event.job_id, None)

    def _failed(self, event: TakenOver) -> str:
        """Whose place was taken."""
        before = ""
        for news in self._index.events(job_id=event.job_id, kinds=[AggregationAccepted, TakenOver]):
            if news.event.place >= event.place:
                break
            if isinstance(news.event, AggregationAccepted | TakenOver):
                before = news.event.aggregator
        return before


def _missing(history: JobHistory, event: RoundSettled, accounts: Collection[str]) -> int:
    """How many of the accounts had a seat in the round, and did not submit."""
    asked = history.rounds[event.round - 1].active & ~event.submitted
    own = mask_of([who.slot for who in history.enrolled if who.operator in accounts and not _gone(who.until, event)])
    return (asked & own).bit_count()


def _gone(until: Event | None, event: Event) -> bool:
    return until is not None and until.place < event.place


def _at_risk(history: JobHistory, accounts: Collection[str]) -> Iterator[tuple[str, int]]:
    for who in history.enrolled:
        if who.operator in accounts and who.staked:
            yield "trainer", history.terms.stake
    if history.bonded and history.accepted is not None and history.accepted.aggregator in accounts:
        yield "aggregator", history.terms.bond


def _due(history: JobHistory, accounts: Collection[str]) -> tuple[str, int] | None:
    """What the accounts have to do in the running round, and until when: the first of it."""
    if history.state is not State.RUNNING or not history.rounds:
        return None
    latest = history.rounds[-1]
    own = [slot for slot, who in history.holders.items() if who.operator in accounts]
    if any(slot not in latest.delivered for slot in own):
        return "submit", history.submit_by
    if latest.aggregator in accounts:
        return "settle", history.settle_by
    return None
