"""Which rows settleRound takes for the round's, and what it asks the two verifiers: docs/security/job-market.tree."""

import pytest
from brownie import web3
from brownie.exceptions import VirtualMachineError
from eth_abi import encode
from eth_hash.auto import keccak
from world import (
    CID,
    FAULTY,
    SETTLEMENT,
    USUAL,
    ZERO32,
    Y,
    commitment,
    committed,
    credits,
    mask,
    points,
    refuses,
    words_hash,
)

ALL = mask(0, 1, 2, 3)
TERM_TYPES = (
    ["address"] + 4 * ["uint128"] + 2 * ["address"] + ["uint40"] + 6 * ["uint32"] + ["uint8"] + 2 * ["uint16"]
    + ["uint64", "uint40", "int16"] + 7 * ["uint8"] + ["uint16"] + 2 * ["address", "bytes32"]
)  # fmt: skip
LARGEST = 2**256 - 1
FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617


def submitted(world, **terms):
    """A job in round 1 in which all four trainers have submitted, and the words of each."""
    job = world.running(**terms)
    world.submit(job, 0, 1, 2, 3)
    return job, world.rows(job)


def flat(*rows):
    return [word for row in rows for word in row]


# ------------------------------------------------------------------ rows


def test_a_row_is_what_its_own_slot_committed_to(coin_world):
    job, rows = submitted(coin_world)
    with refuses("NotItsCommitment", job, 0, words_hash(rows[1], coin_world.operator(0))):
        coin_world.settle(job, ALL, commitments=flat(rows[1], rows[0], rows[2], rows[3]))
    with refuses("NotItsCommitment", job, 3, words_hash(rows[2], coin_world.operator(3))):
        coin_world.settle(job, ALL, commitments=flat(rows[0], rows[1], rows[2], rows[2]))
    coin_world.settle(job, ALL, commitments=flat(rows[0], rows[1], rows[2], rows[3]))


def test_a_row_is_what_was_committed_to_in_this_round(coin_world):
    job, first = submitted(coin_world)
    coin_world.settle(job, ALL)
    coin_world.submit(job, 0, 1, 2, 3)
    second = coin_world.rows(job)
    for slot in range(4):
        rows = {**second, slot: first[slot]}
        with refuses("NotItsCommitment", job, slot, words_hash(first[slot], coin_world.operator(slot))):
            coin_world.settle(job, ALL, commitments=flat(*(rows[i] for i in range(4))))
    coin_world.settle(job, ALL)


def test_a_row_is_what_was_committed_to_in_this_job(coin_world):
    job, rows = submitted(coin_world)
    _, others = submitted(coin_world)
    with refuses("NotItsCommitment", job, 0, words_hash(others[0], coin_world.operator(0))):
        coin_world.settle(job, ALL, commitments=flat(others[0], rows[1], rows[2], rows[3]))


def test_a_commitment_that_was_copied_from_the_chain_can_be_shown_by_no_aggregator(coin_world):
    """The copier's aggregator knows the points, once their maker has delivered, and states them for both."""
    job = coin_world.running(rounds=1)
    coin_world.submit(job, 0, 1, 2)
    copied = str(coin_world.market.commitment(job, 1))
    coin_world.market.submitUpdate(job, 1, copied, CID, {"from": coin_world.operator(3)})
    rows = coin_world.rows(job)
    assert rows[3] == rows[1]
    with refuses("NotItsCommitment", job, 3, words_hash(rows[1], coin_world.operator(3))):
        coin_world.settle(job, ALL)
    with refuses("TooManyUnopened", job, 1, 0):
        coin_world.settle(job, mask(0, 1, 2), unopened=mask(3))
    coin_world.void(job, 3)


def test_points_that_nobody_committed_to_are_no_row(coin_world):
    job, rows = submitted(coin_world)
    for made_up in (points("made up"), [0, 0], [rows[2][0], rows[2][1] + 1]):
        with refuses("NotItsCommitment", job, 2, words_hash(made_up, coin_world.operator(2))):
            coin_world.settle(job, ALL, commitments=flat(rows[0], rows[1], made_up, rows[3]))


def test_the_row_of_an_unopened_submission_is_not_slipped_in(coin_world):
    job = coin_world.running(5, **FAULTY)
    coin_world.submit(job, 0, 1, 2, 3, 4)
    rows = coin_world.rows(job)
    unopened = {"selected": mask(0, 1, 2, 4), "unopened": mask(3)}
    with refuses("PointCount", job, 10, 8):
        coin_world.settle(job, **unopened, commitments=flat(*(rows[i] for i in range(5))))
    with refuses("NotItsCommitment", job, 2, words_hash(rows[3], coin_world.operator(2))):
        coin_world.settle(job, **unopened, commitments=flat(rows[0], rows[1], rows[3], rows[4]))
    coin_world.settle(job, **unopened)


def test_no_opened_submission_is_left_out(coin_world):
    job, rows = submitted(coin_world)
    for selected in (ALL, mask(0, 1, 2)):
        with refuses("PointCount", job, 6, 8):
            coin_world.settle(job, selected, commitments=flat(rows[0], rows[1], rows[2]))


