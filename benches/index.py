"""How fast the node's index answers: pages of jobs, first and deep, sorted, filtered and searched.

    python -m benches.index [--jobs 10000] [--url sqlite:///FILE]

Prints the median and the slowest of 50 answers in milliseconds, with what the API makes of the rows included.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from marketplace.api.present import summary
from marketplace.domain import JobCreated, Rule
from marketplace.services.index import Index, JobQuery, sort_key
from marketplace.services.index_tables import fold
from tests.values import TERMS

REPEATS = 50


def created(number: int) -> JobCreated:
    terms = replace(
        TERMS,
        reward=number % 997 * 10**15,
        fee=10**15,
        stake=10**17,
        bond=10**17,
        aggregator="0x" + "a" * 40,
        enrol_by=1_700_000_000 + number * 7919 % 10_007,
        rule=Rule(1 + number % 2),
        rounds=10,
        min_rounds=10,
        min_trainers=7,
        max_faulty=2,
        max_strikes=3,
        slash_bps=2000,
        gram_verifier="0x" + "b" * 40,
        gram_key=b"\1" * 32,
        decision_verifier="0x" + "c" * 40,
        decision_key=b"\2" * 32,
    )
    return JobCreated(
        block=number,
        log_index=0,
        transaction="0x" + f"{number:064x}",
        timestamp=1_690_000_000 + number,
        job_id=number,
        owner=f"0x{number % 50:040x}",
        terms=terms,
        encryption_key=b"\3" * 32,
        spec_cid="b" + "a" * 58,
    )


def fill(index: Index, count: int) -> None:
    with index.session() as db:
        for number in range(1, count + 1):
            row = fold(db, created(number))
            assert row is not None
            row.name, row.search = f"Job {number}", f"job {number}"
            row.state = ("open", "running", "completed")[number % 3]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--url", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.url or f"sqlite:///{Path(folder) / 'index.sqlite'}"
        index = Index(url, chain_id=1, market="0x", first_block=0)
        fill(index, options.jobs)
        middle = options.jobs // 2
        rows, _ = index.jobs(JobQuery(sort="reward", limit=200))
        queries = {
            "newest, first page": JobQuery(),
            "newest, from the middle": JobQuery(after=(middle, middle)),
            "by reward, fifth page": JobQuery(sort="reward", after=(sort_key(rows[-1], "reward"), rows[-1].job_id)),
            "open, soonest first": JobQuery(state="open", sort="enrol_by"),
            "running by reference": JobQuery(state="running", rule="reference"),
            "search of a rare name": JobQuery(search=f"job {options.jobs - 1}"),
            "search of nothing there": JobQuery(search="no such name"),
        }
        for name, query in queries.items():
            times = []
            for _ in range(REPEATS):
                started = time.perf_counter()
                found, total = index.jobs(query)
                TypeAdapter(list).dump_json([summary(row) for row in found])
                times.append((time.perf_counter() - started) * 1000)
            print(
                f"{name:26} {len(found):3} of {total:6}  median {statistics.median(times):6.2f} ms, "
                f"slowest {max(times):6.2f} ms"
            )
        index.close()


if __name__ == "__main__":
    main()
