"""A market, with the account that acts in it."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from os import PathLike, fspath
from pathlib import Path
from types import MappingProxyType
from typing import Any

from marketplace.domain import ZERO_ADDRESS
from marketplace.errors import InputError
from marketplace.files import write_atomically
from marketplace.services import claiming
from marketplace.services.listing import Summary, summaries
from marketplace.services.owner import Base, create_job
from marketplace.services.programs import find_files
from marketplace.services.validation import read_data
from marketplace.settings import settings_with
from marketplace.spec import JobFile, job_of, read_job_file
from merit.doors import Data, Named, Through, source
from merit.job import Job
from trainer.programs.export import Source, export

JobSource = str | PathLike[str] | Mapping[str, Any] | JobFile
"""A job.yaml, or the same as a document of plain values (docs/job-file.md)."""


class Market(Through):
    """What can be done in a market. Objects of one market may be used in one thread at a time; `join` makes its own."""

    def __repr__(self) -> str:
        market = self._looking.market
        return f"<merit.Market {market.address} on chain {market.connection.chain_id}>"

    @property
    def contract(self) -> str:
        """The market contract's address."""
        return self._looking.market.address

    @property
    def address(self) -> str:
        """The account that acts. Raises NotFound without a key."""
        return self._acting.me.address

    # ---------------------------------------------------------------- jobs

    def jobs(self) -> list[Summary]:
        """All jobs, a line each, by number."""
        return summaries(self._looking.market)

    def job(self, number: int) -> Job:
        """One of them. Raises NotFound where there is none."""
        self._looking.market.job(number)
        return Job(self._doors, number)

    def create(
        self,
        job: JobSource,
        *,
        validation: Data | None = None,
        program: Source | None = None,
        base: Base | str | PathLike[str] | None = None,
        files: Mapping[str, str | PathLike[str]] = MappingProxyType({}),
        again: bool = False,
        progress: Callable[[str], object] = lambda doing: None,
    ) -> Job:
        """Creates a job, and puts its reward and fees in escrow. The account needs that, and coin for gas.

        validation: the owner's held-out data, which rule `reference` pays by. program: a module and loss of one's own,
        in place of the document's `model`, whose weights the first round starts from; the code stays here. base:
        weights to start from. files: where the files are that the document names, by those names; beside a job.yaml
        they are found. again: create another one where the same job was created before and is not over; else that one
        is given. progress: told what is being done.
        Raises InputError, with nothing sent, for what does not fit; ChainError.
        """
        described, places = self._described(job, program, files)
        named = find_files(described, lambda name: places.get(name, Path(name)))
        data = None if validation is None else read_data(source(validation), described.data, named)
        start = base if base is None or isinstance(base, Base) else Base(Path(fspath(base)))

        def say(doing: str) -> None:
            progress(doing)

        created = create_job(self._acting, described, data, start, files=named, again=again, progress=say)
        return Job(self._doors, created.job_id)

    def _described(
        self, job: JobSource, program: Source | None, files: Mapping[str, str | PathLike[str]]
    ) -> tuple[JobFile, dict[str, Path]]:
        """The job, and where its files are."""
        places = {name: Path(fspath(place)) for name, place in files.items()}
        if program is not None and not isinstance(job, Mapping):
            raise InputError("A program takes the job as a document, a dict without `model`: give no file beside it.")
        if isinstance(job, JobFile):
            return job, places
        if not isinstance(job, Mapping):
            path = Path(fspath(job))
            described = read_job_file(path, self._decimals)
            return described, {name: path.parent / name for name in described.files} | places
        document = dict(job)
        if program is not None:
            if "model" in document:
                raise InputError("The job has a `model` and a program is given: leave one of them out.")
            file = self._exported(program)
            document["model"] = {"architecture": "program", "parameters": {"file": file.name}}
            places[file.name] = file
        terms = document.get("market")
        if self._doors.aggregator is not None and isinstance(terms, Mapping) and "aggregator" not in terms:
            document["market"] = {**terms, "aggregator": self._doors.aggregator}
        return job_of(document, where="The job", decimals=self._decimals), places

    def _decimals(self, token: str) -> int | None:
        return self._looking.market.token(token).decimals

    def _exported(self, program: Source) -> Path:
        try:
            content = export(program)
        except ValueError as error:
            raise InputError(f"The program cannot be exported: {error}.") from error
        path = self._acting.home / "programs" / f"program-{sha256(content).hexdigest()[:16]}.safetensors"
        write_atomically(path, content)
        return path

    # ---------------------------------------------------------------- money

    def balance(self, token: str = ZERO_ADDRESS) -> int:
        """What the account holds, in the token's smallest unit; wei of the chain's coin by default."""
        return self._looking.market.balance(token, self.address)

    def credit(self, token: str = ZERO_ADDRESS) -> int:
        """What the account can withdraw, likewise."""
        return self._looking.market.credit(self.address, token)

    def withdraw(self, token: str = ZERO_ADDRESS) -> int:
        """Withdraws all of it; how much that was. Raises Reverted where it is nothing."""
        return claiming.withdraw(self._acting.market, self._acting.me.account, token).amount


def connect(
    *,
    rpc: str | None = None,
    storage: str | None = None,
    market: str | None = None,
    home: str | PathLike[str] | None = None,
    key: str | None = None,
    password: str | None = None,
    poll: float | None = None,
    allow_development_setup: bool | None = None,
) -> Market:
    """A market as the command line opens it: what is not given comes from MERIT_* in the environment, and where neither
    rpc, storage nor market is, from the `merit up` that runs here.

    rpc: the chain's JSON-RPC address. storage: folder:PATH, an IPFS RPC address, or node+https://HOST. market: the
    contract's address. home: the folder of keys and work. key: name or address of the key to act with, which
    `password` unlocks; reading needs none. poll: seconds between two looks at the chain. allow_development_setup:
    accept one, whose proofs can be forged, on a public chain too.
    Raises InputError for a setting that is wrong; NotFound, ChainError where there is no such market.
    """
    given = {"rpc": rpc, "storage": storage, "market": market, "home": home, "key": key, "password": password}
    settings = settings_with(given | {"poll": poll, "allow_development_setup": allow_development_setup})
    found = Market(Named(settings))
    _ = found.contract  # a market that is not there is said here
    return found
