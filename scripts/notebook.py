"""Writes examples/notebook.ipynb from examples/notebook.py, a cell for each `# %%`; `--check`: is it up to date?"""

import argparse
import json
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
MARK = "# %%"


def notebook(source: str) -> str:
    """The notebook's JSON: the module's docstring and each cell's comment as text, code as code, without outputs."""
    top, *parts = source.split(f"\n{MARK} ")
    cells = [_cell("markdown", 0, top.strip().strip('"').strip())]
    for number, part in enumerate(parts, start=1):
        text, _, code = part.partition("\n")
        cells += [_cell("markdown", 2 * number - 1, text), _cell("code", 2 * number, code.strip("\n"))]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    document = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _cell(kind: str, number: int, text: str) -> dict[str, object]:
    code = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": text.splitlines(keepends=True)} | code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    made, path = notebook((EXAMPLES / "notebook.py").read_text("utf-8")), EXAMPLES / "notebook.ipynb"
    if parser.parse_args().check:
        if not path.is_file() or path.read_text("utf-8") != made:
            print("examples/notebook.ipynb is not that of examples/notebook.py: run `python -m scripts.notebook`.")
            return 1
        return 0
    path.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
