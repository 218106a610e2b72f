"""The argument and options which several commands share."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from inspect_trace.cli.output import encodable

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from click.shell_completion import CompletionItem

    Command = TypeVar("Command", bound=Callable[..., Any])


EVENTS = ("enter", "exit", "cancel", "error", "timeout")
GROUPS = ("action", "task", "sample", "detail", "model", "host", "run")
ENGINES = ("local", "dask", "ray")
NAMED_GROUPS = ("action", "task", "sample", "run")
"""Those whose names are shown without what was said."""


def _text(
    _ctx: click.Context, _param: click.Parameter, value: str | tuple[str, ...] | None
) -> str | tuple[str, ...] | None:
    """What the core can take as text; several of them for an option that may be repeated."""
    if isinstance(value, tuple):
        return tuple(map(encodable, value)) or None
    return None if value is None else encodable(value)


def _checked(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """The value, if the core can make something of it."""
    text = _text(ctx, param, value)
    if text is not None:
        from inspect_trace.filters import record_filter

        condition: dict[str, Any] = {str(param.name): text}
        try:
            record_filter(**condition)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from None
    return text


_FILTER_OPTIONS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.option(
        "--filter",
        "message",
        metavar="TEXT",
        callback=_text,
        help="Only records whose message contains TEXT, in upper or lower case.",
    ),
    click.option(
        "--level",
        metavar="LEVEL",
        callback=_checked,
        help="Only this level (TRACE, HTTP, INFO, WARNING, ...) and those above; =LEVEL: only it.",
    ),
    click.option(
        "--action",
        metavar="NAME",
        multiple=True,
        callback=_text,
        help="Only this kind of action, in upper or lower case. May be repeated.",
    ),
    click.option(
        "--event",
        metavar="EVENT",
        type=click.Choice(EVENTS, case_sensitive=False),
        multiple=True,
        callback=_text,
        help="Only action records of EVENT: enter, exit, cancel, error, timeout. May be repeated.",
    ),
    click.option(
        "--since",
        metavar="WHEN",
        callback=_checked,
        help="Only from this time on: 2026-11-23T10:22 (local time, or with an offset), "
        "2026-11-23, 14:30, -3h, -1h30m, now, @SECONDS.",
    ),
    click.option(
        "--until", metavar="WHEN", callback=_checked, help="Only before this time, given likewise."
    ),
    click.option(
        "--min-duration",
        metavar="SECONDS",
        callback=_checked,
        help="Only actions that took so long, or longer; also 90s, 5m, 1h30m.",
    ),
    click.option(
        "--sample",
        metavar="ID",
        multiple=True,
        callback=_text,
        help="Only records whose sample_id is ID, exactly. May be repeated.",
    ),
    click.option(
        "--task",
        metavar="NAME",
        multiple=True,
        callback=_text,
        help="Only records whose task is NAME, exactly. May be repeated.",
    ),
)


def files_argument(command: Command) -> Command:
    """Add any number of FILEs."""
    return click.argument("files", metavar="[FILE]...", nargs=-1, shell_complete=_complete_files)(
        command
    )


def _complete_files(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from inspect_trace.cli.completion import complete_files

    return complete_files(ctx, param, incomplete)


def by_option(command: Command) -> Command:
    """Add `--by`, which says what actions are grouped by."""
    return click.option(
        "--by",
        type=click.Choice(GROUPS),
        default="action",
        show_default=True,
        help="Group actions by their kind, task, sample, detail, model (of Model actions), host or "
        "run.",
    )(command)


def check_groups(by: str, *, no_detail: bool) -> None:
    """Refuse groups whose names are what was said, where that is left out."""
    if no_detail and by not in NAMED_GROUPS:
        names = f"{', '.join(NAMED_GROUPS[:-1])} or {NAMED_GROUPS[-1]}"
        raise click.UsageError(
            f"--by {by} and --no-detail do not go together: group by {names} instead"
        )


def engine_options(command: Command) -> Command:
    """Add `--engine` and `--scheduler`, which say who reads the logs."""
    command = click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="With --engine: where its cluster is, such as tcp://host:8786; default: as the engine "
        "is configured, or else one on this machine.",
    )(command)
    return click.option(
        "--engine",
        type=click.Choice(ENGINES),
        default="local",
        show_default=True,
        help="Who reads the logs: this process, or the workers of a Dask or Ray cluster.",
    )(command)


def check_engine(engine: str, scheduler: str | None) -> None:
    """Refuse an address for which there is no use."""
    if engine == "local" and scheduler is not None:
        raise click.UsageError("--scheduler is for --engine dask or --engine ray")


def part_options(of_each: str, limit: str) -> Callable[[Command], Command]:
    """Add `--tail` and `--limit`, saying what they do to this command."""

    def decorate(command: Command) -> Command:
        count = click.IntRange(min=0)
        command = click.option("--limit", metavar="N", type=count, help=limit)(command)
        return click.option("--tail", metavar="N", type=count, help=of_each)(command)

    return decorate


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose records; the command gets one `record_filter` for them."""

    @functools.wraps(command)
    def filtered(
        *args: Any,
        message: str | None,
        level: str | None,
        action: tuple[str, ...] | None,
        event: tuple[str, ...] | None,
        since: str | None,
        until: str | None,
        min_duration: str | None,
        sample: tuple[str, ...] | None,
        task: tuple[str, ...] | None,
        **kwargs: Any,
    ) -> Any:
        from inspect_trace.filters import record_filter

        chosen = record_filter(
            message=message,
            level=level,
            action=action,
            event=event,
            since=since,
            until=until,
            min_duration=min_duration,
            sample=sample,
            task=task,
        )
        return command(*args, record_filter=chosen, **kwargs)

    decorated: Callable[..., Any] = filtered
    for option in reversed(_FILTER_OPTIONS):
        decorated = option(decorated)
    return decorated


def redact_option(command: Command) -> Command:
    """Add `--no-redact`; the command gets `redact`."""
    return click.option(
        "--no-redact",
        "redact",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Show keys, tokens and passwords too, which are REDACTED otherwise.",
    )(command)


def detail_option(command: Command) -> Command:
    """Add `--no-detail`; the command gets `no_detail`."""
    return click.option(
        "--no-detail",
        is_flag=True,
        help="Leave out what was said (details, messages, errors, stacks, commands): only what "
        "happened when, for how long, and how it ended.",
    )(command)


def json_option(what: str) -> Callable[[Command], Command]:
    """Add `--json`, saying what it prints."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what} as JSON.")
