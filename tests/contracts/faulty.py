"""The worlds in which one of five trainers may be faulty: a test module that imports these has them in place of the usual."""

import pytest


@pytest.fixture
def world(world):
    return world.with_faulty()


@pytest.fixture
def coin_world(coin_world):
    return coin_world.with_faulty()
