"""A language model of bytes: trained before on NumPy's docstrings, and tuned here, by adapters, on PyTorch's."""

from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from examples.kit import Parts, trained_base
from examples.text.data import MODULES, paragraphs
from trainer.data import Dataset

HERE = Path(__file__).parent


def make(folder: Path, seed: int) -> Parts:
    old = [text for module in (*MODULES["numpy"], *MODULES["scipy"]) for text in paragraphs(module)]
    new = list(dict.fromkeys(text for module in MODULES["torch"] for text in paragraphs(module)))
    new = [new[at] for at in np.random.default_rng(seed).permutation(len(new))[:490]]
    _write(old[:600], folder / "old.txt")
    cuts = np.cumsum([150, 40])
    for name, part in zip(("test", "validation"), (new[: cuts[0]], new[cuts[0] : cuts[1]]), strict=True):
        _write(part, folder / f"{name}.txt")
    trainers = [
        _write(list(part), folder / f"trainer-{number}.txt")
        for number, part in enumerate(np.array_split(np.array(new[cuts[1] :], dtype=object), 3), start=1)
    ]
    base = trained_base(
        Path(__file__).parent / "job.yaml", str(folder / "old.txt"), folder / "base.safetensors", rounds=3
    )
    return Parts(trainers, str(folder / "validation.txt"), str(folder / "test.txt"), base=base)


def opened(folder: Path, data: Dataset) -> float:
    """The mean loss a token of the base with its adapters, as peft opens both, on texts int64[n, length]."""
    base = AutoModelForCausalLM.from_pretrained(folder / "base", local_files_only=True)
    model = PeftModel.from_pretrained(base, str(folder)).eval()
    losses = []
    with torch.no_grad():
        for tokens in torch.split(torch.from_numpy(data.inputs["text"]), 64):
            losses.append(float(model(input_ids=tokens, labels=tokens).loss) * len(tokens))
    return sum(losses) / len(data)


def _write(texts: list[str], path: Path) -> str:
    path.write_text("\n\n".join(texts) + "\n", "utf-8")
    return str(path)
