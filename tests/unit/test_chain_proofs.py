"""A round's proof, read back from the transaction that settled it; call data, read as strictly as they are written."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.abi import function_signature_to_4byte_selector

from marketplace.chain import abi
from marketplace.chain.connection import Connection
from marketplace.chain.market import Market
from marketplace.domain import RoundProof, RoundSettled, Rule, Settlement
from marketplace.errors import ChainError, InputError, Reverted
from marketplace.replay import replay
from tests.chain_fixtures import (
    AGGREGATOR,
    KEY,
    NO_PROOF,
    OWNER,
    PEOPLE,
    TRAINERS,
    Chain,
    Proxy,
    commitment,
    new_contract,
    running_job,
    send,
    settlement,
    terms,
)

pytest_plugins = ["tests.chain_fixtures"]

JUDGED, PROOF = settlement(0b011, (3, 1), struck=0b100, submitted=0b111)
CALL = abi.encode_call("settleRound", (1, 1, *settlement(0b011, (3, 1), 0b100, submitted=0b111)))


def submitted(chain: Chain, job_id: int, round_: int = 1) -> None:
    for slot, trainer in enumerate(TRAINERS):
        chain.market.submit_update(trainer, job_id, round_, commitment(round_, slot), "bafy")


@pytest.fixture
def settled(chain: Chain) -> RoundSettled:
    """A round settled by the aggregator's account."""
    job_id = running_job(chain)
    submitted(chain, job_id)
    return event_of(chain.market.settle_round(AGGREGATOR, job_id, 1, JUDGED, PROOF).events)


def event_of(events: tuple[Any, ...] | list[Any]) -> RoundSettled:
    (event,) = (e for e in events if isinstance(e, RoundSettled))
    return event


@pytest.fixture
def settled_by_contract(chain: Chain) -> RoundSettled:
    return by_contract(chain)


def by_contract(chain: Chain) -> RoundSettled:
    """A round settled by an aggregator that is a contract."""
    market, actor = chain.market, new_contract(chain.connection, "Actor")
    job_id, _ = market.create_job(OWNER, terms(chain, bond=0), KEY, "bafyspec")

    def act(function: str, *arguments: object) -> None:
        send(chain.connection, actor, "execute(address,bytes)", market.address, abi.encode_call(function, arguments))

    act("acceptAggregation", job_id, AGGREGATOR.address, KEY)
    for trainer in TRAINERS:
        market.join(trainer, job_id, trainer.address, KEY)
    market.start(OWNER, job_id)
    act("publishKey", job_id, "bafykey")
    submitted(chain, job_id)
    act("settleRound", job_id, 1, JUDGED, PROOF)
    return event_of(chain.events(job_id))


# ---------------------------------------------------------------- the settling transaction


def test_a_proof_is_read_back_from_the_transaction(any_chain: Chain) -> None:
    job_id = running_job(any_chain, rule=Rule.REFERENCE)
    for round_ in (1, 2):
        submitted(any_chain, job_id, round_)
        judged, proof = settlement(
            0b101, (3, 0), submitted=0b111, round_=round_, rule=Rule.REFERENCE, coefficients=(4096, 17)
        )
        any_chain.market.settle_round(AGGREGATOR, job_id, round_, judged, proof)
        event = event_of([e for e in any_chain.events(job_id) if getattr(e, "round", 0) == round_])
        assert event.settlement == judged
        assert any_chain.market.round_proof(event) == proof


def test_a_round_in_which_nothing_opens_is_void_and_never_settled(chain: Chain) -> None:
    job_id = running_job(chain)
    chain.market.submit_update(TRAINERS[0], job_id, 1, commitment(1, 0), "bafy")
    chain.forward(601)
    judged, proof = settlement(0, (), 1, submitted=1)
    with pytest.raises(Reverted, match="1 submissions unopened, and 0 may be"):
        chain.market.settle_round(AGGREGATOR, job_id, 1, judged, proof)
    chain.market.void_round(AGGREGATOR, job_id, 1, 1)
    assert chain.market.job(job_id).delivering


def test_a_proof_that_went_through_another_contract_is_found_in_the_trace(
    chain: Chain, settled_by_contract: RoundSettled
) -> None:
    assert chain.market.round_proof(settled_by_contract) == PROOF


