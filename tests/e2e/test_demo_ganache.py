"""The demo on another development chain and a real IPFS node, with the other pay rule."""

import pytest

from tests.chain_fixtures import ganache
from tests.e2e.demo_kit import check_payouts, demo
from tests.ipfs_node import Node

pytest_plugins = ["tests.ipfs_node"]
pytestmark = [pytest.mark.slow, pytest.mark.ganache, pytest.mark.ipfs]


def test_krum_cosine_on_ganache_and_kubo(ipfs_node: Node) -> None:
    """Two rounds: Ganache computes pairings in JavaScript, half a minute for each settlement."""
    with ganache() as url:
        results = demo("--rule", "krum-cosine", "--rpc", url, "--ipfs", ipfs_node.address, "--rounds", "2")
    assert results["values"][-1] >= 0.93
    check_payouts(results, rounds=1)
