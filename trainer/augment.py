"""What is done to training images at random, by name, through torchvision. Each sample has its own draws.

- flip, vertical-flip: mirrored, every second time.
- crop: moved by up to an eighth of its size, at least a pixel; what comes in is the smallest value.
- rotate: by up to 15 degrees, bilinear; what comes in is the smallest value.
- colour: brightness and contrast by up to a fifth, saturation by up to a fifth, hue by up to a fiftieth.
- erase: every second time, a rectangle of 2 to 20 percent of the image becomes the smallest value.

Masks are moved with their image, and nothing is asked for where it comes in; colour and erase leave them as they are.
"""

from collections.abc import Callable
from typing import Any

import torch

from trainer.batches import Batch
from trainer.config import IGNORED, DataSchema, ImageFeature, MaskTarget, TrainingConfig


def augmentation(config: TrainingConfig, schema: DataSchema | None) -> Callable[[Batch], Batch] | None:
    """What turns a batch of normalised samples into an augmented one; None where nothing is named.

    Draws from torch's global random state. Raises ValueError without torchvision, or without images.
    """
    if not config.augment:
        return None
    if schema is None:
        raise ValueError("training.augment needs the schema of the data, which says what of it is an image")
    images = {name: feature for name, feature in schema.features.items() if isinstance(feature, ImageFeature)}
    if not images:
        raise ValueError("training.augment is for images, and the job has no feature that is one: leave it out")
    try:
        # It takes a second, and need not be there.
        from torchvision import tv_tensors  # type: ignore[import-untyped] # noqa: PLC0415
    except ImportError as error:
        raise ValueError("training.augment needs torchvision: install merit[vision]") from error
    made = {name: _transforms(config, feature) for name, feature in images.items()}
    masked = isinstance(schema.target, MaskTarget)

    def augment(batch: Batch) -> Batch:
        inputs, y = dict(batch[0]), batch[1]
        for name, transforms in made.items():
            low, scale = _range(images[name], inputs[name])
            bright, masks = (inputs[name] - low) / scale, []
            changed = []
            for at, image in enumerate(bright):
                whole = tv_tensors.Image(image)
                mask = tv_tensors.Mask(y[at]) if masked and y is not None else None
                for together, transform in transforms:
                    if mask is not None and together:
                        whole, mask = transform(whole, mask)
                    else:
                        whole = transform(whole)
                changed.append(whole.as_subclass(torch.Tensor))
                if mask is not None:
                    masks.append(mask.as_subclass(torch.Tensor))
            inputs[name] = torch.stack(changed) * scale + low
            y = torch.stack(masks) if masks else y
        return inputs, y

    return augment


def _range(feature: ImageFeature, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised values are low + scale · (0 … 1), [channels or 1, 1, 1] each: what torchvision takes as an image."""
    mean, std = (torch.tensor(values, device=like.device).view(-1, 1, 1) for values in (feature.mean, feature.std))
    return (feature.minimum - mean) / std, (feature.maximum - feature.minimum) / std


def _transforms(config: TrainingConfig, feature: ImageFeature) -> list[tuple[bool, Callable[..., Any]]]:
    """In the job's order: whether a mask goes with the image, and the transform."""
    from torchvision import tv_tensors  # noqa: PLC0415
    from torchvision.transforms import InterpolationMode, v2  # type: ignore[import-untyped] # noqa: PLC0415

    fill: dict[Any, float] = {tv_tensors.Image: 0.0, tv_tensors.Mask: IGNORED}
    size = (feature.height, feature.width)
    shift = [max(1, feature.width // 8), max(1, feature.height // 8)]  # left and right, top and bottom
    known: dict[str, tuple[bool, Callable[[], Callable[..., Any]]]] = {
        "flip": (True, v2.RandomHorizontalFlip),
        "vertical-flip": (True, v2.RandomVerticalFlip),
        "crop": (True, lambda: v2.RandomCrop(size, padding=shift, fill=fill)),
        "rotate": (True, lambda: v2.RandomRotation(15, interpolation=InterpolationMode.BILINEAR, fill=fill)),
        "colour": (False, lambda: v2.ColorJitter(0.2, 0.2, 0.2, 0.02)),
        "erase": (False, lambda: v2.RandomErasing(0.5, scale=(0.02, 0.2), value=0.0)),
    }
    return [(known[name][0], known[name][1]()) for name in config.augment]
