"""The mask arithmetic of contracts/libraries/Slots.sol against sets in Python."""

import pytest
from brownie import SlotsHarness, accounts
from hypothesis import example, given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def slots(module_isolation):
    return SlotsHarness.deploy({"from": accounts[0]})


@given(mask=st.integers(0, 2**32 - 1), slot=st.integers(0, 31))
@settings(max_examples=50, derandomize=True, database=None, deadline=None)
@example(mask=0, slot=0)
@example(mask=2**32 - 1, slot=31)
@example(mask=2**31, slot=31)
@example(mask=2**31 - 1, slot=31)
def test_masks_are_sets(slots, mask, slot):
    members = {i for i in range(32) if mask >> i & 1}
    assert slots.all(mask, slot).dict() == {
        "count": len(members),
        "has": slot in members,
        "with": sum(1 << i for i in members | {slot}),
        "without": sum(1 << i for i in members - {slot}),
        "lowestFree": min(set(range(32)) - members, default=32),
    }
