"""The attackers: they write what an attack says, and take it as far as the others let them."""

import json
import time
from collections import Counter
from dataclasses import dataclass, field

from eth_utils.address import to_checksum_address
from pydantic import ValidationError

from marketplace.domain import State, slots
from marketplace.errors import MeritError
from marketplace.keys.sealing import Purpose, SealContext
from marketplace.services.owner import create_job
from marketplace.spec import JobFile
from tests.faults.stage import Party
from tests.hostile.attack import Attack, Seat
from tests.hostile.bare import BareJob
from tests.hostile.material import files, onchain
from tests.hostile.world import LISTED, STRANGERS, World, last_words
from tests.hostile.writing import FINNEY, NOBODYS_KEY, Writer, address

UNHEARD = 12.0  # seconds after which an owner cancels a job that our aggregator has said nothing of
SAFE = 45.0  # seconds that a trainer of ours has in a hostile job, after which its job has to be over


@dataclass
class Hostile:
    """A hostile job on the chain. answered: whether our aggregator has accepted it, or said something of it."""

    attack: Attack
    job_id: int
    owner: str
    born: float = field(default_factory=time.monotonic)
    answered: bool = False
    joiner: Party | None = None
    seated: bool = False
    done: set[object] = field(default_factory=set)
    over: bool = False


