"""A slice of the campaign (`make test-hostile` tries 2,000 descriptions), and that it would see what it looks for."""

import json
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from marketplace.domain import State
from tests.campaigns import printed
from tests.faults.campaign import prepare
from tests.faults.cast import Theatre
from tests.hostile.campaign import Act, Tally
from tests.hostile.material.draw import CYCLE, KINDS, draw
from tests.hostile.writing import address

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SUBMITS_WELL = next(
    number
    for number in range(2000)
    if (draw(1, number).kind, draw(1, number).name) == ("a submission", "submits an honest update")
)


def test_fifty_descriptions_harm_no_process_no_good_job_and_take_nothing(tmp_path: Path) -> None:
    totals = tmp_path / "totals.json"
    options = ["--descriptions", "50", "--seed", "3", "--minutes", "12", "--json", str(totals)]
    out = printed("tests.hostile.campaign", *options)
    for line in ("descriptions tried: 50", "processes ended: 0", "units lost beyond the table: 0", "problems: 0"):
        assert line in out
    told = json.loads(totals.read_text())
    assert told["good_completed"] == told["good_jobs"] >= 4
    assert told["past_client"] >= 25


def test_a_process_that_ends_and_a_bond_that_is_lost_are_seen(tmp_path: Path) -> None:
    prepare(tmp_path)
    tally = Tally()
    with ExitStack() as stack:
        act = Act(Theatre(tmp_path), 1, 0, stack, tally)
        act.verdict._bond = lambda job_id: 0  # type: ignore[method-assign]
        killed: list[float] = []

        def more() -> bool:
            if not killed:
                act.world.parties["node"].kill()
                killed.append(time.monotonic())
            return True

        advance, world = act.strangers.advance, act.world

        def disputing() -> None:
            advance()
            for hostile in act.strangers.open:
                if world.bare.job(hostile.job_id).state is State.CONFIRMING:
                    world.bare.send(address(hostile.attack, "seat 0"), "dispute", hostile.job_id)

        act.strangers.advance = disputing  # type: ignore[method-assign]
        act.play([SUBMITS_WELL], more)
    assert tally.ended == 1
    assert any("the node ended with -9" in problem for problem in tally.problems)
    assert tally.lost > 0
    assert any("the aggregator lost" in problem and "an honest update" in problem for problem in tally.problems)
    assert all(f"[{SUBMITS_WELL}]" in problem for problem in tally.problems if "an honest update" in problem)


def test_every_kind_of_every_role_is_drawn_and_most_of_it_past_the_client() -> None:
    attacks = [draw(1, number) for number in range(2000)]
    assert attacks == [draw(1, number) for number in range(2000)]
    drawn = Counter((attack.role, attack.kind) for attack in attacks)
    assert drawn == {(kind.role, kind.name): kind.weight * 2000 // CYCLE for kind in KINDS}
    assert sum(not attack.client for attack in attacks) > 1500
    for kind in KINDS:
        of = {attack.name for attack in attacks if (attack.role, attack.kind) == (kind.role, kind.name)}
        assert len(of) >= min(len(kind.of), kind.weight * 20) * 0.9
