"""The part of a job's description that local work follows. Every field is documented; unknown fields are refused.

The owner writes these into job.yaml, strangers' machines read them: all sizes and numbers are bounded here, so that
what follows from them is finite and can be computed in all rounds. docs/limits.md has the bounds with their reasons.
"""

from collections.abc import Mapping
from math import frexp, prod
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    field_validator,
    model_validator,
)

MAX_VALUES = 2**22
"""Most values in one sample."""

MIN_STEP = 2.0**-40
"""The least learning rate, server's rate, scale and clip, in every round: products of them are no denormal float32."""

MAX_SCALE = 1.0
"""The largest value of one integer step."""

MIN_KEPT = 1e-4
"""The least part of an update's entries that is sent."""

MAX_CLIP = 2.0**30
"""The largest bound of an update's norm."""

MAX_WEIGHT = 2.0**20
"""The largest absolute value of a parameter of round 1's base model."""

MAX_SAMPLE_VALUE = 1e30
MIN_STD = 1e-6

Finite = Annotated[float, Field(allow_inf_nan=False)]
SampleValue = Annotated[Finite, Field(ge=-MAX_SAMPLE_VALUE, le=MAX_SAMPLE_VALUE)]


Std = Annotated[Finite, Field(ge=MIN_STD, le=MAX_SAMPLE_VALUE)]


class Settings(BaseModel):
    """Base of all settings: frozen, unknown fields refused, no NaN, no infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, str_max_length=200)


def _different(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        raise ValueError("a name comes twice")
    return names


class LoraConfig(Settings):
    """Low-rank adapters beside frozen weights (Hu et al. 2021, arXiv:2106.09685), through peft."""

    rank: int = Field(ge=1, le=1024, description="Width of an adapter.")
    alpha: float = Field(default=16.0, gt=0, le=2**16, description="An adapter's output is scaled by alpha / rank.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout before an adapter, in training.")
    targets: tuple[str, ...] = Field(
        min_length=1, max_length=64, description="Names of the layers that get an adapter, or their last parts."
    )


class ModelConfig(Settings):
    """A model: described by data, or a program that its owner has exported."""

    architecture: str = Field(description="Name of a registered architecture: linear, mlp, cnn, …; or `program`.")
    package: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_-]+$",
        description="Where the architecture is another party's: its Python package and version, as `name==1.2.3`.",
    )
    parameters: dict[str, JsonValue] = Field(
        default_factory=dict, max_length=64, description="The architecture's own parameters."
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of the initial weights.")
    trainable: tuple[str, ...] = Field(
        default=("*",),
        min_length=1,
        max_length=64,
        description="Which parameters are trained, by patterns of their names such as `head.*`; the others are frozen.",
    )
    lora: LoraConfig | None = Field(
        default=None, description="Trains low-rank adapters, and what `trainable` names if given; freezes the rest."
    )
    frozen_dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="What frozen parameters are rounded to and travel as; computed in is float32."
    )


class NumberFeature(Settings):
    """A column of numbers."""

    kind: Literal["number"]
    minimum: SampleValue = Field(default=-MAX_SAMPLE_VALUE, description="Smallest value allowed.")
    maximum: SampleValue = Field(default=MAX_SAMPLE_VALUE, description="Largest value allowed.")
    mean: SampleValue = Field(default=0.0, description="Subtracted from every value.")
    std: Std = Field(default=1.0, description="What the difference is divided by.")


class CategoryFeature(Settings):
    """A column of names; a model sees one number a value, 1 for the sample's and 0 for the others."""

    kind: Literal["category"]
    values: tuple[str, ...] = Field(min_length=1, max_length=2**16, description="The names, as their text stands.")

    _unique = field_validator("values")(_different)


