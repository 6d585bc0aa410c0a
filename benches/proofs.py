"""Time and memory of the proofs about one round: commitment, opening check, Gram proof, its verification in Python.

    python -m benches.proofs --d 1048576 --n 16 --chunk 131072 [--json FILE]

n random updates of d entries, in chunks of N entries; the set-up is a development one, made outside the measurement.
peak_gib is the most memory that the process had, set-up and updates included. One run of each step, no best of several.
"""

import argparse
import json
import os
import resource
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from zk import gram, kzg, setup
from zk.encoding import LIMIT
from zk.transcript import Context
from zk.verifier import GramStatement, verify_gram

T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(d: int, n: int, chunk: int, verify: bool) -> dict[str, float | int | None]:
    srs, setup_seconds = timed(lambda: setup.development(chunk))
    rng = np.random.default_rng(0)
    rows = [rng.integers(-LIMIT, LIMIT + 1, d, dtype=np.int16) for _ in range(n)]
    blinders = [kzg.random_blinders(d, chunk) for _ in rows]
    first, commit_seconds = timed(lambda: kzg.commit(srs, rows[0], blinders[0]))
    commitments = [first] + [kzg.commit(srs, w, b) for w, b in zip(rows[1:], blinders[1:], strict=True)]
    opened, opening_seconds = timed(lambda: kzg.open_together(srs, rows, blinders, commitments))
    coefficients = [4096] * n
    sums, sum_seconds = timed(lambda: kzg.combine(commitments, coefficients))
    context = Context(31337, bytes(20), 1, 1, bytes(32)).encoded()
    statement = GramStatement(context, 2**n - 1, secrets.randbelow(2**250), commitments, sums, coefficients)
    proof, gram_seconds = timed(lambda: gram.prove(srs, statement, rows, blinders, gram.draw_mask(srs)))
    peak = peak_gib()
    verify_seconds = None
    if verify:
        accepted, verify_seconds = timed(lambda: verify_gram(statement, proof.proof, setup.verifier_setup(srs)))
        opened = opened and accepted
    if not opened:
        raise SystemExit("an honest opening or proof was refused")
    return {
        "d": d,
        "n": n,
        "chunk": chunk,
        "chunks": kzg.chunks(d, chunk),
        "cores": os.cpu_count(),
        "setup_seconds": setup_seconds,
        "commit_seconds": commit_seconds,
        "opening_seconds": opening_seconds,
        "sum_seconds": sum_seconds,
        "gram_seconds": gram_seconds,
        "verify_python_seconds": verify_seconds,
        "peak_gib": peak,
        "proof_bytes": len(proof.proof),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--d", type=int, default=2**20, help="entries of an update")
    parser.add_argument("--n", type=int, default=16, help="updates, at most 32")
    parser.add_argument("--chunk", type=int, default=2**17, help="N, a power of two")
    parser.add_argument("--no-verify", action="store_true", help="leave out the verifier in Python")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    arguments = parser.parse_args()
    if not 1 <= arguments.n <= 32:
        parser.error("n is 1 … 32")
    result = measure(arguments.d, arguments.n, arguments.chunk, not arguments.no_verify)
    for name, value in result.items():
        print(f"{name:>22} {value:12.3f}" if isinstance(value, float) else f"{name:>22} {value!s:>12}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"proofs": [result]}, indent=2) + "\n")


if __name__ == "__main__":
    main()
