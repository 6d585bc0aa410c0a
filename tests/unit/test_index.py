"""The index against a real chain: what it says of a job, reorganisations, rebuilding; and pages of many jobs."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select, text

from marketplace.chain.events import EventReader
from marketplace.domain import AggregationAccepted, Credited, Event, HandedOver, JobCreated, Joined, TakenOver
from marketplace.errors import InputError, NotFound
from marketplace.replay import replay
from marketplace.services.index import Description, Index, JobQuery, filtered, page, sort_key
from marketplace.services.index_tables import Base, JobRow
from tests.chain_fixtures import (
    AGGREGATOR,
    KEY,
    OWNER,
    PEOPLE,
    TRAINERS,
    Chain,
    commitment,
    running_job,
    settlement,
    terms,
)

pytest_plugins = ["tests.chain_fixtures"]


SERVER = os.environ.get("MERIT_TEST_DATABASE", "")
"""SQLAlchemy URL of an empty PostgreSQL database, to run everything on it too."""


def index_of(chain: Chain, folder: Path, name: str = "index", url: str = "") -> Index:
    connection, market = chain.connection, chain.market
    return Index(
        url or f"sqlite:///{folder / name}.sqlite",
        chain_id=connection.chain_id,
        market=market.address,
        first_block=chain.first_block,
    )


def emptied(url: str) -> str:
    """The server's database without what an earlier test left."""
    if url:
        engine = create_engine(url)
        Base.metadata.drop_all(engine)
        engine.dispose()
    return url


@pytest.fixture(params=["", SERVER] if SERVER else [""], ids=["file", "server"] if SERVER else ["file"])
def index(chain: Chain, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Index]:
    made = index_of(chain, tmp_path, url=emptied(request.param))
    yield made
    made.close()


def current(chain: Chain, index: Index) -> Index:
    """The index after it has read all there is."""
    reader = EventReader(chain.connection, chain.market.address, chain.first_block)
    for _ in range(20):
        if not index.update(reader, chain.connection):
            return index
    pytest.fail("the index is never done")


def whole_job(chain: Chain) -> int:
    """A job with a settled round of two submissions, of which one was selected, and a second round that has begun."""
    job_id = running_job(chain)
    for slot, trainer in enumerate(TRAINERS[:2]):
        chain.market.submit_update(trainer, job_id, 1, commitment(1, slot), "bafy")
    chain.forward(601)
    chain.market.settle_round(AGGREGATOR, job_id, 1, *settlement(0b01, (7,), submitted=0b11))
    return job_id


def events_of(index: Index, job_id: int | None = None) -> list[Event]:
    return [news.event for news in index.events(job_id=job_id)]


def test_rows_are_the_chain_s_events_and_replay_as_they_do(chain: Chain, index: Index) -> None:
    job_id = whole_job(chain)
    current(chain, index)
    assert events_of(index) == chain.events()
    history = index.history(job_id)
    assert history == replay(chain.events(job_id))
    assert not history.findings


def test_a_job_s_row_says_what_the_contract_says(chain: Chain, index: Index) -> None:
    job_id = whole_job(chain)
    row, job = current(chain, index).job(job_id), chain.market.job(job_id)
    assert (row.state, row.round, row.submitted, row.seats) == ("running", 2, 0, 3)
    assert (row.submit_by, row.settle_by) == (job.submit_by, job.settle_by)
    assert (row.owner, row.aggregator) == (job.owner, job.aggregator)
    chain.market.leave(TRAINERS[2], job_id)
    chain.market.submit_update(TRAINERS[0], job_id, 2, commitment(2, 0), "bafy")
    row = current(chain, index).job(job_id)
    assert (row.submitted, row.seats) == (1, 2)
    for trainer in TRAINERS[1:2]:
        chain.market.leave(trainer, job_id)
    chain.forward(1300)
    chain.market.abort(OWNER, job_id)
    row = current(chain, index).job(job_id)
    assert (row.state, row.submit_by) == ("confirming", None), "a round was settled"
    chain.forward(601)
    chain.market.complete(OWNER, job_id)
    assert current(chain, index).job(job_id).state == "aborted"


