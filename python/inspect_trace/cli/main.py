"""The command group and the one place where outcomes become exit codes.

Exit codes: 0 done; 1 failed (one line on stderr says what and where); 2 wrong usage; 130 Ctrl-C;
141 the reader of our output went away, as for any filter in a pipe.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from inspect_trace.cli.output import OutputClosed, complain, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

COMMANDS = (
    "anomalies",
    "archive",
    "archive-list",
    "archive-prune",
    "archive-verify",
    "completion",
    "diff",
    "dump",
    "export",
    "http",
    "list",
    "run",
    "sql",
    "stats",
    "status",
    "timeline",
    "top",
    "tree",
    "verify",
)
"""Each is the function `<name>_command` of the module `inspect_trace.cli.<name>`, `_` being `-`."""


COMPLETE_VARIABLE = "_INSPECT_TRACE_COMPLETE"
"""Set by the shell that wants to know how a command line may go on."""


class TraceGroup(click.Group):
    """The commands, each loaded when it is called, or listed in the help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, in the order of the help."""
        return sorted({*super().list_commands(ctx), *COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, if there is one."""
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            from importlib import import_module

            name = cmd_name.replace("-", "_")
            module = import_module(f"inspect_trace.cli.{name}")
            self.add_command(getattr(module, f"{name}_command"))
        return super().get_command(ctx, cmd_name)


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if not value or ctx.resilient_parsing:
        return
    from inspect_trace._core import __version__

    click.echo(f"inspect-trace {__version__}")
    ctx.exit()


@click.group(
    name="trace",
    cls=TraceGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    epilog="FILE is a path, a name in the trace directory, or trace.log for the newest log and "
    "trace.log.1.gz, trace.log.2.gz, ... for the ones before it. Without FILE the newest log is "
    "read. The directory is inspect_ai's own; INSPECT_TRACE_DIR names another.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and leave.",
)
@click.pass_context
def trace_group(ctx: click.Context) -> None:
    """Read trace logs: what a program is doing, what hung, what it did when it was killed."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(EXIT_USAGE)


def run(args: Sequence[str], prog_name: str) -> int:
    """Run the command line `args` and return the exit code; nothing is raised."""
    try:
        with trace_group.make_context(prog_name, list(args)) as ctx:
            trace_group.invoke(ctx)
        return 0
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else prog_name
        complain(f"{prog_name}: {error.format_message()} (see `{command} --help`)")
        return EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except (OutputClosed, BrokenPipeError):  # click itself writes help, to a pipe perhaps
        return EXIT_BROKEN_PIPE
    except click.ClickException as error:
        complain(f"{prog_name}: {error.format_message()}")
        return EXIT_FAILURE
    except OSError as error:
        complain(f"{prog_name}: {one_line(error)}")
        return EXIT_FAILURE
    except ImportError as error:
        if error.name != "obstore":  # an extra; anything else is our own mistake
            raise
        complain(f"{prog_name}: {error}")
        return EXIT_FAILURE


def main(args: Sequence[str] | None = None, prog_name: str = "inspect-trace") -> None:
    """The `inspect-trace` script: run the command line and leave with its exit code."""
    asked = os.environ.get(COMPLETE_VARIABLE)
    if asked:
        from inspect_trace.cli.completion import complete

        sys.exit(complete(asked))
    code = run(sys.argv[1:] if args is None else args, prog_name)
    if code != 0:
        _drop_unwritten_output()
    sys.exit(code)


def _drop_unwritten_output() -> None:
    """Point stdout at nothing, so that the interpreter's own last flush can't fail aloud."""
    try:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)
    except (OSError, ValueError, AttributeError):
        pass  # no stdout, or one that is no file: nothing will be flushed to it
