"""How far the reference rows of one round are apart where different machines compute them, and what a lie can move.

    python -m benches.rows [--models mlp cnn] [--rounds 40] [--points 200] [--python OTHER/bin/python] [--json FILE]

Rounds of small real jobs, early and late, are judged again in processes with other numbers of threads, batches, kernels
and CPU kinds (ATen, oneDNN and MKL can be told to use older instructions), on CUDA where there is a GPU, and with the
torch of other interpreters. Then rows are chosen for a friend at the edge of the tolerance, in every round.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch.nn import functional

from aggregator.points import RATE_BITS, divide, loss_units
from aggregator.reference import first_vector, quantize_row, second_vector
from aggregator.rows import LEAST_TOP, TOLERANCE, rows_agree
from benches.pay.__main__ import table
from benches.pay.play import POT, RATE, UPDATE, Learner, Played, play
from benches.pay.tasks import task
from benches.rows_again import Case, save, single
from marketplace.domain import Rule
from trainer.data.split import iid, label_skew
from trainer.models import load_flat
from trainer.train import loss_gradient
from zk.encoding import Float32s, Int16s, Int64s

Floats = np.ndarray
Results = dict[str, dict[str, Any]]

TRAINERS = 8
MAX_FAULTY = 2
OLD = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"}
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"}
FIRST = "1 thread"

Variant = tuple[str, dict[str, str], dict[str, Any]]
"""Of a process: the interpreter, environment variables, settings (benches/rows_again.py)."""


def variants(pythons: Sequence[str]) -> dict[str, Variant]:
    own, one = sys.executable, {"threads": 1}
    found: dict[str, Variant] = {
        FIRST: (own, {}, one),
        "2 threads": (own, {}, {"threads": 2}),
        "4 threads": (own, {}, {"threads": 4}),
        "batches of 32": (own, {}, one | {"batch": 32}),
        "without oneDNN": (own, {}, one | {"mkldnn": False}),
        "deterministic": (own, {}, one | {"deterministic": True}),
        "CPU with AVX2": (own, AVX2, one),
        "CPU with SSE": (own, OLD, one),
    }
    if torch.cuda.is_available():
        cuda = {"device": "cuda"}
        found |= {"CUDA": (own, {}, cuda), "CUDA, TF32": (own, {}, cuda | {"tf32": True})}
    return found | {f"other torch {at}": (python, {}, one) for at, python in enumerate(pythons, 1)}


def played(model: str, rounds: int, skewed: bool, seed: int = 1) -> tuple[Learner, Played]:
    """A job with honest trainers."""
    data, wanted = task(model)
    learner = Learner(wanted)
    parts = label_skew(data, TRAINERS, 0.3, seed, minimum=8) if skewed else iid(data, TRAINERS, seed)

    def sent(round: int, base: Float32s) -> list[Int16s]:
        return [learner.train(base, part, round, 100 * seed + slot) for slot, part in enumerate(parts)]

    return learner, play(learner, Rule.REFERENCE, MAX_FAULTY, rounds, sent)


def cases(learner: Learner, job: Played) -> Iterator[Case]:
    """Rounds of the job, each with all of its validation data and with a fifth of them."""
    model, data = learner.task.model.model_dump_json(), learner.task.validation
    chosen = sorted({0, 1, 3, len(job.rounds) // 4, len(job.rounds) // 2, len(job.rounds) - 1})
    for entry in (job.rounds[at] for at in chosen):
        for samples in (len(data), len(data) // 5):
            yield Case(model, entry.base, entry.end, data[:samples])


def again(wanted: list[Case], kinds: dict[str, Variant], console: Console) -> Results:
    """By variant, what benches/rows_again.py gives; a variant that does not run is said and left out."""
    results: Results = {}
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "cases.npz", Path(folder) / "result.npz"
        save(source, wanted)
        for name, (python, environment, settings) in kinds.items():
            console.print(f"{name} ...", style="dim")
            command = [python, "-m", "benches.rows_again", str(source), str(target), json.dumps(settings)]
            done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
            if done.returncode:
                console.print(f"{name} does not run: {done.stderr.strip().splitlines()[-1:]}")
                continue
            with np.load(target) as file:
                results[name] = dict(file)
    return results


def _off(v: Floats, truth: Floats) -> float:
    """The distance of two vectors in lengths of the second."""
    wide = truth.astype(np.float64)
    return float(np.linalg.norm(v.astype(np.float64) - wide) / np.linalg.norm(wide))


def apart(wanted: list[Case], results: Results) -> list[dict[str, Any]]:
    """By variant, of both vectors of all cases: how far they are from the first variant's, in lengths and in standard
    errors; how far they would be if they were computed in float32; then how many exponents differ from another
    variant's, how many scales are not canonical, and how many rows do not agree with another's vector.
    """
    shown = []
    for name, own in results.items():
        far, noisy, narrow, exponents, bare, refused = [], [], [], 0, 0, 0
        for at, _ in enumerate(wanted):
            for row in ("first", "second"):
                v, right = own[f"{row}{at}"], results[FIRST][f"{row}{at}"]
                far.append(_off(v, right))
                noisy.append(far[-1] * float(np.linalg.norm(right)) / float(own[f"noise{at}"]))
                narrow.append(_off(own[f"single{row}{at}"], right))
                stated, exponent = quantize_row(v)
                bare += int(np.abs(stated).max()) < LEAST_TOP
                for other in results.values():
                    w = other[f"{row}{at}"]
                    exponents += quantize_row(w)[1] != exponent
                    refused += not rows_agree(stated, None if row == "first" else exponent, w)
        figures = {"worst": max(far), "standard_errors": max(noisy), "in_float32": max(narrow)}
        counts = {"exponents": exponents, "not_canonical": bare, "refused": refused}
        shown.append({"variant": f"{name}, {own['torch']}" if name.startswith("other") else name} | figures | counts)
    return shown


def kinks(learner: Learner, job: Played, points: int) -> dict[str, Any]:
    """Many more models between base and end: how far a gradient in float32 is off, by kinks that fall otherwise."""
    data, rng, program, far = learner.task.validation, np.random.default_rng(3), learner.program, []
    seconds = np.zeros(2)
    for _ in range(points):
        entry = job.rounds[int(rng.integers(len(job.rounds)))]
        part = np.float32(rng.random())
        load_flat(program.module, ((1 - part) * entry.base + part * entry.end).astype(np.float32))
        started = perf_counter()
        narrow = single(program, data)
        between = perf_counter()
        far.append(_off(narrow, loss_gradient(program, data)))
        seconds += between - started, perf_counter() - between
    figures = {"points": points, "median": float(np.median(far)), "worst": max(far)}
    return figures | {"float64_takes": float(seconds[1] / seconds[0])}


def switches(learner: Learner, job: Played) -> dict[str, Any]:
    """What one hidden unit of an MLP changes in the gradient by being off instead of on for one validation sample.

    In lengths of the gradient, over all rounds, units and samples: a unit within rounding of its kink can be either.
    """
    x, y = torch.tensor(learner.task.validation.inputs["x"]), torch.tensor(learner.task.validation.y)
    found = []
    for entry in job.rounds:
        length = float(np.linalg.norm(learner.validation.gradient(entry.base)))  # and loads the base
        with torch.no_grad():
            wrong = torch.softmax(learner.module(x), 1) - functional.one_hot(y, int(y.max()) + 1)
            back = wrong @ list(learner.module.parameters())[2]
            reach = torch.sqrt((x * x).sum(1, keepdim=True) + 1)
            found.append((back.abs() * reach / (len(y) * length)).numpy().reshape(-1))
    every = np.concatenate(found)
    return {"root_mean_square": float(np.sqrt(np.mean(every**2))), "worst": float(every.max())}


# ---------------------------------------------------------------- what a lie moves


def _balances(job: Played, rows: Sequence[tuple[Int16s, int]]) -> list[int]:
    """By slot, had these been the second rows."""
    totals = [0] * len(job.opened)
    for entry, (row, exponent) in zip(job.rounds, rows, strict=True):
        for slot, w in _selected(entry):
            score = int(w @ row.astype(np.int64))
            selected = sum(entry.decision.selected)
            power = UPDATE.exponent + exponent
            totals[slot] += loss_units(score, rate=int(RATE * 2**RATE_BITS), exponent=power, selected=selected)
    return totals


def _selected(entry: Any) -> Iterator[tuple[int, Int64s]]:
    """(slot, c_i · w_i as int64[d])."""
    for slot, inside in enumerate(entry.decision.selected):
        if inside:
            yield slot, entry.updates[slot].astype(np.int64) * entry.decision.coefficients[slot]


def edge(v: Float32s, way: Floats) -> tuple[Int16s, int]:
    """The row that goes farthest in a direction and still agrees with v: entries are moved by one, the cheapest first.

    What moving an entry takes of the tolerance is how far it is from the half beyond which it would be rounded so.
    """
    row, exponent = quantize_row(v)
    exactly, sign = np.ldexp(v.astype(np.float64), -exponent), np.sign(way)
    cost = np.square(0.5 - sign * (exactly - row))
    cost[(np.abs(row) >= LEAST_TOP) | (sign == 0)] = np.inf
    order = np.argsort(cost / np.maximum(np.abs(way), 1e-300))
    moved = order[: np.searchsorted(np.cumsum(cost[order]), 0.999 * TOLERANCE**2 * float(exactly @ exactly))]
    row[moved] += sign[moved].astype(np.int16)
    return row, exponent


def lies(learner: Learner, job: Played) -> dict[str, Any]:
    """How much of the pot an aggregator can give a friend with second rows at the edge, in every round of a job."""
    vectors = [second_vector(learner.validation.gradient, entry.base, entry.end) for entry in job.rounds]
    honest = [quantize_row(v) for v in vectors]
    fair = np.array(divide(POT, _balances(job, honest), job.opened)) / POT
    gained = []
    for friend in range(TRAINERS):
        told = []
        for entry, v in zip(job.rounds, vectors, strict=True):
            # The direction in which the friend's part of all points grows most.
            way = np.zeros(len(v))
            for slot, w in _selected(entry):
                way += w * ((1 - fair[friend]) if slot == friend else -fair[friend] * (fair[slot] > 0))
            row, exponent = edge(v, way)
            if not rows_agree(row, exponent, v):
                raise SystemExit("a row inside the tolerance was refused")
            told.append((row, exponent))
        gained.append(divide(POT, _balances(job, told), job.opened)[friend] / POT - fair[friend])
    near = [
        abs(float(w @ v0)) <= TOLERANCE * float(np.linalg.norm(w)) * float(np.linalg.norm(v0))
        for entry in job.rounds
        for v0 in [first_vector(learner.validation.gradient, entry.base).astype(np.float64)]
        for w in (np.asarray(update, np.float64) for update in entry.updates if update is not None)
    ]
    return {
        "pot_percent_mean": 100 * float(np.mean(gained)),
        "pot_percent_worst": 100 * float(max(gained)),
        "of_own_pay_percent_worst": 100 * float(max(g / f for g, f in zip(gained, fair, strict=True) if f > 0)),
        "selected_otherwise_percent": 100 * float(np.mean(near)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", choices=["mlp", "cnn"], default=["mlp", "cnn"])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--points", type=int, default=200, help="models on which float32 is held against float64")
    parser.add_argument("--python", nargs="*", default=[], metavar="PATH", help="interpreters with another torch")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    chosen = parser.parse_args()
    console = Console()
    torch.set_num_threads(1)
    parts = ("apart", "kinks", "switches", "lies")
    document: dict[str, Any] = {"torch": torch.__version__, "tolerance": TOLERANCE} | {name: [] for name in parts}
    for model in chosen.models:
        for split in ("IID", "Dirichlet 0.3"):
            learner, job = played(model, chosen.rounds, skewed=split != "IID")
            where = {"model": model, "split": split}
            if split == "IID":
                wanted = list(cases(learner, job))
                found = apart(wanted, again(wanted, variants(chosen.python), console))
                document["apart"] += [where | row for row in found]
                console.print(table("apart", document["apart"]))
            document["kinks"].append(where | kinks(learner, job, chosen.points))
            if model == "mlp":
                document["switches"].append(where | switches(learner, job))
            document["lies"].append(where | lies(learner, job))
    for name in parts[1:]:
        console.print(table(name, document[name]))
    if chosen.json:
        chosen.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
