"""A job before it is on the chain: from a form to YAML, to its cost, and to the calls that a wallet signs."""

from dataclasses import dataclass
from typing import Any

import yaml
from eth_utils.abi import function_signature_to_4byte_selector
from pydantic import ValidationError

from marketplace.api.forms import JobPreview, UnsignedCall
from marketplace.chain import abi
from marketplace.chain.tokens import COIN, TokenFacts
from marketplace.documents import explain, parse_yaml
from marketplace.domain import ZERO_ADDRESS, Rule
from marketplace.errors import InputError
from marketplace.services.node import Node
from marketplace.services.owner import aggregator_key, base_weights, publish_spec
from marketplace.services.programs import job_program
from marketplace.services.proofs import JobSetups
from marketplace.services.safety import check_new_job
from marketplace.services.validation import Validation, publish_validation, read_data
from marketplace.spec import Decimals, JobFile, terms_of
from marketplace.units import format_amount
from trainer.config import Files
from trainer.data import PLAIN, DataOptions, normalise
from zk.statements import circuit_id

UNKNOWN = TokenFacts("the token", None)
AMOUNTS = ("reward", "stake", "bond", "fee")


def read_job(document: dict[str, Any] | None, text: str | None, decimals: Decimals | None = None) -> JobFile:
    """A job file from a form's document or from YAML. Raises InputError with one sentence that names every mistake.

    decimals: as of `spec.read_job_file`.
    """
    if (document is None) == (text is None):
        raise InputError("Give either the document or the YAML.")
    try:
        read = document if text is None else parse_yaml(text, where="The job")
        return JobFile.model_validate(read, context={"decimals": decimals})
    except ValidationError as error:
        raise InputError(f"The job is not complete: {explain(error)}.") from error


def preview(
    job: JobFile, files: Files, *, with_validation: bool = False, token: TokenFacts | None = None
) -> JobPreview:
    """What the job costs, and the same as a file. Raises InputError where model and data do not fit each other.

    token: what it pays in; a token that is not given is shown in its smallest units.
    """
    rule = job.rule(validated=with_validation)
    parameters = check_new_job(job, rule, files)
    aggregator_key(job)
    document = job.model_dump(mode="json", exclude_defaults=True, by_alias=True)
    paid_in = job.market.token or ZERO_ADDRESS
    unit = "" if job.market.token else " wei"
    amounts = {name: f"{document['market'][name]}{unit}" for name in AMOUNTS if name in document["market"]}
    return JobPreview(
        yaml=yaml.safe_dump(document, sort_keys=False, allow_unicode=True),
        document=document | {"market": document["market"] | amounts},
        parameters=parameters,
        escrow=str(job.market.escrow),
        escrow_text=format_amount(job.market.escrow, *(token or (COIN if paid_in == ZERO_ADDRESS else UNKNOWN))),
        token=paid_in,
        rule=rule.label,
    )


@dataclass(frozen=True, slots=True)
class Prepared:
    preview: JobPreview
    spec_cid: str
    calls: list[UnsignedCall]


def prepare(
    node: Node,
    job: JobFile,
    files: Files,
    *,
    owner: str,
    encryption_key: bytes,
    validation: str | None,
    options: DataOptions = PLAIN,
    token: TokenFacts | None = None,
) -> Prepared:
    """Publishes a job's description and the contracts that check its proofs; the calls for its owner's wallet.

    owner: the wallet, whose address the validation data's seal names. validation: a confined data source, read as
    `options` say. token: as of `preview`. Raises as services.owner.create_job does, but for the owner's balance, which
    is its wallet's to look at.
    """
    # What it refuses costs nothing yet.
    shown = preview(job, files, with_validation=validation is not None, token=token)
    rule = job.rule(validated=validation is not None)
    if rule is Rule.REFERENCE and validation is None:
        raise InputError("Rule 'reference' needs the owner's validation data: name them in `validation`.")
    sealed, program = None, job_program(job, files)
    weights = base_weights(node, job, program)
    if validation is not None:
        key = aggregator_key(job)
        if not key:
            raise InputError("Validation data are sealed to the aggregator: name it in market.aggregator.")
        data = read_data(validation, job.data, files, options)
        if rule is Rule.REFERENCE:
            check_new_job(job, rule, files, weights.numpy(), Validation(normalise(data, job.data), program))
        sealed = publish_validation(node, data, key, owner)
    setups = JobSetups.choose(node, job.proofs, circuit_id(rule, job.market.max_trainers), len(weights))
    cid = publish_spec(node, job, program, weights.numpy(), files, setups.publish(node), sealed)
    terms = terms_of(job, owner=owner, rule=rule, now=node.market.connection.now(), verifiers=setups.contracts(node))
    creation = abi.encode_call("createJob", (terms, encryption_key, cid))
    market, coin = node.market.address, terms.token == ZERO_ADDRESS
    create = UnsignedCall(
        text="Create the job",
        to=market,
        data="0x" + creation.hex(),
        value=str(terms.escrow if coin else 0),
    )
    if coin:
        return Prepared(shown, cid, [create])
    signature = "approve(address,uint256)"
    allowance = abi.encode(["address", "uint256"], [market, terms.escrow], signature)
    approval = "0x" + (function_signature_to_4byte_selector(signature) + allowance).hex()
    approve = UnsignedCall(text="Allow the market to take the escrow", to=terms.token, data=approval, value="0")
    return Prepared(shown, cid, [approve, create])
