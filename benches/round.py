"""A round's phases with time and bytes: `python -m benches.round [--d D] [--n N] [--json FILE]`.

One process, a storage folder, no chain: what trainer and aggregator compute, seal and store. Training is left out,
since it depends on the model and the data, and so are the proofs, which benches/proofs.py measures.
"""

import argparse
import json
import secrets
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from aggregator.gram import gram
from aggregator.rules import UNIT, krum_cosine
from aggregator.sums import next_model, weighted_sum
from marketplace.domain import Rule
from marketplace.keys.identity import Identity
from marketplace.keys.sealing import Purpose, SealContext, open_sealed, seal_bytes_with_key
from marketplace.services.deliveries import fetch_update, open_delivery, seal_update
from marketplace.spec import ProofsConfig
from marketplace.storage import open_storage, put_bytes
from trainer.quantize import to_integers
from zk import kzg, setup
from zk.encoding import chunks
from zk.files import max_update_file_bytes, pack_sum, pack_update, unpack_update


def measure(d: int, n: int) -> list[dict[str, Any]]:
    """One row for each phase: name, seconds, bytes made (0 where nothing is)."""
    rows: list[dict[str, Any]] = []

    def timed(name: str, work: Callable[[], Any], size: Callable[[Any], int] = lambda result: 0) -> Any:
        started = time.perf_counter()
        result = work()
        rows.append({"phase": name, "seconds": time.perf_counter() - started, "bytes": size(result)})
        return result

    party, aggregator = Identity(secrets.token_bytes(32)), Identity(secrets.token_bytes(32))
    context = SealContext(31337, party.address, 1, 1, party.address, Purpose.UPDATE)
    base = np.zeros(d, dtype=np.float32)
    delta = torch.randn(d, generator=torch.Generator().manual_seed(1)) * 0.01
    update = timed("trainer: round to integers", lambda: to_integers(delta, 2.0**-15, 5.0))
    chunk = ProofsConfig().chunk_for(d)
    c, srs = chunks(d, chunk), setup.development(chunk)
    blinders = kzg.random_blinders(d, chunk)
    points = timed("trainer: commit", lambda: kzg.commit(srs, update, blinders))
    sealed = timed(
        "trainer: pack and seal",
        lambda: seal_update(aggregator.encryption_key, pack_update(update, blinders, points, c), context),
        lambda made: len(made.large),
    )
    with tempfile.TemporaryDirectory() as folder:
        storage = open_storage(f"folder:{Path(folder) / 'storage'}", timeout=10)
        timed("trainer: store", lambda: put_bytes(storage, sealed.large))
        timed("trainer: deliver", lambda: put_bytes(storage, sealed.small), lambda _: len(sealed.small))
        bound, opener = max_update_file_bytes(d, c), partial(open_sealed, aggregator.decryption_key)
        delivery = timed(
            "aggregator: fetch and open a small file", lambda: open_delivery(storage, sealed.cid, opener, context)
        )
        opened = timed("aggregator: fetch and open an update", lambda: fetch_update(storage, delivery, context, bound))
    row = [[part] for part in unpack_update(opened, d, c)]
    timed("aggregator: check one opening", lambda: kzg.which_open(srs, *row))
    rng = np.random.default_rng(2)
    updates = [rng.integers(-1000, 1001, d, dtype=np.int16) for _ in range(n)]
    matrix = timed(f"aggregator: Gram matrix of {n}", lambda: gram(updates))
    decision = timed("aggregator: rule", lambda: krum_cosine(matrix, [True] * n, 2))
    total = timed(f"aggregator: sum of {n}", lambda: weighted_sum(updates, decision.coefficients))
    selected = sum(decision.selected)
    timed(
        "everybody: next model",
        lambda: next_model(base, total, rate=1.0, scale=2.0**-15, unit=UNIT[Rule.KRUM_COSINE], selected=selected),
    )
    key = secrets.token_bytes(32)
    timed(
        "aggregator: pack and seal the sum",
        lambda: seal_bytes_with_key(key, pack_sum(total, blinders, c), context),
        len,
    )
    timed("everybody: commit to the sum", lambda: kzg.commit_sum(srs, total, blinders))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="A round's phases with time and bytes.")
    parser.add_argument("--d", type=int, default=2**20, help="parameters")
    parser.add_argument("--n", type=int, default=16, help="trainers")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    measure(2**10, 2)  # what is loaded and compiled at first use is not a phase
    rows = measure(options.d, options.n)
    table = Table("phase", "seconds", "MiB", title=f"d = {options.d:,}, n = {options.n}")
    for row in rows:
        table.add_row(row["phase"], f"{row['seconds']:.4f}", f"{row['bytes'] / 2**20:.2f}" if row["bytes"] else "")
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps({"d": options.d, "n": options.n, "phases": rows}, indent=2))


if __name__ == "__main__":
    main()