def test_a_confirming_job_s_row_has_its_deadline_until_it_is_over(chain: Chain, index: Index) -> None:
    job_id = running_job(chain, rounds=1, takeover_window=0)
    for slot, trainer in enumerate(TRAINERS):
        chain.market.submit_update(trainer, job_id, 1, commitment(1, slot), "bafy")
    chain.market.settle_round(AGGREGATOR, job_id, 1, *settlement(0b111, (1, 1, 1), submitted=0b111))
    row, job = current(chain, index).job(job_id), chain.market.job(job_id)
    assert (row.state, row.confirm_by, row.submitted) == ("confirming", job.submit_by, 0)
    assert (row.submit_by, row.settle_by) == (None, None)
    assert [found.job_id for found in index.jobs(JobQuery(state="confirming"))[0]] == [job_id]
    chain.forward(601)
    chain.market.complete(PEOPLE[8], job_id)
    row = current(chain, index).job(job_id)
    assert (row.state, row.confirm_by) == ("completed", None)
    assert index.history(job_id).findings == []


def test_a_job_that_was_taken_over_is_the_new_aggregator_s_and_its_updates_are_delivered_again(
    chain: Chain, index: Index
) -> None:
    job_id = running_job(chain, takeover_window=300)
    chain.market.submit_update(TRAINERS[0], job_id, 1, commitment(1, 0), "bafy")
    assert current(chain, index).job(job_id).submitted == 1
    chain.forward(1201)
    other = PEOPLE[8]
    chain.market.take_over(other, job_id, other.address, KEY)
    row, job = current(chain, index).job(job_id), chain.market.job(job_id)
    assert (row.state, row.round, row.submitted) == ("running", 1, 0)
    assert row.aggregator == job.aggregator == other.address
    assert (row.submit_by, row.settle_by) == (job.submit_by, job.settle_by)
    chain.market.hand_over(OWNER, job_id, "bafykey")
    current(chain, index)
    parts = [type(news.event) for news in index.events(party=other.address)]
    assert parts == [TakenOver], "it is a party from then on"
    assert [news.event.job_id for news in index.events(party=OWNER.address, kinds=[HandedOver])] == [job_id]
    assert [row.job_id for row in index.jobs(JobQuery(search=other.address))[0]] == [job_id]
    (entry,) = index.history(job_id).rounds
    assert (entry.delivering, entry.undelivered, set(entry.submissions)) == (True, {0}, {0})
    assert index.history(job_id).findings == []


def test_a_party_s_events_are_those_by_which_it_takes_part_and_is_paid(chain: Chain, index: Index) -> None:
    job_id = whole_job(chain)
    current(chain, index)
    for account, kind in ((OWNER, JobCreated), (AGGREGATOR, AggregationAccepted), (TRAINERS[1], Joined)):
        news = index.events(party=account.address, kinds=[JobCreated, AggregationAccepted, Joined])
        assert [(type(entry.event), entry.event.job_id) for entry in news] == [(kind, job_id)]
    assert index.events(party=PEOPLE[8].address) == []


def test_content_that_a_description_names_is_known(chain: Chain, index: Index) -> None:
    job_id = whole_job(chain)
    current(chain, index)
    named = "b" + "a" * 58
    assert not index.is_named(named)
    for _ in range(2):
        index.describe(job_id, Description("n", "mlp", 5, False), [named, named, "no cid", "x\0" * 400])
    assert index.is_named(named)
    assert not index.is_named("no cid")


def test_credits_know_the_round_that_brought_them(chain: Chain, index: Index) -> None:
    job_id = whole_job(chain)
    chain.market.leave(TRAINERS[0], job_id)  # its stake, in round 2
    news = current(chain, index).events(party=TRAINERS[0].address, kinds=[Credited])
    assert [(item.round, type(item.event).__name__) for item in news] == [(2, "Credited")]


