"""What this node does for its user: trainers, the exits that anyone may take, pay, and new jobs. Needs the token."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path as FilePath
from typing import Annotated

from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from fastapi import APIRouter, Path
from pydantic_core import to_json

from marketplace.api import drafts
from marketplace.api.forms import (
    ColumnFacts,
    ColumnsRequest,
    CreatedJob,
    CreateRequest,
    DataCheck,
    DataCheckRequest,
    DataEntry,
    DataReport,
    DataSample,
    Done,
    FundRequest,
    Invitation,
    InviteRequest,
    JobPreview,
    JobRequest,
    JoinRequest,
    LocalTrainer,
    PreparedJob,
    PrepareRequest,
    SampleRequest,
    SentFacts,
    TableFacts,
    WithdrawRequest,
)
from marketplace.api.models import CallName
from marketplace.api.routes.common import ACTS, LOCAL, Account, JobId, Route, Services, problems, resolve_sent, sent
from marketplace.api.trainers import Wish
from marketplace.chain.fund import fund
from marketplace.chain.market import Receipt
from marketplace.chain.tokens import TokenFacts
from marketplace.domain import MAX_TRAINERS, ZERO_ADDRESS
from marketplace.errors import ChainError, InputError, JobOver
from marketplace.services.invitations import VALID_FOR, admission, invite
from marketplace.services.programs import find_files
from marketplace.spec import JobFile, Spec

router = APIRouter(
    prefix="/api",
    tags=["actions"],
    dependencies=[ACTS],
    responses=problems(400, 401, 403),
    route_class=Route,
)
PREVIEW_SAMPLES = 8
SAMPLE_COIN = 10**18  # wei that a sample trainer has beyond stakes, for gas


# ---------------------------------------------------------------- trainers


@router.get("/trainers")
def list_own_trainers(services: Services) -> list[LocalTrainer]:
    """The trainers that run in this node."""
    return services.trainers.all()


@router.get("/trainers/{job_id}", responses=problems(404))
def show_own_trainer(job_id: JobId, services: Services) -> LocalTrainer:
    """One of them, with its loss curve."""
    return services.trainers.one(job_id)


@router.post("/trainers", status_code=202, responses=problems(404, 409))
def join_job(request: JoinRequest, services: Services) -> LocalTrainer:
    """Joins a job with the node's own key and a data source of an allowed folder, and trains in every round."""
    me = services.node.me
    row = services.index.job(request.job_id)
    if row.state not in ("open", "running", "confirming"):
        raise JobOver(f"Job {request.job_id} is {row.state}.")
    market, ticket = services.node.market, request.ticket.strip()
    if row.state == "open" and services.index.history(request.job_id).slot_of(me.address) is None:
        admission(market, me.address, request.job_id, row.creation.terms, ticket)
    source = services.folders.confined(request.data)
    wish = Wish(
        job_id=request.job_id,
        data=source,
        reading=request.reading,
        payee=request.payee or me.address,
        device=request.device,
        seed=request.seed,
        ticket=ticket,
    )
    return services.trainers.join(wish)


@router.post("/jobs/{job_id}/invitations", responses=problems(404, 409, 503))
def invite_trainer(job_id: JobId, request: InviteRequest, services: Services) -> Invitation:
    """A ticket for an operator, signed by the node's own key, which has to be the job's gate. Sends nothing."""
    market, account = services.node.market, services.node.me.account
    (ticket,) = invite(market, account, job_id, [request.operator], request.valid_for)
    return Invitation(ticket=str(ticket), operator=ticket.operator, expiry=ticket.expiry)


@router.post("/trainers/{job_id}/pause", responses=problems(404))
def pause_trainer(job_id: JobId, services: Services) -> LocalTrainer:
    """Stops training after the step that runs. A paused trainer misses its deadlines."""
    return services.trainers.pause(job_id)


