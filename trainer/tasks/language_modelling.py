"""The next token of a text."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from trainer.config import IGNORED, DataSchema, TaskConfig
from trainer.tasks.task import Metric, Task, Tensors, metered, named, no_class_weights

if TYPE_CHECKING:
    import torchmetrics


class LanguageModelling(Task):
    """Cross-entropy of logits float[b, length, vocabulary], where those at t are of token t + 1, against the text
    itself. Padding is not asked for, and neither is the first token."""

    def __init__(self, config: TaskConfig, schema: DataSchema, pads: Mapping[str, int]) -> None:
        if schema.target is not None or len(schema.texts) != 1:
            raise ValueError("language-modelling needs one feature that is a text, and no target: the text is its own")
        no_class_weights(config)
        (self._text,) = schema.texts
        self._pad = pads[self._text]
        self.metrics = named(
            Metric("perplexity", False, metered("mean", "Perplexity"), ""), Metric("accuracy", True, metered("mean"))
        )

    def outputs(self, inputs: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        return (*inputs[self._text], -1)

    def _following(self, inputs: Tensors) -> torch.Tensor:
        """int64[b, length]: the token after each, −100 behind the last and for padding.

        The text is shifted, not the logits, which are large and would be copied.
        """
        following = functional.pad(inputs[self._text][:, 1:], (0, 1), value=IGNORED)
        return following.masked_fill(following == self._pad, IGNORED)

    def losses(
        self, outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None, *, smoothing: float = 0.0
    ) -> torch.Tensor:
        following = self._following(inputs)
        losses = self._of_tokens(outputs, following, smoothing)
        return losses.sum(1) / (following != IGNORED).sum(1).clamp(min=1)

    def _of_tokens(self, outputs: torch.Tensor, following: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
        return functional.cross_entropy(
            outputs.flatten(0, 1),
            following.flatten(),
            ignore_index=IGNORED,
            reduction="none",
            label_smoothing=smoothing,
        ).view(following.shape)

    def count(
        self, meter: "torchmetrics.Metric", outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None
    ) -> None:
        from trainer.tasks import meters  # noqa: PLC0415

        following = self._following(inputs)
        asked = following != IGNORED
        if isinstance(meter, meters.Perplexity):
            counted = self._of_tokens(outputs.float(), following)[asked]
        else:
            counted = (outputs.argmax(2) == following)[asked]
        meter.update(counted.cpu().double())
