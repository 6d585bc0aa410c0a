"""How Sphinx makes the documentation site of the pages in this folder (`make docs-site`)."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

project = "Merit"
author = "The Merit authors"
release = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)[1]
extensions = ["myst_parser"]
myst_heading_anchors = 4  # as GitHub names them
exclude_patterns = ["dist"]
html_theme = "furo"
html_title = f"Merit {release}"
html_show_copyright = False
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]

# Beside docs/ these are pages of the site too.
_PAGES = {
    "SECURITY.md": "security/index.md",
    "CHANGELOG.md": "changelog.md",
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
}
_LINK = re.compile(r"\[((?:[^][]|\[[^]]*\])*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def inside(_app: object, docname: str, source: list[str]) -> None:
    """Links of a page to files outside of this folder: to the page that has them, else the file's name alone."""
    here = (ROOT / "docs" / docname).parent

    def moved(found: re.Match[str]) -> str:
        target = (here / found[2]).resolve()
        if target.is_relative_to(ROOT / "docs"):
            return found[0]
        path = target.relative_to(ROOT)
        if page := _PAGES.get(str(path)):
            return f"[{found[1]}]({'../' * docname.count('/')}{page})"
        return found[1] if "`" in found[1] else f"{found[1]} (`{path}`)"

    source[0] = _LINK.sub(moved, source[0])


def setup(app: object) -> None:
    app.connect("source-read", inside)
