"""What Merit says to people, for tests that read it: the pages of docs/ and the folders' READMEs, page texts, messages.

PYTEST_DONT_REWRITE: test modules import from here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[1]
_TEXT = re.compile(r'"([^"\n]*)"|`([^`]*)`|>([^<>{};=]+)<')
_HEREDOC = re.compile(r"^(.*)<<'(\w+)'(.*)\n((?:.*\n)*?)\2$", re.MULTILINE)


@dataclass(frozen=True)
class Snippet:
    """kind: what a fence says of itself, such as yaml or {toctree}; "" for an indented block. inline: `like this`."""

    page: str
    kind: str
    text: str
    inline: bool = False


def pages() -> list[str]:
    """Every Markdown page that people read, by its path in the repository."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("examples/*/README.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found if not path.is_relative_to(ROOT / "docs" / "dist"))


@cache
def tokens(page: str) -> tuple[Token, ...]:
    """A page's tokens; what is within a paragraph comes after its own token."""
    parsed = MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text("utf-8"))
    return tuple(one for token in parsed for one in (token, *(token.children or ())))


def snippets(page: str) -> Iterator[Snippet]:
    """A page's code. Files that its shell commands write (<<'END') are snippets of their own, by their kind."""
    for token in tokens(page):
        if token.type == "code_inline":
            yield Snippet(page, "", token.content, inline=True)
        if token.type not in ("fence", "code_block"):
            continue
        text = token.content
        for found in _HEREDOC.finditer(text):
            written = re.search(r"> *\S+\.(\w+)", found[1] + found[3])
            kind = "python" if found[1].startswith("python") else written[1] if written else ""
            yield Snippet(page, kind, found[4])
        yield Snippet(page, token.info.strip(), _HEREDOC.sub("", text))


def prose(page: str) -> Iterator[str]:
    """A page's paragraphs, headings and cells, without code and addresses."""
    for token in tokens(page):
        if token.type == "inline":
            inside = token.children or []
            yield "".join(
                one.content if one.type == "text" else " " if one.type == "softbreak" else "`" for one in inside
            )


def anchors(page: str) -> set[str]:
    """Of a page's headings, as GitHub names them and the site too."""
    found: list[str] = []
    inside = tokens(page)
    for at, token in enumerate(inside):
        if token.type == "heading_open":
            text = "".join(one.content for one in inside[at + 1].children or [] if one.type in ("text", "code_inline"))
            name = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
            found.append(name if name not in found else f"{name}-{found.count(name)}")
    return set(found)


def page_texts() -> Iterator[tuple[str, str]]:
    """(file, text) of all that the browser's page says: texts of three words or more in its sources."""
    for path in sorted((ROOT / "frontend" / "src").rglob("*.ts*")):
        for found in _TEXT.finditer(path.read_text("utf-8")):
            words = (found[1] or found[2] or found[3] or "").split()
            if len(words) > 2:
                yield str(path.relative_to(ROOT)), " ".join(words)
