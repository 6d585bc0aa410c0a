"""Time and memory of the integer Gram matrix, against a plain int64 matrix product in the same run.

    python benches/gram.py [--json FILE]

Prints one line a size; the JSON has the same numbers. Seconds are the best of three. Memory is what numpy and Python
allocate at most beyond the updates, in multiples of the updates' own size.
"""

import argparse
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from aggregator.gram import gram
from zk.encoding import LIMIT, Int16s

SIZES = ((8, 2**16), (16, 2**18), (16, 2**20), (32, 2**20), (18, 2**22))
NAIVE_LIMIT = 2**24  # entries; beyond, the plain product takes minutes


def naive(rows: list[Int16s]) -> list[list[int]]:
    wide = np.stack(rows).astype(np.int64)
    return [[int(entry) for entry in line] for line in wide @ wide.T]


def seconds(work: Callable[[], object], repeats: int) -> float:
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def measure(n: int, d: int) -> dict[str, float | None]:
    rng = np.random.default_rng(0)
    rows = [rng.integers(-LIMIT, LIMIT + 1, d, dtype=np.int16) for _ in range(n)]
    exact = gram(rows)
    fast = seconds(lambda: gram(rows), repeats=3)
    tracemalloc.start()
    gram(rows)
    memory = tracemalloc.get_traced_memory()[1] / (2 * n * d)
    tracemalloc.stop()
    slow = None
    if n * d <= NAIVE_LIMIT:
        if naive(rows) != exact:
            raise SystemExit(f"n = {n}, d = {d}: the two Gram matrices differ")
        slow = seconds(lambda: naive(rows), repeats=1)
    ratio = slow / fast if slow else None
    return {"n": n, "d": d, "seconds": fast, "memory": memory, "naive_seconds": slow, "speedup": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    arguments = parser.parse_args()
    print(f"{'n':>3} {'d':>9} {'seconds':>9} {'memory':>7} {'int64':>9} {'speedup':>8}")
    results = []
    for n, d in SIZES:
        result = measure(n, d)
        results.append(result)
        slow, ratio = result["naive_seconds"], result["speedup"]
        tail = f"{slow:9.4f} {ratio:7.1f}x" if slow and ratio else f"{'-':>9} {'-':>8}"
        print(f"{n:3} {d:9} {result['seconds']:9.4f} {result['memory']:6.2f}x {tail}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"gram": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
