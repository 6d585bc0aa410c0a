"""A job before it is on the chain: from a form to YAML, to its cost, and to the calls that a wallet signs."""

from dataclasses import dataclass
from typing import Any

import yaml
from eth_utils.abi import function_signature_to_4byte_selector
from pydantic import ValidationError

from marketplace.api.forms import JobPreview, UnsignedCall
from marketplace.chain import abi
from marketplace.documents import explain, parse_yaml
from marketplace.domain import ZERO_ADDRESS, Rule
from marketplace.errors import InputError
from marketplace.services.node import Node
from marketplace.services.proofs import JobSetups
from marketplace.services.validation import publish_validation, read_data
from marketplace.spec import JobFile, Spec, terms_of
from marketplace.storage import put_bytes
from marketplace.units import format_amount
from trainer.models import build, check_fits, count_parameters, flatten
from zk.files import pack_model
from zk.statements import circuit_id


def read_job(document: dict[str, Any] | None, text: str | None) -> JobFile:
    """A job file from a form's document or from YAML. Raises InputError with one sentence that names every mistake."""
    if (document is None) == (text is None):
        raise InputError("Give either the document or the YAML.")
    try:
        return JobFile.model_validate(document if text is None else parse_yaml(text, where="The job"))
    except ValidationError as error:
        raise InputError(f"The job is not complete: {explain(error)}.") from error


def preview(job: JobFile, *, with_validation: bool = False) -> JobPreview:
    """What the job costs, and the same as a file. Raises InputError where model and data do not fit each other."""
    try:
        check_fits(job.model, job.data.shape, job.data.classes)
        parameters = count_parameters(job.model)
    except ValueError as error:
        raise InputError(f"The model does not fit: {error}.") from error
    rule = Rule.REFERENCE if _pays_by_reference(job, with_validation) else Rule.KRUM_COSINE
    document = job.model_dump(mode="json", exclude_defaults=True)
    token = job.market.token or ZERO_ADDRESS
    return JobPreview(
        yaml=yaml.safe_dump(document, sort_keys=False, allow_unicode=True),
        parameters=parameters,
        escrow=str(job.market.escrow),
        escrow_text=format_amount(job.market.escrow, "ether" if token == ZERO_ADDRESS else "tokens"),
        token=token,
        rule=rule.label,
    )


def _pays_by_reference(job: JobFile, with_validation: bool) -> bool:
    return job.market.rule == "reference" or (with_validation and job.market.rule is None)


@dataclass(frozen=True, slots=True)
class Prepared:
    spec_cid: str
    calls: list[UnsignedCall]


def prepare(node: Node, job: JobFile, *, owner: str, encryption_key: bytes, validation: str | None) -> Prepared:
    """Publishes a job's description and the contracts that check its proofs; the calls for its owner's wallet.

    owner: the wallet, whose address the validation data's seal names. validation: a confined data source.
    Raises as services.owner.create_job does, but for the owner's balance, which is its wallet's to look at.
    """
    shown = preview(job, with_validation=validation is not None)
    rule = Rule.REFERENCE if shown.rule == "reference" else Rule.KRUM_COSINE
    if rule is Rule.REFERENCE and validation is None:
        raise InputError("Rule 'reference' needs the owner's validation data: name them in `validation`.")
    sealed = None
    if validation is not None:
        if job.market.aggregator is None:
            raise InputError("Validation data are sealed to the aggregator: name it in market.aggregator.")
        key = bytes.fromhex(job.market.aggregator.encryption_key[2:])
        sealed = publish_validation(node, read_data(validation, job.data), key, owner)
    weights = flatten(build(job.model))
    setups = JobSetups.choose(node, job.proofs, circuit_id(rule, job.market.max_trainers), len(weights))
    base_cid = put_bytes(node.storage, pack_model(weights.numpy()))
    spec = Spec.of(job, base_cid=base_cid, proofs=setups.publish(node), validation=sealed)
    cid = put_bytes(node.storage, spec.to_bytes())
    terms = terms_of(job, rule=rule, now=node.market.connection.now(), verifiers=setups.contracts(node))
    creation = abi.encode_call("createJob", (terms, encryption_key, cid))
    market, coin = node.market.address, terms.token == ZERO_ADDRESS
    create = UnsignedCall(
        text="Create the job",
        to=market,
        data="0x" + creation.hex(),
        value=str(terms.escrow if coin else 0),
    )
    if coin:
        return Prepared(cid, [create])
    signature = "approve(address,uint256)"
    allowance = abi.encode(["address", "uint256"], [market, terms.escrow], signature)
    approval = "0x" + (function_signature_to_4byte_selector(signature) + allowance).hex()
    approve = UnsignedCall(text="Allow the market to take the escrow", to=terms.token, data=approval, value="0")
    return Prepared(cid, [approve, create])
