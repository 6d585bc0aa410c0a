"""What an aggregator takes up by itself: `policy.yaml` in its home folder (docs/aggregator-policy.md).

An aggregator risks the bond and pays gas for every round, on the word of an owner it may not know. A job that the
policy has something against waits for its operator, who may accept it all the same. What safety demands is asked
elsewhere, of every job (services/proofs.py, the bounds in marketplace/spec.py): there nothing can be accepted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from marketplace.chain.gas import MAX_TRANSACTION_GAS
from marketplace.documents import MAX_FILE_BYTES, explain, parse_yaml
from marketplace.domain import MAX_TRAINERS, ZERO_ADDRESS, Terms
from marketplace.errors import CorruptContent, InputError
from marketplace.files import read_within
from marketplace.services.dearest import MAX_TRANSACTION_BYTES, settlement_cost
from marketplace.services.node import LOCAL_CHAINS
from marketplace.spec import Address, Duration, Spec
from marketplace.units import format_amount, parse_amount
from zk.encoding import chunks

FILE_NAME = "policy.yaml"
MOST_OWNERS = 10_000
DAY = 86_400  # seconds
RuleName = Literal["krum-cosine", "reference"]
Amount = Annotated[int, BeforeValidator(parse_amount)]


class Work(NamedTuple):
    """What a job asks of its aggregator. parameters: d. chunk: N, of its set-up."""

    parameters: int
    chunk: int

    @property
    def chunks(self) -> int:
        """c, the points that commit to an update."""
        return chunks(self.parameters, self.chunk)


def work_of(spec: Spec) -> Work:
    """Raises CorruptContent for a model that cannot be."""
    try:
        return Work(spec.parameters, spec.proofs.chunk)
    except ValueError as error:
        raise CorruptContent(f"The job's model does not fit: {error}.") from error


@dataclass(frozen=True, slots=True)
class Held:
    """What an aggregator has taken up already. bonds: units by token."""

    jobs: int = 0
    bonds: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


NOTHING = Held()


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenPolicy(_Strict):
    """Amounts in the coin, such as `0.5 ether`, or in one token: whole numbers of its smallest unit."""

    token: Literal["coin"] | Address = Field(description="The token's address, or `coin` for the chain's coin.")
    reward_at_least: Amount = Field(default=0, description="The reward of a round.")
    reward_at_most: Amount | None = Field(default=None, description="The reward of a round; none: any.")
    fee_at_least: Amount = Field(default=0, description="The fee of a round.")
    bond_at_most: Amount = Field(default=5 * 10**17, description="The bond of one job: what its trainers can take.")
    bonds_at_most: Amount = Field(default=5 * 10**18, description="The bonds of all jobs that are served at a time.")

    @model_validator(mode="after")
    def _bounded(self) -> "TokenPolicy":
        """A token of 6 decimals makes half a coin's units 500 billion of its own: no default bounds every token."""
        lacking = sorted({"bond_at_most", "bonds_at_most"} - self.model_fields_set)
        if lacking and self.token != "coin":  # noqa: S105
            raise ValueError(f"{' and '.join(lacking)} must be given for a token, in its smallest units")
        return self

    @property
    def address(self) -> str:
        return ZERO_ADDRESS if self.token == "coin" else self.token  # noqa: S105


def _owners(value: object) -> object:
    """YAML gives a lone address as a text, and a hexadecimal one without quotes as a number."""
    if isinstance(value, str) and value != "any":
        return [value]
    return value


