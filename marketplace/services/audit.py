"""An audit: everything about a job that chain and storage can show, checked without trusting whoever wrote it.

It shares nothing with the parties' services but the definitions: the rules of the market (replay), the canonical files
and the arithmetic of the model. Both proofs of every round are checked in Python (services/rounds.py). With the job key
it follows the models too, and, with the compiled core, that every sum opens its commitment; once the owner
has revealed the validation data, it repeats the reference rows.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

from marketplace.chain.verifiers import read_verifiers
from marketplace.domain import ZERO_ADDRESS, Credited, Event, Rule, Settlement, Withdrawn, mask_of, slots
from marketplace.errors import CorruptContent, MeritError, StorageError
from marketplace.keys.sealing import MAX_JOB_KEY_BYTES, sealed_size
from marketplace.replay import JobHistory, conservation, replay, tokens
from marketplace.services.deliveries import DELIVERY
from marketplace.services.models import Models
from marketplace.services.node import Node, fetch_spec
from marketplace.services.openings import check_opening
from marketplace.services.programs import MAX_JOB_FILE_BYTES, fetch_files, program_of
from marketplace.services.rounds import proof_context, proof_problem
from marketplace.services.validation import Revealed, Validation, read_data, revealed
from marketplace.spec import Spec
from marketplace.storage import get_bytes
from marketplace.units import format_metric
from trainer.data import normalise
from trainer.train import Evaluation
from zk.encoding import chunks
from zk.files import max_model_file_bytes, max_rows_file_bytes, max_sum_file_bytes

if TYPE_CHECKING:
    from zk.setup import Srs

PROOFS_A_ROUND = 2
MAX_SETUP_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class Check:
    """One check; `ok` is None where there was nothing to check it with."""

    name: str
    ok: bool | None
    detail: str


OnCheck = Callable[[Check], object]


@dataclass(frozen=True, slots=True)
class Paid:
    """What a member is paid, and why: `pay` follows from all members' balances and rounds opened (docs/rules.md).

    balance: under reference 2^-60 of validation loss, else 2^-64 of a round's weights. opened, strikes: rounds.
    pay: units of the token; what it would be now, where the job goes on. claimed: whether it was credited.
    """

    operator: str
    payee: str
    balance: int
    opened: int
    strikes: int
    pay: int
    claimed: bool


@dataclass(slots=True)
class AuditReport:
    """findings: one sentence for each mismatch. found: before round 1 and after each, where data were at hand."""

    job_id: int
    checks: list[Check] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    proofs: int = 0
    """How many proofs were checked and hold."""
    found: list[Evaluation] = field(default_factory=list)
    credits: dict[str, int] = field(default_factory=dict)
    pot: int = 0
    """Of all settled rounds, in units of `token`."""
    token: str = ZERO_ADDRESS
    rule: str = ""
    over: bool = False
    """Whether the pot was divided: the job is over."""
    pay: dict[int, Paid] = field(default_factory=dict)
    """By seat of each member."""
    on_check: OnCheck | None = field(default=None, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        return not self.findings

    def add(self, name: str, detail: str, problems: list[str]) -> None:
        """Enters a check and what it found."""
        self.findings += [f"{name}: {problem}" for problem in problems]
        self._enter(Check(name, not problems, detail))

    def skip(self, name: str, why: str) -> None:
        self._enter(Check(name, None, why))

    def _enter(self, check: Check) -> None:
        self.checks.append(check)
        if self.on_check is not None:
            self.on_check(check)


def report_document(report: AuditReport) -> dict[str, Any]:
    """The report for programs."""
    return asdict(replace(report, on_check=None)) | {"ok": report.ok}


def audit_job(
    node: Node,
    job_id: int,
    *,
    job_key: bytes | None = None,
    validation: str | None = None,
    on_check: OnCheck | None = None,
) -> AuditReport:
    """Audits a job as it stands at the chain's latest block. Raises NotFound where there is no such job.

    on_check: told of each check as it is done.
    """
    node.market.job(job_id)
    block = node.market.connection.head()
    everything, _ = node.events.read(to_block=block)
    own = [event for event in everything if event.job_id == job_id]
    history = replay(own)
    report = AuditReport(
        job_id,
        credits=dict(history.credits),
        pot=history.pot_so_far,
        token=history.terms.token,
        rule=history.terms.rule.label,
        over=history.state.over,
        pay=pay_by_seat(history),
        on_check=on_check,
    )
    report.add(
        "events",
        f"{len(own)} {'event obeys' if len(own) == 1 else 'events obey'} the rules of the market",
        [str(f) for f in history.findings],
    )
    report.add("state", "the contract's state is what the events make it", list(_state_problems(node, history)))
    report.add(
        "credits",
        "what the contract owes each payee is what the events credited",
        _credit_problems(node, everything, block),
    )
    balances = {token: node.market.balance(token, block=block) for token in tokens(everything)}
    report.add(
        "conservation",
        "the contract's balances are what was paid in less what was paid out",
        [str(finding) for finding in conservation(everything, balances)],
    )
    try:
        spec = fetch_spec(node.storage, history.created)
        d = spec.parameters
    except (StorageError, MeritError, ValueError) as error:
        report.add("description", f"the job's description is {history.created.spec_cid}", [str(error)])
        return report
    report.add("description", f"{spec.name}: {spec.model.architecture} of {d:,} parameters", [])
    _check_content(report, node, history, spec, d)
    _tell_voids(report, history)
    _check_proofs(report, node, history, spec)
    srs = _set_up(report, node, history, spec, d)
    _check_openings(report, node, history, spec, srs)
    opened = _check_revealed(report, node, history, spec)
    data = opened.validation if opened else None
    if data is None and validation is not None:
        files = fetch_files(node, spec)
        read = normalise(read_data(validation, spec.data, files), spec.data)
        data = Validation(read, program_of(node, spec, files), spec.task.metric)
    _check_models(report, node, history, spec, srs, job_key, data)
    _check_rows(report, node, history, spec, srs, job_key, opened)
    return report


def pay_by_seat(history: JobHistory) -> dict[int, Paid]:
    """What each member is paid; what it would be now, while the job goes on."""
    settled, people = history.settled_rounds, history.participants
    return {
        slot: Paid(
            who.operator, who.payee, who.balance, who.opened(settled), who.strikes, part, slot in history.claimed
        )
        for slot, part in history.divided(history.pot_so_far).items()
        for who in (people[slot],)
    }


# ---------------------------------------------------------------- chain


def _state_problems(node: Node, history: JobHistory) -> Iterator[str]:
    job_id = history.created.job_id
    expected, found = history.job(), node.market.job(job_id)
    for name in expected.__dataclass_fields__:
        if getattr(expected, name) != getattr(found, name):
            yield f"job.{name} is {getattr(found, name)}, the events make it {getattr(expected, name)}"
    if node.market.terms(job_id) != history.terms:
        yield "the contract's terms are not those of the job's creation"
    for slot in range(history.terms.max_trainers):
        if node.market.trainer(job_id, slot) != history.trainer(slot):
            yield f"the trainer in seat {slot} is not the one that the events make"


def _credit_problems(node: Node, events: list[Event], block: int) -> list[str]:
    owed: Counter[tuple[str, str]] = Counter()
    for event in events:
        if isinstance(event, Credited):
            owed[event.payee, event.token] += event.amount
        elif isinstance(event, Withdrawn):
            owed[event.payee, event.token] -= event.amount
    problems = []
    for (payee, token), amount in owed.items():
        found = node.market.credit(payee, token, block=block)
        if found != amount:
            problems.append(f"{payee} is owed {found} of {token}, the events make it {amount}")
    return problems


# ---------------------------------------------------------------- content


def _check_content(report: AuditReport, node: Node, history: JobHistory, spec: Spec, d: int) -> None:
    """Fetches every file that the events name and holds it against its CID. What opened for nobody may be missing."""
    problems, files = [], 0
    for what, cid, bound, excused in _named_files(history, spec, d):
        files += 1
        try:
            node.storage.get(cid, _Nowhere(), max_bytes=bound)
        except MeritError as error:
            if not excused:
                problems.append(f"{what} ({cid}): {error}")
    report.add("content", f"{files} files are in storage, each with the bytes of its content id", problems)


def _named_files(history: JobHistory, spec: Spec, d: int) -> Iterator[tuple[str, str, int, bool]]:
    """(what, cid, largest size in bytes, whether it may be missing)."""
    c = chunks(d, spec.proofs.chunk)
    yield "the base model", spec.base_cid, max_model_file_bytes(d), False
    for name, pinned in spec.files.items():
        yield f"the file {name}", pinned.cid, MAX_JOB_FILE_BYTES, False
    if spec.frozen is not None:
        yield "what of the model is frozen", spec.frozen.cid, MAX_JOB_FILE_BYTES, False
    yield "the set-up", spec.proofs.srs.cid, MAX_SETUP_BYTES, False
    yield "the key of the pay rule", spec.proofs.key.cid, MAX_SETUP_BYTES, False
    if history.key_published is not None:
        yield "the sealed job key", history.key_published.cid, MAX_JOB_KEY_BYTES, False
    for entry in history.rounds:
        number = entry.number
        settlement: Settlement | None = entry.settled.settlement if entry.settled else None
        opened = entry.settled.submitted & ~settlement.unopened if entry.settled and settlement else 0
        for slot, submission in sorted(entry.submissions.items()):
            # What did not open, and what nobody has judged, may never have been delivered.
            what = f"what opens the update of seat {slot} in round {number}"
            yield what, submission.cid, sealed_size(DELIVERY), not opened >> slot & 1
        if settlement is not None and settlement.sum_cid:
            yield f"the sum of round {number}", settlement.sum_cid, sealed_size(max_sum_file_bytes(d, c)), False
        if settlement is not None and settlement.reference_cid:
            what = f"the reference rows of round {number}"
            yield what, settlement.reference_cid, sealed_size(max_rows_file_bytes(d, c)), False


class _Nowhere(BytesIO):
    """Takes bytes and keeps none."""

    def write(self, data: Any) -> int:
        return len(data)


def _tell_voids(report: AuditReport, history: JobHistory) -> None:
    """Says what aggregators asked for again. That it did not open is their word: a trainer can show the contrary."""
    said = []
    for entry in history.rounds:
        for event, _ in entry.voids:
            then = "" if event.deliver_by else ", and the job ended"
            said.append(
                f"round {event.round}: the updates of seats {_seats(event.unopened)} were said not to open{then}"
            )
        if entry.undelivered:
            said.append(f"round {entry.number}: seats {_seats(mask_of(entry.undelivered))} did not deliver again")
    if said:
        report.add("voids", "; ".join(said), [])


def _seats(mask: int) -> str:
    return ", ".join(map(str, slots(mask)))


# ---------------------------------------------------------------- proofs


def _check_proofs(report: AuditReport, node: Node, history: JobHistory, spec: Spec) -> None:
    """Both proofs of every settled round, with the verifiers that its terms name."""
    connection, terms, job_id = node.market.connection, history.terms, history.created.job_id
    try:
        verifiers = read_verifiers(connection, terms)
    except MeritError as error:
        report.add("proofs", "the contracts that check the job's proofs", [str(error)])
        return
    problems = []
    if verifiers.setup.chunk != spec.proofs.chunk:
        problems.append(f"the contract's chunks have {verifiers.setup.chunk} entries, the spec's {spec.proofs.chunk}")
    terms_hash = node.market.job(job_id).terms_hash
    for _, event in sorted(history.settled.items()):
        context = proof_context(
            chain_id=connection.chain_id,
            market=node.market.address,
            job_id=job_id,
            round=event.round,
            terms_hash=terms_hash,
        )
        try:
            problem = proof_problem(
                event,
                node.market.round_proof(event),
                terms=terms,
                submissions=history.rounds[event.round - 1].submissions,
                operators={slot: who.operator for slot, who in history.participants.items()},
                verifiers=verifiers,
                context=context,
            )
        except MeritError as error:
            problem = str(error)
        if problem:
            problems.append(f"round {event.round}: {problem}")
        else:
            report.proofs += PROOFS_A_ROUND
    report.add("proofs", f"{report.proofs} proofs of {len(history.settled)} rounds hold", problems)


def _set_up(report: AuditReport, node: Node, history: JobHistory, spec: Spec, d: int) -> "Srs | None":
    """The job's set-up, to open sums with; None, and said so, where it or the compiled core is missing."""
    development = " (for development only: whoever made it could forge proofs)" if spec.proofs.development else ""
    try:
        from marketplace.services.proofs import open_setup  # noqa: PLC0415 (needs the compiled core)

        node = replace(node, allow_development=True)  # an audit says what it finds
        srs = open_setup(node, history.created, spec).srs
    except ImportError:
        report.skip(
            "set-up", "the compiled core is not installed: sums are not held to their commitments" + development
        )
        return None
    except MeritError as error:
        report.add("set-up", "the set-up that the job pins", [str(error)])
        return None
    report.add("set-up", f"0x{srs.hash.hex()}, the one that the contract verifies with{development}", [])
    return srs


