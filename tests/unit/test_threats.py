"""docs/security/threats.md names tests that exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs/security/threats.md"


def test_every_threat_fault_and_exit_names_a_test_that_exists() -> None:
    named = re.findall(r"`([\w/]+\.(?:t\.sol|py))::(\w+)`", PAGE.read_text())
    assert len(named) > 40
    missing = [(file, name) for file, name in named if not re.search(rf"\b{name}\b\(", (TESTS / file).read_text())]
    assert missing == []


def test_every_row_names_a_test() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and "::" not in line]
    assert [row for row in rows if not row.startswith(("| threat |", "| fault |", "| state |"))] == []
