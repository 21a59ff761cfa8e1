"""Fuzzes one target with atheris, led by coverage; ends with 77 where it finds something, and writes the input down.

``make fuzz SECONDS=60`` does so for each target, ``make test`` for a fixed number of runs::

    PYTHONPATH=tests python -m fuzz.fuzz TARGET [--seconds N | --runs N] [--keep DIRECTORY] [--seed N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import atheris
import structlog

INSTRUMENTED = [
    "connectord.callbacks",
    "connectord.config",
    "connectord.control.params",
    "connectord.control.protocol",
    "connectord.responses",
    "connectord_http.callback_reading",
    "connectord_http.connectord_format",
    "connectord_http.enate",
]

with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
    from fuzz import targets

CORPUS = Path(__file__).parent / "corpus"
SLOWEST_SECONDS = 10
LONGEST_BYTES = 8192


def _any(data: bytes) -> None:
    names = list(targets.TARGETS)
    if data:
        targets.run(names[data[0] % len(names)], data[1:])


def _mix_corpora(keep: Path) -> None:
    for number, name in enumerate(targets.TARGETS):
        for file in (CORPUS / name).iterdir():
            (keep / f"{name}-{file.name}").write_bytes(bytes([number]) + file.read_bytes())


def main() -> None:
    """Fuzz, and never return."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "target", choices=[*targets.TARGETS, "any"], help="any: the first byte of each input says which"
    )
    parser.add_argument("--seconds", type=int, default=0, help="how long (default: as many runs as --runs says)")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="where new inputs that lead further are kept, and crashes")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    keep = given.keep or Path(tempfile.mkdtemp(prefix="connectord-fuzz-"))
    keep.mkdir(parents=True, exist_ok=True)
    limit = f"-max_total_time={given.seconds}" if given.seconds else f"-runs={given.runs}"
    arguments = [limit, f"-seed={given.seed}", f"-timeout={SLOWEST_SECONDS}", f"-max_len={LONGEST_BYTES}"]
    arguments += [f"-artifact_prefix={keep}/", "-print_final_stats=1", str(keep)]
    if given.target == "any":
        _mix_corpora(keep)
        attack = _any
    else:
        arguments.append(str(CORPUS / given.target))
        attack = partial(targets.run, given.target)
    atheris.Setup([sys.argv[0], *arguments], attack)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