def test_rows_and_sum_have_one_number_of_points_and_at_least_one(coin_world):
    job, rows = submitted(coin_world)
    every = flat(*(rows[i] for i in range(4)))
    for words in ([], [1], [1, 2, 3]):
        with refuses("PointCount", job, len(words), 2):
            coin_world.settle(job, ALL, sums=words)
    with refuses("PointCount", job, 8, 16):
        coin_world.settle(job, ALL, sums=points("sum") + points("more"))
    for wrong in ([], every[:-1], [*every, 0], every + points("more")):
        with refuses("PointCount", job, len(wrong), 8):
            coin_world.settle(job, ALL, commitments=wrong)
    with refuses("PointCount", job, 0, 2):
        coin_world.settle(job, ALL, commitments=[], sums=[])


def test_a_row_of_several_points_begins_where_the_last_one_ends(coin_world):
    job = coin_world.running(2, minTrainers=2)
    rows = [flat(*(points(f"{slot} {k}") for k in range(3))) for slot in range(2)]
    for slot, row in enumerate(rows):
        sender = coin_world.operator(slot)
        coin_world.market.submitUpdate(job, 1, committed(row, sender), CID, {"from": sender})
    sums = list(range(6))
    named = {"sums": sums, "sumCommitment": words_hash(sums)}
    every = flat(*rows)
    for start in (2, 4):
        moved = every[start:] + every[:start]
        with refuses("NotItsCommitment", job, 0, words_hash(moved[:6], coin_world.operator(0))):
            coin_world.settle(job, mask(0, 1), **named, commitments=moved)
    with refuses("PointCount", job, 12, 8):
        coin_world.settle(job, mask(0, 1), sums=sums[:4], sumCommitment=words_hash(sums[:4]))
    coin_world.settle(job, mask(0, 1), **named)


def test_the_sum_is_the_one_that_the_settlement_names(coin_world):
    job, _ = submitted(coin_world)
    other = points("another sum")
    with refuses("WrongPoints", job, b"sumCommitment", words_hash(other)):
        coin_world.settle(job, ALL, sums=other)
    for named in (words_hash(other), ZERO32):
        with refuses("WrongPoints", job, b"sumCommitment", commitment("sum")):
            coin_world.settle(job, ALL, sumCommitment=named)
    coin_world.settle(job, ALL, sums=other, sumCommitment=words_hash(other))


def test_the_reference_rows_are_those_that_the_settlement_names(coin_world):
    job, rows = submitted(coin_world, rule=2)
    every = [rows[i] for i in range(4)]
    swapped = points("u") + points("v0")
    with refuses("WrongPoints", job, b"referenceCommitment", words_hash(swapped)):
        coin_world.settle(job, ALL, commitments=flat(*every, swapped))
    with refuses("WrongPoints", job, b"referenceCommitment", words_hash(points("v0") + points("u"))):
        coin_world.settle(job, ALL, referenceCommitment=commitment("other rows"))
    for fewer in (every, [*every, points("v0")]):
        with refuses("PointCount", job, 2 * len(fewer), 12):
            coin_world.settle(job, ALL, commitments=flat(*fewer))


def test_where_nothing_is_selected_the_sum_is_still_named(coin_world):
    job, _ = submitted(coin_world)
    infinity = [0, 0]
    with refuses("WrongPoints", job, b"sumCommitment", words_hash(infinity)):
        coin_world.settle(job, sums=infinity, sumCommitment=ZERO32)
    coin_world.settle(job, sums=infinity, sumCommitment=words_hash(infinity))


# ------------------------------------------------------------------ what the verifiers say


def test_what_a_verifier_refuses_brings_nothing_and_can_be_settled_with_a_better_proof(coin_world):
    job, _ = submitted(coin_world)
    before = coin_world.market.job(job)
    stubs = coin_world.verifiers
    sender = {"from": coin_world.stranger}
    for stub, error in ((stubs.gram, "GramProofRefused"), (stubs.decision[108], "DecisionProofRefused")):
        stub.setValid(False, sender)
        with refuses(error, job, 1):
            coin_world.settle(job, ALL)
        stub.setValid(True, sender)
        assert coin_world.market.job(job) == before
    coin_world.settle(job, ALL)


def test_a_verifier_that_reverts_is_not_taken_for_one_that_agrees(coin_world):
    job, _ = submitted(coin_world)
    stubs = coin_world.verifiers
    sender = {"from": coin_world.stranger}
    for stub in (stubs.gram, stubs.decision[108]):
        stub.expect(commitment("no such call"), sender)
        with pytest.raises(VirtualMachineError):
            coin_world.settle(job, ALL)
        stub.expect(ZERO32, sender)
    coin_world.settle(job, ALL)


def test_a_gram_proof_without_y_is_refused_even_if_the_verifier_takes_it(coin_world):
    job, _ = submitted(coin_world)
    for words in ([], list(range(Y))):
        with pytest.raises(VirtualMachineError, match="Index out of range"):
            coin_world.settle(job, ALL, gram=words)
    coin_world.settle(job, ALL, gram=list(range(Y + 1)))


