"""The pages of the documentation, and the blocks of code on them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("plugins/*/README.md")),
]

_PROGRAMS = (
    r"apt|cat|cd|chmod|connectorctl|connectord|cp|curl|datasette|docker|echo|eval|export|find|git|journalctl|kill|ls|make"
    r"|man|mkdir|node-red|npm|openssl|pipx?|podman|printf|promtool|pytest|python3?|rm|sh|socat|sqlite3|systemctl"
    r"|systemd-analyze|touch|\."
)
_COMMAND = re.compile(rf"(\$ )?(sudo |\w+=\S+ )*({_PROGRAMS})( (?!\d|─)|$)")
_SHELLS = {"sh", "bash", "console", "shell"}
_FENCE = re.compile(r"( *)(```+)(\w*)$")


@dataclass(frozen=True)
class Block:
    """A block of code: in a fence, or indented by four spaces. ``before`` is the line above it that is not empty."""

    page: Path
    line: int
    kind: str
    text: str
    before: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_shell(self) -> bool:
        """Whether it is for a shell: its fence says so, or it has no kind and begins with a command."""
        return self.kind in _SHELLS or (not self.kind and _COMMAND.match(self.text) is not None)


def blocks_of(page: Path) -> Iterator[Block]:
    """Every block of code on a page, without its indentation."""
    lines = page.read_text(encoding="utf-8").splitlines()
    at, before, in_list = 0, "", False
    while at < len(lines):
        line = lines[at]
        fence = _FENCE.match(line)
        if fence:
            end = next(n for n in range(at + 1, len(lines)) if lines[n].strip() == fence[2])
            yield _block(page, at + 1, fence[3], lines[at + 1 : end], before)
            at, before = end + 1, line
        elif line.startswith("    ") and not in_list and not (at and lines[at - 1].strip()):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            yield _block(page, at, "", lines[at:end], before)
            at, before = end, line
        else:
            if line.strip():
                in_list = bool(re.match(r"([-*]|\d+\.) ", line)) or (in_list and line.startswith(" "))
                before = line
            at += 1


def _block(page: Path, at: int, kind: str, lines: list[str], before: str) -> Block:
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return Block(page, at + 1, kind, "\n".join(line[indent:] for line in lines).strip("\n") + "\n", before.strip())
