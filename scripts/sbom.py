"""What Merit is made of: lists of its dependencies, and whether each is pinned by a hash and under a known licence.

    python -m scripts.sbom              writes build/sbom/*.cdx.json (CycloneDX)
    python -m scripts.sbom --check      exits 1 for a dependency without a hash, or with an unknown licence

The check reads the locks, and for licences what is installed: run it after `make setup`. Licences beyond KNOWN are in a
table of docs/dependencies.md, with the reason. Tools: cyclonedx-py (group `audit` of pyproject.toml), npm, cargo and
cargo-cyclonedx; one that is missing is named, and the rest is written.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from fnmatch import fnmatchcase
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "sbom"
EXCEPTIONS = ROOT / "docs" / "dependencies.md"
PYTHON = {
    "requirements.lock": ".venv",
    "requirements-brownie.lock": ".venv-brownie",
    "requirements-audit.lock": ".venv-audit",
    "requirements-flower.lock": ".venv-flower",
    "requirements-docs.lock": ".venv-docs",
    "requirements-slither.lock": "build/slither/venv",
    "requirements-symbolic.lock": "build/symbolic/venv",
}
NODE = {
    "node": ".",
    "page": "frontend",
    "circuit bench": "benches/circuit",
    "client": "examples/clients/typescript",
    "indexer": "contrib/ponder",
}
RUST = {"rust": "zk/core", "rust fuzzing": "zk/core/fuzz"}

KNOWN = {
    *("Apache-2.0", "ISC", "MPL-2.0", "PSF-2.0", "Python-2.0"),
    *("MIT", "MIT-0", "MIT-CMU"),
    *("0BSD", "BSD-2-Clause", "BSD-3-Clause"),
}
"""MIT, BSD, ISC, Apache, MPL and the Python licences, by their SPDX names."""

_SPELLINGS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception": "Apache-2.0",  # more permissive than without
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


@dataclass(frozen=True)
class Package:
    """licence: an SPDX expression, or what the package says in place of one; None where that is not to be had here."""

    lock: str
    name: str
    version: str
    licence: str | None
    hashed: bool


# ---------------------------------------------------------------- what the locks say


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(text: str) -> Iterator[tuple[str, str, bool]]:
    """(name, version, whether it has a hash) of each requirement in a pip lock."""
    for block in re.split(r"\n(?=\S)", "\n" + text):
        if found := re.match(r"\s*([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?\s*(==|@)?\s*([^\s;\\]*)", block):
            yield found[1], found[3] if found[2] == "==" else "?", found[2] == "==" and "--hash=sha256:" in block


def said_licence(package: Distribution) -> str:
    """The licence expression of a package's metadata, or what older packages have in place of one."""
    metadata: Message = package.metadata
    classified = [c.split(" :: ")[-1] for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")]
    classified = [c for c in classified if c not in ("OSI Approved", "DFSG approved")]
    plain = (metadata.get("License") or "").strip().split("\n")[0]
    return metadata.get("License-Expression") or " AND ".join(classified) or plain or "none"


def python_packages(root: Path = ROOT) -> Iterator[Package]:
    for lock, environment in PYTHON.items():
        if not (root / lock).exists():
            continue
        folders = [str(folder) for folder in (root / environment).glob("lib/python*/site-packages")]
        installed = {normal(found.metadata["Name"]): found for found in distributions(path=folders)} if folders else {}
        for name, version, hashed in pinned((root / lock).read_text()):
            here = installed.get(normal(name))
            yield Package(lock, name, version, said_licence(here) if here else None, hashed)


def node_packages(root: Path = ROOT) -> Iterator[Package]:
    for folder in NODE.values():
        lock = Path(folder) / "package-lock.json"
        if not (root / lock).exists():
            continue
        for path, entry in json.loads((root / lock).read_text())["packages"].items():
            if path and not entry.get("link"):
                licence = entry.get("license", "none")
                hashed = str(entry.get("integrity", "")).startswith("sha512-") or entry.get("inBundle", False)
                yield Package(str(lock), path.rpartition("node_modules/")[2], entry["version"], licence, hashed)


def rust_packages(root: Path = ROOT) -> Iterator[Package]:
    for folder in RUST.values():
        lock = Path(folder) / "Cargo.lock"
        if not (root / lock).exists():
            continue
        said = rust_licences(root / folder)
        for entry in tomllib.loads((root / lock).read_text())["package"]:
            if "source" in entry:
                licence = said.get((entry["name"], entry["version"]))
                yield Package(str(lock), entry["name"], entry["version"], licence, "checksum" in entry)


def rust_licences(folder: Path) -> dict[tuple[str, str], str]:
    """From what cargo has downloaded; nothing is fetched."""
    if not shutil.which("cargo") or not shutil.which("rustc"):
        return {}
    said = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    host = next(line.partition(" ")[2] for line in said.splitlines() if line.startswith("host:"))
    command = ["cargo", "metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", host]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["packages"] if done.returncode == 0 else []
    return {(one["name"], one["version"]): one.get("license") or "none" for one in found}


# ---------------------------------------------------------------- what is allowed


def permitted(expression: str) -> bool:
    """Whether an SPDX expression can be met with KNOWN licences alone."""
    text = expression.strip().replace("/", " OR ")
    text = _SPELLINGS.get(text, text)
    if text in KNOWN:
        return True
    for word, meets in ((" OR ", any), (" AND ", all)):
        parts = _split(text, word)
        if len(parts) > 1:
            return meets(permitted(part) for part in parts)
    return text.startswith("(") and text.endswith(")") and permitted(text[1:-1])


def _split(text: str, word: str) -> list[str]:
    """The parts between `word` outside of parentheses."""
    parts, depth, last = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0 and text.startswith(word, at):
            parts.append(text[last:at])
            last = at + len(word)
    return [*parts, text[last:]]


def exceptions(text: str) -> list[tuple[str, str]]:
    """(package, or a pattern such as nvidia-*; licence) of the table under "Other licences"."""
    section = text.partition("## Other licences")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return [(name.strip("` "), row[1].strip("` ")) for row in rows[2:] for name in row[0].split(", ")]


def complaints(packages: Iterable[Package], excepted: Sequence[tuple[str, str]]) -> Iterator[str]:
    unused = set(excepted)
    for package in packages:
        where = f"{package.lock}: {package.name} {package.version}"
        if not package.hashed:
            yield f"{where} has no hash"
        rules = {rule for rule in excepted if fnmatchcase(package.name, rule[0])}
        if package.licence is None:
            unused -= rules
            continue
        rules = {rule for rule in rules if rule[1] == package.licence}
        unused -= rules
        if not rules and not permitted(package.licence):
            yield f"{where} is under {package.licence!r}, which docs/dependencies.md does not except"
    for name, licence in sorted(unused):
        yield f"docs/dependencies.md excepts {name} ({licence}), which no lock has"


def check() -> int:
    packages = [*python_packages(), *node_packages(), *rust_packages()]
    found = list(complaints(packages, exceptions(EXCEPTIONS.read_text())))
    unknown = sum(package.licence is None for package in packages)
    print("\n".join([*found, f"{len(packages)} dependencies, {unknown} not installed here, {len(found)} complaints"]))
    return 1 if found else 0


# ---------------------------------------------------------------- the lists


def write(tools: Path) -> int:
    OUT.mkdir(parents=True, exist_ok=True)
    missing = [*_write_python(tools), *_write_node(), *_write_rust(tools)]
    for path in sorted(OUT.glob("*.cdx.json")):
        document = json.loads(path.read_text())
        print(
            f"{path.relative_to(ROOT)}: CycloneDX {document['specVersion']}, {len(document['components'])} components"
        )
    print("\n".join(missing), end="\n" if missing else "")
    return 1 if missing else 0


def _tool(tools: Path, name: str) -> str | None:
    return shutil.which(name, path=str(tools)) or shutil.which(name)


def _run(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def _write_python(tools: Path) -> Iterator[str]:
    program = _tool(tools, "cyclonedx-py")
    if program is None:
        yield "Python: cyclonedx-py is not installed (`make .venv-audit/.ready`)"
        return
    options = ["--output-format", "JSON", "--output-reproducible", "--pyproject", "pyproject.toml"]
    _run([program, "environment", ".venv", *options, "-o", str(OUT / "python.cdx.json")], ROOT)


def _write_node() -> Iterator[str]:
    if shutil.which("npm") is None:
        yield "npm is not installed"
        return
    for name, folder in NODE.items():
        source = ROOT / folder
        with tempfile.TemporaryDirectory() as place:  # npm wants a version of what needs none
            for file in ("package.json", "package-lock.json"):
                document = json.loads((source / file).read_text())
                shown = {"version": "0.0.0"} | document
                if file == "package-lock.json":
                    shown["packages"][""] = {"version": "0.0.0"} | shown["packages"][""]
                (Path(place) / file).write_text(json.dumps(shown))
            made = _run(["npm", "sbom", "--sbom-format", "cyclonedx", "--package-lock-only"], Path(place))
        (OUT / f"{name.replace(' ', '-')}.cdx.json").write_text(made)


def _write_rust(tools: Path) -> Iterator[str]:
    program = _tool(tools, "cargo-cyclonedx")
    if program is None:
        yield "Rust: cargo-cyclonedx is not installed (`cargo install --locked cargo-cyclonedx`)"
        return
    with tempfile.TemporaryDirectory() as place:  # it writes beside each Cargo.toml
        copy = Path(place) / "core"
        shutil.copytree(ROOT / "zk" / "core", copy, ignore=shutil.ignore_patterns("target", "fuzz"))
        _run([program, "cyclonedx", "--format", "json", "--spec-version", "1.5", "--all"], copy)
        shutil.copy(next(path for path in copy.glob("*.cdx.json")), OUT / "rust.cdx.json")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="check hashes and licences, write nothing")
    parser.add_argument("--tools", type=Path, default=ROOT / ".venv-audit" / "bin", help="where the tools are")
    given = parser.parse_args(arguments)
    return check() if given.check else write(given.tools)


if __name__ == "__main__":
    sys.exit(main())