# ------------------------------------------------------------------ what the verifiers are asked


def terms_hash(world, job):
    terms = [bytes.fromhex(x[2:]) if t == "bytes32" else x for t, x in zip(TERM_TYPES, world.created[job], strict=True)]
    return keccak(encode(TERM_TYPES, terms))


def context(world, job):
    fields = (web3.eth.chain_id, world.market.address, job, world.market.job(job)["round"], terms_hash(world, job))
    return keccak(encode(["uint256", "address", "uint256", "uint256", "bytes32"], fields))


def packed(by_slot, bits, in_word, size):
    words = (size + in_word - 1) // in_word * [0]
    for slot, value in by_slot.items():
        words[slot // in_word] += value << bits * (slot % in_word)
    return words


def call_hash(method, *arguments):
    return "0x" + keccak(bytes.fromhex(method.encode_input(*arguments)[2:])).hex()


@pytest.mark.parametrize(
    ("rule", "circuit", "trainers", "unopened", "selected", "struck"),
    [
        (1, 108, 2, (), (0, 1), ()),
        (1, 108, 8, (0,), (1, 4, 7), (2, 3)),
        (2, 208, 8, (6,), (0, 1, 7), (2, 4, 5)),
        (2, 208, 3, (), (), (0, 1, 2)),
        (1, 116, 9, (), (0, 2, 8), (7,)),
        (2, 216, 16, (), (1, 3, 14, 15), (0,)),
        (1, 132, 17, (0, 2), (15, 16), ()),
        (2, 232, 18, (5,), (0, 14, 15, 16, 17), (13,)),
    ],
)
def test_each_verifier_is_asked_about_exactly_this_round(
    coin_world, rule, circuit, trainers, unopened, selected, struck
):
    world = coin_world
    faulty = max(0, (trainers - 3) // 2)
    least = 2 * faulty + 3 if faulty else 1
    job = world.running(trainers, rule=rule, minTrainers=least, maxTrainers=trainers, maxFaulty=faulty)
    signs = (1, -1, -1) if rule == 2 else (1,)
    for _ in range(2):  # so that the round is not the first
        world.submit(job, *range(trainers))
        opened = [i for i in range(trainers) if i not in unopened]
        scores = [signs[i % len(signs)] * (2**95 - 1 - i) for i in range(len(selected))]
        coefficients = [4096 - i for i in range(len(selected))] if rule == 2 else []
        whole = {slot: coefficients[i] if rule == 2 else 1 for i, slot in enumerate(selected)}
        rows = world.rows(job)
        judgement = {
            "selected": mask(*selected), "unopened": mask(*unopened), "struck": mask(*struck), "scores": scores,
            "coefficients": coefficients, "rowExponent": -9 if rule == 2 else 0, "gramHash": LARGEST - 1,
            "gram": [LARGEST - 10 - i for i in range(16)], "decision": list(range(11, 19)),
        }  # fmt: skip
        references = flat(points("v0"), points("u")) if rule == 2 else []
        statement = (
            context(world, job),
            mask(*opened) + (3 << 32 if rule == 2 else 0),
            LARGEST - 1,
            flat(*(rows[i] for i in opened)) + references,
            points("sum"),
            [whole.get(slot, 0) for slot in opened],
        )
        size = circuit % 100
        masks = mask(*opened) + (mask(*selected) << 32) + (faulty << 64) + (mask(*struck) << 72)
        inputs = [LARGEST - 1, 2**255 + 1, 2**254 + 2, LARGEST - 10 - Y, masks]
        inputs += packed(whole, 13, 16, size) if rule == 2 else []
        inputs += [word % FIELD for word in packed(dict(zip(selected, scores, strict=True)), 96, 2, size)]

        gram, decision = world.verifiers.gram, world.verifiers.decision[circuit]
        sender = {"from": world.stranger}
        gram.setChallenges(2**255 + 1, 2**254 + 2, sender)
        gram.expect(call_hash(gram.verify, statement, judgement["gram"]), sender)
        decision.expect(call_hash(decision.verify, inputs, judgement["decision"]), sender)
        for name in ("gram", "decision"):
            with pytest.raises(VirtualMachineError):  # the stubs do look at what they get
                world.settle(job, **{**judgement, name: [1, *judgement[name][1:]]})
        tx = world.settle(job, **judgement)
        told = dict(zip(SETTLEMENT, tx.events["RoundSettled"]["settlement"], strict=True))
        assert (list(told["scores"]), list(told["coefficients"])) == (scores, coefficients)
        assert (told["struck"], told["rowExponent"]) == (mask(*struck), judgement["rowExponent"])


def test_a_proof_is_bound_to_the_terms(coin_world):
    first, second = coin_world.create(), coin_world.create(fee=99)
    hashes = [str(coin_world.market.job(job)["termsHash"]) for job in (first, second)]
    assert hashes == ["0x" + terms_hash(coin_world, job).hex() for job in (first, second)]
    assert len(TERM_TYPES) == len(USUAL)
    assert hashes[0] != hashes[1]