def test_nothing_to_do_is_said(chain: Chain, index: Index) -> None:
    current(chain, index)
    reader = EventReader(chain.connection, chain.market.address, chain.first_block)
    assert not index.update(reader, chain.connection)


# ---------------------------------------------------------------- reorganisations


def test_blocks_that_left_the_chain_are_dropped_and_the_others_read(chain: Chain, index: Index) -> None:
    market = chain.market
    first, _ = market.create_job(OWNER, terms(chain), KEY, "bafyspec")
    market.join(TRAINERS[0], first, TRAINERS[0].address, KEY)
    current(chain, index)
    index.describe(first, Description("Kept", "mlp", 12, True))
    snapshot = chain.connection.request("evm_snapshot")
    market.join(TRAINERS[1], first, TRAINERS[1].address, KEY)
    lost, _ = market.create_job(OWNER, terms(chain), KEY, "bafylost")
    current(chain, index)
    assert index.job(lost).creation.spec_cid == "bafylost"
    assert index.job(first).seats == 2
    generation = index.generation

    chain.connection.request("evm_revert", snapshot)
    chain.forward(5)  # the same heights get other blocks
    other, _ = market.create_job(OWNER, terms(chain, reward=5), KEY, "bafyother")
    market.join(TRAINERS[2], other, TRAINERS[2].address, KEY)
    assert other == lost
    current(chain, index)
    assert events_of(index) == chain.events()
    assert index.job(other).creation.spec_cid == "bafyother"
    assert (index.job(first).seats, index.job(first).name) == (1, "Kept")
    assert index.generation != generation


def test_a_chain_that_became_shorter_is_followed_down(chain: Chain, index: Index) -> None:
    snapshot = chain.connection.request("evm_snapshot")
    job_id, _ = chain.market.create_job(OWNER, terms(chain), KEY, "bafyspec")
    current(chain, index).job(job_id)
    chain.connection.request("evm_revert", snapshot)
    current(chain, index)
    with pytest.raises(NotFound):
        index.job(job_id)
    assert events_of(index) == []


def test_a_reorganised_block_has_its_other_time(chain: Chain, index: Index) -> None:
    snapshot = chain.connection.request("evm_snapshot")
    reader = EventReader(chain.connection, chain.market.address, chain.first_block)
    job_id, _ = chain.market.create_job(OWNER, terms(chain), KEY, "bafyspec")
    while index.update(reader, chain.connection):
        pass
    before = index.job(job_id).creation
    chain.connection.request("evm_revert", snapshot)
    chain.connection.request("evm_increaseTime", 500)
    chain.market.create_job(OWNER, terms(chain), KEY, "bafyspec")
    while index.update(reader, chain.connection):  # the same reader, which remembers times by height
        pass
    after = index.job(job_id).creation
    assert after.block == before.block
    assert after.timestamp >= before.timestamp + 400


# ---------------------------------------------------------------- the database


def test_a_deleted_index_builds_itself_again(chain: Chain, tmp_path: Path) -> None:
    job_id = whole_job(chain)
    first, second = (current(chain, index_of(chain, tmp_path, name)) for name in ("one", "two"))
    assert events_of(first) == events_of(second)
    assert first.job(job_id).created == second.job(job_id).created
    first.close()
    second.close()


def test_an_index_goes_on_where_it_was(chain: Chain, tmp_path: Path) -> None:
    whole_job(chain)
    index = current(chain, index_of(chain, tmp_path))
    last, generation = index.last_seq, index.generation
    index.close()
    again = index_of(chain, tmp_path)
    assert (again.last_seq, again.generation) == (last, generation)
    reader = EventReader(chain.connection, chain.market.address, chain.first_block)
    assert not again.update(reader, chain.connection)
    again.close()


