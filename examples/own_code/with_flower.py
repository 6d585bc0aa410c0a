"""Trains a round of a Merit job with a Flower NumPyClient that was written for Flower.

    cd examples/own_code
    merit trainer join JOB --data ... --with with_flower:train

The client is what a Flower project has; `train` is all that Merit needs of it.
"""

import torch
from torch import nn

from trainer.own import OwnRound

try:
    from flwr.client import NumPyClient
except ImportError as error:
    raise ImportError("this example needs Flower: pip install flwr") from error


class Client(NumPyClient):
    """A Flower client as its tutorials have it: parameters in, parameters out."""

    def __init__(self, model: nn.Module, work: OwnRound) -> None:
        self.model, self.work = model, work

    def get_parameters(self, config):
        return [parameter.detach().cpu().numpy() for parameter in self.model.parameters()]

    def set_parameters(self, parameters) -> None:
        with torch.no_grad():
            for own, given in zip(self.model.parameters(), parameters, strict=True):
                own.copy_(torch.as_tensor(given))

    def fit(self, parameters, config):
        self.set_parameters(parameters)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=config["learning_rate"])
        for _ in range(config["epochs"]):
            for inputs, target in self.work.loader():
                optimizer.zero_grad()
                self.work.loss(inputs, target).backward()
                optimizer.step()
        return self.get_parameters({}), len(self.work.data), {}


def train(work: OwnRound) -> nn.Module:
    """One round: what Flower's server would ask the client for."""
    client = Client(work.module, work)
    config = {"learning_rate": work.training.learning_rate, "epochs": work.training.epochs}
    parameters, _, _ = client.fit(client.get_parameters({}), config)
    client.set_parameters(parameters)
    return work.module
