"""One step of training: gradients of a few batches, what is done to them, and the optimizer."""

from contextlib import nullcontext
from typing import Protocol

import torch
from torch import nn

from trainer.batches import Batch, size
from trainer.config import TrainingConfig
from trainer.models.vectors import trained
from trainer.programs import Program


class Peers(Protocol):
    """The other processes that train on the same round, each on its part of every batch."""

    rank: int
    world: int

    def reduce(self, parameters: list[nn.Parameter], loss: torch.Tensor, stop: bool) -> tuple[torch.Tensor, bool]:
        """Adds up gradients and losses over all processes, in place. Whether any of them wants to stop is the same
        answer for all."""


def optimizer(module: nn.Module, config: TrainingConfig, rate: float) -> torch.optim.Optimizer:
    """The optimizer of what is trained of a module."""
    parameters = list(trained(module).values())
    on_gpu = bool(parameters) and parameters[0].is_cuda
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=rate,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
            fused=on_gpu or None,
        )
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(
        parameters,
        lr=rate,
        betas=config.betas,
        eps=config.epsilon,
        weight_decay=config.weight_decay,
        fused=on_gpu or None,
        capturable=on_gpu,  # its count of steps stays on the GPU, so that a step can be one graph
    )


class Steps:
    """The steps of one round. base: where the round began, for proximal_mu."""

    def __init__(self, program: Program, config: TrainingConfig, rate: float, device: torch.device) -> None:
        self.config, self.rate, self.device = config, rate, device
        self._program = program
        program.module.zero_grad(set_to_none=True)
        self._parameters = list(trained(program.module).values())
        self._optimizer = optimizer(program.module, config, rate)
        self._base = [p.detach().clone() for p in self._parameters] if config.proximal_mu else []
        mixed = config.mixed_precision and device.type == "cuda"
        self._half = torch.bfloat16 if mixed and torch.cuda.is_bf16_supported() else torch.float16
        self._mixed = mixed
        self._scaler = torch.amp.GradScaler("cuda", enabled=mixed and self._half == torch.float16)
        self._done = 0

    @property
    def one_graph(self) -> bool:
        """Whether every further step is the same work: none on the CPU, or whose rate grows or loss is scaled."""
        warm = self._done >= self.config.warmup_steps
        return self.device.type == "cuda" and self.config.accumulate == 1 and warm and not self._scaler.is_enabled()

    def add(self, batch: Batch, samples: int) -> torch.Tensor:
        """Adds a batch's part of the gradient of a step of so many samples. The part of the mean loss: float32[]."""
        inputs, y = batch
        with torch.autocast("cuda", dtype=self._half) if self._mixed else nullcontext():
            losses = self._program.losses(inputs, y, smoothing=self.config.label_smoothing)
            loss = losses.mean() if losses.ndim else losses
            if size(batch) != samples:
                loss = loss * (size(batch) / samples)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach().float()

    def finish(self, loss: torch.Tensor, peers: Peers | None = None, stop: bool = False) -> tuple[torch.Tensor, bool]:
        """Ends the step: proximal term, clipping, optimizer. The whole step's loss, and whether all stop instead."""
        self._done += 1
        if peers:
            loss, stop = peers.reduce(self._parameters, loss, stop)
            if stop:
                return loss, True
        if self.config.warmup_steps and self._done <= self.config.warmup_steps:
            for group in self._optimizer.param_groups:
                group["lr"] = self.rate * self._done / self.config.warmup_steps
        if self._base or self.config.clip_gradient:
            self._scaler.unscale_(self._optimizer)
        if self._base:
            self._pull()
        if self.config.clip_gradient:
            nn.utils.clip_grad_norm_(self._parameters, self.config.clip_gradient)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        return loss, False

    def whole(self, batch: Batch) -> torch.Tensor:
        """A step of one batch. Its loss: float32[]."""
        return self.finish(self.add(batch, size(batch)))[0]

    def forget(self) -> None:
        """Drops the gradients of a step that was begun and is not to be."""
        self._optimizer.zero_grad(set_to_none=True)

    def _pull(self) -> None:
        """FedProx (Li et al. 2020, arXiv:1812.06127): the gradient of mu / 2 · ‖w − base‖². What a batch does not reach
        has not moved."""
        live = [
            (p.grad, p.detach(), b) for p, b in zip(self._parameters, self._base, strict=True) if p.grad is not None
        ]
        if live:
            gradients, here, base = (list(column) for column in zip(*live, strict=True))
            torch._foreach_add_(gradients, torch._foreach_sub(here, base), alpha=self.config.proximal_mu)