class Strangers:
    """All that is hostile in a world. tried: by role and kind; past: how many of them past Merit's client."""

    def __init__(self, world: World) -> None:
        self.world, self.bare = world, world.bare
        self.jobs: dict[int, Hostile] = {}
        self.tried: Counter[str] = Counter()
        self.past = self.refused = 0
        self._turn = 0
        self._names: dict[str, int] = {}

    def learn(self, writer: Writer) -> None:
        """What a good job looks like."""
        self.writer = writer

    @property
    def open(self) -> list[Hostile]:
        return [hostile for hostile in self.jobs.values() if not hostile.over]

    # ---------------------------------------------------------------- one attack

    def attempt(self, attack: Attack) -> None:
        self.tried[f"{attack.role}: {attack.kind}"] += 1
        self.past += not attack.client
        if attack.calls:
            self._call(attack)
            return
        job_id, owner = self._by_client(attack) if attack.client else self._past_client(attack)
        if job_id is None:
            self.refused += 1
            return
        self.jobs[job_id] = Hostile(attack, job_id, owner)

    def _owner(self, attack: Attack) -> str:
        known = LISTED if attack.owner == "listed" else STRANGERS
        return known[attack.number % len(known)]

    def _past_client(self, attack: Attack) -> tuple[int | None, str]:
        owner, writer = self._owner(attack), self.writer
        spec = writer.spec(attack)
        cid = writer.shelf.put(spec) if attack.cid is None else attack.cid
        if attack.name == "a folder in place of it":
            cid = writer.shelf.put_folder(spec)
        if attack.shelf and writer.shelf.folder is not None:
            files.SHELVES[attack.shelf](writer.shelf.path(cid.decode()))
        judge = self.world.address_of("aggregator") if attack.judge == "ours" else address(attack, "judge")
        terms = writer.terms(attack, judge)
        key = NOBODYS_KEY if attack.owner_key is None else attack.owner_key
        return self.bare.create(owner, terms, key, cid), owner

    def _by_client(self, attack: Attack) -> tuple[int | None, str]:
        """Merit's client has to refuse in a sentence, or to create a job."""
        node = self.world.nodes["listed"]
        try:
            job = JobFile.model_validate(self.writer.client_document(attack))
            made = create_job(node, job, None)
        except (MeritError, ValidationError, json.JSONDecodeError):
            return None, node.me.address
        except Exception as error:  # noqa: BLE001 (which is what is looked for)
            self.world.problems.append(f"attack {attack}: the client raised {error!r}")
            return None, node.me.address
        return made.job_id, node.me.address

    def _call(self, attack: Attack) -> None:
        count = self.world.market.job_count()
        sender = self._owner(attack)
        for name in attack.calls:
            function, arguments = onchain.CALLS[name]
            for job in {max(1, count - 1), 1 + attack.number % max(1, count)}:
                real = [job if argument is onchain.JOB else argument for argument in arguments]
                for value in (0, FINNEY):
                    self.bare.send(sender, function, *real, value=value)

    # ---------------------------------------------------------------- and what follows

    def advance(self) -> None:
        now = self.bare.now()
        for hostile in self.open:
            self._advance(hostile, now)

    def heard(self, job_id: int) -> None:
        if job_id in self.jobs:
            self.jobs[job_id].answered = True

    def _advance(self, hostile: Hostile, now: int) -> None:
        job = self.bare.job(hostile.job_id)
        if job.state.over:
            hostile.over = hostile.joiner is None or hostile.joiner.ended() is not None
            if hostile.over:
                self._afterwards(hostile)
            return
        match job.state:
            case State.OPEN:
                self._enrol(hostile, job)
            case State.RUNNING:
                self._take_part(hostile, job, now)
            case State.CONFIRMING:
                if now > job.submit_by:
                    self.bare.send(hostile.owner, "complete", hostile.job_id)

    def _seats(self, hostile: Hostile) -> list[str]:
        return [address(hostile.attack, f"seat {number}") for number in range(len(hostile.attack.seats))]

    def _once(
        self, hostile: Hostile, what: object, sender: str, function: str, *arguments: object, value: int = 0
    ) -> None:
        if what not in hostile.done:
            hostile.done.add(what)
            self.bare.send(sender, function, *arguments, value=value)

    def _enrol(self, hostile: Hostile, job: BareJob) -> None:
        attack, job_id = hostile.attack, hostile.job_id
        accepted = job.aggregator != 0
        hostile.answered = hostile.answered or accepted
        if attack.judge == "theirs" and not accepted:
            judge = address(attack, "judge")
            self.bare.endow(judge)
            self._once(hostile, "accepts", judge, "acceptAggregation", job_id, judge, NOBODYS_KEY, value=FINNEY)
        for seat, who in zip(attack.seats, self._seats(hostile), strict=True):
            if ("seated", who) not in hostile.done:
                self.bare.endow(who)
            key = NOBODYS_KEY if seat.key is None else seat.key
            self._once(hostile, ("seated", who), who, "join", job_id, who, key, b"", value=FINNEY)
        joined = hostile.joiner is not None and hostile.joiner.ended() is None
        if accepted and attack.seats and not attack.joined:
            self._once(hostile, "starts", hostile.owner, "start", job_id)
        age = time.monotonic() - hostile.born
        waits = (accepted and bool(attack.seats) and job.active and not attack.joined) or joined
        if attack.joined and hostile.joiner is None and age < SAFE:
            return  # its turn comes
        if (hostile.answered and not waits) or age > (SAFE if joined else UNHEARD):
            self.bare.send(hostile.owner, "cancel", job_id)

    def _take_part(self, hostile: Hostile, job: BareJob, now: int) -> None:
        attack, job_id = hostile.attack, hostile.job_id
        if not job.key_published and attack.judge == "theirs" and now <= job.submit_by:
            judge = address(attack, "judge")
            self._once(hostile, "key", judge, "publishKey", job_id, self._key_document(hostile))
        if job.key_published and now <= job.submit_by:
            for number, (seat, who) in enumerate(zip(attack.seats, self._seats(hostile), strict=True)):
                if not job.submitted >> number & 1:
                    self.submit(hostile.done, seat, who, job_id, job.round)
        elif now > job.submit_by and job.key_published and not job.submitted & ~job.undelivered:
            self.bare.send(hostile.owner, "skipRound", job_id)
        elif now > (job.settle_by if job.key_published else job.submit_by):
            self.bare.send(hostile.owner, "abort", job_id)

    def submit(self, done: set[object], seat: Seat, who: str, job_id: int, round: int) -> None:
        if not seat.submits or ("submitted", who, round) in done:
            return
        done.add(("submitted", who, round))
        digest, cid = self.writer.submission(seat, self._context(job_id, who, Purpose.UPDATE, round))
        self.bare.send(who, "submitUpdate", job_id, round, digest, cid)

    def _context(self, job_id: int, who: str, purpose: Purpose, round: int = 0) -> SealContext:
        market = self.world.market
        return SealContext(market.connection.chain_id, market.address, job_id, round, to_checksum_address(who), purpose)

    def _key_document(self, hostile: Hostile) -> bytes:
        judge = address(hostile.attack, "judge")
        parties = {self.world.address_of(name): self.world.nodes[name].me.encryption_key for name in self.world.joiners}
        context = self._context(hostile.job_id, judge, Purpose.JOB_KEY)
        return self.writer.shelf.put(files.KEY_DOCUMENTS[hostile.attack.document](parties, context))

    def show_openings(self, seat: Seat, who: str, job_id: int) -> None:
        opening = json.dumps({"ephemeral": "0" * 64, "content_key": "0" * 64}).encode()
        for number in range(seat.shows):
            cid = (self.writer.shelf.put(opening), onchain.GOOD_FORM, b"\x1b[2J")[number % 3]
            self.bare.send(who, "showOpening", job_id, (1, 2, 65535)[number % 3], cid)

    def _afterwards(self, hostile: Hostile) -> None:
        for seat, who in zip(hostile.attack.seats, self._seats(hostile), strict=True):
            self.show_openings(seat, who, hostile.job_id)
        for number in slots(self.bare.job(hostile.job_id).members):
            self.bare.send(hostile.owner, "claim", hostile.job_id, number)
        self._look_at_joiner(hostile)

    def _look_at_joiner(self, hostile: Hostile) -> None:
        """It says in a sentence why it takes no part, or takes part and ends."""
        joiner = hostile.joiner
        if joiner is None:
            return
        said = joiner.said()
        if "Traceback" in said or (joiner.code != 0 and "error:" not in said):
            problem = f"attack {hostile.attack}: a trainer that was told to join ended with {joiner.code}"
            self.world.problems.append(f"{problem}: {last_words(joiner)}")

    # ---------------------------------------------------------------- trainers of ours that are told to join

    def send_joiners(self) -> None:
        """As many at a time as the world has."""
        busy = {h.joiner.environment["MERIT_HOME"] for h in self.open if h.joiner and h.joiner.ended() is None}
        free = [name for name in self.world.joiners if str(self.world.nodes[name].home) not in busy]
        waiting = [h for h in self.open if h.attack.joined and h.joiner is None]
        for name, hostile in zip(free, waiting, strict=False):
            data = str(self.world.theatre.shared / "data-0.npz")
            command = ["trainer", "join", str(hostile.job_id), "--data", data, "--devices", "cpu"]
            hostile.joiner = self.world.party(f"joiner of job {hostile.job_id}", name, command)
            hostile.joiner.start()

    def sit_down(self, attack: Attack, job_id: int) -> "Guest":
        self.tried[f"{attack.role}: {attack.kind}"] += 1
        self.past += 1
        return Guest(self, attack, job_id)


class Guest:
    """A hostile trainer in a good job. spoilt: whether what it submits does not open, and so changes nobody's pay."""

    def __init__(self, strangers: Strangers, attack: Attack, job_id: int) -> None:
        self.attack, self._strangers, self._job_id = attack, strangers, job_id
        (self._seat,) = attack.seats
        self.who = address(attack, "guest")
        self.spoilt = self._seat.submits != "an honest update" and not self._seat.submits.startswith("values")
        self._done: set[object] = set()
        strangers.bare.endow(self.who)
        key = NOBODYS_KEY if self._seat.key is None else self._seat.key
        stake = strangers.world.market.terms(job_id).stake
        if (
            strangers.bare.send(self.who, "join", job_id, self.who, key, b"", value=stake) is None
        ):  # a key of zeros is refused
            strangers.bare.send(self.who, "join", job_id, self.who, NOBODYS_KEY, b"", value=stake)

    def advance(self) -> None:
        job = self._strangers.bare.job(self._job_id)
        if job.state is State.RUNNING and job.key_published:
            self._strangers.submit(self._done, self._seat, self.who, self._job_id, job.round)

    def show(self) -> None:
        self._strangers.show_openings(self._seat, self.who, self._job_id)
