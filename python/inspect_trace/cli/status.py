"""`inspect-trace status`: who writes inspect_ai's trace logs, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inspect_trace.cli.options import json_option
from inspect_trace.cli.output import complain, write_chunk

if TYPE_CHECKING:
    from inspect_trace.engine import EngineStatus


@click.command("status")
@json_option("an object {engine, active, reason, directory, versions, ...}")
def status_command(*, as_json: bool) -> None:
    """Tell who writes inspect_ai's trace logs, where, and why not this package where not.

    It tells of programs that are started from here: with this Python and these environment
    variables. INSPECT_TRACE_ENGINE=inspect_ai leaves the logs to inspect_ai.
    """
    from inspect_trace.engine import status

    found = status()
    if as_json:
        import json

        text = json.dumps(found.to_dict(), indent=2)
    else:
        from inspect_trace._core import terminal_safe

        rows = [(name, terminal_safe(value)) for name, value in _rows(found)]
        text = "\n".join(f"{name:<11}{value}" for name, value in rows)
    write_chunk(f"{text}\n".encode("utf-8", "replace"))
    if found.complaint is not None:
        complain(f"inspect-trace: {found.complaint}")


def _rows(found: EngineStatus) -> list[tuple[str, str]]:
    file = "each process's own" if found.file is None else f"{found.file} (INSPECT_TRACE_FILE)"
    theirs = found.versions["inspect_ai"]
    versions = (
        f"inspect-trace {found.versions['inspect_trace']}, "
        f"{'no inspect_ai' if theirs is None else f'inspect_ai {theirs}'}, "
        f"Python {found.versions['python']}"
    )
    return [
        ("engine", _engine(found)),
        ("directory", f"{found.directory or 'none'} ({found.directory_from})"),
        ("file", file),
        ("level", found.level),
        ("versions", versions),
        ("live logs", str(len(found.live_logs))),
    ]


def _engine(found: EngineStatus) -> str:
    if found.engine is None:
        return f"none: {found.reason}"
    if found.reason is not None:
        return f"inspect_ai's own writer: {found.reason}"
    return "inspect-trace writes the trace logs of inspect_ai"
