"""Every message in Merit's sources, as a template: what errors and notices can say, without bringing each about.

PYTEST_DONT_REWRITE: no assertions here.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1] / "marketplace"
LEAST = 3  # words of a message
_PATTERNS = ("(?", "[a-z", "[0-9", "\\", "SELECT", "| None")  # no messages
_DESCRIBING = {"help", "description", "examples", "title", "pattern", "match", "text_signature"}


def templates() -> str:
    """By file, in the sources' order: every text of some words that is neither documentation nor a pattern."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        texts = list(dict.fromkeys(_texts(ast.parse(path.read_text()))))
        if texts:
            found.append(f"## {path.relative_to(ROOT.parent)}\n" + "".join(f"- {text}\n" for text in texts))
    return "\n".join(found)


def _texts(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.keyword) and node.arg in _DESCRIBING:
        return
    text = " ".join(_template(node).split())
    if text:
        if len(text.split()) >= LEAST and not any(sign in text for sign in _PATTERNS):
            yield text
        return
    for child in ast.iter_child_nodes(node):
        yield from _texts(child)


def _template(node: ast.AST) -> str:
    """The text, with what is put into it as {…}; "" for what is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            "{" + ast.unparse(part.value) + "}" if isinstance(part, ast.FormattedValue) else _template(part)
            for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and _template(node.left):
        return _template(node.left) + (_template(node.right) or "{…}")
    return ""
