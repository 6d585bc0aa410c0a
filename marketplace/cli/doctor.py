"""`merit doctor`: what would get in the way, and what to do about it, before it does."""

import platform
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from marketplace.chain.anvil import find_tool
from marketplace.chain.gas import gas_price
from marketplace.chain.market import Market
from marketplace.cli.session import Session, session
from marketplace.domain import ZERO_ADDRESS
from marketplace.errors import CorruptContent, MeritError, NotFound
from marketplace.keys.identity import Identity
from marketplace.services.money import CREATE_GAS, about
from marketplace.services.node import LOCAL_CHAINS, JobFeed, fetch_spec
from marketplace.storage import PEER, Storage, get_bytes, put_bytes
from marketplace.units import format_amount

MAX_SKEW = 120  # seconds that the chain's newest block may be before or behind this machine's clock
MIN_DISK = 2 * 2**30  # bytes that a job's set-up, sums and updates may come to
MOST_NAMED = 10  # keys
JOBS = 20  # whose descriptions are looked for, newest first

Result = Literal["ok", "warning", "problem"]
_STYLE: dict[Result, str] = {"ok": "green", "warning": "yellow", "problem": "bold red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """text: what was found, and where it is not "ok" what to do."""

    what: str
    result: Result
    text: str


def doctor(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Look at chain, market, storage, keys, funds, GPU, disk and versions, and say what to do. Sends nothing.

    A few bytes are put into storage and read back. Exit code 1 where something is a problem.
    """
    here = session(context)
    if json:
        here = here.as_json()
    findings = list(_examined(here))
    table = Table("what", "result", "what was found")
    for each in findings:
        table.add_row(each.what, Text(each.result, _STYLE[each.result]), Text(each.text))
    here.show([asdict(each) for each in findings], table)
    if any(each.result == "problem" for each in findings):
        raise typer.Exit(1)


def _examined(here: Session) -> Iterator[Finding]:
    yield from _versions()
    yield _device()
    yield _disk(here.settings.home_folder)
    market = None
    try:
        connection = here.connection()
        yield from _chain(here)
    except MeritError as error:
        yield Finding("chain", "problem", str(error))
    else:
        try:
            market = here.market()
            jobs = market.job_count()
            yield Finding(
                "market",
                "ok",
                f"{market.address} on chain {connection.chain_id}, with {jobs} {'job' if jobs == 1 else 'jobs'}.",
            )
        except MeritError as error:
            yield Finding("market", "problem", str(error))
    identity, found = _key(here)
    yield from found
    if market is not None:
        yield _storage(here, market, identity)
        if identity is not None:
            yield _funds(market, identity.address)


# ---------------------------------------------------------------- this machine


def _versions() -> Iterator[Finding]:
    python = f"merit {version('merit')}, Python {platform.python_version()}, torch {version('torch')}"
    if (3, 11) <= sys.version_info[:2] < (3, 14):
        yield Finding("versions", "ok", f"{python}.")
    else:
        yield Finding("versions", "warning", f"{python}: Merit is tested with Python 3.11 to 3.13.")
    try:
        yield Finding("Anvil", "ok", f"{find_tool('anvil')}, for chains on this machine.")
    except NotFound:
        yield Finding("Anvil", "ok", "It is downloaded when a chain on this machine is started for the first time.")
    try:
        from zk import kzg  # noqa: F401
    except ImportError as error:
        yield Finding("proofs", "problem", f"The compiled core is missing ({error}): run `make setup`.")
    else:
        yield Finding("proofs", "ok", "The compiled core is here.")


def _device() -> Finding:
    import torch

    from trainer.train import pick_device

    device = pick_device()
    try:
        torch.ones(1, device=device).sum().item()
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        return Finding("GPU", "warning", f"{device} does not work ({reason}): train with --devices cpu.")
    if device.type == "cuda":
        return Finding("GPU", "ok", f"{torch.cuda.get_device_name(device)}; trainers use it.")
    return Finding("GPU", "ok", f"Trainers use {device.type}: torch finds no CUDA device here.")


def _disk(home: Path) -> Finding:
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / 2**30:.1f} GiB are free for {home}"
    if free < MIN_DISK:
        return Finding("disk", "problem", f"{text}: make room, or choose another folder with --home.")
    return Finding("disk", "ok", f"{text}.")


# ---------------------------------------------------------------- chain, storage, key


