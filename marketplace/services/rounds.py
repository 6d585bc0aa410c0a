"""A settled round's proofs, checked again by an implementation that shares no code with the prover (zk.verifier).

Needs neither the compiled core nor torch: an auditor runs it with what the chain shows.
"""

from collections.abc import Mapping, Sequence

from eth_utils.address import to_canonical_address

from marketplace.chain.verifiers import Verifiers
from marketplace.domain import RoundProof, RoundSettled, Rule, Settlement, Terms, UpdateSubmitted, slots
from zk.encoding import POINT_BYTES, commitment_hash, submission_hash
from zk.points import Malformed, combine, g1, is_inf, neg
from zk.statements import DecisionStatement
from zk.transcript import Context
from zk.verifier import REFERENCE_BITS, GramStatement, gram_claim, verify_decision, verify_gram


def opened_slots(event: RoundSettled) -> list[int]:
    """The slots whose submissions a settled round opened, ascending."""
    return list(slots(event.submitted & ~event.settlement.unopened))


def proof_context(*, chain_id: int, market: str, job_id: int, round: int, terms_hash: bytes) -> bytes:
    """What a round's proofs are bound to, 160 bytes."""
    return Context(chain_id, to_canonical_address(market), job_id, round, terms_hash).encoded()


def proof_problem(
    event: RoundSettled,
    proof: RoundProof,
    *,
    terms: Terms,
    submissions: Mapping[int, UpdateSubmitted],
    operators: Mapping[int, str],
    verifiers: Verifiers,
    context: bytes,
) -> str:
    """What is wrong with the proofs of a settled round; "" when both hold.

    submissions: the round's, by slot. operators: the trainers' addresses, by slot. context: `proof_context` of
    the round.
    """
    settlement, opened = event.settlement, opened_slots(event)
    if (event.submitted | settlement.selected | settlement.struck) >> terms.max_trainers:
        return f"seats beyond the job's {terms.max_trainers} are judged"
    references = 2 if terms.rule is Rule.REFERENCE else 0
    sums = bytes_of(proof.sums)
    size = len(sums)
    points = bytes_of(proof.commitments)
    if not size or size % POINT_BYTES or len(points) != size * (len(opened) + references):
        return f"{len(points)} bytes of points for {len(opened) + references} rows and a sum of {size}"
    rows = [points[at : at + size] for at in range(0, len(points), size)]
    for slot, row in zip(opened, rows, strict=False):
        submission = submissions.get(slot)
        if submission is None or submission_hash(row, operators[slot]) != submission.commitment:
            return f"the points of seat {slot} are not those that it committed to"
    if commitment_hash(sums) != settlement.sum_commitment:
        return "the points of the sum are not those that the settlement names"
    if references and commitment_hash(b"".join(rows[len(opened) :])) != settlement.reference_commitment:
        return "the points of the reference rows are not those that the settlement names"
    coefficients, scores = _by_slot(settlement, terms)
    statement = GramStatement(
        context=context,
        positions=sum(1 << slot for slot in opened) | (REFERENCE_BITS if references else 0),
        gram_hash=proof.gram_hash,
        commitments=rows,
        sums=sums,
        coefficients=[coefficients[slot] for slot in opened],
    )
    try:
        if not _adds_up(rows[: len(opened)], statement.coefficients, sums):
            return "the commitment of the sum is not the sum of the commitments"
        shown = bytes_of(proof.gram)
        if not verify_gram(statement, shown, verifiers.setup):
            return "the Gram proof does not hold"
        r, s, y = gram_claim(statement, shown, verifiers.setup)
        decided = DecisionStatement(
            gram_hash=proof.gram_hash,
            r=r,
            s=s,
            y=y,
            opened=[slot in opened for slot in range(terms.max_trainers)],
            selected=[bool(settlement.selected >> slot & 1) for slot in range(terms.max_trainers)],
            struck=[bool(settlement.struck >> slot & 1) for slot in range(terms.max_trainers)],
            max_faulty=terms.max_faulty,
            coefficients=coefficients,
            scores=scores,
        )
        inputs = decided.public_inputs(verifiers.circuit)
        if not verify_decision(verifiers.verifying_key, inputs, bytes_of(proof.decision)):
            return "the decision proof does not hold"
    except Malformed as error:
        return f"the proof is malformed: {error}"
    except ValueError as error:
        return f"the settlement is not one that can be proved: {error}"
    return ""


def _by_slot(settlement: Settlement, terms: Terms) -> tuple[list[int], list[int]]:
    """(coefficients, scores) of every slot: zero where it is not selected."""
    chosen = list(slots(settlement.selected))
    stated = settlement.coefficients if terms.rule is Rule.REFERENCE else (1,) * len(chosen)
    coefficients, scores = [0] * terms.max_trainers, [0] * terms.max_trainers
    for slot, coefficient, score in zip(chosen, stated, settlement.scores, strict=False):
        coefficients[slot], scores[slot] = coefficient, score
    return coefficients, scores


def _adds_up(rows: Sequence[bytes], coefficients: Sequence[int], sums: bytes) -> bool:
    """Whether Σ c_i·C_ik = S_k for every chunk k. Raises Malformed for bytes that are no points."""
    for at in range(0, len(sums), POINT_BYTES):
        chunk = slice(at, at + POINT_BYTES)
        terms = [(g1(row[chunk], "a commitment"), c) for row, c in zip(rows, coefficients, strict=True)]
        stated = g1(sums[chunk], "a sum", infinity=True)
        if not is_inf(combine([*terms, (neg(stated), 1)])):
            return False
    return True


def words(data: bytes) -> tuple[int, ...]:
    """Words of 32 bytes, big endian, as integers."""
    return tuple(int.from_bytes(data[at : at + 32]) for at in range(0, len(data), 32))


def bytes_of(numbers: Sequence[int]) -> bytes:
    """Integers below 2^256 as words of 32 bytes, big endian."""
    return b"".join(number.to_bytes(32) for number in numbers)
