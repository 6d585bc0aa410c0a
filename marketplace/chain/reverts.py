"""What a revert means, in one sentence for a person.

Solidity gives custom errors by selector with ABI-encoded values (https://docs.soliditylang.org/en/latest/abi-spec.html#errors).
Known here: those of JobMarket and the verifiers that it calls, the two that the language has, and those of ERC-20
tokens (ERC-6093).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from eth_utils.abi import function_abi_to_4byte_selector, get_abi_input_types

from marketplace import domain
from marketplace.chain import abi
from marketplace.errors import ChainError, Reverted

SENTENCES: Mapping[str, str] = {
    "InvalidTerm": "The term {term} is out of its bounds: {value}.",
    "NoSuchJob": "There is no job {jobId} in this market.",
    "WrongState": "Job {jobId} is {actual}; this can be done only while it is {required}.",
    "NotOver": "Job {jobId} is {actual}; this can be done only when it is over.",
    "NotOwner": "{caller} is not the owner of job {jobId}.",
    "NotAggregator": "{caller} is not the aggregator of job {jobId}.",
    "NotTrainer": "{caller} is not a trainer of job {jobId}: it has not joined, has left, or was ejected.",
    "AggregatorTaken": "Job {jobId} already has an aggregator: {aggregator}.",
    "AlreadyJoined": "{operator} is already a trainer of job {jobId}.",
    "JobFull": "Job {jobId} is full: it has all of its {maxTrainers} trainers.",
    "TicketMissing": "Job {jobId} takes trainers by invitation: a ticket of {gate} is needed to join it.",
    "TicketUnneeded": "Anybody may join job {jobId}: leave the ticket out.",
    "TicketLength": "A ticket for job {jobId} has 8 to 2056 bytes; {length} were given.",
    "TicketExpired": "The ticket for job {jobId} expired at {expiry}: ask for another.",
    "TicketRefused": "{gate} has given {operator} no such ticket for job {jobId}: ask it for one for this address.",
    "EnrolmentClosed": "Enrolment in job {jobId} closed at {enrolBy}.",
    "NotStartable": (
        "Job {jobId} cannot start yet: it has {trainers} trainers and {hasAggregator} aggregator; it needs one, "
        "and to be full, or past its enrolment with enough trainers."
    ),
    "NotCancellable": "{caller} is not the owner of job {jobId}, who alone may cancel it as long as it may start.",
    "ZeroAddress": "The payee is the zero address: give an address that can withdraw.",
    "ZeroKey": "The encryption key is zero: give an X25519 public key.",
    "InvalidCid": "A CID of {length} bytes was given; it is needed where there is content, and has 1 to 100 bytes.",
    "ZeroCommitment": "The commitment is zero.",
    "KeyAlreadyPublished": "The job key of job {jobId} has already been published.",
    "KeyNotPublished": "The aggregator has not published the job key of job {jobId} yet.",
    "WrongRound": "Job {jobId} is in round {actual}, not {given}.",
    "SubmittingClosed": "The submitting phase of job {jobId} closed at {submitBy}.",
    "SubmittingOpen": "The submitting phase of job {jobId} is open until {submitBy}.",
    "SettlingClosed": "The settling phase of job {jobId} closed at {settleBy}.",
    "AlreadySubmitted": "Seat {slot} has already submitted its update of round {round} of job {jobId}.",
    "NothingSubmitted": "Nobody has submitted in round {round} of job {jobId}: it can only be skipped.",
    "SomethingSubmitted": "Round {round} of job {jobId} has submissions: it must be settled, not skipped.",
    "NotAbortable": (
        "Job {jobId} cannot be aborted before {abortableAfter} has passed: its aggregator's deadline, and the time in "
        "which another may take over."
    ),
    "NotTakeable": "Job {jobId} can be taken over only after {takeableAfter} and up to {takeableUntil}.",
    "NothingToHandOver": "No aggregator that has taken job {jobId} over waits for anything.",
    "StartDelayed": "Somebody joined job {jobId} a moment ago: only its owner can start it before {startableFrom}.",
    "NothingToReveal": "Job {jobId} waits for nothing to be revealed: its points do not rest on rows that are shown.",
    "RevealingClosed": "The time to reveal the validation data of job {jobId} ended at {revealBy}.",
    "RevealingOpen": "The data of job {jobId} can be revealed until {revealBy}: one can say that none were after it.",
    "NotRevealer": "{caller} is neither owner nor aggregator of job {jobId}: only these reveal its data.",
    "OpenedNothing": "No submission of seat {slot} of job {jobId} was opened: it has no part in what rows decide.",
    "AlreadyDisputed": "Seat {slot} has already disputed what round {round} of job {jobId} is about.",
    "NotCompletable": "The last sum of job {jobId} can be disputed until {completableAfter}; then it can be completed.",
    "EndAlreadyAsked": "The owner has already asked for the end of job {jobId}.",
    "AlreadyBurnt": "Bond and fees of job {jobId} are burnt already: there is nothing left to dispute.",
    "NotMember": "Nobody held seat {slot} of job {jobId} when it started.",
    "AlreadyClaimed": "Pay and stake of seat {slot} of job {jobId} were claimed before.",
    "NothingToClaim": "In job {jobId} no fees wait for {payee}.",
    "NotSubmitted": "The settlement of job {jobId} judges {mask}, but only {submitted} have submitted.",
    "SelectedUnopened": "The settlement of job {jobId} selects {selected} while it calls {unopened} unopened.",
    "TooManyUnopened": "The settlement of job {jobId} calls {unopened} submissions unopened, and {most} may be.",
    "NotVoidable": "{unopened} unopened submissions do not make a round of job {jobId} void: {most} may be left out.",
    "NothingToDeliver": "Nobody asks seat {slot} of job {jobId} to deliver its submission again.",
    "ScoreCount": "The settlement of job {jobId} has {given} scores for {required} selected seats.",
    "WrongStrikes": "The settlement of job {jobId} strikes {struck}, of which some are selected or did not open.",
    "ReferenceRows": "Reference rows are given exactly with the rule reference; job {jobId} has rule {rule}.",
    "CoefficientCount": "The settlement of job {jobId} has {given} coefficients, and {required} are required.",
    "InvalidCoefficient": "The settlement of job {jobId} has the coefficient {coefficient}, and 4096 is the largest.",
    "PointCount": "The settlement of job {jobId} has {given} words of points where {required} are required.",
    "NotItsCommitment": "The points given for seat {slot} hash to {hash}, which it did not submit in this round.",
    "WrongPoints": "The points given for the {what} of job {jobId} hash to {hash}, which is not what is stated.",
    "GramProofRefused": "The Gram proof of round {round} of job {jobId} does not hold.",
    "DecisionProofRefused": "The decision proof of round {round} of job {jobId} does not hold.",
    "WrongLength": "The verifier was given {given} words of {what}, and {required} are required.",
    "WrongPositions": "The verifier does not take {positions} as a set of rows.",
    "WrongChunk": "The verifier does not take chunks of {chunk} entries: give a power of two up to 2^28.",
    "NotBelowOrder": "The verifier was given {value} as a scalar, which is not below the group's order.",
    "Infinity": "The verifier was given a point at infinity where there can be none.",
    "InvalidPoint": "The verifier was given two coordinates that are not a point of the curve.",
    "NoInverse": "The verifier was given a multiple of the group's order where there can be none.",
    "UnsafeKey": "With this verifying key anything could be proved: its gamma and delta are equal.",
    "AddressEmptyCode": "There is no contract at {target}.",
    "FailedCall": "A verifier refused the call without saying why.",
    "KeyNotStored": "The verifying key could not be stored.",
    "WrongPayment": "The call carried {sent} wei, and {required} are due.",
    "FeeOnTransfer": "The token {token} delivered {received} of {required} units: tokens that keep a fee are refused.",
    "NothingToWithdraw": "{payee} has no credit in {token}.",
    "CoinTransferFailed": "{payee} did not accept the payment of {amount} wei.",
    "SafeERC20FailedOperation": "The token {token} refused the transfer.",
    "ReentrancyGuardReentrantCall": "The market was called from within one of its own calls.",
    "Error": "The contract refused: {message}.",
    "Panic": "The contract stopped on an internal error (Solidity panic 0x{code:02x}).",
    "ERC20InsufficientBalance": "{sender} holds {balance} units of the token, and {needed} are needed.",
    "ERC20InsufficientAllowance": "{spender} may take {allowance} units of the token, and {needed} are needed.",
    "ERC20InvalidApprover": "The token refused {approver} as the holder of an allowance.",
    "ERC20InvalidReceiver": "The token refused {receiver} as a receiver.",
    "ERC20InvalidSender": "The token refused {sender} as a sender.",
    "ERC20InvalidSpender": "The token refused {spender} as the spender of an allowance.",
}


_CONTRACTS = (
    "JobMarket",
    "Claims",
    "Creation",
    "Delivery",
    "Disputes",
    "Failures",
    "RoundCheck",
    "Tickets",
    "GramVerifier",
    "DecisionVerifier",
)
_LAST_SECOND = int(datetime.max.replace(tzinfo=UTC).timestamp()) - 1
_ROLES = ("Approver", "Receiver", "Sender", "Spender")


def _declared(name: str, *inputs: tuple[str, str]) -> abi.Entry:
    return {"type": "error", "name": name, "inputs": [{"name": n, "type": t, "internalType": t} for n, t in inputs]}


_FOREIGN = (
    _declared("Error", ("message", "string")),
    _declared("Panic", ("code", "uint256")),
    _declared("ERC20InsufficientBalance", ("sender", "address"), ("balance", "uint256"), ("needed", "uint256")),
    _declared("ERC20InsufficientAllowance", ("spender", "address"), ("allowance", "uint256"), ("needed", "uint256")),
    *(_declared(f"ERC20Invalid{role}", (role.lower(), "address")) for role in _ROLES),
)


@cache
def declarations() -> Mapping[bytes, abi.Entry]:
    """Every error that is known, by selector."""
    own = [entry for contract in _CONTRACTS for entry in abi.artifact(contract)["abi"] if entry["type"] == "error"]
    entries = [*own, *_FOREIGN]
    return {function_abi_to_4byte_selector(entry): entry for entry in entries}


def decode(data: bytes, fallback: str = "") -> Reverted:
    """The error that a contract reverted with.

    data: the revert data, possibly empty or of an unknown error. fallback: the node's own words, for want of data.
    """
    entry = declarations().get(data[:4])
    if entry is None:
        what = f"an unknown error 0x{data[:4].hex()}" if data else fallback or "no reason given"
        return Reverted(f"The contract refused the call: {what}.")
    name = entry["name"]
    try:
        raw = abi.decode(get_abi_input_types(entry), data[4:], f"the contract's error {name}")
        values = dict(zip((i["name"] for i in entry["inputs"]), abi.values(entry["inputs"], raw), strict=True))
    except ChainError:
        return Reverted(f"The contract refused the call with a malformed error {name}.", name=name)
    shown = {i["name"]: _shown(i, values[i["name"]]) for i in entry["inputs"]}
    return Reverted(SENTENCES[name].format_map(shown), name=name, values=values)


def _shown(component: abi.Entry, value: Any) -> Any:
    """A value as a person reads it: times, states, sets of slots."""
    match component["type"]:
        case "uint40" | "uint64":
            return _time(value)
        case "uint32":
            return "seats " + (", ".join(map(str, domain.slots(value))) or "(none)")
        case "bool":
            return "an" if value else "no"
        case "bytes32" if component["name"] in ("term", "what"):
            return value.rstrip(b"\0").decode("ascii", "backslashreplace")
        case "bytes32":
            return "0x" + value.hex()
        case "string":  # what a stranger's contract says
            return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value[:200])
        case "address" if component["name"] == "token" and value == domain.ZERO_ADDRESS:
            return "the chain's coin"
    return value.name.lower() if isinstance(value, domain.State) else value


def _time(seconds: int) -> str:
    """Python's calendar ends with the year 9999, uint40 does not."""
    if seconds > _LAST_SECOND:
        return f"second {seconds}"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
