"""What the pages say holds: commands exist with their options, files are read, code compiles, links lead somewhere."""

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from typer.main import get_command

from marketplace.cli.main import app
from marketplace.documents import parse_yaml
from marketplace.errors import MeritError
from marketplace.services.policy import Policy
from marketplace.services.webhooks import WebhookFile
from marketplace.spec import JobFile
from scripts import docs_site
from tests.pages import ROOT, Snippet, anchors, pages, snippets, tokens

PLACEHOLDERS = ("…", "...")
ENDS = ("|", ">", ">>", "&", "&&", ";", "<")


def all_snippets() -> list[Snippet]:
    return [snippet for page in pages() for snippet in snippets(page)]


# ---------------------------------------------------------------- commands


def commands() -> Iterator[tuple[str, str, bool]]:
    """(page, command line, whether it is whole: a line to be given, not one that a sentence speaks of)."""
    for snippet in all_snippets():
        if snippet.kind not in ("", "sh") or snippet.page == "CHANGELOG.md":  # which names what was before
            continue
        text = snippet.text.replace("\\\n", " ")
        lines = [" ".join(text.split())] if snippet.inline else text.splitlines()
        for line in lines:
            for part in re.split(r"&&|\|", line):
                if re.match(r"\s*(caffeinate -i )?merit\s+[-a-z]", part):
                    yield snippet.page, part.strip().removeprefix("caffeinate -i "), not snippet.inline


def given(line: str) -> list[str]:
    words = shlex.split(line, comments=True)[1:]
    return words[: next((at for at, word in enumerate(words) if word in ENDS), len(words))]


@cache
def whole_tree() -> Any:
    return get_command(app)


def check(words: list[str], whole: bool) -> None:
    """Raises AssertionError, or the parser's error, for what `merit` would not take."""
    command: Any = whole_tree()
    while True:
        context = command.context_class(command)
        options, rest, _ = command.make_parser(context).parse_args(list(words))
        if not hasattr(command, "get_command"):
            assert not [word for word in rest if word not in PLACEHOLDERS], f"{rest} are too many"
            missing = [one.name for one in command.params if one.required and options.get(one.name) is None]
            assert not (whole and missing), f"{missing} are missing"
            return
        if not rest or rest[0] in PLACEHOLDERS:
            return
        _, command, words = command.resolve_command(context, list(rest))


def test_every_command_of_the_pages_exists_with_its_options() -> None:
    found = list(commands())
    assert len(found) > 150
    wrong = []
    for page, line, whole in found:
        try:
            check(given(line), whole)
        except Exception as error:  # noqa: BLE001 - the parser's errors are those of a click that typer brings
            wrong.append(f"{page}: {line}: {getattr(error, 'message', None) or error}")
    assert wrong == []


@pytest.mark.parametrize(
    "line",
    [
        "merit job creat job.yaml",
        "merit job show 1 --fast",
        "merit audit 1 2",
        "merit trainer join 1",
        "merit --where audit 1",
    ],
)
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    with pytest.raises(Exception, match=r"[Nn]o such command|[Nn]o such option|too many|missing"):
        check(given(line), whole=True)


def test_what_make_is_asked_for_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    asked = {
        (snippet.page, name)
        for snippet in all_snippets()
        if snippet.kind in ("", "sh")
        for name in re.findall(r"^\s*make ([a-z][a-z-]+)", snippet.text, re.MULTILINE)
    }
    assert len(asked) > 20
    assert {(page, name) for page, name in asked if name not in targets} == set()


# ---------------------------------------------------------------- snippets


def read(document: dict[str, Any]) -> None:
    """Raises what the reader of job files, policies or webhooks raises. A part of a job file is read as that part."""
    if {"owners", "tokens"} & document.keys():
        Policy.model_validate(document)
    elif "webhooks" in document:
        WebhookFile.model_validate(document)
    elif {"name", "data", "market"} <= document.keys():
        market = {"aggregator": "anyone"} | document["market"]
        JobFile.model_validate(document | {"market": market})
    else:
        for name, part in document.items():
            field = JobFile.model_fields[name]
            TypeAdapter(field.annotation).validate_python(part)


