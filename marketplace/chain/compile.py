"""Compiles the contracts and keeps marketplace/chain/artifacts equal to their sources.

    python -m marketplace.chain.compile            writes the artifacts
    python -m marketplace.chain.compile --check    exits 1 when a committed artifact is not what the sources compile to

The compiler is npm's solcjs, driven by py-solc-x through scripts/solc. The output depends on nothing but the sources,
the compiler's version and the settings below. The bytecode ends with the hash of its metadata, which names every source
by its own hash: who has the input that is kept beside the artifacts (INPUT) can show that a deployed contract is
exactly that (Sourcify's full match).
"""

import argparse
import hashlib
import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import solcx
from solcx.exceptions import SolcError

from marketplace.errors import InputError

ROOT = Path(__file__).parents[2]
ARTIFACTS = Path(__file__).with_name("artifacts")
SOLC_VERSION = "0.8.37"
SOLC = ROOT / "scripts" / "solc" / f"solc-v{SOLC_VERSION}"
SETTINGS: Mapping[str, object] = {
    "evmVersion": "shanghai",
    "optimizer": {"enabled": True, "runs": 200},
    "viaIR": True,
    "metadata": {"bytecodeHash": "ipfs"},
}
PRODUCTS = (
    "contracts/JobMarket.sol",
    "contracts/libraries/Claims.sol",
    "contracts/libraries/Creation.sol",
    "contracts/libraries/Delivery.sol",
    "contracts/libraries/Disputes.sol",
    "contracts/libraries/Failures.sol",
    "contracts/libraries/RoundCheck.sol",
    "contracts/libraries/Tickets.sol",
    "contracts/verifiers/GramVerifier.sol",
    "contracts/verifiers/DecisionVerifier.sol",
)
"""Sources whose contract, named like the file, gets an artifact."""
INPUT = "standard-input.json"
"""The compiler's input, with all sources in it, in the folder of the artifacts."""


def compile_sources(paths: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Artifacts by contract name, one for each source, which holds a contract named like the file.

    paths: sources relative to the repository root, such as "contracts/JobMarket.sol"; imports are found in the
    repository and node_modules. An artifact has abi (list), bytecode and deployedBytecode (0x-hex), compiler,
    evmVersion, immutables (by variable: the byte offsets in deployedBytecode of the 32-byte words that construction
    fills in), links and deployedLinks (by library: the byte offsets in bytecode and deployedBytecode of its address,
    zeros here) and sources: the SHA-256 of the Keccak-256 hashes of all sources that went in, by path.

    Raises InputError where the compiler is not installed, a source is missing, or a source does not compile.
    """
    return _compiled(paths)[0]


def _compiled(paths: Sequence[str]) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """As `compile_sources`, and the whole input: standard JSON that compiles to the same where no other file is."""
    if shutil.which("node") is None or not (ROOT / "node_modules" / "solc").is_dir():
        raise InputError(f"The Solidity compiler is missing: install Node.js and run npm install in {ROOT}.")
    missing = [path for path in paths if not (ROOT / path).is_file()]
    if missing:
        raise InputError(f"No such contract source in {ROOT}: {', '.join(missing)}.")
    created, deployed = ("object", "linkReferences"), ("object", "linkReferences", "immutableReferences")
    codes = [*(f"evm.bytecode.{part}" for part in created), *(f"evm.deployedBytecode.{part}" for part in deployed)]
    outputs = ["abi", *codes, "metadata"]
    selection = {path: {Path(path).stem: outputs} for path in paths}
    request = {
        "language": "Solidity",
        "sources": {path: {"content": (ROOT / path).read_text()} for path in paths},
        "settings": {**SETTINGS, "outputSelection": {"*": {"": ["ast"]}, **selection}},
    }
    try:
        compiled = solcx.compile_standard(request, solc_binary=SOLC)
    except SolcError as error:
        raise InputError(f"The contracts do not compile: {error.message}") from error
    variables = _variables([source["ast"] for source in compiled["sources"].values()])
    contracts = {path: compiled["contracts"][path][Path(path).stem] for path in paths}
    used = sorted({name for one in contracts.values() for name in json.loads(one["metadata"])["sources"]})
    whole = {
        "language": "Solidity",
        "sources": {name: {"content": _source(name).read_text()} for name in used},
        "settings": {**SETTINGS, "outputSelection": selection},
    }
    return {Path(path).stem: _artifact(one, variables) for path, one in contracts.items()}, whole


def _source(name: str) -> Path:
    """Where scripts/solc finds it."""
    return ROOT / name if (ROOT / name).is_file() else ROOT / "node_modules" / name


def _variables(trees: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The names of the contracts' variables by their ids, which the compiler calls immutables by."""
    contracts = [node for tree in trees for node in tree["nodes"] if node["nodeType"] == "ContractDefinition"]
    members = [node for contract in contracts for node in contract["nodes"]]
    return {str(node["id"]): node["name"] for node in members if node["nodeType"] == "VariableDeclaration"}


def _artifact(contract: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    metadata = json.loads(contract["metadata"])
    references = contract["evm"]["deployedBytecode"]["immutableReferences"]
    hashes = {path: source["keccak256"] for path, source in metadata["sources"].items()}
    return {
        "abi": contract["abi"],
        "bytecode": _unlinked(contract["evm"]["bytecode"]),
        "deployedBytecode": _unlinked(contract["evm"]["deployedBytecode"]),
        "links": _links(contract["evm"]["bytecode"]),
        "deployedLinks": _links(contract["evm"]["deployedBytecode"]),
        "compiler": metadata["compiler"]["version"],
        "evmVersion": metadata["settings"]["evmVersion"],
        "immutables": {  # a library's own address, by which it tells its own calls from others, is no variable
            variables.get(key, key): [place["start"] for place in places] for key, places in references.items()
        },
        "sources": "0x" + hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest(),
    }


def _unlinked(code: Mapping[str, Any]) -> str:
    """0x-hex, zeros where the compiler names a library."""
    return "0x" + re.sub(r"__\$[0-9a-f]{34}\$__", "0" * 40, code["object"])


def _links(code: Mapping[str, Any]) -> dict[str, list[int]]:
    found = [entry for libraries in code["linkReferences"].values() for entry in libraries.items()]
    return {name: [place["start"] for place in places] for name, places in found}


def main(arguments: Sequence[str] | None = None) -> str | None:
    """Writes or checks the artifacts; returns a sentence on what is wrong, or None."""
    parser = argparse.ArgumentParser(description="Compile the contracts into marketplace/chain/artifacts.")
    parser.add_argument("--check", action="store_true", help="only compare; exit 1 on a difference")
    check: bool = parser.parse_args(arguments).check
    try:
        artifacts, whole = _compiled(PRODUCTS)
    except InputError as error:
        return str(error)
    expected = {f"{name}.json": json.dumps(a, indent=1, sort_keys=True) + "\n" for name, a in artifacts.items()}
    expected[INPUT] = json.dumps(whole, indent=1, sort_keys=True) + "\n"
    if not check:
        ARTIFACTS.mkdir(exist_ok=True)
        for name, text in expected.items():
            (ARTIFACTS / name).write_text(text)
        return None
    committed = {path.name: path.read_text() for path in ARTIFACTS.glob("*.json")}
    stale = sorted(name for name in expected.keys() | committed.keys() if expected.get(name) != committed.get(name))
    if not stale:
        return None
    return (
        f"{', '.join(stale)} in {ARTIFACTS} is not what the contracts compile to: "
        "run python -m marketplace.chain.compile and commit the result."
    )


if __name__ == "__main__":
    sys.exit(main())