def test_a_node_that_refuses_to_trace_is_one_sentence(
    chain: Chain, settled_by_contract: RoundSettled, proxy: Proxy
) -> None:
    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        error = {"code": -32601, "message": "the method debug_traceTransaction does not exist"}
        refusal = {"jsonrpc": "2.0", "id": request["id"], "error": error}
        return refusal if request["method"].startswith("debug_") else forward()

    proxy.hook = hook
    with pytest.raises(ChainError, match="through another contract, and this node shows no such calls"):
        Market(Connection(proxy.url), chain.market.address).round_proof(settled_by_contract)


def answering(method: str, change: Callable[[Any], Any]) -> Proxy.Hook:
    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        answer = forward()
        return answer | {"result": change(answer["result"])} if request["method"] == method else answer

    return hook


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def other_call(job_id: int = 1, round_: int = 1, **changes: Any) -> str:
    return hexed(abi.encode_call("settleRound", (job_id, round_, replace(JUDGED, **changes), PROOF)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tx: None, "has no transaction"),
        (lambda tx: [], "has no transaction"),
        (lambda tx: "0x", "has no transaction"),
        (lambda tx: {}, "has no transaction"),
        (lambda tx: tx | {"to": None}, "has no transaction"),
        (lambda tx: tx | {"to": 7}, "has no transaction"),
        (lambda tx: tx | {"to": "0x12"}, "has no transaction"),
        (lambda tx: tx | {"input": None}, "has no transaction"),
        (lambda tx: tx | {"input": "0xzz"}, "has no transaction"),
        (lambda tx: tx | {"input": tx["input"] + "00"}, "another form than Merit's"),
        (lambda tx: tx | {"input": tx["input"][:-64]}, "cannot be decoded"),
        (lambda tx: tx | {"input": tx["input"][:10]}, "cannot be decoded"),
        (lambda tx: tx | {"input": tx["input"][:10] + "ff" * 4096}, "cannot be decoded"),
        (lambda tx: tx | {"input": other_call(job_id=2)}, "does not settle round 1 of job 1"),
        (lambda tx: tx | {"input": other_call(round_=2)}, "does not settle round 1 of job 1"),
        (lambda tx: tx | {"input": other_call(scores=(1, 3))}, "does not settle round 1 of job 1"),
        (lambda tx: tx | {"input": other_call(struck=0)}, "does not settle round 1 of job 1"),
        (lambda tx: tx | {"input": other_call(unopened=0b1000)}, "does not settle round 1 of job 1"),
        (lambda tx: tx | {"input": other_call(row_exponent=-1)}, "does not settle round 1 of job 1"),
        (lambda tx: tx | {"input": other_call(sum_cid="bafyother")}, "does not settle round 1 of job 1"),
    ],
)
def test_another_transaction_than_the_event_s_is_refused(
    chain: Chain, settled: RoundSettled, proxy: Proxy, change: Callable[[Any], Any], message: str
) -> None:
    assert settled.job_id == 1
    proxy.hook = answering("eth_getTransactionByHash", change)
    with pytest.raises(ChainError, match=message):
        Market(Connection(proxy.url), chain.market.address).round_proof(settled)


def test_an_event_that_the_transaction_does_not_bear_out_is_refused(chain: Chain, settled: RoundSettled) -> None:
    lies: list[dict[str, Any]] = [
        {"job_id": 2},
        {"round": 2},
        {"settlement": replace(settled.settlement, selected=0b110)},
        {"settlement": replace(settled.settlement, sum_commitment=b"\x01" * 32)},
    ]
    for lie in lies:
        with pytest.raises(ChainError, match="as the event of its settlement says"):
            chain.market.round_proof(replace(settled, **lie))
    submission = chain.events(settled.job_id)[-6].transaction
    with pytest.raises(ChainError, match="as the event of its settlement says"):
        chain.market.round_proof(replace(settled, transaction=submission))
    with pytest.raises(ChainError, match="has no transaction"):
        chain.market.round_proof(replace(settled, transaction="0x" + "00" * 32))


def inner(trace: Any) -> Any:
    return trace["calls"][0]


def within(trace: Any, *calls: Any) -> Any:
    return trace | {"calls": list(calls)}


def deep(depth: int) -> Any:
    frame: dict[str, Any] = {"type": "CALL"}
    for _ in range(depth):
        frame = {"type": "CALL", "calls": [frame]}
    return frame


