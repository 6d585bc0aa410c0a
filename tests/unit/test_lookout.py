"""Finding an aggregator's jobs among all of a market's: a few at a time, its own first."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from marketplace.domain import ZERO_ADDRESS, State
from marketplace.errors import ChainError, NotFound
from marketplace.services.lookout import AT_A_TIME, Lookout
from marketplace.services.node import Node
from marketplace.services.requests import Asking

ME, OTHER = "me", "other"


class Market:
    """What a lookout asks of a market. jobs: who is named, and who aggregates, by number."""

    def __init__(self, jobs: dict[int, tuple[str, str]]) -> None:
        self.jobs = jobs
        self.read: list[int] = []

    def job_count(self) -> int:
        return max(self.jobs, default=0)

    def job(self, job_id: int) -> Any:
        self.read.append(job_id)
        if job_id not in self.jobs:
            raise NotFound("There is no such job.")
        aggregator = self.jobs[job_id][1]
        return SimpleNamespace(aggregator=aggregator, state=State.OPEN if aggregator == ZERO_ADDRESS else State.RUNNING)

    def terms(self, job_id: int) -> Any:
        return SimpleNamespace(aggregator=self.jobs[job_id][0])


def lookout_on(market: Market, folder: Path) -> Lookout:
    def work(job_id: int) -> Path:
        made = folder / str(job_id)
        made.mkdir(parents=True, exist_ok=True)
        return made

    node = SimpleNamespace(market=market, me=SimpleNamespace(address=ME), work=work)
    return Lookout(cast(Node, node))


def asking(found: list[tuple[int, Asking | Exception | None]]) -> list[int]:
    return [job_id for job_id, one in found if isinstance(one, Asking)]


def test_jobs_that_were_worked_on_come_first_and_then_the_newest(tmp_path: Path) -> None:
    market = Market(dict.fromkeys(range(1, 10001), (OTHER, OTHER)))
    for number in (7, 4000, 20_000):
        (tmp_path / str(number)).mkdir()
    (tmp_path / "requests.json").touch()
    lookout = lookout_on(market, tmp_path)
    lookout.count()
    first = lookout.take([])
    assert len(first) == AT_A_TIME, "a few at a time, however many there are"
    assert first[:4] == [4000, 7, 10_000, 9999]
    market.jobs[10_001] = (ME, ZERO_ADDRESS)
    lookout.count()
    second = lookout.take([])
    assert second[0] == 10_001, "a new one does not wait for the old ones to be read"
    seen = {*first, *second}
    while lookout.waiting:
        seen |= set(lookout.take([1]))
    assert seen == set(range(1, 10_002))
    assert lookout.take(iter(range(1, 1000))) == list(range(1, AT_A_TIME + 1)), "then those that wait"


def test_only_what_names_this_account_or_is_aggregated_by_it_is_found(tmp_path: Path) -> None:
    jobs = {
        1: (ME, ZERO_ADDRESS),
        2: (OTHER, ZERO_ADDRESS),
        3: (ZERO_ADDRESS, ME),
        4: (ME, OTHER),
        5: (ZERO_ADDRESS,) * 2,
    }
    lookout = lookout_on(Market(jobs), tmp_path)
    lookout.count()
    assert sorted(asking(lookout.look(lookout.take([])))) == [1, 3]


def test_a_job_that_cannot_be_read_keeps_no_other_from_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = Market(dict.fromkeys(range(1, 4), (ME, ZERO_ADDRESS)))
    honest = market.terms

    def terms(job_id: int) -> Any:
        if job_id == 2:
            raise ChainError("These terms are none.")
        return honest(job_id)

    monkeypatch.setattr(market, "terms", terms)
    lookout = lookout_on(market, tmp_path)
    lookout.count()
    found = lookout.look(lookout.take([]))
    assert asking(found) == [3, 1]
    assert isinstance(dict(found)[2], ChainError)


def test_numbers_that_left_the_chain_are_read_again_when_they_come_back(tmp_path: Path) -> None:
    market = Market(dict.fromkeys(range(1, 5), (OTHER, OTHER)))
    lookout = lookout_on(market, tmp_path)
    lookout.count()
    assert lookout.take([]) == [4, 3, 2, 1]
    del market.jobs[4], market.jobs[3]
    lookout.count()
    assert lookout.take([]) == []
    market.jobs |= {3: (ME, ZERO_ADDRESS), 4: (ME, ZERO_ADDRESS)}
    lookout.count()
    assert sorted(lookout.take([])) == [3, 4]
