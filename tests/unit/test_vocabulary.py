"""One word for one thing: what tests/vocabulary.yaml lists is written nowhere in pages, page texts and messages."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from marketplace.cli.main import app
from scripts.command_line_docs import commands
from tests.messages import templates
from tests.pages import page_texts, pages, prose

ENTRIES = yaml.safe_load((Path(__file__).parents[1] / "vocabulary.yaml").read_text("utf-8"))
RULES = [(re.compile(entry["not"], re.IGNORECASE), str(entry["say"])) for entry in ENTRIES]
ANY = re.compile("|".join(entry["not"] for entry in ENTRIES), re.IGNORECASE)
_CODE = re.compile(r"`[^`]*`|\{[^}]*\}|--[\w-]+|[\w./-]*[/_][\w./-]*")  # also options, paths, names with underscores


@cache
def said() -> list[tuple[str, str]]:
    """(where, text) of all that people read; dependencies are called what their makers call them."""
    found = [(page, text) for page in pages() if page != "docs/dependencies.md" for text in prose(page)]
    found += [*page_texts(), *(("messages", line) for line in templates().splitlines())]
    for path, command in commands():
        helps = (command.help, *(getattr(parameter, "help", None) for parameter in command.params))
        found += [(f"merit {' '.join(path)} --help", text or "") for text in helps]
    return found


def complaints(where: str, text: str) -> Iterator[str]:
    plain = _CODE.sub("`", " ".join(text.split()))
    for rule, say in RULES if ANY.search(plain) else ():
        for found in rule.finditer(plain):
            yield f"{where}: {found[0]!r}, say: {say} — …{plain[max(0, found.start() - 40) : found.end() + 40]}…"


def test_one_thing_has_one_word() -> None:
    texts = said()
    assert len(texts) > 3000
    assert sorted({complaint for where, text in texts for complaint in complaints(where, text)}) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Your setup is missing.", True),
        ("`setup list` and setups/ and --setup are code.", False),
        ("The sum is not\nto be had.", True),
        ("a folder, a set-up, a takeover with --take-over", False),
    ],
)
def test_a_word_that_is_not_used_is_noticed_but_not_in_code(text: str, wrong: bool) -> None:
    assert bool(list(complaints("here", text))) is wrong


def test_the_help_is_looked_at() -> None:
    assert get_command(app).help in {text for _, text in said()}
