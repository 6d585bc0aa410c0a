"""mlxtend's cars of 1970 to 1982, as three garages would keep them: separators, decimal signs, gaps, names differ."""

from pathlib import Path

import numpy as np
import pandas as pd
from mlxtend.data import autompg_data  # type: ignore[import-untyped]

from examples.kit import Parts
from trainer.data import DataOptions

COLUMNS = ["cylinders", "displacement", "horsepower", "weight", "acceleration", "year", "origin"]
ORIGINS = {1: "USA", 2: "Europe", 3: "Japan"}
GERMAN = {"mpg": "Reichweite", "weight": "Gewicht", "horsepower": "PS", "origin": "Herkunft"}


def cars() -> pd.DataFrame:
    values, mpg = autompg_data()
    frame = pd.DataFrame(values[:, :7].astype(float), columns=COLUMNS)
    frame["origin"] = frame["origin"].astype(int).map(ORIGINS)
    frame["mpg"] = mpg
    return frame


def make(folder: Path, seed: int) -> Parts:
    frame = cars().sample(frac=1, random_state=seed, ignore_index=True)
    test, judged, first, second, third = (
        frame[a:b] for a, b in ((0, 70), (70, 120), (120, 210), (210, 300), (300, 392))
    )
    _write(test, folder / "test.csv")
    _write(judged, folder / "validation.csv")
    rng = np.random.default_rng(seed)
    trainers = [
        # Other names, a comma for the decimals, columns in another order, and one that the job does not ask for.
        _write(first.rename(columns=GERMAN)[::-1].assign(Farbe="rot"), folder / "garage-1.csv", sep=";", decimal=","),
        # Gaps among the horsepowers, in three spellings.
        _write(_with_gaps(second, rng), folder / "garage-2.tsv", sep="\t"),
        _write(third, folder / "garage-3.csv", encoding="utf-16"),
    ]
    options = [DataOptions(map=GERMAN, decimal=","), DataOptions(missing="mean"), DataOptions()]
    return Parts(
        trainers, str(folder / "validation.csv"), str(folder / "test.csv"), options, refused=_bad(third, folder)
    )


def _write(frame: pd.DataFrame, path: Path, **how: str) -> str:
    frame.to_csv(path, index=False, **how)  # type: ignore[call-overload]
    return str(path)


def _with_gaps(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    cells = frame["horsepower"].map(lambda value: f"{value:.0f}")
    lost = rng.choice(len(cells), 12, replace=False)
    cells.iloc[lost] = [("NA", "", "null")[at % 3] for at in range(len(lost))]
    return frame.assign(horsepower=cells)


def _bad(frame: pd.DataFrame, folder: Path) -> list[str]:
    """Files that must not be taken: a cell too many, a column twice, an origin that the job does not know, a gap."""
    lines = frame.to_csv(index=False).splitlines()
    twice = [line + "," + ("weight" if at == 0 else line.split(",")[3]) for at, line in enumerate(lines)]
    files = {
        "one-cell-too-many.csv": [*lines[:3], lines[3] + ",7", *lines[4:]],
        "a-column-twice.csv": twice,
        "unknown-origin.csv": [*lines[:5], lines[5].replace("USA", "Atlantis").replace("Japan", "Atlantis"), *lines[6:]]
        if "USA" in lines[5] or "Japan" in lines[5]
        else [*lines, lines[5].replace("Europe", "Atlantis")],
        "a-gap.csv": [*lines[:4], "8,,130,3504,12,70,USA,18", *lines[5:]],
        "a-date.csv": [*lines[:4], "8,307,130,3504,12,1970-01-01,USA,18", *lines[5:]],
    }
    for name, content in files.items():
        (folder / name).write_text("\n".join(content) + "\n", "utf-8")
    return [str(folder / name) for name in files]
