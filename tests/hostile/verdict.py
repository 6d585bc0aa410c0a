"""What must hold while hostile descriptions come in, and at the end."""

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from marketplace.chain import abi
from marketplace.domain import (
    ZERO_ADDRESS,
    AggregationAccepted,
    Credited,
    Event,
    JobCreated,
    Joined,
    Terms,
)
from tests.hostile.good import GoodJobs
from tests.hostile.strangers import Strangers
from tests.hostile.world import World

CAUGHT_UP = 180.0  # seconds that the node's index may be behind
LISTS = ("", "?sort=reward&limit=200", "?sort=enrol_by", "?search=a", "?state=cancelled", "?rule=reference")
PUBLIC = ("", "/rounds", "/trainers", "/payouts", "/rounds/1")
OWN = ("/own", "/scores")
FINE = (200, 404)
REFUSED = (400, 404, 409, 429, 502, 503)  # what else an answer may be where storage or a stranger's file is at fault
MIB = 2**20
MEMORY = 1500 * MIB  # that a process may hold; Python with torch takes some 600 of them
GROWTH = 500 * MIB  # from the moment it serves
GAS = {"aggregator": 6_000_000, "joiner": 3_000_000}  # that a hostile job may cost one of ours, as griefing.md says


@dataclass
class Books:
    """What our parties put into and got from each job, in wei of coin; gas that each spent for each job."""

    net: Counter[tuple[str, int]] = field(default_factory=Counter)
    gas: Counter[tuple[str, int]] = field(default_factory=Counter)
    fees: Counter[str] = field(default_factory=Counter)  # wei, by party