@router.post("/trainers/{job_id}/resume", responses=problems(404))
def resume_trainer(job_id: JobId, services: Services) -> LocalTrainer:
    """Goes on where it was paused, or where it failed."""
    return services.trainers.resume(job_id)


@router.post("/trainers/{job_id}/leave", responses=problems(404, 409, 503))
def leave_job(job_id: JobId, services: Services) -> Done:
    """Gives the seat up and takes the stake back, until this round's update is submitted. Points stay."""
    return sent(services, f"Leave job {job_id}", job_id, lambda: services.trainers.leave(job_id))


@router.post("/trainers/{job_id}/dispute", responses=problems(404, 409, 503))
def dispute_sum(job_id: JobId, services: Services) -> Done:
    """Says that the last sum is missing or wrong. Final; at the quorum the job ends, and bond and fees are burnt."""
    services.trainers.one(job_id)
    market, account = services.node.market, services.node.me.account
    return sent(services, f"Dispute in job {job_id}", job_id, lambda: market.dispute(account, job_id))


@router.post("/trainers/{job_id}/dispute-rows/{round}", responses=problems(404, 409, 503))
def dispute_rows(job_id: JobId, round: Annotated[int, Path(ge=0, lt=2**16)], services: Services) -> Done:
    """Says that a round's reference rows are wrong; 0: that what was revealed is not the committed data. Final."""
    services.trainers.one(job_id)
    market, account = services.node.market, services.node.me.account
    what = f"Dispute of rows in job {job_id}"
    return sent(services, what, job_id, lambda: market.dispute_rows(account, job_id, round))


@router.get("/jobs/{job_id}/samples")
def list_samples(job_id: JobId, services: Services) -> list[LocalTrainer]:
    """The sample trainers of this node that take part in a job."""
    found = (each for sample in services.samples for each in sample.trainers.all())
    return [each for each in found if each.job_id == job_id]


@router.post("/jobs/{job_id}/samples", status_code=202, responses=problems(404, 409, 503))
def add_samples(job_id: JobId, request: SampleRequest, services: Services) -> list[LocalTrainer]:
    """Lets sample trainers take the free seats of a job on this node's own chain, to see it run.

    Each has a key of its own on this machine, with coin of the local chain.
    """
    if services.local_rpc is None:
        raise InputError("Sample trainers are for a local chain: on a shared one, others join.")
    row = services.index.job(job_id)
    terms, source = row.creation.terms, services.folders.confined(request.data)
    if row.state != "open":
        raise JobOver(f"Job {job_id} is {row.state}.")
    me = services.node.me
    if terms.gate not in (ZERO_ADDRESS, me.address):
        raise InputError(f"This job is by invitation of {terms.gate}: sample trainers have no tickets of it.")
    if terms.token != ZERO_ADDRESS:
        raise InputError("Sample trainers have only coin, and this job's stake is in a token.")
    market = services.node.market
    free = terms.max_trainers - row.seats
    for number, (address, trainers) in enumerate(services.samples, start=1):
        if free <= 0:
            break
        if any(each.job_id == job_id for each in trainers.all()):
            continue
        if market.balance(ZERO_ADDRESS, address) < 2 * terms.stake + SAMPLE_COIN:
            fund(market.connection, address)
        ticket = ""
        if terms.gate != ZERO_ADDRESS:
            ticket = str(invite(market, me.account, job_id, [address], VALID_FOR)[0])
        trainers.join(Wish(job_id=job_id, data=source, payee=address, device="cpu", seed=number, ticket=ticket))
        free -= 1
    return list_samples(job_id, services)


# ---------------------------------------------------------------- data


@router.get("/data", dependencies=[LOCAL])
def list_data(services: Services) -> list[DataEntry]:
    """What could be a data source in the allowed folders."""
    return services.folders.entries()


