"""Which library is a docstring from? The texts are those that NumPy, SciPy and PyTorch ship."""

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from examples.kit import Parts

MODULES = {
    "numpy": (
        "numpy",
        "numpy.linalg",
        "numpy.fft",
        "numpy.ma",
        "numpy.random",
        "numpy.char",
        "numpy.polynomial.chebyshev",
    ),
    "scipy": ("scipy.stats", "scipy.signal", "scipy.special", "scipy.optimize", "scipy.ndimage", "scipy.spatial"),
    "torch": ("torch", "torch.nn", "torch.nn.functional", "torch.optim", "torch.distributions", "torch.utils.data"),
}


def paragraphs(module: str) -> Iterator[str]:
    """Paragraphs of a module's docstrings that are long enough to tell, each once."""
    known = set()
    for _, member in sorted(inspect.getmembers(importlib.import_module(module)), key=lambda pair: pair[0]):
        for part in (inspect.getdoc(member) or "").split("\n\n"):
            text = " ".join(part.split())
            if len(text) >= 80 and text not in known:
                known.add(text)
                yield text


def make(folder: Path, seed: int) -> Parts:
    rows = []
    for library, modules in MODULES.items():
        texts = dict.fromkeys(text for module in modules for text in paragraphs(module))
        rows += [(text, library) for text in list(texts)[:1200]]
    order = np.random.default_rng(seed).permutation(len(rows))
    frame = pd.DataFrame([rows[at] for at in order], columns=["text", "library"])
    sizes = {"test": 400, "validation": 150}
    sources, at = {}, 0
    for name, size in sizes.items():
        sources[name], at = _write(frame[at : at + size], folder / f"{name}.csv"), at + size
    parts = np.array_split(np.arange(at, len(frame)), 3)
    trainers = [_write(frame.iloc[part], folder / f"trainer-{n}.csv") for n, part in enumerate(parts, start=1)]
    return Parts(trainers, sources["validation"], sources["test"])


def _write(frame: pd.DataFrame, path: Path) -> str:
    frame.to_csv(path, index=False)
    return str(path)
