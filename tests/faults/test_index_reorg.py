"""The chain changes while a node's index reads it: whichever request the change comes after, the index follows."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from marketplace.chain.connection import Connection
from marketplace.chain.events import EventReader
from marketplace.errors import ChainError
from marketplace.services.index import Index
from tests.chain_fixtures import KEY, OWNER, TRAINERS, Chain, Proxy, terms

pytest_plugins = ["tests.chain_fixtures"]


@pytest.mark.parametrize("moment", range(1, 9))
def test_a_reorganization_in_the_middle_of_a_reading_is_not_missed(
    chain: Chain, proxy: Proxy, tmp_path: Path, moment: int
) -> None:
    """What was read before may have left the chain though the blocks that are read next follow each other."""
    request, market = chain.connection.request, chain.market
    connection, url = Connection(proxy.url), f"sqlite:///{tmp_path / 'index.sqlite'}"
    index = Index(url, chain_id=connection.chain_id, market=market.address, first_block=chain.first_block)
    reader = EventReader(connection, market.address, chain.first_block)
    kept, _ = market.create_job(OWNER, terms(chain), KEY, "bafykept")
    fork = request("evm_snapshot")
    market.join(TRAINERS[0], kept, TRAINERS[0].address, KEY)
    while index.update(reader, connection):
        pass
    market.join(TRAINERS[1], kept, TRAINERS[1].address, KEY)
    left = moment

    def then_reorganize(_: Any, forward: Any) -> Any:
        nonlocal left
        answer, left = forward(), left - 1
        if not left:
            request("evm_revert", fork)
            chain.forward(5)
            market.join(TRAINERS[2], kept, TRAINERS[2].address, KEY)
            chain.forward(5)
        return answer

    proxy.hook = then_reorganize
    for _ in range(8):
        with suppress(ChainError):  # a block that it asks for by its hash is gone: the node tries again
            index.update(reader, connection)
    held = [news.event for news in index.events()]
    index.close()
    assert left <= 0
    assert held == chain.events()
