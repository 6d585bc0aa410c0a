"""Trains a round of a Merit job with Lightning.

cd examples/own_code
merit trainer join JOB --data ... --with with_lightning:train
"""

import lightning
import torch
from torch import nn

from trainer.own import OwnRound


class Module(lightning.LightningModule):
    """The job's module and loss; optimizer and everything else are this file's own."""

    def __init__(self, work: OwnRound) -> None:
        super().__init__()
        self.model, self.work = work.module, work

    def training_step(self, batch, index):
        return self.work.loss(*batch)

    def configure_optimizers(self):
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        return torch.optim.AdamW(trained, lr=self.work.training.learning_rate)


def train(work: OwnRound) -> nn.Module:
    """One round, epochs as the job says."""
    trainer = lightning.Trainer(
        max_epochs=work.training.epochs,
        accelerator="cpu" if work.device.type == "cpu" else "auto",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(work), work.loader())
    return work.module.to(work.device)
