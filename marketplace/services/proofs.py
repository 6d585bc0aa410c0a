"""What a job's proofs need on this machine: its set-up and, to prove, its key; and the proof of a round."""

from collections.abc import Sequence
from dataclasses import dataclass

from aggregator.gram import gram
from aggregator.rules import Decision
from marketplace.chain.deploy import AddressBook
from marketplace.chain.verifiers import (
    Verifiers,
    deploy_decision,
    deploy_gram,
    gram_key_hash,
    is_decision,
    is_gram,
    read_verifiers,
)
from marketplace.domain import JobCreated, RoundProof, Rule
from marketplace.errors import CorruptContent, InputError
from marketplace.services.node import Node
from marketplace.services.rounds import words
from marketplace.services.setups import Setups, refuse_development
from marketplace.spec import PinnedFile, ProofsConfig, ProofsSpec, Spec, VerifierTerms
from zk import decision, kzg
from zk import gram as gram_proof
from zk.decision import DecisionKey
from zk.encoding import Int16s, chunks
from zk.setup import DEVELOPMENT, Srs
from zk.statements import DecisionStatement
from zk.verifier import REFERENCE_BITS, GramStatement, check_setup, key_hash


@dataclass(frozen=True, slots=True)
class JobSetup:
    """A job's set-up, held to what its contracts verify with. chunks: c, of its model's updates."""

    srs: Srs
    verifiers: Verifiers
    chunks: int


def open_setup(node: Node, created: JobCreated, spec: Spec) -> JobSetup:
    """The set-up that a job pins, from this machine or from storage, checked against its contracts.

    Raises InputError for a development set-up on a public chain, CorruptContent where spec, set-up and contracts do not
    fit each other, StorageError where the set-up cannot be fetched, ChainError where the verifiers are not Merit's.
    """
    verifiers = read_verifiers(node.market.connection, created.terms)
    pinned = spec.proofs
    if pinned.development:
        refuse_development("development", node.market.connection.chain_id, forced=node.allow_development)
    srs = Setups(node.home / "setups").fetch_srs(
        node.storage, hash=bytes.fromhex(pinned.srs.hash[2:]), cid=pinned.srs.cid, chunk=pinned.chunk
    )
    refuse_development(srs.kind, node.market.connection.chain_id, forced=node.allow_development)
    try:
        # Whatever put that code on the chain may have left out what a constructor checks.
        check_setup(verifiers.setup, verifiers.verifying_key)
    except ValueError as error:
        raise CorruptContent(f"The contracts of job {created.job_id} verify with an unsafe set-up: {error}.") from error
    if (srs.size, srs.tau_g2) != (verifiers.setup.chunk, verifiers.setup.tau):
        raise CorruptContent(
            f"The set-up that job {created.job_id} pins is not the one that its contract verifies with."
        )
    return JobSetup(srs, verifiers, chunks(spec.parameters, srs.size))


def open_key(node: Node, created: JobCreated, spec: Spec, verifiers: Verifiers) -> DecisionKey:
    """The proving key that a job pins, from this machine or from storage. Raises as `open_setup` does."""
    pinned = spec.proofs.key
    key = Setups(node.home / "setups").fetch_key(
        node.storage, hash=bytes.fromhex(pinned.hash[2:]), cid=pinned.cid, circuit=verifiers.circuit
    )
    refuse_development(key.kind, node.market.connection.chain_id, forced=node.allow_development)
    if key.verifying_key != verifiers.verifying_key:
        raise CorruptContent(f"The key that job {created.job_id} pins is not the one that its contract verifies with.")
    return key