class ImageFeature(Settings):
    """An image: float32[channels, height, width]."""

    kind: Literal["image"]
    channels: Literal[1, 3] = Field(description="1 for grey, 3 for red, green, blue.")
    height: int = Field(ge=1, le=2**16, description="Pixels.")
    width: int = Field(ge=1, le=2**16, description="Pixels.")
    minimum: SampleValue = Field(default=0.0, description="Smallest value allowed, before normalisation.")
    maximum: SampleValue = Field(default=255.0, description="Largest value allowed, before normalisation.")
    mean: tuple[SampleValue, ...] = Field(default=(0.0,), min_length=1, description="One number, or one a channel.")
    std: tuple[Std, ...] = Field(default=(1.0,), min_length=1, description="One number, or one a channel.")


class TensorFeature(Settings):
    """Numbers in a shape of their own: a row of features that need no names, a signal, a volume."""

    kind: Literal["tensor"]
    shape: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1, max_length=4, description="Of a sample.")
    minimum: SampleValue = Field(default=-MAX_SAMPLE_VALUE, description="Smallest value allowed.")
    maximum: SampleValue = Field(default=MAX_SAMPLE_VALUE, description="Largest value allowed.")
    mean: tuple[SampleValue, ...] = Field(
        default=(0.0,), min_length=1, description="One number, or one along the first axis."
    )
    std: tuple[Std, ...] = Field(default=(1.0,), min_length=1, description="One number, or one along the first axis.")


class TextFeature(Settings):
    """A text: the numbers of its tokens, int64[length], cut or filled up to a length."""

    kind: Literal["text"]
    tokenizer: str = Field(
        default="bytes",
        description="`bytes` (256 values, and 256 for padding), or the path of a tokenizer.json beside the job file.",
    )
    length: int = Field(ge=2, le=2**16, description="Tokens of a sample.")
    packed: bool = Field(
        default=False,
        description="For language models: texts are joined, and cut into samples of the length; else each text is one.",
    )


Feature = Annotated[
    NumberFeature | CategoryFeature | ImageFeature | TensorFeature | TextFeature, Field(discriminator="kind")
]


class ClassTarget(Settings):
    """One of several classes: int64[]."""

    kind: Literal["category"]
    name: str = Field(default="label", description="Tables: the column.")
    classes: int = Field(ge=2, le=2**16, description="Number of classes; labels are 0 … classes − 1.")
    names: tuple[str, ...] = Field(
        default=(),
        max_length=2**16,
        description="Names of the classes 0, 1, …: the subfolders of an image folder, or labels as their text stands "
        "in tables (None, NA and 01 too); empty where labels are numbers (subfolders 0, 1, …).",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.names and len(set(self.names)) != self.classes:
            raise ValueError(f"names has {len(set(self.names))} different names, classes is {self.classes}")
        return self


class NumberTarget(Settings):
    """Numbers to be predicted: float32[k], trained on as (value − mean) / std."""

    kind: Literal["number"]
    names: tuple[str, ...] = Field(
        default=("target",), min_length=1, max_length=2**10, description="Tables: the columns, one a number."
    )
    minimum: SampleValue = Field(default=-MAX_SAMPLE_VALUE, description="Smallest value allowed.")
    maximum: SampleValue = Field(default=MAX_SAMPLE_VALUE, description="Largest value allowed.")
    mean: SampleValue = Field(default=0.0, description="Subtracted from every value.")
    std: Std = Field(default=1.0, description="What the difference is divided by.")

    _unique = field_validator("names")(_different)


class LabelsTarget(Settings):
    """Several yes-or-no answers: float32[k], 0 or 1 each."""

    kind: Literal["labels"]
    names: tuple[str, ...] = Field(min_length=1, max_length=2**10, description="Tables: the columns of 0 and 1.")

    _unique = field_validator("names")(_different)


class TagsTarget(Settings):
    """A class for each token of the text: int64[length], −100 where none is asked for."""

    kind: Literal["tags"]
    name: str = Field(default="tags", description="Tables: the column; a space between two tags.")
    classes: int = Field(ge=2, le=2**16, description="Number of classes.")


class MaskTarget(Settings):
    """A class for each pixel of the image: int64[height, width], −100 where none is asked for."""

    kind: Literal["mask"]
    name: str = Field(default="masks", description="Image folders: the folder with one mask an image, of its name.")
    classes: int = Field(ge=2, le=256, description="Number of classes; a mask's grey values are 0 … classes − 1.")


Target = Annotated[ClassTarget | NumberTarget | LabelsTarget | TagsTarget | MaskTarget, Field(discriminator="kind")]

PROGRAM = "program"
"""The architecture of a model that is a file: parameters.file names it."""

BYTES = "bytes"
"""The tokenizer that needs no file."""

TABLE = "table"
"""Name of the input that numbers and categories make together."""

IGNORED = -100
"""A target that nothing is asked for (torch's ignore_index)."""


def _by_name(features: object) -> object:
    """A list of features with their names as a mapping: what is written as JSON, whose objects have no order."""
    if not isinstance(features, list):
        return features
    named: dict[object, object] = {}
    for feature in features:
        if not isinstance(feature, dict) or not isinstance(feature.get("name"), str):
            raise ValueError("each of a list of features has a name")
        if feature["name"] in named:
            raise ValueError(f"the feature {feature['name']!r} comes twice")
        named[feature["name"]] = {key: value for key, value in feature.items() if key != "name"}
    return named


def _in_order(features: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, **feature.model_dump(mode="json")} for name, feature in features.items()]


