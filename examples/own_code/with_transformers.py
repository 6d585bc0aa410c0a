"""Trains a round of a Merit job with the Trainer of Hugging Face's transformers.

cd examples/own_code
merit trainer join JOB --data ... --with with_transformers:train
"""

import tempfile

import torch
from torch import nn
from transformers import Trainer, TrainingArguments

from trainer.own import OwnRound


class Model(nn.Module):
    """What the Trainer wants: a module that gives its own loss."""

    def __init__(self, work: OwnRound) -> None:
        super().__init__()
        self.model, self.work = work.module, work

    def forward(self, inputs, target):
        return {"loss": self.work.loss(inputs, target)}


def collate(samples):
    inputs = {name: torch.stack([sample[0][name] for sample in samples]) for name in samples[0][0]}
    return {"inputs": inputs, "target": torch.stack([sample[1] for sample in samples])}


def train(work: OwnRound) -> nn.Module:
    """One round, epochs as the job says, with a rate that falls to nothing within it."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=work.training.epochs,
            per_device_train_batch_size=work.training.batch_size,
            learning_rate=work.training.learning_rate,
            lr_scheduler_type="cosine",
            seed=work.seed % 2**32,
            remove_unused_columns=False,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=work.device.type == "cpu",
        )
        Trainer(Model(work), arguments, train_dataset=work.dataset(), data_collator=collate).train()
    return work.module.to(work.device)
