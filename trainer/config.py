"""The part of a job's description that local work follows. Every field is documented; unknown fields are refused.

The owner writes these into job.yaml, strangers' machines read them: all sizes and numbers are bounded here, so that
what follows from them is finite and can be computed in all rounds. docs/limits.md has the bounds with their reasons.
"""

from math import frexp, prod
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

MAX_VALUES = 2**22
"""Most values in one sample."""

MIN_STEP = 2.0**-40
"""The least learning rate, server's rate, scale and clip, in every round: products of them are no denormal float32."""

MAX_SCALE = 1.0
"""The largest value of one integer step."""

MAX_CLIP = 2.0**30
"""The largest bound of an update's norm."""

MAX_WEIGHT = 2.0**20
"""The largest absolute value of a parameter of round 1's base model."""

MAX_SAMPLE_VALUE = 1e30
MIN_STD = 1e-6

Finite = Annotated[float, Field(allow_inf_nan=False)]
SampleValue = Annotated[Finite, Field(ge=-MAX_SAMPLE_VALUE, le=MAX_SAMPLE_VALUE)]


class Settings(BaseModel):
    """Base of all settings: frozen, unknown fields refused, no NaN, no infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, str_max_length=200)


class ModelConfig(Settings):
    """A model, described by data."""

    architecture: str = Field(description="Name of a registered architecture: mlp, cnn, …")
    parameters: dict[str, JsonValue] = Field(
        default_factory=dict, max_length=64, description="The architecture's own parameters."
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of the initial weights.")


class DataSchema(Settings):
    """What a trainer's data must look like. Checked before joining, and again before every start."""

    kind: Literal["tabular", "image"] = Field(description="tabular: rows of numbers; image: pixels.")
    shape: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        min_length=1,
        max_length=4,
        description="Shape of a sample: [features], or [channels, height, width] for images.",
    )
    classes: int = Field(ge=2, le=2**16, description="Number of classes; labels are 0 … classes − 1.")
    minimum: SampleValue = Field(default=-MAX_SAMPLE_VALUE, description="Smallest value allowed, before normalisation.")
    maximum: SampleValue = Field(
        default=MAX_SAMPLE_VALUE, description="Largest value allowed, before normalisation (images: 255)."
    )
    mean: tuple[SampleValue, ...] = Field(
        default=(0.0,), min_length=1, description="Subtracted from every value: one number, or one a feature (channel)."
    )
    std: tuple[Annotated[Finite, Field(ge=MIN_STD, le=MAX_SAMPLE_VALUE)], ...] = Field(
        default=(1.0,),
        min_length=1,
        description="What the difference is divided by: one number, or one a feature (channel).",
    )
    min_samples: int = Field(default=1, ge=1, le=2**32, description="A data set with fewer samples does not fit.")
    label: str = Field(default="label", description="CSV and Parquet: name of the column with the label.")
    columns: tuple[str, ...] = Field(
        default=(),
        description="CSV and Parquet: the feature columns, in order; empty takes all but the label, in file order.",
    )
    class_names: tuple[str, ...] = Field(
        default=(),
        description="Names of the classes 0, 1, …: the subfolders of an image folder, or labels in CSV and Parquet, as "
        "their text stands there (None, NA and 01 too); empty where labels are numbers (subfolders 0, 1, …).",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if prod(self.shape) > MAX_VALUES:
            raise ValueError(f"shape {list(self.shape)} has more than {MAX_VALUES} values")
        if self.kind == "image" and (len(self.shape) != 3 or self.shape[0] not in (1, 3)):
            raise ValueError(f"shape of an image is [1 or 3, height, width], not {list(self.shape)}")
        if self.minimum >= self.maximum:
            raise ValueError(f"minimum {self.minimum} is not below maximum {self.maximum}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.shape[0]):
                raise ValueError(f"{name} has {len(values)} numbers, 1 or {self.shape[0]} are required")
        if self.columns and prod(self.shape) != len(self.columns):
            raise ValueError(f"{len(self.columns)} columns are named, shape {list(self.shape)} has {prod(self.shape)}")
        if self.class_names and len(set(self.class_names)) != self.classes:
            raise ValueError(f"class_names has {len(set(self.class_names))} different names, classes is {self.classes}")
        return self


Decay = Annotated[float, Field(ge=0, le=0.999999)]


class TrainingConfig(Settings):
    """How a trainer trains in one round. The optimizer starts afresh every round; the loss is cross-entropy."""

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
