"""`inspect-trace completion`, and what the shells ask the command when somebody presses Tab."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "inspect-trace"
SHELLS = ("bash", "zsh", "fish")

_PLAIN = re.compile(r"[\w.@%+,-]+")
"""Names that mean themselves in every shell, and in what click and the shells tell each other."""

_HINTS = """\
\b
Once for all, in the file that the shell reads when it starts:
  bash   eval "$(inspect-trace completion bash)"               in ~/.bashrc
  zsh    eval "$(inspect-trace completion zsh)"                in ~/.zshrc, after compinit
  fish   inspect-trace completion fish | source                in ~/.config/fish/config.fish
"""


@click.command("completion", epilog=_HINTS)
@click.argument("shell", metavar="bash|zsh|fish", type=click.Choice(SHELLS))
def completion_command(*, shell: str) -> None:
    """Print the script that has a shell complete this command.

    Then Tab completes commands, options, and FILEs: the logs of the trace directory, trace.log and
    its like, and paths.
    """
    from click.shell_completion import get_completion_class

    from inspect_trace.cli.main import COMPLETE_VARIABLE, trace_group
    from inspect_trace.cli.output import write_chunk

    shell_class = get_completion_class(shell)
    if shell_class is None:
        raise click.ClickException(f"this version of click does not know {shell}")
    # The same text whatever shell asks, and wherever: click would run bash to look at its version.
    source = shell_class(trace_group, {}, PROGRAM, COMPLETE_VARIABLE)
    write_chunk(f"{source.source_template % source.source_vars()}\n".encode())


def complete(instruction: str) -> int:
    """Answer a shell, which asks by an environment variable; returns the exit code.

    Whatever goes wrong is not told: it would stand in the middle of somebody's command line.
    """
    from contextlib import redirect_stderr
    from pathlib import Path

    from click.shell_completion import shell_complete

    from inspect_trace.cli.main import COMPLETE_VARIABLE, trace_group

    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
        try:
            return shell_complete(trace_group, {}, PROGRAM, COMPLETE_VARIABLE, instruction)
        except Exception:
            return 1


def complete_files(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """What a FILE may be that begins so."""
    # In this order: of what comes before it, bash keeps nothing.
    path = CompletionItem(incomplete, type="file")
    if "/" in incomplete or incomplete.startswith("~"):
        return [path]
    return [path, *_logs(incomplete)]


def _logs(incomplete: str) -> Iterator[CompletionItem]:
    from inspect_trace.store import list_trace_files

    logs = list_trace_files()
    aliases = ["trace.log"] if logs else []
    if incomplete.startswith("trace.log"):
        aliases += [f"trace.log.{number}.gz" for number in range(1, len(logs))]
    for number, alias in enumerate(aliases):
        if alias.startswith(incomplete):
            told = "the newest log" if number == 0 else "an earlier log"
            yield CompletionItem(alias, help=told)
    for log in logs:
        name = os.path.basename(log.path)  # noqa: PTH119 - as in `store`
        if name.startswith(incomplete) and _PLAIN.fullmatch(name):
            yield CompletionItem(name, help="running" if log.alive else "ended")
