"""What is in a data set, and how it was read: a look before a trainer joins. Pure data, for a page or a terminal."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trainer.config import (
    IGNORED,
    TABLE,
    CategoryFeature,
    ClassTarget,
    DataSchema,
    ImageFeature,
    LabelsTarget,
    NumberFeature,
    NumberTarget,
    TensorFeature,
    TextFeature,
)
from trainer.data import PLAIN, read
from trainer.data.dataset import Array, Dataset
from trainer.data.options import DataOptions
from trainer.data.reading import Notes

SHOWN = 3
"""Samples that are shown."""

_LISTED = 8
_SIDE = 64

_CHARACTERS = 80
_MOST_CLASSES = 1000


@dataclass(frozen=True, slots=True)
class Range:
    """Of a feature's values here, beside what the job allows. unusual: far from the mean and std that the job states,
    which are then from other data, or another unit."""

    lowest: float
    highest: float
    mean: float
    minimum: float
    maximum: float
    unusual: bool


@dataclass(frozen=True, slots=True)
class Report:
    """classes: samples (tags, pixels, yeses) by class, "" for those that nothing is asked of; categories: the same by
    feature; missing: gaps by column; bad: by file, why it was left out; remarks: what was met, and how often."""

    source: str
    samples: int
    classes: dict[str, int]
    categories: dict[str, dict[str, int]]
    ranges: dict[str, Range]
    missing: dict[str, int]
    dropped: int
    ignored_columns: list[str]
    ignored_files: list[str]
    bad: dict[str, str]
    remarks: dict[str, int]
    shown: list[dict[str, str]]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For a terminal."""
        out = [f"{self.source}: {self.samples} samples"]
        if self.classes:
            out.append("classes: " + _listed(self.classes))
        out += [f"{name}: {_listed(counts)}" for name, counts in self.categories.items()]
        out += [
            f"{name}: {found.lowest:g} … {found.highest:g}, mean {found.mean:g}; allowed {found.minimum:g} … "
            f"{found.maximum:g}" + ("; far from the job's mean: another unit?" if found.unusual else "")
            for name, found in self.ranges.items()
        ]
        out += [f"{name}: {count} cells missing" for name, count in self.missing.items()]
        if self.dropped:
            out.append(f"{self.dropped} samples left out")
        for what, names in (("columns", self.ignored_columns), ("files", self.ignored_files)):
            if names:
                out.append(f"ignored {what}: {', '.join(names[:10])}" + (", …" if len(names) > 10 else ""))
        out += [f"left out: {why}" for why in self.bad.values()]
        out += [f"{remark} ({count})" for remark, count in self.remarks.items()]
        out += ["sample: " + ", ".join(f"{name} {value}" for name, value in sample.items()) for sample in self.shown]
        return out


def _listed(counts: Mapping[str, int]) -> str:
    shown = [f"{name or 'none asked'} {count}" for name, count in list(counts.items())[:20]]
    return ", ".join(shown) + (", …" if len(counts) > 20 else "")


def check(
    source: str,
    schema: DataSchema,
    options: DataOptions = PLAIN,
    tokenizers: Mapping[str, bytes] | None = None,
) -> tuple[Report, Dataset]:
    """Reads a source as a trainer would, and says what was found; the data too. ValueError for what `read` refuses."""
    notes = Notes()
    data = read(source, schema, options, tokenizers or {}, notes)
    report = Report(
        source=source,
        samples=len(data),
        classes=_classes(data, schema),
        categories=_categories(data, schema),
        ranges=_ranges(data, schema),
        missing=notes.missing,
        dropped=notes.dropped,
        ignored_columns=notes.columns,
        ignored_files=notes.skipped,
        bad=notes.bad,
        remarks=notes.remarks,
        shown=[_sample(data, schema, at, tokenizers or {}) for at in range(min(SHOWN, len(data)))],
    )
    return report, data


def _classes(data: Dataset, schema: DataSchema) -> dict[str, int]:
    target, y = schema.target, data.y
    if target is None or y is None or isinstance(target, NumberTarget):
        return {}
    if isinstance(target, LabelsTarget):
        return {name: int(count) for name, count in zip(target.names, y.sum(axis=0), strict=True)}
    counts = np.bincount(y[y != IGNORED].reshape(-1).astype(np.int64), minlength=target.classes)
    names = target.names if isinstance(target, ClassTarget) and target.names else map(str, range(target.classes))
    found = {name: int(count) for name, count in zip(names, counts, strict=True)}
    if len(found) > _MOST_CLASSES:
        found = dict(sorted(found.items(), key=lambda entry: -entry[1])[:_MOST_CLASSES])
    ignored = int((y == IGNORED).sum())
    return found | ({"": ignored} if ignored else {})


def _places(schema: DataSchema) -> dict[str, slice]:
    """Where in `table` each column is."""
    places, at = {}, 0
    for name, column in schema.columns.items():
        width = len(column.values) if isinstance(column, CategoryFeature) else 1
        places[name] = slice(at, at + width)
        at += width
    return places


