"""Brownie's fixtures around a market on an Anvil of its own, whose clock stands still unless a test moves it."""

import gc
import random
import socket
from contextlib import suppress

import brownie
import pytest
from brownie import (
    Claims,
    Creation,
    Delivery,
    Disputes,
    Failures,
    JobMarket,
    PlainToken,
    RoundCheck,
    Tickets,
    accounts,
    web3,
)
from hypothesis import settings
from web3.middleware import Web3Middleware
from world import ACCOUNTS, RICH, TAKER, Verifiers, World, rpc

settings.register_profile("seeded", derandomize=True, database=None, deadline=None, print_blob=False)
settings.load_profile("seeded")


def pytest_configure(config):
    """Brownie attaches to whatever answers at its port: a free one gives it a chain that nobody else uses.

    Systems give connections ports from 32768 on. From below it is taken by chance only, until the chain listens.
    """
    for port in random.SystemRandom().sample(range(20_000, 32_768), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            break
    anvil = brownie._config.CONFIG.networks["development"]["cmd_settings"]
    anvil.update(port=port, accounts=ACCOUNTS, gas_limit=30_000_000)


class WithReceipt(Web3Middleware):
    """Hands out a transaction's hash once its receipt can be read.

    Anvil answers before that, its sender's nonce already raised: what Brownie takes for a transaction that was dropped.
    """

    def response_processor(self, method, response):
        if method in ("eth_sendTransaction", "eth_sendRawTransaction") and "result" in response:
            self._w3.eth.wait_for_transaction_receipt(response["result"], timeout=30, poll_latency=0.01)
        return response


@pytest.fixture(scope="session", autouse=True)
def requests():
    """Without what takes most of the time: web3's validation, which asks for the chain id before each request, a look
    for proxies in the environment, and Brownie's search for garbage after each test in all that was ever loaded."""
    web3.middleware_onion.remove("validation")
    web3.middleware_onion.add(WithReceipt)
    sessions = web3.provider._request_session_manager
    sessions.cache_and_return_session(web3.provider.endpoint_uri).trust_env = False
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def deployed(module_isolation):
    rpc("anvil_setBlockTimestampInterval", 0)
    # Brownie links a contract to the latest of each.
    for library in (Claims, Creation, Delivery, Disputes, Failures, RoundCheck, Tickets):
        library.deploy({"from": accounts[0]})
    market = JobMarket.deploy({"from": accounts[0]})
    token = PlainToken.deploy({"from": accounts[0]})
    for account in (*accounts[:RICH], accounts[TAKER]):
        token.mint(account, 10**30, {"from": account})
        token.approve(market, 2**256 - 1, {"from": account})
    return market, token, Verifiers()


@pytest.fixture(params=["coin", "token"])
def world(request, deployed, fn_isolation):
    """A market whose jobs are paid in the chain's coin, and one whose jobs are paid in an ERC-20."""
    return World(*deployed, in_coin=request.param == "coin")


@pytest.fixture
def coin_world(deployed, fn_isolation):
    return World(*deployed, in_coin=True)
