"""A small U-Net of the owner's own; `merit program export model.py:build -o unet.safetensors` makes its file."""

import torch
from torch import nn
from torch.nn import functional

from trainer.programs.export import Source


class UNet(nn.Module):
    """float32[b, 1, h, w] to logits float32[b, 2, h, w]."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.down = self._block(1, 8), self._block(8, 16)
        self.last = self._block(24, 8)
        self.out = nn.Conv2d(8, 2, 1)

    def _block(self, inside: int, outside: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(inside, outside, 3, padding=1), nn.GroupNorm(2, outside), nn.ReLU())

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = self.first(image)
        low = self.down(functional.max_pool2d(first, 2))
        wide = functional.interpolate(low, scale_factor=2.0, mode="nearest")
        logits: torch.Tensor = self.out(self.last(torch.cat([first, wide], 1)))
        return logits


def loss(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the pixels and the Dice loss of the disc, float32[b]."""
    pixels = functional.cross_entropy(logits, mask, reduction="none").mean((1, 2))
    disc, wanted = logits.softmax(1)[:, 1], mask.to(logits.dtype)
    overlap = (disc * wanted).sum((1, 2))
    dice = 1 - (2 * overlap + 1) / (disc.sum((1, 2)) + wanted.sum((1, 2)) + 1)
    return pixels + dice


def build() -> Source:
    torch.manual_seed(1)
    image, mask = torch.randn(2, 1, 24, 24), torch.randint(0, 2, (2, 24, 24))
    return Source(UNet(), loss, {"image": image}, mask)
