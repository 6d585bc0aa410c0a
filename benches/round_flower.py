"""Rounds of the same training in Flower's simulation: `python -m benches.round_flower CASE.json ROUNDS RESULT.json`.

Runs in the environment that has Flower (`make .venv-flower/.ready`): FedAvg over as many clients as the case has
trainers, each with an actor of its own, so that all train at once as Merit's trainers do. Model, data and training are
opened once a client, and trained by the same function as Merit trains by. Nothing is evaluated.
"""

import json
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

from trainer.config import DataSchema, ModelConfig, TaskConfig, TrainingConfig
from trainer.data import Dataset, load
from trainer.models import flatten, load_flat
from trainer.programs import Program, open_program
from trainer.train import train_round


@lru_cache
def opened(case: str, client: int) -> tuple[Program, Dataset, TrainingConfig, int]:
    """A client's program, data, training and seed."""
    document = json.loads(Path(case).read_text())
    schema = DataSchema.model_validate(document["data"])
    program = open_program(ModelConfig.model_validate(document["model"]), schema, TaskConfig(kind="classification"), {})
    training = TrainingConfig.model_validate(document["training"])
    return program, load(document["trainers"][client], schema), training, document["seed"]


client_app = ClientApp()


@client_app.train()
def train(message: Message, context: Context) -> Message:
    config = message.content["config"]
    torch.set_num_threads(1)  # many clients share this machine's cores
    program, data, training, seed = opened(config["case"], int(context.node_config["partition-id"]))
    load_flat(program.module, message.content["arrays"].to_torch_state_dict()["w"])
    result = train_round(program, data, training, round=config["server-round"], seed=seed)
    return Message(
        RecordDict(
            {
                "arrays": ArrayRecord({"w": flatten(program.module).detach()}),
                "metrics": MetricRecord({"seconds": result.seconds, "num-examples": len(data)}),
            }
        ),
        reply_to=message,
    )


class Timed(FedAvg):
    """FedAvg that notes when each round begins, and how long its slowest client trained."""

    begun: list[float]
    slowest: list[float]

    def configure_train(self, server_round: int, *rest: Any) -> Any:
        self.begun.append(time.perf_counter())
        return super().configure_train(server_round, *rest)

    def aggregate_train(self, server_round: int, replies: Any) -> Any:
        came = list(replies)
        self.slowest.append(max(float(reply.content["metrics"]["seconds"]) for reply in came))
        return super().aggregate_train(server_round, came)


def main() -> None:
    case, rounds, result = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    clients = len(json.loads(Path(case).read_text())["trainers"])
    strategy = Timed(fraction_evaluate=0.0, min_train_nodes=clients, min_available_nodes=clients)
    strategy.begun, strategy.slowest = [], []
    server_app = ServerApp()

    @server_app.main()
    def serve(grid: Grid, context: Context) -> None:
        weights = flatten(opened(case, 0)[0].module).detach()
        config = ConfigRecord({"case": case})
        strategy.start(grid, ArrayRecord({"w": weights}), num_rounds=rounds, train_config=config)
        strategy.begun.append(time.perf_counter())

    cores = torch.get_num_threads()
    backend = {"client_resources": {"num_cpus": cores / clients}, "init_args": {"num_cpus": cores}}
    run_simulation(server_app, client_app, num_supernodes=clients, backend_config=backend)
    result.write_text(json.dumps({"begun": strategy.begun, "slowest": strategy.slowest}))


if __name__ == "__main__":
    from benches import round_flower  # what is in __main__ cannot be sent to the clients' processes

    round_flower.main()