class DataSchema(Settings):
    """What a trainer's data must look like. Checked before joining, and again before every start.

    Numbers and categories make one input, `table`, in their order; every other feature is an input of its own.
    """

    features: Annotated[dict[str, Feature], BeforeValidator(_by_name), PlainSerializer(_in_order)] = Field(
        min_length=1, max_length=2**14, description="By name, in the model's order."
    )
    target: Target | None = Field(
        default=None, description="What is to be predicted; none where a text is its own target, or the program has it."
    )
    min_samples: int = Field(default=1, ge=1, le=2**32, description="A data set with fewer samples does not fit.")

    @property
    def columns(self) -> dict[str, NumberFeature | CategoryFeature]:
        """The features that make `table`."""
        return {
            name: feature
            for name, feature in self.features.items()
            if isinstance(feature, NumberFeature | CategoryFeature)
        }

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Shape of each input of a sample, by name, in the model's order; int64 for texts, else float32."""
        found: dict[str, tuple[int, ...]] = {}
        for name, feature in self.features.items():
            if isinstance(feature, NumberFeature | CategoryFeature):
                found[TABLE] = (found.get(TABLE, (0,))[0] + _width(feature),)
            else:
                found[name] = _shape(feature)
        return found

    @property
    def texts(self) -> dict[str, TextFeature]:
        """The features that are texts."""
        return {name: feature for name, feature in self.features.items() if isinstance(feature, TextFeature)}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, feature in self.features.items():
            _check_feature(name, feature)
        if (
            TABLE in self.features
            and not isinstance(self.features[TABLE], NumberFeature | CategoryFeature)
            and (self.columns)
        ):
            raise ValueError(f"a feature is called {TABLE!r}, as the input of all numbers and categories: rename it")
        if sum(prod(shape) for shape in self.inputs.values()) > MAX_VALUES:
            raise ValueError(f"a sample has more than {MAX_VALUES} values")
        if isinstance(self.target, NumberTarget) and self.target.minimum >= self.target.maximum:
            raise ValueError(f"target: minimum {self.target.minimum} is not below maximum {self.target.maximum}")
        if any(text.packed for text in self.texts.values()) and (len(self.features) > 1 or self.target):
            raise ValueError("a packed text is the only feature, and its own target")
        if isinstance(self.target, TagsTarget) and len(self.texts) != 1:
            raise ValueError(f"tags need one feature that is a text, {len(self.texts)} are")
        if isinstance(self.target, MaskTarget):
            images = [feature for feature in self.features.values() if isinstance(feature, ImageFeature)]
            if len(images) != 1:
                raise ValueError(f"masks need one feature that is an image, {len(images)} are")
        return self


