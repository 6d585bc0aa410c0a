"""An auditor needs no Rust: with the compiled core out of reach, proofs are checked all the same."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

BLOCKED = """
import importlib, json, sys
sys.modules["zk._core"] = None  # importing it raises ImportError
try:
    importlib.import_module("zk.gram")
except ImportError:
    print("blocked")
"""

VERIFY = """
for name in ("verifier", "statements", "points", "transcript", "encoding", "files"):
    importlib.import_module(f"zk.{name}")
from zk.verifier import GramSetup, GramStatement, verify_decision, verify_gram

def raw(text):
    return bytes.fromhex(text.removeprefix("0x"))

gram = json.load(open("tests/vectors/gram.json"))
case = gram["cases"][0]
(found,) = [each for each in gram["setups"] if each["chunk"] == case["chunk"]]
statement = GramStatement(
    raw(case["context"]["encoded"]), sum(1 << p for p in case["positions"]), int(case["gram_hash"], 16),
    [raw(row) for row in case["commitments"]], raw(case["sums"]), case["coefficients"],
)
setup = GramSetup(found["chunk"], raw(found["g2"][1]))
proof = raw(case["proof"])
print(verify_gram(statement, proof, setup), verify_gram(statement, proof[:-1] + bytes([proof[-1] ^ 1]), setup))
case = json.load(open("tests/vectors/groth16.json"))["cases"][0]
inputs = [int(x, 16) for x in case["inputs"]]
for each in (inputs, [inputs[0] - 1, *inputs[1:]]):
    print(verify_decision(raw(case["key"]), each, raw(case["proof"])))
"""

AUDIT = """
importlib.import_module("marketplace.services.audit")
importlib.import_module("marketplace.cli.commands").loaded("audit")
print("imported")
"""


def run(code: str) -> list[str]:
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_vectors_proofs_are_judged_without_the_core() -> None:
    assert run(BLOCKED + VERIFY) == ["blocked", "True", "False", "True", "False"]


def test_the_audit_and_its_command_load_without_the_core() -> None:
    assert run(BLOCKED + AUDIT) == ["blocked", "imported"]
