"""Removes or inverts one check of the verifiers at a time; the suite has to notice each.

    python -m tests.soundness.mutate                  all of them (minutes)
    python -m tests.soundness.mutate --sample 4       four, drawn at random; --seed chooses which

Each mutation is made in a copy of the tree, where the contracts are compiled again and tests/soundness is run up to its
first failure. Exits 1 and names the mutations that survived.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("aggregator", "contracts", "marketplace", "scripts", "tests", "trainer", "zk", "pyproject.toml")
PYTHON, POINTS = "zk/verifier.py", "zk/points.py"
GRAM, DECISION = "contracts/verifiers/GramVerifier.sol", "contracts/verifiers/DecisionVerifier.sol"
LIBRARY, TRANSCRIPT = "contracts/libraries/Bn254.sol", "contracts/libraries/Transcript.sol"


@dataclass(frozen=True)
class Mutation:
    file: str
    this: str  # there once
    instead: str

    @property
    def suite(self) -> str:
        return "not python" if self.file.endswith(".sol") else "not solidity"

    def order(self, source: str) -> list[str]:
        """The suite, the part that is about what is mutated first."""
        about_decision = "ecision" in self.file or "def verify_decision" in source.split(self.this, maxsplit=1)[0]
        names = ["honest", "gram_attacks", "decision_attacks", "zero_knowledge"]
        names.sort(key=lambda name: ("decision" in name) != about_decision)
        return [f"tests/soundness/test_{name}.py" for name in names]

    def __str__(self) -> str:
        return f"{self.file}: {self.this.strip()!r} → {self.instead.strip()!r}"


MUTATIONS = tuple(
    Mutation(*fields)
    for fields in (
        (PYTHON, "if not 2 <= setup.chunk <= MAX_CHUNK or setup.chunk & (setup.chunk - 1):", "if False:"),
        (PYTHON, "or references not in (0, REFERENCE_BITS)", ""),
        (PYTHON, "0 < statement.positions < 2 ** (SLOTS + 2)", "0 < statement.positions"),
        (PYTHON, "if len(statement.commitments) != rows:", "if False:"),
        (PYTHON, "any(len(row) != 64 * c for row in statement.commitments)", "False"),
        (PYTHON, "if len(statement.coefficients) != slots:", "if False:"),
        (PYTHON, "for value in (statement.gram_hash, *statement.coefficients)", "for value in statement.coefficients"),
        (PYTHON, "for value in (statement.gram_hash, *statement.coefficients)", "for value in (statement.gram_hash,)"),
        (PYTHON, "if len(proof) != 32 * count:", "if False:"),
        (PYTHON, 'scalar(data, "a scalar of the Gram proof")', 'int.from_bytes(data, "big")'),
        (PYTHON, "word(statement.gram_hash), *proof.words[0:2])", "*proof.words[0:2])"),
        (PYTHON, "Transcript(statement.context)", "Transcript(bytes(160))"),
        (PYTHON, "transcript.absorb(pf.words[6:10])", "pass"),
        (PYTHON, "transcript.absorb(map(word, statement.coefficients))", "pass"),
        (PYTHON, "if vanishing == 0:", "if False:"),
        (PYTHON, "- products - eM", "- eM"),
        (PYTHON, "+ y * pow(N, -1, P))", ")"),
        (PYTHON, "+ lam * pow(rho, k, P) * coefficient", ""),
        (PYTHON, "-lam * pow(rho, k, P)", "-lam"),
        (PYTHON, "[*statement.coefficients, 0, 0]", "[*statement.coefficients, 1, 1]"),
        (PYTHON, "+ u * eAw", ""),
        (PYTHON, "return pairing_is_one(((left, tau), (neg(right), G2)))", "return True"),
        (PYTHON, "if gamma == delta:", "if False:"),
        (PYTHON, "if len(public_inputs) != len(ic) - 1:", "if False:"),
        (PYTHON, "if not all(0 <= x < P for x in public_inputs):", "if False:"),
        (PYTHON, "if rest or length < 8:", "if rest:"),
        (PYTHON, "return pairing_is_one(((neg(A), B), (alpha, beta), (bound, gamma), (C, delta)))", "return True"),
        (PYTHON, "(bound, gamma), (C, delta)", "(C, delta)"),
        (POINTS, "or value >= P:", ":"),
        (POINTS, "if any(value >= field_modulus for value in values):", "if False:"),
        (POINTS, "if not is_on_curve(point, b):", "if False:"),
        (POINTS, "if infinity:", "if True:"),
        (POINTS, "if not is_on_curve(point, b2):", "if False:"),
        (POINTS, "if not is_inf(multiply(point, P)):", "if False:"),
        (GRAM, "if (chunk_ < 2 || chunk_ > MAX_CHUNK || chunk_ & (chunk_ - 1) != 0) revert WrongChunk(chunk_);", ""),
        (GRAM, "if (tau_[0] | tau_[1] | tau_[2] | tau_[3] == 0) revert Bn254.Infinity();", ""),
        (GRAM, "Bn254.pairingIsOne(_pair(1, 2, tau_));", ""),
        (GRAM, "statement.positions == 0 || ", ""),
        (GRAM, "statement.positions >> (SLOTS + 2) != 0", "false"),
        (GRAM, "(references != 0 && references != REFERENCE_BITS)", "false"),
        (GRAM, '_requireLength("commitments", statement.commitments.length, 2 * rows * c);', ""),
        (GRAM, '_requireLength("coefficients", statement.coefficients.length, slots);', ""),
        (GRAM, '_requireLength("proof", proof.length, ROWS_AT_Z + 2 * c);', ""),
        (GRAM, "Bn254.requireScalar(statement.gramHash);", ""),
        (GRAM, "Bn254.requireScalars(statement.coefficients);", ""),
        (GRAM, "Bn254.requireScalars(proof[Y:]);", ""),
        (GRAM, "Bn254.requireFinite(proof[M], proof[M + 1]);", ""),
        (GRAM, "Bn254.requireFinite(proof[A], proof[A + 1]);", ""),
        (GRAM, "Bn254.requireFinite(proof[Q], proof[Q + 1]);", ""),
        (GRAM, "Bn254.requireFinite(proof[WZ], proof[WZ + 1]);", ""),
        (GRAM, "Bn254.requireFinite(proof[WW], proof[WW + 1]);", ""),
        (GRAM, "if (vanishing == 0) return (false, r, s);", ""),
        (GRAM, "talk.say(statement.gramHash);", ""),
        (GRAM, "talk.say(proof[WZ:Y]);\n        talk.absorb();", ""),
        (GRAM, "talk.say(statement.coefficients);\n        talk.absorb();", ""),
        (GRAM, "(scalars.a, scalars.b) = (0, P - ch.lambda);", "(scalars.a, scalars.b) = (0, 0);"),
        (GRAM, "scalars.b = mulmod(ch.lambda, coefficients[0], P);", "scalars.b = ch.lambda;"),
        (GRAM, "Bn254.Scalars(0, ch.v, 0, ch.rho)", "Bn254.Scalars(0, ch.v, 0, 1)"),
        (GRAM, "E = addmod(E, mulmod(ch.u, proof[EA_AT_WZ], P), P);", ""),
        (GRAM, "valid = _equalUnderTau(left, right);", "valid = true;"),
        (DECISION, 'if (inputs.length != inputCount) revert WrongLength("inputs", inputs.length, inputCount);', ""),
        (DECISION, "Bn254.requireScalars(inputs);", ""),
        (DECISION, "Bn254.requireFinite(proof[0], proof[1]);", ""),
        (DECISION, "Bn254.requireFinite(proof[2] | proof[3], proof[4] | proof[5]);", ""),
        (DECISION, "Bn254.requireFinite(proof[6], proof[7]);", ""),
        (DECISION, "bound.addProducts(words, IC + 2, inputs);", ""),
        (DECISION, "return Bn254.pairingIsOne(pairs);", "Bn254.pairingIsOne(pairs); return true;"),
        (DECISION, "Bn254.pairingIsOne(pair);", ""),
        (DECISION, "Bn254.requireFinite(words[at] | words[at + 1], words[at + 2] | words[at + 3]);", ""),
        (DECISION, "Bn254.requireFinite(words[0], words[1]);", ""),
        (DECISION, "Bn254.requireFinite(words[at], words[at + 1]);", ""),
        (DECISION, "sum.addPoint(words[at], words[at + 1]);", ""),
        (DECISION, ") revert UnsafeKey();", ") {}"),
        (LIBRARY, "if (value >= ORDER) revert NotBelowOrder(value);", ""),
        (LIBRARY, "if (x | y == 0) revert Infinity();", ""),
        (LIBRARY, "if (y >= FIELD) revert InvalidPoint();", "if (y > FIELD) revert InvalidPoint();"),
        (LIBRARY, "finite := and(finite,", "finite := or(finite,"),
        (TRANSCRIPT, "let hash := keccak256(state, 0x20)", "let hash := mload(state)"),
    )
)  # fmt: skip


def killed(mutation: Mutation) -> bool:
    """Whether the suite fails with it, or the contracts do not even compile."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("target", "__pycache__"))
            else:
                shutil.copy(source, copy / name)
        (copy / "node_modules").symlink_to((ROOT / "node_modules").resolve())
        path = copy / mutation.file
        source_text = path.read_text()
        if source_text.count(mutation.this) != 1:
            raise SystemExit(
                f"{mutation}: what it replaces is there {source_text.count(mutation.this)} times, not once"
            )
        path.write_text(source_text.replace(mutation.this, mutation.instead))
        environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        compiling = [sys.executable, "-m", "marketplace.chain.compile"]
        testing = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-k", mutation.suite]
        if mutation.file.endswith(".sol"):
            subprocess.run(compiling, cwd=copy, env=environment, check=True, timeout=120)
        ran = subprocess.run(
            [*testing, *mutation.order(source_text)],
            cwd=copy,
            env=environment,
            capture_output=True,
            timeout=600,
            check=False,
        )
        if ran.returncode not in (0, 1):
            raise SystemExit(f"{mutation}: the suite did not run\n{ran.stdout.decode()[-2000:]}")
        return ran.returncode == 1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Does the suite notice a missing check?")
    parser.add_argument("--sample", type=int, help="how many mutations to try; all, where it is not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="only mutations of files whose path has this in it")
    options = parser.parse_args(arguments)
    chosen = [m for m in MUTATIONS if options.only in m.file]
    if options.sample:
        chosen = random.Random(options.seed).sample(chosen, min(options.sample, len(chosen)))
    survivors = []
    for mutation in chosen:
        dead = killed(mutation)
        sys.stdout.write(f"{'killed  ' if dead else 'SURVIVED'} {mutation}\n")
        sys.stdout.flush()
        survivors += [] if dead else [mutation]
    sys.stdout.write(f"{len(chosen) - len(survivors)} of {len(chosen)} mutations were noticed\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
