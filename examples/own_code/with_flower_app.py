"""Trains a round of a Merit job with a Flower ClientApp, which gets messages and answers them.

    cd examples/own_code
    merit trainer join JOB --data ... --with with_flower_app:train

`app` is what a Flower project has, but for where its model and data come from: `train` hands it the round's.
"""

import time

import torch
from torch import nn

from trainer.own import OwnRound

try:
    from flwr.app import ArrayRecord, ConfigRecord, Context, Message, Metadata, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
except ImportError as error:
    raise ImportError("this example needs Flower: pip install flwr") from error

app = ClientApp()


@app.train()
def fit(message: Message, context: Context) -> Message:
    """One round on this client's data."""
    work: OwnRound = _work[context.node_id]
    config = message.content["config"]
    model = work.module
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config["learning-rate"])
    for _ in range(config["epochs"]):
        for inputs, target in work.loader():
            optimizer.zero_grad()
            work.loss(inputs, target).backward()
            optimizer.step()
    answer = {
        "arrays": ArrayRecord(model.state_dict()),
        "metrics": MetricRecord({"num-examples": len(work.data)}),
    }
    return Message(content=RecordDict(answer), reply_to=message)


_work: dict[int, OwnRound] = {}
"""The round of each node of this process: a Merit trainer is one."""


def train(work: OwnRound) -> nn.Module:
    """One round: what Flower's server would ask the client for, and what it would take from the answer."""
    server, client = 0, 1
    settings = ConfigRecord({"learning-rate": work.training.learning_rate, "epochs": work.training.epochs})
    asked = RecordDict({"arrays": ArrayRecord(work.module.state_dict()), "config": settings})
    about = Metadata(work.round, "", server, client, "", "", time.time(), 3600.0, "train")
    _work[client] = work
    context = Context(run_id=work.round, node_id=client, node_config={}, state=RecordDict(), run_config={})
    answer = app(Message(content=asked, metadata=about), context)
    work.module.load_state_dict(answer.content["arrays"].to_torch_state_dict())
    return work.module
