"""A job, as its owner, its trainers and everybody else see it."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from threading import Event as Flag

from marketplace.domain import Event, State, Terms
from marketplace.errors import InputError
from marketplace.services import claiming
from marketplace.services.agent import Report
from marketplace.services.audit import AuditReport, Paid, audit_job, pay_by_seat
from marketplace.services.following import follow
from marketplace.services.listing import Summary, summary
from marketplace.services.node import JobFeed, fetch_spec, job_key
from marketplace.services.owner import Over, RoundCheck, Watcher, export_model, reveal_validation
from marketplace.services.programs import fetch_files
from marketplace.services.standing import what_it_waits_for
from marketplace.services.taking_part import take_part
from marketplace.services.trainer import data_loader
from marketplace.services.training import Plan
from marketplace.services.validation import read_data
from merit.doors import Data, Doors, Through, source
from merit.model import Model
from merit.participation import Participation
from trainer.data import PLAIN, DataOptions
from trainer.devices import parse_devices
from trainer.own import OwnTraining


class Job(Through):
    """One job of a market; made by `Market.create` and `Market.job`."""

    def __init__(self, doors: Doors, number: int) -> None:
        super().__init__(doors)
        self.number = number

    def __repr__(self) -> str:
        return f"<merit.Job {self.number}>"

    # ---------------------------------------------------------------- what there is to see

    @property
    def state(self) -> State:
        """Now: OPEN, RUNNING, CONFIRMING, and in the end COMPLETED, CANCELLED or ABORTED."""
        return self._looking.market.job(self.number).state

    @property
    def terms(self) -> Terms:
        """What was agreed; never changes."""
        return self._looking.market.terms(self.number)

    def summary(self) -> Summary:
        """The job in a line, as it is now."""
        return summary(self._looking.market, self.number)

    def waits_for(self) -> str:
        """In a sentence; "" for a job that is over."""
        market = self._looking.market
        return what_it_waits_for(self.terms, market.job(self.number), market.connection.now())

    def watch(self) -> Iterator[Event]:
        """Everything that happens (merit.events), from the job's creation on, as it happens; ends when the job is over.

        Where the chain takes its last blocks back, the events in their place follow. Raises ChainError while the chain
        does not answer; watching again begins from the start.
        """
        return follow(self._doors.looking(), self.number, self._pause)

    def pay(self) -> dict[int, Paid]:
        """What each member is paid, by seat, in units of the terms' token; while the job goes on, if it ended now."""
        return pay_by_seat(JobFeed(self._looking, self.number).refresh())

    def audit(self, *, models: bool = False) -> AuditReport:
        """Checks every proof and every payout, from chain and storage alone. `findings` says what is wrong, `ok` if
        nothing is.

        models: follow the models too, which takes the job key: the account has to be the job's owner, its aggregator or
        one of its trainers.
        """
        key = None
        if models:
            key = job_key(self._acting, JobFeed(self._acting, self.number).refresh())
        return audit_job(self._looking, self.number, job_key=key)

    # ---------------------------------------------------------------- as a trainer

    def join(
        self,
        data: Data,
        *,
        train: OwnTraining | None = None,
        options: DataOptions = PLAIN,
        ticket: str = "",
        payee: str = "",
        devices: str = "",
        seed: int = 0,
        anyway: bool = False,
        patience: float = 3600.0,
        report: Report = lambda notice: None,
    ) -> Participation:
        """Takes a seat and part in every round, in a thread of its own, until the job is over and its part is claimed.

        Returns once the data are read and found to fit; what goes wrong before, such as too little coin for the stake,
        is raised here, what goes wrong later by `Participation.wait`. After a crash, joining again goes on.

        train: a function of one's own in place of Merit's training (docs/own-code.md). options: how the data are read.
        ticket: of a job by invitation. payee: whom the pay goes to, the account itself by default. devices: such as
        cuda:0,cuda:1, all, or cpu; the best there is by default. seed: of the training's randomness. anyway: join where
        a round seems not to be feasible in its time. patience: seconds that an outage of chain or storage is borne.
        report: told what happens, in that thread.
        """
        try:
            chosen = parse_devices(devices)
        except ValueError as error:
            raise InputError(f"Not joined: {error}.") from error
        node = self._doors.acting()
        plan = Plan(payee or node.me.address, chosen, seed, anyway=anyway, ticket=ticket, own=train)

        def work(told: Report, stop: Flag, beginning: Callable[[], AbstractContextManager[object]]) -> None:
            load = data_loader(source(data), options)
            poll = self._doors.poll
            take_part(node, self.number, load, plan, told, poll=poll, patience=patience, stop=stop, beginning=beginning)

        joined = Participation(f"trainer of job {self.number}", work, report)
        self._doors.joined.append(joined)
        return joined

    def claim(self) -> None:
        """Credits the account's pay and stake, once the job is over: trainers that run until then do it themselves."""
        claiming.claim(self._acting, self.number)

    # ---------------------------------------------------------------- as its owner

    def oversee(self, validation: Data | None = None) -> Iterator[RoundCheck]:
        """Does an owner's part until the job is over, and tells of each settled round what the model is worth then.

        `problem` names what is wrong with a round's reference rows. To an aggregator that takes over it seals what that
        needs, and members are shown the validation data when it is time. validation: data to judge by, where the job
        was created without any.
        """
        node = self._doors.acting()
        data = None
        if validation is not None:
            spec = fetch_spec(node.storage, JobFeed(node, self.number).refresh().created)
            data = read_data(source(validation), spec.data, fetch_files(node, spec))
        watcher = Watcher(node, self.number, data)
        while True:
            for news in watcher.look():
                if isinstance(news, RoundCheck):
                    yield news
                elif isinstance(news, Over):
                    return
            self._pause()

    def reveal(self) -> None:
        """Makes the validation data of a job that is over public, so that everybody can repeat its pay."""
        reveal_validation(self._acting, self.number)

    # ---------------------------------------------------------------- the model

    def model(self) -> Model:
        """The model after the last settled round, for the job's owner, aggregator and trainers."""
        node = self._acting
        final = export_model(node, self.number)
        spec = fetch_spec(node.storage, JobFeed(node, self.number).refresh().created)
        return Model(final.card, final.program, fetch_files(node, spec))

    def _pause(self) -> None:
        time.sleep(self._doors.poll)
