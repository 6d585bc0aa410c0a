"""Writes docs/job-file.md from the fields of the job file's models; `--check` says whether it is up to date."""

import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from marketplace.spec import AggregatorConfig, JobFile, MarketConfig, ProofsConfig, ServerRate
from trainer.config import (
    CategoryFeature,
    ClassTarget,
    DataSchema,
    ImageFeature,
    LabelsTarget,
    LoraConfig,
    MaskTarget,
    ModelConfig,
    NumberFeature,
    NumberTarget,
    TagsTarget,
    TaskConfig,
    TensorFeature,
    TextFeature,
    TrainingConfig,
    UpdateConfig,
)
from trainer.models import architectures

PAGE = Path(__file__).resolve().parent.parent / "docs" / "job-file.md"
EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "digits" / "job.yaml"
SECTIONS: list[tuple[str, type[BaseModel]]] = [
    ("", JobFile),
    ("model", ModelConfig),
    ("model.lora", LoraConfig),
    ("data", DataSchema),
    ("data.features: number", NumberFeature),
    ("data.features: category", CategoryFeature),
    ("data.features: image", ImageFeature),
    ("data.features: tensor", TensorFeature),
    ("data.features: text", TextFeature),
    ("data.target: category", ClassTarget),
    ("data.target: number", NumberTarget),
    ("data.target: labels", LabelsTarget),
    ("data.target: tags", TagsTarget),
    ("data.target: mask", MaskTarget),
    ("task", TaskConfig),
    ("training", TrainingConfig),
    ("update", UpdateConfig),
    ("server_rate", ServerRate),
    ("market", MarketConfig),
    ("market.aggregator", AggregatorConfig),
    ("proofs", ProofsConfig),
]


def table(model: type[BaseModel]) -> list[str]:
    lines = ["| field | default | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        lines.append(
            f"| `{field.alias or name}` | {default(field.default, field.default_factory)} | {field.description or ''} |"
        )
    return lines


def default(value: Any, factory: Any) -> str:
    if factory is dict:
        return "empty"
    if factory is not None:
        return "see right"
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return "see below"
    return "none" if value is None else f"`{value}`"


def page() -> str:
    lines = [
        "# The job file",
        "",
        "`merit job create` reads a job from YAML. Unknown fields are refused. Amounts are texts such as `0.25 ether`,",
        "or whole numbers of the smallest unit; where the job pays in a `token`, texts such as `2.5 tokens` are read",
        "by its own decimals. Durations are whole seconds or texts such as `10 min`, `2 h`, `1 d`. Addresses and",
        "keys are pasted as they were printed. A text that YAML reads as something else (yes, no, null, 2026, a date)",
        "needs quotes. This page is made from the models by `scripts/job_file_docs.py`.",
        "",
        "```yaml",
        EXAMPLE.read_text("utf-8").rstrip(),
        "```",
    ]
    for title, model in SECTIONS:
        lines += ["", f"## {title or 'Top level'}", "", *table(model)]
    lines += ["", "## Architectures", "", "What `model.parameters` takes, by `model.architecture`."]
    for name, architecture in architectures().items():
        lines += ["", f"### {name}", "", *table(architecture)]
    return "\n".join(lines) + "\n"


def write_or_check(path: Path, text: str) -> None:
    """Writes a page, or, with `--check`, exits with a sentence where it is another."""
    if sys.argv[1:] != ["--check"]:
        path.write_text(text, "utf-8")
    elif not path.exists() or path.read_text("utf-8") != text:
        sys.exit(f"{path.name} is out of date: run `make docs`.")


if __name__ == "__main__":
    write_or_check(PAGE, page())
