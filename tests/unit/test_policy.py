"""An aggregator's policy: each of its bounds at its edge, its file, and what its operator says of single jobs."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.chain.gas import MAX_TRANSACTION_GAS
from marketplace.domain import MAX_TRAINERS, ZERO_ADDRESS, Rule, Terms
from marketplace.errors import InputError
from marketplace.services import requests
from marketplace.services.dearest import settlement_cost
from marketplace.services.policy import (
    LOCAL,
    Held,
    Policy,
    PolicyFile,
    TokenPolicy,
    Work,
    read_policy,
)
from marketplace.services.requests import Asking, Decisions
from scripts import policy_docs
from tests import values
from tests.example import example

OWNER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
TOKEN = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
OTHER = "0x90F79bf6EB2c4f870365E785982E1f101E93b906"
ETHER = 10**18
GWEI = 10**9
PUBLIC, LOCAL_CHAIN = 1, 31337

TERMS = replace(
    values.TERMS,
    reward=6 * ETHER // 10,
    fee=2 * ETHER // 100,
    stake=ETHER // 10,
    bond=ETHER // 2,
    aggregator=OTHER,
    max_faulty=2,
    slash_bps=2000,
    gram_verifier=OTHER,
    decision_verifier=OTHER,
)
WORK = Work(parameters=4810, chunk=8192)
IN_TOKEN = TokenPolicy(token=TOKEN, bond_at_most=ETHER, bonds_at_most=9 * ETHER)


def terms_with(**changes: Any) -> Terms:
    return replace(TERMS, **changes)


def against(policy: Policy, terms: Terms = TERMS, work: Work | None = WORK, held: Held | None = None) -> list[str]:
    return policy.objections(OWNER, terms, work, held or Held(), now=TERMS.enrol_by)


def coin(**amounts: Any) -> dict[str, Any]:
    return {"tokens": [{"token": "coin", **amounts}]}


def test_by_default_nobody_s_jobs_are_accepted_and_a_named_owner_s_example_is() -> None:
    assert against(Policy()) == [f"Its owner {OWNER} is not among the owners that the policy names."]
    assert against(Policy(owners=(OWNER,))) == []
    assert against(Policy(owners="any")) == []


def test_on_a_development_chain_the_example_is_accepted_and_a_bond_of_all_it_has_is_not() -> None:
    market = example().market
    names = [f.name for f in fields(Terms) if f.name in type(market).model_fields]
    chosen = {name: getattr(market, name) for name in names if getattr(market, name) is not None}
    chosen |= {"rule": Rule.KRUM_COSINE, "token": market.token or ZERO_ADDRESS, "aggregator": OTHER}
    assert against(LOCAL, terms_with(**chosen)) == []
    greedy = terms_with(bond=19 * ETHER, reward=1, fee=0, rounds=1)
    assert against(LOCAL, greedy) == ["Its bond is 19 ether; the policy allows at most 10 ether."]


# field → what is just allowed, and what is just not, with a part of what is said of it
EDGES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    ({"rules": ["reference"]}, {"rule": Rule.REFERENCE}, {"rule": Rule.KRUM_COSINE}, "rule is krum-cosine"),
    ({"max_faulty_at_least": 1}, {"max_faulty": 1}, {"max_faulty": 0}, "max_faulty is 0"),
    ({"max_faulty_at_most": 1}, {"max_faulty": 1}, {"max_faulty": 2}, "max_faulty is 2"),
    ({"voids_at_most": 3}, {"max_voids": 3}, {"max_voids": 4}, "max_voids is 4; the policy allows 3"),
    ({"takeover": False}, {"takeover_window": 0}, {"takeover_window": 1}, "takeover window"),
    (coin(), {"token": ZERO_ADDRESS}, {"token": TOKEN}, f"pays in the token {TOKEN}"),
    (
        {"tokens": [{"token": TOKEN, "bond_at_most": 5, "bonds_at_most": 50}], "bond_for_fees": None},
        {"token": TOKEN, "bond": 5},
        {"token": TOKEN, "bond": 6},
        f"bond is 6 units of {TOKEN}; the policy allows at most 5 units",
    ),
    (coin(reward_at_least="1 ether"), {"reward": ETHER}, {"reward": ETHER - 1}, "wants at least 1 ether"),
    (coin(reward_at_most="1 ether"), {"reward": ETHER}, {"reward": ETHER + 1}, "allows at most 1 ether"),
    (coin(fee_at_least="1 ether"), {"fee": ETHER}, {"fee": ETHER - 1}, "Its fee is 0.999"),
    (coin(bond_at_most="1 ether"), {"bond": ETHER, "fee": ETHER}, {"bond": ETHER + 1, "fee": ETHER}, "Its bond is 1.0"),
    (
        coin(bond_at_most="9 ether", bonds_at_most="0.1 ether"),
        {"bond": ETHER // 10},
        {"bond": ETHER // 10 + 1},
        "would be bound at a time",
    ),
    ({"bond_for_fees": 2.5}, {"bond": 250, "fee": 20}, {"bond": 251, "fee": 20}, "more than 2.5 times its fees"),
    ({"submit_window_at_least": "1 min"}, {"submit_window": 60}, {"submit_window": 59}, "submitting phase is 59 s"),
    ({"settle_window_at_least": "5 min"}, {"settle_window": 300}, {"settle_window": 299}, "settling phase is 299 s"),
    ({"rounds_at_most": 5}, {"rounds": 5}, {"rounds": 6}, "It has 6 rounds"),
    (
        {"bound_for_at_most": "30 d"},
        {"enrol_by": TERMS.enrol_by + 29 * 86_400},
        {"enrol_by": TERMS.enrol_by + 30 * 86_400},
        "Its bond may be bound for 30",
    ),
    ({"bound_for_at_most": "30 d"}, {"settle_window": 86_400}, {"settle_window": 365 * 86_400}, "may be bound for"),
    (
        {"bound_for_at_most": "30 d", "voids_at_most": 255},
        {"settle_window": 86_400, "max_voids": 12},
        {"settle_window": 86_400, "max_voids": 13},
        "may be bound for 31",
    ),
]


@pytest.mark.parametrize(("policy", "allowed", "refused", "said"), EDGES, ids=[str(list(edge[0])) for edge in EDGES])
def test_each_bound_of_terms_holds_to_its_edge(
    policy: dict[str, Any], allowed: dict[str, Any], refused: dict[str, Any], said: str
) -> None:
    made = Policy.model_validate({"owners": "any", "gas_price": 0} | policy)
    assert against(made, terms_with(**allowed)) == []
    (objection,) = against(made, terms_with(**refused))
    assert said in objection
    assert objection.endswith(".")


@pytest.mark.parametrize(
    ("policy", "allowed", "refused", "said"),
    [
        ({"parameters_at_most": 100}, Work(100, 8192), Work(101, 8192), "model has 101 parameters"),
        ({"points_at_most": 16}, Work(2048, 1024), Work(2049, 1024), "8 seats and 3 chunks of an update, 24 points"),
        ({"gas_at_most": 1_004_000}, Work(2048, 1024), Work(2049, 1024), "A settlement may take 1100000 gas"),
        ({"calldata_at_most": 4292}, Work(2048, 1024), Work(2049, 1024), "A settlement may have 4932 bytes"),
    ],
)
def test_each_bound_of_work_holds_to_its_edge(policy: dict[str, Any], allowed: Work, refused: Work, said: str) -> None:
    made = Policy.model_validate({"owners": "any", **policy})
    assert against(made, work=allowed) == []
    (objection,) = against(made, work=refused)
    assert said in objection


def test_a_fee_in_coin_has_to_cover_the_gas_of_its_settlement() -> None:
    gas = settlement_cost(TERMS.rule, TERMS.max_trainers, WORK.chunks).gas
    policy = Policy(owners="any", gas_price=5 * GWEI, bond_for_fees=None)
    assert against(policy, terms_with(fee=5 * GWEI * gas)) == []
    (objection,) = against(policy, terms_with(fee=5 * GWEI * gas - 1))
    assert f"{gas} gas at 5000000000 wei" in objection
    assert against(policy, terms_with(fee=5 * GWEI * gas), work=None) == []
    in_token = Policy(owners="any", tokens=(IN_TOKEN,), bond_for_fees=None)
    assert against(in_token, terms_with(token=TOKEN, fee=0)) == [], "what a token is worth in gas is not known"


def test_what_was_taken_up_before_counts() -> None:
    policy = Policy.model_validate({"owners": "any", "jobs_at_most": 2, **coin(bonds_at_most="1 ether")})
    assert against(policy, held=Held(1, {ZERO_ADDRESS: ETHER // 2, TOKEN: 10**30})) == []
    assert "2 jobs are served already" in against(policy, held=Held(2))[0]
    assert (
        "1.000000000000000001 ether would be bound" in against(policy, held=Held(1, {ZERO_ADDRESS: ETHER // 2 + 1}))[0]
    )


@pytest.mark.parametrize(
    ("rule", "n", "chunks", "gas"),
    [
        (Rule.KRUM_COSINE, 8, 1, 896_000),
        (Rule.REFERENCE, 8, 1, 939_000),
        (Rule.KRUM_COSINE, 16, 1, 1_259_000),
        (Rule.REFERENCE, 16, 1, 1_312_000),
        (Rule.KRUM_COSINE, 16, 8, 2_196_000),
        (Rule.REFERENCE, 16, 8, 2_357_000),
        (Rule.KRUM_COSINE, 32, 1, 1_987_000),
        (Rule.REFERENCE, 32, 1, 2_065_000),
        (Rule.KRUM_COSINE, 32, 8, 3_620_361),
        (Rule.REFERENCE, 32, 8, 3_571_601),
    ],
)
def test_the_estimate_of_a_settlement_is_above_what_was_measured_and_not_far(
    rule: Rule, n: int, chunks: int, gas: int
) -> None:
    """docs/proofs.md and docs/load.md."""
    estimate = settlement_cost(rule, n, chunks).gas
    assert gas <= estimate <= gas * 1.25


def test_the_most_points_that_the_defaults_allow_fit_into_a_transaction() -> None:
    policy = Policy()
    for rule in Rule:
        for n in range(1, MAX_TRAINERS + 1):
            cost = settlement_cost(rule, n, policy.points_at_most // n)
            assert cost.gas <= MAX_TRANSACTION_GAS or n < 8


amounts = st.integers(0, 2**128 - 1)
ANY_TERMS = st.builds(
    Terms,
    token=st.sampled_from([ZERO_ADDRESS, TOKEN]),
    reward=amounts,
    fee=amounts,
    stake=amounts,
    bond=amounts,
    aggregator=st.sampled_from([ZERO_ADDRESS, OTHER]),
    enrol_by=st.integers(0, 2**40 - 1),
    submit_window=st.integers(0, 2**32 - 1),
    settle_window=st.integers(0, 2**32 - 1),
    takeover_window=st.integers(0, 2**32 - 1),
    rule=st.sampled_from(Rule),
    rounds=st.integers(0, 2**16 - 1),
    min_trainers=st.integers(0, 255),
    max_trainers=st.integers(0, 255),
    max_faulty=st.integers(0, 255),
    max_missed=st.integers(0, 255),
    max_strikes=st.integers(0, 255),
    max_empty_rounds=st.integers(0, 255),
    max_voids=st.integers(0, 255),
    slash_bps=st.integers(0, 2**16 - 1),
    gram_verifier=st.just(OTHER),
    gram_key=st.binary(min_size=32, max_size=32),
    decision_verifier=st.just(OTHER),
    decision_key=st.binary(min_size=32, max_size=32),
)
ANY_POLICY = st.builds(
    Policy,
    owners=st.sampled_from(["any", (), (OWNER,)]),
    tokens=st.sampled_from([(), (TokenPolicy(token="coin"),), (TokenPolicy(token="coin"), IN_TOKEN)]),
    bond_for_fees=st.none() | st.floats(1e-300, 1e9),
    gas_price=amounts,
    rules=st.sampled_from([(), ("reference",), ("krum-cosine", "reference")]),
    takeover=st.booleans(),
)
ANY_WORK = st.none() | st.builds(Work, st.integers(1, 2**40), st.sampled_from([1 << bits for bits in range(10, 21)]))


@given(
    policy=ANY_POLICY,
    terms=ANY_TERMS,
    work=ANY_WORK,
    jobs=st.integers(0, 10**6),
    bond=st.integers(0, 2**140),
    now=st.integers(0, 2**40),
)
def test_objections_to_any_terms_are_sentences_and_never_an_error(
    policy: Policy, terms: Terms, work: Work | None, jobs: int, bond: int, now: int
) -> None:
    found = policy.objections(OWNER, terms, work, Held(jobs, {terms.token: bond}), now=now)
    assert all(text.endswith(".") and text.isprintable() and len(text) < 400 for text in found)
    assert len(set(found)) == len(found)


# ---------------------------------------------------------------- the file


def test_a_file_says_what_it_says_and_the_rest_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(
        f"owners: ['{OWNER}']\ntokens:\n- token: coin\n  bond_at_most: 0.1 ether\nsettle_window_at_least: 10 min\n"
    )
    policy = read_policy(path)
    assert (policy.owners, policy.tokens[0].bond_at_most, policy.settle_window_at_least) == ((OWNER,), ETHER // 10, 600)
    assert policy.rounds_at_most == Policy().rounds_at_most
    path.write_text("")
    assert read_policy(path) == Policy()


def test_the_file_that_the_page_shows_is_a_policy(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(policy_docs.INTRODUCTION.split("```yaml")[1].split("```")[0])
    (allowed,) = read_policy(path).tokens
    assert (allowed.bond_at_most, allowed.bonds_at_most) == (ETHER // 2, 3 * ETHER)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("owner: any", "owner: unknown field"),
        ("owners: [0x12]", "owners"),
        ("owners: everybody", "owners"),
        ("tokens: [{token: coin}, {token: coin}]", "tokens names one token twice"),
        ("tokens: [{token: coin, bond_at_most: 1 dollar}]", "unknown unit 'dollar'"),
        (f"tokens: [{{token: '{TOKEN}', bond_at_most: 5}}]", "bonds_at_most must be given for a token"),
        ("bond_for_fees: .nan", "bond_for_fees"),
        ("max_faulty_at_least: 3\nmax_faulty_at_most: 2", "max_faulty_at_least is more than"),
        ("rules: [krum]", "rules"),
        ("- owners", "the document"),
        ("owners: [", "is not YAML"),
        ("owners: &a [*a]", "anchor, alias or tag"),
        ("x" * 300_000, "longer than"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        read_policy(path)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_without_a_file_only_development_chains_have_a_policy_for_strangers(tmp_path: Path) -> None:
    assert PolicyFile(tmp_path, LOCAL_CHAIN).policy == LOCAL
    public = PolicyFile(tmp_path, PUBLIC)
    assert public.policy == Policy()
    assert "there is no" in public.source


def test_a_file_is_read_again_when_it_changes_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    rules = PolicyFile(tmp_path, LOCAL_CHAIN)
    assert not rules.refresh()
    path = tmp_path / "policy.yaml"
    path.write_text("owners: []")
    assert rules.refresh()
    assert (rules.policy, rules.source) == (Policy(), str(path))
    path.write_text("owners: nobody")
    assert rules.refresh()
    assert rules.policy == Policy()
    assert str(path) in rules.problem
    assert not rules.refresh()
    path.unlink()
    assert rules.refresh()
    assert (rules.policy, rules.problem) == (LOCAL, "")
    path.write_text("owners: nobody")
    with pytest.raises(InputError):
        PolicyFile(tmp_path, LOCAL_CHAIN)


def test_the_page_about_the_policy_is_made_from_the_models() -> None:
    assert policy_docs.PAGE.read_text("utf-8") == policy_docs.page()


# ---------------------------------------------------------------- decisions


def asking(job_id: int, **changes: Any) -> Asking:
    job = replace(values.JOB, owner=OWNER, terms_hash=bytes([job_id % 256]) * 32)
    return Asking(job_id, replace(job, **changes), TERMS)


def test_a_decision_is_kept_for_every_process_and_the_last_one_counts(tmp_path: Path) -> None:
    path = tmp_path / "account" / "requests.json"
    here, elsewhere = Decisions(path), Decisions(path)
    here.put(asking(1), "accepted")
    here.put(asking(2), "declined")
    assert elsewhere.of(asking(1)) is None
    assert elsewhere.refresh()
    assert [elsewhere.of(asking(number)) for number in (1, 2, 3)] == ["accepted", "declined", None]
    elsewhere.put(asking(1), "declined")
    assert Decisions(path).of(asking(1)) == "declined"
    assert Decisions(path).of(asking(2)) == "declined"


@pytest.mark.parametrize("change", [{"owner": OTHER}, {"terms_hash": b"\xff" * 32}])
def test_a_decision_is_not_for_another_job_of_its_number(tmp_path: Path, change: dict[str, Any]) -> None:
    decisions = Decisions(tmp_path / "requests.json")
    decisions.put(asking(1), "accepted")
    assert decisions.of(asking(1)) == "accepted"
    assert decisions.of(asking(1, **change)) is None


def test_decisions_are_bounded_and_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MOST_DECISIONS", 3)
    decisions = Decisions(tmp_path / "requests.json")
    for number in range(1, 6):
        decisions.put(asking(number), "accepted")
    assert [decisions.of(asking(number)) for number in range(1, 6)] == [None, None, *["accepted"] * 3]


def cut(text: str) -> str:
    return text[:-4]


def other_verdict(text: str) -> str:
    return text.replace("accepted", "perhaps")


def unknown_field(text: str) -> str:
    return text.replace('"owner"', '"owners"')


@pytest.mark.parametrize("damage", [cut, other_verdict, unknown_field])
def test_damaged_decisions_are_told_at_the_start_and_change_nothing_later(
    tmp_path: Path, damage: Callable[[str], str]
) -> None:
    path = tmp_path / "requests.json"
    decisions = Decisions(path)
    decisions.put(asking(1), "accepted")
    path.write_text(damage(path.read_text()))
    assert decisions.refresh()
    assert "is damaged" in decisions.problem
    assert decisions.of(asking(1)) == "accepted"
    with pytest.raises(InputError, match="is damaged"):
        Decisions(path)
    with pytest.raises(InputError, match="is damaged"):
        decisions.put(asking(2), "accepted")
