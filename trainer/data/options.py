"""What differs between trainers' files, and is theirs to say."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from trainer.config import DataSchema, ImageFeature, LabelsTarget, NumberTarget, Settings

Encoding = Literal[
    "utf-8", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252", "cp1250", "cp1251", "iso-8859-2", "iso-8859-15",
    "koi8-r", "mac-roman", "shift_jis", "euc-jp", "euc-kr", "gb18030", "big5",
]  # fmt: skip

FILE_NAME = "file_name"
"""Of a table beside images: the column with the images' names, if `map` names no other."""


class DataOptions(Settings):
    """How a trainer's own files are to be read; the defaults refuse what could be read in two ways."""

    map: dict[str, str] = Field(
        default_factory=dict,
        max_length=2**14,
        description="From the job's name of a feature or target to the column's (or folder's) name here.",
    )
    missing: Literal["error", "drop", "mean"] = Field(
        default="error",
        description="A gap is refused, or its sample left out, or filled with the mean that the job states for all "
        "trainers: the latter for features that are numbers; gaps elsewhere stay refused.",
    )
    decimal: Literal[".", ","] = Field(default=".", description="The decimal sign of numbers that are texts.")
    separator: Literal[",", ";", "\t", "|"] | None = Field(
        default=None, description="Between two cells of a text table; by default the one that the header shows."
    )
    encoding: Encoding | None = Field(default=None, description="Of text files; by default found.")
    skip_bad: bool = Field(default=False, description="Folders: a bad file is listed, and the rest is used.")
    background: Literal["white", "black"] | None = Field(
        default=None, description="What transparent images are laid upon; by default they are refused."
    )
    void: int | None = Field(
        default=None, ge=0, le=2**16, description="The value of a mask's pixels that nothing is asked for."
    )
    cache: Path | None = Field(
        default=None, description="Where values that exceed memory are kept while in use; by default the system's."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.separator == self.decimal:
            raise ValueError(f"{self.decimal!r} cannot separate both cells and decimals")
        return self

    def column(self, name: str) -> str:
        """What the file calls a feature or target of the job."""
        return self.map.get(name, name)

    def fit(self, schema: DataSchema) -> None:
        """Raises ValueError if `map` has a name that the job does not have, or two names share a column by it."""
        names = [*schema.features, *target_names(schema)]
        for name in self.map:
            if name not in names:
                raise ValueError(f"map: the job has no feature or target {name!r}")
        taken = [self.column(name) for name in dict.fromkeys(names)]
        for name in self.map:
            if taken.count(self.column(name)) > 1:
                raise ValueError(f"map: {self.column(name)!r} is taken for {name!r} and for another name")


PLAIN = DataOptions()
"""Files as a job describes them."""


def target_names(schema: DataSchema) -> tuple[str, ...]:
    """Names of the target's columns, or of its folder."""
    target = schema.target
    if target is None:
        return ()
    return target.names if isinstance(target, NumberTarget | LabelsTarget) else (target.name,)


def image_name(schema: DataSchema) -> str | None:
    """The feature that is an image, where exactly one is."""
    images = [name for name, feature in schema.features.items() if isinstance(feature, ImageFeature)]
    return images[0] if len(images) == 1 else None