class Verdict:
    def __init__(self, world: World, strangers: Strangers, good: GoodJobs) -> None:
        self._world, self._strangers, self._good = world, strangers, good
        self._asked: set[int] = set()
        self._heard: dict[str, int] = {}
        self.answers: Counter[int] = Counter()
        self.lost = 0
        self.bonds = 0

    def after_a_batch(self) -> None:
        self._look_at_node()
        self._look_at_logs()

    # ---------------------------------------------------------------- the node

    def _look_at_node(self) -> None:
        """It has all there is on the chain, and shows every hostile job without an error of its own."""
        world = self._world
        head, end = world.ledger.height(), time.monotonic() + CAUGHT_UP
        while True:
            status, health = world.ask("/api/health")
            if status == 200 and health["indexed"] >= head and health["status"] == "ok":
                break
            if time.monotonic() > end:
                said = f"{status} {str(health)[:300]}"
                world.problems.append(f"the node is not well: {said}; the chain has {head} blocks")
                return
            time.sleep(0.2)
        for query in LISTS:
            self._expect(f"/api/jobs{query}", FINE)
        for job_id in sorted(set(self._strangers.jobs) - self._asked):
            self._asked.add(job_id)
            for path in PUBLIC if job_id % 3 == 0 else PUBLIC[:1]:
                self._expect(f"/api/jobs/{job_id}{path}", FINE)
            if job_id % 5 == 0:  # these fetch and compute
                for path in OWN:
                    self._expect(f"/api/jobs/{job_id}{path}", (*FINE, *REFUSED), token=True)

    def _expect(self, path: str, statuses: tuple[int, ...], *, token: bool = False) -> None:
        status, answer = self._world.ask(path, token=token)
        self.answers[status] += 1
        if status not in statuses:
            self._world.problems.append(f"the node answers {path} with {status}: {str(answer)[:300]}{self._of(path)}")

    def _of(self, path: str) -> str:
        found = re.search(r"(?:/jobs/|\bjob )(\d+)", path)
        hostile = self._strangers.jobs.get(int(found[1])) if found else None
        return f", attack {hostile.attack}" if hostile else ""

    # ---------------------------------------------------------------- what processes say

    def _look_at_logs(self) -> None:
        """No process has met what it did not expect."""
        for name, party in self._world.parties.items():
            said = party.said()
            new = said[self._heard.get(name, 0) :]
            self._heard[name] = len(said)
            if "Traceback" in new or '"trace"' in new:
                self._world.problems.append(f"the {name} met the unexpected: {_unexpected(new)}{self._of(new)}")

    # ---------------------------------------------------------------- the end

    def at_the_end(self) -> None:
        world = self._world
        self.after_a_batch()
        for hostile in self._strangers.open:
            state = world.market.job(hostile.job_id).state.name.lower()
            world.problems.append(f"attack {hostile.attack}: its job {hostile.job_id} never ended, it is {state}")
        for name, peak in world.peak.items():
            if peak > MEMORY or peak - world.first[name] > GROWTH:
                grew = (peak - world.first[name]) // MIB
                world.problems.append(f"the {name} holds {peak // MIB} MiB of memory, {grew} more than at first")
        self._look_at_money()

    def _look_at_money(self) -> None:
        """Every unit of ours is accounted for, and no hostile job has taken more than griefing.md says."""
        world, books = self._world, self._books()
        for name in self._ours():
            held = world.coin(name)
            expected = world.began[name] - books.fees[name]
            expected += sum(amount for (who, _), amount in books.net.items() if who == name)
            if held != expected:
                self.lost += max(0, expected - held)
                world.problems.append(f"{name} has {held} wei, by what is on the chain it should be {expected}")
        for (name, job_id), amount in sorted(books.net.items()):
            if job_id in self._good.ids:
                if name != "owner" and amount < 0:
                    self._lose(name, job_id, -amount, 0)
                continue
            allowed = self._bond(job_id) if name == "aggregator" else 0
            self.bonds += max(0, -amount) if name == "aggregator" else 0
            if amount < -allowed:
                self._lose(name, job_id, -amount, allowed)
        for (name, job_id), gas in sorted(books.gas.items()):
            hostile = self._strangers.jobs.get(job_id)
            role = name.partition("-")[0]
            if hostile and gas > GAS.get(role, 0):
                world.problems.append(f"attack {hostile.attack}: cost the {name} {gas} gas")

    def _ours(self) -> list[str]:
        return [name for name in self._world.nodes if name != "listed"]

    def _lose(self, name: str, job_id: int, amount: int, allowed: int) -> None:
        self.lost += amount - allowed
        hostile = self._strangers.jobs.get(job_id)
        of = f"attack {hostile.attack}" if hostile else f"good job {job_id}"
        self._world.problems.append(f"{of}: the {name} lost {amount} wei, {allowed} are allowed")

    def _bond(self, job_id: int) -> int:
        """What an aggregator risks in a job that its policy accepts; nothing in others, which it must not accept."""
        hostile = self._strangers.jobs[job_id]
        listed = hostile.attack.owner == "listed" or hostile.attack.client
        if not (self._world.accepting and listed):
            return 0
        terms = self._world.market.terms(job_id)
        return terms.bond if terms.token == ZERO_ADDRESS else 0

    def _books(self) -> Books:
        world, books = self._world, Books()
        names = {world.address_of(name): name for name in self._ours()}
        terms: dict[int, Terms] = {}
        for event in world.nodes["owner"].events.read()[0]:
            if isinstance(event, JobCreated):
                terms[event.job_id] = event.terms
            who, amount = _moved(event, terms)
            if who in names and terms[event.job_id].token == ZERO_ADDRESS:
                books.net[names[who], event.job_id] += amount
        for block in range(1, world.ledger.height() + 1):
            self._read_block(block, names, books)
        return books

    def _read_block(self, number: int, names: dict[str, str], books: Books) -> None:
        ask, low = self._world.bare.ask, {address.lower(): name for address, name in names.items()}
        sent: list[dict[str, Any]] = ask("eth_getBlockByNumber", hex(number), True)["transactions"]
        for transaction in (one for one in sent if one["from"] in low):
            receipt = ask("eth_getTransactionReceipt", transaction["hash"])
            gas, name = int(receipt["gasUsed"], 16), low[transaction["from"]]
            books.fees[name] += gas * int(receipt["effectiveGasPrice"], 16)
            data = bytes.fromhex(transaction["input"][2:])
            if transaction["to"] == self._world.market.address.lower() and data[:4] != abi.selector("createJob"):
                books.gas[name, int.from_bytes(data[4:36])] += gas


def _unexpected(said: str) -> str:
    """The end of the first trace there is, with the line before it."""
    lines = said.splitlines()
    first = next(place for place, line in enumerate(lines) if "Traceback" in line or '"trace"' in line)
    if '"trace"' in lines[first]:
        return lines[first].replace("\\n", "\n")[-1500:]
    end = next((place for place in range(first + 1, len(lines)) if lines[place][:1] not in ("", " ")), len(lines) - 1)
    return "\n".join([*lines[max(0, first - 1) : first + 1], *lines[max(first + 1, end - 8) : end + 1]])[-1500:]


def _moved(event: Event, terms: dict[int, Terms]) -> tuple[str, int]:
    """Who paid (−) or was credited (+) how much by an event."""
    match event:
        case JobCreated():
            return event.owner, -event.terms.escrow
        case AggregationAccepted():
            return event.aggregator, -terms[event.job_id].bond
        case Joined():
            return event.operator, -terms[event.job_id].stake
        case Credited():
            return event.payee, event.amount
    return "", 0
