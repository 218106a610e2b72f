"""The argument and options which several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inspect_trace.cli.output import encodable

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Command = TypeVar("Command", bound=Callable[..., Any])


def _filter_text(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """The text to look for; an empty one is none."""
    return encodable(value) if value else None


def file_argument(command: Command) -> Command:
    """Add the optional FILE."""
    return click.argument("file", metavar="[FILE]", required=False)(command)


def filter_option(command: Command) -> Command:
    """Add `--filter`."""
    return click.option(
        "--filter",
        "filter_text",
        metavar="TEXT",
        callback=_filter_text,
        help="Only records whose message contains TEXT, in upper or lower case.",
    )(command)


def json_option(what: str) -> Callable[[Command], Command]:
    """Add `--json`, saying what it prints."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what} as JSON.")
