"""Documents and words: job files, specs, reveals, amounts, what a browser's headers say."""

import json
import tempfile
from functools import cache
from pathlib import Path

import yaml
from pydantic import ValidationError
from starlette.datastructures import Headers

from marketplace.api.guard import Guard, _name
from marketplace.api.routes.streams import _position
from marketplace.documents import parse_yaml
from marketplace.domain import ZERO_ADDRESS
from marketplace.errors import CorruptContent, InputError
from marketplace.services.validation import Reveal
from marketplace.spec import JobFile, PinnedFile, ProofsSpec, Spec, read_job_file
from marketplace.storage import open_storage
from marketplace.tickets import MAX_SIGNATURE, MAX_TEXT, Door, parse_ticket
from marketplace.units import format_amount, parse_amount, parse_duration
from tests.example import TEXT, example
from tests.fuzz.target import Target, hold
from trainer.programs import check_program

TICKET = json.loads((Path(__file__).parents[1] / "vectors" / "ticket.json").read_text())["text"]
CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"


@cache
def job() -> JobFile:
    return example()


def _job_file(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as file:
        file.write(data)
        file.flush()
        try:
            made = read_job_file(Path(file.name))
        except InputError as error:
            hold(len(str(error)) < 10_000 and str(error).isprintable(), "a complaint is no sentence")
            raise
    text = yaml.safe_dump(made.model_dump(mode="json"), allow_unicode=True)
    hold(JobFile.model_validate(parse_yaml(text, where="it")) == made, "a job changes on its way")


def _spec(data: bytes) -> None:
    spec = Spec.from_bytes(data, where="here")
    hold(Spec.from_bytes(spec.to_bytes(), where="here") == spec, "a spec changes on its way")
    try:
        check_program(spec.model, spec.data, spec.task, spec.training.batch_size, {})
    except ValueError as error:
        hold(len(str(error)) < 10_000, "a complaint is no sentence")


@cache
def specs() -> list[bytes]:
    pinned = PinnedFile(hash="0x" + "5a" * 32, cid=CID)
    proofs = ProofsSpec(chunk=1024, srs=pinned, key=pinned, development=True)
    good = Spec.of(job(), parameters=4810, files={}, base_cid=CID, proofs=proofs, validation=None).to_bytes()
    small = json.loads(good)
    small["model"] = {"architecture": "cnn", "parameters": {"channels": 1, "height": 8, "width": 8, "classes": 2}}
    return [good, json.dumps(small).encode(), good.replace(b"64", b"1048576"), b"[" * 3000, b'{"name":"\\u001b"}']


def _reveal(data: bytes) -> None:
    found = Reveal.model_validate_json(data)
    hold(Reveal.model_validate_json(found.model_dump_json()) == found, "a reveal changes on its way")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _amount(data: bytes) -> None:
    amount = parse_amount(_text(data))
    hold(0 <= amount < 2**128 and parse_amount(format_amount(amount)) == amount, "an amount changes on its way")


def _duration(data: bytes) -> None:
    seconds = parse_duration(_text(data))
    hold(seconds > 0 and parse_duration(f"{seconds} s") == seconds, "a duration changes on its way")


def _storage_address(data: bytes) -> None:
    open_storage(_text(data), timeout=1.0)


class _Services:
    """All that a stream's position is read against."""


def _cursor(data: bytes) -> None:
    place = _position(data.decode("latin-1"), _Services())  # type: ignore[arg-type]
    if place is not None:
        hold(0 <= place[1] < 2**63 and 0 <= place[2] < 2**63, "a cursor that no index takes")
        hold(_position(f"{place[0]}.{place[1]}.{place[2]}", _Services()) == place, "a cursor changes")  # type: ignore[arg-type]


async def _nothing(*_: object) -> None:
    return None


def _headers(data: bytes) -> None:
    """Host, Origin and Sec-Fetch-Site, a line each: a stranger's page gets nothing through."""
    lines = [line.strip() for line in data.split(b"\n")]
    names = (b"host", b"origin", b"sec-fetch-site")
    raw = [(name, line) for name, line in zip(names, lines, strict=False) if line != b"-"]
    refused = Guard(_nothing)._refusal("POST", "/api/jobs", Headers(raw=raw))
    if not refused:
        headers = dict(raw)
        hold(_name(headers[b"host"].decode("latin-1").lower()) in ("localhost", "127.0.0.1", "[::1]"), "another host")
        origin = headers.get(b"origin", b"").lower()
        hold(not origin or origin.split(b"//", 1)[-1] == headers[b"host"].lower(), "another origin")


JOB_FILES = [TEXT.encode(), b"&a [*a]", b'"\\ud800": 1', b"[" * 99]
HEADERS = [b"localhost:80\nhttp://localhost:80\nsame-origin", b"[::1]\nhttp://[\n-", b"-"]
STORAGES = [b"folder:/tmp/x", b"~nobody-here/x", b"http://[::1]:1", b"/ip4/1.2.3.4/tcp/5"]


def _ticket(data: bytes) -> None:
    text = _text(data)
    ticket = parse_ticket(text)
    hold(str(ticket) == text.strip() and len(text.strip()) <= MAX_TEXT, "a ticket changes on its way")
    hold(8 <= len(ticket.call_data) <= 8 + MAX_SIGNATURE, "a ticket of another length than the contract takes")
    Door(1, ZERO_ADDRESS, ticket.job_id, bytes(32)).signer(ticket)


TICKETS = [TICKET.encode(), TICKET.encode() + b"00" * 1983, b" " + TICKET.encode()[:-130] + b"\n", b"merit1_7_"]
TARGETS = [
    Target("job-file", _job_file, (InputError,), lambda: JOB_FILES),
    Target("spec", _spec, (CorruptContent,), specs),
    Target("reveal", _reveal, (ValidationError,), lambda: [b'{"validation_cid":"b","rows":{"1":"c"}}', b"[" * 999]),
    Target("amount", _amount, (ValueError,), lambda: [b"0.25 ether", b"5", b"1 wei", b"9" * 60 + b" gwei"]),
    Target("duration", _duration, (ValueError,), lambda: [b"1.5 h", b"90", b"2 d", b"9" * 60 + b" min"]),
    Target("ticket", _ticket, (ValueError,), lambda: TICKETS),
    Target("storage", _storage_address, (InputError,), lambda: STORAGES),
    Target("cursor", _cursor, (), lambda: [b"abc.1.2", b"..", b"x.99999999999999999.0"]),
    Target("headers", _headers, (), lambda: HEADERS),
]
