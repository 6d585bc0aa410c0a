"""Programs that tests export, and their files taken apart and written again."""

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from trainer.programs.document import FORMAT
from trainer.programs.export import Source, export
from trainer.programs.exported import Exported
from trainer.programs.reading import open_exported


def opened(content: bytes) -> Exported:
    """The program of a file's bytes."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        path = Path(folder) / "it.program"
        path.write_bytes(content)
        return open_exported(path)


def taken_apart(content: bytes) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The graphs and the tensors of a file."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return json.loads(header["__metadata__"][FORMAT]), safetensors.torch.load(content)


def written(document: Any, tensors: dict[str, torch.Tensor]) -> bytes:
    """A file of these graphs, whatever they are; text as it is."""
    text = document if isinstance(document, str) else json.dumps(document)
    return safetensors.torch.save(tensors, metadata={FORMAT: text})


class Small(nn.Module):
    """float32[b, 3] to float32[b, 2]."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.first, self.drop, self.last = nn.Linear(3, 4), nn.Dropout(dropout), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.last(self.drop(torch.relu(self.first(x))))
        return outputs


def small_source() -> Source:
    torch.manual_seed(1)
    return Source(
        Small(0.5), nn.CrossEntropyLoss(reduction="none"), {"x": torch.randn(4, 3)}, torch.tensor([0, 1, 1, 0])
    )


@cache
def small() -> bytes:
    """A file: one input, three layers with dropout, a loss a sample."""
    return export(small_source())


class Mixed(nn.Module):
    """An image float32[b, 1, 6, 6] and a text int64[b, 5] to float32[b, 3]; one part is frozen, one in bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm, self.groups = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.GroupNorm(2, 4)
        self.tokens, self.attention = nn.Embedding(10, 8), nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
        self.attention.linear1.requires_grad_(False)
        self.register_buffer("places", torch.arange(5))
        self.positions = nn.Embedding(5, 8)
        self.narrow = nn.Parameter(torch.randn(8, 8).bfloat16(), requires_grad=False)
        self.head = nn.Linear(4 + 8, 3)
        with torch.no_grad():
            assert self.norm.running_mean is not None
            self.norm.running_mean.fill_(0.25)

    def forward(self, image: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        seen = nn.functional.gelu(self.groups(self.norm(self.convolution(image)))).mean((2, 3))
        mask = torch.full((5, 5), float("-inf"), dtype=image.dtype).triu(1)
        read = self.attention(self.tokens(text) + self.positions(self.places), src_mask=mask)
        read = read.mean(1) @ self.narrow.to(image.dtype)
        outputs: torch.Tensor = self.head(torch.cat([seen, read], 1))
        return outputs


def mixed_source() -> Source:
    torch.manual_seed(2)
    inputs = {"image": torch.randn(6, 1, 6, 6), "text": torch.randint(0, 10, (6, 5))}
    return Source(Mixed(), nn.CrossEntropyLoss(reduction="none"), inputs, torch.randint(0, 3, (6,)))


class Recurrent(nn.Module):
    """A text int64[b, 4] that is its own target: gives the text, and what is expected of each next token."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.lstm, self.gru = nn.Embedding(7, 5), nn.LSTM(5, 4, batch_first=True), nn.GRU(4, 3)
        self.head = nn.Linear(3, 7)

    def forward(self, text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        read = self.lstm(self.tokens(text))[0]
        return text, self.head(self.gru(read.transpose(0, 1))[0].transpose(0, 1))


def next_token(outputs: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """The mean over the batch, a scalar."""
    text, logits = outputs
    return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), text[:, 1:].flatten())


def recurrent_source() -> Source:
    torch.manual_seed(3)
    return Source(Recurrent(), next_token, {"text": torch.randint(0, 7, (4, 4))}, predict=lambda outputs: outputs[1])