# ---------------------------------------------------------------- openings


def _check_openings(report: AuditReport, node: Node, history: JobHistory, spec: Spec, srs: "Srs | None") -> None:
    """Names whose submissions open that were called unopened.

    It is no finding against the payouts, which followed the rules: bytes that are there now may have been missing then.
    Nor is a showing that does not hold, by which anybody could spoil an audit.
    """
    if not history.shown:
        return
    if srs is None:
        report.skip("openings", "whether what trainers showed opens their submissions needs the compiled core")
        return
    said, looked = [], 0
    for (round, slot), showings in history.showings.items():
        judge, trainer = history.rounds[round - 1].aggregator, history.participants[slot].operator
        what, why = f"the submission of {trainer} in round {round}", ""
        for shown in showings:
            looked += 1
            try:
                check_opening(node, history, spec, srs, shown)
            except MeritError as error:
                why = why or str(error)
            else:
                said.append(f"{what} opens, which {judge} called unopened")
                break
        else:
            said.append(f"what was shown of {what} does not hold: {why}")
    if looked < len(history.shown):
        said.append(f"{len(history.shown) - looked} showings say nothing more")
    report.add("openings", "; ".join(said), [])


# ---------------------------------------------------------------- models


def _check_models(
    report: AuditReport,
    node: Node,
    history: JobHistory,
    spec: Spec,
    srs: "Srs | None",
    key: bytes | None,
    data: Validation | None,
) -> None:
    if key is None:
        report.skip("models", "the job key was not given: the sums stay sealed")
        return
    problems = []
    try:
        models = Models(node, history.created, spec, srs)
        for number in range(max(history.settled, default=0) + 1):
            model = models.after(number, history, key)
            if data is not None:
                report.found.append(data.evaluate(model))
    except (CorruptContent, StorageError, ValueError) as error:
        problems.append(str(error))
    opening = "opens its commitment" if srs else "is there"
    detail = f"the sum of each of {len(history.settled)} rounds {opening}, and the model after it was rebuilt"
    if report.found:
        shown = ", ".join(format_metric(entry.value, share=entry.share) for entry in report.found)
        detail += f"; {report.found[0].name} {shown}"
    report.add("models", detail, problems)