class Policy(_Strict):
    """Which jobs an aggregator accepts by itself."""

    owners: Annotated[Literal["any"] | tuple[Address, ...], BeforeValidator(_owners)] = Field(
        default=(), description="Accounts whose jobs are accepted, or `any`. By default nobody's."
    )
    tokens: tuple[TokenPolicy, ...] = Field(
        default=(TokenPolicy(token="coin"),),  # noqa: S106
        max_length=100,
        description="What a job may pay in, with the amounts for each.",
    )
    bond_for_fees: float | None = Field(
        default=10.0,
        gt=0,
        le=1e9,
        description="The bond is at most so many times what the job's rounds pay in fees; none: however much.",
    )
    gas_price: Amount = Field(
        default=5 * 10**9,
        description="Wei for each unit of gas that the fee of a round has to cover, where it is paid in coin.",
    )
    submit_window_at_least: Duration = Field(default=60, description="The submitting phase of a round.")
    settle_window_at_least: Duration = Field(
        default=300, description="The settling phase, in which a round must be fetched, judged, proved and mined."
    )
    bound_for_at_most: Duration = Field(
        default=30 * DAY,
        description="How long the bond may be bound at most: until enrolment closes, and then for all phases.",
    )
    rounds_at_most: int = Field(default=100, ge=1, description="Rounds of a job.")
    parameters_at_most: int = Field(
        default=1 << 22, ge=1, description="Parameters of the model, d. Time and memory grow with it (docs/proofs.md)."
    )
    points_at_most: int = Field(
        default=1024,
        ge=1,
        description="Seats × chunks of an update, n·c. With 32 seats, 1024 take 10.2 million gas and 77 KB.",
    )
    gas_at_most: int = Field(
        default=MAX_TRANSACTION_GAS,
        ge=1,
        description="Gas of a settlement, as estimated; no transaction may use more than 2^24 (EIP-7825).",
    )
    calldata_at_most: int = Field(
        default=MAX_TRANSACTION_BYTES,
        ge=1,
        description="Bytes of a settlement's transaction; Ethereum's nodes pass on at most 128 KiB.",
    )
    rules: tuple[RuleName, ...] = Field(default=("krum-cosine", "reference"), description="Pay rules.")
    max_faulty_at_least: int = Field(
        default=0,
        ge=0,
        lt=MAX_TRAINERS,
        description="The job's `max_faulty`, f: f + 1 trainers who dispute a good sum have the bond burnt.",
    )
    max_faulty_at_most: int = Field(default=MAX_TRAINERS - 1, ge=0, lt=MAX_TRAINERS, description="The job's f.")
    voids_at_most: int = Field(
        default=10,
        ge=0,
        le=255,
        description="The job's `max_voids`: so often trainers can have a round fetched and judged again, for no fee.",
    )
    takeover: bool = Field(
        default=True, description="Whether a job may let another aggregator go on where this one fails."
    )
    jobs_at_most: int = Field(default=50, ge=0, le=10_000, description="Jobs that are served at a time.")

    @model_validator(mode="after")
    def _consistent(self) -> "Policy":
        if self.owners != "any" and len(self.owners) > MOST_OWNERS:
            raise ValueError(f"owners names {len(self.owners)} accounts; at most {MOST_OWNERS} are possible")
        named = [entry.address for entry in self.tokens]
        if len(set(named)) != len(named):
            raise ValueError("tokens names one token twice")
        if self.max_faulty_at_least > self.max_faulty_at_most:
            raise ValueError("max_faulty_at_least is more than max_faulty_at_most")
        return self

    def objections(
        self, owner: str, terms: Terms, work: Work | None = None, held: Held = NOTHING, *, now: int
    ) -> list[str]:
        """What there is against a job, in sentences; empty where it is accepted. Reads nothing, raises nothing.

        work: what its description asks for, None while that was not read. held: what has been taken up before.
        now: Unix seconds by the chain's clock.
        """
        found = [*self._of_parties(owner, terms), *self._of_money(terms, held), *self._of_time(terms, now)]
        found += self._of_gas(terms, work.chunks if work else 1)
        if work is not None:
            found += self._of_work(terms, work)
        if held.jobs >= self.jobs_at_most:
            found.append(f"{held.jobs} jobs are served already, and the policy allows {self.jobs_at_most} at a time.")
        return found

    def _of_parties(self, owner: str, terms: Terms) -> Iterator[str]:
        if self.owners != "any" and owner not in self.owners:
            yield f"Its owner {owner} is not among the owners that the policy names."
        if terms.rule.label not in self.rules:
            yield f"Its rule is {terms.rule.label}; the policy allows {' or '.join(self.rules) or 'none'}."
        least, most = self.max_faulty_at_least, self.max_faulty_at_most
        if not least <= terms.max_faulty <= most:
            yield f"Its max_faulty is {terms.max_faulty}; the policy allows {least} to {most}."
        if terms.takeover_window and not self.takeover:
            yield "It has a takeover window, which the policy does not allow."

    def _of_money(self, terms: Terms, held: Held) -> Iterator[str]:
        allowed = {entry.address: entry for entry in self.tokens}.get(terms.token)
        if allowed is None:
            yield f"It pays in {_named(terms.token)}, which the policy does not allow."
            return

        def shown(amount: int) -> str:
            return format_amount(amount) if terms.token == ZERO_ADDRESS else f"{amount} units of {terms.token}"

        if terms.reward < allowed.reward_at_least:
            yield f"Its reward is {shown(terms.reward)}; the policy wants at least {shown(allowed.reward_at_least)}."
        if allowed.reward_at_most is not None and terms.reward > allowed.reward_at_most:
            yield f"Its reward is {shown(terms.reward)}; the policy allows at most {shown(allowed.reward_at_most)}."
        if terms.fee < allowed.fee_at_least:
            yield f"Its fee is {shown(terms.fee)}; the policy wants at least {shown(allowed.fee_at_least)}."
        if terms.bond > allowed.bond_at_most:
            yield f"Its bond is {shown(terms.bond)}; the policy allows at most {shown(allowed.bond_at_most)}."
        if terms.bond + held.bonds.get(terms.token, 0) > allowed.bonds_at_most:
            total = shown(terms.bond + held.bonds.get(terms.token, 0))
            yield f"With its bond, {total} would be bound at a time; the policy allows {shown(allowed.bonds_at_most)}."
        fees = terms.rounds * terms.fee
        if self.bond_for_fees is not None and terms.bond > Fraction(self.bond_for_fees) * fees:
            yield (
                f"Its bond of {shown(terms.bond)} is more than {self.bond_for_fees:g} times its fees, "
                f"{shown(fees)} in all."
            )

    def _of_time(self, terms: Terms, now: int) -> Iterator[str]:
        if terms.submit_window < self.submit_window_at_least:
            yield f"Its submitting phase is {terms.submit_window} s; the policy wants {self.submit_window_at_least} s."
        if terms.settle_window < self.settle_window_at_least:
            yield f"Its settling phase is {terms.settle_window} s; the policy wants {self.settle_window_at_least} s."
        if terms.rounds > self.rounds_at_most:
            yield f"It has {terms.rounds} rounds; the policy allows {self.rounds_at_most}."
        if terms.max_voids > self.voids_at_most:
            yield f"Its max_voids is {terms.max_voids}; the policy allows {self.voids_at_most}."
        # Its owner may cancel until it starts, and nobody else can end it before: waiting costs the owner nothing.
        phases = terms.rounds * (terms.submit_window + terms.settle_window) + terms.submit_window
        phases += terms.max_voids * 2 * terms.settle_window
        if (bound := max(0, terms.enrol_by - now) + phases) > self.bound_for_at_most:
            days, allowed = (f"{seconds / DAY:.3g}" for seconds in (bound, self.bound_for_at_most))
            yield f"Its bond may be bound for {days} days; the policy allows {allowed}."

    def _of_gas(self, terms: Terms, chunks: int) -> Iterator[str]:
        gas = settlement_cost(terms.rule, terms.max_trainers, chunks).gas
        if terms.token == ZERO_ADDRESS and terms.fee < gas * self.gas_price:
            yield (
                f"Its fee is {format_amount(terms.fee)} a round, and a settlement may cost "
                f"{format_amount(gas * self.gas_price)}: {gas} gas at {self.gas_price} wei."
            )

    def _of_work(self, terms: Terms, work: Work) -> Iterator[str]:
        if work.parameters > self.parameters_at_most:
            yield f"Its model has {work.parameters} parameters; the policy allows {self.parameters_at_most}."
        points = terms.max_trainers * work.chunks
        cost = settlement_cost(terms.rule, terms.max_trainers, work.chunks)
        if points > self.points_at_most:
            yield (
                f"It has {terms.max_trainers} seats and {work.chunks} chunks of an update, {points} points; "
                f"the policy allows {self.points_at_most}."
            )
        if cost.gas > self.gas_at_most:
            yield f"A settlement may take {cost.gas} gas; the policy allows {self.gas_at_most}."
        if cost.calldata > self.calldata_at_most:
            yield f"A settlement may have {cost.calldata} bytes; the policy allows {self.calldata_at_most}."