def _categories(data: Dataset, schema: DataSchema) -> dict[str, dict[str, int]]:
    found = {}
    for name, place in _places(schema).items():
        column = schema.columns[name]
        if isinstance(column, CategoryFeature):
            counts = data.inputs[TABLE][:, place].sum(axis=0, dtype=np.float64)
            pairs = zip(column.values, counts, strict=True)
            found[name] = {value: int(count) for value, count in list(pairs)[:_MOST_CLASSES]}
    return found


def _range(values: Array, minimum: float, maximum: float, mean: float | None, std: float) -> Range:
    found = float(values.mean(dtype=np.float64))
    unusual = mean is not None and (mean, std) != (0.0, 1.0) and abs(found - mean) > 5 * std
    return Range(float(values.min()), float(values.max()), found, minimum, maximum, unusual)


def _ranges(data: Dataset, schema: DataSchema) -> dict[str, Range]:
    found, places = {}, _places(schema)
    for name, feature in schema.features.items():
        if isinstance(feature, NumberFeature):
            values = data.inputs[TABLE][:, places[name]]
            found[name] = _range(values, feature.minimum, feature.maximum, feature.mean, feature.std)
        elif isinstance(feature, ImageFeature | TensorFeature):
            alone = len(feature.mean) == len(feature.std) == 1
            mean = feature.mean[0] if alone else None
            found[name] = _range(data.inputs[name], feature.minimum, feature.maximum, mean, feature.std[0])
    target = schema.target
    if isinstance(target, NumberTarget) and data.y is not None:
        for at, name in enumerate(target.names):
            found[name] = _range(data.y[:, at], target.minimum, target.maximum, target.mean, target.std)
    return found


@dataclass(frozen=True, slots=True)
class Picture:
    """Every n-th pixel of an image, so that no side is above 64. pixels: 0 … 255, by channel, row, column."""

    channels: int
    height: int
    width: int
    pixels: list[int]


@dataclass(frozen=True, slots=True)
class Sample:
    """cells: each feature and target in words, by name. picture: of the first image, where there is one."""

    cells: dict[str, str]
    picture: Picture | None


def samples(data: Dataset, schema: DataSchema, most: int, tokenizers: Mapping[str, bytes]) -> list[Sample]:
    """Some samples for a page, evenly from all of them. data: as in their source, not normalised."""
    step = max(1, len(data) // most)
    return [
        Sample(_sample(data, schema, at, tokenizers), _picture(data, schema, at)) for at in range(0, len(data), step)
    ][:most]


def _picture(data: Dataset, schema: DataSchema, at: int) -> Picture | None:
    for name, feature in schema.features.items():
        if isinstance(feature, ImageFeature):
            step = -(-max(feature.height, feature.width) // _SIDE)
            image = data.inputs[name][at][:, ::step, ::step].astype(np.float64)
            bright = (image - feature.minimum) / (feature.maximum - feature.minimum)
            channels, height, width = image.shape
            return Picture(channels, height, width, np.rint(bright.clip(0, 1) * 255).astype(int).reshape(-1).tolist())
    return None


def _sample(data: Dataset, schema: DataSchema, at: int, tokenizers: Mapping[str, bytes]) -> dict[str, str]:
    shown, places = {}, _places(schema)
    for name, feature in schema.features.items():
        if isinstance(feature, NumberFeature):
            shown[name] = f"{float(data.inputs[TABLE][at, places[name]][0]):g}"
        elif isinstance(feature, CategoryFeature):
            shown[name] = feature.values[int(data.inputs[TABLE][at, places[name]].argmax())]
        elif isinstance(feature, TextFeature):
            shown[name] = repr(_text(data.inputs[name][at], feature, tokenizers)[:_CHARACTERS])
        else:
            values = data.inputs[name][at]
            if isinstance(feature, TensorFeature) and values.size <= _LISTED:
                shown[name] = ", ".join(f"{value:g}" for value in values.reshape(-1))
                continue
            size = " × ".join(str(length) for length in values.shape)
            shown[name] = f"{size}, values {values.min():g} … {values.max():g}"
    target, y = schema.target, data.y
    if isinstance(target, ClassTarget) and y is not None:
        shown[target.name] = target.names[int(y[at])] if target.names else str(int(y[at]))
    elif isinstance(target, NumberTarget | LabelsTarget) and y is not None:
        shown |= {name: f"{float(value):g}" for name, value in zip(target.names, y[at], strict=True)}
    return shown


def _text(ids: Array, feature: TextFeature, tokenizers: Mapping[str, bytes]) -> str:
    if feature.tokenizer == "bytes":
        return bytes(int(number) for number in ids if number < 256).decode(errors="replace")
    from tokenizers import Tokenizer  # noqa: PLC0415 - an extra, and only some jobs need it

    decoded: str = Tokenizer.from_str(tokenizers[feature.tokenizer].decode()).decode(ids.tolist())
    return decoded