def _width(feature: NumberFeature | CategoryFeature) -> int:
    return len(feature.values) if isinstance(feature, CategoryFeature) else 1


def _shape(feature: ImageFeature | TensorFeature | TextFeature) -> tuple[int, ...]:
    if isinstance(feature, ImageFeature):
        return feature.channels, feature.height, feature.width
    return feature.shape if isinstance(feature, TensorFeature) else (feature.length,)


def _check_feature(name: str, feature: Feature) -> None:
    if isinstance(feature, CategoryFeature | TextFeature):
        return
    if feature.minimum >= feature.maximum:
        raise ValueError(f"{name}: minimum {feature.minimum} is not below maximum {feature.maximum}")
    if isinstance(feature, NumberFeature):
        return
    first = _shape(feature)[0]
    for what, values in (("mean", feature.mean), ("std", feature.std)):
        if len(values) not in (1, first):
            raise ValueError(f"{name}: {what} has {len(values)} numbers, 1 or {first} are required")


Files = Mapping[str, Path]
"""Where the files that a job names are, by those names."""


def named_files(model: ModelConfig, schema: DataSchema) -> tuple[str, ...]:
    """Names of the files that a job needs beside its description: an exported program, tokenizers."""
    program = model.parameters.get("file") if model.architecture == PROGRAM else None
    tokenizers = [feature.tokenizer for feature in schema.texts.values() if feature.tokenizer != BYTES]
    return tuple(dict.fromkeys([*([program] if isinstance(program, str) else []), *tokenizers]))


TaskKind = Literal[
    "classification",
    "multi-label",
    "regression",
    "token-classification",
    "language-modelling",
    "segmentation",
    "own",
]


class TaskConfig(Settings):
    """What the loss is, and what its users look at. Pay follows from the loss on the validation data."""

    kind: TaskKind = Field(description="own: the program has the loss.")
    metric: str | None = Field(
        default=None, description="The main metric, e.g. accuracy, f1, rmse; by default the task's first."
    )
    class_weights: tuple[Annotated[Finite, Field(gt=0, le=1e6)], ...] = Field(
        default=(), max_length=2**16, description="What a sample of each class counts in the loss; by default 1."
    )


_TASKS: dict[str, TaskKind] = {
    "category": "classification",
    "number": "regression",
    "labels": "multi-label",
    "tags": "token-classification",
    "mask": "segmentation",
}


def task_for(schema: DataSchema) -> TaskConfig:
    """The task that a target is for, where none is named."""
    return TaskConfig(kind=_TASKS[schema.target.kind] if schema.target else "language-modelling")


Decay = Annotated[float, Field(ge=0, le=0.999999)]


Augmentation = Literal["flip", "vertical-flip", "crop", "rotate", "colour", "erase"]


