"""What mkdocs does not do by itself: pages that lie beside their code become pages of the site, too.

Links out of docs/ lead to those pages, or to a copy of the file in the site. On a forge the same links lead to the
files themselves, so nothing is written twice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

log = get_plugin_logger("links")

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = {
    ROOT / "ARCHITECTURE.md": "architecture.md",
    ROOT / "CHANGELOG.md": "changelog.md",
    ROOT / "README.md": "index.md",
    **{
        path: f"adapters/{path.parent.name.removeprefix('connectord-')}.md" for path in ROOT.glob("plugins/*/README.md")
    },
}
"""Pages outside docs/, and where they are in the site; the README's place is taken by the site's own home."""

_OUT = re.compile(r"\]\((https?://[^)\s]+)\)")
_LINK = re.compile(r"(?<=\]\()([^)#\s]+)([^)\s]*)(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages beside the code, and every other file of the repository that a page leads to."""
    for source, uri in PAGES.items():
        if uri != "index.md":
            files.append(File.generated(config, uri, abs_src_path=str(source)))
    pages = [Path(file.abs_src_path) for file in files.documentation_pages() if file.abs_src_path]
    for target in sorted({target for page in pages for target in _files_outside(page)}):
        files.append(File.generated(config, _uri(target), abs_src_path=str(target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links out of docs/ lead to where the site has it; a directory is named, and leads nowhere."""
    source = Path(page.file.abs_src_path or DOCS / page.file.src_uri).resolve()
    for address in _OUT.findall(markdown):
        log.info("%s leads out to %s, which is not looked at", page.file.src_uri, address)
    here = os.path.dirname(page.file.src_uri)  # noqa: PTH120 - an address, not a path

    def place(link: re.Match[str]) -> str:
        target = _target(source, link[1])
        return link[0] if target is None else os.path.relpath(_uri(target), here or ".") + link[2]

    return _LINK.sub(place, re.sub(r"\[([^]]*)\]\(([^)#\s]+)\)", lambda link: _unlinked(source, link), markdown))


def _unlinked(source: Path, link: re.Match[str]) -> str:
    target = _target(source, link[2])
    return link[1] if target is not None and target.is_dir() else link[0]


def _files_outside(page: Path) -> Iterator[Path]:
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        target = _target(page, link[0])
        if target is not None and target.is_file() and target not in PAGES and not target.is_relative_to(DOCS):
            yield target


def _target(page: Path, link: str) -> Path | None:
    """The file of the repository that a link leads to; None for a page elsewhere, and for what is not there."""
    target = (page.parent / link).resolve()
    return target if "://" not in link and target.exists() and target.is_relative_to(ROOT) else None


def _uri(target: Path) -> str:
    if target in PAGES:
        return PAGES[target]
    return str(target.relative_to(DOCS) if target.is_relative_to(DOCS) else Path("files") / target.relative_to(ROOT))
