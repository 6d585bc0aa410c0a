"""Time, memory and size of the proofs about one round, beside the same statement as one circuit.

    python -m benches.proofs --d 1048576 --n 16 --chunk 131072 [--baseline 500] [--gas] [--json FILE]
    python -m benches.proofs --sweep [--memory GIB] [--json FILE]

n random updates of d entries and two reference rows, so n + 2 rows in the Gram proof, in chunks of N entries. Set-up
and keys are development ones, made outside of what is measured; each step runs once, Gram proof and sum check --repeat
times, of which the fastest counts. Every measurement has a process of its own; peak_gib is the most memory that it had
up to the last proof, with set-up, keys and updates.

gram_seconds stands beside floor_seconds, measured in turn with it: the sums of points and the transforms that the proof
cannot do without, alone, by the core's own, which are the fastest there are (docs/decisions/2026-11-28-prover.md).
threads: the same for 1, 2 and all threads; serial_fraction is Amdahl's, from what 2 threads gain over 1.
sum_check_seconds: whether a sum of --sum parameters opens its commitment, all chunks at once.

--baseline D: as one circuit (benches/circuit), for n = 10 vectors of D entries. Compared are parameters proved per
second: d / (gram_seconds + decision_reference_seconds) with n + 2 rows here, D / (witness + proof) there. As
ratio_same_n the same with n = 10 here too; as ratio_with_commitments with the time for all commitments and their
opening check added here, since the circuit's hashes are in its proof.
"""

import argparse
import json
import multiprocessing
import os
import resource
import secrets
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from aggregator import rules
from aggregator.gram import gram as products_of
from benches.circuit import baseline
from zk import decision, encoding, gram, kzg, setup
from zk.statements import KRUM_COSINE, REFERENCE, DecisionStatement, circuit_id
from zk.transcript import Context, P
from zk.verifier import GramStatement, verify_decision, verify_gram

T = TypeVar("T")
Figures = dict[str, Any]

REFERENCE_POSITIONS = 3 << 32
BASELINE_N = 10
WIDTH = 150
PYTHON_POINTS = 1024
"""Of a statement that the sweep still verifies in Python."""


def timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def judged(rule: int, products: list[list[int]], n: int) -> rules.Decision:
    slots = [line[:n] for line in products[:n]]
    if rule == KRUM_COSINE:
        return rules.krum_cosine(slots, [True] * n, n // 4)
    v0, u = ([products[i][n + k] for i in range(n)] for k in range(2))
    return rules.reference(slots, [True] * n, v0, products[n][n], u)


def claimed(rules_decision: rules.Decision, n: int, gram_hash: int, r: int, s: int, y: int) -> DecisionStatement:
    return DecisionStatement(
        gram_hash=gram_hash,
        r=r,
        s=s,
        y=y,
        opened=[True] * n,
        selected=rules_decision.selected,
        struck=rules_decision.struck,
        max_faulty=n // 4,
        coefficients=rules_decision.coefficients,
        scores=rules_decision.scores,
    )


def krum_cosine_seconds(products: list[list[int]], n: int) -> float:
    """Of a decision proof under rule 1, about a Gram proof of the n rows alone, of which only r, s and y are needed."""
    circuit = circuit_id(KRUM_COSINE, n)
    key = setup.development_key(circuit)
    secret = decision.Secret([line[:n] for line in products[:n]], secrets.randbelow(P), decision.draw_salt())
    r, s = secrets.randbelow(P), secrets.randbelow(P)
    y = secret.mu + sum(pow(r, i + 1, P) * pow(s, j + 1, P) * products[i][j] for i in range(n) for j in range(n))
    hashed = decision.gram_hash(circuit, secret)
    statement = claimed(judged(KRUM_COSINE, products, n), n, hashed, r, s, y % P)
    proof, seconds = timed(lambda: decision.prove(key, statement, secret))
    if not verify_decision(key.verifying_key, statement.public_inputs(circuit), proof):
        raise SystemExit("an honest decision proof was refused")
    return seconds


def beside_floor(
    srs: setup.Srs,
    statement: GramStatement,
    rows: list[encoding.Int16s],
    blinders: list[bytes],
    mask: gram.Mask,
    repeat: int,
) -> tuple[gram.GramProof, float, float]:
    """A Gram proof, its seconds, and those of its sums and transforms alone: each the fastest of `repeat`, by turns."""
    chunks = len(statement.sums) // encoding.POINT_BYTES
    proving, floors = [], []
    for _ in range(repeat):
        proof, seconds = timed(lambda: gram.prove(srs, statement, rows, blinders, mask))
        proving.append(seconds)
        floors.append(timed(lambda: srs.floor(chunks))[1])
    return proof, min(proving), min(floors)


def measure_threads(d: int, n: int, chunk: int, repeat: int) -> Figures:
    """A Gram proof beside its floor, of rows all alike in cost; the sums need no right coefficients for that."""
    srs = setup.development(chunk)
    row = np.random.default_rng(0).integers(-encoding.LIMIT, encoding.LIMIT + 1, d, dtype=np.int16)
    blinder = kzg.random_blinders(d, chunk)
    commitment = kzg.commit(srs, row, blinder)
    rows, blinders, commitments = [row] * (n + 2), [blinder] * (n + 2), [commitment] * (n + 2)
    statement = GramStatement(b"", 2**n - 1 | REFERENCE_POSITIONS, 0, commitments, commitment, [1] + [0] * (n - 1))
    _, gram_seconds, floor_seconds = beside_floor(srs, statement, rows, blinders, gram.draw_mask(srs), repeat)
    return {
        "gram_seconds": gram_seconds,
        "floor_seconds": floor_seconds,
        "ratio_to_floor": gram_seconds / floor_seconds,
        "peak_gib": peak_gib(),
    }


def measure_sum(d: int, chunk: int, repeat: int) -> Figures:
    """Whether a sum of d entries that 16 updates can add up to opens: at once, and by committing to it again."""
    srs = setup.development(chunk)
    limit = 16 * 4096 * encoding.LIMIT
    total = np.random.default_rng(0).integers(-limit, limit + 1, d, dtype=np.int64)
    blinders = kzg.random_blinders(d, chunk)
    commitment, committing = timed(lambda: kzg.commit_sum(srs, total, blinders))
    checks = [timed(lambda: kzg.sum_opens(srs, total, blinders, commitment)) for _ in range(repeat)]
    if not all(opens for opens, _ in checks):
        raise SystemExit("an honest sum was refused")
    return {
        "sum_parameters": d,
        "sum_check_seconds": min(seconds for _, seconds in checks),
        "sum_commit_seconds": committing,
    }


def by_threads(d: int, n: int, chunk: int, repeat: int) -> Figures:
    """1, 2 and all threads, and what of the work does not divide between them."""
    found: dict[str, Figures] = {}
    for name, count in {"1": 1, "2": 2, "all": os.cpu_count() or 1}.items():
        known = next((figures for figures in found.values() if figures["threads"] == count), None)
        found[name] = known or {"threads": count} | in_process(measure_threads, d, n, chunk, repeat, threads=count)
    ratio = found["2"]["gram_seconds"] / found["1"]["gram_seconds"]
    return {"threads": found, "speed_up": 1 / ratio, "serial_fraction": max(0.0, 2 * ratio - 1)}


def measure(d: int, n: int, chunk: int, verify: bool, count_gas: bool, repeat: int = 1) -> Figures:
    """One round under rule 2, and the decision proof of rule 1. verify: by the verifiers in Python."""
    circuit = circuit_id(REFERENCE, n)
    srs, setup_seconds = timed(lambda: setup.development(chunk))
    key, key_seconds = timed(lambda: setup.development_key(circuit))
    rng = np.random.default_rng(0)
    rows = [rng.integers(-encoding.LIMIT, encoding.LIMIT + 1, d, dtype=np.int16) for _ in range(n + 2)]
    blinders = [kzg.random_blinders(d, chunk) for _ in rows]
    first, commit_seconds = timed(lambda: kzg.commit(srs, rows[0], blinders[0]))
    commitments = [first] + [kzg.commit(srs, w, b) for w, b in zip(rows[1:], blinders[1:], strict=True)]
    opened, opening_seconds = timed(lambda: kzg.open_together(srs, rows[:n], blinders[:n], commitments[:n]))
    products, products_seconds = timed(lambda: products_of(rows))

    mask, made = gram.draw_mask(srs), judged(REFERENCE, products, n)
    secret = decision.Secret(products, mask.mu, decision.draw_salt())
    sums, sum_seconds = timed(lambda: kzg.combine(commitments[:n], made.coefficients))
    context = Context(31337, bytes(20), 1, 1, bytes(32)).encoded()
    positions = 2**n - 1 | REFERENCE_POSITIONS
    hashed = decision.gram_hash(circuit, secret)
    statement = GramStatement(context, positions, hashed, commitments, sums, made.coefficients)
    linear, gram_seconds, floor_seconds = beside_floor(srs, statement, rows, blinders, mask, repeat)
    claim = claimed(made, n, hashed, linear.r, linear.s, linear.y)
    proof, decision_seconds = timed(lambda: decision.prove(key, claim, secret))
    peak = peak_gib()
    figures: Figures = {
        "d": d,
        "n": n,
        "rows": n + 2,
        "chunk": chunk,
        "chunks": encoding.chunks(d, chunk),
        "cores": os.cpu_count(),
        "setup_seconds": setup_seconds,
        "key_seconds": key_seconds,
        "commit_seconds": commit_seconds,
        "opening_seconds": opening_seconds,
        "products_seconds": products_seconds,
        "sum_seconds": sum_seconds,
        "gram_seconds": gram_seconds,
        "floor_seconds": floor_seconds,
        "ratio_to_floor": gram_seconds / floor_seconds,
        "decision_krum_cosine_seconds": krum_cosine_seconds(products, n),
        "decision_reference_seconds": decision_seconds,
        "peak_gib": peak,
        "gram_bytes": len(linear.proof),
        "decision_bytes": len(proof),
        "parameters_per_second": d / (gram_seconds + decision_seconds),
    }
    verifier_setup, inputs = setup.verifier_setup(srs), claim.public_inputs(circuit)
    if verify:
        linear_holds, figures["verify_gram_seconds"] = timed(
            lambda: verify_gram(statement, linear.proof, verifier_setup)
        )
        decision_holds, figures["verify_decision_seconds"] = timed(
            lambda: verify_decision(key.verifying_key, inputs, proof)
        )
        opened = opened and linear_holds and decision_holds
    if not opened:
        raise SystemExit("an honest opening or proof was refused")
    if count_gas:
        from benches import gas  # noqa: PLC0415 (loads torch, which is no part of what is measured)

        figures |= gas.of_verifiers(statement, linear.proof, verifier_setup, circuit, key.verifying_key, inputs, proof)
        figures |= gas.of_a_job(n, figures["chunks"])
    return figures


def in_process(work: Callable[..., Figures], *arguments: Any, threads: int | None = None) -> Figures:
    """`work` in a process of its own, so that what it needs at most is its own, with so many threads in the core."""
    before = os.environ.get("RAYON_NUM_THREADS")
    if threads:
        os.environ["RAYON_NUM_THREADS"] = str(threads)
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            return process.submit(work, *arguments).result()
    finally:
        if threads:
            os.environ.pop("RAYON_NUM_THREADS")
            if before is not None:
                os.environ["RAYON_NUM_THREADS"] = before


def compared(figures: Figures, circuit: Figures, repeat: int) -> Figures:
    """Ratios of parameters proved per second to those of the circuit."""
    sizes = figures["d"], BASELINE_N, figures["chunk"]
    same = figures if figures["n"] == BASELINE_N else in_process(measure, *sizes, False, False, repeat)
    proving = figures["gram_seconds"] + figures["decision_reference_seconds"]
    committing = figures["rows"] * figures["commit_seconds"] + figures["opening_seconds"]
    rate = circuit["parameters_per_second"]
    return {
        "ratio_to_circuit": figures["parameters_per_second"] / rate,
        "ratio_same_n": same["parameters_per_second"] / rate,
        "ratio_with_commitments": figures["d"] / (proving + committing) / rate,
        "circuit": circuit,
    }


SWEEP = {"d": (2**14, 2**16, 2**18, 2**20, 2**22), "n": (8, 16, 32), "chunk": (2**14, 2**16, 2**18)}
SHOWN = {
    "d": "d",
    "n": "n",
    "chunk": "N",
    "chunks": "c",
    "commit_seconds": "commit s",
    "opening_seconds": "open s",
    "gram_seconds": "Gram s",
    "decision_krum_cosine_seconds": "rule 1 s",
    "decision_reference_seconds": "rule 2 s",
    "verify_gram_seconds": "verify Gram s",
    "verify_decision_seconds": "decision s",
    "gram_bytes": "Gram bytes",
    "gas_gram": "Gram gas",
    "gas_decision": "decision gas",
    "gas_submit": "submit gas",
    "gas_settle": "settle gas",
    "peak_gib": "peak GiB",
}


def needed_gib(d: int, n: int, chunk: int) -> float:
    """An estimate from above: rows, prover, set-up, and half a GiB for programs and keys."""
    return (d * (2 * (n + 2) + 96) + 2048 * chunk) / 2**30 + 0.5


def sweep(memory: float, count_gas: bool, say: Console) -> list[Figures]:
    found = []
    for d in SWEEP["d"]:
        for n in SWEEP["n"]:
            for chunk in SWEEP["chunk"]:
                if chunk > d:
                    continue  # the same one chunk as for the largest N up to d, with more zeros
                if needed_gib(d, n, chunk) > memory:
                    say.print(f"d = {d}, n = {n}, N = {chunk}: left out, needs {needed_gib(d, n, chunk):.1f} GiB")
                    continue
                few = (n + 2) * encoding.chunks(d, chunk) <= PYTHON_POINTS
                figures = in_process(measure, d, n, chunk, few, count_gas and few)
                say.print(f"d = {d}, n = {n}, N = {chunk}: Gram proof {figures['gram_seconds']:.2f} s")
                found.append(figures)
    columns = {name: title for name, title in SHOWN.items() if any(name in figures for figures in found)}
    table = Table(title="proofs of a round", box=box.SIMPLE)
    for title in columns.values():
        table.add_column(title, justify="right")
    for figures in found:
        table.add_row(*(shown(figures.get(name)) for name in columns))
    say.print(table, width=WIDTH)
    return found


def shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}" if value < 100 else f"{value:,.0f}"
    return "-" if value is None else f"{value:,}"


