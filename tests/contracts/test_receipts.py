"""Brownie on a node that is slow with its receipts: conftest.WithReceipt."""

from brownie import web3
from web3.middleware import Web3Middleware
from world import refuses


class Late(Web3Middleware):
    """Hides each receipt from the first two who ask."""

    def __init__(self, w3):
        super().__init__(w3)
        self.asked = {}

    def wrap_make_request(self, make_request):
        def answer(method, params):
            if method != "eth_getTransactionReceipt":
                return make_request(method, params)
            times = self.asked[str(params)] = self.asked.get(str(params), 0) + 1
            return {"jsonrpc": "2.0", "id": 1, "result": None} if times <= 2 else make_request(method, params)

        return answer


def test_a_transaction_whose_receipt_comes_late_is_not_taken_for_dropped(coin_world):
    job = coin_world.create()
    slow = Late(web3)

    def builder(_):
        return slow

    web3.middleware_onion.add(builder)
    try:
        assert coin_world.join(job, 0).status == 1
        with refuses("AlreadyJoined", job, coin_world.operator(0)):
            coin_world.join(job, 0)
    finally:
        web3.middleware_onion.remove(builder)
    assert len(slow.asked) == 2
    assert all(times > 2 for times in slow.asked.values())
