"""What the commands that look at an archive share."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inspect_trace.archive.contents import Contents


def checked_url(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """The URL of an archive, for an option or argument."""
    from inspect_trace.archive.settings import check_url

    try:
        return check_url(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def parsed(parse: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """What the core makes of the text of an option, if it can."""

    def callback(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Any:
        if value is None:
            return None
        try:
            return parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return callback


url_argument = click.argument("url", metavar="URL", callback=checked_url)


@contextlib.contextmanager
def contents(url: str) -> Iterator[Contents]:
    """What is in an archive; whatever the store has against it is one line.

    Raises:
        click.ClickException: The store cannot be asked.
    """
    from inspect_trace.archive.settings import needs_obstore

    if (reason := needs_obstore()) is not None:
        raise click.ClickException(f"{url}: {reason}")
    from inspect_trace.archive.contents import Contents
    from inspect_trace.archive.store import StoreError

    try:
        yield Contents(url)
    except StoreError as error:
        raise click.ClickException(f"{url}: {error.strerror}") from None