@router.post("/data/check", dependencies=[LOCAL], responses=problems(404, 429, 502, 503))
def check_data(request: DataCheckRequest, services: Services) -> DataCheck:
    """Whether data fit a job, what is in them, and a few of them. Only to this machine.

    Trains on them for a step: what fits here can take part.
    """
    from marketplace.services.datacheck import check_data as look  # noqa: PLC0415 (torch takes seconds)
    from marketplace.services.programs import fetch_files, job_program, program_of  # noqa: PLC0415
    from trainer.data import tokenizer_files  # noqa: PLC0415
    from trainer.data.report import samples  # noqa: PLC0415

    if (request.job_id is None) == (request.document is None):
        raise InputError("Give either the job's number or its document.")
    source, options = services.folders.confined(request.data), request.reading.options()
    with services.heavy.taken():
        described: Spec | JobFile
        if request.job_id is not None:
            described = services.spec(services.index.job(request.job_id).creation)
            files = fetch_files(services.node, described)
            program = program_of(services.node, described, files)
        else:
            described = _read(services, JobRequest(document=request.document))
            files = _files(services, described)
            drafts.preview(described, files)  # what it costs to open the program is bounded by it
            program = job_program(described, files)
        try:
            report, data = look(described, program, files, source, options)
        except InputError as error:
            return DataCheck(fits=False, problem=str(error), report=None, samples=[])
        shown = samples(data, described.data, PREVIEW_SAMPLES, tokenizer_files(files, described.data))
    facts = {name: value for name, value in report.to_dict().items() if name in DataReport.model_fields}
    return DataCheck(
        fits=True,
        problem=None,
        report=DataReport.model_validate(facts),
        samples=[DataSample.model_validate(asdict(sample)) for sample in shown],
    )


@router.post("/data/columns", dependencies=[LOCAL], responses=problems(429))
def describe_table(request: ColumnsRequest, services: Services) -> TableFacts:
    """What is in a table that no job describes yet, for whoever writes a job's features. Only to this machine."""
    from marketplace.services import datacheck  # noqa: PLC0415 (torch takes seconds)

    source = services.folders.confined(request.data)
    with services.heavy.taken():
        columns, rows = datacheck.describe_table(source, request.reading.options())
    return TableFacts(columns=[ColumnFacts.model_validate(asdict(column)) for column in columns], rows=rows)


def _files(services: Services, job: JobFile) -> dict[str, FilePath]:
    """The files that a job names, in the folders that this node may read. Raises InputError."""
    return find_files(job, services.folders.named)


# ---------------------------------------------------------------- the chain


@router.post("/jobs/{job_id}/calls/{call}", responses=problems(404, 409, 503))
def send_call(job_id: JobId, call: CallName, services: Services) -> Done:
    """One of the exits of a job, sent with the node's own key."""
    market, account = services.node.market, services.node.me.account
    calls: dict[CallName, Callable[[LocalAccount, int], Receipt]] = {
        "start": market.start,
        "cancel": market.cancel,
        "abort": market.abort,
        "skip": market.skip_round,
        "complete": market.complete,
        "end": market.ask_end,
    }
    what = {"skip": "Skip the round of", "end": "Ask for the end of"}.get(call, call.capitalize())
    return sent(services, f"{what} job {job_id}", job_id, lambda: calls[call](account, job_id))


@router.post("/jobs/{job_id}/claims/{slot}", responses=problems(404, 409, 503))
def claim(job_id: JobId, slot: Annotated[int, Path(ge=0, lt=MAX_TRAINERS)], services: Services) -> Done:
    """Credits a seat's pay and stake to its payee, once the job is over. Anyone may."""
    market, account = services.node.market, services.node.me.account
    return sent(services, f"Claim of seat {slot} in job {job_id}", job_id, lambda: market.claim(account, job_id, slot))


@router.post("/jobs/{job_id}/fees/{payee}", responses=problems(404, 409, 503))
def claim_fees(job_id: JobId, payee: Account, services: Services) -> Done:
    """Credits an aggregator that lost the job to another with its fees, once the job is over. Anyone may."""
    market, account, whose = services.node.market, services.node.me.account, to_checksum_address(payee)
    text = f"Claim of fees in job {job_id}"
    return sent(services, text, job_id, lambda: market.claim_fees(account, job_id, whose))