@dataclass(frozen=True, slots=True)
class JobSetups:
    """What an owner has chosen for a new job's proofs."""

    srs: Srs
    key: DecisionKey

    @staticmethod
    def choose(node: Node, config: ProofsConfig, circuit: int, d: int) -> "JobSetups":
        """The set-ups that a job file names; for development, made here, where it names none.

        Raises InputError where one does not fit the job or the chain, NotFound where one is not on this machine.
        """
        setups, chunk = Setups(node.home / "setups"), config.chunk_for(d)
        srs = setups.development_srs(chunk) if config.srs is None else setups.srs(bytes.fromhex(config.srs[2:]))
        if srs.size != chunk:
            raise InputError(f"The set-up {config.srs} has chunks of {srs.size}, the job of {chunk}: set proofs.chunk.")
        if config.key is None:
            key = setups.development_key(circuit)
        else:
            key = setups.key(bytes.fromhex(config.key[2:]), circuit)
        for kind in (srs.kind, key.kind):
            refuse_development(kind, node.market.connection.chain_id, forced=node.allow_development)
        return JobSetups(srs, key)

    def publish(self, node: Node) -> ProofsSpec:
        """Stores both files; what the job's spec says of them."""
        setups = Setups(node.home / "setups")
        srs = PinnedFile(hash="0x" + self.srs.hash.hex(), cid=setups.publish_srs(node.storage, self.srs))
        key = PinnedFile(hash="0x" + self.key.hash.hex(), cid=setups.publish_key(node.storage, self.key))
        development = DEVELOPMENT in (self.srs.kind, self.key.kind)
        return ProofsSpec(chunk=self.srs.size, srs=srs, key=key, development=development)

    def contracts(self, node: Node) -> VerifierTerms:
        """The contracts that verify with them: those that the address book knows, else deployed here."""
        connection, signer = node.market.connection, node.me.account
        book, chain = AddressBook(node.home / "markets.json"), connection.chain_id
        gram_key, decision_key = gram_key_hash(self.srs.size, self.srs.tau_g2), key_hash(self.key.verifying_key)
        gram, decision = book.verifier(chain, gram_key), book.verifier(chain, decision_key)
        if gram is None or not is_gram(connection, gram, self.srs.size, self.srs.tau_g2):
            gram = deploy_gram(connection, signer, self.srs.size, self.srs.tau_g2)
            book.put_verifier(chain, gram_key, gram)
        if decision is None or not is_decision(connection, decision, self.key.circuit, self.key.verifying_key):
            decision = deploy_decision(connection, signer, self.key.circuit, self.key.verifying_key)
            book.put_verifier(chain, decision_key, decision)
        return VerifierTerms(gram, gram_key, decision, decision_key)


# ---------------------------------------------------------------- a round


@dataclass(frozen=True, slots=True)
class CommittedRow:
    """A row int16[d] with the blinders (64·c bytes) and the points (64·c bytes) of its commitment."""

    row: Int16s
    blinders: bytes
    commitment: bytes


def committed(srs: Srs, row: Int16s) -> CommittedRow:
    """Commits to a row with fresh blinders."""
    blinders = kzg.random_blinders(len(row), srs.size)
    return CommittedRow(row, blinders, kzg.commit(srs, row, blinders))


@dataclass(frozen=True, slots=True)
class SumOpening:
    """sums: the points that commit to a round's sum; blinders: what opens them."""

    sums: bytes
    blinders: bytes


def open_sum(rows: Sequence[CommittedRow | None], coefficients: Sequence[int]) -> SumOpening:
    """Of the weighted sum of rows; by slot, at least one of them not None."""
    chosen = [(row, x) for row, x in zip(rows, coefficients, strict=True) if row is not None]
    members, weights = [row for row, _ in chosen], [x for _, x in chosen]
    sums = kzg.combine([row.commitment for row in members], weights)
    return SumOpening(sums, kzg.combine_blinders([row.blinders for row in members], weights))


def prove_round(
    srs: Srs,
    key: DecisionKey,
    context: bytes,
    *,
    rule: Rule,
    max_faulty: int,
    rows: Sequence[CommittedRow | None],
    references: Sequence[CommittedRow],
    judged: Decision,
    sums: bytes,
) -> RoundProof:
    """Proves what was judged. rows: by slot, None where none was opened, at least one that is not; references: v0 and
    u under rule `reference`, else none. context: 160 bytes (zk.transcript.Context). sums: as `open_sum` gives them.

    Keep the proof, and never prove the same commitments twice (zk.gram.prove).
    Raises ValueError where the decision does not follow from the rows, or they do not open their commitments.
    """
    opened = [slot for slot, row in enumerate(rows) if row is not None]
    members = [row for row in rows if row is not None]
    coefficients = [judged.coefficients[slot] for slot in opened]
    mask, salt = gram_proof.draw_mask(srs), decision.draw_salt()
    matrix = gram([*(None if row is None else row.row for row in rows), *(row.row for row in references)])
    secret = decision.Secret(matrix, mask.mu, salt)
    gram_hash = decision.gram_hash(key.circuit, secret)
    every = [*members, *references]
    positions = sum(1 << slot for slot in opened) | (REFERENCE_BITS if references else 0)
    statement = GramStatement(context, positions, gram_hash, [row.commitment for row in every], sums, coefficients)
    shown = gram_proof.prove(srs, statement, [row.row for row in every], [row.blinders for row in every], mask)
    decided = DecisionStatement(
        gram_hash=gram_hash,
        r=shown.r,
        s=shown.s,
        y=shown.y,
        opened=[row is not None for row in rows],
        selected=judged.selected,
        struck=judged.struck,
        max_faulty=max_faulty,
        coefficients=judged.coefficients if rule is Rule.REFERENCE else [int(chosen) for chosen in judged.selected],
        scores=judged.scores,
    )
    return RoundProof(
        commitments=words(b"".join(row.commitment for row in every)),
        sums=words(sums),
        gram_hash=gram_hash,
        gram=words(shown.proof),
        decision=words(decision.prove(key, decided, secret)),
    )