def test_every_yaml_of_the_pages_is_read_by_the_reader_of_job_files() -> None:
    found = [snippet for snippet in all_snippets() if snippet.kind in ("yaml", "yml")]
    assert len(found) >= 5
    for snippet in found:
        try:
            read(parse_yaml(snippet.text, where=snippet.page))
        except (ValueError, KeyError, MeritError) as error:
            pytest.fail(f"{snippet.page}: {error}\n{snippet.text}")


def test_every_python_of_the_pages_compiles_and_imports_what_there_is() -> None:
    found = [snippet for snippet in all_snippets() if snippet.kind in ("python", "py")]
    assert len(found) >= 3
    for snippet in found:
        for node in ast.walk(ast.parse(snippet.text, snippet.page)):
            if isinstance(node, ast.Import):
                for name in node.names:
                    importlib.import_module(name.name)
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                missing = [name.name for name in node.names if not hasattr(module, name.name)]
                assert missing == [], f"{snippet.page}: {node.module}"


# ---------------------------------------------------------------- links


@pytest.mark.parametrize("page", pages())
def test_every_link_leads_to_a_file_and_a_heading_that_is_there(page: str) -> None:
    wrong = []
    for token in tokens(page):
        address = str(token.attrGet("href" if token.type == "link_open" else "src") or "")
        if token.type not in ("link_open", "image") or re.match(r"https?:|mailto:", address):
            continue
        place, _, anchor = address.partition("#")
        target = (ROOT / page).parent / place if place else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(str(target.resolve().relative_to(ROOT)))):
            wrong.append(address)
    assert wrong == []


def test_pages_that_the_sources_name_are_there() -> None:
    named = set()
    for folder in ("marketplace", "trainer", "aggregator", "zk", "contracts", "scripts", "examples"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".sol", ".yaml") and "target" not in path.parts:
                named |= {
                    (str(path.relative_to(ROOT)), name) for name in re.findall(r"docs/[\w/.-]+\.md", path.read_text())
                }
    assert len(named) > 20
    assert {(path, name) for path, name in named if not (ROOT / name).exists() and name != "docs/python.md"} == set()


def test_the_messages_that_troubleshooting_quotes_are_printed_so() -> None:
    said = " ".join((ROOT / "tests" / "snapshots" / "command-line.txt").read_text("utf-8").split())
    lines = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8").splitlines()
    quoted = [line.removeprefix("> ") for line in lines if line.startswith("> ")]
    assert len(quoted) > 8
    for message in quoted:
        pattern = ".{1,200}?".join(re.escape(part) for part in message.split("…"))
        assert re.search(f"error: {pattern}", said), message


# ---------------------------------------------------------------- the site


def test_what_a_theme_writes_into_pages_becomes_files_of_the_site() -> None:
    files: dict[str, str] = {}
    page = '<head></head><svg style="display: none"></svg><script>go()</script><style>a {}</style>'
    made = docs_site.own_files(page, "../", files)
    assert docs_site.complaints("page.html", page) != []
    assert docs_site.complaints("page.html", made) == []
    assert sorted(path.rpartition(".")[2] for path in files) == ["css", "css", "js"]
    assert all(f"../{path}" in made for path in files)
    assert "go()" in files.values()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("page.html", '<link rel="stylesheet" href="https://fonts.example.org/a.css">'),
        ("page.html", '<img src="//example.org/a.png">'),
        ("page.html", "<script>go()</script>"),
        ("page.html", '<b onclick="go()">'),
        ("page.html", '<a href="javascript:go()">'),
        ("site.css", "@import 'https://example.org/a.css';"),
        ("site.css", "a { background: url(https://example.org/a.png) }"),
    ],
)
def test_a_page_that_asks_another_server_or_carries_code_is_refused(name: str, text: str) -> None:
    assert docs_site.complaints(name, text) != []
    assert docs_site.complaints("page.html", '<a href="https://example.org">elsewhere</a>') == []


def test_each_page_is_in_the_sites_tree() -> None:
    """Sphinx says so too; here without it."""
    listed = set()
    for page in pages():
        if page.startswith("docs/"):
            folder = Path(page).parent
            for snippet in snippets(page):
                if snippet.kind == "{toctree}":
                    names = [line for line in snippet.text.splitlines() if line and not line.startswith(":")]
                    listed |= {
                        str(path.relative_to(ROOT)) for name in names for path in (ROOT / folder).glob(f"{name}.md")
                    }
    assert {page for page in pages() if page.startswith("docs/")} - listed == {"docs/index.md"}
