"""What programs read is JSON: one line, ASCII, and no number that JSON does not have."""

import json
from pathlib import Path

import pytest

from marketplace.documents import json_line


def refuse(name: str) -> float:
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_json_has_no_number_for_is_null(value: float) -> None:
    assert json.loads(json_line({"loss": [value, 1.5]}), parse_constant=refuse) == {"loss": [None, 1.5]}


def test_it_is_one_line_of_ascii_with_whole_numbers_whole() -> None:
    given = {"text": "é\n\u2028", "wei": 2**200, "path": Path("/a"), 3: (True, None)}
    line = json_line(given)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line) == {"text": "é\n\u2028", "wei": 2**200, "path": "/a", "3": [True, None]}