class TrainingConfig(Settings):
    """How a trainer trains in one round. The optimizer starts afresh every round."""

    optimizer: Literal["sgd", "adam", "adamw"] = Field(default="sgd", description="The optimizer.")
    learning_rate: float = Field(ge=MIN_STEP, le=100, description="Learning rate before the schedule.")
    momentum: float = Field(default=0.0, ge=0, le=0.9999, description="sgd: momentum.")
    nesterov: bool = Field(default=False, description="sgd: Nesterov momentum; needs momentum.")
    betas: tuple[Decay, Decay] = Field(default=(0.9, 0.999), description="adam, adamw: decay of the two running means.")
    epsilon: float = Field(default=1e-8, ge=1e-12, le=1, description="adam, adamw: added to the denominator.")
    weight_decay: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="L2 penalty (adamw: decoupled weight decay); at most 1 / learning_rate, beyond which weights grow.",
    )
    epochs: int = Field(default=1, ge=1, le=10_000, description="Passes over the trainer's data in one round.")
    steps: int | None = Field(
        default=None,
        ge=1,
        le=10**7,
        description="In place of epochs: so many steps in one round, however many samples a trainer has.",
    )
    batch_size: int = Field(default=32, ge=1, le=2**16, description="Samples in a step; the last batch may be smaller.")
    schedule: Literal["constant", "cosine", "step"] = Field(
        default="constant", description="How the learning rate changes from round to round; constant within one."
    )
    schedule_rounds: int = Field(
        default=10,
        ge=1,
        le=2**16,
        description="cosine: rounds until the rate has come down; step: rounds between two drops.",
    )
    schedule_factor: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="cosine: the part of the rate that is left at the end; step: what each drop multiplies it by.",
    )
    accumulate: int = Field(
        default=1, ge=1, le=2**12, description="Batches whose gradients make one step: larger steps in the same memory."
    )
    warmup_steps: int = Field(
        default=0, ge=0, le=10**6, description="Steps of each round in which the learning rate grows to what it is."
    )
    clip_gradient: float | None = Field(
        default=None, ge=MIN_STEP, le=MAX_CLIP, description="Largest L2 norm of a step's gradient."
    )
    proximal_mu: float = Field(
        default=0.0,
        ge=0,
        le=1000,
        description="FedProx: what the squared distance from the round's base costs, in halves.",
    )
    stop_after: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Ends a round early once the training loss has not fallen for so many epochs.",
    )
    augment: tuple[Augmentation, ...] = Field(
        default=(), max_length=8, description="What is done to training images at random, in this order."
    )
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="Label smoothing of the training loss.")
    mixed_precision: bool = Field(
        default=False, description="bfloat16 (or float16 with loss scaling) on CUDA; without effect elsewhere."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        if self.learning_rate * self.weight_decay > 1:
            raise ValueError(
                f"learning_rate {self.learning_rate} × weight_decay {self.weight_decay} is above 1: weights would grow"
            )
        if self.learning_rate * self.proximal_mu > 1:
            raise ValueError(
                f"learning_rate {self.learning_rate} × proximal_mu {self.proximal_mu} is above 1: steps would overshoot"
            )
        if self.steps is not None and self.epochs != 1:
            raise ValueError("steps are in place of epochs: give one of the two")
        if self.steps is not None and self.stop_after is not None:
            raise ValueError("stop_after counts epochs, and a round of steps has none: give epochs, or leave it out")
        if self.steps is not None and self.warmup_steps > self.steps:
            raise ValueError(f"warmup_steps {self.warmup_steps} is above steps {self.steps}: the rate is never reached")
        if len(set(self.augment)) != len(self.augment):
            raise ValueError("an augmentation comes twice")
        return self


class UpdateConfig(Settings):
    """How the difference of two models becomes integers."""

    scale: float = Field(
        default=2.0**-15,
        ge=MIN_STEP,
        le=MAX_SCALE,
        description="Value of one integer step, a power of two. An entry reaches ±32767 · scale.",
    )
    clip: float | None = Field(
        default=None, ge=MIN_STEP, le=MAX_CLIP, description="Largest L2 norm of an update, in units of the model."
    )
    bits: Literal[16, 8, 4] = Field(
        default=16,
        description="Of an entry, as it is sent. What rounding leaves out is added to the trainer's next update.",
    )
    keep: float = Field(
        default=1.0,
        ge=MIN_KEPT,
        le=1,
        description="The part of the entries that is sent, the largest; the others are added to the next update.",
    )

    @property
    def exponent(self) -> int:
        """scale = 2^exponent."""
        return frexp(self.scale)[1] - 1

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.scale != 2.0**self.exponent:
            raise ValueError(f"scale {self.scale} is no power of two; the next lower one is {2.0**self.exponent!r}")
        if self.clip is not None and self.clip < self.scale:
            raise ValueError(f"clip {self.clip} is below scale {self.scale}: every update would be zero")
        return self