def test_another_market_s_index_is_refused(chain: Chain, tmp_path: Path) -> None:
    index_of(chain, tmp_path).close()
    with pytest.raises(InputError, match="another market"):
        Index(f"sqlite:///{tmp_path / 'index'}.sqlite", chain_id=5, market=chain.market.address, first_block=0)


# ---------------------------------------------------------------- many jobs

MANY = 10_000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    url = emptied(SERVER) or f"sqlite:///{tmp_path_factory.mktemp('many') / 'i.sqlite'}"
    index = Index(url, chain_id=1, market="0x", first_block=0)
    fill(index, MANY)
    yield index
    index.close()


def fill(index: Index, count: int) -> None:
    """Jobs 1 … count, with rewards that repeat."""
    rows = [
        JobRow(
            job_id=number,
            created="{}",
            state=("open", "running", "completed")[number % 3],
            rule="reference" if number % 2 else "krum-cosine",
            owner=f"0x{number % 50:040x}",
            reward=f"{number % 997 * 10**18:039}",
            enrol_by=1_700_000_000 + number * 7919 % 10_007,
            search=f"job {number}",
            name=f"Job {number}",
        )
        for number in range(1, count + 1)
    ]
    with index.session() as db:
        db.add_all(rows)


@pytest.mark.parametrize("sort", ["newest", "reward", "enrol_by"])
@pytest.mark.parametrize("state", [None, "running"])
def test_pages_hold_every_job_once_in_order(many: Index, sort: str, state: str | None) -> None:
    seen: list[JobRow] = []
    after = None
    while True:
        rows, total = many.jobs(JobQuery(state=state, sort=sort, after=after, limit=200))  # type: ignore[arg-type]
        if not rows:
            break
        seen += rows
        after = (sort_key(rows[-1], sort), rows[-1].job_id)  # type: ignore[arg-type]
    assert len(seen) == total == len({row.job_id for row in seen})
    keys = [(sort_key(row, sort), row.job_id) for row in seen]  # type: ignore[arg-type]
    assert keys == sorted(keys, reverse=sort != "enrol_by")
    assert total == (MANY if state is None else sum(number % 3 == 1 for number in range(1, MANY + 1)))


@pytest.mark.parametrize(
    ("query", "by"),
    [
        (JobQuery(after=(5000, 5000)), "INTEGER PRIMARY KEY"),
        (JobQuery(sort="reward", after=("0" * 39, 77)), "jobs_by_reward"),
        (JobQuery(sort="enrol_by", after=(1_700_000_500, 77)), "jobs_by_enrolment"),
        (JobQuery(state="open", after=(5000, 5000)), "jobs_by_state"),
    ],
)
def test_a_page_is_found_by_an_index_without_sorting_or_reading_all(many: Index, query: JobQuery, by: str) -> None:
    if many.engine.dialect.name != "sqlite":
        pytest.skip("how SQLite explains itself")
    wanted = page(filtered(select(JobRow.job_id), query), query)
    compiled = wanted.compile(many.engine, compile_kwargs={"literal_binds": True})
    with many.engine.connect() as db:
        plan = " / ".join(row[3] for row in db.execute(text(f"EXPLAIN QUERY PLAN {compiled}")))
    assert "SEARCH jobs" in plan
    assert by in plan
    assert "TEMP B-TREE" not in plan


def test_search_finds_names_numbers_and_accounts(many: Index) -> None:
    def found(search: str) -> set[int]:
        return {row.job_id for row in many.jobs(JobQuery(search=search, limit=200))[0]}

    assert 1234 in found("1234")
    assert found("JOB 9999") == {9999}
    assert found(f"0x{7:040x}") == set(range(7, MANY + 1, 50))
    assert found("100%") == found("_ob") == set()


def test_a_creation_is_kept_to_the_bit(chain: Chain, index: Index) -> None:
    job_id, receipt = chain.market.create_job(OWNER, terms(chain, reward=2**70), KEY, "b\\xff ü")
    (created,) = (event for event in receipt.events if isinstance(event, JobCreated))
    assert current(chain, index).job(job_id).creation == created
