"""The baseline: all pairwise squared distances of n vectors as one circuit (circom2, snarkjs, Groth16), in processes.

What is measured is the prover: witness and proof. Packages, compiled circuit and key are made once, in minutes, and
kept in build/circuit; neither that, nor Node's start, reading the input, and verification are in the time. What the
circuit holds: pairwise.circom.
"""

import hashlib
import json
import random
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

HERE = Path(__file__).parent
WORK = HERE.parents[1] / "build" / "circuit"
LIMIT = 2**15 - 1
SETUP_SECONDS = 7200
PROVE_SECONDS = 3600


@dataclass(frozen=True)
class Key:
    """A proving key and the program that computes witnesses."""

    wasm: Path
    zkey: Path
    constraints: int
    power: int


def _run(*command: str, seconds: int) -> str:
    """What a program of the packages writes; raises SystemExit with its last lines when it fails."""
    done = subprocess.run(command, cwd=WORK, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def _installed() -> None:
    """The packages, below the folder that circom2 may read from."""
    WORK.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "pairwise.circom", "powers.mjs", "prove.mjs"):
        shutil.copy(HERE / name, WORK / name)
    if not (WORK / "node_modules" / ".bin" / "snarkjs").exists():
        # Not ci: as for the project's own packages, some mirrors lack those of other systems.
        _run("npm", "install", "--no-save", "--no-fund", "--no-audit", "--loglevel=error", seconds=600)


def key(n: int, d: int, say: Console) -> Key:
    """The key of the circuit of n vectors of d entries, from the cache where it is there."""
    _installed()
    digest = hashlib.sha256((HERE / "pairwise.circom").read_bytes()).hexdigest()[:8]
    name = f"pairwise_{n}_{d}_{digest}"
    facts = WORK / f"{name}.json"
    if not facts.exists():
        source = f'pragma circom 2.1.0;\ninclude "pairwise.circom";\ncomponent main = Pairwise({n}, {d});\n'
        (WORK / f"{name}.circom").write_text(source)
        said = _run("node_modules/.bin/circom2", f"{name}.circom", "--r1cs", "--wasm", "--O2", seconds=SETUP_SECONDS)
        found = re.search(r"non-linear constraints[^:]*: (\d+)", said)
        if not found:
            raise SystemExit(f"circom2 names no number of constraints:\n{said}")
        constraints = int(found[1])
        # Groth16's domain also holds a row for each public value and the constant.
        power = (constraints + n + n * (n - 1) // 2).bit_length()
        say.print(f"making the key of the baseline's {constraints:,} constraints, once: minutes")
        _run("node", "powers.mjs", str(power), "powers.ptau", seconds=SETUP_SECONDS)
        setting_up = ("groth16", "setup", f"{name}.r1cs", "powers.ptau", f"{name}.zkey")
        _run("node_modules/.bin/snarkjs", *setting_up, seconds=SETUP_SECONDS)
        (WORK / "powers.ptau").unlink()
        facts.write_text(json.dumps({"constraints": constraints, "power": power}))
    known = json.loads(facts.read_text())
    return Key(WORK / f"{name}_js" / f"{name}.wasm", WORK / f"{name}.zkey", known["constraints"], known["power"])


def measure(n: int, d: int, say: Console) -> dict[str, Any]:
    """n, d, constraints, seconds of witness and proof, the prover's peak_gib, and parameters proved per second."""
    made = key(n, d, say)
    rng = random.Random(0)
    vectors = [[rng.randint(-LIMIT, LIMIT) for _ in range(d)] for _ in range(n)]
    (WORK / "input.json").write_text(json.dumps({"vectors": [[str(x) for x in row] for row in vectors]}))
    said = _run("node", "prove.mjs", "input.json", str(made.wasm), str(made.zkey), seconds=PROVE_SECONDS)
    result = json.loads(said)
    pairs = [(a, b) for i, a in enumerate(vectors) for b in vectors[i + 1 :]]
    distances = [str(sum((x - y) ** 2 for x, y in zip(a, b, strict=True))) for a, b in pairs]
    if not result["valid"] or result["public"][n:] != distances:
        raise SystemExit("the baseline's proof is not valid, or not of these vectors' distances")
    seconds = result["witness_seconds"] + result["groth16_seconds"]
    return {
        "n": n,
        "d": d,
        "constraints": made.constraints,
        "power": made.power,
        "witness_seconds": result["witness_seconds"],
        "groth16_seconds": result["groth16_seconds"],
        "peak_gib": result["peak_gib"],
        "parameters_per_second": d / seconds,
    }
