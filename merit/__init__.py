"""Merit for notebooks and programs: what `merit` does on the command line, as objects (docs/python.md).

    import merit

    with merit.local() as market:  # or merit.connect(rpc=..., market=..., password=...)
        job = market.create("job.yaml", validation="validation.npz")
        trainer = market.account("anna").job(job.number).join("anna.npz")
        for event in job.watch():
            print(event)
        print(job.pay(), job.audit().ok)
        print(job.model().predict("new.npz").values)

Amounts are integers in a token's smallest unit (wei for the chain's coin), times Unix seconds. What goes wrong on
purpose is a MeritError, one sentence that says what to do.
"""

from importlib.metadata import version

from marketplace.domain import ZERO_ADDRESS as COIN
from marketplace.domain import State
from marketplace.errors import (
    ChainError,
    CorruptContent,
    InputError,
    JobOver,
    MeritError,
    NotFound,
    Reverted,
    StorageError,
)
from marketplace.services.agent import Notice
from marketplace.services.audit import AuditReport, Paid
from marketplace.services.listing import Summary
from marketplace.services.owner import Base, RoundCheck
from merit import events
from merit.job import Job
from merit.local_market import LocalMarket, local
from merit.market import Market, connect
from merit.model import Model, load_model
from merit.participation import Participation
from trainer.data import DataOptions, Dataset
from trainer.own import OwnRound
from trainer.programs.export import Source
from trainer.results import Prediction
from trainer.train import Evaluation

__version__ = version("merit")

__all__ = [
    "COIN", "AuditReport", "Base", "ChainError", "CorruptContent", "DataOptions", "Dataset", "Evaluation",
    "InputError", "Job", "JobOver", "LocalMarket", "Market", "MeritError", "Model", "NotFound", "Notice", "OwnRound",
    "Paid", "Participation", "Prediction", "Reverted", "RoundCheck", "Source", "State", "StorageError", "Summary",
    "connect", "events", "load_model", "local",
]  # fmt: skip
