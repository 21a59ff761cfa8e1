"""The scripts that make bash, zsh and fish complete, and what they ask.

click has all three; bash's is changed, for bash takes a colon for the end of a word, and ``queue:NAME`` has one.
"""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

_HOW = {
    "bash": 'eval "$({0} completion bash)" in ~/.bashrc, or {0} completion bash > /etc/bash_completion.d/{0}',
    "zsh": 'eval "$({0} completion zsh)" in ~/.zshrc behind compinit, or {0} completion zsh > DIRECTORY_IN_FPATH/_{0}',
    "fish": "{0} completion fish > ~/.config/fish/completions/{0}.fish",
}


class WholeLineBash(BashComplete):
    """bash's completion from the line itself, not from the words that bash has made of it."""

    source_template = BashComplete.source_template.replace(
        'COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD', 'COMP_LINE="${COMP_LINE:0:COMP_POINT}"'
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_LINE", "")
        words = split_arg_string(line)
        self._incomplete = "" if line[-1:].isspace() or not words else words.pop()
        return words[1:], self._incomplete

    def format_completion(self, item: CompletionItem[Any]) -> str:
        # bash replaces only what stands behind the last colon
        kept = self._incomplete.rpartition(":")[1] and len(self._incomplete.rpartition(":")[0]) + 1
        value = str(item.value)[kept or 0 :]
        return f"{item.type},{shlex.quote(value) if item.type == 'plain' else value}"


def variable_of(program: str) -> str:
    """The environment variable by which the scripts ask."""
    return f"_{program.upper()}_COMPLETE"


def answer_the_shell(program: str) -> None:
    """Get ready for a question of the shell; costs nothing where there is none."""
    if variable_of(program) in os.environ:
        add_completion_class(WholeLineBash)


def script(command: click.Command, program: str, shell: str) -> str:
    """The script for ``shell``, with how to install it as its first lines' comment."""
    add_completion_class(WholeLineBash)
    found = get_completion_class(shell)
    if found is None:  # click has all of the choices
        raise click.BadParameter(f"there is no completion for {shell}")
    text = found(command, {}, program, variable_of(program)).source().strip("\n")
    # zsh reads its first line: it says which command this is for
    first, _, rest = text.partition("\n") if text.startswith("#compdef") else ("", "", text)
    head = f"{first}\n" if first else ""
    return f"{head}# {_HOW[shell].format(program)}\n{rest}"


def print_script(command: click.Command, program: str, shell: str) -> None:
    """Print it, and on a terminal say on stderr what it is good for."""
    click.echo(script(command, program, shell))
    if sys.stdout.isatty():
        click.echo(f"\n{program}: to use it: {_HOW[shell].format(program)}", err=True)
