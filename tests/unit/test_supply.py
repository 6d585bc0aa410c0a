"""Every dependency is pinned by a hash and under a known licence; holes are told from what could not be asked."""

import pytest

from scripts import advisories, sbom
from scripts.advisories import Answer, of_cargo_audit, of_npm, of_pip_audit, verdict
from scripts.sbom import Package, complaints, exceptions, permitted, pinned

NONE: frozenset[str] = frozenset()
TABLE = """
## Other licences
words
| package | licence | why |
|---|---|---|
| odd, `odd-*` | WTFPL | tests |

## After
| no | GPL-3.0 | row |
"""


def test_what_is_locked_is_hashed_and_licensed(capsys: pytest.CaptureFixture[str]) -> None:
    assert sbom.check() == 0, capsys.readouterr().out
    assert len(list(sbom.python_packages())) > 150
    assert len(list(sbom.node_packages())) > 250
    assert len(list(sbom.rust_packages())) > 100


def test_a_requirement_without_a_hash_or_a_version_is_noticed() -> None:
    lock = "# by uv\na==1 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\n    # via x\n"
    lock += "b[extra]==2 ; python_version < '4'\nc>=3\n"
    lock += "d @ https://example.org/d.whl\n"
    assert list(pinned(lock)) == [("a", "1", True), ("b", "2", False), ("c", "?", False), ("d", "?", False)]
    found = list(complaints([Package("lock", "b", "2", "MIT", False)], []))
    assert found == ["lock: b 2 has no hash"]


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ("MIT", True),
        ("GPL-3.0", False),
        ("none", False),
        ("GPL-3.0 OR MIT", True),
        ("GPL-3.0 AND MIT", False),
        ("MIT/Apache-2.0", True),
        ("(MIT OR GPL-3.0) AND ISC", True),
        ("(MIT OR GPL-3.0) AND AGPL-3.0", False),
        ("MIT OR (Apache-2.0 AND GPL-3.0)", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("Proprietary, but MIT", False),
        ("", False),
    ],
)
def test_a_licence_expression_is_met_by_known_licences_or_not(expression: str, fits: bool) -> None:
    assert permitted(expression) is fits


def test_an_exception_is_for_one_package_and_one_licence_and_must_be_needed() -> None:
    excepted = exceptions(TABLE)
    assert excepted == [("odd", "WTFPL"), ("odd-*", "WTFPL")]
    packages = [Package("lock", "odd", "1", "WTFPL", True), Package("lock", "odd-one", "1", "WTFPL", True)]
    assert list(complaints(packages, excepted)) == []
    (other,) = complaints([*packages, Package("lock", "odd", "2", "AGPL-3.0", True)], excepted)
    assert "odd 2 is under 'AGPL-3.0'" in other
    (unused,) = complaints(packages[:1], excepted)
    assert "odd-*" in unused
    not_here = Package("lock", "odd-one", "1", None, True)
    assert list(complaints([packages[0], not_here], excepted)) == []


PIP = {"dependencies": [{"name": "a", "version": "1", "vulns": []}]}
PIP_HOLE = {"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"]}]}]}
PIP_UNKNOWN = {"dependencies": [{"name": "a", "skip_reason": "not found"}]}
NPM = {"vulnerabilities": {}, "metadata": {"dependencies": {"total": 3}}}
NPM_HOLE = {"vulnerabilities": {"a": {"via": ["b"]}, "b": {"via": [{"source": 7, "url": "x/GHSA-1", "range": "<2"}]}}}
NPM_REFUSED = {"message": "405 Method Not Allowed - POST somewhere"}
CARGO = {"lockfile": {"dependency-count": 2}, "vulnerabilities": {"list": []}}
CARGO_HOLE = {
    "vulnerabilities": {"list": [{"package": {"name": "a", "version": "1"}, "advisory": {"id": "RUSTSEC-1"}}]}
}
READERS = {
    "pip": (of_pip_audit, PIP, PIP_HOLE, PIP_UNKNOWN, "CVE-1"),
    "npm": (of_npm, NPM, NPM_HOLE, NPM_REFUSED, "GHSA-1"),
    "cargo": (of_cargo_audit, CARGO, CARGO_HOLE, None, "RUSTSEC-1"),
}


@pytest.mark.parametrize("tool", READERS)
def test_a_hole_fails_and_what_cannot_be_asked_is_said(tool: str) -> None:
    read, clean, hole, refused, name = READERS[tool]
    answers = [read("lock", document, "", NONE) for document in (clean, hole, refused)]
    assert [bool(answer.holes) for answer in answers] == [False, True, False]
    assert [bool(answer.unreachable) for answer in answers] == [False, False, True]
    assert [verdict([answer], require=False) for answer in answers] == [0, 1, 0]
    assert [verdict([answer], require=True) for answer in answers] == [0, 1, 2]
    assert "not looked up" in answers[2].told
    assert answers[1].told.startswith("HOLES")
    assert read("lock", hole, "", frozenset({name})).holes == []


def test_a_tool_that_answers_nothing_is_not_taken_for_a_clean_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(advisories, "_output", lambda command, folder: (None, "no route"))
    monkeypatch.setattr(advisories.shutil, "which", lambda name, path=None: name)
    assert advisories.main([]) == 0
    said = capsys.readouterr().out
    assert "LOCKS COULD NOT BE HAD" in said
    assert "none known" not in said
    assert advisories.main(["--require"]) == 2
    assert Answer("lock").told == "none known (0 packages)"
