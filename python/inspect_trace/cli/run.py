"""`inspect-trace run`: becomes the interpreter, which traces the program that it runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from inspect_trace.instrument import GROUPS, SOURCES
from inspect_trace.launch import Choice, environment_for, site_directory

if TYPE_CHECKING:
    from collections.abc import Sequence


class _RunCommand(click.Command):
    """Everything from the program on is the program's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self._with_end_of_options(args))

    def _with_end_of_options(self, args: list[str]) -> list[str]:
        """With `--` behind `-m MODULE`; click itself stops at a script."""
        with_value = {
            name
            for param in self.params
            if isinstance(param, click.Option) and not param.is_flag
            for name in param.opts
        }
        index = 0
        while index < len(args) and args[index].startswith("-") and args[index] not in ("-", "--"):
            after = index + (2 if args[index] in with_value else 1)
            if args[index].startswith("-m") and after <= len(args):
                return [*args[:after], "--", *args[after:]]
            index = after
        return args


def _level(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        from inspect_trace.levels import level_from, register_levels

        register_levels()
        if level_from(value) is None:
            raise click.BadParameter(
                f"there is no level {value!r}: use a name such as INFO, or a number"
            )
    return value


@click.command(
    "run",
    cls=_RunCommand,
    context_settings={"allow_interspersed_args": False},
    options_metavar="[OPTIONS] SCRIPT|-m MODULE [ARGS]...",
)
@click.option("-m", "module", metavar="MODULE", help="Run a module, as `python -m` does.")
@click.option(
    "--source",
    "sources",
    metavar="NAME",
    type=click.Choice((*GROUPS, *SOURCES)),
    multiple=True,
    help="Trace this source, or group of sources, instead of all. May be repeated.",
)
@click.option(
    "--level",
    metavar="LEVEL",
    callback=_level,
    help="Trace also what the program logs, from LEVEL on (TRACE, HTTP, INFO, ...).",
)
@click.option(
    "--redact/--no-redact",
    default=None,
    help="Write no keys, tokens and passwords, or do, in what the program itself logs; default: "
    "INSPECT_TRACE_REDACT. What sources write never has any.",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="")
def run_command(
    *,
    module: str | None,
    sources: tuple[str, ...],
    level: str | None,
    redact: bool | None,
    words: tuple[str, ...],
) -> None:
    """Run a Python program as it is, and trace what it does.

    It runs as by `python SCRIPT` or `python -m MODULE`, with this Python: what follows SCRIPT or
    MODULE is the program's own. Traced are the processes that it starts, its requests, its calls
    of models and so on; `inspect-trace anomalies` shows what hangs.
    """
    target = _target(module, words)
    flags = interpreter_flags(sys.orig_argv)
    _refuse_what_keeps_us_out()
    environment = environment_for(
        Choice(level, redact=redact, sources=sources), _environment_of_program()
    )
    try:
        os.execve(sys.executable, [sys.executable, *flags, *target], environment)  # noqa: S606
    except OSError as error:
        raise click.ClickException(
            f"cannot start {sys.executable or 'Python'}: {error.strerror}"
        ) from None


def _target(module: str | None, words: tuple[str, ...]) -> list[str]:
    """The program, as the interpreter takes it."""
    if module is not None:
        return ["-m", module, *words]
    if not words:
        raise click.UsageError("Missing SCRIPT or -m MODULE.")
    script = words[0]
    if script == "-":
        return list(words)
    try:
        Path(script).stat()
    except (OSError, ValueError) as error:  # the interpreter's words, but no log is made for it
        reason = error.strerror if isinstance(error, OSError) else str(error)
        hint = "" if os.sep in script else f" (the module of that name: -m {script})"
        raise click.UsageError(f"can't open file {script!r}: {reason}{hint}") from None
    return ["--", *words] if script.startswith("-") else list(words)


def interpreter_flags(command_line: Sequence[str]) -> list[str]:
    """The options that Python itself was started with, as they were given (`-u`, `-X dev`, ...)."""
    flags: list[str] = []
    words = iter(command_line[1:])
    for word in words:
        if not word.startswith("-") or word in ("-", "--"):
            break
        if word.startswith("--"):  # `--check-hash-based-pycs MODE`
            flags += [word, next(words, "")]
            continue
        for index, letter in enumerate(word[1:], 1):
            if letter in "cm":  # the rest of the line is not Python's
                return flags + ([word[:index]] if index > 1 else [])
            if letter in "WX":
                value = [] if word[index + 1 :] else [next(words, "")]
                flags += [word, *value]
                break
        else:
            flags.append(word)
    return flags


_NOT_FOR_US: Final = "it is told to the interpreter in PYTHONPATH, and begins in `site`"


def _refuse_what_keeps_us_out() -> None:
    for flag, is_set in (
        ("-I", sys.flags.isolated),
        ("-E", sys.flags.ignore_environment),
        ("-S", sys.flags.no_site),
    ):
        if is_set:
            raise click.UsageError(f"Tracing cannot begin under python {flag}: {_NOT_FOR_US}.")
    if os.pathsep in site_directory():
        raise click.ClickException(
            f"{site_directory()}: cannot be named in PYTHONPATH, as it has a {os.pathsep!r} in it"
        )


def _environment_of_program() -> dict[str, str]:
    """Our environment, as it was given to us: in the locale C Python sets LC_CTYPE."""
    environment = dict(os.environ)
    try:
        given = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return environment
    locale = [entry for entry in given if entry.startswith(b"LC_CTYPE=")]
    environment.pop("LC_CTYPE", None)
    if locale:
        environment["LC_CTYPE"] = os.fsdecode(locale[0].partition(b"=")[2])
    return environment
