"""What the campaign of hostile descriptions has found: each a test of its own."""

import pytest

from marketplace.errors import JobOver
from marketplace.services.agent import Step
from marketplace.services.dispatcher import Dispatcher
from tests.jobs import World, new_play

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]


@pytest.mark.parametrize("outcome", [Step.WORKED, Step.FINISHED, JobOver("over"), ValueError("other")])
def test_a_job_that_ends_while_it_is_worked_on_does_not_end_the_process_that_serves_it(
    world: World, outcome: object
) -> None:
    """The reading of the market and the job's own call end in one moment: the reading has dropped the job before."""
    play = new_play(world, validation=False)
    dispatcher = Dispatcher(play.aggregator, play.aggregator.me.address, world.report("aggregator"))
    dispatcher._saw([(play.job_id, None)])
    assert dispatcher._heard(play.job_id, outcome) is False
    dispatcher.close()