def _check_revealed(report: AuditReport, node: Node, history: JobHistory, spec: Spec) -> Revealed | None:
    """The validation data that the owner has revealed, if it has, and if they are those that it committed to."""
    if spec.validation is None:
        return None
    if not history.revealed:
        report.skip("validation", "the owner has not revealed the validation data")
        return None
    try:
        found = revealed(node, history, spec)
    except MeritError as error:
        report.add("validation", "the revealed validation data", [str(error)])
        return None
    count = len(found.validation.data)
    report.add("validation", f"the {count} revealed samples are those that were committed to", [])
    return found


def _check_rows(
    report: AuditReport,
    node: Node,
    history: JobHistory,
    spec: Spec,
    srs: "Srs | None",
    key: bytes | None,
    opened: Revealed | None,
) -> None:
    if history.terms.rule is not Rule.REFERENCE:
        return
    if key is not None and srs is not None and opened is None and history.reveals:
        return _check_shown_rows(report, node, history, spec, srs, key)
    if key is None or opened is None or srs is None:
        why = "they can be repeated with the job key, the set-up and the revealed validation data only"
        report.skip("reference rows", why)
        return
    from marketplace.services.rows import rows_problem, unpack_committed_rows  # noqa: PLC0415 (likewise)

    problems = []
    models = Models(node, history.created, spec, srs)
    rows = opened.rows
    judged = {number: event for number, event in sorted(history.settled.items()) if event.settlement.reference_cid}
    bound = max_rows_file_bytes(models.parameters, models.chunks)
    for number, event in judged.items():
        try:
            if number not in rows:
                raise CorruptContent("the owner has not revealed them")
            content = get_bytes(node.storage, rows[number], max_bytes=bound)
            first, second, _ = unpack_committed_rows(content, models.parameters, event, srs)
            base, end = models.start(number, history, key), models.after(number, history, key)
            problem = rows_problem(opened.validation, base, end, first, second, event.settlement.row_exponent)
        except (MeritError, ValueError) as error:
            problem = str(error)
        if problem:
            problems.append(f"round {number}: {problem}")
    report.add("reference rows", f"the rows of {len(judged)} rounds follow from the validation data", problems)


def _check_shown_rows(report: AuditReport, node: Node, history: JobHistory, spec: Spec, srs: "Srs", key: bytes) -> None:
    """The rows that were shown to the members while the job confirmed."""
    from marketplace.services.rows import Recomputing  # noqa: PLC0415 (likewise)

    recomputing = Recomputing(node, history.created, spec, srs)
    try:
        while not (look := recomputing.look(history, key)).finished:
            pass
        found = {**look.missing, **look.wrong}
        problems = [f"round {round}: {problem}" if round else problem for round, problem in sorted(found.items())]
    except MeritError as error:
        problems = [str(error)]
    report.add("reference rows", "the rows that members were shown follow from the validation data", problems)
