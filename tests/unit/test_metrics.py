"""What a node measures of its accounts' part in the market, and the dashboard that shows it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from marketplace.api.metrics import Metrics
from marketplace.api.metrics_own import OwnMetrics
from marketplace.domain import ZERO_ADDRESS, State
from marketplace.services.index import Index
from tests.jobs import Play, World, new_play, step_until

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "contrib" / "grafana" / "merit.json"
PAGE = ROOT / "docs" / "metrics.md"
NAME = re.compile(r"\bmerit_[a-z_]+")


# ---------------------------------------------------------------- by a real chain


@pytest.fixture
def index(world: World) -> Iterator[Index]:
    market = world.chain.market
    made = Index(
        f"sqlite:///{world.folder / 'index.sqlite'}",
        chain_id=market.connection.chain_id,
        market=market.address,
        first_block=world.chain.first_block,
    )
    yield made
    made.close()


def read(index: Index, play: Play) -> None:
    while index.update(play.owner.events, play.owner.market.connection):
        pass


def metrics_of(index: Index, play: Play, *accounts: str) -> CollectorRegistry:
    registry = CollectorRegistry()
    OwnMetrics(registry, index, lambda: accounts, play.owner.market.connection.now)
    return registry


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """As Prometheus would read it at this moment."""
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return float(sample.value)
    return None


@pytest.mark.slow
def test_a_trainer_that_misses_a_round_and_its_job_are_measured_from_the_chain(world: World, index: Index) -> None:
    play = new_play(world, validation=False)
    read(index, play)
    me, judge = play.trainers[2].me.address, play.aggregator.me.address
    trainer, aggregator = metrics_of(index, play, me), metrics_of(index, play, judge)
    stranger = metrics_of(index, play, ZERO_ADDRESS)
    market, agents = world.chain.market, play.agents()
    assert value(trainer, "merit_at_risk_units", role="trainer", token=ZERO_ADDRESS) is None

    step_until(agents, lambda: market.job(play.job_id).state is State.RUNNING and market.job(play.job_id).key_published)
    read(index, play)
    assert value(trainer, "merit_at_risk_units", role="trainer", token=ZERO_ADDRESS) == 10**17
    assert value(aggregator, "merit_at_risk_units", role="aggregator", token=ZERO_ADDRESS) == 2 * 10**17
    assert value(stranger, "merit_at_risk_units", role="trainer", token=ZERO_ADDRESS) is None
    left = market.job(play.job_id).submit_by - market.connection.now()
    assert value(trainer, "merit_deadline_seconds", job="1", due="submit") == pytest.approx(left, abs=30)

    assert play.finish(agents[:3]) is State.COMPLETED  # the third trainer does nothing any more
    read(index, play)
    assert value(trainer, "merit_rounds_total", outcome="settled") == 2
    assert value(trainer, "merit_missed_deadlines_total", role="trainer") == 2
    assert value(trainer, "merit_jobs_ended_total", state="completed") == 1
    assert value(trainer, "merit_round_seconds_count", phase="submitting") == 2
    assert value(trainer, "merit_round_seconds_count", phase="settling") == 2
    assert value(trainer, "merit_deadline_seconds", job="1", due="submit") is None
    assert value(aggregator, "merit_missed_deadlines_total", role="trainer") == 0
    assert value(aggregator, "merit_at_risk_units", role="aggregator", token=ZERO_ADDRESS) is None
    assert value(stranger, "merit_rounds_total", outcome="settled") == 0
    assert value(trainer, "merit_rounds_total", outcome="settled") == 2, "what was counted is not counted again"


# ---------------------------------------------------------------- names


@pytest.fixture
def names(tmp_path: Path) -> set[str]:
    """Of all samples that a node can show."""
    index = Index(f"sqlite:///{tmp_path / 'i.sqlite'}", chain_id=1, market=ZERO_ADDRESS, first_block=0)
    metrics = Metrics(
        index,
        SimpleNamespace(all=list),
        list,
        accounts=set,
        now=int,
        requests=list,
        slots=dict,
    )
    found: set[str] = set()
    for family in metrics.registry.collect():
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
        found |= {family.name + end for end in ends}
    index.close()
    return found


def test_each_metric_of_the_dashboard_exists_and_each_metric_is_on_it(names: set[str]) -> None:
    document = json.loads(DASHBOARD.read_text())
    asked = {
        name for panel in document["panels"] for target in panel["targets"] for name in NAME.findall(target["expr"])
    }
    asked |= {name for one in document["templating"]["list"] for name in NAME.findall(one["query"])}
    assert asked - names == set()
    shown = {re.sub("_(bucket|count|sum)$", "", name) for name in asked}
    assert {re.sub("_(bucket|count|sum)$", "", name) for name in names} - shown == set()


def test_the_page_on_metrics_names_each_of_them(names: set[str]) -> None:
    told = set(NAME.findall(PAGE.read_text()))
    plain = {re.sub("_(bucket|count|sum)$", "", name) for name in names}
    assert (plain - told, told - plain) == (set(), set())


def test_the_panels_of_the_dashboard_have_places_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
