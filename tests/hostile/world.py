"""Where a campaign's hostile descriptions are written: a chain, storage, and our parties' real processes on them."""

import json
import queue
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml
from eth_utils.address import to_checksum_address

from benches.load_tools import memory
from marketplace.chain.clock import skip_to
from marketplace.chain.market import Market
from marketplace.domain import Terms
from marketplace.services.node import Node, fetch_spec
from marketplace.services.policy import FILE_NAME
from marketplace.spec import Spec
from marketplace.storage import Storage, open_storage
from tests.faults.cast import Theatre, create, lend_book, node_with_key
from tests.faults.child import Trouble
from tests.faults.plan import Plan
from tests.faults.stage import PASSWORD, Kubo, Party
from tests.hostile.bare import BareMarket
from tests.hostile.material import onchain
from tests.patience import PATIENCE

LISTED = tuple(f"0x{'aa' * 19}{number:02x}" for number in range(1, 9))  # hostile owners that the policy names
STRANGERS = tuple(f"0x{'bb' * 19}{number:02x}" for number in range(1, 9))
JOINERS = 2  # trainers of ours that are told to join hostile jobs, at a time
START_SECONDS = 300.0
RESTARTS = 2
CONFIRM = "5 s"  # in which the last sum of a good job can be disputed: nobody moves the clock for it
RULES = ("krum-cosine", "reference")


@dataclass(frozen=True)
class Template:
    """What a good job of each rule publishes: hostile ones differ from it in one thing."""

    spec: Spec
    terms: Terms