def show(figures: Figures, say: Console) -> None:
    parts = [("the proofs of a round", figures), ("as one circuit", figures.get("circuit", {}))]
    parts += [(f"threads: {name}", of) for name, of in figures.get("threads", {}).items()]
    for title, rows in parts:
        table = Table("", "", title=title, show_header=False)
        for name, value in rows.items():
            if not isinstance(value, dict):
                table.add_row(name, shown(value))
        if rows:
            say.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--d", type=int, default=2**20, help="entries of an update")
    parser.add_argument("--n", type=int, default=16, help="updates, at most 32")
    parser.add_argument("--chunk", type=int, default=2**17, help="N, a power of two")
    parser.add_argument("--baseline", type=int, metavar="D", help="compare with a circuit for vectors of D entries")
    parser.add_argument("--gas", action="store_true", help="what the contracts use, on an Anvil of its own")
    parser.add_argument("--sum", type=int, default=10_000_000, metavar="D", help="entries of the sum that is checked")
    parser.add_argument("--repeat", type=int, default=3, help="of how many runs the fastest counts")
    parser.add_argument("--no-verify", action="store_true", help="leave out the verifiers in Python")
    parser.add_argument("--sweep", action="store_true", help="many sizes; the three above are not read")
    parser.add_argument("--memory", type=float, default=8.0, metavar="GIB", help="what a size of the sweep may need")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    arguments = parser.parse_args()
    if not 1 <= arguments.n <= 32:
        parser.error("n is 1 … 32")
    if arguments.repeat < 1:
        parser.error("repeat is 1 or more")
    say = Console()
    figures: Figures
    if arguments.sweep:
        figures = {"sweep": sweep(arguments.memory, arguments.gas, say)}
    else:
        sizes = arguments.d, arguments.n, arguments.chunk
        repeat = arguments.repeat
        figures = in_process(measure, *sizes, not arguments.no_verify, arguments.gas, repeat)
        figures |= by_threads(*sizes, repeat)
        figures |= in_process(measure_sum, arguments.sum, arguments.chunk, repeat)
        if arguments.baseline:
            figures |= compared(figures, baseline.measure(BASELINE_N, arguments.baseline, say), repeat)
        show(figures, say)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