def _named(token: str) -> str:
    return "the chain's coin" if token == ZERO_ADDRESS else f"the token {token}"


LOCAL = Policy(
    owners="any",
    tokens=(TokenPolicy(token="coin", bond_at_most=10**19, bonds_at_most=50 * 10**18),),  # noqa: S106
    bond_for_fees=None,
    gas_price=0,
    submit_window_at_least=10,
    settle_window_at_least=10,
    bound_for_at_most=3650 * DAY,
    rounds_at_most=1000,
    parameters_at_most=1 << 24,
    jobs_at_most=200,
)
"""In force on a development chain, whose coin is worth nothing, where there is no file."""


def read_policy(path: Path) -> Policy:
    """Raises InputError with one sentence that names its mistakes."""
    data = read_within(path, MAX_FILE_BYTES)
    try:
        return Policy.model_validate(parse_yaml(data.decode(), where=str(path)) or {})
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not YAML: {error}.") from error
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error)}.") from error


class PolicyFile:
    """The policy in force in a home folder, as it is now. Raises InputError for a file that is none."""

    def __init__(self, home: Path, chain_id: int) -> None:
        self.path = home / FILE_NAME
        self._local = chain_id in LOCAL_CHAINS
        self._read: tuple[int, ...] | None = None
        self.policy = self._default
        self.problem = ""
        self.refresh()
        if self.problem:
            raise InputError(self.problem)

    @property
    def _default(self) -> Policy:
        return LOCAL if self._local else Policy()

    @property
    def source(self) -> str:
        """Where the policy comes from, for a person."""
        if self._read:
            return str(self.path)
        kind = "a development chain" if self._local else "a public chain, where nobody's jobs are accepted"
        return f"the default of {kind}: there is no {self.path}"

    def refresh(self) -> bool:
        """Reads the file where it has changed, and says whether it has. One that is not valid leaves all as it was.

        `problem` says what is wrong with it.
        """
        stamp = stamp_of(self.path)
        if stamp == self._read:
            return False
        self._read = stamp
        try:
            self.policy = read_policy(self.path) if stamp else self._default
        except InputError as error:
            self.problem = str(error)
            return True
        self.problem = ""
        return True


def stamp_of(path: Path) -> tuple[int, ...]:
    """Something else for each state of a file; empty where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    except OSError:
        return (0,)  # reading it says what is wrong
    return found.st_mtime_ns, found.st_size, found.st_ino