@router.post("/withdraw", responses=problems(409, 503))
def withdraw(request: WithdrawRequest, services: Services) -> Done:
    """Takes all that the node's own key was credited in a token."""
    market, account = services.node.market, services.node.me.account
    text = "Withdraw" if request.token == ZERO_ADDRESS else f"Withdraw the token {request.token}"
    return sent(services, text, None, lambda: market.withdraw(account, request.token))


@router.get("/sent")
def list_sent(services: Services) -> list[SentFacts]:
    """What this node has sent with its own key for its user since it was started, newest first; the latest 100."""
    with suppress(ChainError):  # they are listed as they were
        resolve_sent(services)
    return services.sent.all()


@router.post("/fund", status_code=204, responses=problems(503))
def fund_address(request: FundRequest, services: Services) -> None:
    """Gives an address 100 ether of the node's own development chain."""
    if services.local_rpc is None:
        raise InputError("This node works on a shared chain, where nobody can give coin away.")
    fund(services.node.market.connection, request.address)


# ---------------------------------------------------------------- new jobs


@router.post("/jobs/preview")
def preview_job(request: JobRequest, services: Services) -> JobPreview:
    """What a job costs, and its YAML. Sends and publishes nothing."""
    job = _read(services, request)
    return drafts.preview(job, _files(services, job), token=_facts(services, job.market.token or ZERO_ADDRESS))


def _read(services: Services, request: JobRequest) -> JobFile:
    """The job of a request; amounts of a token are read by its decimals."""
    return drafts.read_job(request.document, request.yaml, lambda token: _facts(services, token).decimals)


def _facts(services: Services, token: str) -> TokenFacts:
    """Of a token, or of coin; without decimals where the chain cannot be asked."""
    try:
        return services.node.market.token(token)
    except ChainError:
        return drafts.UNKNOWN


@router.post("/jobs/prepare", responses=problems(429, 503))
def prepare_job(request: PrepareRequest, services: Services) -> PreparedJob:
    """Publishes a job's description, and makes the calls for the owner's wallet to sign and send, in order.

    Deploys the contracts that check its proofs with the node's own key, unless it knows some.
    """
    job = _read(services, request)
    source = services.folders.confined(request.validation) if request.validation is not None else None
    given = request.encryption_key
    key = bytes.fromhex(given[2:]) if given is not None else services.node.me.encryption_key
    with services.heavy.taken():
        prepared = drafts.prepare(
            services.node,
            job,
            _files(services, job),
            owner=request.owner,
            encryption_key=key,
            validation=source,
            options=request.reading.options(),
            token=_facts(services, job.market.token or ZERO_ADDRESS),
        )
    return PreparedJob(preview=prepared.preview, spec_cid=prepared.spec_cid, calls=prepared.calls)


@router.post("/jobs", status_code=201, responses=problems(429, 503))
def create_job(request: CreateRequest, services: Services) -> CreatedJob:
    """Creates a job with the node's own key, which pays the escrow. The same one is not created twice at once."""
    from marketplace.services import owner  # noqa: PLC0415 (torch takes seconds)
    from marketplace.services.validation import read_data  # noqa: PLC0415

    job = _read(services, request)
    source = services.folders.confined(request.validation) if request.validation is not None else None
    resolve_sent(services)
    with (
        services.sent.sending(f"Create the job “{job.name}”", key=f"create {to_json(job)!r} {source}") as sending,
        services.heavy.taken(),
    ):
        files = _files(services, job)
        data = read_data(source, job.data, files, request.reading.options()) if source is not None else None
        created = owner.create_job(services.node, job, data, files=files, again=True)
        sending.mined(created.receipt, created.job_id)
    return CreatedJob(
        job_id=created.job_id,
        transaction=created.receipt.transaction,
        block=created.receipt.block,
        spec_cid=created.spec_cid,
        escrow=str(created.escrow),
    )