@dataclass
class World:
    """theatre: as the campaign of faults has it. accepting: whether our aggregator's policy names LISTED."""

    theatre: Theatre
    folder: Path
    stack: ExitStack
    accepting: bool
    kubo: bool
    problems: list[str] = field(default_factory=list)
    nodes: dict[str, Node] = field(default_factory=dict)
    parties: dict[str, Party] = field(default_factory=dict)
    all_parties: list[Party] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)  # processes that were started again for nothing
    url: str = ""
    token: str = ""
    ended: int = 0  # processes that ended by themselves while they had work
    peak: dict[str, int] = field(default_factory=dict)  # bytes of memory at most, by party
    first: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ground = self.theatre.ground(ganache=False)
        self.book = ground
        self.ledger = ground.ledger(self.folder)
        self.stack.callback(self.ledger.close)
        self.address = f"folder:{self.folder / 'storage'}"
        if self.kubo:
            daemon = Kubo(self.folder / "kubo")
            self.stack.callback(daemon.close)
            self.address = daemon.address
        self.storage: Storage = open_storage(self.address, timeout=5)
        self.market = Market(self.ledger.connection, ground.market, receipt_within=PATIENCE)
        self.bare = BareMarket(self.ledger.url, ground.market)
        self.news: queue.Queue[tuple[Party, dict[str, Any]]] = queue.Queue()
        for address in (*LISTED, *STRANGERS):
            self.bare.endow(address)
        self.contracts = {
            name: self.bare.deploy(LISTED[0], onchain.deploying(code)) for name, code in onchain.CONTRACTS.items()
        }
        for name in ("owner", "aggregator", "node", "trainer-0", "trainer-1", "trainer-2", *self.joiners, "listed"):
            self.node(name)
        for name in ("owner", "listed"):
            lend_book(ground, self.nodes[name].home)
        self.began = {name: self.coin(name) for name in self.nodes}

    @property
    def joiners(self) -> list[str]:
        return [f"joiner-{number}" for number in range(JOINERS)]

    def node(self, name: str) -> Node:
        if name not in self.nodes:
            setups = self.theatre.shared / "setups"
            self.nodes[name] = node_with_key(self.folder / name, setups, self.ledger, self.market, self.storage)
        return self.nodes[name]

    def address_of(self, name: str) -> str:
        return self.nodes[name].me.address

    def coin(self, name: str) -> int:
        """What a party has and can withdraw, in wei."""
        address = self.address_of(name)
        zero = "0x" + "00" * 20
        return self.market.balance(zero, address) + self.market.credit(address, zero)

    def good_job(self, rule: str, seats: int) -> int:
        plan = Plan(0, rule, seats, (), (0,) * (seats + 1), "", 0, kubo=False, executed=False)
        validation = self.theatre.shared / "validation.npz"
        return create(self.nodes["owner"], self.nodes["aggregator"], plan, validation, CONFIRM)

    def template(self, job_id: int) -> Template:
        node = self.nodes["owner"]
        (created,) = [event for event in node.events.read(job_id=job_id)[0] if hasattr(event, "spec_cid")]
        return Template(fetch_spec(self.storage, created), self.market.terms(job_id))  # type: ignore[arg-type]

    # ---------------------------------------------------------------- processes

    def party(self, name: str, of: str, arguments: list[str], home: Path | None = None) -> Party:
        """A process of `merit`, not yet started. of: whose key it acts with."""
        environment = {
            "MERIT_RPC": self.ledger.url,
            "MERIT_MARKET": self.market.address,
            "MERIT_STORAGE": self.address,
            "MERIT_PASSWORD": PASSWORD,
            "MERIT_POLL": "0.3",
            "MERIT_STORAGE_TIMEOUT": "3",
            "MERIT_RECEIPT_TIMEOUT": "60",
            "MERIT_HOME": str(home or self.nodes[of].home),
            "OMP_NUM_THREADS": "1",
        }
        errors = self.folder / "said" / name.replace(" ", "-")
        errors.parent.mkdir(exist_ok=True)
        made = Party(name, arguments, environment, errors, self.news, Trouble())
        self.stack.callback(made.stop)
        self.all_parties.append(made)
        return made

    def start(self) -> None:
        """Our node, our aggregator: they stay until the end."""
        self.write_policy()
        up = ["up", "--port", "0", "--data", str(self.theatre.shared)]
        for name, arguments in {"node": up, "aggregator": ["aggregator", "run"]}.items():
            self.parties[name] = self.party(name, name, arguments)
            self.parties[name].start()
        self._await_page()

    def hear(self, party: Party, notice: dict[str, Any]) -> None:
        """A node that was started again has its page at another port."""
        if party.name == "node" and "url" in notice:
            self.url, _, self.token = str(notice["url"]).partition("/#token=")

    def write_policy(self) -> None:
        """The owner of the good jobs is named, and where the world is accepting, hostile ones under wide bounds."""
        policy: dict[str, object] = {"owners": [self.address_of("owner")]}
        if self.accepting:
            policy = {
                "owners": [self.address_of("owner"), self.address_of("listed"), *map(to_checksum_address, LISTED)],
                "tokens": [
                    {"token": "coin", "bond_at_most": "1 ether", "bonds_at_most": "10 ether"},
                    *(
                        {"token": to_checksum_address(token), "bond_at_most": 2**127, "bonds_at_most": 2**127}
                        for token in self.contracts.values()
                    ),
                ],
                "bond_for_fees": None,
                "gas_price": 0,
                "submit_window_at_least": "1 s",
                "settle_window_at_least": "1 s",
                "rounds_at_most": 1000,
                "jobs_at_most": 200,
            }
        (self.nodes["aggregator"].home / FILE_NAME).write_text(yaml.safe_dump(policy))

    def _await_page(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.parties["node"].ended() is None:
            try:
                party, notice = self.news.get(timeout=1)
            except queue.Empty:
                continue
            self.hear(party, notice)
            if self.url:
                return
        raise RuntimeError(f"the node did not start: {self.parties['node'].said()[-2000:]}")

    def pass_time(self, seconds: int) -> None:
        skip_to(self.market.connection, self.market.connection.now() + seconds)

    def look_at_processes(self) -> bool:
        """Whether all are there. One that has ended is told of and started again, twice."""
        for name, party in self.parties.items():
            if party.process is not None and party.process.pid and party.ended() is None:
                now = memory(party.process.pid)
                self.first.setdefault(name, now)
                self.peak[name] = max(self.peak.get(name, 0), now)
            if party.ended() is None or name in self.gone:
                continue
            self.ended += 1
            self.problems.append(f"the {name} ended with {party.ended()}: {last_words(party)}")
            if party.starts > RESTARTS:
                self.gone.add(name)
            else:
                party.start()
        return not self.gone

    def ask(self, path: str, *, token: bool = False, method: str = "GET", body: object = None) -> tuple[int, Any]:
        """(status, JSON) of the node's API; (0, what is wrong) where there is no such answer."""
        headers = {"Authorization": f"Bearer {self.token}"} if token else {}
        try:
            answer = requests.request(method, self.url + path, headers=headers, json=body, timeout=PATIENCE)
            return answer.status_code, json.loads(answer.content)
        except (requests.RequestException, ValueError) as error:
            return 0, repr(error)[:300]


def last_words(party: Party) -> str:
    """The last traceback that a party printed, else its last lines."""
    said = [line for line in party.said().splitlines() if line.strip() and "for development only" not in line]
    begins = [place for place, line in enumerate(said) if "Traceback" in line]
    return "\n".join(said[begins[-1] :] if begins else said[-3:])[-1500:]
