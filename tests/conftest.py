"""Inputs are the same in every run, no test fails because a machine is busy, and what takes longest begins first."""

import pytest
from hypothesis import settings

settings.register_profile("merit", deadline=None, derandomize=True)
settings.load_profile("merit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: a process that began one of them last would keep the other waiting for it."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