@pytest.mark.parametrize(
    "change",
    [
        lambda trace: None,
        lambda trace: [],
        lambda trace: {},
        lambda trace: "0x",
        lambda trace: trace | {"calls": None},
        lambda trace: trace | {"calls": 7},
        lambda trace: within(trace, 1, None, [], "x", {"calls": [[]]}),
        lambda trace: within(trace, inner(trace) | {"error": "execution reverted"}),
        lambda trace: within(trace, inner(trace) | {"type": "DELEGATECALL"}),
        lambda trace: within(trace, inner(trace) | {"type": "STATICCALL"}),
        lambda trace: within(trace, inner(trace) | {"to": PEOPLE[9].address}),
        lambda trace: within(trace, inner(trace) | {"input": "0x"}),
        lambda trace: within(trace, inner(trace) | {"input": other_call(scores=(1, 3))}),
        lambda trace: within(trace, inner(trace) | {"input": inner(trace)["input"] + "00"}),
        lambda trace: trace | {"error": "out of gas"},
        lambda trace: deep(90),
        lambda trace: deep(5000),
    ],
)
def test_a_trace_without_the_call_is_refused(
    chain: Chain, settled_by_contract: RoundSettled, proxy: Proxy, change: Callable[[Any], Any]
) -> None:
    proxy.hook = answering("debug_traceTransaction", change)
    with pytest.raises(ChainError):
        Market(Connection(proxy.url), chain.market.address).round_proof(settled_by_contract)


def test_calls_that_failed_or_settled_something_else_are_passed_over(
    chain: Chain, settled_by_contract: RoundSettled, proxy: Proxy
) -> None:
    """A contract may try one proof, catch the revert, and try another, and others' calls may share the transaction."""
    arguments = (settled_by_contract.job_id, 1, JUDGED, replace(PROOF, gram_hash=6))
    refused = {"input": hexed(abi.encode_call("settleRound", arguments)), "error": "execution reverted"}

    def change(trace: Any) -> Any:
        true = inner(trace)
        failed, odd = true | refused, true | {"input": true["input"] + "00"}
        nested = {"type": "CALL", "error": "reverted", "calls": [true | refused | {"error": None}]}
        other = true | {"input": other_call(job_id=99)}
        return within(trace, failed, nested, odd, other, {"type": "CALL", "calls": [true]}, odd)

    proxy.hook = answering("debug_traceTransaction", change)
    assert Market(Connection(proxy.url), chain.market.address).round_proof(settled_by_contract) == PROOF


def test_the_verifiers_refusals_reach_a_person(chain: Chain) -> None:
    job_id = running_job(chain)
    submitted(chain, job_id)
    for verifier, message in ((chain.decisions[108], "The decision proof"), (chain.gram, "The Gram proof")):
        send(chain.connection, verifier, "setValid(bool)", False)
        with pytest.raises(Reverted, match=f"{message} of round 1 of job {job_id} does not hold"):
            chain.market.settle_round(AGGREGATOR, job_id, 1, JUDGED, PROOF)
        send(chain.connection, verifier, "setValid(bool)", True)
    swapped = replace(PROOF, commitments=PROOF.commitments[2:] + PROOF.commitments[:2])
    with pytest.raises(Reverted, match=r"for seat 0 hash to 0x.*, which it did not submit in this round"):
        chain.market.settle_round(AGGREGATOR, job_id, 1, JUDGED, swapped)
    with pytest.raises(Reverted, match="points given for the sumCommitment of job"):
        chain.market.settle_round(AGGREGATOR, job_id, 1, JUDGED, replace(PROOF, sums=(1, 1)))


# ---------------------------------------------------------------- call data


def test_call_data_are_read_back_as_the_values_they_were_written_from() -> None:
    scores = (2**95 - 1, -(2**95))
    judged = Settlement(
        1, 0b110, 0b1000, scores, -(2**15), (4096, 0), "bafysum", b"\x01" * 32, "bafyrows", b"\x02" * 32
    )
    top = 2**256 - 1
    proof = RoundProof((1, top), (0, 0), top, tuple(range(20)), (top, *range(7)))
    for arguments in ((1, 1, judged, proof), (top, 2**16 - 1, JUDGED, NO_PROOF)):
        found = abi.decode_call("settleRound", abi.encode_call("settleRound", arguments))
        assert found == arguments
        values = [getattr(item, field.name) for item in found[2:] for field in fields(item)]
        assert {type(value) for value in values} == {int, tuple, str, bytes}
    others = (7, 3, b"\x05" * 32, "bafy")
    assert abi.decode_call("submitUpdate", abi.encode_call("submitUpdate", others)) == others


