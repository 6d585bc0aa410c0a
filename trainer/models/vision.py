"""Image models of timm, by name, from their seed: no weights are downloaded."""

from typing import Any

from pydantic import Field
from torch import nn

from trainer.models.registry import Architecture, Missing, register


@register("timm")
class Timm(Architecture):
    name: str = Field(
        description="A name of timm.list_models(), e.g. vit_tiny_patch16_224. Batch norms keep to the base's "
        "statistics, in training too: without a base of your own, take a model with group or layer norms "
        "(ViT, ConvNeXt, resnet50_gn)."
    )
    classes: int = Field(ge=1, le=2**16, description="Outputs: one a class, or one a number.")
    channels: int = Field(default=3, ge=1, le=64, description="Channels of an image.")
    size: int | None = Field(
        default=None, ge=8, le=1024, description="Height and width, for models of a fixed size other than their own."
    )
    drop_rate: float = Field(default=0.0, ge=0, lt=1, description="Dropout before the outputs, in training.")
    drop_path_rate: float = Field(default=0.0, ge=0, lt=1, description="Stochastic depth, in training.")

    def build(self) -> nn.Module:
        try:
            import timm  # noqa: PLC0415 (an extra, and takes seconds)
        except ImportError as error:
            raise Missing("the architecture 'timm'", "vision") from error
        # What is no plain name of the library's could be a hub's address.
        if self.name not in timm.list_models():
            near = timm.list_models(f"*{self.name.split('_')[0][:20].strip('*?[]')}*")[:5]
            raise ValueError(f"timm has no model {self.name!r}" + (f"; it has {', '.join(near)}" if near else ""))
        chosen: dict[str, Any] = {"img_size": self.size} if self.size else {}
        if self.drop_path_rate:
            chosen["drop_path_rate"] = self.drop_path_rate
        module: nn.Module = timm.create_model(
            self.name,
            pretrained=False,
            num_classes=self.classes,
            in_chans=self.channels,
            drop_rate=self.drop_rate,
            **chosen,
        )
        return module
