"""Makes the built documentation (docs/dist) fit for a node's content security policy, and checks it.

Scripts and styles that the theme writes into pages become files, so that `script-src 'self'; style-src 'self'` holds.
Exits 1 where a page would still ask anything of another server, or carries code of its own.
"""

import hashlib
import re
import sys
from pathlib import Path

SITE = Path(__file__).resolve().parent.parent / "docs" / "dist"
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_STYLED = re.compile(r' style="([^"]*)"')
# What a browser fetches by itself: all but links that are followed.
_ASKED = re.compile(
    r"""<(?!a\b)[a-z]+\b[^>]*\b(?:src|srcset|href|data|poster)=["']((?:https?:)?//[^"']*)""", re.IGNORECASE
)
_ASKED_BY_STYLE = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')]*)""", re.IGNORECASE)
_LEFT = re.compile(r"""<script(?![^>]*\bsrc=)[^>]*>|<style\b|\sstyle=|\son[a-z]+=["']|javascript:""", re.IGNORECASE)


def own_files(page: str, up: str, files: dict[str, str]) -> str:
    """A page whose inline scripts and styles are files; adds these, by their paths in the site, to `files`.

    up: the way from the page to the site's root, such as "../".
    """

    def stored(text: str, suffix: str) -> str:
        path = f"_static/own-{hashlib.sha256(text.encode()).hexdigest()[:12]}.{suffix}"
        files[path] = text
        return up + path

    page = _SCRIPT.sub(lambda found: f'<script src="{stored(found[1], "js")}"></script>', page)
    page = _STYLE.sub(lambda found: f'<link rel="stylesheet" href="{stored(found[1], "css")}">', page)
    rules: dict[str, str] = {}

    def named(found: re.Match[str]) -> str:
        name = hashlib.sha256(found[1].encode()).hexdigest()[:12]
        rules[name] = f'[data-style="{name}"] {{ {found[1]} }}\n'
        return f' data-style="{name}"'

    page = _STYLED.sub(named, page)
    if rules:
        link = f'<link rel="stylesheet" href="{stored("".join(sorted(rules.values())), "css")}">'
        page = page.replace("</head>", f"{link}\n</head>", 1)
    return page


def complaints(name: str, text: str) -> list[str]:
    """What a page or style sheet of the site must not have."""
    if name.endswith(".css"):
        return [f"{name} asks {address}" for address in _ASKED_BY_STYLE.findall(text)]
    asked = [f"{name} asks {address}" for address in _ASKED.findall(text)]
    return asked + [
        f"{name} carries {' '.join(left.split())}"
        for left in _LEFT.findall(re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL))
    ]


def main() -> str | None:
    files: dict[str, str] = {}
    for path in sorted(SITE.rglob("*.html")):
        up = "../" * (len(path.relative_to(SITE).parts) - 1)
        path.write_text(own_files(path.read_text("utf-8"), up, files), "utf-8")
    for place, text in files.items():
        (SITE / place).write_text(text, "utf-8")
    found = [
        complaint
        for path in sorted(SITE.rglob("*"))
        if path.suffix in (".html", ".css")
        for complaint in complaints(str(path.relative_to(SITE)), path.read_text("utf-8"))
    ]
    return "\n".join(found) or None


if __name__ == "__main__":
    sys.exit(main())