def _chain(here: Session) -> Iterator[Finding]:
    """Raises ChainError."""
    connection = here.connection()
    kind = "a chain for development" if connection.chain_id in LOCAL_CHAINS else "a public chain"
    price = gas_price(connection)
    yield Finding("chain", "ok", f"Chain {connection.chain_id}, {kind}; gas costs {price / 10**9:.3g} gwei at most.")
    latest = connection.latest().timestamp
    ahead = connection.now() - int(time.time())
    if connection.chain_id in LOCAL_CHAINS:
        text = f"The chain's clock is {abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} this machine's."
        if abs(ahead) > MAX_SKEW:
            yield Finding("clock", "warning", f"{text} Deadlines go by the chain's.")
        else:
            yield Finding("clock", "ok", text)
        return
    age = int(time.time()) - latest
    if age > MAX_SKEW:
        text = f"The newest block is {age} s old: the node lags, or this machine's clock is fast."
        yield Finding("clock", "problem", f"{text} Use another node, or set the clock.")
    elif age < -MAX_SKEW:
        yield Finding("clock", "problem", f"The newest block is {-age} s ahead of this machine's clock: set the clock.")
    else:
        yield Finding("clock", "ok", f"The newest block is {max(age, 0)} s old.")


def _storage(here: Session, market: Market, identity: Identity | None) -> Finding:
    where = here.storage_address()
    try:
        storage = here.storage(market, identity if where.startswith(PEER) else None)
        if not where.startswith(PEER):
            cid = put_bytes(storage, b"merit doctor")
            get_bytes(storage, cid, max_bytes=64)
        missing = _missing_descriptions(here, market, storage)
    except MeritError as error:
        return Finding("storage", "problem", str(error))
    if missing:
        return Finding(
            "storage",
            "problem",
            f"{where} works, but lacks the descriptions of jobs {', '.join(map(str, missing))}: it is not the storage "
            "that this market's jobs are published to. Name that with --storage, or MERIT_STORAGE.",
        )
    return Finding("storage", "ok", f"{where} works, and has the descriptions of this market's newest jobs.")


def _missing_descriptions(here: Session, market: Market, storage: Storage) -> list[int]:
    """Of the newest jobs, where not one is there: single ones may name what nobody has."""
    node, count = here.node_of(None), market.job_count()
    missing = []
    for job_id in range(count, max(0, count - JOBS), -1):
        try:
            fetch_spec(storage, JobFeed(node, job_id).refresh().created)
        except NotFound:
            missing.append(job_id)
        except CorruptContent:
            continue  # an owner may have published anything
        else:
            return []
    return missing


def _key(here: Session) -> tuple[Identity | None, list[Finding]]:
    name, keystore = here.settings.key, here.keystore()
    try:
        path = keystore.path_of(name)
    except NotFound:
        known = ", ".join(entry.name for entry in keystore.entries()[:MOST_NAMED])
        then = f"choose one with --key ({known})" if known else "`merit key new` makes one"
        folder = here.settings.home_folder / "keys"
        text = f"There is no key {name!r} in {folder}: {then}. Reading and auditing need none."
        return None, [Finding("key", "warning", text)]
    except MeritError as error:
        return None, [Finding("key", "problem", str(error))]
    found = []
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        found.append(Finding("key", "warning", f"{path} can be read by others: `chmod 600 {path}`."))
    if here.settings.password is None and here.settings.password_file is None:
        return None, [
            *found,
            Finding("key", "ok", f"{path} is there; without MERIT_PASSWORD or --password-file it was not opened."),
        ]
    try:
        identity = here.identity()
    except MeritError as error:
        return None, [*found, Finding("key", "problem", str(error))]
    return identity, [*found, Finding("key", "ok", f"{name!r} opens, and is {identity.address}.")]


def _funds(market: Market, account: str) -> Finding:
    held, needed = market.balance(ZERO_ADDRESS, account), CREATE_GAS * gas_price(market.connection)
    text = f"{account} holds {format_amount(held)}"
    if held < needed:
        hint = f" `merit fund {account}` gives it some." if market.connection.chain_id in LOCAL_CHAINS else ""
        return Finding("funds", "problem", f"{text}; creating a job takes about {about(needed)} for gas alone.{hint}")
    return Finding("funds", "ok", f"{text}; creating a job takes about {about(needed)} for gas, beside its escrow.")
