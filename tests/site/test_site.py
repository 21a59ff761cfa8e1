"""`make docs`: the site is built without a warning, has every page, and fetches nothing from anywhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from helpers.pages import PAGES, ROOT

NOT_ON_IT = {ROOT / "README.md"}  # its place is taken by docs/index.md


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(directory)]
    environ = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return directory


def html_of(site: Path) -> dict[str, str]:
    return {str(path.relative_to(site)): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}


def test_it_has_every_page(site: Path) -> None:
    pages = html_of(site)
    expected = {str(page.relative_to(ROOT / "docs")) for page in PAGES if page.is_relative_to(ROOT / "docs")}
    expected |= {
        f"adapters/{page.parent.name.removeprefix('connectord-')}.md" for page in ROOT.glob("plugins/*/README.md")
    }
    expected |= {"architecture.md", "changelog.md"}
    assert {name.removesuffix(".html") for name in pages} - {"404"} == {name.removesuffix(".md") for name in expected}


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for name, text in html_of(site).items():
        loads = re.findall(r"<(?:script|img|iframe|source)\b[^>]*?\bsrc=[\"']?([^\"' >]+)", text)
        loads += re.findall(r"<link\b(?![^>]*rel=[\"']?(?:canonical|next|prev))[^>]*?\bhref=[\"']?([^\"' >]+)", text)
        assert loads, name
        assert not [target for target in loads if "//" in target], name
    for style in site.rglob("*.css"):
        assert not re.findall(r"url\([\"']?(?:https?:)?//|@import", style.read_text(encoding="utf-8")), style


def test_every_link_within_it_leads_somewhere(site: Path) -> None:
    pages = html_of(site)
    for name, text in pages.items():
        for target in re.findall(r"<a\b[^>]*?\bhref=\"([^\"]+)\"", text):
            address, _, anchor = unquote(target).partition("#")
            if "://" in address or address.startswith(("mailto:", "/")):
                continue
            file = (site / name).parent / address if address else site / name
            assert file.exists(), f"{name}: {target}"
            if anchor and file.suffix == ".html" and not anchor.startswith("__"):
                there = pages[str(file.resolve().relative_to(site.resolve()))]
                assert re.search(rf"\b(?:id|name)=\"?{re.escape(anchor)}[\" >]", there), f"{name}: {target}"


def test_the_search_knows_the_pages(site: Path) -> None:
    documents = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    found = {document["location"].partition("#")[0] for document in documents}
    assert {"start.html", "lifecycle.html", "adapters/http.html", "configuration.html"} <= found
    assert any("idempotency key" in document["text"].lower() for document in documents)


def test_no_source_of_a_diagram_is_left_to_a_script(site: Path) -> None:
    assert not [name for name, text in html_of(site).items() if "mermaid" in text]