def moved(word: int, by: int) -> bytes:
    """The call with another number in one word of its arguments."""
    at = 4 + 32 * word
    return CALL[:at] + (int.from_bytes(CALL[at : at + 32]) + by).to_bytes(32) + CALL[at + 32 :]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        CALL[:3],
        CALL[:4],
        CALL[4:],
        b"\0" + CALL[1:],
        function_signature_to_4byte_selector("settleRound(uint256)") + CALL[4:],
        abi.encode_call("skipRound", (1,)),
        CALL + b"\0",
        CALL + bytes(32),
        CALL[:-1],
        CALL[:-32],
        moved(1, 2**16),  # a round that is no uint16
        moved(2, 32),
        moved(3, 2**200),
        moved(3, 2**256 - 1 - int.from_bytes(CALL[100:132])),
        CALL[:132] + bytes(32) + CALL[132:],
        CALL[:4] + b"\xff" * (len(CALL) - 4),
        CALL.replace(b"bafysum", b"bafy\xffum"),
    ],
)
def test_anything_else_than_call_data_of_the_function_is_refused(data: bytes) -> None:
    assert data != CALL
    with pytest.raises(ChainError):
        abi.decode_call("settleRound", data)


def test_an_encoding_that_the_contract_would_take_but_merit_never_writes_is_refused() -> None:
    """A gap before the last array, with every offset right: the same values in another form."""
    arguments = abi.decode_call("settleRound", CALL)
    kinds = "(uint32,uint32,uint32,int96[],int16,uint16[],string,bytes32,string,bytes32)"
    judged, proof = CALL[4 + 128 : 4 + int.from_bytes(CALL[100:132])], CALL[4 + int.from_bytes(CALL[100:132]) :]
    head = encode(["uint256", "uint16", "uint256", "uint256"], [1, 1, 128 + 32, 128 + 32 + len(judged)])
    spaced = CALL[:4] + head + bytes(32) + judged + proof
    assert abi.values(
        abi.element("function", "settleRound")["inputs"],
        abi.decode(
            ["uint256", "uint16", kinds, "(uint256[],uint256[],uint256,uint256[],uint256[8])"], spaced[4:], "this"
        ),
    ) == tuple(arguments)
    with pytest.raises(ChainError, match="another form than Merit's"):
        abi.decode_call("settleRound", spaced)


@pytest.mark.parametrize(
    "proof",
    [
        replace(PROOF, decision=(0,) * 7),
        replace(PROOF, decision=(0,) * 9),
        replace(PROOF, gram_hash=2**256),
        replace(PROOF, gram=(-1,)),
        replace(PROOF, sums=(2**256, 0)),
        replace(PROOF, commitments=("1", "2")),  # type: ignore[arg-type]
    ],
)
def test_a_proof_that_does_not_fit_its_type_is_refused_before_the_chain(proof: RoundProof) -> None:
    with pytest.raises(InputError, match="settleRound cannot take these values"):
        abi.encode_call("settleRound", (1, 1, JUDGED, proof))


# ---------------------------------------------------------------- terms


def test_the_terms_hash_is_the_contract_s_and_the_replay_s(chain: Chain) -> None:
    job_id = running_job(chain, rule=Rule.REFERENCE, token="0x" + "00" * 20)
    job, history = chain.market.job(job_id), replay(chain.events(job_id))
    assert len(job.terms_hash) == 32
    assert abi.terms_hash(chain.market.terms(job_id)) == job.terms_hash == history.job().terms_hash


def test_every_term_changes_the_terms_hash(chain: Chain) -> None:
    usual = terms(chain)
    others: dict[type, Any] = {int: 77, str: OWNER.address, bytes: b"\x77" * 32, Rule: Rule.REFERENCE}
    hashes = {abi.terms_hash(usual)}
    for field in fields(usual):
        changes = {field.name: others[type(getattr(usual, field.name))]}
        hashes.add(abi.terms_hash(replace(usual, **changes)))
    assert len(hashes) == 1 + len(fields(usual))
